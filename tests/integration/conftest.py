"""A real node on a log in memory, behind the real application, without a socket."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskmaster.actors.local import LocalNode
from taskmaster.api.app import make_app
from taskmaster.api.keys import KeyRing
from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Egress
from tests.integration.api_server import PlainSender, Server


@pytest.fixture
def sender() -> PlainSender:
    return PlainSender()


@pytest.fixture
async def start(tmp_path: Path, sender: PlainSender) -> AsyncIterator[Callable[..., Any]]:
    """Starts servers that end with the test."""
    running: list[tuple[LocalNode, httpx.AsyncClient]] = []

    async def started(**options: Any) -> Server:
        fatal: list[str] = []
        local = LocalNode(":memory:", sender=sender, software="test", fatal=fatal.append, **options)
        await local.node.start()
        app = make_app(
            local.node,
            egress=Egress(EgressRules(loopback=True)),
            keys=KeyRing(tmp_path / "keys"),
            store=":memory:",
            software="test",
        )
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(transport=transport, base_url="http://localhost:8123")
        running.append((local, client))
        return Server(local, app, client, sender)

    yield started
    for local, client in running:
        await client.aclose()
        await local.stop(1.0)


@pytest.fixture
async def server(start: Callable[..., Any]) -> Server:
    """One server."""
    return await start()
