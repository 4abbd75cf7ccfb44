"""A gate whose unit gives up is left alone, by itself, and comes back by time or by command."""

import asyncio

import pytest

from taskmaster.actors.gates import UNIT_INTENSITY
from taskmaster.actors.messages import GateDone
from taskmaster.actors.node import Node
from taskmaster.actors.quarantine import COOL_OFF_NS
from taskmaster.events.log import NotStored
from taskmaster.events.types import (
    BY_RULE,
    MINUTE,
    SECOND,
    GateName,
    GateQuarantined,
    GateRampStepped,
    GateReleased,
)
from taskmaster.model.control import PauseGate, ReleaseGate, SetGate
from taskmaster.model.rejected import Rejected
from taskmaster.model.task_control import CancelTask
from taskmaster.supervision import tell
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, NAME, settings

OTHER = GateName("other")
COOL_OFF_S = COOL_OFF_NS / SECOND


async def give_up(node: Node, gate: GateName = NAME) -> None:
    """Crash a gate until its unit gives up."""
    for _ in range(UNIT_INTENSITY + 1):
        await crash(node, gate)
    assert gate not in node.gates.units


async def crash(node: Node, gate: GateName = NAME) -> None:
    """Crash a gate once."""
    actor = node.gates.live(gate)
    assert actor is not None
    tell(actor.actor_ref, "a bug")
    await asyncio.sleep(0.1)


async def prepared(node: Node) -> None:
    """Two gates with something in flight, so that both are awake."""
    for gate in (NAME, OTHER):
        await open_gate(node, settings(), gate)
        await submit(node, gate=gate)
    await asyncio.sleep(0.1)


def quarantined(world: World) -> list[GateQuarantined]:
    return [event for event in world.gate_events() if isinstance(event, GateQuarantined)]


def released(world: World) -> list[GateReleased]:
    return [event for event in world.gate_events() if isinstance(event, GateReleased)]


def test_one_gate_that_gives_up_is_left_alone_and_no_other_notices() -> None:
    """Conformance row 58; `tests/faults/test_drill.py` shows it with a thousand gates."""
    world = World()

    async def main(node: Node) -> None:
        await prepared(node)
        await give_up(node)
        before = len(world.endpoint.sent)
        await submit(node, 2)
        await submit(node, 2, gate=OTHER)
        await asyncio.sleep(60)
        assert len(world.endpoint.sent) == before + 2
        held = node.gates.quarantine.get(NAME)
        assert held is not None
        assert "a bug" in held.error

    world.live(main)

    (event,) = quarantined(world)
    assert event.until - event.at == COOL_OFF_NS
    assert "a bug" in event.error
    assert released(world) == []
    assert world.fatal == []


def test_after_the_cool_off_it_goes_on_by_the_ramp() -> None:
    """Semantics 4.5: it could not start for more than a minute."""
    world = World()
    world.endpoint.takes_s = 1

    async def main(node: Node) -> None:
        await prepared(node)
        await open_gate(node, settings(concurrency=100))
        await asyncio.sleep(2)
        await give_up(node)
        await submit(node, 100)
        before = len(world.endpoint.sent)
        await asyncio.sleep(COOL_OFF_S - 5)
        assert len(world.endpoint.sent) == before
        await asyncio.sleep(5.5)
        assert 0 < len(world.endpoint.sent) - before <= 5
        await asyncio.sleep(60)
        assert len(world.endpoint.sent) == before + 100

    world.live(main)

    (event,) = released(world)
    assert event.cause == BY_RULE
    steps = [event for event in world.gate_events() if isinstance(event, GateRampStepped)]
    assert "quarantined" in [step.why for step in steps]


def test_a_release_lets_it_go_on_at_once_and_says_who() -> None:
    world = World()

    async def main(node: Node) -> None:
        await prepared(node)
        await give_up(node)
        await submit(node)
        before = len(world.endpoint.sent)
        answer = await node.intake.gate_command(NAME, ReleaseGate(CAUSE))
        assert isinstance(answer, GateDone)
        assert answer.gate.quarantined_until is None
        await asyncio.sleep(1)
        assert len(world.endpoint.sent) == before + 1

    world.live(main)

    assert [event.cause for event in released(world)] == [CAUSE]


def test_what_is_asked_of_it_meanwhile_is_refused_with_the_way_out() -> None:
    world = World()

    async def main(node: Node) -> None:
        await prepared(node)
        await give_up(node)
        (task,) = await submit(node)
        for asked in (
            node.intake.gate_command(NAME, PauseGate(CAUSE)),
            node.intake.gate_command(NAME, SetGate(settings(concurrency=1), CAUSE)),
            node.intake.task_command(task, CancelTask(CAUSE)),
        ):
            answer = await asyncio.wait_for(asked, 1)
            assert isinstance(answer, Rejected)
            assert answer.code == "conflict"
            assert f"taskmaster gate release {NAME}" in answer.remedy

    world.live(main)


@pytest.mark.parametrize("down_s", [10, COOL_OFF_S + 10])
def test_a_restart_of_the_process_does_not_end_it(down_s: float) -> None:
    world = World()

    async def first(node: Node) -> None:
        await prepared(node)
        await give_up(node)
        await submit(node)
        await asyncio.sleep(1)

    async def second(node: Node) -> None:
        before = len(world.endpoint.sent)
        held = node.gates.quarantine.get(NAME)
        assert held is None or "a bug" in held.error
        await asyncio.sleep(20)
        over = down_s > COOL_OFF_S
        assert len(world.endpoint.sent) == before + over
        assert (node.gates.quarantine.get(NAME) is None) is over
        await asyncio.sleep(COOL_OFF_S)
        assert len(world.endpoint.sent) == before + 1

    world.live(first)
    world.live(second, down_s=down_s)

    assert len(quarantined(world)) == len(released(world)) == 1


def test_one_that_gives_up_again_soon_is_left_alone_twice_as_long() -> None:
    world = World()

    async def main(node: Node) -> None:
        await prepared(node)
        for wait_s in (0, COOL_OFF_S + 1, 2 * COOL_OFF_S + 1, 4_000):
            await asyncio.sleep(wait_s)
            await submit(node)
            await asyncio.sleep(1)
            await give_up(node)
        await asyncio.sleep(1)

    world.live(main)

    lasted = [(event.until - event.at) // MINUTE for event in quarantined(world)]
    assert lasted == [5, 10, 20, 40]


def test_it_is_recorded_though_the_store_was_away() -> None:
    world = World()

    async def main(node: Node) -> None:
        await prepared(node)
        for _ in range(UNIT_INTENSITY):
            await crash(node)
        world.trouble = [NotStored("the disk is full")] * 5
        await crash(node)
        assert NAME not in node.gates.units
        assert quarantined(world) == []
        await asyncio.sleep(2)
        answer = await node.intake.gate_command(NAME, ReleaseGate(CAUSE))
        assert isinstance(answer, GateDone)

    world.live(main)

    assert len(quarantined(world)) == len(released(world)) == 1
