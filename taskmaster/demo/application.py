"""A small application that hibernates idle apps and provisions accounts, and is easily overrun.

Rules of residence: a process of its own; knows nothing of TaskMaster. It is metastable on purpose:
cold after a start (a quarter of its capacity until it has warmed up), slower the more is in
flight, and gone for a few seconds when far too much is. Work goes on when the caller has left.

Run: `python -m taskmaster.demo.application PORT`. `POST /_down`, `POST /_up` and `GET /_seen` are
the demonstration's own.
"""

import asyncio
import sys
from collections import Counter
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

SERVICE_S = 0.1
SLOTS = 32
"""Nominal capacity is 32 / 0.1 s = 320 requests a second."""
COLD_SHARE = 0.25
WARM_AFTER = 400
"""Completions after a start until the whole capacity is there."""
CONGESTED_AT = 96
CRASHES_AT = 400
AWAY_S = 3.0


class Seen(Struct):
    """What the application has seen. `done` counts completions by idempotency key, `arrivals`
    are seconds of the machine's monotonic clock."""

    in_flight: int = 0
    most_in_flight: int = 0
    crashes: int = 0
    completed: int = 0
    is_up: bool = True
    done: dict[str, int] = {}
    arrivals: list[float] = []


class Application:
    """One application on one port."""

    def __init__(self) -> None:
        """Warm and up."""
        self.seen = Seen(done={}, arrivals=[])
        self._done: Counter[str] = Counter()
        self._warm = WARM_AFTER
        self._free = asyncio.Semaphore(SLOTS)
        self._life = 0
        self._down_by_hand = False

    def down(self) -> None:
        """Go down until told to come back."""
        self._down_by_hand = True
        self._end()

    def up(self) -> None:
        """Come back, cold."""
        self._down_by_hand = False
        self._begin()

    def _end(self) -> None:
        self._life += 1
        self.seen.is_up = False
        self.seen.in_flight = 0

    def _begin(self) -> None:
        self._life += 1
        self._warm = 0
        self._free = asyncio.Semaphore(SLOTS)
        self.seen.is_up = True

    def _crash(self) -> None:
        self.seen.crashes += 1
        self._end()
        asyncio.get_running_loop().call_later(AWAY_S, self._come_back)

    def _come_back(self) -> None:
        if not self._down_by_hand:
            self._begin()

    async def work(self, key: str) -> bool:
        """Do what one request asks for; False when the application went down under it."""
        seen, life = self.seen, self._life
        seen.arrivals.append(asyncio.get_running_loop().time())
        seen.in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
        if seen.in_flight > CRASHES_AT:
            self._crash()
            return False
        async with self._free:
            share = COLD_SHARE + (1 - COLD_SHARE) * min(1.0, self._warm / WARM_AFTER)
            crowd = max(0, seen.in_flight - CONGESTED_AT) / CONGESTED_AT
            await asyncio.sleep(SERVICE_S / share * (1 + crowd * crowd))
        if life != self._life:
            return False
        seen.in_flight -= 1
        seen.completed += 1
        self._warm += 1
        self._done[key] += 1
        return True

    def report(self) -> bytes:
        """What was seen, as JSON."""
        self.seen.done = dict(self._done)
        return msgspec.json.encode(self.seen)


class _Connection(asyncio.Protocol):
    """HTTP/1.1, as much of it as the demonstration needs."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            head = self._bytes[:end].decode("latin-1")
            fields = dict(
                line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
            )
            size = int(fields.get("content-length", "0"))
            if len(self._bytes) < end + 4 + size:
                return
            self._bytes = self._bytes[end + 4 + size :]
            self._received(head.split(" ", 2)[1], fields.get("idempotency-key", ""))

    def _received(self, path: str, key: str) -> None:
        application = self._application
        match path:
            case "/_down":
                application.down()
                self._answer(200)
            case "/_up":
                application.up()
                self._answer(200)
            case "/_seen":
                self._answer(200, application.report())
            case _ if not application.seen.is_up:
                self._transport.abort()
            case _:
                task = asyncio.get_running_loop().create_task(application.work(key))
                task.add_done_callback(self._worked)

    def _worked(self, task: "asyncio.Task[bool]") -> None:
        if task.cancelled() or not task.result():
            self._transport.abort()
        else:
            self._answer(200)

    def _answer(self, status: int, body: bytes = b"{}") -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


async def main(port: int) -> None:
    """Serve until killed; says `ready` on stdout."""
    application = Application()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(application), "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
