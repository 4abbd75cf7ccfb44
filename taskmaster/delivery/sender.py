"""The port through which every request to an endpoint leaves.

Rules of residence: what a sender is given and what it promises. Nothing here knows a library, and
whether an attempt may start was decided before (`model/gate.py`).
"""

from typing import Protocol

from msgspec import Struct

from taskmaster.events.types import GateName
from taskmaster.model.retry import Answer

CAPTURED_BYTES = 16 * 1024
"""What is kept of a response's body (semantics 9); the rest is not read."""

MAX_ERROR_LENGTH = 300
"""Of the line that says what went wrong."""
USER_AGENT = "TaskMaster"
"""Of a request whose task brings none of its own."""


class Outbound(Struct, frozen=True, gc=False):
    """One attempt's request, complete: `headers` hold what `headers.py` adds.

    `gate` and its `concurrency` are for a sender that keeps something for each gate. The two real
    ones do not: the gate bounds what is in flight before it sends, and so their connections.
    """

    gate: GateName
    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout_ns: int
    concurrency: int


class Sender(Protocol):
    """Sends requests; one real implementation by default, a second one, and simulated ones."""

    async def send(self, outbound: Outbound) -> Answer:
        """Send once and say what came back, within `timeout_ns` over everything.

        Everything is the name's resolution, the connection, the request and the response's body.
        The world's trouble is an `Unanswered`, never an exception. Nothing is sent twice, no
        redirect is followed. Cancelling comes back at once, but a sender need not be able to
        reach the request any more: until its time is over it may still arrive, and counts as in
        flight.
        """
        ...

    def is_ready(self, outbound: Outbound) -> bool:
        """Whether the way to the endpoint is known, so that a send leaves at once."""
        ...

    async def prepare(self, outbound: Outbound) -> None:
        """Find the way to the endpoint and make what sends there, within the attempt's time.

        A gate with a rate asks for it before it lets a start go: requests that wait for a client
        together would leave together. Trouble is not told here; the send meets it again.
        """
        ...

    async def close(self) -> None:
        """Answer all that wait with trouble and give back every client; no `send` after it."""
        ...
