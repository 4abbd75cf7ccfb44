"""A node whose gates have parents: limits for a host, turns, and who breaks alone."""

import asyncio
from itertools import pairwise

import pytest
from msgspec.structs import replace

from taskmaster.actors.gates import UNIT_INTENSITY
from taskmaster.actors.messages import GateDone
from taskmaster.actors.node import Node
from taskmaster.events.types import (
    SECOND,
    Adaptive,
    Cause,
    GateName,
    GateRampStepped,
    GateSettings,
    Rate,
    TaskId,
)
from taskmaster.model.control import DrainGate, GateCommand, PauseGate, ResumeGate, SetGate
from taskmaster.model.gate import Wait
from taskmaster.model.rejected import Rejected
from taskmaster.supervision import tell
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, settings
from tests.unit.model.windows import worst_excess

A, B, C = GateName("a"), GateName("b"), GateName("c")
HOST, SITE = GateName("host"), GateName("site")


def below(parent: GateName, *rates: Rate, concurrency: int = 50) -> GateSettings:
    return replace(settings(*rates, concurrency=concurrency), parent=parent)


async def family(node: Node, host: GateSettings, *children: GateName) -> None:
    """A host, and gates below it with limits of their own that hold nothing back."""
    await open_gate(node, host, HOST)
    for name in children:
        await open_gate(node, below(HOST), name)


async def command(node: Node, gate: GateName, wish: GateCommand) -> None:
    assert isinstance(await node.intake.gate_command(gate, wish), GateDone)


def waits(node: Node, gate: GateName) -> Wait | None:
    actor = node.gates.live(gate)
    return actor.waits if actor is not None else None


def in_flight(node: Node) -> int:
    found = node.ports.families.get(HOST)
    assert found is not None
    return found.in_flight


# --- limits ------------------------------------------------------------------------------------


def test_children_together_stay_within_a_parents_rate_over_a_restart() -> None:
    """Semantics 3.1 and 3.5, for what leaves at the socket."""
    world = World()
    rate = Rate(20.0, SECOND, 2)

    async def first(node: Node) -> None:
        await family(node, settings(rate, concurrency=100), A, B)
        for gate in (A, B, HOST):
            await submit(node, 40, gate=gate)
        await asyncio.sleep(1)

    async def second(node: Node) -> None:
        del node
        await asyncio.sleep(20)

    world.live(first)
    world.live(second, down_s=0.2)

    starts = [round(sent.at * SECOND) for sent in world.endpoint.sent]
    assert len(starts) >= 120
    assert worst_excess(starts, rate) <= 0


def test_every_level_holds() -> None:
    world = World()
    site, host = Rate(10.0, SECOND, 1), Rate(50.0, SECOND, 1)

    async def main(node: Node) -> None:
        await open_gate(node, settings(site, concurrency=3), SITE)
        await open_gate(node, below(SITE, host), HOST)
        await open_gate(node, below(HOST), A)
        await open_gate(node, below(SITE), B)
        for gate in (A, B):
            await submit(node, 20, gate=gate)
        await asyncio.sleep(10)

    world.live(main)

    at = [sent.at for sent in world.endpoint.sent]
    assert len(at) == 40
    assert min(b - a for a, b in pairwise(at)) >= 0.1 - 1e-9


def test_children_share_a_parents_slots() -> None:
    """Semantics 3.2."""
    world = World()
    world.endpoint.takes_s = 1

    async def main(node: Node) -> list[int]:
        await family(node, settings(concurrency=3), A, B)
        for gate in (A, B):
            await submit(node, 10, gate=gate)
        seen: list[int] = []
        for _ in range(60):
            await asyncio.sleep(0.1)
            seen.append(in_flight(node))
        await asyncio.sleep(5)
        return seen

    seen = world.live(main)

    assert max(seen) == 3
    assert len(world.endpoint.sent) == 20


# --- turns -------------------------------------------------------------------------------------


def order(world: World, *names: tuple[str, list[TaskId]]) -> str:
    of = {task: name for name, tasks in names for task in tasks}
    return "".join(of[sent.task] for sent in world.endpoint.sent)


@pytest.mark.parametrize("host", [settings(Rate(20.0, SECOND, 1)), settings(concurrency=1)])
def test_no_child_starves_whatever_waits_at_its_siblings(host: GateSettings) -> None:
    """Neither a backlog nor a priority buys a turn."""
    world = World()
    world.endpoint.takes_s = 0.05

    async def main(node: Node) -> str:
        await family(node, host, A, B, C)
        many = await submit(node, 300, gate=A, priority=9)
        await asyncio.sleep(1)
        few, some = await submit(node, 4, gate=B), await submit(node, 4, gate=C)
        await asyncio.sleep(2)
        return order(world, ("a", many), ("b", few), ("c", some))

    told = world.live(main)

    began = told.index("b")
    assert sorted(told[began : began + 12]) == list("aaaabbbbcccc")


def test_a_turn_that_nobody_uses_is_the_next_ones() -> None:
    world = World()

    async def main(node: Node) -> None:
        await family(node, settings(Rate(10.0, SECOND, 1)), A, B)
        await submit(node, 20, gate=A)
        await submit(node, 5, gate=B)
        await asyncio.sleep(0.15)
        await command(node, B, PauseGate(CAUSE))
        await asyncio.sleep(4)

    world.live(main)

    at = [sent.at for sent in world.endpoint.sent]
    assert len(at) >= 20
    assert max(b - a for a, b in pairwise(at)) < 0.11


def test_families_below_one_parent_take_turns_and_so_do_their_children() -> None:
    world = World()

    async def main(node: Node) -> str:
        await open_gate(node, settings(Rate(20.0, SECOND, 1)), SITE)
        await open_gate(node, below(SITE), HOST)
        for gate in (A, B):
            await open_gate(node, below(HOST), gate)
        await open_gate(node, below(SITE), C)
        tasks = [await submit(node, 100, gate=gate) for gate in (A, B, C)]
        await asyncio.sleep(3)
        return order(world, ("a", tasks[0]), ("b", tasks[1]), ("c", tasks[2]))

    told = world.live(main)[8:48]

    assert (told.count("a"), told.count("b"), told.count("c")) == (10, 10, 20)


# --- control -----------------------------------------------------------------------------------


def test_a_paused_parent_holds_its_family_which_comes_back_by_its_ramp() -> None:
    """The maintenance of a data centre is one pause (semantics 4.5, 8.1)."""
    world = World()
    world.endpoint.takes_s = 0.5

    async def main(node: Node) -> tuple[Wait | None, int]:
        await family(node, settings(concurrency=100), A, B)
        await command(node, HOST, PauseGate(CAUSE))
        for gate in (A, B):
            await submit(node, 60, gate=gate)
        await asyncio.sleep(90)
        held = waits(node, A)
        assert not world.endpoint.sent
        await command(node, HOST, ResumeGate(CAUSE))
        await asyncio.sleep(0.3)
        after = in_flight(node)
        await asyncio.sleep(90)
        return held, after

    held, after = world.live(main)

    assert held == Wait("paused", gate=HOST)
    assert after == 5
    assert len(world.endpoint.sent) == 120
    ramp = [one for one in world.gate_events(HOST) if isinstance(one, GateRampStepped)]
    assert [one.percent for one in ramp[:2]] == [5, 10]


def test_a_family_begins_with_its_parents_ramp_after_the_process_was_down() -> None:
    """Semantics 4.5: the children's backlogs fall on one host."""
    world = World()
    world.endpoint.takes_s = 0.5

    async def first(node: Node) -> None:
        await family(node, settings(concurrency=100), A, B)
        for gate in (A, B):
            await submit(node, 100, gate=gate, delay_ns=SECOND)
        await asyncio.sleep(0.5)

    async def second(node: Node) -> int:
        await asyncio.sleep(0.4)
        return in_flight(node)

    world.live(first)

    assert world.live(second, down_s=300) == 4  # two of each child, by its own ramp, and 5 of all
    ramp = [one for one in world.gate_events(HOST) if isinstance(one, GateRampStepped)]
    assert [(one.percent, one.why) for one in ramp] == [(5, "process_down")]


def test_a_parent_has_drained_once_nothing_is_in_flight_below() -> None:
    world = World()
    world.endpoint.takes_s = 5

    async def main(node: Node) -> list[str]:
        await family(node, settings(), A)
        await submit(node, 2, gate=A)
        await asyncio.sleep(1)
        await command(node, HOST, DrainGate(CAUSE))
        before = [type(event).__name__ for event in world.gate_events(HOST)]
        await asyncio.sleep(6)
        return before

    assert world.live(main)[-1] == "GatePaused"
    assert type(world.gate_events(HOST)[-1]).__name__ == "GateDrained"


# --- who breaks, breaks alone ------------------------------------------------------------------


async def crash(node: Node, gate: GateName) -> None:
    actor = node.gates.live(gate)
    assert actor is not None
    tell(actor.actor_ref, "a bug")
    await asyncio.sleep(0.1)


def test_a_child_that_crashes_gives_its_slots_back_and_stops_no_sibling() -> None:
    world = World()
    world.endpoint.takes_s = 1

    async def main(node: Node) -> int:
        await family(node, settings(concurrency=4), A, B)
        for gate in (A, B):
            await submit(node, 10, gate=gate)
        for _ in range(3):
            await asyncio.sleep(0.3)
            await crash(node, A)
            assert in_flight(node) <= 4
        await asyncio.sleep(20)
        return in_flight(node)

    assert world.live(main) == 0
    assert len({sent.task for sent in world.endpoint.sent}) == 20


def test_a_child_that_is_left_alone_holds_none_of_its_parents_slots() -> None:
    """In-flight is what children say of themselves; of one that says nothing, nothing counts."""
    world = World()
    world.endpoint.takes_s = 20

    async def main(node: Node) -> int:
        await family(node, settings(concurrency=4), A, B)
        await submit(node, 4, gate=A)
        await asyncio.sleep(1)
        await submit(node, 4, gate=B)
        await asyncio.sleep(1)
        assert len(world.endpoint.sent) == 4
        node.gates.leave_alone(A, CAUSE)
        await asyncio.sleep(1)
        return len(world.endpoint.sent)

    assert world.live(main) == 8


def test_a_parent_that_is_left_alone_holds_its_family() -> None:
    world = World()

    async def main(node: Node) -> Wait | None:
        await family(node, settings(), A)
        await submit(node, gate=HOST)
        await asyncio.sleep(1)
        for _ in range(UNIT_INTENSITY + 1):
            await crash(node, HOST)
        assert HOST not in node.gates.units
        await submit(node, 3, gate=A)
        await asyncio.sleep(5)
        held, before = waits(node, A), len(world.endpoint.sent)
        await asyncio.sleep(400)
        assert (before, len(world.endpoint.sent)) == (1, 4)
        return held

    assert world.live(main) == Wait("quarantined", gate=HOST)


def test_that_a_parent_is_left_alone_is_named_before_what_the_child_itself_waits_for() -> None:
    """Semantics 10."""
    world = World()
    world.endpoint.takes_s = 30

    async def main(node: Node) -> list[Wait | None]:
        await open_gate(node, settings(), HOST)
        await open_gate(node, below(HOST, concurrency=1), A)
        await submit(node, 2, gate=A)
        await asyncio.sleep(1)
        before = waits(node, A)
        node.gates.leave_alone(HOST, CAUSE)
        await submit(node, gate=A)
        await asyncio.sleep(1)
        return [before, waits(node, A)]

    assert world.live(main) == [Wait("slot"), Wait("quarantined", gate=HOST)]


# --- settings ----------------------------------------------------------------------------------


def test_a_gate_with_open_tasks_keeps_its_parent() -> None:
    """Its own, or of a gate below it: what they count under must not change."""
    world = World()

    async def main(node: Node) -> list[str]:
        await family(node, settings(), A)
        await open_gate(node, settings(), SITE)
        await submit(node, gate=A, delay_ns=60 * SECOND)
        said: list[str] = []
        for name, parent in ((A, SITE), (HOST, SITE), (A, None)):
            wish = SetGate(replace(settings(), parent=parent), Cause())
            answer = await node.intake.gate_command(name, wish)
            said.append(answer.message if isinstance(answer, Rejected) else "done")
        await asyncio.sleep(70)
        await command(node, A, SetGate(below(SITE), CAUSE))
        await asyncio.sleep(1)
        return said

    said = world.live(main)

    assert said == [
        "gate a cannot change its parent while it has tasks that are not over",
        "gate host cannot change its parent while gate a below it has tasks that are not over",
        "gate a cannot change its parent while it has tasks that are not over",
    ]


def test_two_gates_that_become_each_others_parent_at_once_make_no_ring() -> None:
    world = World()

    async def main(node: Node) -> list[str]:
        for name in (A, B):
            await open_gate(node, settings(), name)
        answers = await asyncio.gather(
            node.intake.gate_command(A, SetGate(below(B), CAUSE)),
            node.intake.gate_command(B, SetGate(below(A), CAUSE)),
        )
        await asyncio.sleep(1)  # who was woken by it has looked
        return [type(answer).__name__ for answer in answers]

    assert sorted(world.live(main)) == ["GateDone", "Rejected"]


def test_a_parent_is_not_adaptive() -> None:
    world = World()
    learning = replace(settings(), adaptive=Adaptive())

    async def main(node: Node) -> list[str]:
        await family(node, settings(), A)
        await open_gate(node, learning, SITE)
        wishes = ((HOST, learning), (B, below(SITE)))
        answers = [await node.intake.gate_command(n, SetGate(s, CAUSE)) for n, s in wishes]
        await asyncio.sleep(1)
        return [answer.field for answer in answers if isinstance(answer, Rejected)]

    assert world.live(main) == ["adaptive", "parent"]
