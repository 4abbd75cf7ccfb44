"""The node over REST: health, metrics, tree, events, documents, keys and guards."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from taskmaster.api.keys import create_key, revoke_key
from taskmaster.api.problems import ProblemError
from taskmaster.events.types import SECOND, Mono, Position, Wall
from tests.integration.api_server import Server

URL = "http://localhost:9/hook"


async def test_health_and_version_are_told(server: Server) -> None:
    assert await server.call("GET", "/healthz") == (200, {"status": "ok", "why": ""})
    assert await server.call("GET", "/readyz") == (200, {"status": "ok", "why": ""})
    _, version = await server.call("GET", "/version")
    assert (version["version"], version["store"]) == ("test", ":memory:")


async def test_a_node_that_stops_is_alive_and_not_ready(server: Server) -> None:
    server.local.node.ports.is_stopping = True

    assert (await server.call("GET", "/healthz"))[0] == 200
    assert await server.call("GET", "/readyz") == (
        503,
        {"status": "unavailable", "why": "the server is stopping"},
    )


async def test_the_document_is_valid_openapi_and_every_route_is_in_it(server: Server) -> None:
    _, document = await server.call("GET", "/openapi.json")

    validate(document)
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    for path in ("/v1/tasks", "/v1/tasks:batchCreate", "/v1/gates/{gate}:pause", "/v1/events"):
        assert path in paths
    task = document["components"]["schemas"]["TaskIn"]
    assert task["additionalProperties"] is False
    assert task["required"] == ["url"]
    names = [one["operationId"] for by in paths.values() for one in by.values()]
    assert len(names) == len(set(names))


async def test_the_docs_page_needs_nothing_from_elsewhere(server: Server) -> None:
    page = await server.client.get("/docs")
    problems = await server.client.get("/docs/problems")
    style = await server.client.get("/docs/style.css")

    assert page.status_code == problems.status_code == style.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for text in (page.text, problems.text):
        assert "<script" not in text
        assert "style=" not in text
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
    assert 'id="submit_task"' in page.text
    assert 'id="invalid_field"' in problems.text


async def test_what_is_not_there_is_a_problem_too(server: Server) -> None:
    nothing = await server.call("GET", "/v2/tasks")
    response = await server.client.delete("/v1/gates/g")

    assert nothing[0] == 404
    assert nothing[1]["type"] == "/docs/problems#not_found"
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, PATCH, PUT"
    assert response.json()["request_id"]


async def test_the_tree_shows_every_place(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    await server.call("POST", "/v1/gates/g:pause")

    _, tree = await server.call("GET", "/v1/tree")

    paths = [item["path"] for item in tree["items"]]
    assert paths == sorted(paths)
    assert {"node/journal", "node/gates", "gates/g/gate", "gates/g/tasks"} <= set(paths)
    assert {item["state"] for item in tree["items"]} == {"running"}
    assert set(tree["items"][0]) == {
        *("path", "kind", "state", "since", "until", "incarnation", "last_error", "inbox"),
        *("restarts", "restarts_in_period", "handled", "rate"),
    }


# --- metrics ----------------------------------------------------------------------------------


async def test_metrics_show_gates_and_what_holds_them(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {"limits": {"rate": 100}})
    await server.call("POST", "/v1/gates/g:pause")
    for delay in (0, 0, "1h"):
        await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g", "delay": delay})

    response = await server.client.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain")
    for line in (
        'taskmaster_build_info{version="test"} 1.0',
        'taskmaster_tasks_submitted_total{gate="g"} 3.0',
        'taskmaster_gate_waiting{cause="paused",gate="g"} 2.0',
        'taskmaster_gate_waiting{cause="not_due",gate="g"} 1.0',
        'taskmaster_gate_state{gate="g",state="paused"} 1.0',
        'taskmaster_gate_state{gate="g",state="open"} 0.0',
        'taskmaster_gate_tokens{gate="g"} 2.0',
        "taskmaster_store_away 0.0",
    ):
        assert line in response.text.splitlines()
    age = re.search(r'taskmaster_gate_oldest_eligible_age_seconds\{gate="g"\} (.+)', response.text)
    assert age is not None
    assert float(age[1]) > 0


async def test_metrics_are_reckoned_once_in_five_seconds(server: Server) -> None:
    first = await server.client.get("/metrics")
    await server.call("PUT", "/v1/gates/g", {})

    again = await server.client.get("/metrics")

    assert again.text == first.text


# --- events -----------------------------------------------------------------------------------


async def test_the_log_is_read_by_position_and_by_stream(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    _, task = await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g", "delay": 60})
    await server.call("POST", f"/v1/tasks/{task['id']}:cancel")

    _, first = await server.call("GET", "/v1/events?limit=2")
    _, rest = await server.call("GET", f"/v1/events?page_token={first['next_page_token']}")
    _, after = await server.call("GET", "/v1/events?after=2")
    _, of_task = await server.call("GET", f"/v1/events?stream=task-{task['id']}")
    _, of_gates = await server.call("GET", "/v1/events?stream=gate-")

    assert [item["type"] for item in first["items"]] == ["NodeStarted", "GateOpened"]
    assert [item["type"] for item in rest["items"]] == ["TaskSubmitted", "TaskCancelled"]
    assert rest["next_page_token"] is None
    assert after["items"] == rest["items"] == of_task["items"]
    assert [item["stream"] for item in of_gates["items"]] == ["gate-g"]
    assert [item["position"] for item in after["items"]] == [3, 4]


class Stream:
    """An SSE call of the application, message by message."""

    def __init__(self, server: Server, path: str, headers: dict[str, str] | None = None) -> None:
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self._left = asyncio.Event()
        named = {"host": "localhost", **(headers or {})}
        raw, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": raw,
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in named.items()],
        }
        self._task = asyncio.ensure_future(server.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message.get("body"):
            self._sent.put_nowait(message["body"])

    async def next(self) -> dict[str, str]:
        """The next message's fields."""
        async with asyncio.timeout(5):
            text = (await self._sent.get()).decode()
        lines = (line.partition(": ") for line in text.splitlines() if ": " in line)
        return {name: value for name, _, value in lines}

    async def leave(self) -> None:
        self._left.set()
        async with asyncio.timeout(5):
            await self._task


async def test_events_are_streamed_as_they_come_and_resumed_by_id(server: Server) -> None:
    stream = Stream(server, "/v1/events:stream?after=0")
    started = await stream.next()
    await server.call("PUT", "/v1/gates/g", {})
    opened = await stream.next()
    await stream.leave()
    await server.call("POST", "/v1/gates/g:pause")

    resumed = Stream(server, "/v1/events:stream", {"Last-Event-ID": opened["id"]})
    paused = await resumed.next()
    await resumed.leave()

    assert (started["event"], started["id"]) == ("NodeStarted", "1")
    assert (opened["event"], opened["id"]) == ("GateOpened", "2")
    assert json.loads(opened["data"])["stream"] == "gate-g"
    assert (paused["event"], paused["id"]) == ("GatePaused", "3")


async def test_a_stream_begins_at_the_end_and_may_be_of_one_kind(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    stream = Stream(server, "/v1/events:stream?stream=gate-")
    await asyncio.sleep(0.05)
    await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g", "delay": 60})
    await server.call("POST", "/v1/gates/g:pause")

    first = await stream.next()
    await stream.leave()

    assert first["event"] == "GatePaused"


async def test_a_stream_ends_when_the_node_stops(server: Server) -> None:
    stream = Stream(server, "/v1/events:stream?after=0")
    await stream.next()

    server.local.node.ports.is_stopping = True

    async with asyncio.timeout(5):
        await stream._task  # pyright: ignore[reportPrivateUsage]  # the call itself


async def test_what_is_committed_is_told_and_never_asked_for(server: Server) -> None:
    follow = server.app.api.follow

    await server.call("PUT", "/v1/gates/g", {})
    assert await follow.after(Position(await server.position() - 1), SECOND)

    assert follow.position == await server.position()


# --- who may call -----------------------------------------------------------------------------


@pytest.fixture
async def locked(start: Callable[..., Any], tmp_path: Path) -> tuple[Server, str]:
    """A server with one key."""
    key = create_key(tmp_path / "keys", name="ci", random=b"k" * 32, now=Wall(0))
    return await start(), key


async def test_with_a_key_everything_but_health_needs_one(locked: tuple[Server, str]) -> None:
    server, key = locked
    auth = {"Authorization": f"Bearer {key}"}

    for path in ("/v1/tasks", "/metrics", "/version", "/docs", "/openapi.json", "/v1/events"):
        refused = await server.client.get(path)
        allowed = await server.client.get(path, headers=auth)
        assert (refused.status_code, allowed.status_code) == (401, 200)
        assert refused.headers["www-authenticate"].startswith("Bearer")
    assert (await server.client.get("/healthz")).status_code == 200
    assert (await server.client.get("/readyz")).status_code == 200
    for wrong in (
        "",
        "Bearer",
        f"Basic {key}",
        f"Bearer {key}x",
        f"Bearer {key[3:]}",
        "Bearer tm_",
    ):
        response = await server.client.get("/v1/tasks", headers={"Authorization": wrong})
        assert response.status_code == 401


async def test_the_author_of_a_command_is_the_key(locked: tuple[Server, str]) -> None:
    server, key = locked
    auth = {"Authorization": f"Bearer {key}"}

    _, task = await server.call("POST", "/v1/tasks", {"url": URL, "delay": 60}, headers=auth)
    _, history = await server.call("GET", f"/v1/tasks/{task['id']}/history", headers=auth)

    assert history["items"][0]["cause"]["author"] == "ci"


async def test_a_revoked_key_is_refused_and_the_server_stays_locked(
    locked: tuple[Server, str], tmp_path: Path
) -> None:
    server, key = locked
    headers = {b"authorization": f"Bearer {key}".encode(), b"host": b"localhost"}
    later = Mono(server.app.api.mono() + 10 * SECOND)
    guard = server.app.guard

    before = guard.author("/v1/tasks", headers, now=Wall(0), mono=later)
    revoke_key(tmp_path / "keys", "ci")
    for given in (headers, {b"host": b"localhost"}):
        with pytest.raises(ProblemError) as raised:
            guard.author("/v1/tasks", given, now=Wall(0), mono=Mono(later + 2 * SECOND))
        assert raised.value.problem.status == 401
    assert before == "ci"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST:8123"}, 200),
        ({"Host": "127.0.0.1:1"}, 200),
        ({"Host": "[::1]:8123"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
    ],
)
async def test_an_open_server_answers_to_this_machine_alone(
    server: Server, headers: dict[str, str], status: int
) -> None:
    response = await server.client.get("/v1/tasks", headers=headers)

    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers
