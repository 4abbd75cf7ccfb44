"""The one address that requests to a name go to, for now.

A name is resolved again every 30 s, beside the requests. The address stays while it is among the
answers, so that connections live; it is given up when it left them, when the guard refuses one of
them, and when it could not be connected to and there is another. A resolver that is down for a
while stops nobody: an old address serves for 5 min.

Rules of residence: names and time, which comes in as a reading of the monotonic clock. Connections
are `clients.py`'s; what is allowed is `egress.py`'s.
"""

import asyncio

from msgspec import Struct

from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Lookup, Target, Unresolved, resolve
from taskmaster.delivery.refusal import Refusal
from taskmaster.events.types import MINUTE, SECOND

FRESH_NS = 30 * SECOND
STALE_NS = 5 * MINUTE
LOOKUP_S = 30.0
"""A look-up that nobody waits for any more ends here; it is never less than an attempt's own."""
MAX_PINS = 4096


class Pin(Struct):
    """Every address that the name had at `resolved_at`; requests go to the one at `chosen`.

    `asked_at` is later while the resolver gives no answer, so that it is asked every 30 s at most.
    """

    addresses: tuple[str, ...]
    resolved_at: int
    asked_at: int
    chosen: int = 0

    @property
    def address(self) -> str:
        """The address in use."""
        return self.addresses[self.chosen]


class Pins:
    """Keeps a pin for each name that is in use; at most 4,096, the oldest go first."""

    def __init__(self, rules: EgressRules, lookup: Lookup | None = None) -> None:
        """Resolve with `lookup`, or the system's resolver."""
        self._rules = rules
        self._lookup = lookup
        self._pins: dict[str, Pin] = {}
        self._lookups: dict[str, asyncio.Task[str | Refusal | Unresolved]] = {}

    def address(self, target: Target, now: int) -> str | None:
        """The address to use without waiting, or `None`: then `resolved` has it."""
        if target.is_literal:
            return target.host
        pin = self._pins.get(target.host)
        if pin is None:
            return None
        if now - pin.asked_at >= FRESH_NS:
            pin.asked_at = now
            self._look_up(target, now)
        return None if now - pin.resolved_at >= STALE_NS else pin.addresses[pin.chosen]

    async def resolved(self, target: Target, now: int) -> str | Refusal | Unresolved:
        """Wait for the name's address. Those who ask for one name share one look-up."""
        lookup = self._look_up(target, now)
        await asyncio.wait([lookup])  # unlike awaiting it, leaving here does not end it
        return Unresolved("the sender is closed") if lookup.cancelled() else lookup.result()

    def give_up(self, host: str, address: str) -> None:
        """`address` could not be connected to: the next request takes the name's next one."""
        pin = self._pins.get(host)
        if pin is not None and pin.address == address:
            pin.chosen = (pin.chosen + 1) % len(pin.addresses)

    async def close(self) -> None:
        """End the look-ups that still run."""
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)

    def _look_up(self, target: Target, now: int) -> "asyncio.Task[str | Refusal | Unresolved]":
        lookup = self._lookups.get(target.host)
        if lookup is None:
            lookup = asyncio.create_task(self._refresh(target, now))
            self._lookups[target.host] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(target.host, None))
        return lookup

    async def _refresh(self, target: Target, now: int) -> str | Refusal | Unresolved:
        try:
            async with asyncio.timeout(LOOKUP_S):
                answer = await resolve(target, self._rules, self._lookup)
        except TimeoutError:
            answer = Unresolved("the resolver did not answer")
        old = self._pins.get(target.host)
        match answer:
            case Refusal():
                self._pins.pop(target.host, None)
                return answer
            case Unresolved():
                if old is None or now - old.resolved_at >= STALE_NS:
                    return answer
                return old.address
            case tuple():
                chosen = 0
                if old is not None and old.address in answer:
                    chosen = answer.index(old.address)
                if len(self._pins) >= MAX_PINS and old is None:
                    del self._pins[next(iter(self._pins))]
                self._pins[target.host] = Pin(answer, now, now, chosen)
                return answer[chosen]
