"""Who may call: API keys where there are any, this machine alone where there are none.

Rules of residence: decides from a request's headers. Without keys nothing but the address
protects the server, so it must not be reached through a browser either: by a name that leads to
127.0.0.1 (DNS rebinding), or by a page of another site that posts blindly.
"""

from collections.abc import Collection
from ipaddress import ip_address

from taskmaster.api.keys import PREFIX, KeyRing
from taskmaster.api.problems import stop
from taskmaster.errors import InvalidFieldError
from taskmaster.events.types import Mono, Wall

OWN_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
WITHOUT_KEY = frozenset({"/healthz", "/readyz"})
MAX_TOKEN_CHARS = 200
ANONYMOUS = "anonymous"


def is_loopback(host: str) -> bool:
    """Whether a server that listens there can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_open_bind(host: str, keys: KeyRing, field: str = "http.host") -> None:
    """Do not serve beyond this machine without keys; `field` is the setting that says where.

    Raises:
        InvalidFieldError: that was asked for.
    """
    if keys.is_empty and not is_loopback(host):
        raise InvalidFieldError(
            f"{field} is {host}, which others can reach, and there is no API key",
            field=field,
            remedy="make one with `taskmaster key create NAME`, or listen on 127.0.0.1",
        )


class Guard:
    """Lets a request in under a name, or says why not."""

    def __init__(self, keys: KeyRing, names: Collection[str]) -> None:
        """`names` are further hosts under which an open server may be called."""
        self._keys = keys
        self._names = OWN_NAMES | {name.lower() for name in names}

    def author(self, path: str, headers: dict[bytes, bytes], *, now: Wall, mono: Mono) -> str:
        """The author of what the request asks for.

        Raises:
            ProblemError: it may not come in.
        """
        self._keys.look(mono)
        if self._keys.is_empty:
            self._refuse_foreign(headers)
            return ANONYMOUS
        if path in WITHOUT_KEY:
            return ANONYMOUS
        return self._named(headers.get(b"authorization", b"").decode("latin-1"), now)

    def caller(self, authorization: str, *, now: Wall, mono: Mono) -> str:
        """The author of what a call asks for that no browser can make.

        Raises:
            ProblemError: it may not come in.
        """
        self._keys.look(mono)
        return ANONYMOUS if self._keys.is_empty else self._named(authorization, now)

    def _named(self, authorization: str, now: Wall) -> str:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthenticated("no API key is given")
        key = None
        if token.startswith(PREFIX) and len(token) <= MAX_TOKEN_CHARS:
            key = self._keys.find(token, now)
        if key is None:
            raise _unauthenticated("the API key is unknown, revoked or expired")
        return key.name

    def _refuse_foreign(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _without_port(host) not in self._names:
            raise stop(
                "foreign_host",
                f"the host {host[:80]!a} is not served",
                remedy="call the server as localhost, add the name to http.names, or make an API"
                " key",
            )
        origin = headers.get(b"origin")
        if origin is not None:
            of = origin.decode("latin-1").lower().partition("://")[2]
            if of != host:
                raise stop(
                    "foreign_origin",
                    "the request comes from a page of another site",
                    remedy="call the server from its own origin, or make an API key",
                )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _unauthenticated(detail: str) -> Exception:
    return stop(
        "unauthenticated",
        detail,
        remedy="send Authorization: Bearer tm_... (`taskmaster key create` makes one)",
        headers={"WWW-Authenticate": 'Bearer realm="taskmaster"'},
    )
