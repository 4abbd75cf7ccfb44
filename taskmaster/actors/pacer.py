"""Lets granted and committed starts go at their time (semantics 3.8).

Rules of residence: one for each gate; the limit's arithmetic is `model/limits.py`. A commit
releases its whole batch at once, so what was granted is spaced again here, by what was really
sent: at the later of its slot and the limit at the real instant.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from taskmaster.actors.pace import SEND_NS, Pace, left
from taskmaster.actors.ports import Clock
from taskmaster.events.types import SECOND, Mono, TaskId
from taskmaster.model.limits import GRANT_LIFETIME_NS, Allowed, Spacing, token_at


class Held(Struct, frozen=True, gc=False):
    """A start that is committed and not sent. `go` sends it, told when that was decided;
    `void` gives it up."""

    task: TaskId
    slot_at: Mono
    go: Callable[[Mono], None]
    void: Callable[[], None]


class Pacer:
    """The queue of committed starts of one gate. On the loop's thread."""

    def __init__(
        self,
        clock: Clock,
        allowed: Allowed,
        tats: tuple[Mono, ...],
        above: tuple[Pace, ...] = (),
    ) -> None:
        """Go on from `tats`, where sending stood; `above` are the records of its families, whose
        limits hold too."""
        self._clock = clock
        self._own = Pace(clock, allowed, tats)
        self._above = above
        self._all = (self._own, *above)
        for pace in above:
            pace.leavers[self] = None
        self._held: deque[Held] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: TaskId | None = None
        self._is_letting_go = False

    def granted(self) -> None:
        """A start was granted that will come here or be `lost`."""
        for pace in self._all:
            pace.ahead += 1

    def lost(self) -> None:
        """A granted start will not come here any more."""
        for pace in self._all:
            pace.ahead -= 1

    @property
    def spaces(self) -> bool:
        """Whether any rate spaces what leaves here."""
        return any(pace.paces for pace in self._all)

    @property
    def paces(self) -> tuple[Spacing, ...]:
        """The gate's own rates."""
        return self._own.paces

    def projected_tats(self) -> tuple[Mono, ...]:
        """Where sending will stand once all that is granted has gone."""
        return self._own.projected()

    def change(self, allowed: Allowed) -> None:
        """Space by other rates from now on; what was sent stays spent."""
        if self._own.change(allowed):
            self.look()

    def move(self, above: tuple[Pace, ...]) -> None:
        """Belong to other families from now on."""
        ahead, leaving = self._own.ahead, int(self._leaving is not None)
        for pace in self._above:
            pace.ahead -= ahead
            pace.leaving -= leaving
            del pace.leavers[self]
        for pace in above:
            pace.ahead += ahead
            pace.leaving += leaving
            pace.leavers[self] = None
        self._above, self._all = above, (self._own, *above)

    def hold(self, held: Held) -> None:
        """Send a committed start when its time comes: at once where no rate spaces it."""
        if not self.spaces:
            self.lost()
            held.go(self._clock.mono())
            return
        self._held.append(held)
        if self._timer is None:
            self.look()

    def drop(self, task: TaskId) -> bool:
        """Take a held start out again; False when it is not here any more."""
        for held in self._held:
            if held.task == task:
                self._held.remove(held)
                self.lost()
                return True
        return False

    def stop(self) -> list[Held]:
        """Send nothing more; what was held is the caller's. Of one that is just leaving nobody
        will tell: it is taken as sent."""
        held = list(self._held)
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        above = self._above
        if self._leaving is not None:
            for pace in above:
                pace.departed()
        self.move(())
        for pace in above:
            pace.serve()
        return held

    def departed(self, task: TaskId) -> None:
        """A start that was let go leaves now: this instant is what is spent, so that every later
        decision knows it, however late the loop was."""
        if self._leaving == task:
            for pace in self._all:
                pace.departed()
            self._left()

    def stayed(self, task: TaskId) -> None:
        """A start that was let go was given up instead; nothing left."""
        if self._leaving == task:
            self._left()

    def _left(self) -> None:
        self._leaving = None
        self.lost()
        if self._above:
            left(self._above)
        if self._held:
            self.look()

    def look(self) -> None:
        """Let go what may leave now, one at a time: the next waits until that one has left."""
        if self._is_letting_go:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_letting_go = True
        while self._held and self._leaving is None:
            now = self._clock.mono()
            head = self._held[0]
            if now > head.slot_at + GRANT_LIFETIME_NS:
                self._held.popleft()
                self.lost()
                head.void()
                continue
            at = head.slot_at
            for pace in self._all:
                ready = token_at(pace.paces, pace.tats) + SEND_NS
                at = max(at, ready)
            if at > now:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later((at - now) / SECOND, self.look)
                break
            if self._waits_for_another(now):
                break
            self._held.popleft()
            self._leaving = head.task
            for pace in self._above:
                pace.leaving += 1
            head.go(now)
        self._is_letting_go = False

    def _waits_for_another(self, now: Mono) -> bool:
        """Whether others of a family that are leaving may take the last token; then this one
        looks once one of them has left."""
        for pace in self._above:
            if pace.is_spent(now):
                pace.wait(self)
                return True
        return False
