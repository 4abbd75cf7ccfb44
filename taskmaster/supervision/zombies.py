"""Coroutines that outlive their actor: counted, and too many of them end the process.

Rules of residence: a coroutine cannot be killed, only told to end (`CancelledError`), and it may go
on all the same. Nobody hears of what it does then; but it holds what it holds.
"""

import asyncio
from collections.abc import Callable, Iterable

from taskmaster.supervision.specs import SECOND_NS


class Zombies:
    """The coroutines that went on after they were told to end."""

    def __init__(
        self, limit: int, too_many: Callable[[int], None], grace_ns: int = SECOND_NS
    ) -> None:
        """`too_many` is called when more than `limit` go on for `grace_ns`; it ends the process."""
        self._limit = limit
        self._too_many = too_many
        self._grace_ns = grace_ns
        self._going_on: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._going_on)

    def look_at(self, left: "Iterable[asyncio.Task[object]]") -> None:
        """An actor has ended and these had not; look again after the grace."""
        left = [task for task in left if not task.done()]
        if left:
            loop = asyncio.get_running_loop()
            loop.call_later(self._grace_ns / SECOND_NS, self._count, left)

    def _count(self, left: "Iterable[asyncio.Task[object]]") -> None:
        for task in left:
            if not task.done():
                self._going_on.add(task)
                task.add_done_callback(self._going_on.discard)
        if len(self._going_on) > self._limit:
            self._too_many(len(self._going_on))
