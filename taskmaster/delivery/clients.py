"""The HTTP clients of a sender: few, made off the loop, closed when nobody needs them.

One client serves all gates that lead to one name at one address, not one gate: a gate bounds what
it has in flight before it sends, so its connections are bounded without a client of its own, and
10,000 gates of one endpoint cost one client (5 ms and 100 KiB each). Gates whose URLs hold the
address itself share a single one, as nothing is pinned there. A name's client is never shared with
another name: a TLS connection was checked for the name it was opened for.

Rules of residence: how long a client lives. What it is, and how one sends with it, is a sender's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Generic, TypeVar

from msgspec import Struct

from taskmaster.events.types import MILLISECOND, MINUTE

MAX_CLIENTS = 256
IDLE_NS = 5 * MINUTE
"""Without a request for so long, a client is closed when the next one is made or looked for."""

_CONNECT_NS = tuple(step * MILLISECOND for step in (10_000, 5_000, 2_500, 1_000, 500, 250, 100, 50))

Client = TypeVar("Client")


class Line(Struct, frozen=True, gc=False):
    """What a client is made for: a name pinned to an address, or neither for all addresses."""

    host: str
    address: str
    connect_ns: int


@lru_cache(maxsize=1024)
def connect_ns(timeout_ns: int) -> int:
    """How long an attempt may take to connect: half of its time at most, and 10 s.

    A time of its own, because a connection that was never made was certainly not used, while an
    attempt that ends by its total time is uncertain. In steps, as each step is a client.
    """
    half_ns = timeout_ns // 2
    for step_ns in _CONNECT_NS:
        if step_ns <= half_ns:
            return step_ns
    return _CONNECT_NS[-1]


class Held(Generic[Client]):
    """A client and who uses it. Count `in_flight` up before a request and `release` after it."""

    __slots__ = ("client", "in_flight", "line", "retired", "used_at")

    def __init__(self, line: Line, client: Client) -> None:
        """Hold a client that nobody uses yet."""
        self.line = line
        self.client = client
        self.in_flight = 0
        self.used_at = 0
        self.retired = False


class Clients(Generic[Client]):
    """Keeps at most 256 clients; the one unused for longest makes room."""

    def __init__(
        self,
        make: Callable[[Line], Client],
        close: Callable[[Client], Awaitable[None]],
        limit: int = MAX_CLIENTS,
    ) -> None:
        """`make` runs on a thread, `close` on the loop."""
        self._make, self._close, self._limit = make, close, limit
        self._held: dict[Line, Held[Client]] = {}
        self._making: dict[Line, asyncio.Task[Held[Client]]] = {}
        self._retired: set[Held[Client]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, line: Line) -> Held[Client] | None:
        """The client of a line, or `None`: then `made` makes it."""
        return self._held.get(line)

    async def made(self, line: Line, now: int) -> Held[Client]:
        """Wait for a line's client. Those who ask for one line share one making."""
        making = self._making.get(line)
        if making is None:
            making = asyncio.create_task(self._add(line, now))
            self._making[line] = making
            making.add_done_callback(lambda _: self._making.pop(line, None))
        return await asyncio.shield(making)

    def release(self, held: Held[Client]) -> None:
        """A request has ended; a retired client goes with its last one."""
        held.in_flight -= 1
        if held.retired and not held.in_flight:
            self._start_closing(held)

    async def close(self) -> None:
        """Close all of them, those in use included."""
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        for line in list(self._held):
            self._retire(line)
        for held in list(self._retired):
            self._start_closing(held)
        await asyncio.gather(*self._closing)

    async def _add(self, line: Line, now: int) -> Held[Client]:
        held = Held(line, await asyncio.to_thread(self._make, line))
        held.used_at = now
        self._held[line] = held
        self._retire_unused(now, line)
        return held

    def _retire_unused(self, now: int, but: Line) -> None:
        for line, held in list(self._held.items()):
            if now - held.used_at >= IDLE_NS and not held.in_flight and line != but:
                self._retire(line)
        if len(self._held) > self._limit:
            others = (line for line in self._held if line != but)
            self._retire(min(others, key=lambda line: self._held[line].used_at))

    def _retire(self, line: Line) -> None:
        held = self._held.pop(line)
        held.retired = True
        self._retired.add(held)
        if not held.in_flight:
            self._start_closing(held)

    def _start_closing(self, held: Held[Client]) -> None:
        if held not in self._retired:
            return  # `close` came first
        self._retired.remove(held)
        closing = asyncio.create_task(self._closed(held.client))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _closed(self, client: Client) -> None:
        await self._close(client)
