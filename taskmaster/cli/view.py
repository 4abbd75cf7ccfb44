"""How a command shows what it found: `-o`, `--local`, colour; and the connection it asks.

Rules of residence: the one place that writes results to stdout. JSON is the server's own document,
so that nothing is renamed and no field of a newer server is lost.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import msgspec
from cyclopts import Group, Parameter
from msgspec import Struct

from taskmaster.cli.paint import Column, Paint, table

T = TypeVar("T")
Output = Literal["table", "wide", "json", "ndjson", "yaml", "name"]
GROUP = Group("Output", sort_key=10)


@Parameter(name="*")
@dataclass(frozen=True)
class View:
    """What every command understands that prints."""

    output: Annotated[
        Output,
        Parameter(
            name=("--output", "-o"),
            env_var="TASKMASTER_OUTPUT",
            group=GROUP,
            show_default=True,
        ),
    ] = "table"
    """How results are written; json is the API's own document."""
    local: Annotated[bool, Parameter(group=GROUP)] = False
    """Show local time instead of UTC."""
    no_color: Annotated[bool, Parameter(group=GROUP, env_var=())] = False
    """No colour, as with NO_COLOR in the environment."""
    url: Annotated[str | None, Parameter(group=GROUP, env_var="TASKMASTER_URL")] = None
    """Where the server is, http://127.0.0.1:8123 if nothing says otherwise."""
    debug: Annotated[bool, Parameter(group=GROUP)] = False
    """Show the traceback of an error."""

    def paint(self) -> Paint:
        """Colour for a terminal, unless NO_COLOR; elsewhere only with FORCE_COLOR."""
        return Paint(colour=not self.no_color and wants_colour(), width=columns(), local=self.local)


VIEW = View()


class Shown(Struct, frozen=True):
    """A result: the server's document, the same as text, and the names of what is in it. `note`
    is for the person; the document says it too."""

    document: bytes
    text: Callable[[Paint], str]
    names: Sequence[str] = ()
    note: str = ""


def columns() -> int | None:
    """COLUMNS, or the width of the terminal; None in a pipe.

    shutil knows it too, and takes 10 ms to import its archive formats.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    if not sys.stdout.isatty():
        return None
    return os.get_terminal_size(sys.stdout.fileno()).columns or None


def wants_colour() -> bool:
    """NO_COLOR, then FORCE_COLOR, then whether stdout is a terminal (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def show(view: View, shown: Shown) -> None:
    """Write a result to stdout in the form that was asked for."""
    if text := render(view, shown):
        print(text)
    if shown.note and view.output not in {"json", "yaml"}:
        sys.stdout.flush()
        say(shown.note)


def render(view: View, shown: Shown) -> str:
    """A result in the form that was asked for."""
    match view.output:
        case "table" | "wide":
            return shown.text(view.paint())
        case "json":
            return msgspec.json.format(shown.document, indent=2).decode()
        case "ndjson":
            return "\n".join(item.decode() for item in items(shown.document))
        case "yaml":
            content = msgspec.json.decode(shown.document)
            return msgspec.yaml.encode(content).decode().rstrip("\n")
        case "name":
            return "\n".join(shown.names)


class _Items(Struct):
    items: list[msgspec.Raw]


def items(document: bytes) -> list[bytes]:
    """The objects of a list, or the one object that it is."""
    try:
        return [bytes(item) for item in msgspec.json.decode(document, type=_Items).items]
    except msgspec.ValidationError:
        return [document]


def listing(view: View, columns: Sequence[Column[T]], rows: Sequence[T]) -> Callable[[Paint], str]:
    """A table of rows; with `-o wide` all columns."""
    shown = [column for column in columns if view.output == "wide" or not column.wide]
    return lambda paint: table(paint, shown, rows)


def say(text: str) -> None:
    """Tell the person something that is not the result."""
    print(text, file=sys.stderr)
