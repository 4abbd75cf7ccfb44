"""What at a gate needs a person: when an alert is raised, when it is cleared.

Rules of residence: pure; a gate's numbers and its events come in, changes come out. Each alert has
a condition that raises it and a weaker one that keeps it, and is cleared only when neither has held
for `CALM_NS`: nothing flaps.
"""

from collections.abc import Iterator
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    DAY,
    MINUTE,
    SECOND,
    AlertCleared,
    AlertEvent,
    AlertName,
    AlertRaised,
    AlertRules,
    GateClosed,
    GateEvent,
    GateName,
    GateOpened,
    GatePaused,
    GateProbed,
    GateQuarantined,
    GateRampStepped,
    GateRecovered,
    GateReleased,
    GateResumed,
    GateTripped,
    Wall,
)
from taskmaster.model.gate import FALLS
from taskmaster.model.rejected import Rejected, invalid

CALM_NS = MINUTE
AGAIN_NS = DAY
"""A pause without an end and a task held as uncertain are told again after so long (semantics
8.5)."""
MOST_NS = 366 * DAY
MOST_COUNT = 1_000_000
REPEATED: frozenset[AlertName] = frozenset({"paused", "uncertain"})


class Course(Struct, frozen=True):
    """What of a gate's stream matters here. `falls` counts trips out of a ramp and steps back since
    the gate was open last."""

    away_since: Wall | None = None
    ramping: bool = False
    falls: int = 0
    paused_since: Wall | None = None
    quarantined_since: Wall | None = None


def follow(course: Course, event: GateEvent) -> Course:
    """The course after one event."""
    match event:
        case GateTripped(at=at):
            since = course.away_since if course.away_since is not None else at
            return replace(
                course, away_since=since, ramping=False, falls=course.falls + course.ramping
            )
        case GateProbed(at=at):
            return replace(
                course, away_since=at if course.away_since is None else course.away_since
            )
        case GateRampStepped(why=why):
            falls = course.falls + (why in FALLS)
            return replace(course, away_since=None, ramping=True, falls=falls)
        case GateRecovered():
            return replace(course, away_since=None, ramping=False, falls=0)
        case GatePaused(at=at, until=until):
            return replace(course, paused_since=at if until is None else None)
        case GateResumed() | GateClosed() | GateOpened():
            return replace(course, paused_since=None)
        case GateQuarantined(at=at):
            return replace(course, quarantined_since=at)
        case GateReleased():
            return replace(course, quarantined_since=None)
        case _:
            return course


class Numbers(Struct, frozen=True):
    """A gate as it stands. `deaths` are dead letters that are new within the window."""

    oldest_due_at: Wall | None = None
    deaths: int = 0
    uncertain_since: Wall | None = None
    course: Course = Course()


class Standing(Struct, frozen=True):
    """An alert that is raised: since when, told last when, and since when it is calm."""

    id: str
    raised_at: Wall
    told_at: Wall
    calm_since: Wall | None = None


Standings = dict[AlertName, Standing]


class Raise(Struct, frozen=True):
    """Tell of an alert, for the first time or again."""

    alert: AlertName
    detail: str
    again: bool = False


class Clear(Struct, frozen=True):
    """It is over."""

    alert: AlertName


def judge(
    rules: AlertRules, numbers: Numbers, standings: Standings, now: Wall
) -> tuple[tuple[Raise | Clear, ...], Standings]:
    """What changes now, and the standings of alerts that stay, with their calm noted."""
    changes: list[Raise | Clear] = []
    kept = dict(standings)
    for alert, raises, keeps, detail in _conditions(rules, numbers, now):
        standing = standings.get(alert)
        if standing is None:
            if raises:
                changes.append(Raise(alert, detail))
        elif raises or keeps:
            kept[alert] = replace(standing, calm_since=None)
            if raises and alert in REPEATED and now >= standing.told_at + AGAIN_NS:
                changes.append(Raise(alert, detail, again=True))
        elif standing.calm_since is None:
            kept[alert] = replace(standing, calm_since=now)
        elif now >= standing.calm_since + CALM_NS:
            changes.append(Clear(alert))
    return tuple(changes), kept


def _conditions(
    rules: AlertRules, numbers: Numbers, now: Wall
) -> Iterator[tuple[AlertName, bool, bool, str]]:
    """Each alert: whether its condition holds, whether a weaker one does, and what to say."""
    course = numbers.course
    age_ns = 0 if numbers.oldest_due_at is None else max(0, now - numbers.oldest_due_at)
    most_ns = rules.oldest_eligible_ns
    yield (
        "oldest_eligible",
        0 < most_ns <= age_ns,
        0 < most_ns <= 2 * age_ns,
        f"the oldest eligible task has been due for {age_ns // SECOND} s",
    )
    away_ns = 0 if course.away_since is None else now - course.away_since
    yield (
        "tripped",
        course.away_since is not None and 0 < rules.tripped_ns <= away_ns,
        course.away_since is not None,
        f"away for {away_ns // SECOND} s",
    )
    yield (
        "ramp_failed",
        0 < rules.ramp_failures <= course.falls,
        course.falls > 0,
        f"fell back or tripped again {course.falls} times since it was open",
    )
    yield (
        "dead_letters",
        0 < rules.dead_letters <= numbers.deaths,
        numbers.deaths > 0,
        f"{numbers.deaths} new dead letters",
    )
    yield from _unattended("paused", course.paused_since, rules, now)
    yield from _unattended("uncertain", numbers.uncertain_since, rules, now)
    yield (
        "quarantined",
        course.quarantined_since is not None,
        False,
        "it crashed too often and is left alone",
    )


def _unattended(
    alert: AlertName, since: Wall | None, rules: AlertRules, now: Wall
) -> Iterator[tuple[AlertName, bool, bool, str]]:
    held_ns = 0 if since is None else now - since
    what = "paused without an end" if alert == "paused" else "a task is held as uncertain"
    holds = since is not None and 0 < rules.unattended_ns <= held_ns
    yield (alert, holds, since is not None, f"{what} for {held_ns // SECOND} s")


def refuse_rules(rules: AlertRules) -> Rejected | None:
    """The first threshold that is out of range."""
    for name in ("oldest_eligible", "tripped", "unattended"):
        if not 0 <= getattr(rules, f"{name}_ns") <= MOST_NS:
            return invalid(
                f"alerts.{name}", f"{name} must be 0 to a year", "give 0 for no such alert"
            )
    if not SECOND <= rules.window_ns <= DAY:
        return invalid("alerts.window", "window must be 1 s to a day", 'give one such as "10m"')
    for name in ("ramp_failures", "dead_letters"):
        if not 0 <= getattr(rules, name) <= MOST_COUNT:
            return invalid(
                f"alerts.{name}", f"{name} must be 0 to {MOST_COUNT}", "give 0 for no such alert"
            )
    return None


# --- the fold ---------------------------------------------------------------------------------


def fold(active: dict[GateName, Standings], event: AlertEvent) -> None:
    """What is raised after one event; `active` is changed."""
    match event:
        case AlertRaised(gate=gate, alert=alert, alert_id=alert_id, at=at):
            before = active.setdefault(gate, {}).get(alert)
            raised_at = at if before is None else before.raised_at
            active[gate][alert] = Standing(alert_id, raised_at, at)
        case AlertCleared(gate=gate, alert=alert):
            standings = active.get(gate, {})
            standings.pop(alert, None)
            if not standings:
                active.pop(gate, None)
        case _:
            assert_never(event)
