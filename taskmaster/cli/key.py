"""`key`: API keys, made and taken away in the file beside the store.

Rules of residence: works on the file, without a server; what a key is stands in `api/keys.py`. A
key is printed once, to stdout, and nothing else is.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Group, Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.exits import UsageError
from taskmaster.cli.paint import Column, Paint
from taskmaster.cli.view import VIEW, Shown, View, listing, say, show
from taskmaster.units import SECOND_NS, parse_duration, parse_instant

app = tree.group("key")
PLACE = Group("Where", sort_key=5)
Store = Annotated[str | None, Parameter(name=("--store", "-s"), group=PLACE)]
KeysFile = Annotated[str | None, Parameter(group=PLACE)]
Config = Annotated[Path | None, Parameter(env_var="TASKMASTER_CONFIG", group=PLACE)]


@app.command
def create(
    name: str,
    /,
    *,
    expires: str | None = None,
    store: Store = None,
    keys_file: KeysFile = None,
    config: Config = None,
    view: View = VIEW,
) -> None:
    """Make a key and print it. It cannot be shown again.

    Args:
        name: Whose it is: the author of what is done with it.
        expires: When it ends: an instant, or how far from now (90d).
        store: The store whose key it is.
        keys_file: The file of keys, if it is not beside the store.
        config: A file of settings that says where they are.
    """
    from taskmaster.api.keys import RANDOM_BYTES, create_key
    from taskmaster.events.types import Wall

    now = Wall(time.time_ns())
    path = _path(store, keys_file, config)
    token = create_key(
        path,
        name=name,
        random=os.urandom(RANDOM_BYTES),
        now=now,
        expires_at=None if expires is None else Wall(_instant_ns(expires, now)),
    )
    document = msgspec.json.encode({"name": name, "key": token})
    show(view, Shown(document, lambda _: token, [token]))
    say(f"kept hashed in {path}; send it as TASKMASTER_TOKEN or Authorization: Bearer")


@app.command(name="list")
def list_keys(
    *,
    store: Store = None,
    keys_file: KeysFile = None,
    config: Config = None,
    view: View = VIEW,
) -> None:
    """Names of keys, and when they end.

    Args:
        store: The store whose keys they are.
        keys_file: The file of keys, if it is not beside the store.
        config: A file of settings that says where they are.
    """
    from taskmaster.api.keys import ApiKey
    from taskmaster.api.keys import list_keys as stored

    columns: tuple[Column[ApiKey], ...] = (
        Column("NAME", lambda key, _: key.name),
        Column("CREATED", lambda key, paint: _shown_ns(key.created_at, paint)),
        Column("EXPIRES", lambda key, paint: _shown_ns(key.expires_at, paint)),
    )
    keys = stored(_path(store, keys_file, config))
    items = [
        {
            "name": key.name,
            "created_at": _shown_ns(key.created_at, Paint()),
            "expires_at": None if key.expires_at is None else _shown_ns(key.expires_at, Paint()),
        }
        for key in keys
    ]
    document = msgspec.json.encode({"items": items, "next_page_token": None})
    show(view, Shown(document, listing(view, columns, keys), [key.name for key in keys]))


@app.command
def revoke(
    name: str,
    /,
    *,
    store: Store = None,
    keys_file: KeysFile = None,
    config: Config = None,
    view: View = VIEW,
) -> None:
    """Take a key away. A running server knows within a second.

    Args:
        name: Whose key.
        store: The store whose key it is.
        keys_file: The file of keys, if it is not beside the store.
        config: A file of settings that says where they are.
    """
    from taskmaster.api.keys import revoke_key

    del view
    revoke_key(_path(store, keys_file, config), name)
    say(f"{name} is revoked")


def _path(store: str | None, keys_file: str | None, config: Path | None) -> Path:
    """Where the server of these settings looks for its keys."""
    from taskmaster.api.keys import key_file
    from taskmaster.settings import load

    settings = load({"store": store, "http.keys_file": keys_file}, file=config).settings
    return Path(settings.http.keys_file) if settings.http.keys_file else key_file(settings.store)


def _instant_ns(text: str, now: int) -> int:
    duration_ns = parse_duration(text)
    at = parse_instant(text) if duration_ns is None else now + duration_ns
    if at is None:
        raise UsageError(
            f"--expires is no time ({text})", remedy="write it as 90d or 2027-01-01T00:00:00Z"
        )
    return at


def _shown_ns(at: int | None, paint: Paint) -> str:
    if at is None:
        return "-"
    return paint.instant(datetime.fromtimestamp(at // SECOND_NS, UTC))
