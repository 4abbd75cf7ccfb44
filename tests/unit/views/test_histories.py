"""The histories of a node's gates, in virtual time."""

import asyncio
from typing import Any

from taskmaster.actors.node import Node
from taskmaster.errors import StoreUnavailableError
from taskmaster.events.types import GateSettings
from taskmaster.views.histories import Histories
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import NAME


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
