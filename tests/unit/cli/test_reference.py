"""docs/reference/cli.md says what the command line does."""

import re
from pathlib import Path

from taskmaster.cli.exits import MEANINGS
from tools.cli_reference import with_commands

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_commands_are_those_of_the_command_line() -> None:
    text = PAGE.read_text("utf-8")

    assert with_commands(text) == text, "run python -m tools.cli_reference"


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    rows = re.findall(r"^\| `(\d+)` \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)

    assert {int(code): meaning for code, meaning in rows} == MEANINGS
