"""The application on a real node, as tests call it: without a socket, on a log in memory."""

from typing import Any

import httpx

from taskmaster.actors.local import LocalNode
from taskmaster.api.edge import Edge
from taskmaster.delivery.sender import Outbound
from taskmaster.events.types import MILLISECOND, Position
from taskmaster.model.retry import Answer, Responded, Unanswered


class PlainSender:
    """Answers every request with a status, 200 unless told otherwise, after a millisecond."""

    def __init__(self) -> None:
        self.sent: list[Outbound] = []
        self.status = 200
        self.trouble: Unanswered | None = None

    async def send(self, outbound: Outbound) -> Answer:
        self.sent.append(outbound)
        if self.trouble is not None:
            return self.trouble
        return Responded(status=self.status, duration_ns=MILLISECOND, body=b"done")

    def is_ready(self, outbound: Outbound) -> bool:
        del outbound
        return True

    async def prepare(self, outbound: Outbound) -> None:
        del outbound

    async def close(self) -> None:
        pass


class Server:
    """The application with a client that calls it."""

    def __init__(
        self, local: LocalNode, app: Edge, client: httpx.AsyncClient, sender: PlainSender
    ) -> None:
        self.local = local
        self.app = app
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
