"""How far the sending of one gate, or of one family of gates, has come.

Rules of residence: what was really sent, in the limit's arithmetic of `model/limits.py`, and whose
turn to leave it is. Lets nothing go itself; that is `pacer.py`'s.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from taskmaster.actors.ports import Clock
from taskmaster.events.types import Mono
from taskmaster.model.limits import Allowed, carried_tats, spend

SEND_NS = 100_000
"""Between the instant that is spent and the client's write lies a little time, more for one start
than for the next: each leaves so much later than its token. That costs no rate but where the burst
is 1, and there 0.5 % of 50/s."""


class Leaver(Protocol):
    """Lets committed starts go; a `Pacer`."""

    def look(self) -> None:
        """Let go what may leave now."""


class Pace:
    """One limit's record of what was sent. On the loop's thread."""

    __slots__ = (
        "_allowed",
        "_clock",
        "_waiting",
        "ahead",
        "leavers",
        "leaving",
        "paces",
        "tats",
    )

    def __init__(self, clock: Clock, allowed: Allowed, tats: tuple[Mono, ...]) -> None:
        """Go on from `tats`, where sending stood."""
        self._clock = clock
        self._allowed: Allowed = allowed
        self.paces = allowed.paces
        self.tats = tats
        self.ahead = 0
        """How many were granted and have neither left nor been given up."""
        self.leaving = 0
        """How many were let go that have not left yet."""
        self.leavers: dict[Leaver, None] = {}
        """All that this limit holds for."""
        self._waiting: deque[Leaver] = deque()

    def begin(self, allowed: Allowed, tats: tuple[Mono, ...]) -> None:
        """Go on from `tats`, once it is known where sending stood."""
        self._allowed, self.paces, self.tats = allowed, allowed.paces, tats

    def projected(self) -> tuple[Mono, ...]:
        """Where sending will stand once all that is granted has gone."""
        ahead = self.ahead
        if not ahead or not self.paces:
            return self.tats
        return tuple(
            [
                Mono(tat + ahead * pace.interval_ns)
                for pace, tat in zip(self.paces, self.tats, strict=True)
            ]
        )

    def change(self, allowed: Allowed) -> bool:
        """Space by other rates from now on; what was sent stays spent. False: they are the
        same."""
        if allowed == self._allowed:
            return False
        self.tats = carried_tats(self._allowed, self.tats, allowed, self._clock.mono())
        self._allowed = allowed
        self.paces = allowed.paces
        for leaver in list(self.leavers):
            leaver.look()
        return True

    def departed(self) -> None:
        """One leaves at this instant."""
        self.tats = spend(self.paces, self.tats, self._clock.mono())

    def is_spent(self, now: Mono) -> bool:
        """Whether those that are leaving may take all that is left: they leave later than now, and
        no later instant lets fewer go after them."""
        if not self.leaving or not self.paces:
            return False
        ahead = self.leaving
        for pace, tat in zip(self.paces, self.tats, strict=True):
            after = max(tat, now) + ahead * pace.interval_ns
            if after - (pace.burst - 1) * pace.interval_ns + SEND_NS > now:
                return True
        return False

    def wait(self, leaver: Leaver) -> None:
        """Have `leaver` look once one that is leaving has left."""
        if leaver not in self._waiting:
            self._waiting.append(leaver)

    def serve(self) -> None:
        """One has left, or stayed: who waits for that looks in turn."""
        if not self._waiting:
            return
        now = self._clock.mono()
        for _ in range(len(self._waiting)):
            if self.is_spent(now):
                return
            self._waiting.popleft().look()


def left(paces: Sequence[Pace]) -> None:
    """What was let go under these limits has left, or stayed."""
    for pace in paces:
        pace.leaving -= 1
    for pace in paces:
        pace.serve()
