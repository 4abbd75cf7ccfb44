"""A gate that has nothing to do for a while is woken again for what is due later."""

import asyncio

import pytest

from taskmaster.actors.node import Node
from taskmaster.events.types import MINUTE, Retry
from taskmaster.model.retry import Responded
from taskmaster.supervision import tell
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import NAME, settings


@pytest.mark.parametrize("disturbed", ["no", "crash"])
def test_a_task_due_in_ten_minutes_is_started(disturbed: str) -> None:
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        await submit(node)
        await submit(node, delay_ns=10 * MINUTE)
        await asyncio.sleep(1)
        if disturbed == "crash":
            actor = node.gates.live(NAME)
            assert actor is not None
            tell(actor.actor_ref, "a bug")
        await asyncio.sleep(700)

    world.live(main)

    assert len(world.endpoint.sent) == 2


def test_a_retry_after_two_minutes_is_started() -> None:
    world = World()
    world.endpoint.answer = Responded(500, 1)

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        retry = Retry(jitter="none", min_backoff_ns=2 * MINUTE)
        await submit(node, retry=retry)
        await asyncio.sleep(3_600)

    world.live(main)

    assert len(world.endpoint.sent) == 5


def test_a_gate_whose_attempt_was_open_at_the_start_still_starts_what_is_due_later() -> None:
    world = World()
    world.endpoint.takes_s = 5

    async def first(node: Node) -> None:
        await open_gate(node, settings())
        await submit(node)
        await submit(node, delay_ns=10 * MINUTE)
        await asyncio.sleep(1)

    async def second(node: Node) -> None:
        await asyncio.sleep(700)

    world.live(first)
    world.live(second)

    assert len(world.endpoint.sent) == 3
