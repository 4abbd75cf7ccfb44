"""Each example runs against a real server, and its application ends up as it says."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskmaster.client import Client
from taskmaster.demo.processes import ROOT, free_port

DEADLINE_S = 30


def started(*arguments: str) -> "subprocess.Popen[bytes]":
    """`python -m ARGUMENTS`, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, which may fail to be asked while a process starts."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the condition did not come to hold in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a store of its own."""
    store: Path = tmp_path_factory.mktemp("examples") / "examples.db"
    url = f"http://127.0.0.1:{free_port()}"
    port = url.rpartition(":")[2]
    process = started("taskmaster.cli.main", "serve", "--store", str(store), "--port", port)
    until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    yield url
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


def has_succeeded(client: Client, task: str) -> bool:
    """Whether a task has ended well."""
    return client.task(task).state == "succeeded"


def run(name: str, server: str, is_done: Callable[[Any], bool]) -> Any:
    """Start an example's application, submit its tasks, wait; the application's state."""
    port = free_port()
    app = f"http://127.0.0.1:{port}"
    process = started(f"examples.{name}.app", str(port))
    try:
        until(lambda: httpx.get(f"{app}/state").status_code == 200)
        submit = importlib.import_module(f"examples.{name}.submit").submit
        with Client(server) as client:
            tasks: list[str] = submit(client, app)
            assert tasks
            until(lambda: is_done(httpx.get(f"{app}/state").json()))
            for task in tasks:
                until(partial(has_succeeded, client, task))
        return httpx.get(f"{app}/state").json()
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_idle_applications_are_hibernated(server: str) -> None:
    state = run("hibernation", server, lambda state: all(state.values()))

    assert state == {"shop": True, "wiki": True, "forum": True, "blog": True}


@pytest.mark.slow
def test_stray_instances_are_swept(server: str) -> None:
    state = run("strays", server, lambda state: len(state["removed"]) == 2)

    assert state == {"left": ["i-1", "i-3"], "removed": ["i-2", "i-4"]}


@pytest.mark.slow
def test_each_environment_is_undeployed_before_it_is_deployed(server: str) -> None:
    state = run("deploys", server, lambda state: len(state["steps"]) == 4)

    assert state["deployed"] == {"staging": "2", "production": "2"}
    assert not [step for step in state["steps"] if "over another" in step]


@pytest.mark.slow
def test_each_account_is_provisioned_once(server: str) -> None:
    state = run("accounts", server, lambda state: len(state) == 30)

    assert set(state.values()) == {1}


@pytest.mark.slow
def test_a_busy_system_is_asked_again_later(server: str) -> None:
    state = run("repositories", server, lambda state: len(state["made"]) == 3)

    assert sorted(state["made"]) == ["team-a", "team-b", "team-c"]
    assert state["refusals"] == 1
