"""Lets granted and committed starts go at their time (semantics 3.8).

Rules of residence: one for each gate; the limit's arithmetic is `model/limits.py`. A commit
releases its whole batch at once, so what was granted is spaced again here, by what was really
sent: at the later of its slot and the limit at the real instant.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from taskmaster.actors.ports import Clock
from taskmaster.events.types import SECOND, Mono, TaskId
from taskmaster.model.limits import GRANT_LIFETIME_NS, Allowed, carried_tats, spend, token_at

SEND_NS = 50_000
"""Between the instant that is spent and the client's write lies a little time, more for one start
than for the next: each leaves so much later than its token. That costs no rate but where the burst
is 1, and there 0.25 % of 50/s."""


class Held(Struct, frozen=True, gc=False):
    """A start that is committed and not sent. `go` sends it, told when that was decided;
    `void` gives it up."""

    task: TaskId
    slot_at: Mono
    go: Callable[[Mono], None]
    void: Callable[[], None]


class Pacer:
    """The queue of committed starts of one gate. On the loop's thread."""

    def __init__(self, clock: Clock, allowed: Allowed, tats: tuple[Mono, ...]) -> None:
        """Go on from `tats`, where sending stood."""
        self._clock = clock
        self._allowed: Allowed = allowed
        self.paces = allowed.paces
        self._tats = tats
        self._held: deque[Held] = deque()
        self._granted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: TaskId | None = None
        self._is_letting_go = False

    def granted(self) -> None:
        """A start was granted that will come here or be `lost`."""
        self._granted += 1

    def lost(self) -> None:
        """A granted start will not come here any more."""
        self._granted -= 1

    def projected_tats(self) -> tuple[Mono, ...]:
        """Where sending will stand once all that is granted has gone."""
        if not self.paces:
            return ()
        ahead = self._granted
        return tuple(
            Mono(tat + ahead * pace.interval_ns)
            for pace, tat in zip(self.paces, self._tats, strict=True)
        )

    def change(self, allowed: Allowed) -> None:
        """Space by other rates from now on; what was sent stays spent."""
        if allowed != self._allowed:
            self._tats = carried_tats(self._allowed, self._tats, allowed, self._clock.mono())
            self._allowed = allowed
            self.paces = allowed.paces
            if not self._is_letting_go:
                self._let_go()

    def hold(self, held: Held) -> None:
        """Send a committed start when its time comes: at once where the gate has no rates."""
        if not self.paces:
            self._granted -= 1
            held.go(self._clock.mono())
            return
        self._held.append(held)
        if self._timer is None and not self._is_letting_go:
            self._let_go()

    def drop(self, task: TaskId) -> bool:
        """Take a held start out again; False when it is not here any more."""
        for held in self._held:
            if held.task == task:
                self._held.remove(held)
                self._granted -= 1
                return True
        return False

    def stop(self) -> list[Held]:
        """Send nothing more; what was held is the caller's."""
        held = list(self._held)
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return held

    def departed(self, task: TaskId) -> None:
        """A start that was let go leaves now: this instant is what is spent, so that every later
        decision knows it, however late the loop was."""
        if self._leaving == task:
            self._tats = spend(self.paces, self._tats, self._clock.mono())
            self._left()

    def stayed(self, task: TaskId) -> None:
        """A start that was let go was given up instead; nothing left."""
        if self._leaving == task:
            self._left()

    def _left(self) -> None:
        self._leaving = None
        self._granted -= 1
        if not self._is_letting_go:
            self._let_go()

    def _let_go(self) -> None:
        """Let go what may leave now, one at a time: the next waits until that one has left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_letting_go = True
        while self._held and self._leaving is None:
            now = self._clock.mono()
            head = self._held[0]
            if now > head.slot_at + GRANT_LIFETIME_NS:
                self._held.popleft()
                self._granted -= 1
                head.void()
                continue
            at = max(head.slot_at, token_at(self.paces, self._tats) + SEND_NS)
            if at > now:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later((at - now) / SECOND, self._let_go)
                break
            self._held.popleft()
            self._leaving = head.task
            head.go(now)
        self._is_letting_go = False
