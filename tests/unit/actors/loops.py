"""Runs a coroutine on each kind of loop that actors live on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from taskmaster.events.types import Mono, Wall
from taskmaster.supervision.simulated import SimulatedLoop
from tests.unit.model.builders import NOW

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
KINDS = ("asyncio", "uvloop", "simulated")


def run_on(kind: str, main: Coroutine[Any, Any, T], *, seed: int = 1) -> T:
    """The result of `main` on a loop of that kind, which is closed afterwards.

    Where `main` waits for what never comes, virtual time says so, and the test's timeout on the
    others.
    """
    loop: asyncio.AbstractEventLoop
    match kind:
        case "asyncio":
            loop = asyncio.SelectorEventLoop()
        case "uvloop":
            loop = uvloop.new_event_loop()
        case _:
            loop = SimulatedLoop(seed)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def run_simulated(main: Coroutine[Any, Any, T], *, seed: int = 1) -> T:
    """The result of `main` in virtual time."""
    return run_on("simulated", main, seed=seed)


def simulated_loop() -> SimulatedLoop:
    """The running loop, for its clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


async def turns(count: int = 20) -> None:
    """Let the others have the loop so often."""
    for _ in range(count):
        await asyncio.sleep(0)


class VirtualClock:
    """The running loop's virtual time; the wall can be set, and stands still until it catches up
    as shard time does."""

    def __init__(self) -> None:
        self._loop = simulated_loop()
        self._last = Wall(0)
        self.step_ns = 0

    def wall(self) -> Wall:
        """Shard time."""
        self._last = max(self._last, Wall(NOW + self._loop.now_ns + self.step_ns))
        return self._last

    def mono(self) -> Mono:
        """Pacing time."""
        return Mono(NOW + self._loop.now_ns)
