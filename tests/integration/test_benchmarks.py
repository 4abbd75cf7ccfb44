"""That each benchmark runs and prints its table; what the figures are is not looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.recovery.__main__ import Run, keep
from benchmarks.recovery.story import Story, live

ROOT = Path(__file__).parents[2]


def printed(tmp_path: Path, module: str, arguments: str) -> str:
    """What it wrote to stdout."""
    command = [sys.executable, "-m", module, *arguments.split(), "--path", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("drain", "--tasks 200 --gates 2 --rounds 1"),
        ("submit", "--tasks 1000 --singles 64 --rounds 1"),
        ("lateness", "--rate 50 --seconds 1"),
        ("pace", "--rates 50 --kill 50 --seconds 0.5"),
        ("million", "--tasks 3000 --starts 1 --seconds 0.1"),
        ("idle_gates", "--gates 20 --seconds 0.2"),
        ("log_growth", "--sizes 300,600 --tasks 50 --rounds 1"),
        ("fairness", "--tasks 600 --keys 60 --starts 100 --rounds 1"),
        ("family", "--tasks 200 --gates 2 --rounds 1"),
        ("supervision", "--children 300 --rounds 1"),
    ],
)
def test_a_benchmark_prints_its_table(tmp_path: Path, name: str, arguments: str) -> None:
    head, columns, *rows = printed(tmp_path, f"benchmarks.{name}", arguments).splitlines()

    assert head.startswith(f"{name}: ")
    assert columns.split() == ["what", "measured", "baseline", "ratio", "target", "verdict"]
    assert any(row.endswith(("met", "missed")) for row in rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_arguments_the_benchmarks_are_listed() -> None:
    command = [sys.executable, "-m", "benchmarks"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)

    names = [line.split()[0] for line in ran.stdout.splitlines()]
    assert names[:3] == ["drain", "submit", "lateness"]


@pytest.mark.slow
def test_the_recovery_benchmark_measures_and_draws(tmp_path: Path) -> None:
    """With the real server and endpoint, but a backlog of seconds."""
    story = Story("metastable", "adaptive", 250, 1, 50, 5.0, 2.0, 60.0)

    found = live(story, tmp_path)
    keep(tmp_path / "drawn", Run(story, found))

    assert found.drained_s is not None
    assert (found.crashes, found.open, found.unexplained) == (0, 0, 0)
    assert sorted(file.name for file in (tmp_path / "drawn").iterdir()) == [
        "backlog.svg",
        "cost.svg",
        "in-flight.svg",
        "runs.json",
        "work.svg",
    ]
