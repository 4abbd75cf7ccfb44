"""The demonstration keeps its promises, and leaves nothing behind however it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from taskmaster.demo.processes import ROOT

DEADLINE_S = 60


def told(folder: Path, *flags: str) -> "subprocess.Popen[str]":
    """The demonstration in a process of its own, whose children live in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-m", "taskmaster.cli.main", "demo", *flags],
        env={**os.environ, "PYTHONPATH": ROOT, "COLUMNS": "120", "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def living(folder: Path) -> list[int]:
    """Processes that live in `folder`."""
    places = {each.pid: each.info["cwd"] for each in psutil.process_iter(["cwd"])}
    return [pid for pid, at in places.items() if at and Path(at).is_relative_to(folder)]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_demo_breaks_no_promise_and_the_other_arm_falls_over(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    telling = told(tmp_path, "--tasks", "600", "--svg", str(picture))
    output, errors = telling.communicate(timeout=180)

    assert telling.returncode == 0, output + errors
    acts = [
        "the application goes down",
        "600 tasks are acknowledged while nobody answers",
        "kill -9 of the server",
        "the application comes back, cold",
        "gate off: the other application falls over",
        "what was open at the kill is sent again",
        "the backlog is gone",
    ]
    assert [act for act in acts if act not in output] == []
    crashed = re.search(r"the application crashed *│ *(\d+) │ *(\d+)", output)
    assert crashed is not None
    assert crashed[1] == "0"
    assert int(crashed[2]) >= 1
    drawn = picture.read_text("utf-8")
    assert drawn.startswith("<svg")
    assert "https://cdn" not in drawn, "a picture fetches nothing"
    assert living(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_takes_its_children_with_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    telling = told(tmp_path)
    deadline = time.monotonic() + DEADLINE_S
    assert telling.stdout is not None
    while "goes down" not in telling.stdout.readline():
        assert time.monotonic() < deadline
    assert len(living(tmp_path)) == 3

    telling.send_signal(number)
    _, errors = telling.communicate(timeout=DEADLINE_S)

    assert telling.returncode == 130, errors
    assert errors == ""
    assert living(tmp_path) == []


def test_a_number_of_tasks_out_of_range_is_refused_before_anything_starts(tmp_path: Path) -> None:
    telling = told(tmp_path, "--tasks", "1")
    _, errors = telling.communicate(timeout=DEADLINE_S)

    assert telling.returncode == 2
    assert errors.startswith("error: tasks must be 400 to 20000 (it is 1)")
