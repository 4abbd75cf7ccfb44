"""Curves and bands of characters, for a terminal of any size.

Rules of residence: pure; numbers in, lines out, each of the width that was asked for. A curve has
two points to a column and four to a line (braille). Nothing is told by colour alone: a curve has
its name, its newest value and a letter for where it ends; a band has a letter for each state.
"""

from collections.abc import Callable, Sequence
from math import ceil, log10

from msgspec import Struct

from taskmaster.cli.paint import Paint

GUTTER = 8
"""Columns for the numbers of an axis."""
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800


class Curve(Struct, frozen=True):
    """Values by time, two to a column; None is a gap. One that is not `whole` may leave the plot
    at its top: a burst would press the others to the ground."""

    name: str
    values: Sequence[float | None]
    colour: str
    whole: bool = True

    @property
    def newest(self) -> float | None:
        """The last value that is known."""
        return next((value for value in reversed(self.values) if value is not None), None)


def plot(
    paint: Paint, curves: Sequence[Curve], width: int, height: int, text: Callable[[float], str]
) -> list[str]:
    """A line that names the curves, then `height` lines of them above zero."""
    whole = [curve for curve in curves if curve.whole]
    known = [value for curve in whole for value in curve.values if value is not None]
    top = _nice(max(known, default=0.0))
    columns = width - GUTTER
    cells = [[_BLANK] * columns for _ in range(height)]
    colours = [[""] * columns for _ in range(height)]
    for curve in curves:
        _draw(cells, colours, curve, top)
    lines = [_names(paint, curves, width, text)]
    for row in range(height):
        label = text(top) if row == 0 else "0" if row == height - 1 else ""
        axis = "┤" if label else "│"
        lines.append(
            f"{label:>{GUTTER - 1}.{GUTTER - 1}}{axis}" + _row(paint, cells[row], colours[row])
        )
    return lines


def _draw(cells: list[list[int]], colours: list[list[str]], curve: Curve, top: float) -> None:
    dots = len(cells) * 4
    before: int | None = None
    for x, value in enumerate(curve.values[: len(cells[0]) * 2]):
        if value is None:
            before = None
            continue
        y = min(dots - 1, max(0, dots - 1 - round(value / top * (dots - 1))))
        low, high = (y, y) if before is None else sorted((y, before))
        if before is not None and high > low:  # join to the point before, which has its own dot
            low, high = (low, high - 1) if y < before else (low + 1, high)
        for dot in range(low, high + 1):
            row, column = dot // 4, x // 2
            cells[row][column] |= _DOTS[x % 2][dot % 4]
            colours[row][column] = curve.colour
        before = y


def _row(paint: Paint, cells: Sequence[int], colours: Sequence[str]) -> str:
    """One line, each stretch of one colour tinted once."""
    parts: list[str] = []
    start = 0
    for end in range(1, len(cells) + 1):
        if end == len(cells) or colours[end] != colours[start]:
            text = "".join(" " if cell == _BLANK else chr(cell) for cell in cells[start:end])
            parts.append(paint.tint(text, colours[start]) if colours[start] else text)
            start = end
    return "".join(parts)


def _names(paint: Paint, curves: Sequence[Curve], width: int, text: Callable[[float], str]) -> str:
    line, used = " " * GUTTER, GUTTER
    for curve in curves:
        newest = curve.newest
        named = f"{curve.name} {'-' if newest is None else text(newest)}"
        if used + len(named) + 2 > width:
            break
        line += paint.tint(named, curve.colour) + "  "
        used += len(named) + 2
    return line + " " * (width - used)


def _nice(most: float) -> float:
    """The next round number from a value on."""
    if most <= 0:
        return 1.0
    unit = 10.0 ** ceil(log10(most) - 1)
    return next(
        unit * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * step >= most * 0.999_999
    )


def number(value: float) -> str:
    """A number in at most seven characters."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            by = 1e3 if sign == "k" else size
            return f"{value / by:.4g}{sign}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def duration(value_s: float) -> str:
    """A duration in at most seven characters."""
    if value_s < 1:
        return f"{value_s * 1e3:.3g}ms"
    return f"{value_s:.3g}s" if value_s < 600 else f"{value_s / 60:.3g}m"


# --- states over time -------------------------------------------------------------------------

LETTERS = {
    "open": ("─", "green"),
    "tripped": ("T", "red"),
    "probing": ("?", "yellow"),
    "ramping": ("/", "blue"),
    "paused": ("=", "yellow"),
    "draining": ("=", "yellow"),
    "closed": ("X", "red"),
    "quarantined": ("Q", "red"),
}
"""A state's sign in the band, and its colour."""
SIGNS = {
    "tripped": "T",
    "probing": "?",
    "recovered": "R",
    "paused": "P",
    "resumed": "r",
    "limits": "L",
    "quarantined": "Q",
    "released": "r",
}


def band(paint: Paint, states: Sequence[str | None], width: int) -> str:
    """The state of a gate, one sign for each column (two values)."""
    columns = width - GUTTER
    signs: list[tuple[str, str]] = []
    for column in range(columns):
        pair = [state for state in states[2 * column : 2 * column + 2] if state]
        # the one that is not open is what one looks for
        state = next((one for one in pair if one != "open"), pair[-1] if pair else "")
        signs.append(LETTERS.get(state, (" ", "")))
    line, start = "", 0
    for end in range(1, columns + 1):
        if end == columns or signs[end] != signs[start]:
            text = signs[start][0] * (end - start)
            line += paint.tint(text, signs[start][1]) if signs[start][1] else text
            start = end
    return f"{'state':>{GUTTER - 1}} " + line


def marks(paint: Paint, moments: Sequence[tuple[float, str]], width: int) -> str:
    """What happened, at its place: `moments` are shares of the time and what to write there."""
    columns = width - GUTTER
    cells = [" "] * columns
    for share, text in moments:
        at = min(columns - len(text), max(0, int(share * columns)))
        if at >= 0 and all(cell == " " for cell in cells[at : at + len(text)]):
            cells[at : at + len(text)] = text
    return " " * GUTTER + paint.tint("".join(cells), "yellow")


def axis(paint: Paint, begin: str, end: str, width: int) -> str:
    """From when to when."""
    gap = max(1, width - GUTTER - len(begin) - len(end))
    return " " * GUTTER + paint.tint(begin + " " * gap + end, "grey")
