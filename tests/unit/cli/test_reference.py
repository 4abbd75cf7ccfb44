"""docs/reference/cli.md says what the command line does."""

import re
import shlex
from pathlib import Path

import pytest

from taskmaster.cli.app import GROUPS, app
from taskmaster.cli.exits import MEANINGS
from tools.cli_reference import with_commands

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "cli.md"


def test_the_commands_are_those_of_the_command_line() -> None:
    text = PAGE.read_text("utf-8")

    assert with_commands(text) == text, "run python -m tools.cli_reference"


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    rows = re.findall(r"^\| `(\d+)` \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)

    assert {int(code): meaning for code, meaning in rows} == MEANINGS


def command_lines() -> list[str]:
    """What the documentation tells people to type, without pipes and comments."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text("utf-8") for page in pages).replace("\\\n", " ")
    text = text.replace(" 2>", " >")
    lines = re.findall(r"(?:^|\$ |\| |\(|`)bin/taskmaster ([a-z][^`\n|>&)]*)", text, re.MULTILINE)
    return sorted({line.partition(" #")[0].strip() for line in lines})


@pytest.mark.parametrize("line", command_lines())
def test_what_the_documentation_tells_to_type_is_understood(line: str) -> None:
    try:
        tokens = shlex.split(line)
    except ValueError:
        pytest.skip("cut off in the middle of a text in quotes")
    if tokens[0] in GROUPS and len(tokens) == 1:
        return

    app(with_help=False).parse_args(tokens, exit_on_error=False, print_error=False)
