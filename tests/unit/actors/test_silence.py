"""After a time in which nothing could start, a gate with work begins on the ramp."""

import asyncio
from typing import Any

import pytest

from taskmaster.actors.node import Node
from taskmaster.events.types import HOUR, MINUTE, SECOND, GateRampStepped, Wall
from taskmaster.model.control import PauseGate, SetGate
from taskmaster.model.retry import Responded, Unanswered
from taskmaster.supervision import tell
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, NAME, settings

FIRST_STEP = 5
"""Attempts that a hundred slots allow at five per cent."""


def ramped(world: World) -> list[str]:
    """Why the ramp stood where it did, from its first step on."""
    return [event.why for event in world.gate_events() if isinstance(event, GateRampStepped)]


async def a_while(node: Node) -> None:
    """Let a node do what it does."""
    del node
    await asyncio.sleep(5)


def test_a_backlog_that_waited_while_the_process_was_down() -> None:
    """Semantics 4.5."""
    world = World()
    world.endpoint.takes_s = 30

    async def first(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        await submit(node, 300, delay_ns=MINUTE)

    world.live(first)
    world.live(a_while, down_s=3_600)

    assert ramped(world) == ["process_down"]
    assert len(world.endpoint.sent) == FIRST_STEP


@pytest.mark.parametrize("waiting", [200, 0])
def test_attempts_that_were_open_at_a_crash_are_a_backlog_too(waiting: int) -> None:
    """Semantics 4.5 and 2.4: all of them are sent again, and not at once."""
    world = World()
    world.endpoint.takes_s = 30

    async def first(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        await submit(node, 100 + waiting)
        await asyncio.sleep(0.5)

    world.live(first)
    before = len(world.endpoint.sent)
    world.live(a_while, down_s=3_600)

    assert before == 100
    assert ramped(world) == ["process_down"]
    assert len(world.endpoint.sent) - before == FIRST_STEP


def test_a_pause_that_ended_while_the_process_was_down() -> None:
    """Its end is recorded first, and the ramp with it."""
    world = World()
    world.endpoint.takes_s = 30

    async def first(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        until = Wall(node.ports.clock.wall() + 5 * SECOND)
        await node.intake.gate_command(NAME, PauseGate(CAUSE, until))
        await submit(node, 300)

    world.live(first)
    world.live(a_while, down_s=3_600)

    assert ramped(world) == ["paused"]
    assert len(world.endpoint.sent) == FIRST_STEP


def test_a_command_at_the_start_does_not_come_before_the_ramp() -> None:
    world = World()
    world.endpoint.takes_s = 30

    async def first(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        await submit(node, 300, delay_ns=MINUTE)

    async def second(node: Node) -> None:
        await open_gate(node, settings(concurrency=101))
        await asyncio.sleep(5)

    world.live(first)
    world.live(second, down_s=3_600)

    assert ramped(world) == ["process_down"]
    assert len(world.endpoint.sent) == FIRST_STEP


def test_a_gate_that_crashes_before_it_knows_what_waits() -> None:
    world = World()
    world.endpoint.takes_s = 30
    world.read_s = 0.1

    async def first(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        await submit(node, 300, delay_ns=MINUTE)

    async def second(node: Node) -> None:
        while (actor := node.gates.live(NAME)) is None or actor.gate is None:
            await asyncio.sleep(0.001)
        assert not world.endpoint.sent
        tell(actor.actor_ref, "a bug")
        await asyncio.sleep(5)

    world.live(first)
    world.live(second, down_s=3_600)

    assert ramped(world) == ["process_down"]
    assert len(world.endpoint.sent) == FIRST_STEP


@pytest.mark.parametrize("resting", [True, False])
def test_a_wall_clock_that_jumps_ahead_makes_no_flood(resting: bool) -> None:
    """Semantics 3.7 and 4.5."""
    world = World()
    world.endpoint.takes_s = 30

    async def main(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        await submit(node, 300, delay_ns=HOUR)
        if not resting:
            await submit(node)
        await asyncio.sleep(1 if not resting else 200)
        assert (NAME in node.gates.units) is not resting
        world.clock.step_ns = HOUR
        await asyncio.sleep(12)

    world.live(main)

    assert ramped(world)[0] == "clock_jump"
    assert len(world.endpoint.sent) <= FIRST_STEP + (not resting)


@pytest.mark.parametrize("ahead_s", [50, -3_600])
def test_a_wall_clock_that_is_set_a_little_or_back_is_no_outage(ahead_s: int) -> None:
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        await submit(node, 50, delay_ns=20 * SECOND)
        await asyncio.sleep(1)
        world.clock.step_ns = ahead_s * SECOND
        await asyncio.sleep(12)

    world.live(main)

    assert ramped(world) == []


def test_a_pause_that_stands_is_left_to_its_end() -> None:
    """Resuming reckons from the beginning of the pause."""
    world = World()

    async def first(node: Node) -> None:
        await open_gate(node, settings())
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        await submit(node, 3)

    world.live(first)
    world.live(a_while, down_s=3_600)

    assert ramped(world) == []


def test_an_endpoint_that_hangs_is_not_ramped_up_to_full() -> None:
    """Semantics 4.4: the probe is answered, then nothing is."""
    world = World()
    calls = 0

    def answer(_outbound: object) -> Any:
        nonlocal calls
        calls += 1
        if calls <= 5:
            return Responded(500, 1)
        world.endpoint.takes_s = 30
        return Responded(200, 1) if calls == 6 else Unanswered("timeout", 30 * SECOND)

    world.endpoint.answer = answer

    async def main(node: Node) -> None:
        await node.intake.gate_command(NAME, SetGate(settings(concurrency=100), CAUSE))
        await submit(node, 5)
        await asyncio.sleep(1)
        await submit(node, 300)
        await asyncio.sleep(28)

    world.live(main)

    assert ramped(world) == ["probe"]
    assert len(world.endpoint.sent) == 5 + 1 + FIRST_STEP
