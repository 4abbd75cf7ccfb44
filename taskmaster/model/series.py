"""A series: the chain of tasks that one periodic request leaves behind (semantics 6).

Rules of residence: pure. A `Series` is the fold of its own stream, which knows its rules and what
was skipped, but not its open task; that comes in as an `Occurrence`. Which instants a schedule
means is `recurrence.py`'s. An occurrence is due at its nominal time.

Every nominal time has one fate: it is an occurrence's, or one `OccurrenceSkipped` counts it. Those
later than an occurrence's own that pass before its first start are *missed*, which catch-up
decides on; those that pass from there to its end *overlap* and are skipped at the end.
"""

from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    NEW,
    After,
    Cause,
    Cron,
    Every,
    Occurrence,
    OccurrenceSkipped,
    SeriesChanged,
    SeriesCreated,
    SeriesEnded,
    SeriesEvent,
    SeriesName,
    SeriesPaused,
    SeriesResumed,
    SeriesRules,
    SkipCause,
    TaskRescheduled,
    TaskSubmitted,
    Version,
    Wall,
)
from taskmaster.model.control import NAME
from taskmaster.model.missed import Times, next_unskipped, take_over, unskipped
from taskmaster.model.recurrence import (
    Span,
    next_nominal,
    refuse_schedule,
    within_range,
)
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.submission import refuse_due

CATCH_UP_LIMIT_MAX = 1_000
SKIPPED_MAX = CATCH_UP_LIMIT_MAX + 1
"""Spans remembered: while runs are caught up, one for each of them and one for the run before."""


class Series(Struct, frozen=True):
    """A series' state. `skipped`, in order, are the spans that may lie ahead of its open task.

    There are some only where missed runs are caught up one by one: what passed while one of them
    was running is skipped already when its turn comes.
    """

    name: SeriesName
    version: Version
    rules: SeriesRules
    paused: bool = False
    ended: bool = False
    skipped: tuple[Span, ...] = ()

    def after(self, events: tuple[SeriesEvent, ...]) -> "Series":
        """The series after further events of its stream."""
        series = self
        for event in events:
            series = evolve(series, event, self.name)
        return series


def fold_series(name: SeriesName, events: tuple[SeriesEvent, ...]) -> Series:
    """The series after the whole of its stream."""
    assert events, "a series without SeriesCreated"
    return evolve(None, events[0], name).after(events[1:])


def evolve(series: Series | None, event: SeriesEvent, name: SeriesName) -> Series:
    """The series after one event of its own stream."""
    if series is None:
        assert isinstance(event, SeriesCreated), "SeriesCreated comes first"
        return Series(name, Version(NEW + 1), event.rules)
    moved = replace(series, version=Version(series.version + 1))
    match event:
        case SeriesCreated():
            raise AssertionError("SeriesCreated comes first and once")
        case SeriesChanged(rules=rules):
            return replace(moved, rules=rules)
        case SeriesPaused():
            return replace(moved, paused=True)
        case SeriesResumed():
            return replace(moved, paused=False)
        case SeriesEnded():
            return replace(moved, ended=True, skipped=())
        case OccurrenceSkipped():
            return replace(moved, skipped=_remembered(series, event))
        case _:
            assert_never(event)


def _remembered(series: Series, event: OccurrenceSkipped) -> tuple[Span, ...]:
    """What may still lie ahead: what is missed lies before the open task, and so does an overlap
    unless its run was one of those caught up."""
    ahead = event.why == "command" or (event.why == "overlap" and series.rules.catch_up == "all")
    if not ahead:
        return tuple(one for one in series.skipped if one.first > event.last)
    more = (*series.skipped, Span(event.first, event.last, event.count))
    return tuple(sorted(more, key=lambda one: one.first))[-SKIPPED_MAX:]


# --- beginning --------------------------------------------------------------------------------


class Creation(Struct, frozen=True):
    """The first event of a series and its first occurrence."""

    created: SeriesCreated
    first: TaskSubmitted
    series: Series


def decide_creation(
    name: SeriesName, rules: SeriesRules, cause: Cause, now: Wall, start_at: Wall | None
) -> Creation | Rejected:
    """A series with its first occurrence, or why not."""
    if not NAME.fullmatch(name):
        remedy = "use 1 to 255 letters, digits, dots, tildes, dashes and underscores"
        return invalid("series", f"{name[:40]!a} is no series name", remedy)
    wrong = refuse_rules(rules)
    if wrong is None and start_at is not None:
        wrong = refuse_due(start_at, now, "start_at")
    if wrong is not None:
        return wrong
    created = SeriesCreated(at=now, cause=cause, rules=rules)
    series = fold_series(name, (created,))
    first = first_occurrence(series, now, start_at)
    if first is None:
        return invalid("start_at", "no run comes at or after start_at", "give an earlier start")
    submitted = submitted_occurrence(series, first, first.nominal_at, now)
    return Creation(created, replace(submitted, cause=cause), series)


def refuse_rules(rules: SeriesRules) -> Rejected | None:
    """The first rule that cannot be kept, or None. The template is a submission's matter."""
    impossible = refuse_schedule(rules.schedule)
    if impossible is not None:
        return invalid(impossible.field, impossible.message, impossible.remedy)
    if not 1 <= rules.catch_up_limit <= CATCH_UP_LIMIT_MAX:
        return invalid(
            "catch_up_limit",
            f"catch_up_limit must be 1 to {CATCH_UP_LIMIT_MAX} (it is {rules.catch_up_limit})",
            "give the number of missed runs that may be caught up, such as 100",
        )
    return None


def first_occurrence(series: Series, now: Wall, start_at: Wall | None) -> Occurrence | None:
    """The first run: none for a nominal time before `now`, which nobody can have missed.

    Without `start_at` a period begins now and the first run comes at its end; with it, the first
    run comes then, or where that has passed, at the next time that counts from it. None if cron
    does not come again.
    """
    schedule = series.rules.schedule
    match schedule:
        case Every() | After() if start_at is None:
            nominal_at = Wall(now + schedule.period_ns)
        case Every() if start_at is not None and start_at < now:
            nominal_at = next_nominal(schedule, Wall(now - 1), origin=start_at)
        case Every() | After():
            nominal_at = max(now, start_at or now)
        case Cron():
            nominal_at = next_nominal(schedule, Wall(max(now, start_at or now) - 1))
        case _:
            assert_never(schedule)
    return None if nominal_at is None else _occurrence(series, 1, nominal_at)


def submitted_occurrence(
    series: Series, occurrence: Occurrence, due_at: Wall, now: Wall
) -> TaskSubmitted:
    """The task of an occurrence, from the template of the series' rules.

    The template's `expires_at` counts from its `due_at`; its key is dropped, for a key belongs to
    one task.
    """
    template = series.rules.template
    return TaskSubmitted(
        at=now,
        gate=series.rules.gate,
        request=template.request,
        due_at=due_at,
        retry=template.retry,
        timeout_ns=template.timeout_ns,
        expires_at=_expires_at(series.rules, due_at),
        idempotent=template.idempotent,
        priority=template.priority,
        fair_key=template.fair_key,
        order_key=template.order_key,
        labels=template.labels,
        traceparent=template.traceparent,
        occurrence=occurrence,
    )


# --- going on ---------------------------------------------------------------------------------


class Following(Struct, frozen=True):
    """What follows the end of an occurrence: events of the series' own stream, and the next
    occurrence with its due time, or None where the series has ended."""

    events: tuple[SeriesEvent, ...]
    occurrence: Occurrence | None
    due_at: Wall


def successor(
    series: Series,
    occurrence: Occurrence,
    *,
    first_started_at: Wall | None,
    ended_at: Wall,
    succeeded: bool,
) -> Following:
    """What follows the end of the open occurrence; nothing where the series has ended already.

    The successor's nominal time may have passed: a run that was missed before the first start,
    where all are caught up, or before an end without any start (cancelled, expired), to which
    catch-up is applied here, so that no chain of runs expires one by one. Where `catch_up` is not
    `all`, a run that started covers what it missed.

    Source: semantics 6.1 to 6.4.
    """
    if series.ended:
        return Following((), None, ended_at)
    rules, nominal_at = series.rules, occurrence.nominal_at
    begun_at = ended_at if first_started_at is None else first_started_at
    times = _times(series, nominal_at)
    missed: tuple[Span, ...] = ()
    if first_started_at is not None and rules.catch_up != "all":
        missed = unskipped(times, nominal_at, begun_at)
    overlap = unskipped(times, max(nominal_at, begun_at), ended_at)
    events = [
        *_skips(rules, missed, ended_at, "missed"),
        *_skips(rules, overlap, ended_at, "overlap"),
    ]
    if rules.stop_on_failure and not succeeded:
        return _last(rules, events, ended_at, "failure")
    settled = _with_skipped(series, (*missed, *overlap))
    next_at = _next_at(settled, nominal_at, ended_at)
    if next_at is None:
        return _last(rules, events, ended_at, "no_more_times")
    taken = take_over(_times(settled, next_at), rules, ended_at)
    if taken is not None:
        events.extend(_skips(rules, taken.skipped, ended_at, "missed"))
        next_at = taken.nominal_at
    following = _occurrence(settled, occurrence.number + 1, next_at)
    return Following(tuple(events), following, next_at)


def _last(
    rules: SeriesRules,
    skips: list[OccurrenceSkipped],
    at: Wall,
    why: Literal["failure", "no_more_times"],
) -> Following:
    return Following((*skips, SeriesEnded(at=at, gate=rules.gate, why=why)), None, at)


class CatchUpDecision(Struct, frozen=True):
    """What becomes of an overdue occurrence before its first start: TaskRescheduled in its own
    stream, OccurrenceSkipped in that of the series."""

    task_events: tuple[TaskRescheduled, ...]
    series_events: tuple[OccurrenceSkipped, ...]


def catch_up(series: Series, occurrence: Occurrence, now: Wall) -> CatchUpDecision | None:
    """What becomes of an occurrence that has not started once and is overdue; None: it runs.

    A run is missed only when the next nominal time has passed too; until then it is late, and
    runs under every rule. `one`: the task takes over the latest nominal time that has passed.
    `none`: it takes over the first to come. `all`: it runs, and its successors after it; of more
    than `catch_up_limit` the oldest are skipped. The task keeps its id and its number. Decided
    again at the same instant, there is nothing left to do.

    Source: semantics 6.2.
    """
    if series.ended:
        return None
    rules = series.rules
    taken = take_over(_times(series, occurrence.nominal_at), rules, now)
    if taken is None:
        return None
    moved = TaskRescheduled(
        at=now,
        gate=rules.gate,
        due_at=taken.nominal_at,
        occurrence=_occurrence(series, occurrence.number, taken.nominal_at),
        expires_at=_expires_at(rules, taken.nominal_at),
    )
    return CatchUpDecision((moved,), _skips(rules, taken.skipped, now, "missed"))


def _expires_at(rules: SeriesRules, due_at: Wall) -> Wall | None:
    """The template's `expires_at` counts from its `due_at`."""
    template = rules.template
    if template.expires_at is None:
        return None
    return Wall(due_at + template.expires_at - template.due_at)


def _times(series: Series, nominal_at: Wall) -> Times:
    return Times(series.rules.schedule, nominal_at, series.skipped)


def _next_at(series: Series, nominal_at: Wall, ended_at: Wall) -> Wall | None:
    """The nominal time of the run after the one at `nominal_at`, which ended at `ended_at`."""
    match series.rules.schedule:
        case After(period_ns=period_ns):
            return within_range(ended_at + period_ns)
        case Every() | Cron():
            return next_unskipped(_times(series, nominal_at), nominal_at)
        case _:
            assert_never(series.rules.schedule)


def _occurrence(series: Series, number: int, nominal_at: Wall) -> Occurrence:
    next_at = next_unskipped(_times(series, nominal_at), nominal_at)
    return Occurrence(series.name, series.version, number, nominal_at, next_at)


def _with_skipped(series: Series, spans: tuple[Span, ...]) -> Series:
    """The series for what is left of a decision, in which these spans are skipped too."""
    skipped = sorted((*series.skipped, *spans), key=lambda one: one.first)
    return replace(series, skipped=tuple(skipped))


def _skips(
    rules: SeriesRules, spans: tuple[Span, ...], at: Wall, why: SkipCause
) -> tuple[OccurrenceSkipped, ...]:
    return tuple(
        OccurrenceSkipped(
            at=at, gate=rules.gate, first=one.first, last=one.last, count=one.count, why=why
        )
        for one in spans
    )


# --- commands ---------------------------------------------------------------------------------


class PauseSeries(Struct, frozen=True):
    """Its open task waits until the series is resumed."""

    cause: Cause


class ResumeSeries(Struct, frozen=True):
    """Its open task may start again."""

    cause: Cause


class ChangeSeries(Struct, frozen=True):
    """Other rules, from the next occurrence on."""

    rules: SeriesRules
    cause: Cause


class EndSeries(Struct, frozen=True):
    """No successor any more."""

    cause: Cause


SeriesCommand = PauseSeries | ResumeSeries | ChangeSeries | EndSeries


def decide_series(
    series: Series, command: SeriesCommand, now: Wall
) -> tuple[SeriesEvent, ...] | Rejected:
    """The events of a command; none when the series is so already."""
    gate, cause = series.rules.gate, command.cause
    if series.ended:
        if isinstance(command, EndSeries):
            return ()
        return Rejected("conflict", "series", "the series has ended", "create another one")
    match command:
        case PauseSeries():
            return () if series.paused else (SeriesPaused(at=now, cause=cause, gate=gate),)
        case ResumeSeries():
            return (SeriesResumed(at=now, cause=cause, gate=gate),) if series.paused else ()
        case ChangeSeries(rules=rules):
            if rules.gate != gate:
                remedy = "end the series and create another one"
                return Rejected("conflict", "gate", "a series stays in its gate", remedy)
            if rules == series.rules:
                return ()
            return refuse_rules(rules) or (SeriesChanged(at=now, cause=cause, rules=rules),)
        case EndSeries():
            return (SeriesEnded(at=now, cause=cause, gate=gate),)
        case _:
            assert_never(command)
