"""Bulks over the API, on a real node with a log in memory."""

import asyncio
from typing import Any

import pytest

from tests.integration.api_server import Server

URL = "http://127.0.0.1:9/hook"
TOTAL = ("changed", "requested", "already", "refused", "unavailable", "gone")


async def gates(server: Server, count: int, *names: str, **fields: Any) -> list[str]:
    """Gates, and tasks in an hour at the first; their ids."""
    for name in names:
        await server.call("PUT", f"/v1/gates/{name}", {})
    task = {"url": URL, "gate": names[0], "delay": "1h", **fields}
    _, batch = await server.call("POST", "/v1/tasks:batchCreate", [task] * count)
    return [item["id"] for item in batch["items"]]


async def ended(server: Server, bulk: dict[str, Any]) -> dict[str, Any]:
    """The bulk once it has ended."""
    while bulk["state"] == "running":
        await asyncio.sleep(0.02)
        _, bulk = await server.call("GET", f"/v1/bulks/{bulk['id']}")
    return bulk


async def test_a_dry_run_counts_and_its_set_takes_in_no_later_task(server: Server) -> None:
    early = await gates(server, 3, "g", labels={"team": "a"})
    body = {"action": "cancel", "filter": {"gate": "g", "labels": {"team": "a"}}}
    position = await server.position()

    status, dry = await server.call("POST", "/v1/bulks", {**body, "dry_run": True})
    assert (status, await server.position()) == (200, position)
    late = await gates(server, 2, "g", labels={"team": "a"})
    status, bulk = await server.call("POST", "/v1/bulks", {**body, "set": dry["set"]})
    bulk = await ended(server, bulk)

    assert (dry["matched"], dry["by_state"], dry["by_gate"]) == (3, {"scheduled": 3}, {"g": 3})
    assert sorted(dry["sample"]) == sorted(early)
    assert (status, bulk["changed"], bulk["answered"], bulk["gone"]) == (201, 3, 3, 0)
    _, listed = await server.call("GET", "/v1/tasks?gate=g&state=scheduled")
    assert sorted(one["id"] for one in listed["items"]) == sorted(late)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"filter": {}}, "/filter"),
        ({"filter": {"gate": "", "labels": {}, "state": [], "key": "", "series": ""}}, "/filter"),
        ({"action": "reschedule"}, "/due_at"),
        ({"due_at": "2026-12-01T00:00:00Z"}, "/due_at"),
        ({"action": "move", "to": "nowhere"}, "/to"),
        ({"rate": -1}, "/rate"),
        ({"filter": {"gate": "g", "due_after": "soon"}}, "/filter/due_after"),
        ({"set": "abc"}, "/set"),
        ({"action": "edit", "edit": {"url": "ftp://x/"}}, "/edit/url"),
    ],
)
async def test_a_bulk_that_cannot_be_is_refused_with_the_field(
    server: Server, wrong: dict[str, Any], pointer: str
) -> None:
    await gates(server, 1, "g")
    body = {"action": "cancel", "filter": {"gate": "g"}, **wrong}

    _, problem = await server.call("POST", "/v1/bulks", body)
    _, bulks = await server.call("GET", "/v1/bulks")

    assert [error["pointer"] for error in problem["errors"]] == [pointer], problem
    assert bulks["items"] == []


async def test_an_aborted_bulk_is_undone_and_says_by_whom(server: Server) -> None:
    await gates(server, 30, "g")
    body = {"action": "cancel", "filter": {"gate": "g"}, "rate": 20, "reason": "old"}

    _, bulk = await server.call("POST", "/v1/bulks", body)
    while bulk["changed"] < 2:
        _, bulk = await server.call("GET", f"/v1/bulks/{bulk['id']}")
    _, bulk = await server.call("POST", f"/v1/bulks/{bulk['id']}:abort", {"reason": "no"})
    _, undo = await server.call("POST", f"/v1/bulks/{bulk['id']}:undo")
    undo = await ended(server, undo)
    _, gate = await server.call("GET", "/v1/gates/g")
    _, listed = await server.call("GET", "/v1/bulks?limit=1")

    assert (bulk["state"], bulk["reason"], bulk["ended_reason"]) == ("aborted", "old", "no")
    assert (undo["undoes"], undo["changed"]) == (bulk["id"], bulk["changed"])
    assert gate["counts"]["scheduled"] == 30
    assert [one["id"] for one in listed["items"]] == [undo["id"]]
    assert listed["next_page_token"] is not None


async def test_members_that_were_left_say_why(server: Server) -> None:
    held = await gates(server, 1, "g", "h", key="k")
    await server.call("POST", "/v1/tasks", {"url": URL, "gate": "h", "delay": "2h", "key": "k"})
    body = {"action": "move", "filter": {"gate": "g"}, "to": "h"}

    _, bulk = await server.call("POST", "/v1/bulks", body)
    bulk = await ended(server, bulk)
    _, members = await server.call("GET", f"/v1/bulks/{bulk['id']}/members")
    _, task = await server.call("GET", f"/v1/tasks/{held[0]}")

    assert (bulk["refused"], bulk["changed"], task["gate"]) == (1, 0, "g")
    (member,) = members["items"]
    assert (member["id"], member["answer"]) == (held[0], "refused")
    assert member["why"].startswith("its key belongs to task ")


async def test_one_task_is_edited_and_moved_with_its_key(server: Server) -> None:
    (task,) = await gates(server, 1, "g", "h", key="k")
    edit = {"timeout": "5s", "priority": 3, "body": "new", "reason": "typo"}

    _, edited = await server.call("POST", f"/v1/tasks/{task}:edit", edit)
    status, moved = await server.call("POST", f"/v1/tasks/{task}:move", {"to": "h"})
    again = {"url": URL, "gate": "h", "delay": "1h", "key": "k"}
    conflict, _ = await server.call("POST", "/v1/tasks", again)
    _, history = await server.call("GET", f"/v1/tasks/{task}/history")

    assert (edited["timeout"], edited["priority"], edited["body_bytes"]) == ("5s", 3, 3)
    assert (status, moved["gate"], moved["state"]) == (200, "h", "scheduled")
    assert conflict == 409  # the key has come along, and this is other content
    kinds = [event["type"] for event in history["items"]]
    assert kinds == ["TaskSubmitted", "TaskEdited", "TaskMoved"]
    assert history["items"][1]["cause"]["reason"] == "typo"


@pytest.mark.slow
async def test_a_bulk_of_very_many_lets_other_gates_go_on(server: Server) -> None:
    count = 5_000
    await gates(server, count, "g", "other")
    body = {"action": "reschedule", "filter": {"gate": "g"}, "delay": "2h"}
    turns: list[float] = []

    _, bulk = await server.call("POST", "/v1/bulks", body)
    loop = asyncio.get_running_loop()
    while bulk["state"] == "running":
        began = loop.time()
        task = {"url": URL, "gate": "other"}
        headers = {"Prefer": "wait=10"}
        _, done = await server.call("POST", "/v1/tasks", task, headers=headers)
        turns.append(loop.time() - began)
        assert done["state"] == "succeeded"
        _, bulk = await server.call("GET", f"/v1/bulks/{bulk['id']}")

    assert bulk["changed"] == count
    assert sum(bulk[name] for name in TOTAL) == count
    assert len(turns) >= 5
    assert max(turns) < 2
