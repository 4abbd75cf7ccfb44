"""The command line against a real server, over a socket."""

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from taskmaster.cli import exits
from tests.integration.server_process import COMMAND, ServerProcess, environment
from tests.unit.client.stub import Reply, Stub, answering

pytestmark = pytest.mark.slow


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Cli:
    """Runs commands as processes against one server."""

    def __init__(self, url: str, **variables: str) -> None:
        self._environment = environment(TASKMASTER_URL=url, **variables)

    def __call__(self, line: str, stdin: str = "") -> Ran:
        done = subprocess.run(
            [*COMMAND, *shlex.split(line)],
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, line: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*COMMAND, *shlex.split(line)],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("cli") / "log.db") as running:
        yield running


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Stub]:
    with answering(Reply(200, {})) as stub:
        yield stub


@pytest.fixture
def cli(server: ServerProcess) -> Cli:
    return Cli(server.url)


def test_a_task_goes_its_way_and_leaves_its_history(cli: Cli, endpoint: Stub) -> None:
    assert cli("gate set way --rate 100 --reason begin").code == 0
    submitted = cli(f"task submit {endpoint.url}/way --gate way --body hello --wait -o name")
    assert (submitted.code, submitted.err) == (0, "")
    task = submitted.out.strip()

    shown = json.loads(cli(f"task show {task} -o json").out)
    assert (shown["state"], shown["attempts"]) == ("succeeded", 1)
    history = cli(f"task history {task} -o name").out.split()
    assert history == ["TaskSubmitted", "AttemptStarted", "AttemptSucceeded"]
    assert cli(f"task why {task}").code == 0
    assert [asked.body for asked in endpoint.asked if asked.path == "/way"] == [b"hello"]


def test_many_tasks_come_from_lines_and_each_bad_one_is_named(cli: Cli, tmp_path: Path) -> None:
    assert cli("gate set lines --rate 1").code == 0
    assert cli("gate pause lines --until 1h").code == 0
    good = json.dumps({"url": "http://127.0.0.1:9/", "gate": "lines"})
    file = tmp_path / "tasks.ndjson"
    file.write_text("\n".join([good] * 1_500 + ["{bad", "", '{"url":1}', good]))

    ran = cli(f"task submit --file {file}")

    assert ran.code == exits.FAILED
    assert len(set(ran.out.split())) == 1_501
    said = ran.err.splitlines()
    assert [line.partition(":")[0] for line in said[:-1]] == ["line 1501", "line 1503"]
    assert said[-1] == "1501 stored, 0 stored before, 2 refused"
    assert json.loads(cli("gate show lines -o json").out)["backlog"] == 1_501

    assert cli("gate purge lines --dry-run").out.startswith("1501 tasks would be cancelled")
    assert cli("gate purge lines").code == exits.USAGE
    assert cli("gate purge lines --yes").out.startswith("1501 tasks cancelled")
    assert json.loads(cli("gate show lines -o json").out)["counts"]["cancelled"] == 1_501


def test_lines_come_from_stdin_too(cli: Cli) -> None:
    ran = cli("task submit -f - -o ndjson", '{"url":"http://127.0.0.1:9/","delay":"1h"}\n')

    assert ran.code == 0
    assert json.loads(ran.out)["status"] == 201


def test_a_key_brings_the_same_task_again(cli: Cli) -> None:
    line = "task submit http://127.0.0.1:9/ --delay 1h --key k1 -o name"
    first, again = cli(line), cli(line)

    assert first.out == again.out
    assert "the key was used before" in again.err
    other = cli("task submit http://127.0.0.1:9/other --delay 1h --key k1")
    assert other.code == exits.CONFLICT


def test_commands_of_tasks_answer_and_refuse(cli: Cli) -> None:
    task = cli("task submit http://127.0.0.1:9/ --delay 1h -o name").out.strip()

    assert cli(f"task reschedule {task} --delay 2h").code == 0
    cancelled = cli(f"task cancel {task} --reason enough")
    assert cancelled.out.startswith("cancelled\n")
    assert cli(f"task run {task}").code == exits.CONFLICT
    assert "enough" in cli(f"task history {task}").out
    assert cli("task show nothing").code == exits.NOT_FOUND
    assert cli("task submit nonsense").code == exits.USAGE


def test_gates_are_controlled(cli: Cli) -> None:
    assert cli("gate set control -r 10 -b 2 -c 3 --rates 1000/1h --ramp-steps off").code == 0
    for verb, state in [("pause", "paused"), ("resume", "open"), ("close", "closed")]:
        assert json.loads(cli(f"gate {verb} control -o json").out)["state"] == state
    assert cli("gate drain control").code == exits.CONFLICT
    assert cli("gate resume control").code == 0
    assert cli("gate drain control").code == 0
    shown = json.loads(cli("gate show control -o json").out)
    assert shown["limits"]["rates"] == [
        {"rate": 10.0, "per": "1s", "burst": 2},
        {"rate": 1000.0, "per": "1h", "burst": 1},
    ]
    assert cli("gate set control -c 4 --if-version 1").code == exits.CONFLICT
    assert cli(f"gate set control -c 4 --if-version {shown['version']}").code == 0
    assert cli("gate set control --rate -1").code == exits.USAGE
    assert cli("gate list --state paused,closed").code == 0
    assert cli("gate why control").out.startswith("gate      control")


def test_series_run_and_say_when(cli: Cli) -> None:
    create = (
        "series create nightly http://127.0.0.1:9/ --cron '0 3 * * *' --time-zone Europe/Berlin"
    )
    assert cli(create).code == 0
    assert cli(create).code == 0
    assert cli(create.replace("0 3", "0 4")).code == exits.CONFLICT
    assert len(cli("series next nightly 3 -o name").out.split()) == 3
    for verb, state in [("pause", "paused"), ("resume", "active"), ("end", "ended")]:
        assert json.loads(cli(f"series {verb} nightly -o json").out)["state"] == state
    assert "nightly" in cli("series list -o name").out
    preview = cli("series preview --every 15m --from 2026-11-24T09:00:00Z -n 2 -o json")
    assert [run["nominal_at"] for run in json.loads(preview.out)["items"]] == [
        "2026-11-24T09:15:00Z",
        "2026-11-24T09:30:00Z",
    ]


def test_the_log_is_the_same_from_the_server_and_from_its_file(
    cli: Cli, server: ServerProcess
) -> None:
    assert cli("gate set logged --rate 1").code == 0
    asked = cli("log show --stream gate-logged -o ndjson").out
    read = cli(f"log show --store {server.store} --stream gate-logged -o ndjson").out

    assert [json.loads(line) for line in asked.splitlines()] == [
        json.loads(line) for line in read.splitlines()
    ]
    assert json.loads(asked)["type"] == "GateOpened"
    assert "GateOpened" in cli("log show --type GateOpened --limit 1").out


@pytest.mark.parametrize("is_file", [False, True], ids=["server", "file"])
def test_the_log_is_followed_until_interrupted(
    cli: Cli, server: ServerProcess, is_file: bool
) -> None:
    where = f"--store {server.store}" if is_file else ""
    tail = cli.start(f"log tail --after 0 --stream gate-tailed-{is_file} -o name {where}")
    assert cli(f"gate set tailed-{is_file} --rate 1").code == 0
    assert tail.stdout is not None

    assert tail.stdout.readline() == "GateOpened\n"

    tail.send_signal(signal.SIGINT)
    assert tail.wait(30) == exits.INTERRUPTED
    assert tail.communicate()[1] == ""


def test_the_tree_shows_what_runs(cli: Cli) -> None:
    shown = cli("tree")

    assert (shown.code, shown.err) == (0, "")
    assert "running" in shown.out
    assert "node/journal" in cli("tree -o name").out.split()


def test_a_reader_that_has_read_enough_is_no_error(cli: Cli, server: ServerProcess) -> None:
    for _ in range(3):
        show = cli.start(f"log show --store {server.store} --limit 0 -o yaml")
        assert show.stdout is not None
        show.stdout.read(1)
        show.stdout.close()
        assert show.wait(30) == 0
        assert show.stderr is not None
        assert show.stderr.read() == ""
        show.stderr.close()


def test_watching_writes_what_has_changed(cli: Cli) -> None:
    assert cli("gate set watched --rate 1").code == 0
    watch = cli.start("gate show watched --watch --interval 100ms -o ndjson")
    assert watch.stdout is not None

    assert json.loads(watch.stdout.readline())["state"] == "open"
    assert cli("gate pause watched").code == 0
    assert json.loads(watch.stdout.readline())["state"] == "paused"

    watch.send_signal(signal.SIGINT)
    assert watch.wait(30) == exits.INTERRUPTED
    watch.communicate()


def test_doctor_is_content_with_a_server_that_runs(cli: Cli, server: ServerProcess) -> None:
    ran = cli(f"doctor --store {server.store} -o json")

    results = {item["check"]: item["result"] for item in json.loads(ran.out)["items"]}
    assert ran.code == 0
    assert (results["server"], results["store"], results["python"]) == ("ok", "ok", "ok")


def test_doctor_fails_where_a_server_would(cli: Cli, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    foreign.write_text("not a log")
    ran = cli(f"doctor --store {foreign} --url http://127.0.0.1:1 -o name")

    assert ran.code == exits.CHECK_FAILED
    assert "store" in ran.out.split()


def test_doctor_warns_of_a_burst_that_cannot_keep_its_rate(cli: Cli) -> None:
    assert cli("gate set short --rate 1000 --burst 1").code == 0

    assert "short" in cli("doctor").out


def test_a_second_server_on_the_log_is_refused_in_one_line(cli: Cli, server: ServerProcess) -> None:
    ran = cli(f"serve --store {server.store} --port 0")

    assert ran.code == exits.FAILED
    assert ran.err.count("\n") == 1
    assert "in use by process" in ran.err


def test_a_server_needs_keys_beyond_loopback_and_takes_no_others(tmp_path: Path) -> None:
    store = tmp_path / "keyed.db"
    nobody = Cli("http://127.0.0.1:1")
    refused = nobody(f"serve --store {store} --host 0.0.0.0 --port 0")
    assert refused.code != 0
    assert refused.err.startswith("error: ")
    created = nobody(f"key create me --store {store}")
    key = created.out.strip()
    assert key.startswith("tm_")
    assert key not in created.err
    assert nobody(f"key list --store {store} -o name").out == "me\n"

    with ServerProcess(store, host="0.0.0.0") as server:
        url = f"http://127.0.0.1:{server.port}"

        assert Cli(url)("gate list").code == exits.REFUSED
        assert Cli(url, TASKMASTER_TOKEN="tm_wrong")("gate list").code == exits.REFUSED
        mine = Cli(url, TASKMASTER_TOKEN=key)
        assert mine("gate set mine --rate 1").code == 0
        assert '"author":"me"' in mine("log show --stream gate-mine -o json").out
        assert key not in server.said().decode()


def test_a_server_stops_in_good_order(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "stop.db") as server:
        assert server.stop() == 0

    assert b"Traceback" not in server.said()


COMPLETED = """
PATH="$1:$PATH"; shift
. <(taskmaster completion print bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_taskmaster taskmaster "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ga", {"gate"}),
        ("gate sh", {"show"}),
        ("gate show complet", {"completed"}),
        ("gate pause x complet", {"completed"}),
        ("task list --gate complet", {"completed"}),
        ("task list --due-", {"--due-before", "--due-after"}),
        ("task list -o n", {"name", "ndjson"}),
    ],
)
def test_bash_completes_commands_flags_and_names(
    cli: Cli, server: ServerProcess, tmp_path: Path, words: str, expected: set[str]
) -> None:
    assert cli("gate set completed --rate 1").code == 0
    program = tmp_path / "taskmaster"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)

    done = subprocess.run(
        ["bash", "-c", COMPLETED, "bash", str(tmp_path), "taskmaster", *words.split()],
        env=environment(TASKMASTER_URL=server.url),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert set(done.stdout.split()) == expected
