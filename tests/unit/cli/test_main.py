"""What a command ends with, and where it writes what, against a server of few words."""

import json
import os
from typing import NamedTuple

import pytest

from taskmaster.cli import exits
from taskmaster.cli.main import run
from tests.unit.client.stub import Reply, Stub, answering

TASK = {"id": "t1", "gate": "g", "state": "dead", "new_field": 1}
GATE = {"gate": "g", "state": "open", "limits": {"rate": 10, "burst": 1, "concurrency": 3}}


class Ran(NamedTuple):
    """How a command went."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> "Cli":
    for name in os.environ:
        if name.startswith(("TASKMASTER_", "COLUMNS", "NO_COLOR", "FORCE_COLOR")):
            monkeypatch.delenv(name)
    return Cli(capfd, monkeypatch)


class Cli:
    """Runs commands in this process."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self.environ = monkeypatch

    def __call__(self, line: str, stub: Stub | None = None) -> Ran:
        self._capfd.readouterr()
        code = run([*line.split(), *(["--url", stub.url] if stub else [])])
        captured = self._capfd.readouterr()
        return Ran(code, captured.out, captured.err)


def problem(status: int, pointer: str = "", remedy: str = "") -> Reply:
    error = {"pointer": pointer, "message": "what is wrong", "remedy": remedy}
    return Reply(status, {"type": "/docs/problems#x", "title": "t", "errors": [error]})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, exits.FAILED),
        (401, exits.REFUSED),
        (403, exits.REFUSED),
        (404, exits.NOT_FOUND),
        (409, exits.CONFLICT),
        (412, exits.CONFLICT),
        (413, exits.USAGE),
        (422, exits.USAGE),
        (429, exits.FAILED),
        (500, exits.FAILED),
    ],
)
def test_a_refusal_is_one_line_and_a_code_of_its_own(cli: Cli, status: int, code: int) -> None:
    with answering(problem(status, remedy="do that")) as stub:
        assert cli("task show t1", stub) == Ran(code, "", "error: what is wrong; do that\n")


def test_nobody_there_is_its_own_code(cli: Cli) -> None:
    ran = cli("gate list --url http://127.0.0.1:1")

    assert (ran.code, ran.out) == (exits.UNREACHABLE, "")
    assert ran.err.startswith("error: no answer from http://127.0.0.1:1: ")


def test_with_json_the_problem_comes_as_the_server_sent_it(cli: Cli) -> None:
    with answering(problem(404)) as stub:
        ran = cli("task show t1 -o json", stub)

    assert ran.out == ""
    assert json.loads(ran.err)["errors"][0]["message"] == "what is wrong"


def test_with_json_our_own_errors_have_the_same_form(cli: Cli) -> None:
    ran = cli("gate list -o json --url http://127.0.0.1:1")

    document = json.loads(ran.err)
    assert document["type"] == "/docs/problems#unreachable"
    assert "TASKMASTER_URL" in document["errors"][0]["remedy"]


def test_debug_adds_the_traceback(cli: Cli) -> None:
    with answering(problem(404)) as stub:
        ran = cli("task show t1 --debug", stub)

    assert "Traceback (most recent call last)" in ran.err
    assert ran.err.endswith("error: what is wrong\n")


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "task nonsense",
        "task list --nonsense",
        "task list -o xml",
        "task list --limit many",
        "task show",
        "task submit",
        "task submit http://x/ --file f",
        "task cancel",
        "task cancel t1 --gate g",
        "task reschedule t1",
        "gate pause",
        "gate set g",
        "gate list --watch --interval soon",
        "gate list --url nonsense",
    ],
)
def test_bad_usage_is_one_line_and_2(cli: Cli, line: str) -> None:
    ran = cli(line)

    assert (ran.code, ran.out) == (exits.USAGE, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_with_json_bad_usage_has_the_same_form(cli: Cli) -> None:
    ran = cli("task list --nonsense -o json")

    assert ran.code == exits.USAGE
    assert json.loads(ran.err)["type"] == "/docs/problems#usage"


def test_a_mistyped_command_gets_a_suggestion(cli: Cli) -> None:
    assert "gate" in cli("gates list").err


def test_json_is_the_servers_own_document(cli: Cli) -> None:
    """Nothing is renamed, and what a newer server adds is there."""
    page = {"items": [TASK], "next_page_token": None}
    with answering(Reply(200, page)) as stub:
        assert json.loads(cli("task list -o json", stub).out) == page
        assert json.loads(cli("task list -o ndjson", stub).out) == TASK
        assert cli("task list -o name", stub).out == "t1\n"
        assert "new_field: 1" in cli("task list -o yaml", stub).out
        assert cli("task list -o table", stub).out.split()[:3] == ["ID", "GATE", "STATE"]
        assert "PRIORITY" in cli("task list -o wide", stub).out


def test_the_environment_says_how_to_print(cli: Cli) -> None:
    with answering(Reply(200, GATE)) as stub:
        cli.environ.setenv("TASKMASTER_URL", stub.url)
        cli.environ.setenv("TASKMASTER_OUTPUT", "name")

        assert cli("gate show g").out == "g\n"
        assert cli("gate show g -o json").out.startswith("{")


def test_colour_is_for_terminals_or_by_force(cli: Cli) -> None:
    with answering(Reply(200, GATE)) as stub:
        plain = cli("gate show g", stub).out
        cli.environ.setenv("FORCE_COLOR", "1")
        coloured = cli("gate show g", stub).out
        cli.environ.setenv("NO_COLOR", "1")
        without = cli("gate show g", stub).out

    assert "\x1b[32mopen\x1b[0m" in coloured
    assert "\x1b" not in plain
    assert without == plain


def test_columns_cut_tables(cli: Cli) -> None:
    page = {"items": [{**GATE, "gate": "g" * 90}], "next_page_token": None}
    with answering(Reply(200, page)) as stub:
        cli.environ.delenv("COLUMNS", raising=False)
        whole = cli("gate list", stub).out
        cli.environ.setenv("COLUMNS", "40")
        cut = cli("gate list", stub).out

    assert max(map(len, whole.splitlines())) > 90
    assert max(map(len, cut.splitlines())) <= 40


def test_a_list_that_was_cut_off_says_how_to_go_on(cli: Cli) -> None:
    page = {"items": [TASK], "next_page_token": "abc"}
    with answering(Reply(200, page)) as stub:
        ran = cli("task list --limit 1", stub)

    assert "--page-token abc" in ran.err
    assert "abc" not in ran.out


def test_no_limit_reads_all_pages(cli: Cli) -> None:
    first = Reply(200, {"items": [TASK], "next_page_token": "abc"})
    last = Reply(200, {"items": [TASK], "next_page_token": None})
    with answering(first, last) as stub:
        ran = cli("task list --limit 0 -o json", stub)

    assert len(json.loads(ran.out)["items"]) == 2
    assert "page_token=abc" in stub.asked[1].path


def test_a_submission_takes_all_fields(cli: Cli) -> None:
    line = (
        "task submit http://x/ -X PUT -H A:b -d {} -g g --delay 15m --timeout 5s"
        " --expires-at 2026-11-24T09:00:00Z --max-attempts 3 --min-backoff 2s --max-backoff 1m"
        " --max-elapsed 1h --jitter none --retry-on 404 --retry-on 409 --no-idempotent"
        " --priority 9 --fair-key f --order-key o --key k -l a=b -l c=d"
    )
    with answering(Reply(201, TASK)) as stub:
        assert cli(line, stub).code == 0

    assert json.loads(stub.asked[0].body) == {
        "url": "http://x/",
        "method": "PUT",
        "headers": {"A": "b"},
        "body": "{}",
        "gate": "g",
        "delay": "15m",
        "timeout": "5s",
        "expires_at": "2026-11-24T09:00:00Z",
        "retry": {
            "max_attempts": 3,
            "min_backoff": "2s",
            "max_backoff": "1m",
            "max_elapsed": "1h",
            "jitter": "none",
            "retry_on": [404, 409],
        },
        "idempotent": False,
        "priority": 9,
        "fair_key": "f",
        "order_key": "o",
        "key": "k",
        "labels": {"a": "b", "c": "d"},
    }


def test_waiting_ends_with_what_became_of_the_task(cli: Cli) -> None:
    with answering(Reply(201, {**TASK, "state": "waiting"}), Reply(200, TASK)) as stub:
        assert cli("task submit http://x/ --wait", stub).code == exits.FAILED
    done = {**TASK, "state": "succeeded"}
    with answering(Reply(201, {**TASK, "state": "waiting"}), Reply(200, done)) as stub:
        assert cli("task submit http://x/ --wait", stub).code == exits.DONE


def test_a_wait_that_takes_too_long_has_its_own_code(cli: Cli) -> None:
    with answering(Reply(201, {**TASK, "state": "waiting"})) as stub:
        ran = cli("task submit http://x/ --wait --wait-timeout 50ms", stub)

    assert ran.code == exits.WAIT_TIMED_OUT
    assert ran.err == "error: task t1 is waiting after 0.05 s; it goes on by itself\n"


COUNTED = {
    "matched": 2,
    "by_state": {"dead": 2},
    "by_gate": {"g": 2},
    "sample": ["t1", "t2"],
    "set": "token",
    "dry_run": True,
}


def test_a_bulk_change_that_nobody_agreed_to_changes_nothing(cli: Cli) -> None:
    with answering(Reply(200, COUNTED)) as stub:
        ran = cli("task redrive --gate g", stub)

        assert (ran.code, ran.out) == (exits.USAGE, "")
        assert ran.err.startswith("error: redrive 2 tasks? cannot be asked here; say --yes")
        assert [json.loads(asked.body)["dry_run"] for asked in stub.asked] == [True]


def test_a_dry_run_counts_and_changes_nothing(cli: Cli) -> None:
    with answering(Reply(200, COUNTED)) as stub:
        ran = cli("task cancel --gate g --dry-run", stub)

        assert ran.out.startswith("2 tasks would be changed by cancel\n")
        assert [json.loads(asked.body)["dry_run"] for asked in stub.asked] == [True]


def test_a_bulk_shows_what_it_left_wherever_among_the_others(cli: Cli) -> None:
    bulk = {"id": "b", "action": "move", "state": "ended", "matched": 3, "answered": 3}
    bulk |= {"changed": 2, "refused": 1, "started_at": "2026-01-01T00:00:00Z"}
    changed = [{"id": f"t{number}", "answer": "changed"} for number in (1, 2)]
    refused = {"id": "t3", "answer": "refused", "why": "its key belongs to another"}
    pages = (
        Reply(200, {"items": changed, "next_page_token": "p"}),
        Reply(200, {"items": [refused], "next_page_token": "q"}),
    )
    with answering(Reply(200, bulk), *pages) as stub:
        ran = cli("bulk show b", stub)

    assert ran.code == 0
    assert "t3    refused  its key belongs to another" in ran.out
    assert len(stub.asked) == 3  # what is known to be all is not asked on


def test_a_bulk_is_of_the_tasks_that_were_counted_and_tells_how_it_ended(cli: Cli) -> None:
    bulk = {
        "id": "b",
        "action": "move",
        "state": "ended",
        "matched": 2,
        "answered": 2,
        "changed": 1,
        "refused": 1,
        "started_at": "2026-01-01T00:00:00Z",
    }
    with answering(Reply(200, COUNTED), Reply(201, bulk), Reply(200, bulk)) as stub:
        ran = cli("task move --to h --gate g --yes --rate 5 --reason why", stub)

    assert (ran.code, ran.out) == (
        exits.FAILED,
        "move ended: 1 changed, 1 refused of 2 (bulk b)\n",
    )
    assert json.loads(stub.asked[1].body) == {
        "action": "move",
        "filter": {"gate": "g"},
        "set": "token",
        "rate": 5,
        "to": "h",
        "reason": "why",
    }


def test_a_task_that_cannot_be_changed_does_not_hold_the_others_back(cli: Cli) -> None:
    replies = [Reply(200, {"answer": "cancelled", "task": TASK}), problem(404)]
    with answering(*replies) as stub:
        ran = cli("task cancel t1 t2 --yes --reason why", stub)

    assert (ran.code, ran.out) == (exits.FAILED, "t1\n")
    assert ran.err == "t2: what is wrong\n1 of 2 tasks changed by cancel\n"
    assert json.loads(stub.asked[0].body) == {"reason": "why"}


def test_a_gate_that_is_not_there_is_created(cli: Cli) -> None:
    with answering(problem(404), Reply(201, GATE)) as stub:
        assert cli("gate set g --rate 10 -c 3", stub).code == 0

    assert [asked.method for asked in stub.asked] == ["PATCH", "PUT"]
    assert json.loads(stub.asked[1].body) == {"limits": {"rate": 10.0, "concurrency": 3}}


def test_a_purge_counts_before_it_asks(cli: Cli) -> None:
    counted = Reply(200, {"matched": 3, "cancelled": 0, "dry_run": True, "sample": ["t1"]})
    with answering(counted) as stub:
        ran = cli("gate purge g", stub)

        assert ran.code == exits.USAGE
        assert ran.err.startswith("error: cancel 3 tasks of g? cannot be asked here")
        assert [json.loads(asked.body) for asked in stub.asked] == [{"dry_run": True}]


def test_names_for_a_shell_come_behind_a_mark(cli: Cli) -> None:
    page = {"items": [{"gate": "abc"}, {"gate": "xyz"}], "next_page_token": None}
    with answering(Reply(200, page)) as stub:
        cli.environ.setenv("TASKMASTER_URL", stub.url)

        assert cli("__complete gate show a") == Ran(0, "\n\x1fbegin\nabc\n", "")


def test_a_shell_hears_nothing_when_something_is_wrong(cli: Cli) -> None:
    cli.environ.setenv("TASKMASTER_URL", "http://127.0.0.1:1")
    assert cli("__complete gate show a") == Ran(0, "\n\x1fbegin\n", "")
    cli.environ.setenv("TASKMASTER_URL", "nonsense")
    assert cli("__complete gate show a") == Ran(0, "\n\x1fbegin\n", "")
    with answering(Reply(401, b"<html>")) as stub:
        cli.environ.setenv("TASKMASTER_URL", stub.url)
        assert cli("__complete gate show a") == Ran(0, "\n\x1fbegin\n", "")
