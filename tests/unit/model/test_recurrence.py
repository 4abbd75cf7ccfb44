"""Nominal times against a table, against croniter, and against a walk over every second."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from taskmaster.events.types import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    After,
    Cron,
    Every,
    Schedule,
    Wall,
)
from taskmaster.model.recurrence import (
    LATEST,
    PREVIEW_MAX,
    Span,
    explain,
    local_text,
    next_nominal,
    nominals,
    nth_latest,
    refuse_schedule,
    span,
)
from taskmaster.model.zones import transitions, zone_names

BERLIN, HOWE, CHATHAM = "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham"
CAIRO, APIA = "Africa/Cairo", "Pacific/Apia"


def utc(text: str) -> Wall:
    return Wall(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND)


def texts(instants: tuple[Wall, ...]) -> list[str]:
    return [local_text(at, "UTC").removesuffix(":00+00:00").replace("T", " ") for at in instants]


# --- the table --------------------------------------------------------------------------------

TABLE = [
    # a fixed hour in a gap and in a fold
    ("30 2 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
    ("30 2 * * *", BERLIN, "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
    ("30 2 * * *", BERLIN, "2026-10-25 00:45", ["2026-10-26 01:30"]),
    ("0 30 2 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
    ("0 30 2 * * *", BERLIN, "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
    (
        "30 1,2,3 * * *",
        BERLIN,
        "2026-03-28 12:00",
        ["2026-03-29 00:30", "2026-03-29 01:00", "2026-03-29 01:30", "2026-03-29 23:30"],
    ),
    ("*/15 2 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:00"]),
    (
        "*/30 2 * * *",
        BERLIN,
        "2026-10-24 12:00",
        ["2026-10-25 00:00", "2026-10-25 00:30", "2026-10-26 01:00"],
    ),
    ("0 2-4 * * *", BERLIN, "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-29 02:00"]),
    # shifts of half an hour, at midnight, of a whole day
    ("15 2 * * *", HOWE, "2026-10-03 00:00", ["2026-10-03 15:30", "2026-10-04 15:15"]),
    ("45 1 * * *", HOWE, "2026-04-04 00:00", ["2026-04-04 14:45", "2026-04-05 15:15"]),
    ("50 2 * * *", CHATHAM, "2026-09-26 00:00", ["2026-09-26 14:00", "2026-09-27 13:05"]),
    ("30 0 * * *", CAIRO, "2026-04-23 00:00", ["2026-04-23 22:00", "2026-04-24 21:30"]),
    ("0 12 * * *", APIA, "2011-12-29 00:00", ["2011-12-29 22:00", "2011-12-30 10:00"]),
    # elapsed time: every hour and quarter, none lost, none double
    (
        "0 * * * *",
        BERLIN,
        "2026-03-28 23:30",
        ["2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"],
    ),
    (
        "0 * * * *",
        BERLIN,
        "2026-10-24 23:30",
        ["2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00"],
    ),
    (
        "*/15 * * * *",
        BERLIN,
        "2026-03-29 00:40",
        ["2026-03-29 00:45", "2026-03-29 01:00", "2026-03-29 01:15"],
    ),
    (
        "*/15 * * * *",
        BERLIN,
        "2026-10-25 00:40",
        ["2026-10-25 00:45", "2026-10-25 01:00", "2026-10-25 01:15"],
    ),
    # cronsim by itself loses 02:00 here, after a fold of half an hour
    ("0 */2 * * *", HOWE, "2026-04-04 13:30", ["2026-04-04 15:30", "2026-04-04 17:30"]),
    # the next time lies far away, behind a transition
    ("0 * 1 7 *", "America/New_York", "2026-01-01 00:00", ["2026-07-01 04:00"]),
    ("0 * 1 1 *", "America/New_York", "2026-06-01 00:00", ["2027-01-01 05:00"]),
    # a transition on the edge between two remembered pieces of time
    ("30 2 * * *", "Europe/Chisinau", "2020-10-24 23:45", ["2020-10-26 00:30"]),
    # days
    ("0 9 L * *", "UTC", "2026-02-01 00:00", ["2026-02-28 09:00", "2026-03-31 09:00"]),
    ("0 9 LW * *", "UTC", "2026-02-01 00:00", ["2026-02-27 09:00", "2026-03-31 09:00"]),
    ("0 9 * * 2#2", "UTC", "2026-02-01 00:00", ["2026-02-10 09:00", "2026-03-10 09:00"]),
    ("0 9 * * 5L", "UTC", "2026-02-01 00:00", ["2026-02-27 09:00", "2026-03-27 09:00"]),
    (
        "0 0 13 * 5",
        "UTC",
        "2026-02-01 00:00",
        ["2026-02-06 00:00", "2026-02-13 00:00", "2026-02-20 00:00", "2026-02-27 00:00"],
    ),
    ("0 0 29 2 *", "UTC", "2096-03-01 00:00", ["2104-02-29 00:00"]),
    # seconds come first
    (
        "*/20 * * * * *",
        "UTC",
        "2026-02-01 00:00",
        ["2026-02-01T00:00:20", "2026-02-01T00:00:40", "2026-02-01T00:01:00"],
    ),
]


@pytest.mark.parametrize(("expression", "zone", "after", "expected"), TABLE)
def test_a_cron_expression_means_these_instants(
    expression: str, zone: str, after: str, expected: list[str]
) -> None:
    """Semantics 6.5."""
    assert nominals(Cron(expression, zone), utc(after), len(expected)) == tuple(map(utc, expected))


def test_a_nominal_time_is_later_than_the_instant_asked_about() -> None:
    noon, before = utc("2026-02-01 12:00"), Wall(utc("2026-02-01 12:00") - 1)

    assert next_nominal(Cron("0 12 * * *"), before) == noon
    assert next_nominal(Cron("0 12 * * *"), noon) == utc("2026-02-02 12:00")


def test_every_follows_the_previous_nominal_time_without_drift() -> None:
    """Semantics 6.1."""
    every = Every(15 * MINUTE)

    assert next_nominal(every, Wall(7)) == 15 * MINUTE + 7
    assert next_nominal(every, Wall(47 * MINUTE), origin=Wall(7)) == 60 * MINUTE + 7
    assert next_nominal(every, Wall(45 * MINUTE + 7), origin=Wall(7)) == 60 * MINUTE + 7


def test_after_has_no_nominal_time_before_its_end_and_a_preview_without_run_time() -> None:
    after = After(HOUR)

    assert next_nominal(after, Wall(0)) is None
    assert span(after, Wall(0), Wall(9 * HOUR), origin=Wall(0)) is None
    assert nominals(after, Wall(0), 2) == (Wall(HOUR), Wall(2 * HOUR))


def test_a_preview_is_bounded() -> None:
    assert len(nominals(Every(SECOND), Wall(0), PREVIEW_MAX + 1)) == PREVIEW_MAX


def test_a_preview_shows_the_past_and_gives_local_time_and_utc() -> None:
    """Semantics 6.6."""
    ran = nominals(Cron("30 2 * * *", BERLIN), utc("2011-03-26 12:00"), 2)

    assert [local_text(at, BERLIN) for at in ran] == [
        "2011-03-27T03:00:00+02:00",
        "2011-03-28T02:30:00+02:00",
    ]
    assert texts(ran) == ["2011-03-27 01:00", "2011-03-28 00:30"]


def test_local_text_shows_a_fraction_of_a_second() -> None:
    assert local_text(Wall(1_500 * MILLISECOND), "UTC") == "1970-01-01T00:00:01.5+00:00"


@pytest.mark.parametrize("schedule", [Every(DAY), Cron("* * * * * *"), Cron("0 0 29 2 *", BERLIN)])
def test_no_nominal_time_lies_beyond_the_last_instant(schedule: Schedule) -> None:
    assert next_nominal(schedule, Wall(LATEST // SECOND * SECOND)) is None
    assert next_nominal(schedule, Wall(LATEST + DAY)) is None


# --- against other reckonings -----------------------------------------------------------------

# minutes and hours, spelled out again, of expressions that the walk does not parse
OFTEN = {
    "0 * * * *": ({0}, set(range(24))),
    "*/15 * * * *": ({0, 15, 30, 45}, set(range(24))),
    "30 */2 * * *": ({30}, set(range(0, 24, 2))),
    "17 */3 * * *": ({17}, set(range(0, 24, 3))),
}
FIXED = {
    "30 2 * * *": ({30}, {2}),
    "0 0 * * *": ({0}, {0}),
    "15,45 0-3 * * *": ({15, 45}, {0, 1, 2, 3}),
    "*/20 23 * * *": ({0, 20, 40}, {23}),
}
SOME_ZONES = [
    BERLIN,
    HOWE,
    CHATHAM,
    CAIRO,
    APIA,
    "UTC",
    "America/Boa_Vista",  # two transitions within a week
    "America/New_York",
    "America/Caracas",  # by half an hour, for good
    "America/St_Johns",  # at one minute past midnight
    "Africa/Casablanca",  # back during Ramadan
    "Africa/Monrovia",  # by 44 min 30 s
    "Antarctica/Troll",  # by two hours
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Europe/Dublin",  # winter time is the exception
    "Pacific/Kwajalein",
]


def shown(zone: ZoneInfo, at: datetime) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def walked(zone: ZoneInfo, begin: datetime, end: datetime) -> dict[str, list[datetime]]:
    """Rule 6.5 minute by minute over (begin, end], by nothing but what the clock shows."""
    meant: dict[str, list[datetime]] = {expression: [] for expression in OFTEN | FIXED}
    reached = max(shown(zone, begin - timedelta(hours=back)) for back in range(49))
    for count in range(1, int((end - begin) / timedelta(minutes=1)) + 1):
        at = begin + timedelta(minutes=count)
        reading = shown(zone, at)
        for expression, (minutes, hours) in OFTEN.items():
            if reading.minute in minutes and reading.hour in hours:
                meant[expression].append(at)
        newly = [
            reached + timedelta(minutes=more)
            for more in range(1, int((reading - reached) / timedelta(minutes=1)) + 1)
        ]
        for expression, (minutes, hours) in FIXED.items():
            if any(one.minute in minutes and one.hour in hours for one in newly):
                meant[expression].append(at)
        reached = max(reached, reading)
    return meant


def ours(expression: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    at = next_nominal(Cron(expression, zone), Wall(int(begin.timestamp()) * SECOND))
    meant: list[datetime] = []
    while at is not None and at <= int(end.timestamp()) * SECOND:
        meant.append(datetime.fromtimestamp(at // SECOND, UTC))
        at = next_nominal(Cron(expression, zone), at)
    return meant


def shifts_of(zone: str, begin: str, end: str) -> list[datetime]:
    found = transitions(zone, utc(begin) // SECOND, utc(end) // SECOND)
    return [datetime.fromtimestamp(shift.at_s, UTC) for shift in found]


def compare_around(zone: str, shift: datetime) -> None:
    """A day and a half before a transition to a day and a half after it."""
    begin = shift.replace(second=0) - timedelta(hours=36)
    end = begin + timedelta(hours=72)
    after, until = (Wall(int(at.timestamp()) * SECOND) for at in (begin, end))
    for expression, expected in walked(ZoneInfo(zone), begin, end).items():
        assert ours(expression, zone, begin, end) == expected, (expression, zone, shift)
        found = span(Cron(expression, zone), after, until, origin=after)
        assert found is not None
        assert found.count == len(expected), (expression, zone, shift)


@pytest.mark.parametrize("zone", SOME_ZONES)
def test_transitions_are_those_of_a_walk_by_hours(zone: str) -> None:
    begin = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
    walk = [begin + timedelta(hours=hour) for hour in range(366 * 24)]
    offsets = [at.astimezone(ZoneInfo(zone)).utcoffset() for at in walk]
    expected = [
        hour
        for hour, (before, after) in zip(walk, pairwise(offsets), strict=False)
        if before != after
    ]

    found = shifts_of(zone, "1999-12-31", "2001-01-01")

    assert [at.replace(minute=0) - timedelta(seconds=1) for at in found] == expected


@pytest.mark.slow
@pytest.mark.parametrize("zone", SOME_ZONES)
def test_around_a_transition_nominal_times_are_those_of_a_walk(zone: str) -> None:
    """Semantics 6.5, over the last transitions before 2027 of zones that do something odd."""
    for shift in shifts_of(zone, "1973-01-01", "2027-01-01")[-4:]:
        compare_around(zone, shift)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("zone", sorted(zone_names()))
def test_around_every_transition_of_every_zone_nominal_times_are_those_of_a_walk(
    zone: str,
) -> None:
    """Semantics 6.5, since 1973: earlier offsets had seconds, which a walk by minutes misses."""
    for shift in shifts_of(zone, "1973-01-01", "2040-01-01"):
        compare_around(zone, shift)


def resolved_by_croniter(expression: str, zone_name: str, after: datetime) -> Iterator[datetime]:
    """The resolver as first sketched, on croniter: aware for elapsed, else naive and mended."""
    zone = ZoneInfo(zone_name)
    if expression.split()[1].startswith("*"):
        yield from croniter(expression, after.astimezone(zone), ret_type=datetime)
        return
    last = after
    for local in croniter(expression, shown(zone, after) - timedelta(days=2), ret_type=datetime):
        first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        at = first
        if shown(zone, first) != local:  # in a gap, which ends between the two readings
            low, high = second, first
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                is_over = middle.astimezone(zone).utcoffset() == high.astimezone(zone).utcoffset()
                low, high = (low, middle) if is_over else (middle, high)
            at = high.replace(microsecond=0)
        if at > last:
            yield at
            last = at


@pytest.mark.slow
@pytest.mark.parametrize("zone", SOME_ZONES)
def test_nominal_times_agree_with_croniter_in_the_resolver_of_two_days_back(zone: str) -> None:
    for shift in shifts_of(zone, "1990-01-01", "2027-01-01")[-2:]:
        after = shift.replace(second=0) - timedelta(hours=36)
        for expression in FIXED:
            expected = list(islice(resolved_by_croniter(expression, zone, after), 12))
            assert ours(expression, zone, after, expected[-1]) == expected


# --- spans ------------------------------------------------------------------------------------

EXPRESSIONS = [
    *OFTEN,
    *FIXED,
    "0 30 2 * * *",
    "*/20 * 2 * * *",
    "0 9 L * *",
    "0 0 13 * 5",
    "30 1 * 3,10 */7",
    "5 */5 28-31 * *",
]


@st.composite
def crons_and_instants(draw: st.DrawFn) -> tuple[Cron, Wall]:
    """An expression in a zone, and an instant near one of the zone's transitions if it has any."""
    zone = draw(st.sampled_from(SOME_ZONES))
    shifts = transitions(zone, 0, utc("2037-01-01") // SECOND)
    at_s = draw(st.sampled_from([shift.at_s for shift in shifts] or [1_800_000_000]))
    near_ns = draw(st.integers(-30 * HOUR, 30 * HOUR))
    return Cron(draw(st.sampled_from(EXPRESSIONS)), zone), Wall(at_s * SECOND + near_ns)


@pytest.mark.slow
@given(crons_and_instants(), st.floats(0, 1, exclude_max=True))
def test_nominal_times_increase_and_nothing_lies_between_two(
    case: tuple[Cron, Wall], share: float
) -> None:
    cron, after = case
    coming = nominals(cron, after, 20)

    assert len(coming) == 20
    for earlier, later in pairwise((after, *coming)):
        assert earlier < later
        between = Wall(earlier + int(share * (later - earlier)))
        assert next_nominal(cron, between) == later


@pytest.mark.slow
@given(crons_and_instants(), st.integers(0, 40), st.integers(0, SECOND), st.data())
def test_a_span_of_cron_is_what_a_walk_finds(
    case: tuple[Cron, Wall], count: int, more_ns: int, data: st.DataObject
) -> None:
    cron, after = case
    walk = nominals(cron, after, count)
    until = Wall((walk[-1] if walk else after) + more_ns)
    walk = tuple(at for at in nominals(cron, after, count + 2) if at <= until)

    found = span(cron, after, until, origin=after)

    if not walk:
        assert found is None
        return
    assert found is not None
    assert found == Span(walk[0], walk[-1], len(walk))
    nth = data.draw(st.integers(1, len(walk)))
    assert nth_latest(cron, found, nth) == walk[-nth]


@given(crons_and_instants(), st.integers(0, 3_000 * DAY), st.integers(0, 3_000 * DAY))
def test_two_spans_that_meet_count_what_one_over_both_does(
    case: tuple[Cron, Wall], first_ns: int, second_ns: int
) -> None:
    cron, after = case
    middle, until = Wall(after + first_ns), Wall(after + first_ns + second_ns)

    parts = (
        span(cron, after, middle, origin=after),
        span(cron, middle, until, origin=after),
    )

    whole = span(cron, after, until, origin=after)
    assert sum(part.count for part in parts if part) == (whole.count if whole else 0)


@given(
    st.integers(SECOND, HOUR),
    st.integers(0, DAY),
    st.integers(0, DAY),
    st.integers(0, DAY),
    st.data(),
)
def test_a_span_of_every_is_what_a_walk_finds(
    period_ns: int, origin: int, after_ns: int, until_ns: int, data: st.DataObject
) -> None:
    every, after = Every(period_ns), Wall(origin + after_ns)
    until = Wall(min(after + until_ns, after + 50 * period_ns))
    walk: list[Wall] = []
    at = next_nominal(every, after, origin=Wall(origin))
    while at is not None and at <= until:
        walk.append(at)
        at = next_nominal(every, at)

    found = span(every, after, until, origin=Wall(origin))

    if not walk:
        assert found is None
        return
    assert found is not None
    assert found == Span(walk[0], walk[-1], len(walk))
    nth = data.draw(st.integers(1, len(walk)))
    assert nth_latest(every, found, nth) == walk[-nth]


def test_ten_years_of_every_second_are_counted_without_a_walk() -> None:
    """315,619,200 seconds; a walk at 10 us each would take an hour."""
    cron = Cron("* * * * * *", BERLIN)

    found = span(cron, utc("2016-01-01"), utc("2026-01-01"), origin=utc("2016-01-01"))

    assert found is not None
    assert found == Span(Wall(utc("2016-01-01") + SECOND), utc("2026-01-01"), 315_619_200)
    assert nth_latest(cron, found, 100) == utc("2025-12-31T23:58:21")


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule",
    [
        Every(SECOND),
        After(3_650 * DAY),
        Cron("0 0 29 2 *"),
        Cron("0 0 29 2 1#5"),
        Cron("*/20 * * * * *", "Asia/Kathmandu"),
        Cron("0 9 LW JAN-MAR MON"),
    ],
)
def test_a_schedule_that_can_be_kept_is_not_refused(schedule: Schedule) -> None:
    assert refuse_schedule(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "field", "message", "remedy"),
    [
        (Every(SECOND - 1), "every", "1 s to 10 years", "15m"),
        (After(3_650 * DAY + 1), "after", "1 s to 10 years", "15m"),
        (Every(-HOUR), "every", "it is -1 hour", "15m"),
        (Cron("0 0 30 2 *"), "cron", "never comes", "L is the last day"),
        (Cron("0 0 31 4,6,9,11 *"), "cron", "never comes", "L is the last day"),
        (Cron("0 0 */31 * 1#3"), "cron", "never comes", "L is the last day"),
        (Cron("0 0 15W * *"), "cron", "weekday nearest", "use L for the last day of the month, LW"),
        (Cron("@daily"), "cron", "'@daily'", "0 0 * * *"),
        (Cron("* * * *"), "cron", "5 or 6 fields", "30 2 * * *"),
        (Cron(""), "cron", "5 or 6 fields", "30 2 * * *"),
        (Cron("60 * * * *"), "cron", "has a minute that cannot be read", "*/15"),
        (Cron("0 0 0 * *"), "cron", "has a day-of-month that cannot be read", "L, LW"),
        (Cron("0 0 * FOO *"), "cron", "has a month that cannot be read", "1-5"),
        (Cron("*/0 * * * *"), "cron", "has a minute that cannot be read", "*/15"),
        (Cron("0," * 200 + "0 * * * *"), "cron", "at most 256 characters", "several series"),
        (Cron("0 0 * * *", "Europe/berlin"), "time_zone", "'Europe/berlin'", "Europe/Berlin"),
        (Cron("0 0 * * *", "Berlin"), "time_zone", "'Berlin'", "did you mean Europe/Berlin"),
        (Cron("0 0 * * *", "Mars"), "time_zone", "'Mars'", "such as Europe/Berlin"),
        (Cron("0 0 * * *", "../../etc/passwd"), "time_zone", "passwd", "such as Europe/Berlin"),
        (Cron("0 0 * * *", "localtime"), "time_zone", "'localtime'", ""),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_with_a_remedy(
    schedule: Schedule, field: str, message: str, remedy: str
) -> None:
    refused = refuse_schedule(schedule)

    assert refused is not None
    assert refused.field == field
    assert message in refused.message
    assert remedy in refused.remedy


hostile = st.one_of(
    st.text(max_size=300),
    st.lists(st.text("0123456789*/,-LW#? \u0663", max_size=6), min_size=5, max_size=6).map(
        " ".join
    ),
)


@pytest.mark.slow
@given(hostile, hostile)
def test_whatever_is_written_is_refused_or_kept(expression: str, zone: str) -> None:
    cron = Cron(expression, zone)

    if refuse_schedule(Cron(expression)) is None:
        assert next_nominal(Cron(expression), Wall(0)) is not None
        assert explain(Cron(expression)) != ""
    assert refuse_schedule(cron) is not None or zone in zone_names()


# --- what people read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Every(15 * MINUTE), "Every 15 minutes"),
        (Every(DAY), "Every day"),
        (Every(36 * HOUR), "Every 1 day 12 hours"),
        (Every(1_500 * MILLISECOND), "Every 1.5 seconds"),
        (After(HOUR), "1 hour after the end of the run before"),
        (Cron("30 2 * * *", BERLIN), "At 02:30 every day, Europe/Berlin time"),
        (Cron("0 9 LW * *"), "At 09:00 on the last weekday of every month, UTC time"),
    ],
)
def test_a_schedule_is_explained_in_a_sentence(schedule: Schedule, expected: str) -> None:
    assert explain(schedule) == expected
