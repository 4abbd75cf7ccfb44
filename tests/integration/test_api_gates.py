"""Gates over REST: settings, ETags, lists, commands, purge and why (semantics 3, 4.1, 8.1, 10)."""

import asyncio
from typing import Any

import pytest

from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import (
    SECOND,
    GateEvent,
    GateName,
    Position,
    TaskEvent,
    TaskId,
    TaskMoved,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.retry import Unanswered
from taskmaster.views.why import split, standings
from tests.integration.api_server import PlainSender, Server

URL = "http://localhost:9/hook"


async def test_how_a_gate_learns_is_set_changed_and_taken_away(server: Server) -> None:
    learning = {"limits": {"concurrency": 40}, "adaptive": {"max": 30}}
    _, gate = await server.call("PUT", "/v1/gates/g", learning)
    assert gate["adaptive"] == {"min": 1, "max": 30, "by": "latency"}

    _, patched = await server.call("PATCH", "/v1/gates/g", {"adaptive": {"by": "errors"}})
    assert patched["adaptive"] == {"min": 1, "max": 30, "by": "errors"}

    status, refused = await server.call("PATCH", "/v1/gates/g", {"limits": {"concurrency": 20}})
    assert (status, refused["errors"][0]["pointer"]) == (422, "/adaptive/max")

    _, off = await server.call("PATCH", "/v1/gates/g", {"adaptive": "off"})
    assert off["adaptive"] == "off"


async def test_a_gate_is_created_with_its_limits_and_defaults(server: Server) -> None:
    response = await server.client.put(
        "/v1/gates/billing",
        json={
            "limits": {"rate": 120, "concurrency": 4, "rates": [{"rate": 1000, "per": "1h"}]},
            "recovery": {"ramp_steps": "off", "tripped_max": "2m"},
            "max_backlog": 5000,
            "reason": "new endpoint",
        },
    )

    gate = response.json()
    assert response.status_code == 201
    assert response.headers["etag"] == '"1"'
    assert response.headers["location"] == "/v1/gates/billing"
    assert gate["limits"] == {
        "concurrency": 4,
        "rates": [
            {"rate": 120.0, "per": "1s", "burst": 3},
            {"rate": 1000.0, "per": "1h", "burst": 1},
        ],
        "rate": 120.0,
        "burst": 3,
    }
    assert gate["recovery"]["ramp_steps"] == "off"
    assert gate["recovery"]["tripped_max"] == "2m"
    assert gate["recovery"]["trip_failures"] == 5
    assert (gate["state"], gate["mode"], gate["control"]) == ("open", "open", "running")
    assert (gate["aging"], gate["max_backlog"], gate["implicit"]) == ("1m", 5000, False)
    assert set(gate["counts"].values()) == {0}
    assert (gate["backlog"], gate["oldest_eligible_age_seconds"], gate["waits"]) == (0, None, None)


async def test_put_replaces_and_patch_merges(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {"limits": {"rate": 5}, "max_backlog": 7})

    _, patched = await server.call(
        "PATCH", "/v1/gates/g", {"limits": {"concurrency": 2, "burst": 9}}
    )
    _, without = await server.call("PATCH", "/v1/gates/g", {"limits": {"rate": None}})
    status, replaced = await server.call("PUT", "/v1/gates/g", {"limits": {"rate": 1}})

    assert patched["limits"]["rate"] == 5
    assert (patched["limits"]["burst"], patched["limits"]["concurrency"]) == (9, 2)
    assert patched["max_backlog"] == 7
    assert without["limits"] == {"concurrency": 2, "rates": []}
    assert (status, replaced["limits"]["concurrency"], replaced["max_backlog"]) == (200, 32, 0)


async def test_the_limits_that_are_read_can_be_put_back(server: Server) -> None:
    limits = {"rate": 10, "burst": 2, "rates": [{"rate": 5, "per": 60, "burst": 1}]}
    _, gate = await server.call("PUT", "/v1/gates/g", {"limits": limits})

    status, again = await server.call(
        "PUT", "/v1/gates/g", {"limits": gate["limits"], "recovery": gate["recovery"]}
    )

    assert (status, again["limits"], again["version"]) == (200, gate["limits"], gate["version"])


async def test_an_etag_guards_a_change(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    read = await server.client.get("/v1/gates/g")
    etag = read.headers["etag"]

    changed = await server.client.put(
        "/v1/gates/g", json={"limits": {"rate": 1}}, headers={"If-Match": etag}
    )
    stale = await server.client.patch(
        "/v1/gates/g", json={"limits": {"rate": 2}}, headers={"If-Match": etag}
    )
    paused = await server.client.post("/v1/gates/g:pause", headers={"If-Match": etag})
    new = await server.client.put("/v1/gates/new", json={}, headers={"If-Match": '"1"'})
    there = await server.client.put("/v1/gates/g", json={}, headers={"If-None-Match": "*"})
    unchanged = await server.client.get(
        "/v1/gates/g", headers={"If-None-Match": f'"0", W/{changed.headers["etag"]}'}
    )

    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    for refused in (stale, paused, new, there):
        assert refused.status_code == 412
        assert refused.json()["type"] == "/docs/problems#precondition_failed"
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert (await server.call("GET", "/v1/gates/new"))[0] == 404


async def test_of_two_changes_under_one_etag_one_is_made(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})

    both = await asyncio.gather(
        *(
            server.client.put(
                "/v1/gates/g", json={"limits": {"rate": rate}}, headers={"If-Match": '"1"'}
            )
            for rate in (1, 2)
        )
    )

    assert sorted(response.status_code for response in both) == [200, 412]


async def test_gates_are_listed_by_name_and_state(server: Server) -> None:
    for name in ("c", "a", "b"):
        await server.call("PUT", f"/v1/gates/{name}", {})
    await server.call("POST", "/v1/gates/b:pause")

    _, first = await server.call("GET", "/v1/gates?limit=2")
    _, second = await server.call("GET", f"/v1/gates?limit=2&page_token={first['next_page_token']}")
    _, paused = await server.call("GET", "/v1/gates?state=paused,closed")

    assert [gate["gate"] for gate in first["items"]] == ["a", "b"]
    assert [gate["gate"] for gate in second["items"]] == ["c"]
    assert second["next_page_token"] is None
    assert [gate["gate"] for gate in paused["items"]] == ["b"]


async def test_commands_change_the_state_and_keep_reason_and_author(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})

    states: list[Any] = []
    for verb, body in (
        ("pause", {"until": "2030-01-01T00:00:00Z", "reason": "migration"}),
        ("resume", None),
        ("drain", {"reason": "deploy"}),
        ("resume", {}),
        ("close", None),
        ("resume", None),
        ("release", None),
    ):
        status, gate = await server.call("POST", f"/v1/gates/g:{verb}", body)
        states.append((status, gate["state"]))
    _, events = await server.call("GET", "/v1/events?stream=gate-g")

    assert [state for _, state in states] == [
        *("paused", "open", "draining", "open", "closed", "open", "open"),
    ]
    assert {status for status, _ in states} == {200}
    paused = next(item for item in events["items"] if item["type"] == "GatePaused")
    assert paused["until"] == "2030-01-01T00:00:00Z"
    assert paused["cause"] == {
        "command": "PauseGate",
        "author": "anonymous",
        "reason": "migration",
    }


async def test_a_closed_gate_takes_nothing_and_a_full_one_says_when_to_try(server: Server) -> None:
    await server.call("PUT", "/v1/gates/closed", {})
    await server.call("POST", "/v1/gates/closed:close")
    await server.call("PUT", "/v1/gates/full", {"max_backlog": 1})
    await server.call("POST", "/v1/gates/full:pause")
    await server.call("POST", "/v1/tasks", {"url": URL, "gate": "full", "delay": "1h"})

    closed = await server.client.post("/v1/tasks", json={"url": URL, "gate": "closed"})
    full = await server.client.post("/v1/tasks", json={"url": URL, "gate": "full"})

    assert (closed.status_code, closed.json()["type"]) == (503, "/docs/problems#closed")
    assert (full.status_code, full.json()["type"]) == (429, "/docs/problems#overloaded")
    assert closed.headers["retry-after"] == "1"
    assert full.headers["retry-after"] == "1"


async def waiting_gate(server: Server) -> None:
    """A paused gate with two tasks that are due and one that is not."""
    await server.call("PUT", "/v1/gates/g", {})
    await server.call("POST", "/v1/gates/g:pause")
    for delay in (0, 0, "1h"):
        await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g", "delay": delay})


async def test_a_gate_counts_what_waits_and_says_why(server: Server) -> None:
    """Semantics 10: all eligible tasks wait for the one cause that holds now."""
    await waiting_gate(server)

    _, gate = await server.call("GET", "/v1/gates/g")
    _, why = await server.call("GET", "/v1/gates/g/why")

    assert gate["counts"]["waiting"] == 2
    assert gate["counts"]["scheduled"] == 1
    assert gate["backlog"] == 2
    assert gate["oldest_eligible_age_seconds"] > 0
    assert gate["waits"] == {"cause": "paused", "until": None}
    assert why == {
        "gate": "g",
        "eligible": 2,
        "causes": [{"cause": "not_due", "tasks": 1}, {"cause": "paused", "tasks": 2}],
    }


async def test_what_a_gate_waited_is_what_its_tasks_say(server: Server) -> None:
    """Semantics 10: to the nanosecond, from a log of tasks of every kind."""
    await server.call("PUT", "/v1/gates/g", {"limits": {"concurrency": 1}})
    await server.call("PUT", "/v1/gates/other", {})
    reader, clock = server.local.node.ports.reader, server.local.node.ports.clock
    await server.call("POST", "/v1/gates/g:pause")
    for delay in (0, 0, "20ms", "1h"):
        await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g", "delay": delay})
    since = clock.wall() // 1_000 * 1_000
    for delay in (0, "30ms", "1h"):
        await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g", "delay": delay})
        await server.call("POST", "/v1/tasks", {"url": URL, "gate": "other"})
    _, listed = await server.call("GET", "/v1/tasks?gate=g&state=waiting")
    await server.call("POST", f"/v1/tasks/{listed['items'][-1]['id']}:cancel")
    await server.call("POST", "/v1/gates/g:resume")
    while (await server.call("GET", "/v1/gates/g"))[1]["counts"]["succeeded"] < 2:
        pass
    await server.call("POST", "/v1/gates/g:pause")
    await server.call("POST", "/v1/tasks", {"url": URL, "gate": "g"})
    until = clock.wall() // 1_000 * 1_000

    query = f"since={rfc3339(Wall(since))}&until={rfc3339(Wall(until))}"
    _, why = await server.call("GET", f"/v1/gates/g/why?{query}")

    streams: dict[str, list[TaskEvent]] = {}
    gate: list[GateEvent] = []
    for record in await reader.events(after=Position(0), limit=1_000):
        if isinstance(record.event, TaskEvent) and record.event.gate == "g":
            streams.setdefault(record.stream, []).append(record.event)
        elif isinstance(record.event, GateEvent) and record.stream == "gate-g":
            gate.append(record.event)
    expected: dict[str, int] = {}
    for events in streams.values():
        for sign, at in ((1, until), (-1, since)):
            known = [event for event in events if event.at <= at]
            for part in split(known, {GateName("g"): standings(gate)}, Wall(at)) if known else ():
                expected[part.cause] = expected.get(part.cause, 0) + sign * part.ns
    waited = why["waited"]
    found = {one["cause"]: round(one["seconds"] * SECOND) for one in waited["causes"]}
    causes = {"slot", "paused"}
    assert found == {cause: expected[cause] for cause in causes if expected.get(cause)}
    assert round(waited["total_seconds"] * SECOND) == sum(found.values())
    assert waited["since"] == rfc3339(Wall(since))


async def test_a_moved_task_waited_at_each_gate_while_it_was_there(server: Server) -> None:
    """Semantics 10: no instant is told twice or of the wrong gate."""
    reader, clock = server.local.node.ports.reader, server.local.node.ports.clock
    for gate in "gh":
        await server.call("PUT", f"/v1/gates/{gate}", {})
        await server.call("POST", f"/v1/gates/{gate}:pause")

    async def submit(gate: str) -> str:
        return (await server.call("POST", "/v1/tasks", {"url": URL, "gate": gate}))[1]["id"]

    async def move(task: str, to: str) -> None:
        assert (await server.call("POST", f"/v1/tasks/{task}:move", {"to": to}))[0] == 200

    old = [await submit("g"), await submit("g"), await submit("h")]
    since = clock.wall() // 1_000 * 1_000 + 1_000
    while clock.wall() <= since:
        pass
    new = [await submit("g"), await submit("g"), await submit("h")]
    for task, to in ((old[0], "h"), (new[0], "h"), (new[1], "h"), (new[1], "g"), (new[2], "g")):
        await move(task, to)
    until = clock.wall() // 1_000 * 1_000
    while clock.wall() <= until + 1_000:
        pass
    await move(old[1], "h")

    expected = {"g": 0, "h": 0}
    for task in (*old, *new):
        events = await reader.task_events(TaskId(task))
        at, gate = max(since, events[0].event.at), ""
        for event in (record.event for record in events):
            if isinstance(event, TaskMoved) and since <= event.at <= until:
                expected[event.gate] += event.at - at
                at, gate = event.at, event.to
            elif isinstance(event, TaskSubmitted):
                gate = event.gate
        expected[gate] += until - at
    query = f"since={rfc3339(Wall(since))}&until={rfc3339(Wall(until))}"
    for gate, tasks in (("g", 5), ("h", 5)):
        _, why = await server.call("GET", f"/v1/gates/{gate}/why?{query}")
        waited = why["waited"]
        assert [one["cause"] for one in waited["causes"]] == ["paused"]
        assert (round(waited["total_seconds"] * SECOND), waited["tasks"]) == (expected[gate], tasks)


async def test_a_purge_of_no_state_is_of_what_waits(server: Server) -> None:
    """An empty list names none; what is over stays as it is."""
    await waiting_gate(server)
    _, listed = await server.call("GET", "/v1/tasks?gate=g&state=scheduled")
    await server.call("POST", f"/v1/tasks/{listed['items'][0]['id']}:cancel")

    status, dry = await server.call("POST", "/v1/gates/g:purge", {"state": [], "dry_run": True})

    assert (status, dry["matched"]) == (200, 2)


async def test_a_purge_counts_first_and_then_cancels(server: Server) -> None:
    await waiting_gate(server)
    position = await server.position()

    _, dry = await server.call("POST", "/v1/gates/g:purge", {"dry_run": True})
    assert await server.position() == position
    _, due = await server.call("POST", "/v1/gates/g:purge", {"state": "waiting", "reason": "old"})
    _, rest = await server.call("POST", "/v1/gates/g:purge")
    _, gate = await server.call("GET", "/v1/gates/g")
    _, history = await server.call("GET", f"/v1/tasks/{due['sample'][0]}/history")

    assert (dry["matched"], dry["cancelled"], dry["dry_run"], len(dry["sample"])) == (3, 0, True, 3)
    assert (due["matched"], due["cancelled"], len(due["sample"])) == (2, 2, 2)
    assert (rest["matched"], rest["cancelled"]) == (1, 1)
    assert gate["counts"]["cancelled"] == 3
    assert history["items"][-1]["cause"]["reason"] == "old"
    assert history["items"][-1]["cause"]["command"] == "PurgeGate"


@pytest.mark.slow
async def test_a_purge_of_many_is_whole(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    tasks = [{"url": URL, "gate": "g", "delay": "1h"}] * 1_200
    await server.call("POST", "/v1/tasks:batchCreate", tasks)

    _, purged = await server.call("POST", "/v1/gates/g:purge")
    _, gate = await server.call("GET", "/v1/gates/g")

    assert (purged["matched"], purged["cancelled"], len(purged["sample"])) == (1_200, 1_200, 10)
    assert gate["counts"]["cancelled"] == 1_200


@pytest.mark.parametrize(
    "path", ["/v1/gates/no", "/v1/gates/no/why", "/v1/gates/no:pause", "/v1/gates/no:purge"]
)
async def test_a_gate_that_is_not_there_is_not_found(server: Server, path: str) -> None:
    method = "POST" if ":" in path else "GET"

    status, document = await server.call(method, path)

    assert (status, document["type"]) == (404, "/docs/problems#not_found")
    assert document["errors"][0]["remedy"] == "create it with PUT first"


# --- what waits -------------------------------------------------------------------------------


async def test_tasks_behind_an_order_key_wait_for_it_and_are_not_scheduled(server: Server) -> None:
    """Semantics 10: each under the first cause that holds."""
    await server.call("PUT", "/v1/gates/g", {"limits": {"concurrency": 1}})
    await server.call("POST", "/v1/gates/g:pause")
    for delay, key in ((0, "a"), (0, "a"), (0, "a"), ("1h", "a"), (0, "")):
        body = {"url": URL, "gate": "g", "delay": delay, "order_key": key}
        assert (await server.call("POST", "/v1/tasks", body))[0] == 201

    _, paused = await server.call("GET", "/v1/gates/g")
    _, why_paused = await server.call("GET", "/v1/gates/g/why")
    _, listed = await server.call("GET", "/v1/tasks?gate=g&state=waiting")

    assert (paused["counts"]["scheduled"], paused["counts"]["waiting"]) == (1, 4)
    assert paused["backlog"] == 2
    assert len(listed["items"]) == 4
    assert why_paused["causes"] == [
        {"cause": "not_due", "tasks": 1},
        {"cause": "paused", "tasks": 4},
    ]


async def test_the_register_of_uncertain_outcomes_holds_those_behind(
    server: Server, sender: PlainSender
) -> None:
    sender.trouble = Unanswered("timeout", duration_ns=1)
    await server.call("PUT", "/v1/gates/g", {})
    body = {"url": URL, "gate": "g", "order_key": "a"}
    prefer = {"Prefer": "wait=1"}
    await server.call("POST", "/v1/tasks", body | {"idempotent": False}, headers=prefer)
    for _ in range(2):
        await server.call("POST", "/v1/tasks", body)

    _, gate = await server.call("GET", "/v1/gates/g")
    _, why = await server.call("GET", "/v1/gates/g/why")
    metrics = await server.client.get("/metrics")

    counts = gate["counts"]
    assert (counts["uncertain"], counts["waiting"], counts["scheduled"]) == (1, 2, 0)
    assert why["causes"] == [{"cause": "order_key", "tasks": 2}]
    line = 'taskmaster_gate_waiting{cause="order_key",gate="g"} 2.0'
    assert line in metrics.text.splitlines()


async def test_a_pause_shows_until_when_also_where_nothing_waits(server: Server) -> None:
    until = "2100-01-01T00:00:00Z"
    await server.call("PUT", "/v1/gates/g", {})

    _, paused = await server.call("POST", "/v1/gates/g:pause", {"until": until})
    _, listed = await server.call("GET", "/v1/gates")
    _, resumed = await server.call("POST", "/v1/gates/g:resume")

    assert paused["waits"] == {"cause": "paused", "until": until}
    assert listed["items"][0]["waits"] == paused["waits"]
    assert resumed["waits"] is None
