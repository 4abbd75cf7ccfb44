"""The supervision tree over REST and on the command line, of a server and of a dead one's file."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api_server import Server
from tests.integration.server_process import COMMAND, ServerProcess, environment


async def busy_gate(server: Server, name: str = "g") -> None:
    """A gate whose actor is awake, because a task is to come soon."""
    await server.call("PUT", f"/v1/gates/{name}", {})
    task = {"url": "http://localhost:9/hook", "gate": name, "delay": "1500ms"}
    await server.call("POST", "/v1/tasks", task)
    path = f"gates/{name}/gate"
    async with asyncio.timeout(10):
        while not (found := await places(server, below=path)) or not found[path]["handled"]:
            await asyncio.sleep(0.01)


async def places(server: Server, **query: str) -> dict[str, Any]:
    response = await server.client.get("/v1/tree", params=query)
    assert response.status_code == 200, response.text
    return {place["path"]: place for place in response.json()["items"]}


async def test_the_tree_shows_every_place_with_what_it_does(server: Server) -> None:
    await busy_gate(server)

    found = await places(server)

    assert {
        "node",
        "node/journal",
        "node/gates",
        "gates/g",
        "gates/g/gate",
        "gates/g/tasks",
    } <= set(found)
    gate = found["gates/g/gate"]
    assert (gate["kind"], gate["state"], gate["incarnation"]) == ("GateActor", "running", 1)
    assert gate["handled"] > 0
    assert found["node/journal"]["handled"] > 0
    assert set(await places(server, below="gates/g/", state="running")) == {
        "gates/g/gate",
        "gates/g/tasks",
    }
    assert await places(server, state="quarantined") == {}


async def test_an_actor_is_shown_restarted_quarantined_and_released_with_who_and_why(
    server: Server,
) -> None:
    await busy_gate(server)

    status, _ = await server.call(
        "POST", "/v1/actors/gates/g/gate:restart", {"reason": "it looked odd"}
    )
    assert status == 200
    async with asyncio.timeout(10):
        while (await places(server))["gates/g/gate"]["incarnation"] != 2:
            await asyncio.sleep(0.01)
    _, actor = await server.call("GET", "/v1/actors/gates/g/gate")
    assert actor["spec"]["restart"] == "permanent"
    assert actor["state"]["name"] == "g"
    asked = [one for one in actor["incidents"] if one["type"] == "ActorRestartAsked"]
    assert [one["reason"] for one in asked] == ["it looked odd"]

    status, _ = await server.call("POST", "/v1/actors/gates/g:quarantine", {"reason": "hands off"})
    assert status == 200
    (place,) = (await places(server, state="quarantined")).values()
    assert (place["path"], place["last_error"]) == ("gates/g", "by command: hands off")
    assert place["until"] is not None
    status, refused = await server.call("POST", "/v1/gates/g:pause", {})
    assert status == 409
    assert "taskmaster gate release g" in str(refused)

    status, gate = await server.call("POST", "/v1/actors/gates/g:release", {"reason": "mended"})
    assert (status, gate["state"]) == (200, "open")
    _, unit = await server.call("GET", "/v1/actors/gates/g")
    assert [(one["type"], one["reason"]) for one in unit["incidents"]] == [
        ("GateReleased", "mended"),
        ("GateQuarantined", "hands off"),
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("gates/nobody/gate:restart", 404),
        ("node/journal:restart", 409),
        ("node:quarantine", 409),
        ("gates/nobody:quarantine", 404),
        ("gates/a/gate:quarantine", 409),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_way_out(
    server: Server, path: str, status: int
) -> None:
    answered, problem = await server.call("POST", f"/v1/actors/{path}", {})

    assert answered == status
    assert "; " in problem["detail"], "what is wrong, and what to do"


def said(*arguments: str, url: str = "") -> str:
    """What the command line prints, in a process of its own."""
    more = {"TASKMASTER_URL": url} if url else {}
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**more),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_what_crashed_in_a_dead_server_is_read_from_its_file(tmp_path: Path) -> None:
    """After `kill -9`: which place, how often, when, on what."""
    store = tmp_path / "log.db"
    with ServerProcess(store) as server:
        said("gate", "set", "billing", "--concurrency", "3", url=server.url)
        for _ in range(2):
            submit = ("--gate", "billing", "--delay", "1500ms", "http://localhost:9/")
            said("task", "submit", *submit, url=server.url)
        said("actor", "restart", "gates/billing/gate", "--reason", "odd", url=server.url)
        live = said("tree", "gates/billing", "--sort", "handled", url=server.url)
        assert "gates/billing/gate" in live
        shown = said("actor", "gates/billing/gate", url=server.url)
        assert "ActorRestartAsked" in shown
        said("actor", "quarantine", "gates/billing", "--reason", "hands off", url=server.url)
        assert "quarantined" in said("tree", "--state", "quarantined", url=server.url)
        server.stop(signal.SIGKILL)

    history = said("tree", "--store", str(store))
    assert "no good end in the log" in history
    assert "gates/billing" in history
    assert "by command: hands off" in history

    document = json.loads(said("tree", "--store", str(store), "-o", "json"))
    (run,) = document["runs"]
    assert run["stopped_at"] is None
    assert {place["path"]: place["restarts"] for place in document["places"]} == {
        "gates/billing": 0,
        "gates/billing/gate": 1,
    }
    before = json.loads(said("tree", "--store", str(store), "--at", "1h", "-o", "json"))
    assert before == {"runs": [], "places": []}
