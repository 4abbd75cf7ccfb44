"""Completion in a real fish, against a real server."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server_process import COMMAND, ServerProcess, environment
from tests.integration.test_cli import Cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("fish") / "log.db") as running:
        assert Cli(running.url)("gate set completed --rate 1").code == 0
        yield running


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ga", ["gate"]),
        ("gate sh", ["show"]),
        ("gate show complet", ["completed"]),
        ("task list -g complet", ["completed"]),
        ("task list --due-", ["--due-after", "--due-before"]),
        ("task list -o n", ["name", "ndjson"]),
    ],
)
def test_fish_completes_commands_flags_and_names(
    server: ServerProcess, tmp_path: Path, line: str, expected: list[str]
) -> None:
    program = tmp_path / "taskmaster"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    script = f"""set PATH {tmp_path} $PATH
        taskmaster completion print fish | source
        complete -C 'taskmaster {line}'"""

    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment(TASKMASTER_URL=server.url, HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert sorted(one.partition("\t")[0] for one in done.stdout.splitlines()) == expected
