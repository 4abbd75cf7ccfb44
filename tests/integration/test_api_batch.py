"""Many submissions in one call (semantics 2.6, 9): order, replay, back-pressure."""

import asyncio
import json
from typing import Any

import pytest

from tests.integration.api_server import Server

URL = "http://localhost:9/hook"
NDJSON = {"Content-Type": "application/x-ndjson"}


async def test_each_task_of_a_batch_is_answered_in_its_place(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g", "delay": 60, "key": "old"})

    _, out = await server.call(
        "POST",
        "/v1/tasks:batchCreate",
        [
            {"url": URL, "delay": "1h"},
            {"url": URL, "gate": "g", "delay": "1h"},
            {"url": URL, "gate": "nowhere"},
            {"url": URL, "gate": "g", "delay": 60, "key": "old"},
            {"url": URL, "gate": "g", "delay": 60, "key": "new"},
            {"url": URL, "gate": "g", "delay": 60, "key": "new"},
            {"url": URL, "gate": "g", "delay": 61, "key": "new"},
        ],
    )

    assert (out["created"], out["replayed"], out["refused"]) == (3, 2, 2)
    assert [item["status"] for item in out["items"]] == [201, 201, 422, 200, 201, 200, 409]
    assert [item["index"] for item in out["items"]] == list(range(7))
    assert out["items"][0]["gate"] == "http~localhost~9"
    assert out["items"][5] == {
        "index": 5,
        "status": 200,
        "id": out["items"][4]["id"],
        "replayed": True,
    }


async def test_an_empty_batch_is_answered(server: Server) -> None:
    assert await server.call("POST", "/v1/tasks:batchCreate", []) == (
        200,
        {"items": [], "created": 0, "replayed": 0, "refused": 0},
    )


@pytest.mark.slow
async def test_a_batch_of_10000_is_stored_whole(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    tasks = [
        {"url": URL, "gate": "g", "delay": "1h", "labels": {"n": str(n)}} for n in range(10_000)
    ]

    _, out = await server.call("POST", "/v1/tasks:batchCreate", tasks)
    _, gate = await server.call("GET", "/v1/gates/g")
    _, one = await server.call("GET", f"/v1/tasks/{out['items'][7_777]['id']}")

    assert out["created"] == 10_000
    assert gate["counts"]["scheduled"] == 10_000
    assert one["labels"] == {"n": "7777"}


@pytest.mark.slow
async def test_tasks_with_an_order_key_are_stored_in_their_order(server: Server) -> None:
    """Semantics 3.9: the order of `order_key` is that of submission."""
    tasks: list[dict[str, Any]] = [
        {"url": f"http://localhost:{9_000 + n % 7}/", "delay": "1h", "order_key": "one"}
        for n in range(1_000)
    ]

    _, out = await server.call("POST", "/v1/tasks:batchCreate", tasks)
    ids = [item["id"] for item in out["items"]]
    _, listed = await server.call("GET", "/v1/tasks?limit=1000")

    assert [item["id"] for item in listed["items"]] == ids[::-1]


async def test_lines_are_answered_while_they_come_in(server: Server) -> None:
    """A caller that sends one line and waits for its answer is not kept waiting for more."""
    await server.call("PUT", "/v1/gates/g", {})
    answers: list[dict[str, Any]] = []
    answered = asyncio.Event()
    sent: list[dict[str, Any]] = []
    app = server.app
    line = json.dumps({"url": URL, "gate": "g", "delay": "1h"}).encode() + b"\n"

    async def receive() -> dict[str, Any]:
        if len(sent) < 3:
            if sent:
                await answered.wait()
            answered.clear()
            sent.append({})
            return {"type": "http.request", "body": line, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        for text in message.get("body", b"").splitlines():
            answers.append(json.loads(text))
            answered.set()

    headers = [(b"host", b"localhost"), (b"content-type", b"application/x-ndjson")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/tasks:batchCreate",
        "query_string": b"",
        "headers": headers,
    }
    async with asyncio.timeout(10):
        await app(scope, receive, send)

    assert [answer["status"] for answer in answers] == [201, 201, 201]
    assert [answer["index"] for answer in answers] == [0, 1, 2]


@pytest.mark.slow
async def test_many_lines_are_answered_in_order(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    lines = b"\n".join(
        json.dumps({"url": URL, "gate": "g", "delay": "1h"} if n % 10 else {"url": 1}).encode()
        for n in range(3_000)
    )

    response = await server.client.post("/v1/tasks:batchCreate", content=lines, headers=NDJSON)

    items = [json.loads(line) for line in response.text.splitlines()]
    assert [item["index"] for item in items] == list(range(3_000))
    assert [item["status"] for item in items] == [201 if n % 10 else 422 for n in range(3_000)]


async def test_a_caller_who_leaves_in_the_middle_leaves_what_was_committed(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    line = json.dumps({"url": URL, "gate": "g", "delay": "1h"}).encode() + b"\n"
    messages = [
        {"type": "http.request", "body": line * 10, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return messages.pop(0)

    async def send(_message: Any) -> None:
        pass

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/tasks:batchCreate",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/x-ndjson")],
    }
    await server.app(scope, receive, send)
    _, gate = await server.call("GET", "/v1/gates/g")

    assert gate["counts"]["scheduled"] == 10
