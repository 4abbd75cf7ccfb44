"""What an adaptive gate learns of its endpoint: how many attempts may be open (semantics 4.7).

Rules of residence: pure. A `Window` gathers the ends of attempts and is not part of any state; a
step of the limit is an event with the numbers that led to it.

Source: TCP Vegas (Brakmo, Peterson 1995) as in Netflix's concurrency-limits, on medians of windows
instead of single round trips, with halving on errors. Of a limit of L, `q = L * (1 - base/median)`
attempts stand in a queue somewhere; L rises while they are few and the limit is used, by half at
most at a time.
"""

from collections.abc import Sequence
from math import ceil, log10, sqrt
from statistics import median_low

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    MINUTE,
    SECOND,
    Adaptive,
    AttemptFailed,
    AttemptSucceeded,
    GateLimitLearned,
    LearnCause,
    Mono,
    Wall,
)

WINDOW_NS = SECOND // 2
WINDOW_ENDS = 8
FEW_ERRORS = 4
FIRST = 10
"""Where a gate begins whose endpoint has not failed: the limit is found within a minute."""
BUSY = 0.6
MEASURE_NS = 10 * MINUTE
MEASURE_SOON_NS = 20 * SECOND
"""After a start, an outage, or a measurement that found a lower base: what is first measured is
often an endpoint that was still cold, or crowded."""
BASE_ENDS = 4
"""Fewer say nothing of the base; a limit of 1 makes windows of two. With 8, which a limit of 3
never has, an endpoint that works on one at a time was first measured in a crowd of 4."""
DOUBT = 1.5
"""How many times `sqrt(n) / 2` ranks above the middle of n durations the true median may lie: with
1.5 it is above in 1 window of 15."""
SETTLED_AFTER = 2
"""Medians at the lower limit until it is measured: what ends sooner was open, or stood in a queue,
beside what the higher one had let in, and says how long an attempt takes in a crowd."""
BASE_SHIFT = 0.05
"""A base that moved by less is not worth an event."""


class Learned(Struct, frozen=True, gc=False):
    """A learned limit. `base_ns` is the duration of an attempt that waits for nobody, 0: unknown.

    `back_to` is the limit to return to while the base is measured, else 0. It is measured from
    `settled_at` on.
    """

    limit: float = float(FIRST)
    base_ns: int = 0
    measure_at: Mono = Mono(0)
    back_to: float = 0.0
    settled_at: Mono = Mono(0)


def reopened(adaptive: Adaptive) -> Learned:
    """Where learning begins again after an outage: at the least."""
    return Learned(limit=float(adaptive.min))


def most(adaptive: Adaptive, concurrency: int) -> int:
    """What is never exceeded, whatever is learned."""
    return concurrency if adaptive.max is None else min(adaptive.max, concurrency)


def open_at_once(adaptive: Adaptive, learned: Learned, concurrency: int) -> int:
    """How many attempts may be open by what was learned: at least one."""
    cap = most(adaptive, concurrency)
    return max(1, min(int(learned.limit), cap), min(adaptive.min, cap))


def learned_of(event: GateLimitLearned) -> Learned:
    """The state after a step."""
    settled_at = event.mono + SETTLED_AFTER * event.median_ns if event.back_to else 0
    return Learned(
        event.limit, event.base_ns, event.measure_at, event.back_to, settled_at=Mono(settled_at)
    )


class Window:
    """The ends of attempts since the last look."""

    def __init__(self) -> None:
        """Empty."""
        self.opened_at: Mono | None = None
        self.durations: list[int] = []
        self.errors = 0
        self.throttled = 0
        self.throttled_start = 0
        """When the last of the throttled attempts started."""
        self.busiest = 0
        self._per_s_before = 0.0
        self.used_ns = 0
        """How long a learned rate was used since it was changed last."""

    def add(self, event: AttemptSucceeded | AttemptFailed, in_flight: int, now: Mono) -> None:
        """Count one end; `in_flight` attempts were open, this one included."""
        if self.opened_at is None:
            self.opened_at = now
        self.busiest = max(self.busiest, in_flight)
        if isinstance(event, AttemptFailed) and event.fault == "none":
            if event.throttle_until is not None:
                self.throttled += 1
                self.throttled_start = max(self.throttled_start, now - event.duration_ns)
            return
        if isinstance(event, AttemptFailed) and event.fault == "endpoint":
            self.errors += 1
            if event.outcome != "timeout":
                return  # refused at once: no duration of its work
        self.durations.append(event.duration_ns)

    def is_complete(self, limit: float, now: Mono) -> bool:
        """Whether there is enough to judge by."""
        if self.opened_at is None or now - self.opened_at < WINDOW_NS:
            return False
        return self.ended >= min(WINDOW_ENDS, 2 * limit)

    @property
    def ended(self) -> int:
        """How many attempts ended, in whatever way."""
        return len(self.durations) + self.errors + self.throttled

    def length_ns(self, now: Mono) -> int:
        """How long it has been open."""
        return 0 if self.opened_at is None else max(1, now - self.opened_at)

    def per_s(self, now: Mono) -> float:
        """Attempts that ended in a second, in this window or the one before: a window in which
        the gate was told to wait is the emptier one."""
        return max(self._ended_per_s(now), self._per_s_before)

    def go_on(self, now: Mono, *, used: bool) -> None:
        """Begin the next one; time in which a learned rate was `used` is summed up."""
        self._per_s_before = self._ended_per_s(now)
        self.used_ns += self.length_ns(now) if used else 0
        self._empty()

    def _ended_per_s(self, now: Mono) -> float:
        length_ns = self.length_ns(now)
        return self.ended * SECOND / length_ns if length_ns else 0.0

    def clear(self) -> None:
        """Begin anew, knowing nothing."""
        self._per_s_before, self.used_ns = 0.0, 0
        self._empty()

    def _empty(self) -> None:
        self.opened_at = None
        self.durations = []
        self.errors = self.throttled = self.throttled_start = self.busiest = 0


def learn(  # the whole of what a step depends on
    adaptive: Adaptive,
    concurrency: int,
    learned: Learned,
    window: Window,
    *,
    now: Mono,
    wall: Wall,
    u: float,
) -> GateLimitLearned | None:
    """What a complete window changes, or None. `u` from [0, 1) spreads the measurements."""
    errors, opened_at = window.errors, window.opened_at or 0
    if opened_at < learned.settled_at and not errors:
        return None
    median_ns = median_low(window.durations) if window.durations else 0
    base_ns = _base(adaptive, learned, window.durations)
    if learned.back_to:
        after, why = _measured(learned, base_ns, errors, now, u)
    else:
        busy = window.busiest >= BUSY * int(learned.limit)  # of a limit of 1.9 one may be open
        queued = _queued(learned.limit, base_ns, median_ns)
        step, why = _step(adaptive, learned.limit, window, queued=queued, busy=busy)
        after = replace(learned, limit=learned.limit + step, base_ns=base_ns)
        if adaptive.by == "latency" and busy and not errors and learned.base_ns:
            after, why = _in_time_measured(learned, after, why, now, u)
    cap = most(adaptive, concurrency)
    after = replace(after, limit=float(min(max(after.limit, adaptive.min, 1), cap)))
    if not _differs(learned, after):
        return None
    return GateLimitLearned(
        at=wall,
        mono=now,
        limit=after.limit,
        base_ns=after.base_ns,
        measure_at=after.measure_at,
        back_to=after.back_to,
        why=why,
        ended=len(window.durations),
        errors=errors,
        throttled=window.throttled,
        median_ns=median_ns,
        busiest=window.busiest,
        before=learned.limit,
    )


def _base(adaptive: Adaptive, learned: Learned, durations: Sequence[int]) -> int:
    """The lowest of the medians, each taken for as much as it may be in truth.

    As they are, the lowest of many small windows is far too low, every attempt looks queued, and
    the limit stays where it is: two quick answers out of a window of two once held an endpoint of
    12 slots at 6 attempts.
    """
    if adaptive.by == "errors" or len(durations) < BASE_ENDS:
        return learned.base_ns
    at_most_ns = _median_at_most(durations)
    if learned.back_to or not learned.base_ns:
        return at_most_ns
    lower = at_most_ns < learned.base_ns * (1 - BASE_SHIFT)
    return at_most_ns if lower else learned.base_ns


def _median_at_most(durations: Sequence[int]) -> int:
    """The upper end of the median's confidence interval by ranks, right for every distribution:
    with a fixed part of the median, durations as wide as exponential ones held an endpoint of 33
    slots at 6 attempts."""
    count = len(durations)
    rank = ceil((count + DOUBT * sqrt(count)) / 2)
    return sorted(durations)[min(rank, count) - 1]


def _in_time_measured(
    learned: Learned, after: Learned, why: LearnCause, now: Mono, u: float
) -> tuple[Learned, LearnCause]:
    """Half of the limit once it is time to measure the base; soon after it was first known."""
    if not learned.measure_at:
        return replace(after, measure_at=_spread(now, MEASURE_SOON_NS, u)), why
    if now < learned.measure_at:
        return after, why
    half = replace(after, limit=learned.limit / 2, back_to=learned.limit)
    return replace(half, measure_at=_spread(now, MEASURE_NS, u)), "measure"


def _measured(
    learned: Learned, base_ns: int, errors: int, now: Mono, u: float
) -> tuple[Learned, LearnCause]:
    """The limit as it was, with the base that was found. With errors even half was too much: it
    stays there, and the base is what it was."""
    if errors:
        return replace(learned, back_to=0.0, settled_at=Mono(0)), "errors"
    found_lower = 0 < base_ns < learned.base_ns * (1 - BASE_SHIFT)
    again_at = _spread(now, MEASURE_SOON_NS, u) if found_lower else learned.measure_at
    return Learned(learned.back_to, base_ns, again_at), "measured"


def _queued(limit: float, base_ns: int, median_ns: int) -> float:
    if not base_ns or not median_ns:
        return 0.0
    return max(0.0, limit * (1 - base_ns / median_ns))


def _step(
    adaptive: Adaptive, limit: float, window: Window, *, queued: float, busy: bool
) -> tuple[float, LearnCause]:
    """By how much the limit moves, and why.

    Of a small limit a part is enough, or too many: less than six can never have six in a queue.
    """
    ends = len(window.durations) + window.errors
    lg = max(1.0, log10(limit))
    if window.errors >= FEW_ERRORS or (window.errors and 2 * window.errors >= ends):
        return -limit / 2, "errors"
    if window.errors:
        return -lg, "errors"
    if window.throttled:
        return -lg, "throttled"
    if not busy:  # what is in flight is bounded by something else, so the limit has no say in it
        return 0.0, "spare"
    enough, too_many = min(3 * lg, limit / 2), min(6 * lg, 3 * limit / 4)
    if queued > too_many:
        return -max(lg, (queued - too_many) / 4), "queue"
    if queued >= enough:
        return 0.0, "spare"
    if adaptive.by == "latency" and queued <= lg:
        return min(6 * lg, max(1.0, limit / 2)), "spare"
    return lg, "spare"


def _spread(now: Mono, after_ns: int, u: float) -> Mono:
    """Then, give or take a fifth, so that gates do not measure together."""
    return Mono(now + int(after_ns * (0.8 + 0.4 * u)))


def _differs(before: Learned, after: Learned) -> bool:
    return (
        int(after.limit) != int(before.limit)
        or after.base_ns != before.base_ns
        or after.back_to != before.back_to
        or (not before.measure_at and after.measure_at > 0)
    )
