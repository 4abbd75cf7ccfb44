"""What a person may do to a recovery, and what a gate records of it.

Rules of residence: pure, a part of `control.py`'s decisions; what follows by rule alone is
`recovery.py`'s.
"""

from typing import assert_never

from msgspec import Struct

from taskmaster.events.types import (
    Cause,
    GateEvent,
    GateProbed,
    GateRampHeld,
    GateRecovered,
    GateTripped,
    Mono,
    OutageCause,
    RecoveryStarted,
    Wall,
)
from taskmaster.model.gate import Gate, Open, Ramping, Tripped
from taskmaster.model.recovery import away_ns, first_step
from taskmaster.model.rejected import Rejected


class HoldRamp(Struct, frozen=True):
    """Keep a ramp at its step, or let it go on."""

    cause: Cause
    held: bool = True


class EndRecovery(Struct, frozen=True):
    """Open the gate now, whatever is left of its ramp."""

    cause: Cause


class TripGate(Struct, frozen=True):
    """Start nothing for a while, then probe: as if the endpoint had failed."""

    cause: Cause


class ProbeGate(Struct, frozen=True):
    """Probe now instead of at the end of the tripped time."""

    cause: Cause


class NoteRecovery(Struct, frozen=True):
    """The gate's own wish: that the outage which it is in be recorded, and how deep it began."""

    depth: int


SteerCommand = HoldRamp | EndRecovery | TripGate | ProbeGate | NoteRecovery


def steer(
    gate: Gate, command: SteerCommand, now: Mono, wall: Wall, *, leads: bool = False
) -> tuple[GateEvent, ...] | Rejected:
    """The events of a command; none when the gate is so already. One that `leads` others has no
    endpoint to probe: it goes on by its ramp at once."""
    mode = gate.mode
    match command:
        case HoldRamp(cause=cause, held=held):
            if not isinstance(mode, Ramping):
                return _not_so("on the ramp")
            if mode.held == held:
                return ()
            return (GateRampHeld(at=wall, mono=now, cause=cause, held=held),)
        case EndRecovery(cause=cause):
            if isinstance(mode, Open):
                return ()
            return (GateRecovered(at=wall, mono=now, cause=cause),)
        case TripGate(cause=cause):
            trips = 1 if isinstance(mode, Open) else mode.trips + 1
            until = Mono(now + away_ns(gate, trips))
            error = f"tripped by {cause.author or 'command'}"
            return (
                GateTripped(at=wall, mono=now, cause=cause, until=until, trips=trips, error=error),
            )
        case ProbeGate(cause=cause):
            if not isinstance(mode, Tripped):
                return _not_so("tripped")
            if leads:
                return (first_step(gate, now, wall, why="tripped", cause=cause),)
            return (GateProbed(at=wall, mono=now, cause=cause),)
        case NoteRecovery(depth=depth):
            outage: OutageCause | None = gate.outage
            if outage is None or gate.has_recovery:
                return ()
            number = gate.recoveries + 1
            return (RecoveryStarted(at=wall, mono=now, number=number, outage=outage, depth=depth),)
        case _:
            assert_never(command)


def _not_so(state: str) -> Rejected:
    return Rejected("conflict", "gate", f"the gate is not {state}", "see `taskmaster gate show`")
