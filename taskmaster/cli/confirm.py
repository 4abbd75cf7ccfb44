"""Ask before many things change.

Rules of residence: the only place that reads an answer from a person.
"""

import sys
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from taskmaster.cli.exits import UsageError

GROUP = Group("Change", sort_key=8)


@Parameter(name="*")
@dataclass(frozen=True)
class Bulk:
    """How a change of many things is guarded."""

    dry_run: Annotated[bool, Parameter(group=GROUP)] = False
    """Count what would change, and change nothing."""
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), group=GROUP)] = False
    """Do not ask."""
    reason: Annotated[str, Parameter(group=GROUP)] = ""
    """Why, for the log."""


BULK = Bulk()


def confirm(question: str, *, yes: bool) -> bool:
    """Whether the person says so. Nobody there to ask is a usage error, never a yes."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question} cannot be asked here", remedy="say --yes, or try --dry-run")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def counted_in_words(count: int) -> str:
    """`1 task`, `12 tasks`."""
    return "1 task" if count == 1 else f"{count} tasks"
