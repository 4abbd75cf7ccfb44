"""What people write as durations and instants, and that nothing is rounded."""

import pytest
from hypothesis import given
from hypothesis.strategies import datetimes, integers

from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import Wall
from taskmaster.units import LATEST_NS, format_duration, parse_duration, parse_instant

MS = 1_000_000
S = 1_000 * MS


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        (30, 30 * S),
        (0, 0),
        (-5, -5 * S),
        (0.1, 100 * MS),
        (1.1, 1_100 * MS),
        ("30", 30 * S),
        ("0.25", 250 * MS),
        ("15m", 900 * S),
        ("1h30m", 5_400 * S),
        ("250ms", 250 * MS),
        ("1.5h", 5_400 * S),
        ("2d", 172_800 * S),
        ("1w", 604_800 * S),
        ("10us", 10_000),
        ("10µs", 10_000),
        ("7ns", 7),
        ("PT15M", 900 * S),
        ("P1DT12H", 129_600 * S),
        ("PT0.25S", 250 * MS),
        ("P2W", 1_209_600 * S),
    ],
)
def test_a_duration_is_read_exactly(written: float | str, ns: int) -> None:
    assert parse_duration(written) == ns


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "soon", "5 m", "5x", "m", "1h1h", "5m1h", "P", "PT", "P1M", "P1Y", "-5m"),
        *("1e3", "0x10", "\u0661\u0665m", "15m\n", "1." + "0" * 100 + "s", "0.1ns", 1e-10),
        *(float("nan"), float("inf"), True),
    ],
)
def test_what_is_no_duration_is_not_read(written: float | str) -> None:
    assert parse_duration(written) is None


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (30 * S, "30s"),
        (900 * S, "15m"),
        (5_400 * S, "1h30m"),
        (86_400 * S, "24h"),
        (250 * MS, "250ms"),
        (1_500 * MS, "1.5s"),
        (60_250 * MS, "1m0.25s"),
        (1_500, "1.5us"),
        (7, "7ns"),
        (-900 * S, "-15m"),
    ],
)
def test_a_duration_is_shown_as_people_write_it(ns: int, text: str) -> None:
    assert format_duration(ns) == text


@given(integers(0, 10**20))
def test_a_shown_duration_is_read_as_the_same(ns: int) -> None:
    assert parse_duration(format_duration(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T09:00:00Z", 1_795_510_800 * S),
        ("2026-11-24T10:00:00+01:00", 1_795_510_800 * S),
        ("2026-11-24t04:30:00-04:30", 1_795_510_800 * S),
        ("2026-11-24T09:00:00.123456789Z", 1_795_510_800 * S + 123_456_789),
        ("2026-11-24T09:00:00.1z", 1_795_510_800 * S + 100 * MS),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * S),
    ],
)
def test_an_instant_is_read_to_the_nanosecond(text: str, ns: int) -> None:
    assert parse_instant(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-11-24", "2026-11-24T09:00:00", "2026-11-24T09:00Z", "20261124T090000Z"),
        *("2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-24T24:00:00Z"),
        *("2026-11-24T09:60:00Z", "2026-11-24T09:00:60Z", "2026-11-24T09:00:00+24:00"),
        *("2026-11-24T09:00:00.1234567891Z", "2026-11-24T09:00:00+01", "2026-11-24T09:00:00Z\n"),
        *("1969-12-31T23:59:59Z", "2263-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        "0000-01-01T00:00:00Z",
    ],
)
def test_what_is_no_instant_is_not_read(text: str) -> None:
    assert parse_instant(text) is None


@given(integers(0, LATEST_NS // 1_000))
def test_a_shown_instant_is_read_as_the_same(us: int) -> None:
    assert parse_instant(rfc3339(Wall(us * 1_000))) == us * 1_000


@given(datetimes())
def test_no_text_breaks_the_reader(moment: object) -> None:
    assert parse_instant(str(moment)) is None
