"""Text for people: tables, pairs, instants, with colour where it is wanted.

Rules of residence: pure; strings in, strings out. No box drawing, so that a table reads the same
in a pipe. Whatever came from elsewhere is made printable here: a reason or a response may hold
control sequences.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, TypeVar
from unicodedata import east_asian_width

from msgspec import Struct

T = TypeVar("T")

COLOURS = {
    "green": "32",
    "yellow": "33",
    "red": "31",
    "blue": "34",
    "grey": "90",
}
STATE_COLOURS = {
    "succeeded": "green",
    "open": "green",
    "active": "green",
    "running": "green",
    "ok": "green",
    "in_flight": "blue",
    "ramping": "blue",
    "probing": "yellow",
    "paused": "yellow",
    "draining": "yellow",
    "uncertain": "yellow",
    "cancel_requested": "yellow",
    "warn": "yellow",
    "restarting": "yellow",
    "tripped": "red",
    "dead": "red",
    "closed": "red",
    "quarantined": "red",
    "stopped": "red",
    "fail": "red",
    "cancelled": "grey",
    "expired": "grey",
    "ended": "grey",
}
COLOURED_COLUMNS = frozenset({"STATE", "MODE", "ANSWER", "RESULT"})
GAP = "  "


class Paint(Struct, frozen=True):
    """How to write. `width` None cuts nothing."""

    colour: bool = False
    width: int | None = None
    local: bool = False

    def instant(self, at: datetime | None, *, exact: bool = False) -> str:
        """RFC 3339 in UTC, or in local time with its offset."""
        if at is None:
            return "-"
        precision = "milliseconds" if exact else "seconds"
        if self.local:
            return at.astimezone().isoformat(timespec=precision)
        return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")

    def nanoseconds(self, at_ns: int | None) -> str:
        """The same for a reading of the wall clock."""
        return self.instant(None if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, UTC))

    def tint(self, text: str, colour: str) -> str:
        """The text in a colour, if there is any."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.colour else text

    def state(self, text: str) -> str:
        """A state in its colour; the word says the same."""
        colour = STATE_COLOURS.get(text.strip())
        return self.tint(text, colour) if colour else text


class Column(Struct, Generic[T], frozen=True):
    """One column of a table: its title, and a row's text in it. `wide`: only with `-o wide`."""

    title: str
    text: Callable[[T, Paint], str]
    wide: bool = False


def table(paint: Paint, columns: Sequence[Column[T]], rows: Sequence[T]) -> str:
    """Aligned columns under titles, cut at the width; no rows is the titles alone."""
    cells = [[printable(column.text(row, paint)) for column in columns] for row in rows]
    titles = [column.title for column in columns]
    widths = [max(map(cell_width, column)) for column in zip(titles, *cells, strict=True)]
    lines = [_line(paint, titles, titles, widths)]
    lines += [_line(paint, titles, row, widths) for row in cells]
    return "\n".join(lines)


def pairs(paint: Paint, given: Sequence[tuple[str, str]]) -> str:
    """One thing: a name and a value to each line; empty values are left out."""
    shown = [(name, printable(value)) for name, value in given if value]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(
        f"{paint.tint(name.ljust(width), 'grey')}{GAP}"
        f"{paint.state(value) if name in {'state', 'mode'} else value}"
        for name, value in shown
    )


def printable(text: str) -> str:
    """The text on one line, without what would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def cell_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def _line(paint: Paint, titles: Sequence[str], cells: Sequence[str], widths: Sequence[int]) -> str:
    left = paint.width
    parts: list[str] = []
    last = len(cells) - 1
    for index, (title, cell, width) in enumerate(zip(titles, cells, widths, strict=True)):
        text = cell if index == last else cell + " " * (width - cell_width(cell)) + GAP
        if left is not None:
            text = _cut(text, left)
            left -= cell_width(text)
        is_state = title in COLOURED_COLUMNS and cell is not title
        parts.append(paint.state(text) if is_state else text)
    return "".join(parts).rstrip()


def _cut(text: str, width: int) -> str:
    """The text in at most `width` columns. What is cut fills them, so that nothing follows."""
    if cell_width(text) <= width:
        return text
    kept = text.rstrip()
    if cell_width(kept) > width:
        while kept and cell_width(kept) >= max(width, 1):
            kept = kept[:-1]
        kept = f"{kept}…" if width > 0 else ""
    return kept + " " * (width - cell_width(kept))


def _escaped(char: str) -> str:
    return " " if char in "\r\n\t" else char.encode("unicode_escape").decode("ascii")
