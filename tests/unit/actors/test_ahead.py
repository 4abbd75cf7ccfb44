"""Starts that are committed before their task is due, and sent when it is."""

import asyncio

import pytest

from taskmaster.actors.node import Node
from taskmaster.events.types import (
    MILLISECOND,
    SECOND,
    AttemptStarted,
    GateSettings,
    Rate,
    TaskId,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.task_control import CancelTask
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, NOW, settings

SLOW_S = 0.01


def due_at(world: World, task: TaskId) -> Wall:
    submitted = world.events_of(task)[0]
    assert isinstance(submitted, TaskSubmitted)
    return submitted.due_at


def started_at(world: World, task: TaskId) -> Wall:
    started = world.events_of(task)[1]
    assert isinstance(started, AttemptStarted)
    return started.at


def sent_at(world: World) -> Wall:
    (sent,) = world.endpoint.sent
    return Wall(NOW + round(sent.at * SECOND))


def test_a_slow_commit_delays_no_arrival() -> None:
    world = World()
    world.commit_s = world.read_s = SLOW_S

    async def script(node: Node) -> TaskId:
        await open_gate(node, settings(concurrency=10))
        (task,) = await submit(node, delay_ns=SECOND)
        await asyncio.sleep(3)
        return task

    task = world.live(script)

    due = due_at(world, task)
    assert started_at(world, task) < due - SLOW_S * SECOND
    assert due <= sent_at(world) <= due + MILLISECOND


@pytest.mark.parametrize("chosen", [settings(concurrency=1), settings(Rate(10.0, SECOND, 1))])
def test_a_gate_short_of_slots_or_with_a_rate_decides_when_a_task_is_due(
    chosen: GateSettings,
) -> None:
    world = World()

    async def script(node: Node) -> TaskId:
        await open_gate(node, chosen)
        (task,) = await submit(node, delay_ns=SECOND)
        await asyncio.sleep(3)
        return task

    task = world.live(script)

    assert started_at(world, task) >= due_at(world, task)


def test_what_was_started_ahead_and_not_sent_can_be_cancelled() -> None:
    world = World()

    async def script(node: Node) -> TaskId:
        await open_gate(node, settings(concurrency=10))
        (task,) = await submit(node, delay_ns=SECOND)
        while world.row(task).state != "in_flight":
            await asyncio.sleep(0.001)
        await node.intake.task_command(task, CancelTask(CAUSE))
        await asyncio.sleep(3)
        return task

    task = world.live(script)

    names = ["TaskSubmitted", "AttemptStarted", "AttemptVoided", "TaskCancelled"]
    assert world.names_of(task) == names
    assert not world.endpoint.sent


def test_a_wall_clock_that_was_set_back_meanwhile_sends_nothing_early() -> None:
    """Semantics 3.7."""
    world = World()

    async def script(node: Node) -> TaskId:
        await open_gate(node, settings(concurrency=10))
        (task,) = await submit(node, delay_ns=SECOND)
        while world.row(task).state != "in_flight":
            await asyncio.sleep(0.001)
        world.clock.step_ns = -SECOND // 2
        await asyncio.sleep(3)
        return task

    task = world.live(script)

    assert sent_at(world) - SECOND // 2 >= due_at(world, task)
