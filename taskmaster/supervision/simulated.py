"""The same actors in virtual time: one thread, a seed that decides the interleaving.

Rules of residence: knows nothing of gates and tasks. An asyncio loop whose clock jumps to the next
timer when nothing is left to do, and which draws from a seed which inbox with mail is served next.
Coroutines and timers keep asyncio's own order, which is a promise of asyncio.
"""

import asyncio
import selectors
from collections.abc import Callable
from random import Random
from typing import Any

SECOND_NS = 1_000_000_000


class Stalled(Exception):  # noqa: N818  # a finding about the world, not an error of the loop
    """Nothing is left to run and nothing will ever happen again."""


class _NoSelector(selectors.SelectSelector):
    """Never waits: where a real selector would sleep, virtual time jumps."""

    loop: "SimulatedLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stalled("nothing is left to run")
        if timeout > 0:
            self.loop.now_ns += max(1, round(timeout * SECOND_NS))
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time. `turns` makes `LoopActor` draw its order from the seed."""

    def __init__(self, seed: int) -> None:
        """Start at time 0 with the interleaving of `seed`."""
        self.now_ns = 0
        selector = _NoSelector()
        selector.loop = self
        super().__init__(selector)
        self.rng = Random(seed)
        self.turns = SeededTurns(self, Random(seed ^ 0x5EED))
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.now_ns / SECOND_NS


class SeededTurns:
    """Serves one inbox a turn, drawn from all that have mail."""

    def __init__(self, loop: SimulatedLoop, rng: Random) -> None:
        """Draw from `rng`."""
        self._loop = loop
        self._rng = rng
        self._ready: list[Callable[[], None]] = []
        self._armed = False

    def messages(self) -> int:
        """From one to four messages a turn."""
        return self._rng.randrange(1, 5)

    def soon(self, serve: Callable[[], None]) -> None:
        """Have an inbox served in a later turn."""
        self._ready.append(serve)
        self._arm()

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._armed = False
        if not self._ready:
            return
        serve = self._ready.pop(self._rng.randrange(len(self._ready)))
        if self._ready:
            self._arm()
        serve()
