"""Planned downtimes over the API, on a real node with a log in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.api_server import Server


def later(hours: float) -> str:
    """An instant to come."""
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


async def test_a_downtime_is_planned_listed_and_cancelled(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    body = {"from": later(2), "until": later(3), "drain": "5m", "reason": "new disks"}

    status, gate = await server.call("POST", "/v1/gates/g/maintenance", body)
    wrong, problem = await server.call("POST", "/v1/gates/g/maintenance", body)
    _, listed = await server.call("GET", "/v1/gates/g/maintenance")
    _, after = await server.call("POST", "/v1/gates/g/maintenance/1:cancel", {"reason": "no"})
    missing, _ = await server.call("POST", "/v1/gates/g/maintenance/1:cancel")
    _, events = await server.call("GET", "/v1/events?stream=gate-g")

    assert status == 200
    assert listed["items"] == gate["maintenance"]
    (window,) = listed["items"]
    assert (window["number"], window["state"], window["drain"]) == (1, "planned", "5m")
    assert window["reason"] == "new disks"
    assert (wrong, problem["errors"][0]["pointer"]) == (409, "/from")
    assert (after["maintenance"], missing) == ([], 404)
    kinds = [event["type"] for event in events["items"]]
    assert kinds == ["GateOpened", "MaintenancePlanned", "MaintenanceCancelled"]
    assert events["items"][1]["window"]["from"] == window["from"]


async def test_a_downtime_that_begins_now_pauses_the_gate_until_its_end(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    until = later(1)
    body = {"from": later(0.0001), "until": until, "reason": "disks"}
    await server.call("POST", "/v1/gates/g/maintenance", body)

    gate: dict[str, Any] = {"state": "open"}
    while gate["state"] != "paused":
        _, gate = await server.call("GET", "/v1/gates/g")

    assert gate["maintenance"][0]["state"] == "under_way"
    assert gate["waits"]["until"] == gate["maintenance"][0]["until"]
