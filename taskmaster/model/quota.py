"""What rate an adaptive gate learns from being throttled (semantics 4.6, 4.7).

Rules of residence: pure. Beside the endpoint's concurrency (`learning.py`): a quota is no matter of
how much is in flight, and waiting out each `Retry-After` alone gets half of it.

Source: CUBIC (RFC 9438), on a rate instead of a window as in the adaptive retry mode of the AWS
SDKs: cut at once where the endpoint asked to be left alone, back to just below that rate soon, on
it for long, and beyond it faster and faster.
"""

from math import inf

from msgspec import Struct

from taskmaster.events.types import (
    SECOND,
    GateRateLearned,
    Limits,
    Mono,
    RateCause,
    Wall,
)
from taskmaster.model.learning import Window

CUT = 0.1
"""The part that is given up each time: fixed quotas are not fluctuating capacity, so far less than
the half that congestion asks for."""
BACK_NS = 15 * SECOND
"""After so long at the learned rate it is again where the endpoint objected."""
FREE = 4.0
"""A rate so many times as high as that bounds nothing that the endpoint still minds."""
LEAST_PER_S = 0.1
USED = 0.7
"""Only time in which this part of the rate was used says that the endpoint bears it."""
SHIFT = 0.01
"""A rate that moved by less is not worth an event."""


class Quota(Struct, frozen=True, gc=False):
    """A learned rate in starts per second, 0: none; `top` is where the endpoint objected last."""

    rate: float = 0.0
    top: float = 0.0
    cut_at: Mono = Mono(0)
    climbed_ns: int = 0


def quota_of(event: GateRateLearned) -> Quota:
    """The state after a step."""
    return Quota(event.rate, event.top, event.cut_at, event.climbed_ns)


def learn_rate(
    limits: Limits, quota: Quota, window: Window, *, now: Mono, wall: Wall
) -> GateRateLearned | None:
    """What a complete window changes, or None.

    Attempts that started before the last cut say nothing about the rate since.
    """
    if window.throttled and window.throttled_start >= quota.cut_at:
        before = window.per_s(now)
        top = min(quota.rate, before) if quota.rate else before
        return _step(quota, window, Quota(_at(top, 0), top, now, 0), "throttled", now, wall)
    if not is_used(quota, window, now):
        return None
    climbed_ns = quota.climbed_ns + window.used_ns + window.length_ns(now)
    rate = _at(quota.top, climbed_ns)
    if rate >= min(FREE * quota.top, _lowest(limits)):
        return _step(quota, window, Quota(), "free", now, wall)
    if rate < quota.rate * (1 + SHIFT):
        return None
    climbed = Quota(rate, quota.top, quota.cut_at, climbed_ns)
    return _step(quota, window, climbed, "climb", now, wall)


def is_used(quota: Quota, window: Window, now: Mono) -> bool:
    """Whether the window says that the endpoint bears the learned rate."""
    return quota.rate > 0 and not window.throttled and window.per_s(now) >= USED * quota.rate


def _at(top: float, climbed_ns: int) -> float:
    """The rate after so much time at it since the cut: flat where the endpoint objected."""
    return max(LEAST_PER_S, top * (1 + CUT * (climbed_ns / BACK_NS - 1) ** 3))


def _lowest(limits: Limits) -> float:
    return min((rate.rate * SECOND / rate.per_ns for rate in limits.rates), default=inf)


def _step(  # the numbers of one window
    quota: Quota, window: Window, after: Quota, why: RateCause, now: Mono, wall: Wall
) -> GateRateLearned:
    return GateRateLearned(
        at=wall,
        mono=now,
        rate=after.rate,
        top=after.top,
        why=why,
        cut_at=after.cut_at,
        climbed_ns=after.climbed_ns,
        before=quota.rate,
        window_ns=window.length_ns(now),
        ended=window.ended,
        throttled=window.throttled,
    )
