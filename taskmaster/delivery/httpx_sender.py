"""The second sender, over httpx: for where pyreqwest has no wheel, and as its cross-check.

It keeps the same promises and passes the same suite, at about forty times the CPU (paired with
pyreqwest at 16 in flight: 35 to 52). What was sent is not read from an error but followed while it
happens (`_Progress`).

Rules of residence: httpx is known here alone, within `delivery`.
"""

import asyncio
import logging
import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic_ns

import httpx
from pyreqwest.http import Url

from taskmaster.delivery.clients import Line
from taskmaster.delivery.egress import Egress, Lookup
from taskmaster.delivery.routes import NoRoute, Routes
from taskmaster.delivery.sender import CAPTURED_BYTES, MAX_ERROR_LENGTH, USER_AGENT, Outbound
from taskmaster.events.types import SECOND
from taskmaster.model.retry import Answer, Responded, Trouble, Unanswered

IDLE_CONNECTION_S = 4.0
"""As in `reqwest_sender.py`."""


class HttpxSender:
    """A `Sender` over httpx. Belongs to the loop that it is first used on."""

    def __init__(
        self, egress: Egress, *, roots_pem: bytes = b"", lookup: Lookup | None = None
    ) -> None:
        """Trust `roots_pem` beside the system's authorities; resolve by `lookup` if given."""
        self._tls = ssl.create_default_context()  # 20 ms: one for all clients
        if roots_pem:
            self._tls.load_verify_locations(cadata=roots_pem.decode())
        self._routes: Routes[httpx.AsyncClient] = Routes(egress, self._make, _close, lookup)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each URL with its query

    async def send(self, outbound: Outbound) -> Answer:
        """Send once; see `Sender`."""
        began = monotonic_ns()
        held = self._routes.at_once(outbound, began)
        if held is None:
            found = await self._routes.found(outbound, began)
            if isinstance(found, NoRoute):
                return Unanswered(found.outcome, monotonic_ns() - began, found.error)
            held = found
        remaining_ns = outbound.timeout_ns - (monotonic_ns() - began)
        progress = _Progress()
        try:
            async with asyncio.timeout(remaining_ns / SECOND):
                request = _request(outbound, held.line, progress)
                return await _responded(held.client, request, began)
        except (httpx.TransportError, OSError) as error:
            outcome = outcome_of(error, progress)
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
        """Abort what is in flight and close every client."""
        await self._routes.close()

    def _make(self, line: Line) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._tls,
            trust_env=False,  # else HTTP_PROXY of the environment leads around the guard
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=line.connect_ns / SECOND),
            limits=httpx.Limits(keepalive_expiry=IDLE_CONNECTION_S),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # keeps none
        )


class _Progress:
    """How far a request came. httpx calls it at every step."""

    def __init__(self) -> None:
        self.has_connected = False
        self.has_begun = False  # its first byte may have left

    async def __call__(self, step: str, _: object) -> None:
        if step == "connection.connect_tcp.complete":
            self.has_connected = True
        elif step.endswith(".send_request_headers.started"):
            self.has_begun = True


def outcome_of(error: httpx.TransportError | OSError, progress: _Progress) -> Trouble:
    """What an error means: nothing was sent only if the request had not begun."""
    is_late = isinstance(error, TimeoutError | httpx.TimeoutException)
    if progress.has_begun:
        return "timeout" if is_late else "reset"
    if is_late:
        return "connect_timeout"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "certificate"
        cause = cause.__cause__ or cause.__context__
    return "tls" if progress.has_connected else "refused"


def _request(outbound: Outbound, line: Line, progress: _Progress) -> httpx.Request:
    """The request, led to the pinned address; the name stays in Host, SNI and the TLS check."""
    url = Url(outbound.url)
    extensions: dict[str, object] = {"trace": progress}
    names = {name.lower() for name, _ in outbound.headers}
    headers = [*outbound.headers, *(pair for pair in _DEFAULTS if pair[0].lower() not in names)]
    if line.host:
        headers.append(("Host", url.authority))
        extensions["sni_hostname"] = line.host
        url = url.with_ip_host(line.address)
    return httpx.Request(
        outbound.method,
        str(url),
        headers=headers,
        content=outbound.body,
        extensions=extensions,
    )


async def _responded(client: httpx.AsyncClient, request: httpx.Request, began: int) -> Responded:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > CAPTURED_BYTES:
                break
    finally:
        await response.aclose()  # with more to read, this closes the connection
    waits = response.headers.get_list("retry-after")
    return Responded(
        response.status_code,
        monotonic_ns() - began,
        waits[0] if waits and waits[0].isascii() else None,
        bytes(body[:CAPTURED_BYTES]),
        len(body) > CAPTURED_BYTES,
    )


def _words(error: httpx.TransportError | OSError) -> str:
    text = str(error) or type(error).__name__
    return text[:MAX_ERROR_LENGTH].replace("\n", " ")


async def _close(client: httpx.AsyncClient) -> None:
    await client.aclose()


_DEFAULTS = (("User-Agent", USER_AGENT), ("Accept", "*/*"))
