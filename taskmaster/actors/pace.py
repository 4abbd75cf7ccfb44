"""How far the sending of one gate, or of one family of gates, has come.

Rules of residence: what was really sent, in the limit's arithmetic of `model/limits.py`, and whose
turn to leave it is. Lets nothing go itself; that is `pacer.py`'s.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from taskmaster.actors.ports import Clock
from taskmaster.events.types import Mono
from taskmaster.model.limits import Allowed, carried_tats, spend, token_at


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
        "is_leaving",
        "leavers",
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
        self.is_leaving = False
        """Whether one was let go that has not left yet: until it has, the next must wait."""
        self.leavers: dict[Leaver, None] = {}
        """All that this limit holds for."""
        self._waiting: deque[Leaver] = deque()

    def begin(self, allowed: Allowed, tats: tuple[Mono, ...]) -> None:
        """Go on from `tats`, once it is known where sending stood."""
        self._allowed, self.paces, self.tats = allowed, allowed.paces, tats

    def projected(self) -> tuple[Mono, ...]:
        """Where sending will stand once all that is granted has gone."""
        if not self.paces:
            return ()
        ahead = self.ahead
        return tuple(
            Mono(tat + ahead * pace.interval_ns)
            for pace, tat in zip(self.paces, self.tats, strict=True)
        )

    def token_at(self) -> Mono:
        """When the limit lets the next one leave."""
        return token_at(self.paces, self.tats)

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

    def wait(self, leaver: Leaver) -> None:
        """Have `leaver` look once the one that is leaving has left."""
        if leaver not in self._waiting:
            self._waiting.append(leaver)

    def next_waiting(self) -> Leaver | None:
        """Whose turn it is, if nothing is leaving; it is forgotten here."""
        return self._waiting.popleft() if self._waiting and not self.is_leaving else None


def serve(paces: Sequence[Pace]) -> None:
    """What was let go under these limits has left, or stayed: who waits for that looks in turn."""
    for pace in paces:
        pace.is_leaving = False
    for pace in paces:
        while (leaver := pace.next_waiting()) is not None:
            leaver.look()
