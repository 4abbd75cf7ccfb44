"""A handler that holds the loop is named and ended; what cannot be ended ends the process."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from taskmaster.supervision import Down, LoopActor, tell, watch
from taskmaster.supervision.watchdog import Hang, Hung, Watchdog


class Busy(LoopActor):
    """Does what its mail says."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heard: list[float] = []
        self.released = threading.Event()
        """What a handler that waits in C waits for."""

    def on_receive(self, message: Any) -> None:
        if message == "spin":
            while True:
                pass
        elif message == "spin in a coroutine":
            self.spawn(spin())
        elif message == "wait":
            assert self.released.wait(60)
        else:
            self.heard.append(time.monotonic())


async def spin() -> None:
    await asyncio.sleep(0)
    while True:
        pass


class Told:
    """What a watchdog says, from its thread."""

    def __init__(self) -> None:
        self.hangs: list[Hang] = []
        self.fatal: list[str] = []
        self.is_fatal = threading.Event()

    def end(self, why: str) -> None:
        self.fatal.append(why)
        self.is_fatal.set()


async def until(holds: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("message", ["spin", "spin in a coroutine"])
async def test_a_handler_that_never_ends_crashes_its_actor_and_no_other(message: str) -> None:
    told, downs = Told(), list[Down]()
    watchdog = Watchdog(report=told.hangs.append, fatal=told.end, kernel_s=0)
    watchdog.start()
    culprit, other = Busy("gates/billing/gate"), Busy("gates/other/gate")
    watch(culprit.launch(), downs.append)
    watch(other.launch(), downs.append)

    tell(culprit.actor_ref, message)
    tell(other.actor_ref, "hello")
    await until(lambda: other.heard and downs)
    tell(other.actor_ref, "hello")
    await until(lambda: len(other.heard) == 2)
    watchdog.stop()

    (down,) = downs
    assert down.ref is culprit.actor_ref
    assert isinstance(down.error, Hung)
    assert watchdog.hangs == len(told.hangs) >= 1
    assert (told.hangs[0].actor, told.hangs[0].kind) == ("gates/billing/gate", "Busy")
    assert re.search(r"in (on_receive|spin)\n", told.hangs[0].stack)
    assert told.fatal == []


async def test_one_that_waits_is_named_and_goes_on() -> None:
    """Nothing can be raised in it, and it comes back."""
    told, downs = Told(), list[Down]()
    actor = Busy("slow")

    def report(hang: Hang) -> None:
        told.hangs.append(hang)
        actor.released.set()

    watchdog = Watchdog(report=report, fatal=told.end, slow_ns=50_000_000, kernel_s=0)
    watchdog.start()
    watch(actor.launch(), downs.append)

    tell(actor.actor_ref, "wait")
    tell(actor.actor_ref, "hello")
    await until(lambda: actor.heard)
    watchdog.stop()

    assert [hang.actor for hang in told.hangs] == ["slow"]
    assert downs == []


async def test_code_that_is_no_actors_is_named_by_its_stack_and_left_alone() -> None:
    told = Told()
    watchdog = Watchdog(report=told.hangs.append, fatal=told.end, kernel_s=0)
    watchdog.start()
    await asyncio.sleep(0)

    ends_at = time.thread_time() + 1.2
    while time.thread_time() < ends_at:
        pass
    await asyncio.sleep(0.2)
    watchdog.stop()

    assert [hang.actor for hang in told.hangs] == [""]
    assert "test_code_that_is_no_actors" in told.hangs[0].stack


async def test_one_that_cannot_be_ended_ends_the_process() -> None:
    told = Told()
    actor = Busy("stuck")

    def end(why: str) -> None:
        told.end(why)
        actor.released.set()

    watchdog = Watchdog(report=told.hangs.append, fatal=end, fatal_ns=300_000_000, kernel_s=0)
    watchdog.start()
    actor.launch()

    tell(actor.actor_ref, "wait")
    await until(lambda: told.fatal)
    watchdog.stop()

    assert "stuck" in told.fatal[0]


async def test_a_loop_that_has_nothing_to_do_or_much_is_not_hung() -> None:
    told = Told()
    watchdog = Watchdog(report=told.hangs.append, fatal=told.end, kernel_s=0)
    watchdog.start()
    actor = Busy("busy")
    actor.launch()

    ends_at = time.monotonic() + 1
    while time.monotonic() < ends_at:
        tell(actor.actor_ref, "hello")
        await asyncio.sleep(0)
    watchdog.stop()

    assert told.hangs == []
    assert actor.heard


STUCK_IN_C = """
import asyncio
from taskmaster.supervision.watchdog import Watchdog

async def main():
    Watchdog(report=print, fatal=print, kernel_s=0.3).start()
    await asyncio.sleep(0.1)
    print("stuck", flush=True)
    sum(range(10**15))

asyncio.run(main())
"""


def test_c_code_that_never_lets_go_of_the_interpreter_ends_the_process() -> None:
    """Not even the watchdog's thread runs then: the kernel ends it."""
    done = subprocess.run(
        [sys.executable, "-c", STUCK_IN_C],
        check=False,
        capture_output=True,
        timeout=60,
        env=dict(os.environ),
    )

    assert done.stdout == b"stuck\n"
    assert done.returncode == -signal.SIGPROF
