"""HTTP/1.1, as much of it as the demonstration's applications need.

Rules of residence: bytes to requests and back; one request at a time on a connection. A server of
the usual kind costs the two cores more than everything that is to be shown.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from msgspec import Struct

HEAD_MAX_BYTES = 65_536


class Exchange(Struct, frozen=True):
    """What of a request matters here."""

    path: str
    key: str


Answer = Callable[[Exchange], Awaitable[bytes | None]]


class Connection(asyncio.Protocol):
    """One connection; `answer` gives the body, or None to drop it."""

    def __init__(self, answer: Answer, among: set["Connection"]) -> None:
        """Serve with `answer`, and stand in `among` while connected."""
        self._answer, self._among = answer, among
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._among.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.discard(self)

    def abort(self) -> None:
        """Reset it."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            if len(self._bytes) > HEAD_MAX_BYTES:
                self.abort()
            return
        lines = self._bytes[:end].decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        whole = end + 4 + int(fields.get("content-length", "0"))
        if len(self._bytes) < whole:
            return
        self._bytes = self._bytes[whole:]
        exchange = Exchange(lines[0].split(" ")[1], fields.get("idempotency-key", ""))
        answering = asyncio.ensure_future(self._answer(exchange))
        answering.add_done_callback(self._answered)

    def _answered(self, answering: "asyncio.Future[bytes | None]") -> None:
        if self._transport.is_closing() or answering.cancelled():
            return
        body = answering.result()
        if body is None:
            self.abort()
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)
