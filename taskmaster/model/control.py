"""What a command does to a gate (semantics 8.1): events, or a no.

Rules of residence: pure; ranges of settings are checked here, once, for every edge.
"""

import re
from math import isfinite
from typing import assert_never

from msgspec import Struct

from taskmaster.events.types import (
    DAY,
    SECOND,
    Cause,
    GateClosed,
    GateDrained,
    GateEvent,
    GateLimitsChanged,
    GateOpened,
    GatePaused,
    GateReleased,
    GateResumed,
    GateSettings,
    Mono,
    Rate,
    RecoverySettings,
    Wall,
)
from taskmaster.model.alerts import refuse_rules
from taskmaster.model.family import refuse_move
from taskmaster.model.gate import Gate
from taskmaster.model.maintenance import (
    MaintenanceCommand,
    decide_maintenance,
    ended_by_resume,
    refuse_pause,
)
from taskmaster.model.outcomes import KEPT_SECONDS
from taskmaster.model.recovery import ramp_after_raise, ramp_after_stop
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.steering import SteerCommand, steer
from taskmaster.model.submission import LATEST

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,254}")
MAX_CONCURRENCY = 100_000
MAX_RATE_PER_S = 1_000_000
MAX_RATES = 8
MAX_BACKLOG = 1_000_000_000


class SetGate(Struct, frozen=True):
    """Open a gate with these settings, or change those of one that is open."""

    settings: GateSettings
    cause: Cause
    implicit: bool = False


class PauseGate(Struct, frozen=True):
    """No new starts until `until` or a resume."""

    cause: Cause
    until: Wall | None = None


class DrainGate(Struct, frozen=True):
    """Pause, and say when nothing is in flight any more."""

    cause: Cause


class ResumeGate(Struct, frozen=True):
    """Take starts again."""

    cause: Cause


class CloseGate(Struct, frozen=True):
    """Take neither starts nor submissions."""

    cause: Cause


class ReleaseGate(Struct, frozen=True):
    """End a quarantine."""

    cause: Cause


GateCommand = (
    MaintenanceCommand
    | SteerCommand
    | SetGate
    | PauseGate
    | DrainGate
    | ResumeGate
    | CloseGate
    | ReleaseGate
)


def decide(
    gate: Gate | None,
    command: GateCommand,
    now: Mono,
    wall: Wall,
    *,
    backlog: bool,
    family: int | None = None,
) -> tuple[GateEvent, ...] | Rejected:
    """The events of a command; none when the gate is so already. `family` is how many attempts
    are open at it and below, None where it has no children."""
    if isinstance(command, SetGate):
        return _set(gate, command, now, wall, family)
    if gate is None:
        return Rejected("not_found", "gate", "there is no such gate", "create it with PUT first")
    if isinstance(command, MaintenanceCommand):
        return decide_maintenance(gate, command, now, wall)
    if isinstance(command, SteerCommand):
        return steer(gate, command, now, wall, leads=family is not None)
    at, cause = wall, command.cause
    match command:
        case PauseGate(until=until):
            if gate.control == "closed":
                return _closed("pause")
            if until is not None and until <= wall:
                return invalid("until", "until lies in the past", "give an instant to come")
            if until is not None and until > LATEST:
                remedy = "leave it out to pause until someone resumes"
                return invalid("until", "until lies after April 2262", remedy)
            wrong = refuse_pause(gate, until)
            if wrong is not None:
                return wrong
            return (GatePaused(at=at, cause=cause, mono=now, until=until),)
        case DrainGate():
            if gate.control == "closed":
                return _closed("drain")
            drain = GatePaused(at=at, cause=cause, mono=now, drain=True)
            done = GateDrained(at=at, cause=cause, mono=now)
            in_flight = gate.in_flight if family is None else family
            return (drain, done) if in_flight == 0 else (drain,)
        case ResumeGate():
            if gate.control == "running":
                return ()
            if ended := ended_by_resume(gate, now, wall, cause):
                return ended
            resumed = GateResumed(at=at, cause=cause, mono=now)
            ramp = ramp_after_stop(gate, now, wall, backlog=backlog, why="paused", cause=cause)
            return (resumed, *ramp)
        case CloseGate():
            if gate.control == "closed":
                return ()
            return (GateClosed(at=at, cause=cause, mono=now),)
        case ReleaseGate():
            if gate.quarantined_until is None:
                return ()
            return (GateReleased(at=at, cause=cause, mono=now),)
        case _:
            assert_never(command)


def _closed(verb: str) -> Rejected:
    return Rejected("conflict", "gate", f"a closed gate cannot {verb}", "resume it first")


def _set(
    gate: Gate | None, command: SetGate, now: Mono, wall: Wall, family: int | None
) -> tuple[GateEvent, ...] | Rejected:
    settings, cause = command.settings, command.cause
    wrong = refuse_settings(settings)
    if wrong is not None:
        return wrong
    if gate is None:
        opened = GateOpened(
            at=wall, cause=cause, settings=settings, mono=now, implicit=command.implicit
        )
        return (opened,)
    if settings == gate.settings:
        return ()
    if settings.parent != gate.settings.parent and (gate.in_flight or family):
        return refuse_move(gate.name, gate.name)
    changed = GateLimitsChanged(at=wall, cause=cause, settings=settings, mono=now)
    return (changed, *ramp_after_raise(gate, settings, now, wall, cause))


def refuse_name(name: str) -> Rejected | None:
    """Names match `[A-Za-z0-9][A-Za-z0-9._~-]{0,254}` (semantics 1)."""
    if NAME.fullmatch(name):
        return None
    shown = ascii(name[:40])
    return invalid(
        "gate",
        f"{shown} is no gate name",
        "use 1 to 255 letters, digits, dots, tildes, dashes and underscores, the first a letter"
        " or digit",
    )


def refuse_settings(settings: GateSettings) -> Rejected | None:
    """The first setting that is out of range, or None."""
    limits = settings.limits
    if not 1 <= limits.concurrency <= MAX_CONCURRENCY:
        return invalid(
            "limits.concurrency",
            f"concurrency must be 1 to {MAX_CONCURRENCY} (it is {limits.concurrency})",
            "give the number of attempts that may be open at once, such as 32; pause the gate to"
            " stop it",
        )
    if len(limits.rates) > MAX_RATES:
        return invalid("limits.rates", f"more than {MAX_RATES} rates", "keep the tightest ones")
    for index, rate in enumerate(limits.rates):
        wrong = _refuse_rate(rate, f"limits.rates[{index}]")
        if wrong is not None:
            return wrong
    if not 0 <= settings.aging_ns <= DAY:
        return invalid("aging", "aging must be 0 s to 1 day", "give a duration, such as 60s")
    if not 0 <= settings.max_backlog <= MAX_BACKLOG:
        message = f"max_backlog must be 0 to {MAX_BACKLOG} (it is {settings.max_backlog})"
        return invalid("max_backlog", message, "use 0 for no bound")
    return (
        _refuse_adaptive(settings)
        or _refuse_recovery(settings.recovery)
        or refuse_rules(settings.alerts)
    )


def _refuse_adaptive(settings: GateSettings) -> Rejected | None:
    adaptive, concurrency = settings.adaptive, settings.limits.concurrency
    if adaptive is None:
        return None
    most = concurrency if adaptive.max is None else adaptive.max
    if not 1 <= most <= concurrency:
        return invalid(
            "adaptive.max",
            f"max must be 1 to the concurrency of {concurrency} (it is {most})",
            "leave it out for the concurrency, or raise limits.concurrency",
        )
    if not 1 <= adaptive.min <= most:
        return invalid(
            "adaptive.min",
            f"min must be 1 to the most that may be learned, {most} (it is {adaptive.min})",
            "give the least that may always be open, such as 1",
        )
    return None


def _refuse_rate(rate: Rate, field: str) -> Rejected | None:
    if not isfinite(rate.rate) or rate.rate <= 0:
        return invalid(
            f"{field}.rate",
            f"rate must be above 0 ({field}.rate is {rate.rate:g})",
            "give attempts per `per`, such as 10; pause the gate to stop it",
        )
    if not SECOND <= rate.per_ns <= 366 * DAY:
        return invalid(f"{field}.per", "per must be 1 s to 366 days", "give a duration, such as 1h")
    if rate.rate * SECOND / rate.per_ns > MAX_RATE_PER_S:
        return invalid(
            f"{field}.rate", f"rate is above {MAX_RATE_PER_S} per second", "give a lower rate"
        )
    if rate.rate * 366 * DAY < rate.per_ns:
        return invalid(f"{field}.rate", "rate is below one start in 366 days", "give a higher rate")
    if not 1 <= rate.burst <= 1_000_000:
        return invalid(
            f"{field}.burst",
            f"burst must be 1 to 1000000 (it is {rate.burst})",
            "leave it out for a fiftieth of a second of the rate",
        )
    return None


def _refuse_recovery(rules: RecoverySettings) -> Rejected | None:
    checks: tuple[tuple[bool, str, str], ...] = (
        (1 <= rules.trip_failures <= 1_000, "trip_failures", "give 1 to 1000"),
        (0 < rules.trip_ratio <= 1, "trip_ratio", "give a share above 0 up to 1, such as 0.5"),
        (1 <= rules.trip_min_attempts <= 100_000, "trip_min_attempts", "give 1 to 100000"),
        (
            SECOND <= rules.trip_window_ns <= KEPT_SECONDS * SECOND,
            "trip_window",
            f"give 1s to {KEPT_SECONDS}s",
        ),
        (
            SECOND // 10 <= rules.tripped_min_ns <= rules.tripped_max_ns,
            "tripped_min",
            "give 100ms up to tripped_max",
        ),
        (rules.tripped_max_ns <= DAY, "tripped_max", "give at most 1 day"),
        (SECOND // 10 <= rules.ramp_step_ns <= DAY, "ramp_step", "give 100ms to 1 day"),
        (0 <= rules.ramp_after_ns <= DAY, "ramp_after", "give 0s to 1 day"),
        (0 <= rules.fresh_share <= 1, "fresh_share", "give 0 (strict order) to 1, such as 0.5"),
        (
            len(rules.ramp_steps) <= 20
            and all(1 <= share <= 100 for share in rules.ramp_steps)
            and list(rules.ramp_steps) == sorted(set(rules.ramp_steps)),
            "ramp_steps",
            "give rising percentages from 1 to 100, such as 5, 10, 25, 50, 100, or none",
        ),
    )
    for holds, field, remedy in checks:
        if not holds:
            return invalid(f"recovery.{field}", f"{field} is out of range", remedy)
    return None
