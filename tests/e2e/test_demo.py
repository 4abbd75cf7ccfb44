"""The demonstration keeps its promises, without a terminal and with a short backlog."""

import os
import subprocess
import sys

import pytest

from taskmaster.demo.processes import ROOT
from taskmaster.demo.scenario import most_within


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_the_demo_tells_its_story_and_breaks_no_promise() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "taskmaster.cli.main", "demo", "--tasks", "600"],
        env={**os.environ, "PYTHONPATH": ROOT, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr
    for act in ("the application goes down", "kill -9 of the server", "the backlog is gone"):
        assert act in told.stdout
    assert "600" in told.stdout


def test_the_fullest_interval_is_found_wherever_it_begins() -> None:
    assert most_within([0.0, 0.9, 1.0, 1.8, 1.9, 3.0], 1.0) == 4
    assert most_within([], 1.0) == 0
