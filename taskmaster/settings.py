"""One settings object: defaults, `taskmaster.toml`, `TASKMASTER_SECTION__KEY`, then flags.

Rules of residence: imports `errors` and `units` only. Where each value came from is kept, for
`config show --origin`; an unknown key is an error that names its nearest neighbour. `NAME_FILE`
(in the file `name_file`) reads a value from a file, which is how secrets get in.
"""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from taskmaster.errors import InvalidFieldError
from taskmaster.units import SECOND_NS, parse_duration

PREFIX = "TASKMASTER_"
FILE_NAME = "taskmaster.toml"
PLACES = (Path(), Path("/etc/taskmaster"))
"""Where the file is looked for when none is named; the first one counts."""
MASKED = "***"
DEFAULT = "default"
MAX_GRACE_NS = 3_600 * SECOND_NS
MAX_SECRET_BYTES = 64 * 1024


class Http(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the API is served. `names` are further hosts under which a server without keys may be
    called; `keys_file` is where API keys lie, beside the store if empty."""

    host: str = "127.0.0.1"
    port: int = 8123
    names: tuple[str, ...] = ()
    keys_file: str = ""


class Grpc(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the API is served over gRPC; nowhere without a port. `tls_cert` and `tls_key` are the
    server's, `client_ca` signs those of callers, who need one then: all PEM, from files by
    `tls_cert_file` and so on."""

    host: str = "127.0.0.1"
    port: int | None = None
    tls_cert: str = ""
    tls_key: str = ""
    client_ca: str = ""


class Egress(Struct, frozen=True, forbid_unknown_fields=True):
    """Networks to which requests may go beside the public internet."""

    allow: tuple[str, ...] = ()


class Delivery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which client sends, and how many attempts may be in flight in all gates together."""

    sender: Literal["reqwest", "httpx"] = "reqwest"
    in_flight: int = 512


class Alerts(Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts are sent, beside events and metrics; nowhere if empty."""

    webhook_url: str = ""


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """What the server writes to stderr; `auto` is JSON unless that is a terminal."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Shutdown(Struct, frozen=True, forbid_unknown_fields=True):
    """How long attempts in flight may take to end after SIGTERM."""

    grace: int | float | str = "30s"


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. `signing` holds the signing secret of each gate that has one."""

    store: str = "taskmaster.db"
    http: Http = Http()
    grpc: Grpc = Grpc()
    egress: Egress = Egress()
    delivery: Delivery = Delivery()
    signing: dict[str, str] = {}
    alerts: Alerts = Alerts()
    log: Log = Log()
    shutdown: Shutdown = Shutdown()

    @property
    def grace_ns(self) -> int:
        """`shutdown.grace` in nanoseconds."""
        grace_ns = parse_duration(self.shutdown.grace)
        assert grace_ns is not None, "checked when it was read"
        return grace_ns

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`egress.allow` as networks."""
        return tuple(ip_network(text) for text in self.egress.allow)


class Loaded(Struct, frozen=True):
    """The settings, and where each value came from by its dotted name."""

    settings: Settings
    origins: dict[str, str]


class Shown(Struct, frozen=True):
    """One setting as `config show` prints it."""

    name: str
    value: str
    origin: str


SECTIONS: dict[str, tuple[str, ...]] = {
    "http": Http.__struct_fields__,
    "grpc": Grpc.__struct_fields__,
    "egress": Egress.__struct_fields__,
    "delivery": Delivery.__struct_fields__,
    "alerts": Alerts.__struct_fields__,
    "log": Log.__struct_fields__,
    "shutdown": Shutdown.__struct_fields__,
}
"""Sections with a fixed set of keys; `signing` takes the name of any gate."""
NAMES: tuple[str, ...] = (
    "store",
    *(f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys),
)
LISTS = frozenset({"http.names", "egress.allow"})
PEM = frozenset({"grpc.tls_cert", "grpc.tls_key", "grpc.client_ca"})
"""Too long to show, and one of them a secret."""


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Loaded:
    """The settings of this process. `flags` are by dotted name; None in them is not given.

    Raises:
        InvalidFieldError: a key is unknown, or a value cannot be accepted.
    """
    origins: dict[str, str] = dict.fromkeys(NAMES, DEFAULT)
    values: dict[str, object] = {}
    for found in (
        _from_file(file),
        _from_environ(os.environ if environ is None else environ),
        _from_flags(flags or {}),
    ):
        for name, value, origin in found:
            values[name] = value
            origins[name] = origin
    settings = _converted(values, origins)
    _refuse(settings, origins)
    return Loaded(settings, origins)


def show(loaded: Loaded) -> tuple[Shown, ...]:
    """Every setting with its value and origin, secrets masked."""
    shown: list[Shown] = []
    for name, origin in sorted(loaded.origins.items()):
        value: Any = loaded.settings
        section, _, key = name.partition(".")
        value = getattr(value, section)
        if section == "signing":
            value = MASKED
        elif key:
            value = getattr(value, key)
        if name in PEM and value:
            value = MASKED
        text = ", ".join(value) if name in LISTS else str(value)
        shown.append(Shown(name, _without_password(text), origin))
    return tuple(shown)


def _without_password(text: str) -> str:
    """A store's URL may hold one."""
    scheme, colon, rest = text.partition("://")
    if not colon or "@" not in rest:
        return text
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:{MASKED}@{host}"


# --- where values come from -------------------------------------------------------------------

Found = Iterator[tuple[str, object, str]]


def _from_file(file: Path | None) -> Found:
    """The dotted names of a file. One that is named must be there."""
    paths = (file,) if file is not None else tuple(place / FILE_NAME for place in PLACES)
    for path in paths:
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _bad(
                str(path), f"cannot be read: {error.strerror}", "check its permissions"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise _bad(str(path), f"is no TOML: {error}", "mend it") from error
        yield from _of_document(document, str(path))
        return
    if file is not None:
        raise _bad(str(file), "is not there", "name a file that exists, or leave out --config")


def _of_document(document: dict[str, Any], origin: str) -> Found:
    for key, value in document.items():
        if isinstance(value, dict):
            for name, one in cast("dict[str, object]", value).items():
                yield _known(f"{key}.{name}", one, origin)
        else:
            yield _known(key, value, origin)


def _from_environ(environ: Mapping[str, str]) -> Found:
    """`TASKMASTER_HTTP__PORT` is `http.port`. Other names with our prefix are not ours to judge
    (Kubernetes makes TASKMASTER_PORT for a service), unless they are ours but for an underscore."""
    squeezed = {_squeezed(name): name for name in NAMES}
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        rest = variable.removeprefix(PREFIX)
        section, double, key = rest.partition("__")
        if double:
            name = f"{section.lower()}.{key if section == 'SIGNING' else key.lower()}"
            yield _known(name, value, variable)
        elif rest in ("STORE", "STORE_FILE"):
            yield _known(rest.lower(), value, variable)
        elif _squeezed(rest) in squeezed:
            meant = _variable(squeezed[_squeezed(rest)])
            raise _bad(variable, "is no setting", f"did you mean {meant}")


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "").replace(".", "")


def _variable(name: str) -> str:
    return PREFIX + name.upper().replace(".", "__")


def _from_flags(flags: Mapping[str, object]) -> Found:
    for name, value in flags.items():
        if value is not None:
            section, _, key = name.rpartition(".")
            flag = f"grpc-{key}" if section == "grpc" else key
            yield _known(name, value, "flag --" + flag.replace("_", "-"))


def _known(name: str, value: object, origin: str) -> tuple[str, object, str]:
    """A value under its name, read from a file where `name_file` says so."""
    if name in NAMES:
        return name, _listed(value) if name in LISTS else value, origin
    section, _, key = name.partition(".")
    plain = name.removesuffix("_file").removesuffix("_FILE")
    if plain != name and (plain in NAMES or (section == "signing" and key)):
        if not isinstance(value, str):
            raise _bad(name, "must be a path", "give the path of a file")
        return plain, _content(name, value), f"{origin} ({value})"
    if section == "signing" and key:
        return name, value, origin
    near = get_close_matches(name, [*NAMES, "signing"], n=1)
    shown = f"{name} ({origin})"
    raise _bad(shown, "is no setting", f"did you mean {near[0]}" if near else "see `config show`")


def _listed(value: object) -> object:
    """`10.0.0.0/8, 192.168.0.0/16` as a list."""
    if isinstance(value, str):
        return tuple(one.strip() for one in value.split(",") if one.strip())
    return value


def _content(name: str, path: str) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise _bad(
            name, f"leads to {path}, which cannot be read: {error.strerror}", "check the path"
        ) from error
    if len(content) > MAX_SECRET_BYTES:
        raise _bad(name, f"leads to {path}, which is too large", "name the file of the secret")
    return content.decode("utf-8", "replace").strip()


# --- what they must be ------------------------------------------------------------------------


def _converted(values: dict[str, object], origins: dict[str, str]) -> Settings:
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        if key:
            nested.setdefault(section, {})[key] = value
        else:
            nested[section] = value
    try:
        return msgspec.convert(nested, Settings, strict=False)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`").partition("[")[0]
        if name == "signing":
            what = "Expected `str`"  # the value may be a secret
        raise _bad(
            f"{name} ({origins.get(name, 'signing')})",
            f"cannot be accepted: {what[:1].lower()}{what[1:]}",
            "see the reference of settings",
        ) from None


def _refuse(settings: Settings, origins: dict[str, str]) -> None:
    """The first value that is out of range."""

    def bad(name: str, what: str, remedy: str) -> InvalidFieldError:
        return _bad(f"{name} ({origins[name]})", what, remedy)

    if not settings.store:
        raise bad("store", "is empty", "give the path of a file, such as taskmaster.db")
    if not 0 <= settings.http.port <= 65_535:
        raise bad("http.port", f"must be 0 to 65535 (it is {settings.http.port})", "change it")
    if not settings.http.host:
        raise bad("http.host", "is empty", "give an address, such as 127.0.0.1")
    _refuse_grpc(settings.grpc, bad)
    if not 1 <= settings.delivery.in_flight <= 100_000:
        raise bad(
            "delivery.in_flight",
            f"must be 1 to 100000 (it is {settings.delivery.in_flight})",
            "give the number of attempts that may be open at once, such as 512",
        )
    for text in settings.egress.allow:
        try:
            ip_network(text)
        except ValueError as error:
            raise bad(
                "egress.allow", f"holds {text[:60]!a}: {error}", "give networks such as 10.0.0.0/8"
            ) from None
    grace_ns = parse_duration(settings.shutdown.grace)
    if grace_ns is None or not 0 <= grace_ns <= MAX_GRACE_NS:
        raise bad("shutdown.grace", "must be 0 s to 1 h", 'give a duration, such as "30s"')


def _refuse_grpc(grpc: Grpc, bad: Callable[[str, str, str], InvalidFieldError]) -> None:
    if not 0 <= (grpc.port or 0) <= 65_535:
        raise bad("grpc.port", f"must be 0 to 65535 (it is {grpc.port})", "change it")
    if not grpc.host:
        raise bad("grpc.host", "is empty", "give an address, such as 127.0.0.1")
    if bool(grpc.tls_cert) != bool(grpc.tls_key):
        missing = "grpc.tls_key" if grpc.tls_cert else "grpc.tls_cert"
        raise bad(missing, "is missing", f"give {missing}_file too, or neither of the two")
    if grpc.client_ca and not grpc.tls_cert:
        raise bad("grpc.client_ca", "needs TLS", "give grpc.tls_cert_file and grpc.tls_key_file")


def _bad(name: str, what: str, remedy: str) -> InvalidFieldError:
    return InvalidFieldError(f"{name} {what}", field=name.partition(" ")[0], remedy=remedy)
