"""How a supervisor's machine starts children and stops them: one after the other, waiting for each.

Rules of residence: as `machine.py`, which decides when; here is how. Each step is a generator that
yields where it waits and gets the input that it waited for.
"""

from collections.abc import Generator, Sequence
from itertools import count
from typing import TypeAlias

from taskmaster.supervision.children import Children, Kept
from taskmaster.supervision.messages import (
    AskToStop,
    CancelTimer,
    Effect,
    Exited,
    Input,
    Kill,
    Pid,
    Restarted,
    SetTimer,
    Start,
    Started,
    StartFailed,
    StartIgnored,
    StopFailed,
    TimerFired,
)
from taskmaster.supervision.reasons import SHUTDOWN, Killed, Normal, Reason, Shutdown
from taskmaster.supervision.specs import ChildSpec, ShutdownTime

Outcome: TypeAlias = Started | StartIgnored | StartFailed
Failed: TypeAlias = tuple[Kept, StartFailed]
Steps: TypeAlias = Generator[None, Input, None]
Starting: TypeAlias = Generator[None, Input, Outcome]


class StartAndStop:
    """The children, what is waited for, and the effects that have come together."""

    def __init__(self, template: ChildSpec | None) -> None:
        """With a template all children are dynamic."""
        self.template = template
        self.is_simple = template is not None
        self.children = Children()
        self.effects: list[Effect] = []
        self.now_ns = 0
        self.timers = count(1)
        self.backing_off: dict[int, Kept] = {}
        self.ended_meanwhile: dict[Pid, Reason] = {}
        """Ends of children that came while something else was waited for."""
        self._waits_for_start = False
        self._waits_for_pids: dict[Pid, Kept] = {}
        self._waits_for_timer = 0

    def is_waited_for(self, given: Input) -> bool:
        """Whether the step that is under way goes on with it."""
        if isinstance(given, Exited):
            return given.pid in self._waits_for_pids
        if isinstance(given, TimerFired):
            return given.timer == self._waits_for_timer
        return self._waits_for_start and isinstance(given, Started | StartIgnored | StartFailed)

    # --- start of children --------------------------------------------------------------------

    def start_all(self, children: Sequence[Kept]) -> Generator[None, Input, Failed | None]:
        """Start one after the other; the first failure ends it."""
        for child in children:
            is_again = child.incarnation > 0
            outcome = yield from self.start(child)
            match outcome:
                case StartFailed():
                    return child, outcome
                case StartIgnored():
                    if self.is_simple or child.is_temporary:
                        self.children.remove(child)
                case Started(pid=pid):
                    self.runs(child, pid)
                    if is_again:
                        child.restarts += 1
                        self.effects.append(Restarted(child.spec.id, child.incarnation))
        return None

    def start(self, child: Kept) -> Starting:
        """Start one child; what came of it is for the caller to keep."""
        child.is_restarting = False
        child.incarnation += 1
        self.effects.append(Start(child.spec, child.args, child.incarnation))
        self._waits_for_start = True
        outcome = yield
        self._waits_for_start = False
        assert isinstance(outcome, Started | StartIgnored | StartFailed)
        return outcome

    def runs(self, child: Kept, pid: Pid) -> None:
        """Keep that a child runs."""
        child.since_ns = self.now_ns
        if self.is_simple:  # known by its pid alone, hence anew with each
            if child.incarnation > 1:
                self.children.remove(child)
            child.key = child.pid = pid
            self.children.add(child)
        else:
            self.children.runs(child, pid)

    # --- stop of children ---------------------------------------------------------------------

    def stop_all(self, children: Sequence[Kept]) -> Steps:
        """Stop one after the other, the last first, each with a time of its own."""
        for child in reversed(children):
            yield from self.stop(child)

    def stop(self, child: Kept) -> Steps:
        """Stop a child if it runs, and wait until it has ended."""
        pid = child.pid
        if pid is not None:
            time = child.spec.shutdown_time
            if pid not in self.ended_meanwhile:
                self.effects.append(Kill(pid) if time == "brutal_kill" else AskToStop(pid))
            yield from self._wait_for({pid: child}, time)
        self.stopped(child)

    def stop_dynamic(self, template: ChildSpec) -> Steps:
        """Stop all at once, with one time for all of them."""
        time = template.shutdown_time
        running = {child.pid: child for child in self.children if child.pid is not None}
        ended = self.ended_meanwhile
        self.effects += [
            Kill(pid) if time == "brutal_kill" else AskToStop(pid)
            for pid in running
            if pid not in ended
        ]
        yield from self._wait_for(running, time)
        for child in list(self.children):
            self._forget_timer(child)
            self.children.remove(child)

    def _wait_for(self, running: dict[Pid, Kept], time: ShutdownTime) -> Steps:
        """Wait until all of them have ended; who still runs after `time` is killed."""
        for pid in [pid for pid in running if pid in self.ended_meanwhile]:
            self._has_stopped(running.pop(pid), self.ended_meanwhile.pop(pid))
        if not running:
            return
        self._waits_for_pids = running
        if isinstance(time, int):
            self._waits_for_timer = next(self.timers)
            self.effects.append(SetTimer(self._waits_for_timer, time, time))
        while running:
            given = yield
            if isinstance(given, Exited):
                self._has_stopped(running.pop(given.pid), given.reason)
            else:
                self._waits_for_timer = 0
                self.effects += [Kill(pid) for pid in running]
        self._waits_for_pids = {}
        if self._waits_for_timer:
            self.effects.append(CancelTimer(self._waits_for_timer))
            self._waits_for_timer = 0

    def _has_stopped(self, child: Kept, reason: Reason) -> None:
        """Report an end that is not the one that was asked for, as OTP does."""
        asked_for = Killed() if child.spec.shutdown_time == "brutal_kill" else SHUTDOWN
        may_be_done = child.spec.restart != "permanent" and isinstance(reason, Normal | Shutdown)
        if reason != asked_for and not may_be_done:
            self.effects.append(StopFailed(child.spec.id, child.incarnation, reason))

    def stopped(self, child: Kept) -> None:
        """It does not run; a temporary or dynamic one is forgotten."""
        self._forget_timer(child)
        child.is_restarting = False
        if self.is_simple or child.is_temporary:
            self.children.remove(child)
        else:
            self.children.runs(child, None)

    def _forget_timer(self, child: Kept) -> None:
        if child.timer:
            self.effects.append(CancelTimer(child.timer))
            del self.backing_off[child.timer]
            child.timer = 0
