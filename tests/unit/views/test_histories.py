"""The histories of a node's gates, in virtual time."""

import asyncio
from typing import Any

from taskmaster.actors.node import Node
from taskmaster.errors import StoreUnavailableError
from taskmaster.events.types import SECOND, GateSettings, Limits
from taskmaster.views.forecasts import make
from taskmaster.views.gates import view_gate
from taskmaster.views.histories import Histories
from taskmaster.views.history import History
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, NAME


class Forgetful(World):
    """A world whose log cannot be read while it is `away`."""

    away = True

    async def events(self, **asked: Any) -> Any:
        """As `Reader.events`."""
        if self.away:
            raise StoreUnavailableError("the store is away", remedy="wait")
        return self.store.reader().events(**asked)


def test_a_store_that_is_away_at_the_start_is_asked_again() -> None:
    world = Forgetful()

    async def first(node: Node) -> None:
        await open_gate(node, GateSettings())
        await submit(node, 3)

    async def second(node: Node) -> list[int]:
        histories = Histories(node)
        looking = asyncio.ensure_future(histories.run())
        await asyncio.sleep(5)
        before = len(histories.known)
        world.away = False
        await asyncio.sleep(2)
        looking.cancel()
        rows = histories.of(NAME).rows(0, 1)
        return [before, sum(row.submitted for row in rows)]

    world.live(first)

    assert world.live(second, down_s=5) == [0, 3]


def test_a_gate_that_is_left_alone_is_not_empty_before_it_goes_on() -> None:
    world = World()
    world.endpoint.takes_s = 1_000

    async def script(node: Node) -> tuple[float, float]:
        await open_gate(node, GateSettings(limits=Limits(concurrency=1)))
        await submit(node, 3)
        assert node.gates.leave_alone(NAME, CAUSE)
        await asyncio.sleep(2)
        view = await view_gate(node, NAME)
        assert view is not None
        assert view.quarantine is not None
        found = await make(node, view, History())
        assert found.least_s is not None
        return found.least_s, (view.quarantine.until - view.now) / SECOND

    empty_s, left_alone_s = world.live(script)

    assert left_alone_s > 60
    assert empty_s > left_alone_s
