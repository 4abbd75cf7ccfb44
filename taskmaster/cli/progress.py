"""A bar on stderr for work that takes longer than half a second, if a person looks on.

Rules of residence: knows nothing of the work but how much of it is done.
"""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

SHOW_AFTER_S = 0.5


@contextmanager
def counting(what: str, unit: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Call what is given with how much more is done."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    bar = _Bar(what, unit, total)
    try:
        yield bar.count
    finally:
        bar.close()


class _Bar:
    """Counts; rich is imported only once the work has turned out to be long."""

    def __init__(self, what: str, unit: str, total: int | None) -> None:
        self._what, self._unit, self._total = what, unit, total
        self._done = 0
        self._show_at = time.monotonic() + SHOW_AFTER_S
        self._stop: Callable[[], None] = _nothing
        self._update: Callable[[int], None] | None = None

    def count(self, more: int) -> None:
        self._done += more
        if self._update is None and time.monotonic() >= self._show_at:
            self._open()
        if self._update is not None:
            self._update(self._done)

    def close(self) -> None:
        self._stop()

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(self._unit),
            TimeElapsedColumn(),
            console=Console(stderr=True, force_terminal=True),
            transient=True,
        )
        row = progress.add_task(self._what, total=self._total)
        progress.start()
        self._stop = progress.stop
        self._update = lambda done: progress.update(row, completed=done)


def _ignore(more: int) -> None:
    del more


def _nothing() -> None:
    pass
