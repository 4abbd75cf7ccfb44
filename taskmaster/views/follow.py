"""Waiting for what is committed next: streams of events wait for the log to go on, callers for
one task to move.

Rules of residence: on the loop's thread, told by the journal after each commit; reads nothing.
"""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from taskmaster.events.log import Append
from taskmaster.events.types import SECOND, Position, Stream

MAX_WAITING = 1_000
"""More who wait at once are answered without waiting."""


class Follow:
    """Where the log stands, and waits for it to go on."""

    def __init__(self) -> None:
        """Know nothing before the first commit of this process."""
        self._position = Position(0)
        self._waiting = 0
        self._next: asyncio.Future[None] | None = None
        self._watched: dict[Stream, set[asyncio.Event]] = {}

    def committed(self, position: Position, appends: Iterable[Append]) -> None:
        """Hear that the log reaches to `position`, and what was appended last."""
        self._position = position
        future, self._next = self._next, None
        if future is not None and not future.done():
            future.set_result(None)
        if self._watched:
            for append in appends:
                for write in append.writes:
                    for moved in self._watched.get(write.stream, ()):
                        moved.set()

    async def after(self, position: Position, wait_ns: int) -> bool:
        """Whether the log reaches beyond `position`, waiting up to `wait_ns` for it to do so."""
        if self._position > position:
            return True
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(wait_ns / SECOND):
                while self._position <= position:
                    await asyncio.shield(self._coming())
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def _coming(self) -> "asyncio.Future[None]":
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    @contextmanager
    def watch(self, stream: Stream) -> Generator[asyncio.Event | None]:
        """Set with each commit to `stream` until left; None when too many wait already."""
        if self._waiting >= MAX_WAITING:
            yield None
            return
        moved = asyncio.Event()
        self._waiting += 1
        self._watched.setdefault(stream, set()).add(moved)
        try:
            yield moved
        finally:
            self._waiting -= 1
            watching = self._watched[stream]
            watching.remove(moved)
            if not watching:
                del self._watched[stream]

    @property
    def position(self) -> Position:
        """How far the log reached at the last commit of this process; 0 before the first."""
        return self._position

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._waiting
