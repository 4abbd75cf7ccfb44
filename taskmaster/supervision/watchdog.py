"""Finds the actor whose handler holds the loop, ends it, or else ends the process.

Rules of residence: a thread beside the loop that looks and costs the loop nothing but a beat: no
handler is timed. It reckons in the loop thread's own processor time, so that a machine too busy to
run the loop makes nobody guilty, and in its own ticks, so that a stopped process is not late.

- `slow_ns`: the culprit is named, with its stack.
- `crash_ns` of processor time: `Hung` is raised in the loop's thread; the actor crashes, alone.
- `fatal_ns`: nothing helped (it waits in C), so the process ends and the log repairs.
- C code that computes for ever without letting go of the interpreter stops this thread too: a
  timer of the kernel (`ITIMER_PROF`) then ends the process.
"""

import asyncio
import ctypes
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType

from msgspec import Struct

from taskmaster.supervision.actor import LoopActor

MILLISECOND = 1_000_000
TICK_NS = 50 * MILLISECOND
SLOW_NS = 200 * MILLISECOND
CRASH_NS = 500 * MILLISECOND
FATAL_NS = 10_000 * MILLISECOND
KERNEL_S = 20.0
"""Of processor time of all threads, without a beat."""
_TURNS = frozenset({"_serve", "now", "_guarded"})


class Hung(Exception):  # noqa: N818  # a state, as Killed is
    """A handler held the loop for too long."""


class Hang(Struct, frozen=True):
    """Who holds the loop: an actor's name and class, `""` where it is no actor's code."""

    actor: str
    kind: str
    held_ns: int
    stack: str


class Watchdog:
    """One for each loop; start and stop it from the loop's thread."""

    def __init__(
        self,
        *,
        report: Callable[[Hang], None],
        fatal: Callable[[str], None],
        slow_ns: int = SLOW_NS,
        crash_ns: int = CRASH_NS,
        fatal_ns: int = FATAL_NS,
        kernel_s: float = KERNEL_S,
    ) -> None:
        """`report` and `fatal` are called on the watchdog's thread, `report` once for each hang;
        `kernel_s` 0 leaves the kernel's timer alone."""
        self._report = report
        self._fatal = fatal
        self._slow_ns, self._crash_ns, self._fatal_ns = slow_ns, crash_ns, fatal_ns
        self._kernel_s = kernel_s
        self._beats = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._handle: asyncio.TimerHandle | None = None
        self.hangs = 0

    def start(self) -> None:
        """Watch the running loop."""
        self._beat(asyncio.get_running_loop())
        watched = threading.get_ident()
        self._thread = threading.Thread(
            target=self._watch, args=(watched,), name="watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; returns once the thread has ended."""
        self._ended.set()
        if self._handle is not None:
            self._handle.cancel()
        if self._kernel_s:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if self._thread is not None:
            self._thread.join()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beats += 1
        if self._kernel_s:
            signal.setitimer(signal.ITIMER_PROF, self._kernel_s)
        self._handle = loop.call_later(TICK_NS / 1e9, self._beat, loop)

    def _watch(self, watched: int) -> None:
        clock = time.pthread_getcpuclockid(watched)
        beats, ticks, began_cpu = -1, 0, 0
        is_reported, raised_at = False, 0
        while not self._ended.wait(TICK_NS / 1e9):
            cpu_ns = time.clock_gettime_ns(clock)
            if self._beats != beats:
                beats, ticks, began_cpu = self._beats, 0, cpu_ns
                is_reported, raised_at = False, 0
                continue
            ticks += 1
            used_ns, waited_ns = cpu_ns - began_cpu, ticks * TICK_NS
            if not is_reported and (used_ns >= self._slow_ns or waited_ns >= 5 * self._slow_ns):
                is_reported = True
                self.hangs += 1
                self._report(_hang(watched, max(used_ns, waited_ns)))
            if used_ns - raised_at >= self._crash_ns and self._raise(watched, beats):
                raised_at = used_ns
            if waited_ns >= self._fatal_ns:
                hang = _hang(watched, waited_ns)
                self._fatal(f"{hang.kind} {hang.actor} has held the loop for too long")
                return

    def _raise(self, watched: int, beats: int) -> bool:
        """End the handler of an actor that holds the loop; other code is left alone."""
        if _actor_of(_frame_of(watched)) is None or beats != self._beats:
            return False
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        return raise_in(ctypes.c_ulong(watched), ctypes.py_object(Hung)) == 1


def _hang(watched: int, held_ns: int) -> Hang:
    frame = _frame_of(watched)
    actor = _actor_of(frame)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
    if actor is None:
        return Hang("", "", held_ns, stack)
    return Hang(actor.actor_urn, type(actor).__name__, held_ns, stack)


def _frame_of(watched: int) -> FrameType | None:
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented
    return frames.get(watched)


def _actor_of(frame: FrameType | None) -> "LoopActor | None":
    """The actor in whose turn the loop's thread is."""
    while frame is not None:
        if frame.f_code.co_name in _TURNS:
            actor: object = frame.f_locals.get("self")
            if isinstance(actor, LoopActor):
                return actor
        frame = frame.f_back
    return None
