"""The model endpoint as a process of its own, so that nothing in a test delays what it sees.

Run as `python -m tests.faults.harness.endpoint_process RECORD [PORT]`; it prints its port and ends
with its stdin. The path says how to answer: `/20` is 200 after 20 ms, `/20/flaky` the same but 500
to a task's first request. Each line of RECORD is one fact, written when it happens:

    A <mono ns> <request> <task> <attempt> <gate> <idempotency key>   a request has come
    D <mono ns> <request> <status>                                    its answer was written
    L <mono ns> <request>                                             its caller hung up before
    W <mono ns> <late ns>                                             this process itself was late
"""

import asyncio
import os
import sys
import time

HEARTBEAT_S = 0.002
LATE_NS = 5_000_000
"""A heartbeat later than this is recorded: the machine kept even an idle process waiting."""


class Record:
    """The file of facts. One write each, so that a line is whole or not there."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._requests = 0
        self.seen: set[str] = set()

    def number(self) -> int:
        self._requests += 1
        return self._requests

    def write(self, *fields: object) -> None:
        os.write(self._fd, (" ".join(map(str, fields)) + "\n").encode())


class Connection(asyncio.Protocol):
    """One connection: a request at a time, as HTTP/1.1 clients send them."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._buffer = b""
        self._open: dict[int, asyncio.TimerHandle] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._came(now, first.split(" ")[1], headers)

    def _came(self, now: int, path: str, headers: dict[str, str]) -> None:
        record = self._record
        number = record.number()
        task = headers.get("taskmaster-task", "-")
        attempt = headers.get("taskmaster-attempt", "0")
        gate = headers.get("taskmaster-gate", "-")
        record.write("A", now, number, task, attempt, gate, headers.get("idempotency-key", "-"))
        delay_ms, *how = path.strip("/").split("/")
        status = 500 if how == ["flaky"] and task not in record.seen else 200
        record.seen.add(task)
        loop = asyncio.get_running_loop()
        self._open[number] = loop.call_later(int(delay_ms) / 1_000, self._answer, number, status)

    def _answer(self, number: int, status: int) -> None:
        del self._open[number]
        assert self._transport is not None
        reason = b"200 OK" if status == 200 else b"500 Internal Server Error"
        # written down first: an answer that nobody heard of still is one
        self._record.write("D", time.monotonic_ns(), number, status)
        self._transport.write(b"HTTP/1.1 " + reason + b"\r\nContent-Length: 2\r\n\r\nok")

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        for number, timer in self._open.items():
            timer.cancel()
            self._record.write("L", time.monotonic_ns(), number)
        self._open.clear()


async def main(path: str, port: int) -> None:
    record = Record(path)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(record), "127.0.0.1", port, reuse_address=True, backlog=1_024
    )
    ended = asyncio.Event()
    loop.add_reader(0, lambda: None if os.read(0, 1) else ended.set())
    print(server.sockets[0].getsockname()[1], flush=True)
    while not ended.is_set():
        before = time.monotonic_ns()
        await asyncio.sleep(HEARTBEAT_S)
        late = time.monotonic_ns() - before - int(HEARTBEAT_S * 1e9)
        if late > LATE_NS:
            record.write("W", before, late)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
