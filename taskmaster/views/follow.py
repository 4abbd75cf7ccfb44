"""The newest position of the log, for whoever waits for the next: streams of events, and callers
who wait for a task's end.

Rules of residence: on the loop's thread; reads nothing but the position. `committed` is for the
journal to tell; until it does, the position is asked for while somebody waits.
"""

import asyncio

from taskmaster.events.log import Reader
from taskmaster.events.types import MILLISECOND, SECOND, Position

ASK_EVERY_NS = 200 * MILLISECOND
MAX_WAITING = 1_000
"""More who wait at once are answered without waiting."""


class Follow:
    """Where the log stands, and a wait for it to go on."""

    def __init__(self, reader: Reader) -> None:
        """Ask `reader` while nobody tells."""
        self._reader = reader
        self._position = Position(0)
        self._is_told = False
        self._waiting = 0
        self._next: asyncio.Future[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    def committed(self, position: Position) -> None:
        """Hear that the log reaches to `position`. From the first call on nothing is asked."""
        self._is_told = True
        self._reached(position)

    def _reached(self, position: Position) -> None:
        if position <= self._position:
            return
        self._position = position
        future, self._next = self._next, None
        if future is not None and not future.done():
            future.set_result(None)

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
        if not self._is_told and (self._asking is None or self._asking.done()):
            self._asking = asyncio.ensure_future(self._ask())
        return self._next

    async def _ask(self) -> None:
        """Ends by itself once nobody waits."""
        while self._waiting and not self._is_told:
            self._reached(await self._reader.position())
            await asyncio.sleep(ASK_EVERY_NS / SECOND)

    @property
    def position(self) -> Position:
        """How far the log was known to reach when somebody last waited or was told."""
        return self._position

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._waiting
