"""A gate's outages over REST: listed with their steps, and steered with who and why."""

import asyncio
from typing import Any

from tests.integration.api_server import Server

NOBODY = "http://127.0.0.1:9/hook"


async def steered(server: Server, verb: str, gate: str = "g") -> dict[str, Any]:
    status, document = await server.call(
        "POST", f"/v1/gates/{gate}:{verb}", {"reason": f"to {verb}"}
    )
    assert status == 200, document
    return document


async def outages(server: Server, gate: str = "g") -> list[dict[str, Any]]:
    status, document = await server.call("GET", f"/v1/gates/{gate}/recoveries")
    assert status == 200, document
    return document["items"]


async def test_an_outage_by_hand_is_recorded_from_its_trip_to_its_end(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    assert await outages(server) == []

    assert (await steered(server, "trip"))["state"] == "tripped"
    assert (await steered(server, "probe"))["state"] == "probing"
    async with asyncio.timeout(10):
        while (await outages(server))[0]["number"] != 1:
            await asyncio.sleep(0.01)
    (outage,) = await outages(server)
    assert (outage["outage"], outage["depth"], outage["ended_at"]) == ("endpoint", 0, None)

    assert (await steered(server, "recover"))["state"] == "open"
    (outage,) = await outages(server)
    assert [(step["kind"], step["why"]) for step in outage["steps"]] == [
        ("tripped", "tripped by anonymous"),
        ("probing", ""),
        ("recovered", "to recover"),
    ]
    assert outage["ended_at"] is not None
    assert outage["ended_by"] == "anonymous"


async def test_an_outage_of_an_endpoint_says_how_deep_it_began(server: Server) -> None:
    server.sender.status = 500
    recovery = {"trip_failures": 3, "tripped_min": "1m", "tripped_max": "1m"}
    await server.call("PUT", "/v1/gates/g", {"limits": {"concurrency": 1}, "recovery": recovery})
    tasks = [{"url": NOBODY, "gate": "g"} for _ in range(50)]
    await server.call("POST", "/v1/tasks:batchCreate", tasks)

    async with asyncio.timeout(20):
        while not (found := await outages(server)) or not found[0]["number"]:
            await asyncio.sleep(0.01)

    (outage,) = found
    assert outage["outage"] == "endpoint"
    assert outage["trips"] == 1
    assert 40 <= outage["depth"] <= 50
    assert outage["steps"][0]["failures"] == outage["steps"][0]["attempts"] == 3


async def test_a_raise_of_limits_is_held_and_goes_on(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {"limits": {"concurrency": 1}})
    await server.call("PATCH", "/v1/gates/g", {"limits": {"concurrency": 10}})

    held = await steered(server, "hold_ramp")
    assert held["state"] == "ramping"
    await steered(server, "release_ramp")

    (outage,) = await outages(server)
    assert outage["outage"] == "limits"
    assert [step["kind"] for step in outage["steps"]] == ["step", "held", "released"]


async def test_what_makes_no_sense_now_is_refused(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    position = await server.position()

    for verb in ("hold_ramp", "release_ramp", "probe"):
        status, _ = await server.call("POST", f"/v1/gates/g:{verb}", {})
        assert status == 409
    status, _ = await server.call("POST", "/v1/gates/nobody:trip", {})
    assert status == 404
    assert await server.position() == position
