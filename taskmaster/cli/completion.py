"""`completion`: scripts that let a shell complete commands, flags and names.

Rules of residence: the scripts are cyclopts'; names of gates and series they ask of `__complete`
(`names.py`).
"""

from typing import Annotated, Literal

from cyclopts import Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.view import VIEW, View, say

app = tree.group("completion")
Shell = Literal["bash", "zsh", "fish"]


@app.command(name="print")
def print_script(shell: Shell, /, *, view: View = VIEW) -> None:
    """Print the script, for a shell's own set-up: source <(taskmaster completion print bash).

    Args:
        shell: For which shell.
    """
    del view
    print(tree.app().generate_completion(shell=shell))
    if shell == "zsh":  # its script is made for a file in fpath; one that is sourced must say so
        print("compdef _cyclopts_taskmaster taskmaster")


@app.command
def install(
    shell: Shell | None = None,
    /,
    *,
    rc: Annotated[bool, Parameter(negative="--no-rc")] = True,
    view: View = VIEW,
) -> None:
    """Write the script to where the shell looks for it.

    Args:
        shell: For which shell; that of now if left out.
        rc: Add a line to ~/.bashrc or ~/.zshrc that loads it.
    """
    from cyclopts.completion.detect import ShellDetectionError

    from taskmaster.cli.exits import UsageError

    del view
    try:
        path = tree.app().install_completion(shell=shell, add_to_startup=rc)
    except ShellDetectionError as error:
        raise UsageError(
            "which shell this is cannot be told", remedy="name it: bash, zsh or fish"
        ) from error
    say(f"written to {path}; it works in the next shell")
