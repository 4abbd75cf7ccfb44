"""What every route needs: the node, the guards, and who is calling.

Rules of residence: references and small questions about one request; no route.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from taskmaster.actors.journal import Commit
from taskmaster.actors.node import Node
from taskmaster.api.paging import Pager
from taskmaster.api.problems import ProblemError, problem, raise_if_no, retry_headers
from taskmaster.api.submissions import refuse_reason
from taskmaster.delivery.egress import Egress
from taskmaster.events.log import Reader
from taskmaster.events.types import Cause, GateName, Mono, Wall
from taskmaster.views.follow import Follow
from taskmaster.views.histories import Histories
from taskmaster.views.metrics import Metrics

ANSWER_WITHIN_S = 30.0
"""How long a gate or the store may take for one call."""
AUTHOR = "taskmaster.author"
REQUEST_ID = "taskmaster.request_id"

T = TypeVar("T")


class Documents(Struct, frozen=True):
    """What describes the API: made once."""

    openapi: bytes
    page: str


class Api:
    """What routes share; one for each application."""

    def __init__(
        self,
        node: Node,
        egress: Egress,
        *,
        store: str,
        software: str,
        secret: bytes,
        documents: Documents,
    ) -> None:
        """`store` and `software` are shown at /version; `secret` signs page tokens."""
        self.node = node
        self.egress = egress
        self.store = store
        self.software = software
        self.pager = Pager(secret)
        self.documents = documents
        self.follow = Follow()
        self.metrics = Metrics(node, software)
        self.histories = Histories(node)
        self._looking = asyncio.ensure_future(self.histories.run())
        self.streams = 0  # callers who read the stream of events now
        node.follow(self.committed)
        self._locks: WeakValueDictionary[GateName, asyncio.Lock] = WeakValueDictionary()

    def committed(self, commit: Commit) -> None:
        """Hear of a commit: wakes whoever follows the log, and counts for metrics and history."""
        self.follow.committed(commit.position, commit.appends)
        self.metrics.counters.committed(commit)
        self.histories.committed(commit)

    @property
    def reader(self) -> Reader:
        """Committed state."""
        return self.node.reader

    def now(self) -> Wall:
        """Shard time."""
        return self.node.ports.clock.wall()

    def mono(self) -> Mono:
        """Pacing time."""
        return self.node.ports.clock.mono()

    def refuse_while_stopping(self) -> None:
        """Take no submission and no command once the node drains.

        Raises:
            ProblemError: it does.
        """
        if self.node.ports.is_stopping:
            found = problem("unavailable", "the server is stopping")
            raise ProblemError(found, retry_headers(found))

    def gate_lock(self, gate: GateName) -> asyncio.Lock:
        """Held from the comparison of an ETag to the end of the change that depends on it."""
        lock = self._locks.get(gate)
        if lock is None:
            lock = self._locks[gate] = asyncio.Lock()
        return lock


def author(request: Request) -> str:
    """Who calls: the name of the API key, or anonymous."""
    return str(request.scope.get(AUTHOR, "anonymous"))


def cause(request: Request, command: str, reason: str = "") -> Cause:
    """The cause of what this request asks for."""
    raise_if_no(refuse_reason(reason))
    return Cause(command, author(request), reason)


async def within(work: Awaitable[T]) -> T:
    """An answer of the node, or 503 after `ANSWER_WITHIN_S`."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await work
    except TimeoutError:
        found = problem(
            "unavailable",
            f"no answer within {ANSWER_WITHIN_S:g} s; the command may still be carried out",
            remedy="read the state before repeating it",
        )
        raise ProblemError(found, retry_headers(found)) from None


class JsonResponse(Response):
    """A struct as an answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode by msgspec."""
        return msgspec.json.encode(content)
