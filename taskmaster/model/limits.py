"""Rates and concurrency in one decision (semantics 3.1 to 3.3).

Rules of residence: arithmetic on integers of nanoseconds, rounded towards the promise. A *tat* is
GCRA's theoretical arrival time: the instant at which the bucket would be full again. A gate with
several rates has one tat for each, in the order of its rates.

Source: GCRA, ITU-T I.371, annex A, with the burst tolerance `(burst - 1) * interval`.
"""

from fractions import Fraction
from functools import lru_cache
from math import ceil

from msgspec import Struct

from taskmaster.events.types import MILLISECOND, SECOND, Limits, Mono, Rate

LOOKAHEAD_NS = 50 * MILLISECOND
"""How far ahead a start may be granted, so that a commit's latency costs no throughput."""
GRANT_LIFETIME_NS = SECOND
"""A grant that is not sent this long after its slot is void."""
DEFAULT_BURST_NS = 20 * MILLISECOND
"""Wake-ups come late; a burst of this much time keeps 99 % of the rate. At 50/s it is one start,
and keeps 98 %."""


class Spacing(Struct, frozen=True, gc=False):
    """One rate as GCRA uses it: one token every `interval_ns`, at most `burst` saved up."""

    interval_ns: int
    burst: int

    @property
    def empty_ns(self) -> int:
        """How long an empty bucket takes to be full again."""
        return self.burst * self.interval_ns


class Allowed(Struct, frozen=True, gc=False):
    """Limits, the share of them that may be used, in percent, and a learned rate beside them in
    starts per second, 0: none."""

    limits: Limits
    percent: int = 100
    learned: float = 0.0

    @property
    def paces(self) -> tuple[Spacing, ...]:
        """The rates as they hold at this share, the learned one last."""
        return spacings(self.limits, self.percent) + learned_spacing(self.learned)

    @property
    def whole(self) -> tuple[Spacing, ...]:
        """The rates without any share."""
        return spacings(self.limits) + learned_spacing(self.learned)


def default_burst(rate: float, per_ns: int) -> int:
    """`max(1, ceil(r * 20 ms))`: a fiftieth of a second of starts."""
    return max(1, ceil(Fraction(rate) * DEFAULT_BURST_NS / per_ns))


@lru_cache(maxsize=4_096)
def spacings(limits: Limits, percent: int = 100) -> tuple[Spacing, ...]:
    """The gate's rates at a share of its limits; intervals rounded up, bursts down."""
    return tuple(_spacing(rate, percent) for rate in limits.rates)


@lru_cache(maxsize=4_096)
def learned_spacing(rate: float) -> tuple[Spacing, ...]:
    """A learned rate as one more of the gate's, where there is any."""
    if not rate:
        return ()
    return (Spacing(ceil(SECOND / rate), default_burst(rate, SECOND)),)


def _spacing(rate: Rate, percent: int) -> Spacing:
    interval = Fraction(rate.per_ns) / Fraction(rate.rate) * 100 / percent
    return Spacing(ceil(interval), max(1, rate.burst * percent // 100))


def slots(limits: Limits, percent: int = 100) -> int:
    """How many attempts may be open at a share of the limits: at least one."""
    return max(1, limits.concurrency * percent // 100)


def token_at(paces: tuple[Spacing, ...], tats: tuple[Mono, ...]) -> Mono:
    """The first instant at which every rate has a token; waiting for it reserves nothing."""
    at = 0
    for pace, tat in zip(paces, tats, strict=True):
        ready = tat - (pace.burst - 1) * pace.interval_ns
        if ready > at:  # noqa: PLR1730  # max() takes longer than all the rest, and each start asks
            at = ready
    return Mono(at)


def spend(paces: tuple[Spacing, ...], tats: tuple[Mono, ...], at: Mono) -> tuple[Mono, ...]:
    """The tats after a start at `at`. Live code and replay share it."""
    if not paces:
        return ()  # most gates have no rate, and every start asks
    return tuple(
        [
            Mono((tat if tat > at else at) + pace.interval_ns)
            for pace, tat in zip(paces, tats, strict=True)
        ]
    )


def fresh_tats(paces: tuple[Spacing, ...], at: Mono) -> tuple[Mono, ...]:
    """Full buckets at `at`."""
    return tuple(at for _ in paces)


def carried_tats(old: Allowed, tats: tuple[Mono, ...], new: Allowed, at: Mono) -> tuple[Mono, ...]:
    """The tats under other limits, or another share of them, from `at` on.

    What was spent stays spent. A share of the same limits keeps the time until the bucket is full
    again, so no window across any number of shares holds more than the whole limits allow. Across
    one change of limits a window holds at most `max(old burst, new burst)` plus what both rates
    allow for their part of it. A rate that was not there before begins with a full bucket.
    """
    carried: list[Mono] = []
    old_whole, whole = old.whole, new.whole
    for index, pace in enumerate(new.paces):
        if index >= len(old_whole) or index >= len(tats):
            carried.append(at)
            continue
        spent_ns = max(0, tats[index] - at)
        moved_ns = -(-spent_ns * whole[index].interval_ns // old_whole[index].interval_ns)
        empty_ns = max(whole[index].empty_ns, pace.empty_ns)
        carried.append(Mono(at + min(moved_ns, empty_ns)))
    return tuple(carried)


def later_tats(one: tuple[Mono, ...], other: tuple[Mono, ...]) -> tuple[Mono, ...]:
    """The later of both, rate by rate; the shorter one is taken as having spent nothing."""
    if not other or one == other:
        return one
    if len(one) != len(other):
        return one
    return tuple([a if a > b else b for a, b in zip(one, other, strict=True)])


def tats_after_crash(
    paces: tuple[Spacing, ...], tats: tuple[Mono, ...], now: Mono
) -> tuple[Mono, ...]:
    """Where sending may go on after a crash (semantics 3.5).

    A grant may have lain up to `GRANT_LIFETIME_NS` before it was sent, so every send may have
    been that much later than its slot; a bucket is never emptier than empty.
    """
    restored: list[Mono] = []
    for pace, tat in zip(paces, tats, strict=True):
        latest = now + pace.empty_ns
        restored.append(Mono(max(tat, min(tat + GRANT_LIFETIME_NS, latest))))
    return tuple(restored)
