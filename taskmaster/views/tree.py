"""The supervision tree, looked through without holding the loop.

Rules of residence: asks the node; with a hundred thousand places others have their turn in between.
"""

import asyncio
from collections.abc import AsyncIterator

from taskmaster.actors.node import Node
from taskmaster.actors.supervisor import Place

PLACES_A_TURN = 256


async def places_of(node: Node) -> AsyncIterator[Place]:
    """Every place; what begins or ends meanwhile may be among them or not."""
    for number, place in enumerate(node.tree(), 1):
        yield place
        if number % PLACES_A_TURN == 0:
            await asyncio.sleep(0)
