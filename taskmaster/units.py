"""Durations and instants as people write them, to integers of nanoseconds and back.

Rules of residence: pure; imports nothing of the project, so that settings, API and CLI share it.
Nothing is rounded silently: what is finer than a nanosecond is not read. How an instant is shown
is `delivery/headers.py`'s `rfc3339`, for the endpoints see it too.
"""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from math import isfinite

SECOND_NS = 1_000_000_000
LATEST_NS = 2**63 - 1
"""April 2262: the last instant that 64 bits hold, and with it the store."""
MAX_CHARS = 64
"""Longer text is no duration and no instant."""

UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3_600 * SECOND_NS,
    "d": 86_400 * SECOND_NS,
    "w": 604_800 * SECOND_NS,
}

_NUMBER = r"\d+(?:\.\d+)?"
_SECONDS = re.compile(rf"[+-]?{_NUMBER}", re.ASCII)
_PART = re.compile(rf"({_NUMBER})(ns|us|µs|ms|s|m|h|d|w)", re.ASCII)
_PARTS = re.compile(rf"(?:{_NUMBER}(?:ns|us|µs|ms|s|m|h|d|w))+", re.ASCII)
_ISO = re.compile(
    rf"P(?=.)(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(?:T(?=.)(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?",
    re.ASCII,
)
_ISO_UNITS = ("w", "d", "h", "m", "s")
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"(?:([Zz])|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def parse_duration(written: float | str) -> int | None:
    """A number of seconds, `1h30m` or ISO 8601's `PT1H30M` in nanoseconds; None if it is neither.

    Years and months have no fixed length and are not read; nor is what is finer than 1 ns.
    """
    if isinstance(written, str):
        return _parse_duration_text(written)
    if isinstance(written, bool):
        return None
    if isinstance(written, int):
        return written * SECOND_NS
    if not isfinite(written):
        return None
    return _whole_ns(Decimal(repr(written)) * SECOND_NS)


@lru_cache(maxsize=1_024)
def _parse_duration_text(text: str) -> int | None:
    if len(text) > MAX_CHARS:
        return None
    if _SECONDS.fullmatch(text):
        return _whole_ns(Decimal(text) * SECOND_NS)
    if _PARTS.fullmatch(text):
        parts = [(number, UNITS_NS[unit]) for number, unit in _PART.findall(text)]
        sizes = [unit_ns for _, unit_ns in parts]
        if sizes != sorted(set(sizes), reverse=True):
            return None  # 5m1h and 1s1s are slips
        return _sum_ns(parts)
    iso = _ISO.fullmatch(text)
    if iso is None:
        return None
    given = zip(iso.groups(), _ISO_UNITS, strict=True)
    return _sum_ns([(number, UNITS_NS[unit]) for number, unit in given if number is not None])


def _sum_ns(parts: list[tuple[str, int]]) -> int | None:
    return _whole_ns(sum((Decimal(number) * unit_ns for number, unit_ns in parts), Decimal(0)))


def _whole_ns(exact: Decimal) -> int | None:
    whole = int(exact)
    return whole if whole == exact else None


@lru_cache(maxsize=4_096)
def format_duration(duration_ns: int) -> str:
    """The same as `parse_duration` reads, exactly: `1h30m`, `1.5s`, `250ms`."""
    if duration_ns < 0:
        return "-" + format_duration(-duration_ns)
    if duration_ns == 0:
        return "0s"
    if duration_ns < SECOND_NS:
        for unit in ("ms", "us"):
            if duration_ns >= UNITS_NS[unit]:
                return _decimal(duration_ns, UNITS_NS[unit]) + unit
        return f"{duration_ns}ns"
    hours, rest = divmod(duration_ns, UNITS_NS["h"])
    minutes, rest = divmod(rest, UNITS_NS["m"])
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if minutes else ""
    return text + (_decimal(rest, SECOND_NS) + "s" if rest else "")


def _decimal(amount: int, of: int) -> str:
    whole, rest = divmod(amount, of)
    digits = str(of + rest)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_instant(text: str) -> int | None:
    """An instant of RFC 3339 in nanoseconds since 1970; None if it is none, or outside 1970 to
    2262. An offset is needed, for no zone is assumed."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, utc, sign, off_h, off_m = found.groups()
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:  # the 31st of February
        return None
    at_s = days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if utc is None:
        offset_h, offset_m = int(off_h), int(off_m)
        if offset_h > 23 or offset_m > 59:
            return None
        offset_s = offset_h * 3_600 + offset_m * 60
        at_s += offset_s if sign == "-" else -offset_s
    at = at_s * SECOND_NS + (int(fraction.ljust(9, "0")) if fraction else 0)
    return at if 0 <= at <= LATEST_NS else None
