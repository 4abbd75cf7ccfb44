"""What every benchmark shares: arguments, alternating runs, medians, the table and its verdicts.

Rules of residence: nothing here knows TaskMaster. A table goes to stdout, progress to stderr.
"""

import argparse
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn, TypeVar

T = TypeVar("T")

HEAD = ("what", "measured", "baseline", "ratio", "target", "verdict")


class Target(NamedTuple):
    """What the figure has to be; the bound itself is good enough."""

    side: Literal["at least", "at most"]
    bound: float

    def verdict(self, figure: float) -> str:
        is_met = figure >= self.bound if self.side == "at least" else figure <= self.bound
        return "met" if is_met else "missed"


class Row(NamedTuple):
    """One line: a figure, the same of the baseline in the same run, and what was asked for."""

    what: str
    measured: float
    baseline: float | None = None
    target: Target | None = None

    def cells(self) -> tuple[str, ...]:
        ratio = self.measured / self.baseline if self.baseline else None
        target = self.target
        return (
            self.what,
            _figure(self.measured),
            "" if self.baseline is None else _figure(self.baseline),
            "" if ratio is None else _figure(ratio),
            "" if target is None else f"{target.side} {_figure(target.bound)}",
            "" if target is None else target.verdict(self.measured),
        )


def parser(doc: str | None, *, tasks: int | None = None) -> argparse.ArgumentParser:
    """The arguments that they have in common; `doc` is the module's."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--path", default=None, help="directory on the disk to measure")
    if tasks is not None:
        made.add_argument("--tasks", type=int, default=tasks, help=f"default {tasks}")
    return made


@contextmanager
def folder(path: str | None) -> Generator[Path]:
    """A directory for logs; it goes with all that is in it, after a SIGTERM too."""
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(dir=path, prefix="taskmaster-bench-") as name:
        yield Path(name)


def alternate(rounds: int, *works: Callable[[], T]) -> list[list[T]]:
    """What each of `works` gave, in turns, so that all meet the same machine."""
    results: list[list[T]] = [[] for _ in works]
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}")
        for work, seen in zip(works, results, strict=True):
            seen.append(work())
    return results


def median(figures: Sequence[float]) -> float:
    return statistics.median(figures)


def median_ratio(ours: Sequence[float], base: Sequence[float]) -> float:
    """The median over pairs of neighbours: what slows the machine down meets both of a pair."""
    return statistics.median(a / b for a, b in zip(ours, base, strict=True))


def percentile(figures: Sequence[float], share: float) -> float:
    """The figure that `share` of them do not exceed."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def say(text: str) -> None:
    """Progress."""
    print(f"  {text}", file=sys.stderr, flush=True)


def table(title: str, rows: Sequence[Row]) -> None:
    """Print what was found, and on what machine."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    print(title)
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    load = os.getloadavg()[0]
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}")


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _figure(figure: float) -> str:
    if figure == int(figure) or abs(figure) >= 1_000:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if abs(figure) >= 100 else f"{figure:.4g}"
