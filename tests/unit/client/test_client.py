"""Both clients against a server of few words: the same calls, the same answers."""

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol, cast

import pytest

import taskmaster.client
from taskmaster.client import (
    AsyncClient,
    Client,
    GateSettings,
    Limits,
    Submission,
    Submitted,
    TaskFilter,
    UnauthorizedError,
    UnreachableError,
    UnreadableAnswerError,
    problem_of,
)
from taskmaster.errors import (
    ConflictError,
    GateClosedError,
    InvalidFieldError,
    NotFoundError,
    OverloadedError,
    TaskMasterError,
    TooLargeError,
    UnavailableError,
)
from tests.unit.client.stub import DROP, Reply, answering

TASK = {"id": "t1", "gate": "g", "state": "waiting", "due_at": "2026-11-24T09:00:00.5Z"}


class Ask(Protocol):
    """Asks one client of a kind; what comes back page by page is a list."""

    def __call__(
        self, url: str | None, what: Callable[[Client], Any], *, patience_s: float = 10.0
    ) -> Any: ...


def ask_sync(url: str | None, what: Callable[[Any], Any], *, patience_s: float = 10.0) -> Any:
    with Client(url, patience_s=patience_s) as client:
        result = what(client)
        return list(cast(Iterator[Any], result)) if isinstance(result, Iterator) else result


def ask_async(url: str | None, what: Callable[[Any], Any], *, patience_s: float = 10.0) -> Any:
    async def ask() -> Any:
        async with AsyncClient(url, patience_s=patience_s) as client:
            result = what(client)
            if isinstance(result, AsyncIterator):
                return [one async for one in cast(AsyncIterator[Any], result)]
            return await cast(Awaitable[Any], result)

    return asyncio.run(ask())


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param


def problem(status: int, code: str = "", pointer: str = "", remedy: str = "") -> Reply:
    document = {
        "type": f"/docs/problems#{code}",
        "title": "a title",
        "status": status,
        "detail": "what is wrong",
        "errors": [{"pointer": pointer, "message": "what is wrong", "remedy": remedy}],
    }
    return Reply(status, document, (("content-type", "application/problem+json"),))


def test_the_clients_have_the_same_methods_with_the_same_words() -> None:
    def methods(kind: type) -> dict[str, tuple[list[str], str | None]]:
        return {
            name.replace("__a", "__"): (list(inspect.signature(method).parameters), method.__doc__)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if name == "__init__" or not name.startswith("__")
        }

    assert methods(Client) == methods(AsyncClient)


def test_the_public_names_are_these() -> None:
    names = (
        "FINAL_STATES Actor ActorIncident Adaptive Answer AsyncClient Batch BatchItem Bulk"
        " BulkMember BulkSet Call"
        " Cancelled Client Entry Gate GateForecast GateHistory GateSettings GateWhy"
        " Limits Maintenance Outage Page Problem Purged"
        " Rate Recovery RecoveryStep RetryRules Run Runs Schedule Series SeriesChange"
        " SeriesRules ServerVersion Submission Submitted Task TaskFilter UnauthorizedError Unit"
        " UnreachableError UnreadableAnswerError Why problem_of"
    )

    assert " ".join(taskmaster.client.__all__) == names


def test_a_submission_goes_out_without_the_fields_that_were_not_set(ask: Ask) -> None:
    with answering(Reply(201, TASK)) as stub:
        submitted = ask(
            stub.url, lambda c: c.submit(Submission("http://x/", body="é", priority=0), key="k")
        )

    assert isinstance(submitted, Submitted)
    assert (submitted.task.id, submitted.replayed) == ("t1", False)
    assert submitted.task.due_at is not None
    assert submitted.task.due_at.isoformat() == "2026-11-24T09:00:00.500000+00:00"
    [asked] = stub.asked
    assert (asked.method, asked.path) == ("POST", "/v1/tasks")
    assert asked.body == '{"url":"http://x/","body":"é","priority":0}'.encode()
    assert asked.headers["idempotency-key"] == "k"
    assert "authorization" not in asked.headers


def test_the_key_of_the_submission_itself_goes_first(ask: Ask) -> None:
    replay = Reply(200, TASK, (("Idempotent-Replayed", "true"),))
    with answering(replay) as stub:
        submitted = ask(stub.url, lambda c: c.submit({"url": "http://x/", "key": "mine"}))

    assert submitted.replayed
    assert "idempotency-key" not in stub.asked[0].headers


def test_a_token_from_the_environment_is_sent(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMASTER_TOKEN", "tm_abc")
    with answering(Reply(200, {"version": "1"})) as stub:
        monkeypatch.setenv("TASKMASTER_URL", f"{stub.url}/")
        ask(None, lambda c: c.version())

    assert stub.asked[0].headers["authorization"] == "Bearer tm_abc"
    assert stub.asked[0].path == "/version"


@pytest.mark.parametrize("first", [Reply(503, {}), DROP], ids=["503", "lost answer"])
def test_a_submission_is_repeated_with_the_same_key(ask: Ask, first: Reply) -> None:
    with answering(first, Reply(201, TASK)) as stub:
        ask(stub.url, lambda c: c.submit(Submission("http://x/")))

    keys = [asked.headers["idempotency-key"] for asked in stub.asked]
    assert len(keys) == 2
    assert keys[0] == keys[1] != ""


@pytest.mark.parametrize("first", [Reply(503, {}), DROP], ids=["503", "lost answer"])
def test_what_may_have_been_done_is_not_done_twice(ask: Ask, first: Reply) -> None:
    with answering(first, Reply(200, TASK)) as stub:
        with pytest.raises(UnavailableError):
            ask(stub.url, lambda c: c.redrive("t1"))

        assert len(stub.asked) == 1


def test_a_closed_gate_is_not_waited_for(ask: Ask) -> None:
    with answering(problem(503, "closed"), Reply(201, TASK)) as stub:
        with pytest.raises(GateClosedError):
            ask(stub.url, lambda c: c.submit(Submission("http://x/")))

        assert len(stub.asked) == 1


def test_no_longer_wait_than_patience_allows(ask: Ask) -> None:
    busy = problem(503, "unavailable")._replace(headers=(("Retry-After", "7"),))
    with answering(busy) as stub:
        with pytest.raises(UnavailableError) as caught:
            ask(stub.url, lambda c: c.gate("g"), patience_s=6.0)

        assert caught.value.retry_after_ns == 7_000_000_000
        assert len(stub.asked) == 1


def test_nobody_there_is_an_error_with_a_remedy(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(UnreachableError, match="set TASKMASTER_URL"):
        ask(url, lambda c: c.task("t1"), patience_s=0.0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (403, UnauthorizedError),
        (404, NotFoundError),
        (409, ConflictError),
        (412, ConflictError),
        (413, TooLargeError),
        (422, InvalidFieldError),
        (429, OverloadedError),
    ],
)
def test_a_refusal_becomes_the_error_of_its_kind(
    ask: Ask, status: int, kind: type[TaskMasterError]
) -> None:
    reply = problem(status, "code", "/limits/rate", "give more")
    with answering(reply) as stub, pytest.raises(kind) as caught:
        ask(stub.url, lambda c: c.set_gate("g", GateSettings(limits=Limits(rate=-3))))

    assert type(caught.value) is kind
    assert str(caught.value) == "what is wrong; give more"
    assert caught.value.field == "limits.rate"
    assert problem_of(caught.value) is not None


def test_an_error_without_a_document_says_its_status(ask: Ask) -> None:
    with answering(Reply(500, b"<html>")) as stub, pytest.raises(TaskMasterError) as caught:
        ask(stub.url, lambda c: c.tree())

    assert caught.value.message == "answered 500 without a reason"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]"])
def test_an_answer_of_something_else_is_named_so(ask: Ask, body: bytes) -> None:
    with answering(Reply(200, body)) as stub, pytest.raises(UnreadableAnswerError):
        ask(stub.url, lambda c: c.task("t1"))


@pytest.mark.parametrize("url", ["127.0.0.1:8123", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_cannot_be_used_is_refused(ask: Ask, url: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        ask(url, lambda c: c.version())

    assert caught.value.field == "url"


def test_a_list_is_read_page_by_page(ask: Ask) -> None:
    pages = [
        Reply(200, {"items": [TASK], "next_page_token": "p 2"}),
        Reply(200, {"items": [{**TASK, "id": "t2"}], "next_page_token": None}),
    ]
    with answering(*pages) as stub:
        tasks = ask(
            stub.url,
            lambda c: c.tasks(TaskFilter(gate="g", states=("dead", "expired"), labels={"a": "b"})),
        )

    assert [task.id for task in tasks] == ["t1", "t2"]
    assert [asked.path for asked in stub.asked] == [
        "/v1/tasks?gate=g&state=dead&state=expired&label=a%3Ab",
        "/v1/tasks?gate=g&state=dead&state=expired&label=a%3Ab&page_token=p+2",
    ]


def test_names_are_quoted_in_paths(ask: Ask) -> None:
    with answering(Reply(200, {"gate": "a/b", "state": "open"})) as stub:
        ask(stub.url, lambda c: c.pause_gate("a/b", reason="r"))

    assert stub.asked[0].path == "/v1/gates/a%2Fb:pause"
    assert stub.asked[0].body == b'{"reason":"r"}'


def test_an_edit_may_empty_a_body(ask: Ask) -> None:
    """What is left out stays; what is given is sent, however short."""
    with answering(Reply(body=TASK)) as stub:
        ask(stub.url, lambda client: client.edit_task("t1", {"body": ""}, reason="r"))

    assert stub.asked[0].body == b'{"body":"","reason":"r"}'


def test_a_downtime_is_announced_listed_and_taken_back(ask: Ask) -> None:
    start, until = "2026-12-01T02:00:00Z", "2026-12-01T03:00:00Z"
    window = {"number": 1, "state": "planned", "from": start, "until": until, "drain": "5m"}
    gate = Reply(200, {"gate": "g", "state": "open"})
    with answering(gate, Reply(200, {"items": [window], "next_page_token": None}), gate) as stub:
        ask(stub.url, lambda c: c.plan_maintenance("g", start, until, drain="5m", reason="disks"))
        page = ask(stub.url, lambda c: c.maintenance("g"))
        ask(stub.url, lambda c: c.cancel_maintenance("g", 1))

    assert [(one.number, one.start_at.hour, one.drain) for one in page.items] == [(1, 2, "5m")]
    assert [(asked.method, asked.path) for asked in stub.asked] == [
        ("POST", "/v1/gates/g/maintenance"),
        ("GET", "/v1/gates/g/maintenance"),
        ("POST", "/v1/gates/g/maintenance/1:cancel"),
    ]
    told = f'{{"from":"{start}","until":"{until}","drain":"5m","reason":"disks"}}'
    assert stub.asked[0].body == told.encode()


def test_a_downtime_whose_answer_is_lost_is_not_announced_twice(ask: Ask) -> None:
    with answering(DROP) as stub:
        with pytest.raises(UnreachableError):
            ask(stub.url, lambda c: c.plan_maintenance("g", "a", "b"))

        assert len(stub.asked) == 1


def test_a_change_under_a_version_says_so_and_is_not_repeated(ask: Ask) -> None:
    with answering(DROP) as stub:
        with pytest.raises(UnreachableError):
            ask(stub.url, lambda c: c.change_gate("g", {"max_backlog": 1}, version=7))

        [asked] = stub.asked
    assert (asked.method, asked.headers["if-match"]) == ("PATCH", '"7"')


def test_a_stream_of_submissions_goes_out_in_pieces_and_keeps_its_order(ask: Ask) -> None:
    def reply(count: int) -> Reply:
        line = b'{"index":%d,"status":201,"id":"t","gate":"g"}\n'
        return Reply(200, b"".join(line % index for index in range(count)))

    with answering(reply(1_000), reply(1)) as stub:
        items = ask(stub.url, lambda c: c.submit_stream({"url": "http://x/"} for _ in range(1_001)))

    assert [item.index for item in items] == list(range(1_001))
    assert [asked.headers["content-type"] for asked in stub.asked] == ["application/x-ndjson"] * 2
    assert [asked.body.count(b"\n") for asked in stub.asked] == [1_000, 1]


def test_none_in_a_stream_sends_what_has_gathered(ask: Ask) -> None:
    line = Reply(200, b'{"index":0,"status":201}\n')
    with answering(line) as stub:
        items = ask(stub.url, lambda c: c.submit_stream([None, b"{}", None, None, b"{}"]))

    assert [item.index for item in items] == [0, 1]
    assert len(stub.asked) == 2


def test_a_batch_is_repeatable_because_each_submission_has_a_key(ask: Ask) -> None:
    batch = Reply(200, {"items": [{"index": 0, "status": 201}], "created": 1})
    with answering(DROP, batch) as stub:
        assert ask(stub.url, lambda c: c.submit_batch([Submission("http://x/")])).created == 1

    assert stub.asked[0].body == stub.asked[1].body
    assert b'"key":' in stub.asked[0].body


def test_history_keeps_what_only_one_type_of_event_has(ask: Ask) -> None:
    event = {
        "position": 3,
        "version": 2,
        "type": "AttemptStarted",
        "at": "2026-11-24T09:00:00Z",
        "cause": {"command": "rule"},
        "attempt": 1,
    }
    with answering(Reply(200, {"items": [event], "next_page_token": None})) as stub:
        [entry] = ask(stub.url, lambda c: c.history("t1"))

    assert (entry.type, entry.fields) == ("AttemptStarted", {"attempt": 1})


def test_following_takes_up_again_behind_the_last_event(ask: Ask) -> None:
    def events(*positions: int) -> Reply:
        event = (
            'id: {0}\nevent: e\ndata: {{"position":{0},"version":1,"type":"T",'
            '"at":"2026-11-24T09:00:00Z"}}\n\n: ping\n\n'
        )
        text = "".join(event.format(position) for position in positions)
        return Reply(200, text.encode(), (("content-type", "text/event-stream"),))

    refusal = problem(401)
    with answering(events(1, 2), DROP, events(3), refusal) as stub:
        seen: list[int] = []

        def keep(client: Any) -> Any:
            return _keep_async(client, seen) if ask is ask_async else _keep(client, seen)

        with pytest.raises(UnauthorizedError):
            ask(stub.url, keep)

    assert seen == [1, 2, 3]
    paths = [asked.path for asked in stub.asked]
    assert paths == [f"/v1/events:stream?after={after}" for after in (0, 2, 2, 3)]


def _keep(client: Client, seen: list[int]) -> None:
    seen.extend(entry.position for entry in client.follow(after=0))


async def _keep_async(client: AsyncClient, seen: list[int]) -> None:
    async for entry in client.follow(after=0):
        seen.append(entry.position)  # noqa: PERF401 what came before the error is kept


def test_waiting_ends_when_the_task_does(ask: Ask) -> None:
    done = {**TASK, "state": "succeeded"}
    with answering(Reply(200, TASK), Reply(200, done)) as stub:
        assert ask(stub.url, lambda c: c.wait("t1", timeout_s=10)).state == "succeeded"


def test_waiting_ends_when_its_time_is_over(ask: Ask) -> None:
    with answering(Reply(200, TASK)) as stub, pytest.raises(TimeoutError, match="t1 is waiting"):
        ask(stub.url, lambda c: c.wait("t1", timeout_s=0.1))
