"""That each benchmark runs and prints its table; what the figures are is not looked at."""

import subprocess
import sys
from pathlib import Path

import pytest

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
