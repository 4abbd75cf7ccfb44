"""The way in: gates that come into being with their first task, and those that do not."""

import asyncio

import pytest

from taskmaster.actors.intake import Accepted, SubmitAnswer
from taskmaster.actors.journal import Refused
from taskmaster.actors.node import Node
from taskmaster.events.log import NotStored
from taskmaster.events.types import DAY, GateName, GateOpened, GateSettings, Request
from taskmaster.model.rejected import Rejected
from taskmaster.model.submission import SubmitTask
from tests.unit.actors.nodes import World, open_gate
from tests.unit.model.builders import CAUSE, NAME, settings

ELSEWHERE = GateName("http~127.0.0.1~80")


def wish(gate: GateName = ELSEWHERE, *, delay_ns: int = 0) -> SubmitTask:
    return SubmitTask(gate=gate, request=Request("http://127.0.0.1/"), delay_ns=delay_ns)


async def submitted(node: Node, *wishes: SubmitTask) -> list[SubmitAnswer]:
    return await node.intake.submit(wishes, CAUSE, implicit=True)


def test_a_gate_comes_into_being_with_the_first_task_that_is_taken() -> None:
    """Semantics 1: the default gate of a task without one."""
    world = World()

    async def main(node: Node) -> list[SubmitAnswer]:
        return await submitted(node, wish(delay_ns=-1), wish(), wish())

    refused, *taken = world.live(main)

    assert isinstance(refused, Rejected)
    assert refused.field == "delay"
    assert all(isinstance(answer, Accepted) for answer in taken)
    (opened,) = world.gate_events(ELSEWHERE)
    assert isinstance(opened, GateOpened)
    assert (opened.implicit, opened.settings) == (True, GateSettings())


def test_a_task_that_is_refused_leaves_no_gate_behind() -> None:
    world = World()

    async def main(node: Node) -> list[SubmitAnswer]:
        answers = await submitted(node, wish(delay_ns=20 * 366 * DAY))
        unknown = await node.intake.submit([wish()], CAUSE)
        return [*answers, *unknown]

    refused, unknown = world.live(main)

    assert isinstance(refused, Rejected)
    assert isinstance(unknown, Rejected)
    assert (refused.field, unknown.code) == ("delay", "not_found")
    assert world.gate_events(ELSEWHERE) == []


def test_a_gate_that_cannot_be_opened_refuses_its_tasks_and_they_may_come_again() -> None:
    world = World()

    async def main(node: Node) -> list[SubmitAnswer]:
        world.trouble.append(NotStored("disk is full"))
        away = await submitted(node, wish(), wish())
        await asyncio.sleep(5)
        return [*away, *await submitted(node, wish())]

    first, second, third = world.live(main)

    assert first == second == Refused("disk is full")
    assert isinstance(third, Accepted)
    assert len(world.gate_events(ELSEWHERE)) == 1


def test_a_name_that_no_gate_can_have_refuses_its_own_tasks_alone() -> None:
    world = World()

    async def main(node: Node) -> list[SubmitAnswer]:
        return await submitted(node, wish(), wish(GateName("no name")), wish())

    first, second, third = world.live(main)

    assert isinstance(second, Rejected)
    assert second.field == "gate"
    assert isinstance(first, Accepted)
    assert isinstance(third, Accepted)


def test_two_who_open_the_same_gate_at_once_both_have_their_tasks_taken() -> None:
    world = World()

    async def main(node: Node) -> list[SubmitAnswer]:
        both = await asyncio.gather(submitted(node, wish()), submitted(node, wish()))
        return [*both[0], *both[1]]

    answers = world.live(main)

    assert all(isinstance(answer, Accepted) for answer in answers)
    assert len(world.gate_events(ELSEWHERE)) == 1


@pytest.mark.parametrize("created_first", [True, False])
def test_a_gate_that_someone_creates_keeps_its_settings(created_first: bool) -> None:
    """A task for the same gate comes at the same moment."""
    world = World()
    chosen = settings(concurrency=3)

    async def main(node: Node) -> list[SubmitAnswer]:
        create, submit = open_gate(node, chosen, NAME), submitted(node, wish(NAME))
        if created_first:
            _, answers = await asyncio.gather(create, submit)
        else:
            answers, _ = await asyncio.gather(submit, create)
        await asyncio.sleep(1)
        actor = node.gates.live(NAME)
        assert actor is not None
        assert actor.gate is not None
        assert actor.gate.settings == chosen
        return answers

    (answer,) = world.live(main)

    assert isinstance(answer, Accepted)
