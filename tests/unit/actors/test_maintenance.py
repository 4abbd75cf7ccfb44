"""Planned downtimes, on a node in virtual time; `live` ends as by `kill -9`."""

import asyncio

import pytest

from taskmaster.actors.messages import GateDone
from taskmaster.actors.node import Node
from taskmaster.events.types import (
    HOUR,
    MINUTE,
    SECOND,
    Cause,
    GatePaused,
    GateRampStepped,
    GateResumed,
    MaintenanceBegan,
    MaintenanceEnded,
    MaintenancePlanned,
    RecoveryStarted,
    Wall,
)
from taskmaster.model.control import PauseGate, ResumeGate
from taskmaster.model.maintenance import CancelMaintenance, PlanMaintenance
from taskmaster.model.rejected import Rejected
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, NAME, settings

WHY = Cause("PlanMaintenance", "ada", "new disks")
PLANNED, BEGAN, PAUSED = "MaintenancePlanned", "MaintenanceBegan", "GatePaused"
ENDED, RESUMED, RAMP = "MaintenanceEnded", "GateResumed", "GateRampStepped"


async def plan(node: Node, in_s: float, for_s: float, *, drain_ns: int = 0) -> GateDone | Rejected:
    """Announce a downtime so many seconds from now."""
    start_at = Wall(node.ports.clock.wall() + int(in_s * SECOND))
    wish = PlanMaintenance(WHY, start_at, Wall(start_at + int(for_s * SECOND)), drain_ns)
    return await node.intake.gate_command(NAME, wish)


def names(world: World) -> list[str]:
    """What the gate's stream holds but its outages."""
    return [type(e).__name__ for e in world.gate_events() if not isinstance(e, RecoveryStarted)]


def test_a_gate_starts_nothing_in_a_downtime_and_ramps_after_it() -> None:
    """Semantics 4.5 and 8.1: the ramp begins by itself, however short the downtime was."""
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        await plan(node, 10, 20)
        for _ in range(20):
            await submit(node)
            await asyncio.sleep(2)
        await asyncio.sleep(5)

    world.live(main)

    sent = [round(sent.at) for sent in world.endpoint.sent]
    assert [at for at in sent if 11 <= at <= 29] == []
    assert len(sent) == 20
    assert names(world)[:7] == ["GateOpened", PLANNED, BEGAN, PAUSED, ENDED, RESUMED, RAMP]
    (paused,) = (event for event in world.gate_events() if isinstance(event, GatePaused))
    assert paused.cause == Cause("Maintenance", "ada", "new disks")
    (outage,) = (event for event in world.gate_events() if isinstance(event, RecoveryStarted))
    assert outage.outage == "maintenance"


def test_a_gate_at_rest_enters_and_leaves_its_downtime_in_time() -> None:
    world = World()

    async def main(node: Node) -> tuple[int, bool]:
        await open_gate(node, settings())
        await plan(node, 3_600, 1_800, drain_ns=MINUTE)
        await submit(node, delay_ns=3 * HOUR)
        await asyncio.sleep(600)
        rests = NAME not in node.gates.units
        await asyncio.sleep(6_000)
        return node.ports.clock.wall(), rests

    _, rests = world.live(main)

    events = world.gate_events()
    (planned,) = (e for e in events if isinstance(e, MaintenancePlanned))
    (began,) = (e for e in events if isinstance(e, MaintenanceBegan))
    (ended,) = (e for e in events if isinstance(e, MaintenanceEnded))
    assert rests
    assert 0 <= began.at - (planned.window.start_at - MINUTE) < SECOND
    assert 0 <= ended.at - planned.window.until < SECOND


@pytest.mark.slow
def test_a_downtime_whose_start_passed_while_the_process_was_down_is_entered_at_once() -> None:
    world = World()

    async def first(node: Node) -> None:
        await open_gate(node, settings())
        await plan(node, 100, 1_000)
        await submit(node, 3, delay_ns=50 * SECOND)

    async def second(node: Node) -> list[str]:
        await asyncio.sleep(5)
        found = names(world)
        assert not world.endpoint.sent
        await asyncio.sleep(1_000)
        assert not node.store.is_away
        return found

    world.live(first)
    found = world.live(second, down_s=200)

    assert found == ["GateOpened", PLANNED, RAMP, BEGAN, PAUSED]  # the ramp is that of the stop
    assert names(world)[5:8] == [ENDED, RESUMED, RAMP]
    assert len(world.endpoint.sent) == 3


def test_a_downtime_that_passed_while_the_process_was_down_is_recorded_as_passed() -> None:
    world = World()

    async def first(node: Node) -> None:
        await open_gate(node, settings())
        await plan(node, 100, 50)

    async def second(node: Node) -> None:
        assert node
        await asyncio.sleep(5)

    world.live(first)
    world.live(second, down_s=1_000)

    assert names(world) == ["GateOpened", PLANNED, ENDED]
    ended = world.gate_events()[-1]
    assert isinstance(ended, MaintenanceEnded)
    assert ended.why == "passed"


def test_a_kill_in_a_downtime_ends_neither_the_pause_nor_its_end() -> None:
    world = World()

    async def first(node: Node) -> None:
        await open_gate(node, settings())
        await plan(node, 10, 1_000)
        await submit(node, 2, delay_ns=20 * SECOND)
        await asyncio.sleep(60)

    async def second(node: Node) -> None:
        await asyncio.sleep(500)
        assert not world.endpoint.sent
        await asyncio.sleep(600)
        assert not node.store.is_away

    world.live(first)
    world.live(second, down_s=100)

    assert names(world)[:7] == ["GateOpened", PLANNED, BEGAN, PAUSED, ENDED, RESUMED, RAMP]
    assert len(world.endpoint.sent) == 2


def test_a_persons_pause_outlives_a_downtime() -> None:
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        await plan(node, 10, 20)
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        await submit(node)
        await asyncio.sleep(100)

    world.live(main)

    assert names(world) == ["GateOpened", PLANNED, PAUSED, BEGAN, ENDED]
    assert not world.endpoint.sent


def test_a_resume_in_a_downtime_ends_it_by_the_ramp() -> None:
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        await plan(node, 10, 1_000)
        await asyncio.sleep(20)
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        await asyncio.sleep(100)

    world.live(main)

    assert names(world)[:7] == ["GateOpened", PLANNED, BEGAN, PAUSED, ENDED, RESUMED, RAMP]
    (ended,) = (e for e in world.gate_events() if isinstance(e, MaintenanceEnded))
    assert (ended.why, ended.cause) == ("resumed", CAUSE)


def test_a_cancelled_downtime_is_not_entered_and_one_under_way_ends() -> None:
    world = World()

    async def main(node: Node) -> tuple[object, object]:
        await open_gate(node, settings())
        await plan(node, 10, 100)
        await plan(node, 500, 100)
        await node.intake.gate_command(NAME, CancelMaintenance(CAUSE, 2))
        await asyncio.sleep(20)
        done = await node.intake.gate_command(NAME, CancelMaintenance(CAUSE, 1))
        await asyncio.sleep(1_000)
        return done, await node.intake.gate_command(NAME, CancelMaintenance(CAUSE, 1))

    done, gone = world.live(main)

    assert isinstance(done, GateDone)
    assert done.gate.windows == ()
    assert isinstance(gone, Rejected)
    assert gone.code == "not_found"
    assert names(world)[3:9] == [
        "MaintenanceCancelled",
        BEGAN,
        PAUSED,
        "MaintenanceCancelled",
        RESUMED,
        RAMP,
    ]


def test_downtimes_that_cannot_be_are_refused_with_the_field() -> None:
    world = World()

    async def main(node: Node) -> list[object]:
        await open_gate(node, settings())
        answers: list[object] = [await plan(node, 100, 100)]
        for in_s, for_s, drain_ns in (
            (-5, 50, 0),
            (10, 0, 0),
            (10, 31 * 86_400, 0),
            (150, 10, 0),
            (205, 10, 10 * SECOND),
            (400 * 86_400, 10, 0),
            (300, 10, -1),
        ):
            answers.append(await plan(node, in_s, for_s, drain_ns=drain_ns))
        return answers

    first, *others = world.live(main)

    assert isinstance(first, GateDone)
    refused = [(no.code, no.field) for no in others if isinstance(no, Rejected)]
    assert refused == [
        ("invalid_field", "from"),
        ("invalid_field", "until"),
        ("invalid_field", "until"),
        ("conflict", "from"),
        ("conflict", "from"),
        ("invalid_field", "from"),
        ("invalid_field", "drain"),
    ]
    assert names(world) == ["GateOpened", PLANNED]
    assert not [e for e in world.gate_events() if isinstance(e, GateResumed | GateRampStepped)]
    assert world.store.reader().check_index() == []
