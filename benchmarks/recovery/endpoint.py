"""The endpoint as a process with sockets: `python -m benchmarks.recovery.endpoint KIND SEED`.

Requests come to the first port, and the story's own to the second: `/down`, `/up`, `/record`.
While it is down nobody listens on the first. It says `listening on URL CONTROL_URL` on stderr.
"""

import asyncio
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from random import Random
from typing import cast

import msgspec
import uvloop

from benchmarks.recovery.measured import Look, Record
from benchmarks.recovery.metastable import (
    METASTABLE,
    RESET,
    SLOW,
    THROTTLED,
    THROTTLING,
    Character,
    Metastable,
    Request,
)

KINDS: dict[str, Character] = {"metastable": METASTABLE, "slow": SLOW, "throttling": THROTTLING}
LOOK_S = 0.25
BACKLOG = 4_096
RETRY_AFTER_S = 1
KEY = b"\r\nidempotency-key:"
LENGTH = b"\r\ncontent-length:"

Take = Callable[[bytes, bytes, "Connection"], None]


class Connection(asyncio.Protocol):
    """HTTP/1.1, as much as is needed; one request at a time. `take` gets path and key."""

    def __init__(self, take: Take, among: "set[Connection]") -> None:
        self._take, self._among = take, among
        self._came = b""
        self.waits: Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._among.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.discard(self)
        if self.waits is not None:
            self.waits.is_left = True

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = self._came[:end]
            whole = end + 4 + int(_field(head, LENGTH) or 0)
            if len(self._came) < whole:
                return
            self._came = self._came[whole:]
            self._take(head.split(b" ", 2)[1], _field(head, KEY), self)

    def answer(self, status: int, body: bytes = b"{}") -> None:
        """Answer the request, or drop the connection."""
        self.waits = None
        if self._transport.is_closing():
            return
        if status == RESET:
            self._transport.abort()
            return
        more = f"Retry-After: {RETRY_AFTER_S}\r\n" if status == THROTTLED else ""
        head = f"HTTP/1.1 {status} -\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _field(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(name)
    return b"" if at < 0 else head[at + len(name) :].split(b"\r\n", 1)[0].strip()


class Endpoint:
    """The model behind a listener."""

    def __init__(self, kind: str, seed: int) -> None:
        self._model = Metastable(KINDS[kind], Random(seed))
        self._model.changed = self._listen_or_not
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._looks: deque[Look] = deque()
        self._crashes_at: list[int] = []
        self._opening: asyncio.Task[None] | None = None
        self.port = 0

    async def listen(self) -> None:
        """Take requests, on the same port each time."""
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._arrive, self._connections),
            "127.0.0.1",
            self.port,
            backlog=BACKLOG,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def _listen_or_not(self) -> None:
        if self._model.is_up:
            self._opening = asyncio.get_running_loop().create_task(self.listen())
            return
        if len(self._crashes_at) < self._model.crashes:
            self._crashes_at.append(time.time_ns())
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.answer(RESET)

    def _arrive(self, _path: bytes, key: bytes, connection: Connection) -> None:
        if not self._model.is_up:
            connection.answer(RESET)
            return
        connection.waits = Request(key.decode(), connection.answer)
        self._model.arrive(connection.waits)

    def control(self, path: bytes, _key: bytes, connection: Connection) -> None:
        body = b"{}"
        match path:
            case b"/down":
                self._model.down()
            case b"/up":
                self._model.up()
            case b"/record":
                model = self._model
                looks = list(self._looks)
                record = Record(looks, self._crashes_at, model.done, model.wasted)
                body = msgspec.json.encode(record)
            case _:
                pass
        connection.answer(200, body)

    async def look(self) -> None:
        """Note how it stands, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            model = self._model
            self._looks.append(Look(time.time_ns(), model.take_most(), model.is_up))


async def main(kind: str, seed: int) -> None:
    """Serve until killed."""
    endpoint = Endpoint(kind, seed)
    await endpoint.listen()
    control = await asyncio.get_running_loop().create_server(
        lambda: Connection(endpoint.control, set()), "127.0.0.1", 0, family=socket.AF_INET
    )
    port = control.sockets[0].getsockname()[1]
    said = f"listening on http://127.0.0.1:{endpoint.port} http://127.0.0.1:{port}"
    print(said, file=sys.stderr, flush=True)
    await endpoint.look()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
