"""Counting starts in windows: an answer of its own to whether a rate was kept.

In every interval of length T, wherever it begins, at most `burst + rate * T` (semantics 3.1). A
window that begins and ends with a start is the tightest, so only those are looked at, all of them,
in one pass: `count * per - rate * T` is a difference of two running values.
"""

from collections.abc import Iterable
from fractions import Fraction

from msgspec import Struct


class Limit(Struct, frozen=True):
    """A rate as a person writes it."""

    rate: int
    burst: int
    per_ns: int = 1_000_000_000


class Excess(Struct, frozen=True):
    """The worst window: how many were in it, how long it was, how many were allowed."""

    count: int
    length_ns: int
    allowed: float


def excess(instants: Iterable[int], limit: Limit, tolerance_ns: int = 0) -> Excess | None:
    """The worst window with more than the limit allows, or None.

    `tolerance_ns` is how much later than another an instant may have been seen.
    """
    worst: Excess | None = None
    worst_by = Fraction(0)
    lowest: int | None = None
    first = first_index = 0
    ordered = sorted(instants)
    for index, at in enumerate(ordered):
        # how far the count before this start is behind what the rate gives, in starts * per_ns
        behind = index * limit.per_ns - limit.rate * at
        if lowest is None or behind < lowest:
            lowest, first, first_index = behind, at, index
        count, length_ns = index - first_index + 1, at - first
        allowed = limit.burst + Fraction(limit.rate * (length_ns + tolerance_ns), limit.per_ns)
        if count - allowed > worst_by:
            worst_by = count - allowed
            worst = Excess(count, length_ns, float(allowed))
    return worst
