"""The sender that is used by default: pyreqwest, which is hyper and rustls on a thread of its own.

The library is pinned to a minor version, because what an error means is read from the texts of its
causes (`outcome_of`); its classes mislead: a reset after the request was sent is a `ConnectError`.

Cancelling does not reach the library's thread, nor does closing a client (0.15.1 lets the request
run on there, unheard): a request ends by its answer or its time and by nothing else.

Rules of residence: pyreqwest is known here alone (its URL parser in `egress.py` too).
"""

from datetime import timedelta
from functools import lru_cache
from time import monotonic_ns

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError
from pyreqwest.response import Response

from taskmaster.delivery.clients import Line
from taskmaster.delivery.egress import Egress, Lookup
from taskmaster.delivery.routes import NoRoute, Routes
from taskmaster.delivery.sender import CAPTURED_BYTES, MAX_ERROR_LENGTH, USER_AGENT, Outbound
from taskmaster.model.retry import Answer, Responded, Trouble, Unanswered

IDLE_CONNECTION = timedelta(seconds=4)
"""Below the 5 s after which uvicorn, by default, hangs up. An endpoint that does so sooner is
noticed too, except when its end and our request cross on the way: that attempt is uncertain."""
MAX_IDLE_CONNECTIONS = 512
"""For each origin; as many as a node has in flight."""


class ReqwestSender:
    """A `Sender` over pyreqwest. Belongs to the loop that it is first used on."""

    def __init__(
        self, egress: Egress, *, roots_pem: bytes = b"", lookup: Lookup | None = None
    ) -> None:
        """Trust `roots_pem` beside the system's authorities; resolve by `lookup` if given."""
        self._roots_pem = roots_pem
        self._routes: Routes[Client] = Routes(egress, self._make, _close, lookup)

    async def send(self, outbound: Outbound) -> Answer:
        """Send once; see `Sender`."""
        began = monotonic_ns()
        remaining_ns = outbound.timeout_ns
        held = self._routes.at_once(outbound, began)
        if held is None:
            found = await self._routes.found(outbound, began)
            if isinstance(found, NoRoute):
                return Unanswered(found.outcome, monotonic_ns() - began, found.error)
            held = found
            remaining_ns -= monotonic_ns() - began
        try:
            return await _responded(held.client, outbound, began, remaining_ns)
        except RequestError as error:
            outcome = outcome_of(error)
            if outcome in {"refused", "connect_timeout"}:
                self._routes.give_up(held)
            return Unanswered(outcome, monotonic_ns() - began, _words(error))
        finally:
            self._routes.release(held)

    def is_ready(self, outbound: Outbound) -> bool:
        """See `Sender`."""
        return self._routes.is_ready(outbound, monotonic_ns())

    async def prepare(self, outbound: Outbound) -> None:
        """See `Sender`."""
        await self._routes.prepare(outbound, monotonic_ns())

    async def close(self) -> None:
        """Answer all that wait and close every client."""
        await self._routes.close()

    def _make(self, line: Line) -> Client:
        """A client that goes to one place and adds nothing: most of this is on by default."""
        builder = (
            ClientBuilder()
            .follow_redirects(False)
            .referer(False)
            .no_proxy()  # else HTTP_PROXY of the environment leads around the guard
            .gzip(False)
            .brotli(False)
            .deflate(False)
            .zstd(False)
            .user_agent(USER_AGENT)
            .connect_timeout(timedelta(microseconds=line.connect_ns // 1000))
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        )
        if self._roots_pem:
            builder = builder.add_root_certificate_pem(self._roots_pem)
        if line.host:
            builder = builder.resolve(line.host, line.address, 0)  # 0: the port of the URL
        return builder.build()


def outcome_of(error: RequestError) -> Trouble:
    """What an error means, by its causes: nothing was sent only if one says `Connect`.

    The texts are those of pyreqwest 0.15 and what it is built of; `tests/suites/sender.py` has a
    real socket for each.
    """
    causes = " / ".join(_causes(error))
    in_time = "operation timed out" not in causes and "deadline has elapsed" not in causes
    if "client error (Connect)" not in causes:
        return "reset" if in_time else "timeout"
    if "invalid peer certificate" in causes:
        return "certificate"
    if "dns error" in causes:
        return "dns"
    if not in_time or "Connection timed out" in causes:  # the latter is the kernel's own time
        return "connect_timeout"
    return "refused" if "tcp connect error" in causes else "tls"


async def _responded(
    client: Client, outbound: Outbound, began: int, remaining_ns: int
) -> Responded:
    headers = outbound.headers
    if not outbound.body and outbound.method in _WITH_BODY:
        headers = (*headers, ("Content-Length", "0"))  # hyper leaves it out, servers answer 411
    # The time is the library's own and covers the body, slow drips included. `asyncio.timeout`
    # instead costs 1.22 times the CPU (median of 30 interleaved pairs, quartiles 1.14 to 1.29).
    request = (
        client.request(outbound.method, outbound.url)
        .headers(headers)
        .timeout(_duration(remaining_ns))
    )
    if outbound.body:
        request = request.body_bytes(outbound.body)
    async with request.build_streamed() as response:
        # Leaving while there is more to read closes the connection.
        body = bytes(await response.body_reader.read(CAPTURED_BYTES + 1) or b"")
        return Responded(
            response.status,
            monotonic_ns() - began,
            None if response.status < _NOT_SUCCESS else _retry_after(response),
            body[:CAPTURED_BYTES],
            len(body) > CAPTURED_BYTES,
        )


def _retry_after(response: Response) -> str | None:
    try:
        return response.get_header("retry-after")
    except ValueError:  # it is no text
        return None


@lru_cache(maxsize=1024)
def _duration(ns: int) -> timedelta:
    return timedelta(microseconds=max(1, ns // 1000))


def _causes(error: RequestError) -> list[str]:
    return [cause["message"] for cause in error.details["causes"] or ()]


def _words(error: RequestError) -> str:
    """The causes in one line, without the one that holds the URL with its query."""
    causes = [cause for cause in _causes(error) if " for url (" not in cause]
    return ": ".join(causes or [error.message])[:MAX_ERROR_LENGTH].replace("\n", " ")


async def _close(client: Client) -> None:
    await client.close()


_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_NOT_SUCCESS = 300
