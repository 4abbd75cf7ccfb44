"""API keys: made, listed and revoked in a JSON file that never holds one.

Rules of residence: the file and what is true of a key; which request needs one is `auth.py`'s. A
key is `tm_` and 256 random bits, kept as its SHA-256: a slow hash protects weak secrets, and costs
116 ms a request where this costs 0.3 us. Chance and time come in.
"""

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64encode
from pathlib import Path

import msgspec
from msgspec import Struct

from taskmaster.errors import ConflictError, CorruptError, InvalidFieldError, NotFoundError
from taskmaster.events.types import SECOND, Mono, Wall

PREFIX = "tm_"
RANDOM_BYTES = 32
MAX_KEYS = 1_000
LOOK_EVERY_NS = SECOND
"""A key that is made or revoked counts after this at the latest."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


class ApiKey(Struct, frozen=True, omit_defaults=True):
    """A key as it is kept. `expires_at` None: it does not expire."""

    name: str
    sha256: str
    created_at: Wall
    expires_at: Wall | None = None
    scopes: tuple[str, ...] = ()


class _File(Struct, frozen=True):
    keys: tuple[ApiKey, ...] = ()


def key_file(store: str) -> Path:
    """Where the keys of a store lie unless `http.keys_file` says otherwise: beside it."""
    path = Path("taskmaster.db" if "://" in store else store)
    return path.with_name(path.name + ".keys")


def create_key(
    path: Path, *, name: str, random: bytes, now: Wall, expires_at: Wall | None = None
) -> str:
    """Add a key and give it: it is shown once and kept nowhere.

    Raises:
        InvalidFieldError: the name cannot be one, or the key would have expired already.
        ConflictError: there is a key of that name, or there are too many.
    """
    assert len(random) == RANDOM_BYTES, "a key is 256 random bits"
    if not NAME.fullmatch(name):
        raise InvalidFieldError(
            f"{name[:40]!a} is no name for a key",
            field="name",
            remedy="use 1 to 63 letters, digits, dots, dashes, underscores and @",
        )
    if expires_at is not None and expires_at <= now:
        raise InvalidFieldError(
            "the key would have expired already", field="expires", remedy="give a later time"
        )
    keys = list_keys(path)
    if any(key.name == name for key in keys):
        raise ConflictError(
            f"there is a key named {name}", field="name", remedy="revoke it, or choose another name"
        )
    if len(keys) >= MAX_KEYS:
        raise ConflictError(f"there are {MAX_KEYS} keys", remedy="revoke those that nobody uses")
    token = PREFIX + urlsafe_b64encode(random).decode().rstrip("=")
    _write(path, (*keys, ApiKey(name, digest_of(token), now, expires_at)))
    return token


def list_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys, in the order in which they were made; none where there is no file.

    Raises:
        CorruptError: the file is no list of keys.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise CorruptError(
            f"{path} cannot be read: {error.strerror}", remedy="check its owner and permissions"
        ) from error
    try:
        return msgspec.json.decode(content, type=_File).keys
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptError(
            f"{path} is no list of keys", remedy="move it away, and make new keys"
        ) from error


def revoke_key(path: Path, name: str) -> None:
    """Take a key away.

    Raises:
        NotFoundError: there is no key of that name.
    """
    keys = list_keys(path)
    kept = tuple(key for key in keys if key.name != name)
    if len(kept) == len(keys):
        raise NotFoundError(
            f"there is no key named {name[:40]!a}", field="name", remedy="see `key list`"
        )
    _write(path, kept)


def digest_of(token: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _write(path: Path, keys: tuple[ApiKey, ...]) -> None:
    """Replace the file whole: a reader sees the old one or the new one."""
    content = msgspec.json.format(msgspec.json.encode(_File(keys)))
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


class KeyRing:
    """The keys as a server knows them, read again when the file changes."""

    def __init__(self, path: Path | None) -> None:
        """Read `path`; None is a server that never has keys.

        Raises:
            CorruptError: the file is no list of keys.
        """
        self._path = path
        self._keys: tuple[ApiKey, ...] = ()
        self._changed_ns = -1
        self._looked_at = Mono(0)
        self._is_used = False
        if path is not None:
            self._changed_ns = _changed_ns(path)
            self._keys = list_keys(path)
            self._is_used = bool(self._keys)

    def look(self, now: Mono) -> None:
        """Read the file again if it has changed; at most once a second.

        A file that cannot be read keeps the keys that were known: a slip of the pen must neither
        open the server nor lock everybody out.
        """
        if self._path is None or now < self._looked_at + LOOK_EVERY_NS:
            return
        self._looked_at = now
        changed_ns = _changed_ns(self._path)
        if changed_ns == self._changed_ns:
            return
        try:
            self._keys = list_keys(self._path)
        except CorruptError:
            return
        self._changed_ns = changed_ns
        self._is_used = self._is_used or bool(self._keys)

    @property
    def is_empty(self) -> bool:
        """Whether no key was ever seen: then none is needed. Revoking the last one, or losing the
        file, locks the server instead of opening it."""
        return not self._is_used

    def find(self, token: str, now: Wall) -> ApiKey | None:
        """The key that a token is, unless it has expired."""
        digest = digest_of(token)
        found: ApiKey | None = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is None or (found.expires_at is not None and now >= found.expires_at):
            return None
        return found


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
