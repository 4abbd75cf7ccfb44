"""Tasks over REST: submit, read, list, history, commands, waiting (semantics 2.6, 8.2, 8.3)."""

import asyncio
from typing import Any

import pytest

from tests.integration.api_server import Server

URL = "http://localhost:9/hook"


async def submitted(server: Server, **fields: Any) -> dict[str, Any]:
    status, task = await server.call("POST", "/v1/tasks", {"url": URL, **fields})
    assert status == 201
    return task


async def test_a_submitted_task_is_there_with_all_its_fields(server: Server) -> None:
    response = await server.client.post(
        "/v1/tasks",
        json={
            "url": URL,
            "method": "PUT",
            "headers": {"Content-Type": "text/plain", "Authorization": "Bearer s3cret"},
            "body": "hällo",
            "due_at": "2030-01-01T10:00:00.123456789+01:00",
            "timeout": "1m30s",
            "expires_at": "2030-01-02T00:00:00Z",
            "retry": {
                "max_attempts": 3,
                "min_backoff": 2,
                "max_backoff": "PT5M",
                "retry_on": [409],
            },
            "idempotent": False,
            "priority": 7,
            "fair_key": "tenant",
            "order_key": "account-1",
            "key": "k1",
            "labels": {"team": "billing"},
        },
    )

    task = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/tasks/{task['id']}"
    expected = {
        "gate": "http~localhost~9",
        "state": "scheduled",
        "attempts": 0,
        "due_at": "2030-01-01T09:00:00.123456Z",
        "next_at": "2030-01-01T09:00:00.123456Z",
        "url": URL,
        "method": "PUT",
        "headers": {"Content-Type": "text/plain", "Authorization": "***"},
        "body_bytes": 6,
        "timeout": "1m30s",
        "expires_at": "2030-01-02T00:00:00Z",
        "retry": {
            "max_attempts": 3,
            "min_backoff": "2s",
            "max_backoff": "5m",
            "max_elapsed": "24h",
            "jitter": "full",
            "retry_on": [409],
        },
        "idempotent": False,
        "priority": 7,
        "fair_key": "tenant",
        "order_key": "account-1",
        "key": "k1",
        "labels": {"team": "billing"},
        "series": None,
        "version": 1,
    }
    assert {name: task[name] for name in expected} == expected
    assert (await server.call("GET", f"/v1/tasks/{task['id']}")) == (200, task)


async def test_a_due_task_is_sent_and_a_caller_may_wait_for_its_end(server: Server) -> None:
    response = await server.client.post(
        "/v1/tasks",
        json={"url": URL, "body_base64": "AAEC"},
        headers={"Prefer": "respond-async, wait=10"},
    )

    assert response.status_code == 201
    assert response.json()["state"] == "succeeded"
    assert response.json()["attempts"] == 1
    assert response.json()["next_at"] is None
    assert [outbound.body for outbound in server.sender.sent] == [b"\x00\x01\x02"]


async def test_waiting_ends_after_its_time_with_the_task_as_it_is(server: Server) -> None:
    task = await submitted(server, delay="1h")

    async with asyncio.timeout(5):
        status, read = await server.call(
            "GET", f"/v1/tasks/{task['id']}", headers={"Prefer": "wait=1"}
        )

    assert (status, read["state"]) == (200, "scheduled")


async def test_the_same_key_gives_the_same_task_and_other_content_is_refused(
    server: Server,
) -> None:
    """Semantics 2.6."""
    first = await submitted(server, delay=3600, key="once")
    position = await server.position()

    again = await server.client.post(
        "/v1/tasks", json={"url": URL, "delay": 3600}, headers={"Idempotency-Key": "once"}
    )
    other = await server.client.post("/v1/tasks", json={"url": URL, "body": "x", "key": "once"})
    both = await server.client.post(
        "/v1/tasks", json={"url": URL, "key": "a"}, headers={"Idempotency-Key": "b"}
    )

    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (409, "/key")
    assert (both.status_code, both.json()["errors"][0]["pointer"]) == (422, "/key")
    assert await server.position() == position


async def test_a_list_is_filtered_and_paged_newest_first(server: Server) -> None:
    ids = [
        (await submitted(server, delay="1h", labels={"n": str(n), "team": "a"}))["id"]
        for n in range(5)
    ]
    await submitted(server, delay="2h", labels={"team": "b"})

    _, first = await server.call("GET", "/v1/tasks?label=team:a&limit=2")
    _, second = await server.call(
        "GET", f"/v1/tasks?label=team:a&limit=2&page_token={first['next_page_token']}"
    )
    _, third = await server.call(
        "GET", f"/v1/tasks?label=team:a&limit=2&page_token={second['next_page_token']}"
    )

    pages = [[item["id"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert third["next_page_token"] is None
    assert first["items"][0]["labels"] == {"n": "4", "team": "a"}
    assert first["items"][0]["method"] == "POST"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=scheduled", {"later"}),
        ("state=waiting", {"due"}),
        ("state=scheduled,cancelled", {"later", "gone"}),
        ("state=waiting&state=cancelled", {"due", "gone"}),
        ("state=scheduled,waiting", {"later", "due"}),
        ("state=dead", set[str]()),
        ("key=k", {"later"}),
        ("gate=held", {"later", "due", "gone"}),
        ("gate=nowhere", set[str]()),
        ("due_after=2029-01-01T00:00:00Z", {"later"}),
        ("due_before=2029-01-01T00:00:00Z", {"due", "gone"}),
        ("label=n:due&gate=held", {"due"}),
        ("limit=1&state=waiting,dead", {"due"}),
    ],
)
async def test_a_filter_shows_what_matches_and_nothing_else(
    server: Server, query: str, found: set[str]
) -> None:
    await server.call("PUT", "/v1/gates/held", {})
    await server.call("POST", "/v1/gates/held:pause")
    due_at = {"later": "2030-01-01T00:00:00Z", "due": "2020-01-01T00:00:00Z"}
    for name in ("later", "due", "gone"):
        task = await submitted(
            server,
            gate="held",
            due_at=due_at.get(name, "2020-01-01T00:00:00Z"),
            labels={"n": name},
            key="k" if name == "later" else "",
        )
        if name == "gone":
            await server.call("POST", f"/v1/tasks/{task['id']}:cancel")

    status, page = await server.call("GET", f"/v1/tasks?{query}")

    assert status == 200
    assert {item["labels"]["n"] for item in page["items"]} == found


async def test_a_page_token_of_another_filter_or_changed_is_refused(server: Server) -> None:
    for _ in range(2):
        await submitted(server, delay="1h")
    _, page = await server.call("GET", "/v1/tasks?limit=1")
    token = page["next_page_token"]

    other = await server.call("GET", f"/v1/tasks?limit=1&state=dead&page_token={token}")
    changed = await server.call("GET", f"/v1/tasks?limit=1&page_token=A{token[1:-1]}B")
    foreign = await server.call("GET", "/v1/tasks?page_token=%C3%A4")

    for status, document in (other, changed, foreign):
        assert status == 400
        assert document["type"] == "/docs/problems#stale_page_token"
        assert document["errors"][0]["remedy"] == "begin again without page_token"


async def test_a_history_tells_everything_in_outside_units(server: Server) -> None:
    task = await submitted(server, headers={"X-Api-Key": "s3cret"}, timeout=5)
    await server.call("GET", f"/v1/tasks/{task['id']}", headers={"Prefer": "wait=10"})

    status, page = await server.call("GET", f"/v1/tasks/{task['id']}/history")

    assert status == 200
    assert [item["type"] for item in page["items"]] == [
        "TaskSubmitted",
        "AttemptStarted",
        "AttemptSucceeded",
    ]
    first, started, succeeded = page["items"]
    assert first["cause"] == {"command": "SubmitTask", "author": "anonymous", "reason": ""}
    assert first["timeout"] == "5s"
    assert first["request"]["headers"] == {"X-Api-Key": "***"}
    assert started["attempt"] == 1
    assert (succeeded["response"], succeeded["duration"]) == ("done", "1ms")
    assert [item["version"] for item in page["items"]] == [1, 2, 3]
    assert "s3cret" not in str(page)


async def test_a_history_is_paged(server: Server) -> None:
    task = await submitted(server, delay="1h")
    await server.call("POST", f"/v1/tasks/{task['id']}:reschedule", {"delay": "2h"})

    _, first = await server.call("GET", f"/v1/tasks/{task['id']}/history?limit=1")
    _, second = await server.call(
        "GET", f"/v1/tasks/{task['id']}/history?limit=1&page_token={first['next_page_token']}"
    )

    assert [item["type"] for item in first["items"]] == ["TaskSubmitted"]
    assert [item["type"] for item in second["items"]] == ["TaskRescheduled"]
    assert second["next_page_token"] is None


async def test_commands_change_a_task_and_say_by_whom_and_why(server: Server) -> None:
    """Semantics 8.3 and 8.4."""
    task = await submitted(server, delay="1h")
    path = f"/v1/tasks/{task['id']}"

    moved = await server.call(
        "POST", f"{path}:reschedule", {"due_at": "2030-05-05T00:00:00Z", "reason": "holiday"}
    )
    cancelled = await server.call("POST", f"{path}:cancel", {"reason": "not needed"})
    again = await server.call("POST", f"{path}:cancel")
    run = await server.call("POST", f"{path}:run")
    _, history = await server.call("GET", f"{path}/history")

    assert (moved[0], moved[1]["due_at"]) == (200, "2030-05-05T00:00:00Z")
    assert (cancelled[0], cancelled[1]["answer"]) == (200, "cancelled")
    assert cancelled[1]["task"]["state"] == "cancelled"
    assert again[1]["answer"] == "already_done"
    assert (run[0], run[1]["type"]) == (409, "/docs/problems#conflict")
    assert [item["cause"] for item in history["items"]][1:] == [
        {"command": "RescheduleTask", "author": "anonymous", "reason": "holiday"},
        {"command": "CancelTask", "author": "anonymous", "reason": "not needed"},
    ]


async def test_a_dead_task_is_redriven(server: Server) -> None:
    server.sender.status = 404
    task = await submitted(server)
    path = f"/v1/tasks/{task['id']}"
    _, dead = await server.call("GET", path, headers={"Prefer": "wait=10"})
    server.sender.status = 200

    status, revived = await server.call("POST", f"{path}:redrive", {"reason": "mended"})
    _, after = await server.call("GET", path, headers={"Prefer": "wait=10"})

    assert (dead["state"], dead["reason"]) == ("dead", "permanent")
    assert (status, revived["id"]) == (200, task["id"])
    assert (after["state"], after["attempts"]) == ("succeeded", 2)


async def test_why_adds_up_to_the_time_since_submission(server: Server) -> None:
    """Semantics 10."""
    await server.call("PUT", "/v1/gates/held", {})
    await server.call("POST", "/v1/gates/held:pause")
    task = await submitted(server, gate="held")
    later = await submitted(server, gate="held", delay="1h")

    _, why = await server.call("GET", f"/v1/tasks/{task['id']}/why")
    _, other = await server.call("GET", f"/v1/tasks/{later['id']}/why")

    assert [cause["cause"] for cause in why["causes"]] == ["paused"]
    assert why["now"] == "paused"
    assert why["causes"][0]["seconds"] == why["total_seconds"]
    assert ([c["cause"] for c in other["causes"]], other["now"]) == (["not_due"], "not_due")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/tasks/nothing"),
        ("GET", "/v1/tasks/nothing/history"),
        ("GET", "/v1/tasks/nothing/why"),
        ("POST", "/v1/tasks/nothing:cancel"),
        ("POST", "/v1/tasks/nothing:run"),
        ("POST", "/v1/tasks/nothing:redrive"),
    ],
)
async def test_a_task_that_is_not_there_is_not_found(
    server: Server, method: str, path: str
) -> None:
    status, document = await server.call(method, path)

    assert (status, document["type"]) == (404, "/docs/problems#not_found")
    assert document["errors"][0]["pointer"] == "/id"


async def test_a_node_that_stops_takes_nothing(server: Server) -> None:
    task = await submitted(server, delay="1h")
    server.local.node.ports.is_stopping = True

    submitting = await server.client.post("/v1/tasks", json={"url": URL})
    batch = await server.client.post("/v1/tasks:batchCreate", json=[{"url": URL}])
    cancel = await server.client.post(f"/v1/tasks/{task['id']}:cancel")

    for response in (submitting, batch, cancel):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
