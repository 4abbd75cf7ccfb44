"""Nominal times that nobody has decided on yet, and which of them is taken over when some passed.

Rules of residence: pure arithmetic on spans; no events, and no knowledge of what a series is
beyond its rules. What was skipped once is never counted again.
"""

from typing import assert_never

from msgspec import Struct

from taskmaster.events.types import Schedule, SeriesRules, Wall
from taskmaster.model.recurrence import Span, next_nominal, nth_latest, span


class Times(Struct, frozen=True):
    """The nominal times of a schedule from that of an open occurrence on.

    `skipped` are the spans, in order, that have their fate already.
    """

    schedule: Schedule
    nominal_at: Wall
    skipped: tuple[Span, ...] = ()


class Taken(Struct, frozen=True):
    """The nominal time that the open occurrence takes over, and those it skips: its own first."""

    nominal_at: Wall
    skipped: tuple[Span, ...]


def unskipped(times: Times, after: Wall, until: Wall) -> tuple[Span, ...]:
    """The nominal times later than `after` and not later than `until` that are not skipped.

    One span for each gap between those that are. `after` is no earlier than `nominal_at`.
    """
    found: list[Span | None] = []
    begin = after
    for one in times.skipped:
        if one.last > begin and one.first <= until:
            free = span(times.schedule, begin, Wall(one.first - 1), origin=times.nominal_at)
            found.append(free)
            begin = one.last
    found.append(span(times.schedule, begin, until, origin=times.nominal_at))
    return tuple(one for one in found if one is not None)


def next_unskipped(times: Times, after: Wall) -> Wall | None:
    """The first nominal time later than `after` that is not skipped; None if none comes."""
    at = next_nominal(times.schedule, after, origin=times.nominal_at)
    for one in times.skipped:
        if at is not None and one.first <= at <= one.last:
            at = next_nominal(times.schedule, one.last, origin=times.nominal_at)
    return at


def take_over(times: Times, rules: SeriesRules, now: Wall) -> Taken | None:
    """What an occurrence that has not started takes over at `now`; None: it keeps its time.

    Source: semantics 6.2.
    """
    passed = unskipped(times, times.nominal_at, now)
    if not passed:
        return None
    match rules.catch_up:
        case "none":
            taken_at = next_unskipped(times, now)
        case "one":
            taken_at = passed[-1].last
        case "all" if sum(one.count for one in passed) < rules.catch_up_limit:
            taken_at = None
        case "all":
            taken_at = _nth_latest(times.schedule, passed, rules.catch_up_limit)
        case _:
            assert_never(rules.catch_up)
    if taken_at is None:  # with `none`: no other time comes, so better late than never
        return None
    return Taken(taken_at, _with_own(times, unskipped(times, times.nominal_at, Wall(taken_at - 1))))


def _nth_latest(schedule: Schedule, passed: tuple[Span, ...], nth: int) -> Wall:
    left = nth
    for one in reversed(passed):
        if one.count >= left:
            return nth_latest(schedule, one, left)
        left -= one.count
    raise AssertionError("fewer nominal times passed than are to be kept")


def _with_own(times: Times, later: tuple[Span, ...]) -> tuple[Span, ...]:
    """The occurrence's own time before later ones; in one span if nothing lies between."""
    own = times.nominal_at
    if not later or any(own < one.first < later[0].first for one in times.skipped):
        return (Span(own, own, 1), *later)
    return (Span(own, later[0].last, later[0].count + 1), *later[1:])
