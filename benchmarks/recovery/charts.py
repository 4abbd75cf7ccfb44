"""The four figures, as SVG: work, what is in flight, the backlog, and what it cost.

Rules of residence: numbers to text; knows nothing of how they came about.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from benchmarks.recovery.measured import Measured, Second

WIDTH, PANEL, LEFT, TOP, GAP = 760, 96, 64, 44, 38
RIGHT = 20
INK, FAINT, SHADE, CRASH = "#444", "#ccc", "#f3e3e3", "#c0392b"
STARTED, MAIN = "#b0b7c0", "#2b6cb0"
SMOOTH_S = 3
FONT = "font-family='sans-serif' font-size='11'"


class Line(NamedTuple):
    """One line of a panel."""

    label: str
    colour: str
    value: Callable[[Second], float]


def draw(directory: Path, runs: Mapping[str, Measured]) -> None:
    """Write all four; each run has a panel, on the scales of its figure."""
    names: dict[str, tuple[str, tuple[Line, ...]]] = {
        "work": (
            "started and succeeded per second",
            (
                Line("started", STARTED, lambda one: one.started),
                Line("succeeded", MAIN, lambda one: one.succeeded),
            ),
        ),
        "in-flight": ("in flight at the endpoint", (Line("", MAIN, lambda one: one.in_flight),)),
        "backlog": ("tasks that have not ended", (Line("", MAIN, lambda one: one.backlog),)),
    }
    for name, (title, lines) in names.items():
        (directory / f"{name}.svg").write_text(panels(title, runs, lines), "utf-8")
    (directory / "cost.svg").write_text(bars(runs), "utf-8")


def panels(title: str, runs: Mapping[str, Measured], lines: Sequence[Line]) -> str:
    """A panel for each run: time from left to right, the outage shaded, crashes marked."""
    first = min(run.seconds[0].at_s for run in runs.values())
    last = max(run.seconds[-1].at_s for run in runs.values())
    parts = [_text(LEFT, 18, title, size=14), *_legend(lines)]
    for number, (name, run) in enumerate(runs.items()):
        top = TOP + number * (PANEL + GAP)
        curves = [_smooth([line.value(one) for one in run.seconds]) for line in lines]
        highest = max(1.0, *(max(curve) for curve in curves))

        def x(at_s: float) -> float:
            return LEFT + (at_s - first) / (last - first) * (WIDTH - LEFT - RIGHT)

        def y(value: float, top: int = top, highest: float = highest) -> float:
            return top + PANEL * (1 - value / highest)

        began = x(run.seconds[0].at_s)
        parts.append(_rect(began, top, x(0) - began, PANEL, SHADE))
        parts.append(_stroke([(LEFT, top + PANEL), (WIDTH - RIGHT, top + PANEL)], FAINT))
        for line, curve in zip(lines, curves, strict=True):
            places = zip((x(one.at_s) for one in run.seconds), map(y, curve), strict=True)
            parts.append(_stroke(list(places), line.colour, width=1.4))
        crashes = map(x, run.crashes_at_s)
        parts.extend(_stroke([(at, top), (at, top + PANEL)], CRASH) for at in crashes)
        parts.append(_text(LEFT, top - 5, _about(name, run)))
        parts.append(_text(LEFT - 6, top + 9, f"{highest:,.0f}", anchor="end"))
        parts.append(_text(LEFT - 6, top + PANEL, "0", anchor="end"))
        if number == len(runs) - 1:
            below = top + PANEL + 15
            marks = range(0, last + 1, 30)
            parts.extend(_text(x(at_s), below, f"{at_s} s", anchor="middle") for at_s in marks)
    return _svg(TOP + len(runs) * (PANEL + GAP), parts)


def bars(runs: Mapping[str, Measured]) -> str:
    """Time to drain, done twice, dead letters, crashes: a group for each, a bar for each run."""
    groups: tuple[tuple[str, Callable[[Measured], float | None]], ...] = (
        ("seconds to drain", lambda run: run.drained_s),
        ("tasks done twice", lambda run: run.done_twice),
        ("dead letters", lambda run: run.dead),
        ("crashes of the endpoint", lambda run: run.crashes),
    )
    row, label = 16, 150
    parts = [_text(LEFT, 18, "what it cost", size=14)]
    top = TOP
    for title, value in groups:
        parts.append(_text(LEFT, top, title))
        highest = max([1.0, *(value(run) or 0.0 for run in runs.values())])
        for number, (name, run) in enumerate(runs.items()):
            at, figure = top + 6 + number * row, value(run)
            length = (WIDTH - label - 130) * (1.0 if figure is None else figure / highest)
            parts.append(_text(label, at + 11, name.partition(" ")[2], anchor="end"))
            parts.append(_rect(label + 6, at, length, row - 4, FAINT if figure is None else MAIN))
            shown = "never" if figure is None else f"{figure:,.0f}"
            parts.append(_text(label + 12 + length, at + 11, shown))
        top += 30 + len(runs) * row
    return _svg(top, parts)


def _about(name: str, run: Measured) -> str:
    ended = "not drained" if run.drained_s is None else f"drained after {run.drained_s:.0f} s"
    crashes = f", {run.crashes} crashes" if run.crashes else ""
    return f"{name.partition(' ')[2]}: {ended}{crashes}"


def _smooth(values: Sequence[float]) -> list[float]:
    """The mean of neighbours: a second is too short to compare."""
    half = SMOOTH_S // 2
    windows = (values[max(0, at - half) : at + half + 1] for at in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _legend(lines: Sequence[Line]) -> list[str]:
    marks: list[str] = []
    for number, line in enumerate(line for line in lines if line.label):
        at = WIDTH - RIGHT - 90 * (number + 1)
        marks.append(_rect(at, 10, 10, 8, line.colour))
        marks.append(_text(at + 14, 18, line.label))
    return marks


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' fill='{INK}'"
        f" style='font-size:{size}px'>{escape(text)}</text>"
    )


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height}' fill='{colour}'/>"


def _stroke(points: Sequence[tuple[float, float]], colour: str, *, width: float = 1.0) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}'/>"


def _svg(height: int, parts: Sequence[str]) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' {FONT}>"
    ground = f"<rect width='{WIDTH}' height='{height}' fill='#fff'/>"
    return "\n".join((head, ground, *parts, "</svg>", ""))
