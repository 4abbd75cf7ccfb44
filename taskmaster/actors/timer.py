"""Wakes gates: one heap for the shard, one entry for each gate; nothing polls.

Rules of residence: knows names and instants. Due times are of the wall clock, which may jump; so
the timer never sleeps longer than `LOOK_NS` while anything waits, and says when the clock jumped.
"""

import asyncio
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush

from taskmaster.actors.ports import Clock
from taskmaster.events.types import MINUTE, SECOND, GateName, Mono, Wall

LOOK_NS = 5 * SECOND
IDLE_NS = MINUTE
"""A gate with nothing to do for this long is put to rest."""
STALE_WISHES = 64
"""So many entries that no longer hold may lie in the heap beside two for each gate."""


class Timer:
    """At most one wake-up for each gate. On the loop's thread."""

    def __init__(
        self,
        clock: Clock,
        wake: Callable[[GateName], None],
        was_set: Callable[[int, list[GateName]], None],
    ) -> None:
        """`wake` is called on the loop, once, when a gate's instant has come; `was_set` before it
        when the wall clock was set: by how many ns ahead, and whose due times came by it."""
        self._clock = clock
        self._wake = wake
        self._was_set = was_set
        self._at: dict[GateName, Mono] = {}
        self._wall: dict[GateName, Wall] = {}
        self._heap: list[tuple[Mono, GateName]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for: int = 0
        self._offset = clock.wall() - clock.mono()

    def __len__(self) -> int:
        """How many gates have a wake-up."""
        return len(self._at)

    def wake_at(self, gate: GateName, at: Mono) -> None:
        """Wake `gate` at `at`, instead of whatever was set before."""
        self._wall.pop(gate, None)
        self._set(gate, at)

    def wake_when_due(self, gate: GateName, due_at: Wall) -> None:
        """Wake `gate` when the wall clock reaches `due_at`, also when that clock is set."""
        self._wall[gate] = due_at
        self._set(gate, Mono(due_at - self._offset))

    def forget(self, gate: GateName) -> None:
        """No wake-up for `gate`."""
        self._at.pop(gate, None)
        self._wall.pop(gate, None)

    def stop(self) -> None:
        """No wake-ups at all."""
        self._at.clear()
        self._wall.clear()
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self, gate: GateName, at: Mono) -> None:
        if self._at.get(gate) == at:
            return
        self._at[gate] = at
        heappush(self._heap, (at, gate))
        if len(self._heap) > 2 * len(self._at) + STALE_WISHES:
            # those behind an earlier entry are never met at the head
            self._heap = [(instant, name) for name, instant in self._at.items()]
            heapify(self._heap)
        self._arm()

    def _arm(self) -> None:
        heap = self._heap
        while heap and self._at.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        if not heap:
            return
        now = self._clock.mono()
        at = min(heap[0][0], now + LOOK_NS)
        if self._handle is not None:
            if self._armed_for <= at:
                return
            self._handle.cancel()
        self._armed_for = at
        delay = max(0, at - now) / SECOND
        self._handle = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._follow_wall_clock()
        now = self._clock.mono()
        heap = self._heap
        woken: list[GateName] = []
        while heap and heap[0][0] <= now:
            at, gate = heappop(heap)
            if self._at.get(gate) == at:
                del self._at[gate]
                self._wall.pop(gate, None)
                woken.append(gate)
        for gate in woken:
            self._wake(gate)
        self._arm()

    def _follow_wall_clock(self) -> None:
        """Move the wake-ups that follow the wall clock when it was set."""
        offset = self._clock.wall() - self._clock.mono()
        if abs(offset - self._offset) < SECOND // 1_000:
            return
        ahead_ns, self._offset = offset - self._offset, offset
        now = self._clock.mono()
        due: list[GateName] = []
        for gate, due_at in list(self._wall.items()):
            at = Mono(due_at - offset)
            if at <= now < self._at[gate]:
                due.append(gate)
            self._set(gate, at)
        self._was_set(ahead_ns, due)


def earliest(
    walls: Iterable[Wall | None], monos: Iterable[Mono | None], *, wall: Wall, mono: Mono
) -> Mono | None:
    """The first instant to come: of the wall clock, which it may stand at, or of pacing time."""
    given = [at for at in walls if at is not None]
    looks = [mono + max(min(given) - wall, 1)] if given else []
    looks += [at for at in monos if at is not None and at > mono]
    return Mono(min(looks)) if looks else None


class Wakes:
    """When one gate must be looked at again, and when it may rest."""

    def __init__(self, timer: Timer, gate: GateName) -> None:
        """Set the entry of `gate`."""
        self._timer = timer
        self._gate = gate
        self._idle_since: Mono | None = None

    def refused(self) -> None:
        """The minute begins anew."""
        self._idle_since = None

    def arm(self, at: Mono | None, now: Mono, *, has_work: bool) -> bool:
        """Wake the gate at `at`, or not at all; True when it has been idle for so long that it
        may rest."""
        if has_work or (at is not None and at <= now + IDLE_NS):
            self._idle_since = None
            if at is None:
                self._timer.forget(self._gate)
            else:
                self._timer.wake_at(self._gate, at)
            return False
        if self._idle_since is None:
            self._idle_since = now
        rest_at = Mono(self._idle_since + IDLE_NS)
        if now >= rest_at:
            return True
        self._timer.wake_at(self._gate, rest_at)
        return False
