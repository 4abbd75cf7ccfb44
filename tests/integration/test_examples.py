"""Each example runs against a real server, and its application ends up as it says."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.hibernation import submit as hibernation
from taskmaster.client import Client, TaskFilter
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


@contextmanager
def running(name: str) -> Generator[str]:
    """An example's application, and where it is."""
    port = free_port()
    app = f"http://127.0.0.1:{port}"
    process = started(f"examples.{name}.app", str(port))
    try:
        until(lambda: httpx.get(f"{app}/state").status_code == 200)
        yield app
    finally:
        process.kill()
        process.wait()


def run(name: str, server: str, is_done: Callable[[Any], bool]) -> Any:
    """Start an example's application, submit its tasks, wait; the application's state."""
    with running(name) as app, Client(server) as client:
        submit = importlib.import_module(f"examples.{name}.submit").submit
        tasks: list[str] = submit(client, app)
        assert tasks
        until(lambda: is_done(httpx.get(f"{app}/state").json()))
        for task in tasks:
            until(partial(has_succeeded, client, task))
        return httpx.get(f"{app}/state").json()


@pytest.mark.slow
def test_idle_applications_are_hibernated_and_a_used_one_is_not(server: str) -> None:
    with running("hibernation") as app, Client(server) as client:
        shop, *others = hibernation.submit(client, app, idle="3s")
        hibernation.used(client, shop)
        for task in others:
            until(partial(has_succeeded, client, task))
        state = httpx.get(f"{app}/state").json()
        again = hibernation.submit(client, app, idle="3s")
        still = client.task(shop)

    assert state == {"shop": False, "wiki": True, "forum": True, "blog": True}
    assert still.state == "scheduled"
    assert again == [shop, *others], "the same keys are the same tasks"


@pytest.mark.slow
def test_stray_instances_are_swept_again_and_again(server: str) -> None:
    state = run("strays", server, lambda state: len(state["removed"]) == 2)
    with Client(server) as client:
        until(lambda: client.series("sweep-strays").open_task is not None)
        ended = client.end_series("sweep-strays", reason="seen enough")
        swept = [task.state for task in client.tasks(TaskFilter(series="sweep-strays"))]

    assert state == {"left": ["i-1", "i-3"], "removed": ["i-2", "i-4"]}
    assert ended.state == "ended"
    assert len(swept) >= 2, "a run that ended has a successor"


@pytest.mark.slow
def test_each_environment_is_undeployed_before_it_is_deployed(server: str) -> None:
    state = run("deploys", server, lambda state: len(state["steps"]) == 4)

    assert state["deployed"] == {"staging": "2", "production": "2"}
    assert not [step for step in state["steps"] if "over another" in step]


@pytest.mark.slow
def test_each_account_is_provisioned_once(server: str) -> None:
    state = run("accounts", server, lambda state: len(state) == 30)

    assert set(state.values()) == {1}


def test_every_example_says_what_it_is_for_and_how_to_run_it() -> None:
    for app in Path(ROOT, "examples").glob("*/app.py"):
        text = (app.parent / "README.md").read_text("utf-8")

        assert f"-m examples.{app.parent.name}.app" in text
        assert f"-m examples.{app.parent.name}.submit" in text


@pytest.mark.slow
def test_a_busy_system_is_asked_again_later(server: str) -> None:
    state = run("repositories", server, lambda state: len(state["made"]) == 3)

    with Client(server) as client:
        outcomes = [
            entry.fields["outcome"]
            for task in client.tasks(TaskFilter(gate="repositories"))
            for entry in client.history(task.id)
            if entry.type == "AttemptFailed"
        ]

    assert outcomes == ["throttled"]
    assert sorted(state["made"]) == ["team-a", "team-b", "team-c"]
    assert state["refusals"] == 1
