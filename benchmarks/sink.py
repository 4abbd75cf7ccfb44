"""An endpoint that costs as little as Python allows, and knows when something arrived.

A request to `/due/NANOSECONDS` leaves how much later than that it arrived, by the wall clock.
`/take` answers the count, the first arrival and those figures as int64, and forgets them.
"""

import asyncio
import signal
import sys
import time
from array import array
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
DUE = b"/due/"


class Seen:
    """What arrived since it was last taken."""

    def __init__(self) -> None:
        self.count = 0
        self.first_at = 0
        self.late_ns = array("q")

    def note(self, path: bytes, at: int) -> None:
        if self.count == 0:
            self.first_at = at
        self.count += 1
        if path.startswith(DUE):
            self.late_ns.append(at - int(path[len(DUE) :]))

    def take(self) -> bytes:
        taken = array("q", (self.count, self.first_at)).tobytes() + self.late_ns.tobytes()
        self.count, self.first_at, self.late_ns = 0, 0, array("q")
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(taken), taken)


class Connection(asyncio.Protocol):
    """Requests with a Content-Length or none, pipelined or not."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        at = time.time_ns()
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = self._came[:end].lower()
            length = head.find(b"content-length:")
            body = 0 if length < 0 else int(head[length + 15 :].split(b"\r\n", 1)[0])
            if len(self._came) < end + 4 + body:
                return
            self._came = self._came[end + 4 + body :]
            path = head.split(b" ", 2)[1]
            if path == b"/take":
                self._transport.write(self._seen.take())
            else:
                self._seen.note(path, at)
                self._transport.write(ANSWER)


def serve() -> None:
    """Until SIGTERM."""
    uvloop.run(_serve())


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    seen = Seen()
    server = await loop.create_server(lambda: Connection(seen), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    print(f"listening on http://127.0.0.1:{port}", file=sys.stderr, flush=True)
    await ended.wait()
