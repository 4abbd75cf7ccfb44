"""Bars of text, a column for each look.

Rules of residence: numbers to text; knows nothing of what they mean.
"""

from collections.abc import Sequence

from msgspec import Struct
from rich.text import Text

EIGHTHS = " ▁▂▃▄▅▆▇█"


class Column(Struct, frozen=True):
    """One look: how high, and in which style."""

    value: float
    style: str


def chart(
    columns: Sequence[Column], *, width: int, height: int, line: float = 0.0, top: float = 1.0
) -> Text:
    """Bars of `height` rows. With a `line`, it runs under the uppermost row, and whatever is
    above it is red; else the highest bar, or `top`, fills the height."""
    shown = squeezed(columns, width)
    highest = max([top, *(one.value for one in shown)])
    if line:
        highest = line * height / (height - 1)
    drawn = Text()
    for row in reversed(range(height)):
        is_uppermost = row == height - 1
        for column in shown:
            level = round(column.value / highest * height * 8)
            filled = min(8, max(0, level - row * 8))
            if line and is_uppermost and filled == 0:
                drawn.append("▁", "bright_black")
            else:
                drawn.append(EIGHTHS[filled], "red" if line and is_uppermost else column.style)
        if line and is_uppermost:
            drawn.append("▁" * (width - len(shown)), "bright_black")
        drawn.append("\n")
    drawn.rstrip()
    return drawn


def squeezed(columns: Sequence[Column], width: int) -> list[Column]:
    """At most `width` columns: neighbours become one, as high as the highest of them."""
    if len(columns) <= width:
        return list(columns)
    bounds = [round(number * len(columns) / width) for number in range(width + 1)]
    groups = [columns[bounds[number] : bounds[number + 1]] for number in range(width)]
    return [max(group, key=lambda one: one.value) for group in groups]
