"""Parents of gates over REST: set, shown, refused, and named where they hold."""

import asyncio

import pytest

from tests.integration.api_server import Server

URL = "http://localhost:9/hook"


async def family(server: Server) -> None:
    await server.call("PUT", "/v1/gates/host", {"limits": {"concurrency": 3}})
    for name in ("a", "b"):
        status, _ = await server.call("PUT", f"/v1/gates/{name}", {"parent": "host"})
        assert status == 201


async def test_a_parent_is_set_shown_kept_and_taken_away(server: Server) -> None:
    await family(server)

    _, child = await server.call("PATCH", "/v1/gates/a", {"limits": {"concurrency": 5}})
    _, host = await server.call("GET", "/v1/gates/host")
    assert (child["parent"], child["family"]) == ("host", None)
    assert (host["parent"], host["family"]) == (None, {"in_flight": 0, "children": ["a", "b"]})

    _, alone = await server.call("PATCH", "/v1/gates/a", {"parent": ""})
    _, host = await server.call("GET", "/v1/gates/host")
    assert alone["parent"] is None
    assert host["family"]["children"] == ["b"]


@pytest.mark.parametrize(
    ("gate", "parent", "status", "said"),
    [
        ("a", "nowhere", 422, "there is no gate nowhere"),
        ("a", "a", 422, "a gate cannot be its own parent"),
        ("host", "a", 422, "gate a is below host already"),
    ],
)
async def test_a_parent_that_cannot_be_is_refused(
    server: Server, gate: str, parent: str, status: int, said: str
) -> None:
    await family(server)
    _, before = await server.call("GET", f"/v1/gates/{gate}")

    answered, problem = await server.call("PATCH", f"/v1/gates/{gate}", {"parent": parent})

    _, after = await server.call("GET", f"/v1/gates/{gate}")
    assert (answered, problem["errors"][0]["pointer"]) == (status, "/parent")
    assert said in str(problem)
    assert after == before


async def test_why_names_the_parent_that_holds(server: Server) -> None:
    """Semantics 10: the first that holds, and where."""
    await family(server)
    await server.call("POST", "/v1/gates/host:pause", {"reason": "maintenance"})
    _, task = await server.call("POST", "/v1/tasks", {"url": URL, "gate": "a"})

    async with asyncio.timeout(5):
        while (why := (await server.call("GET", "/v1/gates/a/why"))[1])["causes"][0][
            "cause"
        ] != "paused":
            await asyncio.sleep(0.01)
    _, gate = await server.call("GET", "/v1/gates/a")
    _, why_task = await server.call("GET", f"/v1/tasks/{task['id']}/why")

    assert why["holder"] == "host"
    assert gate["waits"] == {"cause": "paused", "until": None, "gate": "host"}
    assert (why_task["now"], why_task["holder"]) == ("paused", "host")
    assert [cause["cause"] for cause in why_task["causes"]] == ["paused"]

    await server.call("POST", "/v1/gates/host:resume")
    async with asyncio.timeout(5):
        while (await server.call("GET", f"/v1/tasks/{task['id']}"))[1]["state"] != "succeeded":
            await asyncio.sleep(0.01)


async def test_a_gate_with_tasks_that_are_not_over_keeps_its_parent(server: Server) -> None:
    await family(server)
    await server.call("POST", "/v1/tasks", {"url": URL, "gate": "a", "delay": "1h"})

    status, problem = await server.call("PATCH", "/v1/gates/a", {"parent": ""})

    assert status == 409
    assert "has tasks that are not over" in str(problem)
