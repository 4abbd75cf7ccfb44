"""What a start costs, by what it imports: heavy parts are loaded inside commands only."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = {
    "eventsourcing",
    "httpx",
    "prometheus_client",
    "pykka",
    "pyreqwest",
    "sqlite3",
    "starlette",
    "structlog",
    "uvicorn",
    "uvloop",
    "yaml",
}
LOADED = """
import sys
from taskmaster.cli.main import run
code = run(sys.argv[1:])
sys.stdout.flush()
print(code, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def loaded(*arguments: str) -> tuple[str, set[str]]:
    """The exit code of a command, and what it imported."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TASKMASTER_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    code, *names = done.stderr.splitlines()[-1].split()
    return code, set(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("--help",), ("task", "list", "--help"), ("gate", "set", "-h")]
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code, names = loaded(*arguments)

    assert code == "0"
    assert names & HEAVY == set()


@pytest.mark.slow
def test_a_command_loads_the_client_and_no_more() -> None:
    code, names = loaded("task", "list")

    assert code == "6"
    assert names & {*HEAVY, "rich", "click", "pygments"} == {"httpx"}


@pytest.mark.slow
def test_names_for_a_shell_load_neither_cyclopts_nor_httpx() -> None:
    code, names = loaded("__complete", "gate", "show", "")

    assert code == "0"
    assert names & {*HEAVY, "cyclopts", "rich", "attrs"} == set()
