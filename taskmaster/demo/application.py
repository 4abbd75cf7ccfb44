"""A small application that hibernates idle apps and provisions accounts, and is easily overrun.

Rules of residence: a process of its own; knows nothing of TaskMaster. It is metastable on purpose:
cold after a start (a quarter of its capacity until it has warmed up), slower the more is in
flight, and gone for a few seconds when far too much is. What it is asked twice with the same
Idempotency-Key it does once. Work goes on when the caller has left, as it does in real ones.

Run: `python -m taskmaster.demo.application PORT CONTROL_PORT`. While it is down nobody listens on
PORT; the other port is the demonstration's own: `/down`, `/up`, `/counts`, `/record`.
"""

import asyncio
import sys
import time
from collections import defaultdict, deque

import msgspec
import uvloop
from msgspec import Struct

from taskmaster.demo.http1 import Connection, Exchange

SERVICE_S = 0.1
SLOTS = 32
"""Warm capacity is 32 / 0.1 s = 320 requests a second."""
COLD_SHARE = 0.25
WARM_AFTER = 400
"""Completions after a start until the whole capacity is there."""
CONGESTED_AT = 96
CRASHES_AT = 400
AWAY_S = 3.0
BACKLOG = 2_048
BEAT_S = 0.005


class Counts(Struct):
    """How it stands. `lately_in_flight` is the most since somebody last asked, `longest_stall_s`
    how late the process itself once came to look."""

    is_up: bool = True
    in_flight: int = 0
    lately_in_flight: int = 0
    most_in_flight: int = 0
    arrived: int = 0
    arrived_in_last_second: int = 0
    done: int = 0
    crashes: int = 0
    longest_stall_s: float = 0.0


class Record(Struct, frozen=True):
    """Everything that it saw, by idempotency key: when requests came (the machine's monotonic
    clock, in seconds), and how often their work was done."""

    arrivals: dict[str, list[float]]
    done: dict[str, int]


class Application:
    """One application on one port."""

    def __init__(self, port: int) -> None:
        """Warm, and not listening yet."""
        self.counts = Counts()
        self._port = port
        self._arrivals: defaultdict[str, list[float]] = defaultdict(list)
        self._recent: deque[float] = deque()
        self._done: defaultdict[str, int] = defaultdict(int)
        self._listener: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._warm = WARM_AFTER
        self._life = 0
        self._begin()

    def _begin(self) -> None:
        self._free = asyncio.Semaphore(SLOTS)
        self._working: dict[str, asyncio.Task[bool]] = {}

    async def up(self) -> None:
        """Listen; after the first time, cold."""
        if self._listener is None:
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: Connection(self.answer, self._connections),
                "127.0.0.1",
                self._port,
                backlog=BACKLOG,
            )
            self.counts.is_up = True

    def down(self) -> None:
        """Stop listening, drop every connection, forget the work in hand and the warmth."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.abort()
        self.counts.is_up = False
        self.counts.in_flight = 0
        self._life += 1
        self._warm = 0
        self._begin()

    async def _crash(self) -> None:
        self.counts.crashes += 1
        self.down()
        await asyncio.sleep(AWAY_S)
        await self.up()

    async def answer(self, exchange: Exchange) -> bytes | None:
        """The answer to one request; None when it went down under it."""
        counts, life, key, now = self.counts, self._life, exchange.key, time.monotonic()
        self._arrivals[key].append(now)
        self._recent.append(now)
        counts.arrived += 1
        counts.in_flight += 1
        counts.lately_in_flight = max(counts.lately_in_flight, counts.in_flight)
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        if counts.in_flight > CRASHES_AT:
            await self._crash()
            return None
        if key not in self._done:
            if key not in self._working:
                self._working[key] = asyncio.get_running_loop().create_task(self._work(key))
            await self._working[key]
        if life != self._life:
            return None
        counts.in_flight -= 1
        return b"{}"

    async def _work(self, key: str) -> bool:
        life, counts = self._life, self.counts
        async with self._free:
            share = COLD_SHARE + (1 - COLD_SHARE) * min(1.0, self._warm / WARM_AFTER)
            crowd = max(0, counts.in_flight - CONGESTED_AT) / CONGESTED_AT
            await asyncio.sleep(SERVICE_S / share * (1 + crowd * crowd))
        if life != self._life:
            return False
        self._warm += 1
        self._done[key] += 1
        counts.done = len(self._done)
        del self._working[key]
        return True

    async def control(self, exchange: Exchange) -> bytes | None:
        """What the demonstration tells and asks."""
        match exchange.path:
            case "/down":
                self.down()
            case "/up":
                await self.up()
            case "/record":
                return msgspec.json.encode(Record(dict(self._arrivals), dict(self._done)))
            case _:
                pass
        return self._look()

    def _look(self) -> bytes:
        counts = self.counts
        while self._recent and self._recent[0] < time.monotonic() - 1.0:
            self._recent.popleft()
        counts.arrived_in_last_second = len(self._recent)
        shown = msgspec.json.encode(counts)
        counts.lately_in_flight = counts.in_flight
        return shown

    async def watch_itself(self) -> None:
        """Note how long the process is kept from looking: that long arrivals may be bunched."""
        while True:
            at = time.monotonic()
            await asyncio.sleep(BEAT_S)
            late_s = time.monotonic() - at - BEAT_S
            self.counts.longest_stall_s = max(self.counts.longest_stall_s, late_s)


async def main(port: int, control_port: int) -> None:
    """Serve until killed."""
    application = Application(port)
    await application.up()
    await asyncio.get_running_loop().create_server(
        lambda: Connection(application.control, set()), "127.0.0.1", control_port
    )
    await application.watch_itself()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
