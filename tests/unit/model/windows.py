"""Counts starts in windows, by no arithmetic of the model's: what semantics 3.1 promises."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from taskmaster.events.types import Rate


def worst_excess(starts: Sequence[int], rate: Rate, *, burst: int | None = None) -> Fraction:
    """By how many starts the worst window exceeds `b + r*T`; 0 or less where none does.

    Every window worth counting begins and ends with a start.
    """
    per_ns = Fraction(rate.rate) / rate.per_ns
    allowed = rate.burst if burst is None else burst
    worst = Fraction(-allowed)
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            count = last - first + 1
            worst = max(worst, count - allowed - per_ns * (starts[last] - starts[first]))
    return worst


def excess_over(starts: Sequence[int], rates: Iterable[Rate]) -> Fraction:
    """The worst of several rates, which stand together."""
    return max((worst_excess(starts, rate) for rate in rates), default=Fraction(0))
