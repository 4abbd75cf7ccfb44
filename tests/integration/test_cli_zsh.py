"""The completion script in a real zsh: it is read, and takes over the command."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.server_process import COMMAND, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here"),
]


def test_zsh_takes_the_printed_script(tmp_path: Path) -> None:
    script = f"""autoload -Uz compinit; compinit -u -d {tmp_path}/dump
        source <({shlex.join(COMMAND)} completion print zsh)
        print $_comps[taskmaster] $+functions[_cyclopts_taskmaster]"""

    done = subprocess.run(
        ["zsh", "-f", "-c", script],
        env=environment(HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == ["_cyclopts_taskmaster", "1"]
    assert done.stderr == ""
