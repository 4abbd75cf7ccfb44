"""Nominal times: which instants a schedule means, in UTC, whatever a zone's clocks do.

Rules of residence: the only place that knows cron, zones and DST; everything else sees instants.
Pure but for the zone files, which are read once. Two rules turn local times into instants
(semantics 6.5), and which one holds is said by the hour field of the expression:

- *elapsed* (it starts with `*`): every instant at which the local clock shows a matching time. In
  a fold such a time comes twice, in a gap never, and no hour of elapsed time is lost or doubled.
- *fixed* (anything else): a matching local time means the first instant at which the local clock
  has reached it. In a fold that is the first pass; in a gap the end of the gap, once for all
  matching times in it.

cronsim is given naive local times only. With an aware start it applies rules of its own, which
miss six fields, `*/n` minutes and shifts of less than an hour.
"""

from bisect import bisect_left
from copy import copy
from datetime import UTC, date, datetime, timedelta, timezone
from difflib import get_close_matches
from functools import lru_cache
from typing import assert_never

from cronsim import CronSim, CronSimError
from msgspec import Struct

from taskmaster.events.types import DAY, HOUR, MINUTE, SECOND, After, Cron, Every, Schedule, Wall
from taskmaster.model.zones import (
    DAY_S,
    SHIFT_MAX_S,
    first_at_s,
    reached_s,
    transitions,
    utc_offset_s,
    zone_names,
)

EARLIEST = Wall(-(2**63))
LATEST = Wall(2**63 - 1)
"""What 64 bits hold: from September 1677 to April 2262."""
PERIOD_MIN_NS = SECOND
PERIOD_MAX_NS = 3_650 * DAY
EXPRESSION_MAX_CHARS = 256
PREVIEW_MAX = 1_000
"""More nominal times are not listed in one answer."""

_EPOCH = datetime(1970, 1, 1)


class Span(Struct, frozen=True):
    """Nominal times that follow each other: the first, the last, and how many."""

    first: Wall
    last: Wall
    count: int


class Impossible(Struct, frozen=True):
    """A schedule that can never be kept: its field, what is wrong, and the remedy."""

    field: str
    message: str
    remedy: str


# --- what is meant ----------------------------------------------------------------------------


def next_nominal(schedule: Schedule, after: Wall, *, origin: Wall | None = None) -> Wall | None:
    """The first nominal time later than `after`.

    `origin` is a nominal time from which `every` counts; without it, `after` is one itself. None
    if there is no later one: the end decides (`after`), or it lies beyond `LATEST`.
    """
    match schedule:
        case Every(period_ns=period_ns):
            begun = after if origin is None else origin
            return within_range(begun + ((after - begun) // period_ns + 1) * period_ns)
        case After():
            return None
        case Cron():
            return _next_of_cron(schedule, after)
        case _:
            assert_never(schedule)


def nominals(schedule: Schedule, start: Wall, count: int) -> tuple[Wall, ...]:
    """The next `count` nominal times after `start`, at most `PREVIEW_MAX`, for a preview.

    For `after` they are those of tasks that take no time at all.
    """
    repeated = Every(schedule.period_ns) if isinstance(schedule, After) else schedule
    coming: list[Wall] = []
    at = next_nominal(repeated, start)
    while at is not None and len(coming) < min(count, PREVIEW_MAX):
        coming.append(at)
        at = next_nominal(repeated, at)
    return tuple(coming)


def span(schedule: Schedule, after: Wall, until: Wall, *, origin: Wall) -> Span | None:
    """The nominal times later than `after` and not later than `until`; None if there are none.

    `origin` is a nominal time at or before `after`, from which `every` counts. The count is exact
    and costs no walk over the times: arithmetic on periods, or on days and transitions.
    """
    match schedule:
        case Every(period_ns=period_ns):
            begun = (after - origin) // period_ns
            passed = (until - origin) // period_ns
            if passed <= begun:
                return None
            first = Wall(origin + (begun + 1) * period_ns)
            return Span(first, Wall(origin + passed * period_ns), passed - begun)
        case After():
            return None
        case Cron():
            first = _next_of_cron(schedule, after)
            if first is None or first > until:
                return None
            last = _nth_latest(schedule, after, until, 1)
            return Span(first, last, _count(schedule, after, until))
        case _:
            assert_never(schedule)


def nth_latest(schedule: Schedule, within: Span, nth: int) -> Wall:
    """The `nth` nominal time of a span, counted back from its last, which is the first."""
    assert 1 <= nth <= within.count, "a nominal time outside its span"
    match schedule:
        case Every(period_ns=period_ns):
            return Wall(within.last - (nth - 1) * period_ns)
        case After():
            return within.last
        case Cron():
            return _nth_latest(schedule, Wall(within.first - 1), within.last, nth)
        case _:
            assert_never(schedule)


def within_range(at: int) -> Wall | None:
    """An instant that was reckoned, or None if it is later than `LATEST`."""
    return Wall(at) if at <= LATEST else None


# --- what is refused, and what people read ----------------------------------------------------


def refuse_schedule(schedule: Schedule) -> Impossible | None:
    """Why a schedule cannot be kept, or None. Fields have the names of semantics 6.1."""
    match schedule:
        case Every(period_ns=period_ns):
            return _refuse_period("every", period_ns)
        case After(period_ns=period_ns):
            return _refuse_period("after", period_ns)
        case Cron(expression=expression, time_zone=time_zone):
            return _refuse_expression(expression) or _refuse_zone(time_zone)
        case _:
            assert_never(schedule)


def _refuse_period(field: str, period_ns: int) -> Impossible | None:
    if PERIOD_MIN_NS <= period_ns <= PERIOD_MAX_NS:
        return None
    return Impossible(
        field,
        f"{field} must be 1 s to 10 years (it is {_period_text(period_ns)})",
        'give a period such as "15m"',
    )


def _refuse_expression(expression: str) -> Impossible | None:
    shown = ascii(expression[:60])
    if len(expression) > EXPRESSION_MAX_CHARS:
        message = f"cron must have at most {EXPRESSION_MAX_CHARS} characters (it begins {shown})"
        return Impossible("cron", message, "split it into several series")
    try:
        comes = _parsed(expression)
    except CronSimError as error:
        return _refuse_unread(expression, shown, str(error))
    if _next_naive(comes, 0) is None:
        return _never(shown)
    return None


def _refuse_unread(expression: str, shown: str, error: str) -> Impossible:
    fields = expression.upper().split()
    if expression.startswith("@"):
        remedy = "write the five fields, such as 0 0 * * * for every day at midnight"
        return Impossible("cron", f"cron has no names of schedules (it is {shown})", remedy)
    if len(fields) not in {5, 6}:
        remedy = (
            "give minute, hour, day of month, month and day of week, with seconds before them"
            " if need be, such as 30 2 * * *"
        )
        return Impossible("cron", f"cron must have 5 or 6 fields (it is {shown})", remedy)
    if "W" in fields[-3].replace("LW", ""):
        remedy = (
            "use L for the last day of the month, LW for its last weekday, or # as in 2#1 for"
            " its first Tuesday"
        )
        message = f"cron knows no weekday nearest to a day of the month (it is {shown})"
        return Impossible("cron", message, remedy)
    any_month = [*fields[:-2], "*", fields[-1]]
    if _is_read(" ".join(any_month)) and _is_read(" ".join([*fields[:-3], "*", *fields[-2:]])):
        return _never(shown)
    where = error.removeprefix("Bad ")
    remedy = "use *, numbers, ranges (1-5), lists (1,15), steps (*/15), L, LW, 5L or 2#1"
    return Impossible("cron", f"cron has a {where} that cannot be read (it is {shown})", remedy)


def _is_read(expression: str) -> bool:
    try:
        _parsed(expression)
    except CronSimError:
        return False
    return True


def _never(shown: str) -> Impossible:
    remedy = "give a day that one of its months has; L is the last day of any month"
    return Impossible("cron", f"cron never comes (it is {shown})", remedy)


def _refuse_zone(time_zone: str) -> Impossible | None:
    known = zone_names()
    if time_zone in known:
        return None
    asked = time_zone[:64]
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(asked.lower(), by_lower, n=1)
    remedy = f"did you mean {by_lower[near[0]]}" if near else "give a name such as Europe/Berlin"
    return Impossible("time_zone", f"there is no time zone {asked!a}", remedy)


def explain(schedule: Schedule) -> str:
    """A schedule as a sentence for people."""
    match schedule:
        case Every(period_ns=period_ns):
            text = _period_text(period_ns)
            is_one = text in {"1 day", "1 hour", "1 minute", "1 second"}
            return f"Every {text.removeprefix('1 ') if is_one else text}"
        case After(period_ns=period_ns):
            return f"{_period_text(period_ns)} after the end of the run before"
        case Cron(expression=expression, time_zone=time_zone):
            return f"{_parsed(expression).explain()}, {time_zone} time"
        case _:
            assert_never(schedule)


def local_text(at: Wall, zone: str) -> str:
    """An instant in RFC 3339 as the clocks of a zone show it, with the offset."""
    whole, fraction_ns = divmod(at, SECOND)
    offset = timezone(timedelta(seconds=utc_offset_s(zone, whole)))
    text = (_EPOCH.replace(tzinfo=UTC) + timedelta(seconds=whole)).astimezone(offset).isoformat()
    if not fraction_ns:
        return text
    return text[:19] + f".{fraction_ns:09d}".rstrip("0") + text[19:]


def _period_text(period_ns: int) -> str:
    parts: list[str] = []
    left = abs(period_ns)
    for name, unit_ns in (("day", DAY), ("hour", HOUR), ("minute", MINUTE)):
        count, left = divmod(left, unit_ns)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    if left or not parts:
        whole, fraction_ns = divmod(left, SECOND)
        text = f"{whole}.{fraction_ns:09d}".rstrip("0").rstrip(".")
        parts.append(f"{text} second{'' if text == '1' else 's'}")
    return ("-" if period_ns < 0 else "") + " ".join(parts)


# --- cron: local times into instants, in whole seconds since 1970 -----------------------------


def _next_of_cron(cron: Cron, after: Wall) -> Wall | None:
    if after >= LATEST:
        return None
    local_times = _parsed(cron.expression)
    after_s = max(after, EARLIEST) // SECOND
    if _is_elapsed(local_times):
        at_s = _next_elapsed(local_times, cron.time_zone, after_s)
    else:
        local_s = _next_naive(local_times, reached_s(cron.time_zone, after_s))
        at_s = None if local_s is None else first_at_s(cron.time_zone, local_s)
    return None if at_s is None else within_range(at_s * SECOND)


def _next_elapsed(local_times: CronSim, zone: str, after_s: int) -> int | None:
    """The first instant after `after_s` at which the local clock shows a matching time.

    Between two transitions the local clock runs with UTC. Where the next matching time is far
    away, what lies between cannot match: its readings fall short of it by more than any shift.
    """
    begin_s = after_s + 1
    offset_s = utc_offset_s(zone, begin_s)
    while True:
        local_s = _next_naive(local_times, begin_s - 1 + offset_s)
        if local_s is None:
            return None
        found_s = local_s - offset_s
        near = found_s <= begin_s + 2 * SHIFT_MAX_S
        shifts = transitions(zone, begin_s, found_s if near else begin_s + SHIFT_MAX_S)
        if shifts:
            begin_s, offset_s = shifts[0].at_s, shifts[0].after_s
        elif near:
            return found_s
        else:
            begin_s = found_s - SHIFT_MAX_S
            offset_s = utc_offset_s(zone, begin_s)


def _count(cron: Cron, after: Wall, until: Wall) -> int:
    """How many nominal times are later than `after` and not later than `until`."""
    local_times, zone = _parsed(cron.expression), cron.time_zone
    after_s, until_s = after // SECOND, until // SECOND
    if until_s <= after_s:
        return 0
    shifts = transitions(zone, after_s, until_s)
    if _is_elapsed(local_times):
        count = 0
        at_s, offset_s = after_s, utc_offset_s(zone, after_s)
        for shift in shifts:
            end_s = shift.at_s - 1
            count += _count_naive(local_times, at_s + offset_s, end_s + offset_s)
            at_s, offset_s = end_s, shift.after_s
        return count + _count_naive(local_times, at_s + offset_s, until_s + offset_s)
    count = _count_naive(local_times, reached_s(zone, after_s), reached_s(zone, until_s))
    for shift in shifts:  # all that a gap swallows, and what its end shows, is one instant
        begin_s, end_s = shift.at_s + shift.before_s - 1, shift.at_s + shift.after_s
        count -= max(0, _count_naive(local_times, begin_s, end_s) - 1)
    return count


def _nth_latest(cron: Cron, after: Wall, until: Wall, nth: int) -> Wall:
    """The nominal time that has `nth` - 1 others between it and `until`."""
    seconds = range(after // SECOND + 1, until // SECOND + 1)

    def is_past(at_s: int) -> bool:
        return _count(cron, Wall(at_s * SECOND), until) < nth

    return Wall(seconds[bisect_left(seconds, True, key=is_past)] * SECOND)


# --- cron: matching local times ---------------------------------------------------------------


@lru_cache(maxsize=4_096)
def _parsed(expression: str) -> CronSim:
    """An expression as cronsim reads it. It is an iterator: copied before each use."""
    return CronSim(expression, _EPOCH)


def _is_elapsed(local_times: CronSim) -> bool:
    return local_times.parts[2].startswith("*")


def _next_naive(local_times: CronSim, after_s: int) -> int | None:
    """The first matching local time after another; None if none comes for 50 years."""
    walk = copy(local_times)
    walk.dt = _EPOCH + timedelta(seconds=after_s)
    found = next(walk, None)
    return None if found is None else (found - _EPOCH) // timedelta(seconds=1)


def _count_naive(local_times: CronSim, after_s: int, until_s: int) -> int:
    """How many matching local times lie after one and up to another."""
    if until_s <= after_s:
        return 0
    first_day, first_s = divmod(after_s, DAY_S)
    last_day, last_s = divmod(until_s, DAY_S)
    of_last = _count_of_day(local_times, last_s) if _matches(local_times, last_day) else 0
    of_first = _count_of_day(local_times, first_s) if _matches(local_times, first_day) else 0
    days = sum(_matches(local_times, day) for day in range(first_day, last_day))
    return days * _count_of_day(local_times, DAY_S - 1) + of_last - of_first


def _matches(local_times: CronSim, day: int) -> bool:
    on = date.fromordinal(_EPOCH.toordinal() + day)
    return on.month in local_times.months and local_times.match_day(on)


def _count_of_day(local_times: CronSim, until_s: int) -> int:
    """How many matching times a matching day has from its midnight up to a second of it."""
    hour, minute, second = until_s // 3_600, until_s // 60 % 60, until_s % 60
    hours = sum(one < hour for one in local_times.hours)
    minutes = sum(one < minute for one in local_times.minutes) if hour in local_times.hours else 0
    has_minute = hour in local_times.hours and minute in local_times.minutes
    seconds = sum(one <= second for one in local_times.seconds) if has_minute else 0
    in_minute = len(local_times.seconds)
    return (hours * len(local_times.minutes) + minutes) * in_minute + seconds
