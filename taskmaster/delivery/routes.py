"""From a request to the client that may send it: guard, address, client.

Rules of residence: what every sender does before it sends, whatever its library.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct

from taskmaster.delivery.clients import Clients, Held, Line, connect_ns
from taskmaster.delivery.egress import Egress, Lookup, Target, Unresolved
from taskmaster.delivery.pins import Pins
from taskmaster.delivery.refusal import Refusal
from taskmaster.delivery.sender import Outbound
from taskmaster.events.types import SECOND
from taskmaster.model.retry import Trouble

Client = TypeVar("Client")


class NoRoute(Struct, frozen=True):
    """There is no way to the endpoint: certainly not delivered."""

    outcome: Trouble
    error: str


class Routes(Generic[Client]):
    """Finds the client for a request. `now` is a reading of the monotonic clock."""

    def __init__(
        self,
        egress: Egress,
        make: Callable[[Line], Client],
        close: Callable[[Client], Awaitable[None]],
        lookup: Lookup | None,
    ) -> None:
        """`make` runs on a thread, `close` on the loop; `lookup` replaces the system's resolver."""
        self._egress = egress
        self._pins = Pins(egress.rules, lookup)
        self._clients = Clients(make, close)

    def at_once(self, outbound: Outbound, now: int) -> Held[Client] | None:
        """The client, if nothing has to be awaited for it: the hot path, 1.5 us."""
        target = self._egress.check_url(outbound.url)
        if isinstance(target, Refusal):
            return None
        address = self._pins.address(target, now)
        if address is None:
            return None
        held = self._clients.get(_line(target, address, outbound.timeout_ns))
        if held is not None:
            held.used_at = now
            held.in_flight += 1
        return held

    def is_ready(self, outbound: Outbound, now: int) -> bool:
        """Whether `at_once` has an answer; takes nothing."""
        target = self._egress.check_url(outbound.url)
        if isinstance(target, Refusal):
            return True
        address = self._pins.address(target, now)
        if address is None:
            return False
        return self._clients.get(_line(target, address, outbound.timeout_ns)) is not None

    async def prepare(self, outbound: Outbound, now: int) -> None:
        """See to it that `at_once` has an answer, if there is one."""
        found = await self.found(outbound, now)
        if not isinstance(found, NoRoute):
            self.release(found)

    async def found(self, outbound: Outbound, now: int) -> Held[Client] | NoRoute:
        """The client, after what is missing was resolved and made, within the attempt's time."""
        target = self._egress.check_url(outbound.url)
        if isinstance(target, Refusal):
            return NoRoute("egress", target.message)
        try:
            async with asyncio.timeout(outbound.timeout_ns / SECOND):
                answer = self._pins.address(target, now)
                if answer is None:
                    answer = await self._pins.resolved(target, now)
                if isinstance(answer, Refusal):
                    return NoRoute("egress", answer.message)
                if isinstance(answer, Unresolved):
                    return NoRoute("dns", f"{target.host}: {answer.error}")
                line = _line(target, answer, outbound.timeout_ns)
                held = self._clients.get(line) or await self._clients.made(line, now)
        except TimeoutError:
            return NoRoute("dns", f"{target.host}: not resolved in time")
        held.used_at = now
        held.in_flight += 1
        return held

    def release(self, held: Held[Client]) -> None:
        """The request has ended."""
        self._clients.release(held)

    def give_up(self, held: Held[Client]) -> None:
        """The client could not connect: the next request tries the name's next address."""
        self._pins.give_up(held.line.host, held.line.address)

    async def close(self) -> None:
        """Close every client, those in use included."""
        await self._pins.close()
        await self._clients.close()


def _line(target: Target, address: str, timeout_ns: int) -> Line:
    if target.is_literal:
        return Line("", "", connect_ns(timeout_ns))
    return Line(target.host, address, connect_ns(timeout_ns))
