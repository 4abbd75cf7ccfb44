"""What the clocks of a time zone show, and when they are put forward or back.

Rules of residence: the only place that opens zone files, each once. Instants are whole seconds
since 1970 in UTC; a *local time* is a reading of a zone's clock, counted the same way.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

DAY_S = 86_400
SHIFT_MAX_S = 2 * DAY_S
"""No two offsets of a zone differ by as much; a transition further away cannot matter."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK_S = 128 * DAY_S
"""Transitions are sought and remembered in pieces of this length, sampled once a day. The two
that lie nearest to each other are 7 days apart (tzdata 2026.6 from 1677 on; Boa Vista in 2000)."""


class Transition(Struct, frozen=True, gc=False):
    """From `at_s` on, local time is UTC plus `after_s`; until then it was plus `before_s`."""

    at_s: int
    before_s: int
    after_s: int


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names that a schedule may use; those that mean this machine, or no place, left out."""
    return frozenset(available_timezones()) - {"Factory", "localtime"}


def utc_offset_s(zone: str, at_s: int) -> int:
    """Local time less UTC at an instant."""
    at = _EPOCH + timedelta(seconds=at_s)
    return _whole(at.astimezone(ZoneInfo(zone)).utcoffset())


def transitions(zone: str, after_s: int, until_s: int) -> list[Transition]:
    """The changes of a zone's offset later than one instant and not later than another."""
    return [
        shift
        for chunk in range(after_s // _CHUNK_S, until_s // _CHUNK_S + 1)
        for shift in _chunk(zone, chunk)
        if after_s < shift.at_s <= until_s
    ]


@lru_cache(maxsize=8_192)
def _chunk(zone: str, chunk: int) -> tuple[Transition, ...]:
    begin_s = chunk * _CHUNK_S - 1
    found: list[Transition] = []
    for before_s, after_s in pairwise(range(begin_s, begin_s + _CHUNK_S + 1, DAY_S)):
        was_s, is_s = utc_offset_s(zone, before_s), utc_offset_s(zone, after_s)
        if was_s != is_s:
            within = range(before_s + 1, after_s + 1)
            index = bisect_left(within, True, key=lambda at_s: utc_offset_s(zone, at_s) != was_s)
            found.append(Transition(within[index], was_s, is_s))
    return tuple(found)


def reached_s(zone: str, at_s: int) -> int:
    """The latest local time that the clock has shown up to an instant: after a fold, its end."""
    latest_s = at_s + utc_offset_s(zone, at_s)
    for shift in transitions(zone, at_s - SHIFT_MAX_S, at_s):
        latest_s = max(latest_s, shift.at_s - 1 + shift.before_s)
    return latest_s


def first_at_s(zone: str, local_s: int) -> int:
    """The first instant at which the clock has reached a local time.

    In a fold that is the first of two; a time in a gap is reached at the gap's end.
    """
    reading = (_EPOCH + timedelta(seconds=local_s)).replace(tzinfo=ZoneInfo(zone))
    at_s = local_s - _whole(reading.utcoffset())  # fold=0: by the offset before a transition
    if at_s + utc_offset_s(zone, at_s) == local_s:
        return at_s
    return transitions(zone, at_s - SHIFT_MAX_S, at_s)[-1].at_s


def _whole(offset: timedelta | None) -> int:
    assert offset is not None, "a zone without an offset"
    return offset.days * DAY_S + offset.seconds
