r"""The egress guard: where a request may go, asked at submission and again by every sender.

A URL is parsed once, by the parser that will connect: others read `http://0x7f.1/` or
`http://evil\@good/` as another host. A name is resolved by `resolve`, **all** its answers must be
allowed, and the sender connects to one of them and to nothing else.

Rules of residence: URLs and names. Which address is allowed is `addresses.py`'s.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable

from msgspec import Struct
from pyreqwest.http import Url

from taskmaster.delivery.addresses import EgressRules, parse_address, refuse_address
from taskmaster.delivery.refusal import Refusal
from taskmaster.events.types import GateName

MAX_URL_LENGTH = 8192
"""Characters as sent. Far below the 65,534 at which the HTTP library gives up."""
MAX_ORIGINS = 4096
"""Origins remembered; at the bound all are forgotten. Learning one again costs 2 us for a
name, 8 to 14 us for an address."""


class Target(Struct, frozen=True, gc=False):
    """Where a URL leads: its origin, taken apart. `host` is lower case ASCII, an IPv6 address
    without brackets; `is_literal` says that it is an address, which was judged already."""

    scheme: str
    host: str
    port: int
    is_literal: bool


class Unresolved(Struct, frozen=True):
    """A name without an answer, in the resolver's words."""

    error: str


Lookup = Callable[[Target], Awaitable[list[str]]]
"""Resolves a name to addresses as text. Raises `OSError` when it cannot."""


class Egress:
    """Decides where requests may go. Not for several threads at once."""

    def __init__(self, rules: EgressRules) -> None:
        """Keep the rules; they are fixed for this object's life."""
        self.rules = rules
        self._origins: dict[str, Target | Refusal] = {}

    def check_url(self, url: str) -> Target | Refusal:
        """Where `url` leads, or why no request may go there. Resolves nothing.

        What it lets pass can be sent: path and query hold nothing that a sender refuses.
        """
        match = _PLAIN.fullmatch(url)
        if match is None or len(url) > MAX_URL_LENGTH:
            return _complaint(url)
        origin = match[1]
        answer = self._origins.get(origin)
        if answer is None:
            if len(self._origins) >= MAX_ORIGINS:
                self._origins.clear()
            answer = self._origins[origin] = self._judge_origin(origin)
        if not url.isascii() and isinstance(answer, Target) and len(str(Url(url))) > MAX_URL_LENGTH:
            return _TOO_LONG  # each byte beyond ASCII is sent as three
        return answer

    def _judge_origin(self, origin: str) -> Target | Refusal:
        try:
            url = Url(origin)
        except ValueError as error:
            return _bad(f"url has a host or port that cannot be read: {error}")
        host, port = url.host_str, url.port_or_known_default
        assert host is not None, "a parsed http URL has one"
        assert port is not None, "http and https have a default"
        if port == 0:
            return _bad("url has port 0")
        if url.domain is None:
            host = host.strip("[]")
            refusal = refuse_address(parse_address(host), self.rules)
            return refusal or Target(url.scheme, host, port, is_literal=True)
        if host.endswith("."):  # else one endpoint had two names, and two gates with full limits
            return Refusal("url", "url has a host that ends in a dot", "leave out that dot")
        if len(host) > _MAX_NAME or not _NAME.fullmatch(host):
            return _bad(f"url has a host that is no name: {host[:80]}")
        return Target(url.scheme, host, port, is_literal=False)


async def resolve(
    target: Target, rules: EgressRules, lookup: Lookup | None = None
) -> tuple[str, ...] | Refusal | Unresolved:
    """The addresses of a name, in the resolver's order, if requests may go to all of them.

    One that may not refuses the name: which of them a request met would be chance. Takes as long
    as the system's resolver; the caller brings the deadline.
    """
    try:
        answers = await (lookup or system_lookup)(target)
    except OSError as error:
        return Unresolved(error.strerror or str(error) or "no answer")
    for answer in answers:
        refusal = refuse_address(parse_address(answer), rules)
        if refusal is not None:
            return refusal
    return tuple(answers) or Unresolved("no address")


async def system_lookup(target: Target) -> list[str]:
    """Ask the system's resolver, on the loop's own threads (four under uvloop)."""
    answers = await asyncio.get_running_loop().getaddrinfo(
        target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def default_gate(target: Target) -> GateName:
    """The gate of a task that names none: its origin (semantics 1).

    `_`, which a host may hold and a gate's name may not, becomes `~5f`.
    """
    host = target.host.replace(":", "-").replace("_", "~5f")
    return GateName(f"{target.scheme}~{host}~{target.port}")


# Whatever is not in here is refused and then explained: whitespace, controls, backslash, userinfo,
# fragment, lone surrogates, anything but `http://` or `https://` at the start.
_PLAIN = re.compile(
    r"(https?://[^/?#@\\\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+)"
    r"(?:[/?][^#\\\s\x00-\x1f\x7f-\x9f\ud800-\udfff]*)?",
    re.IGNORECASE,
)
_MAX_NAME = 253
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")
_START = re.compile(r"https?://[^/?#\\]", re.IGNORECASE)
_AUTHORITY = re.compile(r"https?://([^/?#\\]*)", re.IGNORECASE)
_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _bad(message: str) -> Refusal:
    return Refusal("url", message, "give a URL such as https://example.com/hook")


_TOO_LONG = Refusal(
    "url",
    f"url is longer than {MAX_URL_LENGTH} characters",
    "put what is long into the body",
)


def _complaint(url: str) -> Refusal:
    if len(url) > MAX_URL_LENGTH:
        return _TOO_LONG
    if _UNSEEN.search(url):
        return Refusal(
            "url", "url holds whitespace or a control character", "percent-encode it, as %20"
        )
    if "\\" in url:
        return Refusal("url", "url holds a backslash", "write / or %5C, whichever is meant")
    authority = _AUTHORITY.match(url)
    if authority and "@" in authority[1]:
        return Refusal(
            "url", "url holds a user name or password", "send it in the header Authorization"
        )
    if not _START.match(url):
        return _bad("url does not begin with http:// or https:// and a host")
    return Refusal("url", "url has a fragment", "leave out # and what follows; it is never sent")
