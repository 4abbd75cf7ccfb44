"""Endpoints on loopback that behave as real ones do when they are well, and when they are not.

Rules of residence: sockets and bytes; nothing here knows a sender.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import trustme
from msgspec import Struct

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Behaviour = Callable[[Reader, Writer], Awaitable[None]]

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Received(Struct, frozen=True):
    """A request as it came."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.headers if key.lower() == name]


async def receive(reader: Reader) -> Received:
    """Read one request to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = tuple((n, v.strip()) for n, _, v in (line.partition(":") for line in head[1:-2]))
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return Received(head[0], headers, await reader.readexactly(length))


def reset(writer: Writer) -> None:
    """End a connection with RST instead of FIN."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Endpoint:
    """One listening socket; counts its connections and keeps what `answering` received."""

    def __init__(self, host: str, port: int, scheme: str) -> None:
        self.host, self.port, self.scheme = host, port, scheme
        self.connections = 0
        self.received: list[Received] = []
        self.hung_up = asyncio.Event()  # a connection was ended by its other side

    @property
    def url(self) -> str:
        """By address; the query must not appear in any error."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/hook?token=secret"

    def url_of(self, name: str) -> str:
        """By a name that the test's resolver knows."""
        return f"{self.scheme}://{name}:{self.port}/hook?token=secret"


@asynccontextmanager
async def listening(
    behaviour: Callable[[Endpoint], Behaviour],
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[Endpoint]:
    """Serve one behaviour on a free port until the end of the block."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: Reader, writer: Writer) -> None:
        endpoint.connections += 1
        task = asyncio.ensure_future(served(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def served(reader: Reader, writer: Writer) -> None:
        try:
            await behaviour(endpoint)(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            endpoint.hung_up.set()
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(host, port, "https" if tls else "http")
    try:
        yield endpoint
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*responses: bytes) -> Callable[[Endpoint], Behaviour]:
    """Answer each request in turn, the last answer for ever, on connections that are kept."""

    def behaviour(endpoint: Endpoint) -> Behaviour:
        async def serve(reader: Reader, writer: Writer) -> None:
            while True:
                endpoint.received.append(await receive(reader))
                turn = min(len(endpoint.received), len(responses)) - 1
                writer.write(responses[turn])
                await writer.drain()

        return serve

    return behaviour


def after_request(then: Behaviour) -> Callable[[Endpoint], Behaviour]:
    """Read one request, then behave."""

    def behaviour(endpoint: Endpoint) -> Behaviour:
        async def serve(reader: Reader, writer: Writer) -> None:
            endpoint.received.append(await receive(reader))
            await then(reader, writer)

        return serve

    return behaviour


def at_once(then: Behaviour) -> Callable[[Endpoint], Behaviour]:
    """Behave without reading anything."""
    return lambda endpoint: then


def writes(response: bytes) -> Behaviour:
    """Write this and hang up."""

    async def then(_: Reader, writer: Writer) -> None:
        writer.write(response)
        await writer.drain()

    return then


def writes_and_resets(response: bytes) -> Behaviour:
    """Write this and reset the connection."""

    async def then(_: Reader, writer: Writer) -> None:
        writer.write(response)
        await writer.drain()
        reset(writer)

    return then


def writes_and_hangs(response: bytes) -> Behaviour:
    """Write this, then nothing, until the other side leaves."""

    async def then(reader: Reader, writer: Writer) -> None:
        writer.write(response)
        await writer.drain()
        while await reader.read(4096):
            pass
        raise ConnectionError("left")

    return then


def repeats(first: bytes, again: bytes, *, pause_s: float = 0) -> Behaviour:
    """Write `first`, then `again` for ever, until the other side leaves."""

    async def then(_: Reader, writer: Writer) -> None:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return then


async def hangs_up(_: Reader, writer: Writer) -> None:
    """End the connection in order."""
    writer.close()


async def resets(_: Reader, writer: Writer) -> None:
    """End the connection with RST."""
    reset(writer)


@asynccontextmanager
async def never_accepting() -> AsyncGenerator[str]:
    """A URL to connect to in vain: the queue of its socket is full."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{address[1]}/hook?token=secret"


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Authority:
    """A certificate authority for the name `hook.test`."""

    NAME = "hook.test"

    def __init__(self) -> None:
        self._ca = trustme.CA()

    @property
    def roots_pem(self) -> bytes:
        """What a sender has to trust."""
        return self._ca.cert_pem.bytes()

    def server(self, name: str = NAME) -> ssl.SSLContext:
        """TLS as it should be, for `name`."""
        return _serving(self._ca.issue_cert(name))

    def expired(self) -> ssl.SSLContext:
        """TLS with a certificate of the past."""
        return _serving(
            self._ca.issue_cert(
                self.NAME,
                not_before=datetime(2019, 1, 1, tzinfo=UTC),
                not_after=datetime(2020, 1, 1, tzinfo=UTC),
            )
        )

    def of_the_past(self) -> ssl.SSLContext:
        """TLS 1.2 with nothing but a cipher that no client of today offers."""
        context = self.server()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA:@SECLEVEL=0")
        return context


def _serving(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - pyOpenSSL's is absent
    return context
