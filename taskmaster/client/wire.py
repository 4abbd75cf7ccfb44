"""Where the server is and how httpx reaches it: what both clients share of the world.

Rules of residence: the one place that knows httpx's errors and settings. No loop, no waiting.
Loopback goes direct; elsewhere the proxies of the environment hold, as for any other client.
"""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

import httpx
from msgspec import Struct

from taskmaster.client.calls import Answer, Call
from taskmaster.client.outcome import PATIENCE_S, Lost
from taskmaster.errors import InvalidFieldError

DEFAULT_URL: Final = "http://127.0.0.1:8123"
TIMEOUT_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 5.0
_REMEDY = f"give it as {DEFAULT_URL} or https://taskmaster.example"


class Server(Struct, frozen=True):
    """Where to send calls, and as whom. `timeout_s` bounds one try, `patience_s` all waits."""

    url: str = DEFAULT_URL
    token: str = ""
    timeout_s: float = TIMEOUT_S
    patience_s: float = PATIENCE_S

    def __repr__(self) -> str:
        """Without the token."""
        return f"Server({self.url!r})"


def server(url: str | None, token: str | None, *, timeout_s: float, patience_s: float) -> Server:
    """What is not given comes from TASKMASTER_URL and TASKMASTER_TOKEN."""
    url = url or os.environ.get("TASKMASTER_URL") or DEFAULT_URL
    token = os.environ.get("TASKMASTER_TOKEN", "") if token is None else token
    return Server(url.rstrip("/"), token.strip(), timeout_s, patience_s)


def settings(to: Server) -> dict[str, Any]:
    """The arguments for httpx's clients.

    Raises:
        InvalidFieldError: the URL or the token cannot be used.
    """
    try:
        url = httpx.URL(to.url)
    except httpx.InvalidURL as error:
        raise InvalidFieldError(
            f"the server's URL cannot be read ({error})", field="url", remedy=_REMEDY
        ) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidFieldError(
            f"the server's URL is not one of http or https ({to.url})", field="url", remedy=_REMEDY
        )
    if not (to.token.isascii() and to.token.isprintable()):
        raise InvalidFieldError(
            "the token has characters that cannot be sent",
            field="token",
            remedy="set TASKMASTER_TOKEN to the key as it was printed",
        )
    headers = {"user-agent": "taskmaster-client"}
    if to.token:
        headers["authorization"] = f"Bearer {to.token}"
    return {
        "base_url": url,
        "headers": headers,
        "timeout": httpx.Timeout(to.timeout_s, connect=CONNECT_TIMEOUT_S),
        "trust_env": not _is_loopback(url.host),
        # Without TLS the certificates need not be read, which takes 20 ms.
        "verify": url.scheme == "https",
    }


def request(call: Call[Any]) -> dict[str, Any]:
    """The arguments for a client's `request`, `build_request` and `stream`."""
    return {
        "method": call.method,
        "url": call.path,
        "params": list(call.query) or None,
        "headers": call.headers,
        "content": call.body or None,
    }


def lost(error: httpx.HTTPError) -> Lost:
    """What an error of httpx says: whether the request may have arrived, and why no answer."""
    sent = not isinstance(
        error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
    )
    why = str(error) or type(error).__name__
    return Lost(sent, _IN_WORDS.get(type(error), why))


def answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """An answer of httpx as the core's."""
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)


_IN_WORDS: dict[type[httpx.HTTPError], str] = {
    httpx.ConnectTimeout: f"no connection within {CONNECT_TIMEOUT_S:.0f} s",
    httpx.ReadTimeout: "connected, but nothing came back in time",
    httpx.WriteTimeout: "connected, but the request could not be sent in time",
    httpx.RemoteProtocolError: "the connection was closed before the answer",
    httpx.ReadError: "the connection was reset before the answer",
}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
