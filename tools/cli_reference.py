"""Writes the commands into docs/reference/cli.md, from the commands themselves.

Rules of residence: replaces what is between the two marks and nothing else. Run from the root:
`python -m tools.cli_reference`; a test compares.
"""

import io
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App
from rich.console import Console

from taskmaster.cli.app import COMMANDS, GROUPS, app

PAGE = Path("docs/reference/cli.md")
BEGIN = "<!-- commands: python -m tools.cli_reference -->\n"
END = "<!-- end of commands -->\n"
SHARED = ("Output:", "Watch:", "Exit codes")
WIDTH = 100


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(with_commands(PAGE.read_text("utf-8")), "utf-8")


def with_commands(page: str) -> str:
    """The page with the commands as they are now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{''.join(_sections())}{END}{tail}"


def commands(root: App) -> Iterator[tuple[str, ...]]:
    """Every command that does something, in the order of --help."""
    for name in sorted({**GROUPS, **COMMANDS}):
        if name in COMMANDS:
            yield (name,)
        else:
            yield from ((name, verb) for verb in sorted(root[name]) if not verb.startswith("-"))


def _sections() -> Iterator[str]:
    root = app()
    for command in commands(root):
        text = _without_shared(_help(root, command))
        yield f"### {' '.join(command)}\n```text\n{text}\n```\n"


def _help(root: App, command: tuple[str, ...]) -> str:
    to = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False)
    root.help_print(command, console=to)
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def _without_shared(text: str) -> str:
    """What all commands have in common stands once, above them."""
    blocks = [block.rstrip() for block in text.strip().split("\n\n")]
    kept = [block for block in blocks if block and not block.lstrip().startswith(SHARED)]
    return "\n\n".join(line for block in kept for line in [block])


if __name__ == "__main__":
    main()
