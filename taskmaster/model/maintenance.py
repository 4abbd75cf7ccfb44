"""Planned downtimes of a gate: announced, entered, left by the ramp (semantics 4.5 and 8.1).

Rules of residence: pure, a part of `control.py`'s decisions and of what follows by rule. A downtime
pauses the gate until its end; a pause of a person's that lasts longer is left as it is.
"""

from msgspec import Struct

from taskmaster.events.types import (
    BY_RULE,
    DAY,
    Cause,
    GateEvent,
    GatePaused,
    GateResumed,
    MaintenanceBegan,
    MaintenanceCancelled,
    MaintenanceEnded,
    MaintenancePlanned,
    Mono,
    Wall,
    Window,
)
from taskmaster.model.gate import Gate, Probing, Tripped
from taskmaster.model.recovery import first_step
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.windows import begins_at

LONGEST_NS = 30 * DAY
FARTHEST_NS = 366 * DAY
MOST_WINDOWS = 100
MOST_DRAIN_NS = DAY


class PlanMaintenance(Struct, frozen=True):
    """Announce a downtime."""

    cause: Cause
    start_at: Wall
    until: Wall
    drain_ns: int = 0


class CancelMaintenance(Struct, frozen=True):
    """Take an announced downtime back, or end the present one."""

    cause: Cause
    number: int


MaintenanceCommand = PlanMaintenance | CancelMaintenance


def decide_maintenance(
    gate: Gate, command: MaintenanceCommand, now: Mono, wall: Wall
) -> tuple[GateEvent, ...] | Rejected:
    """The events of a command, or a no."""
    cause = command.cause
    if isinstance(command, CancelMaintenance):
        window = next((w for w in gate.windows if w.number == command.number), None)
        if window is None:
            message = f"no downtime {command.number} is planned"
            return Rejected(
                "not_found", "number", message, "see `taskmaster gate maintenance list`"
            )
        cancelled = MaintenanceCancelled(at=wall, mono=now, cause=cause, number=window.number)
        return (cancelled, *_left(gate, window, now, wall, cause))
    wrong = _refuse(gate, command, wall)
    if wrong is not None:
        return wrong
    window = Window(
        number=gate.plans + 1,
        start_at=command.start_at,
        until=command.until,
        drain_ns=command.drain_ns,
        author=cause.author,
        reason=cause.reason,
    )
    return (MaintenancePlanned(at=wall, mono=now, cause=cause, window=window),)


def _refuse(gate: Gate, command: PlanMaintenance, wall: Wall) -> Rejected | None:
    start_at, until = command.start_at, command.until
    if start_at < wall:
        return invalid(
            "from", "from lies in the past", "give an instant to come, or pause the gate"
        )
    if start_at > wall + FARTHEST_NS:
        return invalid("from", "from lies more than a year ahead", "announce it later")
    if until <= start_at:
        return invalid("until", "until is not after from", "give a later time")
    if until > start_at + LONGEST_NS:
        return invalid(
            "until", "a downtime lasts at most 30 days", "close the gate, or plan several"
        )
    if not 0 <= command.drain_ns <= MOST_DRAIN_NS:
        return invalid("drain", "drain must be 0 s to 1 day", 'give a duration, such as "5m"')
    if len(gate.windows) >= MOST_WINDOWS:
        return Rejected("conflict", "from", f"{MOST_WINDOWS} downtimes are planned", "cancel some")
    wanted = start_at - command.drain_ns
    for other in gate.windows:
        if wanted < other.until and begins_at(other) < until:
            message = f"it overlaps with downtime {other.number} of this gate"
            return Rejected("conflict", "from", message, "cancel that one first")
    return None


def under_way(gate: Gate) -> Window | None:
    """The present downtime."""
    return next((window for window in gate.windows if window.begun), None)


def maintain(gate: Gate, now: Mono, wall: Wall) -> tuple[GateEvent, ...]:
    """What a downtime asks for by rule, now: that it begin, that it end."""
    for window in gate.windows:
        if wall >= window.until:
            why = "over" if window.begun else "passed"
            ended = MaintenanceEnded(at=wall, mono=now, number=window.number, why=why)
            return (ended, *_left(gate, window, now, wall, BY_RULE))
        if not window.begun and wall >= begins_at(window):
            return _entered(gate, window, now, wall)
    return ()


def _entered(gate: Gate, window: Window, now: Mono, wall: Wall) -> tuple[GateEvent, ...]:
    cause = Cause("Maintenance", window.author, window.reason)
    began = MaintenanceBegan(at=wall, mono=now, cause=cause, number=window.number)
    is_short = gate.paused_until is not None and gate.paused_until < window.until
    if gate.control != "running" and not is_short:
        return (began,)
    return (began, GatePaused(at=wall, mono=now, cause=cause, until=window.until))


def ended_by_resume(gate: Gate, now: Mono, wall: Wall, cause: Cause) -> tuple[GateEvent, ...]:
    """A person resumes a gate in its downtime, which ends by it; none where there is none."""
    window = under_way(gate)
    if window is None:
        return ()
    ended = MaintenanceEnded(at=wall, mono=now, cause=cause, number=window.number, why="resumed")
    resumed = GateResumed(at=wall, mono=now, cause=cause)
    return (ended, resumed, *_ramp(gate, now, wall, cause))


def _left(gate: Gate, window: Window, now: Mono, wall: Wall, cause: Cause) -> tuple[GateEvent, ...]:
    """The gate goes on, by the ramp, unless another pause than that of the downtime holds it."""
    if not window.begun or gate.control != "paused" or gate.paused_until != window.until:
        return ()
    resumed = GateResumed(at=wall, mono=now, cause=cause)
    return (resumed, *_ramp(gate, now, wall, cause))


def _ramp(gate: Gate, now: Mono, wall: Wall, cause: Cause) -> tuple[GateEvent, ...]:
    """Always, however short the downtime was and whatever waits: what was mended is cold."""
    if not gate.settings.recovery.ramp_steps or isinstance(gate.mode, Tripped | Probing):
        return ()
    return (first_step(gate, now, wall, why="maintenance", cause=cause),)


def refuse_pause(gate: Gate, until: Wall | None) -> Rejected | None:
    """A pause that would end before the present downtime does."""
    window = under_way(gate)
    if window is None or until is None or until >= window.until:
        return None
    message = f"downtime {window.number} of the gate lasts longer"
    return invalid("until", message, "cancel the downtime, or give a later time")
