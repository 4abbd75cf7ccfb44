"""What follows an occurrence, what became of missed ones, and that each has one fate."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    After,
    CatchUp,
    Cause,
    Cron,
    Every,
    GateName,
    Occurrence,
    OccurrenceSkipped,
    Request,
    Retry,
    Schedule,
    SeriesChanged,
    SeriesCreated,
    SeriesEnded,
    SeriesEvent,
    SeriesName,
    SeriesPaused,
    SeriesResumed,
    SeriesRules,
    TaskRescheduled,
    TaskSubmitted,
    Version,
    Wall,
)
from taskmaster.model.recurrence import Span, next_nominal
from taskmaster.model.rejected import Rejected
from taskmaster.model.series import (
    CATCH_UP_LIMIT_MAX,
    CatchUpDecision,
    ChangeSeries,
    Creation,
    EndSeries,
    Following,
    PauseSeries,
    ResumeSeries,
    Series,
    SeriesCommand,
    catch_up,
    decide_creation,
    decide_series,
    fold_series,
    submitted_occurrence,
    successor,
)

NAME, GATE = SeriesName("nightly"), GateName("https~example.org~443")
ADA = Cause("create_series", "ada", "reports")
NOON = Wall(20_000 * DAY + 12 * HOUR)


def at(minutes: float) -> Wall:
    """Minutes after noon."""
    return Wall(NOON + int(minutes * MINUTE))


def rules(
    schedule: Schedule = Every(10 * MINUTE),  # noqa: B008
    *,
    catch_up: CatchUp = "one",
    catch_up_limit: int = 100,
    stop_on_failure: bool = False,
) -> SeriesRules:
    template = TaskSubmitted(
        at=Wall(0), gate=GATE, request=Request("https://example.org/"), due_at=Wall(0)
    )
    return SeriesRules(GATE, schedule, template, catch_up, catch_up_limit, stop_on_failure)


def series(held: SeriesRules, *events: SeriesEvent) -> Series:
    return fold_series(NAME, (SeriesCreated(at=NOON, rules=held), *events))


def occurrence(nominal_at: Wall, number: int = 1, next_at: Wall | None = None) -> Occurrence:
    return Occurrence(NAME, Version(1), number, nominal_at, next_at)


def skip(first: float, last: float, count: int, why: str, *, decided: float) -> OccurrenceSkipped:
    assert why in ("missed", "overlap", "command")
    return OccurrenceSkipped(
        at=at(decided), gate=GATE, first=at(first), last=at(last), count=count, why=why
    )


def ended(
    one: Series,
    nominal: float,
    *,
    started: float | None,
    end: float,
    succeeded: bool = True,
) -> Following:
    started_at = None if started is None else at(started)
    return successor(
        one,
        occurrence(at(nominal)),
        first_started_at=started_at,
        ended_at=at(end),
        succeeded=succeeded,
    )


def followed_by(following: Following) -> float:
    assert following.occurrence is not None
    assert following.due_at == following.occurrence.nominal_at
    return (following.due_at - NOON) / MINUTE


# --- the state --------------------------------------------------------------------------------


def test_a_series_is_the_fold_of_its_stream() -> None:
    changed = rules(Every(HOUR))

    one = series(
        rules(),
        SeriesPaused(at=NOON, gate=GATE),
        SeriesChanged(at=NOON, rules=changed),
        SeriesResumed(at=NOON, gate=GATE),
        SeriesPaused(at=NOON, gate=GATE),
        SeriesEnded(at=NOON, gate=GATE),
    )

    assert one == Series(NAME, Version(6), changed, paused=True, ended=True)


# --- the first occurrence ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "start_at", "expected"),
    [
        (Every(10 * MINUTE), None, at(10)),
        (Every(10 * MINUTE), at(0), at(0)),
        (Every(10 * MINUTE), at(3), at(3)),
        (Every(10 * MINUTE), at(-25), at(5)),
        (Every(10 * MINUTE), at(-30), at(0)),
        (After(10 * MINUTE), None, at(10)),
        (After(10 * MINUTE), at(3), at(3)),
        (After(10 * MINUTE), at(-3), at(0)),
        (Cron("*/15 * * * *"), None, at(0)),
        (Cron("5 * * * *"), None, at(5)),
        (Cron("5 * * * *"), at(-90), at(5)),
        (Cron("5 * * * *"), at(65), at(65)),
        (Cron("5 * * * *"), at(66), at(125)),
    ],
)
def test_the_first_run_comes_no_earlier_than_now_and_start_at(
    schedule: Schedule, start_at: Wall | None, expected: Wall
) -> None:
    """Semantics 6.1; nobody has missed a run from before the series existed."""
    made = decide_creation(NAME, rules(schedule), ADA, NOON, start_at)

    assert isinstance(made, Creation)
    assert made.created == SeriesCreated(at=NOON, cause=ADA, rules=rules(schedule))
    assert made.series == series(rules(schedule))
    assert made.first.due_at == expected
    assert made.first.cause == ADA
    assert made.first.occurrence == occurrence(expected, next_at=next_nominal(schedule, expected))


@pytest.mark.parametrize(
    ("name", "held", "field"),
    [
        ("", rules(), "series"),
        ("a/b", rules(), "series"),
        ("a", rules(Every(1)), "every"),
        ("a", rules(Cron("0 0 30 2 *")), "cron"),
        ("a", rules(Cron("0 0 * * *", "Mars")), "time_zone"),
        ("a", rules(catch_up_limit=0), "catch_up_limit"),
        ("a", rules(catch_up_limit=CATCH_UP_LIMIT_MAX + 1), "catch_up_limit"),
    ],
)
def test_a_series_that_cannot_be_kept_is_rejected(name: str, held: SeriesRules, field: str) -> None:
    refused = decide_creation(SeriesName(name), held, ADA, NOON, None)

    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("invalid_field", field)
    assert refused.remedy


def test_a_task_of_a_series_is_its_template_with_its_own_times() -> None:
    template = TaskSubmitted(
        at=Wall(1),
        cause=ADA,
        gate=GateName("elsewhere"),
        request=Request("https://example.org/", "PUT", (("a", "b"),), b"body"),
        due_at=Wall(5),
        retry=Retry(max_attempts=2),
        timeout_ns=SECOND,
        expires_at=Wall(5 + MINUTE),
        idempotent=False,
        priority=3,
        fair_key="tenant",
        order_key="line",
        key="dropped",
        fingerprint="dropped",
        labels=(("team", "x"),),
        traceparent="00-1-2-01",
    )
    one = series(replace(rules(), template=template))
    open_one = occurrence(at(10))

    submitted = submitted_occurrence(one, open_one, at(10), NOON)

    assert submitted == replace(
        template,
        at=NOON,
        cause=Cause(),
        gate=GATE,
        due_at=at(10),
        expires_at=at(11),
        key="",
        fingerprint="",
        occurrence=open_one,
    )


# --- the successor ----------------------------------------------------------------------------


def test_every_follows_the_nominal_time_not_the_end() -> None:
    """Semantics 6.1."""
    following = ended(series(rules()), 0, started=2, end=7)

    assert following == Following((), occurrence(at(10), 2, at(20)), at(10))


def test_after_follows_the_end() -> None:
    """Semantics 6.1."""
    following = ended(series(rules(After(10 * MINUTE))), 0, started=25, end=31)

    assert following == Following((), occurrence(at(41), 2), at(41))


def test_cron_follows_its_expression() -> None:
    following = ended(series(rules(Cron("*/15 * * * *"))), 0, started=0, end=1)

    assert following == Following((), occurrence(at(15), 2, at(30)), at(15))


@pytest.mark.parametrize("catch_up", ["one", "none", "all"])
def test_what_passes_while_a_task_runs_is_skipped_and_recorded(catch_up: CatchUp) -> None:
    """Semantics 6.3, the instant of the end included."""
    following = ended(series(rules(catch_up=catch_up)), 0, started=1, end=30)

    assert following.events == (skip(10, 30, 3, "overlap", decided=30),)
    assert followed_by(following) == 40


@pytest.mark.parametrize("catch_up", ["one", "none"])
def test_a_run_covers_what_it_missed_before_it_started(catch_up: CatchUp) -> None:
    """Between the decision and the start another time may pass."""
    following = ended(series(rules(catch_up=catch_up)), 0, started=11, end=25)

    assert following.events == (
        skip(10, 10, 1, "missed", decided=25),
        skip(20, 20, 1, "overlap", decided=25),
    )
    assert followed_by(following) == 30


def test_a_run_started_before_its_time_is_followed_by_the_next_one() -> None:
    """Run now, by a person."""
    following = ended(series(rules()), 10, started=-5, end=-4)

    assert following.events == ()
    assert followed_by(following) == 20


@pytest.mark.parametrize("started", [None, 1])
def test_an_occurrence_that_did_not_succeed_still_asks_for_its_successor(
    started: float | None,
) -> None:
    """Semantics 6.4."""
    following = ended(series(rules()), 0, started=started, end=2, succeeded=False)

    assert following.events == ()
    assert followed_by(following) == 10


def test_a_series_that_stops_on_failure_ends_with_the_skips_of_its_last_run() -> None:
    """Semantics 6.4."""
    one = series(rules(stop_on_failure=True))

    following = ended(one, 0, started=0, end=15, succeeded=False)

    end = SeriesEnded(at=at(15), gate=GATE, why="failure")
    assert following == Following((skip(10, 10, 1, "overlap", decided=15), end), None, at(15))
    assert followed_by(ended(one, 0, started=0, end=5)) == 10


def test_a_series_with_no_more_times_ends() -> None:
    late = Wall(2**63 - 1 - SECOND)
    one = series(rules())

    following = successor(
        one, occurrence(late), first_started_at=late, ended_at=late, succeeded=True
    )

    end = SeriesEnded(at=late, gate=GATE, why="no_more_times")
    assert following == Following((end,), None, late)


def test_a_series_that_has_ended_is_followed_by_nothing() -> None:
    one = series(rules(), SeriesEnded(at=NOON, gate=GATE))

    assert ended(one, 0, started=0, end=35) == Following((), None, at(35))
    assert catch_up(one, occurrence(at(0)), at(35)) is None


def test_the_successor_names_the_version_of_the_series_it_was_decided_on() -> None:
    one = series(rules(), SeriesPaused(at=NOON, gate=GATE), SeriesResumed(at=NOON, gate=GATE))

    following = ended(one, 0, started=0, end=1)

    assert following.occurrence is not None
    assert following.occurrence.series_version == 3


@pytest.mark.parametrize(
    ("catch_up", "limit", "expected", "skipped"),
    [
        ("one", 100, 30, (skip(10, 20, 2, "missed", decided=35),)),
        ("none", 100, 40, (skip(10, 30, 3, "missed", decided=35),)),
        ("all", 100, 10, ()),
        ("all", 2, 20, (skip(10, 10, 1, "missed", decided=35),)),
    ],
)
def test_what_passed_before_an_end_without_a_start_is_caught_up_by_the_successor(
    catch_up: CatchUp, limit: int, expected: float, skipped: tuple[OccurrenceSkipped, ...]
) -> None:
    """Semantics 6.2: else expired tasks would follow each other, one for each missed time."""
    one = series(rules(catch_up=catch_up, catch_up_limit=limit))

    following = ended(one, 0, started=None, end=35, succeeded=False)

    assert following.events == skipped
    assert followed_by(following) == expected


# --- catch-up ---------------------------------------------------------------------------------


def decided(
    one: Series, nominal: float, now: float
) -> tuple[float | None, tuple[OccurrenceSkipped, ...]]:
    answer = catch_up(one, occurrence(at(nominal), 7), at(now))
    if answer is None:
        return None, ()
    (moved,) = answer.task_events
    assert moved.occurrence is not None
    assert moved.occurrence.number == 7
    assert moved.due_at == moved.occurrence.nominal_at
    return (moved.due_at - NOON) / MINUTE, answer.series_events


def test_one_takes_over_the_latest_missed_time_and_counts_those_skipped() -> None:
    """Semantics 6.2."""
    answer = catch_up(series(rules()), occurrence(at(0), 7), at(35))

    moved = TaskRescheduled(
        at=at(35), gate=GATE, due_at=at(30), occurrence=occurrence(at(30), 7, at(40))
    )
    assert answer == CatchUpDecision((moved,), (skip(0, 20, 3, "missed", decided=35),))


def test_none_waits_for_the_first_time_to_come() -> None:
    """Semantics 6.2."""
    one = series(rules(catch_up="none"))

    assert decided(one, 0, 35) == (40, (skip(0, 30, 4, "missed", decided=35),))


def test_all_keeps_its_time_unless_more_are_missed_than_its_limit() -> None:
    """Semantics 6.2."""
    one = series(rules(catch_up="all", catch_up_limit=4))

    assert decided(one, 0, 39) == (None, ())
    assert decided(one, 0, 40) == (10, (skip(0, 0, 1, "missed", decided=40),))
    assert decided(one, 0, 65) == (30, (skip(0, 20, 3, "missed", decided=65),))


@pytest.mark.parametrize("rule", ["one", "none", "all"])
def test_a_run_is_late_but_not_missed_until_the_next_time_has_passed(rule: CatchUp) -> None:
    one = series(rules(catch_up=rule, catch_up_limit=1))

    assert decided(one, 0, 9.9) == (None, ())
    assert decided(one, 10, -60) == (None, ())


@pytest.mark.parametrize("rule", ["one", "none", "all"])
def test_after_is_late_but_never_missed(rule: CatchUp) -> None:
    one = series(rules(After(MINUTE), catch_up=rule, catch_up_limit=1))

    assert decided(one, 0, 600) == (None, ())


def test_a_missed_year_of_every_second_is_one_decision() -> None:
    one = series(rules(Cron("* * * * * *", "Europe/Berlin")))

    _, skips = decided(one, 0, 365 * 24 * 60)

    assert [each.count for each in skips] == [365 * 24 * 60 * 60]


def test_all_runs_what_was_missed_and_skips_what_passes_meanwhile() -> None:
    """Semantics 6.2 and 6.3: 0 starts at 25; 10 and 20 are owed, 30 overlaps."""
    one = series(rules(catch_up="all"))

    first = ended(one, 0, started=25, end=31)
    one = one.after(first.events)
    second = ended(one, 10, started=32, end=33)
    one = one.after(second.events)
    third = ended(one, 20, started=34, end=35)

    assert first.events == (skip(30, 30, 1, "overlap", decided=31),)
    assert [followed_by(each) for each in (first, second, third)] == [10, 20, 40]
    assert second.events == third.events == ()


def test_what_was_skipped_while_catching_up_is_not_skipped_again() -> None:
    """10 and 20 are owed, 30 was skipped; then nothing runs until 55."""
    one = series(rules(catch_up="all", catch_up_limit=2))
    one = one.after(ended(one, 0, started=25, end=31).events)

    assert decided(one, 10, 55) == (
        40,
        (skip(10, 20, 2, "missed", decided=55),),
    )
    assert decided(replace(one, rules=rules(catch_up="none")), 10, 55) == (
        60,
        (skip(10, 20, 2, "missed", decided=55), skip(40, 50, 2, "missed", decided=55)),
    )


@pytest.mark.parametrize("rule", ["one", "none", "all"])
def test_a_time_that_a_person_skipped_is_passed_over(rule: CatchUp) -> None:
    one = series(rules(catch_up=rule), skip(20, 30, 2, "command", decided=5))

    assert followed_by(ended(one, 0, started=0, end=1)) == 10
    assert followed_by(ended(one, 10, started=10, end=11)) == 40
    assert ended(one, 10, started=10, end=20).events == ()


@pytest.mark.parametrize("rule", ["one", "none"])
def test_nothing_is_remembered_of_times_that_lie_before_the_open_task(rule: CatchUp) -> None:
    """Else a series whose runs overlap would grow for ever."""
    one = series(rules(catch_up=rule), skip(10, 20, 2, "command", decided=5))

    assert one.after((skip(30, 40, 2, "overlap", decided=45),)).skipped == ()


def test_what_is_remembered_is_bounded() -> None:
    one = series(rules(catch_up="all"))

    for each in range(0, 4 * CATCH_UP_LIMIT_MAX, 2):
        one = one.after((skip(each, each, 1, "overlap", decided=each),))

    assert len(one.skipped) == CATCH_UP_LIMIT_MAX + 1
    last = at(4 * CATCH_UP_LIMIT_MAX - 2)
    assert one.skipped[-1] == Span(last, last, 1)


def test_a_changed_period_counts_from_the_open_occurrence() -> None:
    one = series(rules(), SeriesChanged(at=at(1), rules=rules(Every(3 * MINUTE))))

    following = ended(one, 0, started=0, end=4)

    assert following.events == (skip(3, 3, 1, "overlap", decided=4),)
    assert followed_by(following) == 6


# --- every nominal time has one fate ----------------------------------------------------------


class Ledger:
    """Lives a series by its decisions and writes down what became of each nominal time."""

    def __init__(self, held: SeriesRules) -> None:
        made = decide_creation(NAME, held, ADA, NOON, NOON)
        assert isinstance(made, Creation)
        assert made.first.occurrence is not None
        self.stream: list[SeriesEvent] = [made.created]
        self.series = made.series
        self.open = made.first.occurrence
        self.first_at = self.open.nominal_at
        self.now = NOON
        self.fates: Counter[Wall] = Counter()
        self.ran: list[Wall] = []
        self.ran_while: list[tuple[Wall, Wall]] = []

    def meant(self, first: Wall, last: Wall) -> list[Wall]:
        """The nominal times from one instant to another, both included."""
        times: list[Wall] = []
        each: Wall | None = self.first_at
        while each is not None and each <= last:
            if each >= first:
                times.append(each)
            each = next_nominal(self.series.rules.schedule, each)
        return times

    def record(self, events: tuple[SeriesEvent, ...]) -> None:
        for event in events:
            if isinstance(event, OccurrenceSkipped):
                covered = self.meant(event.first, event.last)
                assert (covered[0], covered[-1]) == (event.first, event.last)
                assert len(covered) == event.count
                self.fates.update(covered)
        self.stream.extend(events)
        self.series = self.series.after(events)

    def change(self, rule: CatchUp, limit: int) -> None:
        changed = replace(self.series.rules, catch_up=rule, catch_up_limit=limit)
        self.record((SeriesChanged(at=self.now, rules=changed),))

    def catch_up(self) -> None:
        """Decide on what was missed, and again: there is nothing left to do."""
        answer = catch_up(self.series, self.open, self.now)
        if answer is None:
            return
        self.record(answer.series_events)
        (moved,) = answer.task_events
        assert moved.occurrence is not None
        assert moved.occurrence.nominal_at > self.open.nominal_at
        self.open = moved.occurrence
        assert catch_up(self.series, self.open, self.now) is None

    def end(self, first_started_at: Wall | None) -> None:
        following = successor(
            self.series,
            self.open,
            first_started_at=first_started_at,
            ended_at=self.now,
            succeeded=True,
        )
        self.fates[self.open.nominal_at] += 1
        self.record(following.events)
        assert following.occurrence is not None
        assert following.occurrence.number == self.open.number + 1
        self.open = following.occurrence


def durations(minutes: int) -> st.SearchStrategy[int]:
    """In half minutes: in nanoseconds hypothesis would hardly ever draw a long one."""
    return st.integers(0, 2 * minutes).map(lambda halves: halves * MINUTE // 2)


steps = st.lists(
    st.tuples(
        st.sampled_from(["run", "run", "run", "run", "early", "cancel", "change"]),
        durations(60) | durations(2),  # down, paused or waiting
        durations(12) | st.just(0),  # from the decision to the start
        durations(40) | durations(2),  # in flight
        st.sampled_from(["one", "none", "all"]),
        st.integers(1, 6),
    ),
    min_size=1,
    max_size=25,
)
schedules = st.sampled_from(
    [Every(10 * MINUTE), Every(7 * MINUTE + 13), Cron("*/10 * * * *"), Cron("3,4,5 * * * *")]
)
Step = tuple[str, int, int, int, CatchUp, int]


@pytest.mark.slow
@settings(max_examples=300)
@given(schedules, st.sampled_from(["one", "none", "all"]), st.integers(1, 6), steps)
def test_every_nominal_time_has_one_fate(
    schedule: Schedule, rule: CatchUp, limit: int, taken: list[Step]
) -> None:
    """Semantics 6.2 and 6.3, over downtimes, pauses, long runs, cancels and changed rules."""
    ledger = Ledger(rules(schedule, catch_up=rule, catch_up_limit=limit))
    overlapped: list[tuple[Wall, Wall]] = []
    started_for: list[tuple[Wall, Wall]] = []

    for verb, idle_ns, race_ns, flight_ns, next_rule, next_limit in taken:
        ledger.now = Wall(ledger.now + idle_ns)
        if verb == "change":
            ledger.change(next_rule, next_limit)
            continue
        if verb == "cancel":
            ledger.end(None)
        else:
            if verb == "run":
                ledger.now = max(ledger.now, ledger.open.nominal_at)
            ledger.catch_up()
            if ledger.open.nominal_at > ledger.now and verb == "run":
                ledger.now = ledger.open.nominal_at  # `none`: it waits for the next one
            ledger.now = Wall(ledger.now + race_ns)
            started_at = ledger.now
            started_for.append((started_at, ledger.open.nominal_at))
            ledger.now = Wall(ledger.now + flight_ns)
            overlapped.append((started_at, ledger.now))
            ledger.end(started_at)

        ahead = [one for one in ledger.series.skipped if one.last > ledger.open.nominal_at]
        assert len(ahead) <= 7
        assert ledger.series == fold_series(NAME, tuple(ledger.stream))

    past = ledger.meant(ledger.first_at, Wall(ledger.open.nominal_at - 1))
    assert {each: ledger.fates[each] for each in past} == dict.fromkeys(past, 1)
    assert ledger.fates[ledger.open.nominal_at] == 0
    assert all(count == 1 for count in ledger.fates.values())
    if ledger.series.rules.catch_up != "all" and taken and taken[-1][0] != "change":
        assert max(ledger.fates, default=0) < ledger.open.nominal_at
    for started_at, nominal_at in started_for:  # what passed in flight never ran
        assert not any(begin < nominal_at <= end for begin, end in overlapped if end < started_at)


# --- commands ---------------------------------------------------------------------------------


PAUSED = SeriesPaused(at=NOON, gate=GATE)
OTHER = rules(Every(HOUR))


@pytest.mark.parametrize(
    ("before", "command", "expected"),
    [
        ((), PauseSeries(ADA), (SeriesPaused(at=at(1), cause=ADA, gate=GATE),)),
        ((PAUSED,), PauseSeries(ADA), ()),
        ((PAUSED,), ResumeSeries(ADA), (SeriesResumed(at=at(1), cause=ADA, gate=GATE),)),
        ((), ResumeSeries(ADA), ()),
        ((), ChangeSeries(OTHER, ADA), (SeriesChanged(at=at(1), cause=ADA, rules=OTHER),)),
        ((), ChangeSeries(rules(), ADA), ()),
        ((), EndSeries(ADA), (SeriesEnded(at=at(1), cause=ADA, gate=GATE),)),
        ((SeriesEnded(at=NOON, gate=GATE),), EndSeries(ADA), ()),
    ],
)
def test_a_command_makes_these_events_and_none_where_it_is_so_already(
    before: tuple[SeriesEvent, ...], command: SeriesCommand, expected: tuple[SeriesEvent, ...]
) -> None:
    """Semantics 8.4: who and why."""
    assert decide_series(series(rules(), *before), command, at(1)) == expected


@pytest.mark.parametrize(
    ("before", "command", "code", "field"),
    [
        ((SeriesEnded(at=NOON, gate=GATE),), PauseSeries(ADA), "conflict", "series"),
        ((), ChangeSeries(rules(Every(1)), ADA), "invalid_field", "every"),
        ((), ChangeSeries(replace(rules(), gate=GateName("b")), ADA), "conflict", "gate"),
    ],
)
def test_a_command_that_cannot_be_kept_is_rejected(
    before: tuple[SeriesEvent, ...], command: SeriesCommand, code: str, field: str
) -> None:
    refused = decide_series(series(rules(), *before), command, at(1))

    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == (code, field)
