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
from taskmaster.delivery.sender import Outbound
from taskmaster.events.types import MILLISECOND, Position
from taskmaster.model.retry import Answer, Responded


class PlainSender:
    """Answers every request with a status, 200 unless told otherwise, after a millisecond."""

    def __init__(self) -> None:
        self.sent: list[Outbound] = []
        self.status = 200

    async def send(self, outbound: Outbound) -> Answer:
        self.sent.append(outbound)
        return Responded(status=self.status, duration_ns=MILLISECOND, body=b"done")

    async def close(self) -> None:
        pass


class Server:
    """The application with a client that calls it."""

    def __init__(self, local: LocalNode, client: httpx.AsyncClient, sender: PlainSender) -> None:
        self.local = local
        self.client = client
        self.sender = sender

    async def position(self) -> Position:
        return await self.local.node.ports.reader.position()

    async def call(
        self, method: str, path: str, json: Any = None, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        """The status and the document of an answer."""
        response = await self.client.request(method, path, json=json, **more)
        return response.status_code, response.json()


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
        return Server(local, client, sender)

    yield started
    for local, client in running:
        await client.aclose()
        await local.stop(1.0)


@pytest.fixture
async def server(start: Callable[..., Any]) -> Server:
    """One server."""
    return await start()
