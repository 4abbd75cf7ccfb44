"""What a person may do to a recovery."""

import pytest
from msgspec.structs import replace

from taskmaster.events.types import (
    GateProbed,
    GateRampHeld,
    GateRampStepped,
    GateRecovered,
    GateTripped,
    RecoveryStarted,
)
from taskmaster.model.control import GateCommand, decide
from taskmaster.model.gate import Gate, Open, Probing, Ramping, Tripped, evolve
from taskmaster.model.recovery import next_reaction_at, react
from taskmaster.model.rejected import Rejected
from taskmaster.model.steering import EndRecovery, HoldRamp, NoteRecovery, ProbeGate, TripGate
from tests.unit.model.builders import (
    CAUSE,
    MONO,
    NAME,
    NOW,
    mono,
    open_gate,
    seen,
    wall,
    with_outcomes,
)

RAMPING = Ramping(1, 10, mono(10), 2)


def decided(gate: Gate, command: GateCommand) -> Gate | Rejected:
    events = decide(gate, command, MONO, NOW, backlog=True)
    if isinstance(events, Rejected):
        return events
    for event in events:
        assert event.cause == CAUSE
        gate = evolve(gate, event, NAME)
    return gate


def test_a_ramp_that_is_held_climbs_no_step_until_it_may_go_on() -> None:
    gate = decided(open_gate(mode=RAMPING), HoldRamp(CAUSE))
    assert isinstance(gate, Gate)
    assert gate.mode == replace(RAMPING, held=True)
    assert react(gate, mono(99), wall(99), seen()) == ()
    assert next_reaction_at(gate) is None

    gate = decided(gate, HoldRamp(CAUSE, held=False))
    assert isinstance(gate, Gate)
    (event,) = react(gate, mono(99), wall(99), seen())
    assert isinstance(event, GateRampStepped)
    assert event.step == 2


def test_a_held_ramp_still_falls_back_and_trips() -> None:
    gate = open_gate(mode=replace(RAMPING, held=True))

    (fallen,) = react(with_outcomes(gate, ended=10, failed=3), MONO, NOW, seen())
    (tripped,) = react(with_outcomes(gate, ended=5, failed=5, in_row=5), MONO, NOW, seen())

    assert isinstance(fallen, GateRampStepped)
    assert isinstance(tripped, GateTripped)


@pytest.mark.parametrize("mode", [RAMPING, Probing(1), Tripped(mono(9), 1)])
def test_a_recovery_can_be_ended_early(mode: Ramping | Probing | Tripped) -> None:
    gate = decided(open_gate(mode=mode), EndRecovery(CAUSE))

    assert isinstance(gate, Gate)
    assert gate.mode == Open()
    assert gate.outage is None


def test_a_gate_can_be_tripped_and_probed_by_hand() -> None:
    gate = decided(open_gate(), TripGate(CAUSE))
    assert isinstance(gate, Gate)
    assert gate.mode == Tripped(mono(1), 1)
    assert gate.outage == "endpoint"

    gate = decided(gate, ProbeGate(CAUSE))
    assert isinstance(gate, Gate)
    assert gate.mode == Probing(1)


@pytest.mark.parametrize(
    ("gate", "command"),
    [
        (open_gate(), HoldRamp(CAUSE)),
        (open_gate(mode=Probing(1)), HoldRamp(CAUSE)),
        (open_gate(mode=RAMPING), ProbeGate(CAUSE)),
        (open_gate(), ProbeGate(CAUSE)),
    ],
)
def test_what_makes_no_sense_now_is_refused(gate: Gate, command: GateCommand) -> None:
    assert isinstance(decided(gate, command), Rejected)


@pytest.mark.parametrize(
    ("gate", "command"),
    [
        (open_gate(mode=RAMPING), HoldRamp(CAUSE, held=False)),
        (open_gate(), EndRecovery(CAUSE)),
    ],
)
def test_what_is_so_already_changes_nothing(gate: Gate, command: GateCommand) -> None:
    assert decide(gate, command, MONO, NOW, backlog=True) == ()


def test_each_outage_is_recorded_once_with_its_cause() -> None:
    gate = open_gate()
    numbers: list[int] = []
    for why in ("process_down", "limits"):
        step = GateRampStepped(at=NOW, mono=MONO, step=0, percent=5, until=mono(10), why=why)
        gate = evolve(gate, step, NAME)
        climbed = replace(step, why="step")
        gate = evolve(gate, climbed, NAME)
        number = len(numbers) + 1
        noted = RecoveryStarted(at=NOW, mono=MONO, number=number, outage=why, depth=7)
        assert decide(gate, NoteRecovery(7), MONO, NOW, backlog=True) == (noted,)
        gate = evolve(gate, noted, NAME)
        numbers.append(gate.recoveries)
        assert decide(gate, NoteRecovery(7), MONO, NOW, backlog=True) == ()
        gate = evolve(gate, GateRecovered(at=NOW, mono=MONO), NAME)
        assert decide(gate, NoteRecovery(7), MONO, NOW, backlog=True) == ()

    assert numbers == [1, 2]


def test_events_of_a_probe_by_hand_are_those_of_one_by_rule() -> None:
    events = decide(open_gate(mode=Tripped(mono(9), 1)), ProbeGate(CAUSE), MONO, NOW, backlog=True)

    assert events == (GateProbed(at=NOW, mono=MONO, cause=CAUSE),)
    held = decide(open_gate(mode=RAMPING), HoldRamp(CAUSE), MONO, NOW, backlog=True)
    assert held == (GateRampHeld(at=NOW, mono=MONO, cause=CAUSE, held=True),)
