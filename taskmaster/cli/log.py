"""`log`: the events, from a server or straight from a file.

Rules of residence: a file is only read, beside a server or without one. Both come in the same
form, that of the API.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Group, Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.paint import Paint, printable
from taskmaster.cli.view import VIEW, View

if TYPE_CHECKING:
    from taskmaster.client import Client, Entry
    from taskmaster.events.reader import LogReader

app = tree.group("log")
WHICH = Group("Which events", sort_key=1)
After = Annotated[int | None, Parameter(group=WHICH)]
Stream = Annotated[str, Parameter(group=WHICH)]
Store = Annotated[str | None, Parameter(name=("--store", "-s"), group=WHICH)]
Types = Annotated[tuple[str, ...], Parameter(name="--type", group=WHICH, consume_multiple=False)]
PAGE = 500
LAST = 10
"""How many events `tail` of a file shows before those to come, as tail does."""
LOOK_EVERY_S = 0.2


@app.command
def show(
    *,
    after: After = None,
    stream: Stream = "",
    type_: Types = (),
    store: Store = None,
    limit: Annotated[int, Parameter(name=("--limit", "-n"), show_default=True)] = 100,
    view: View = VIEW,
) -> None:
    """Events in the order in which they were stored.

    Args:
        after: Only events after this position.
        stream: Only this stream, as task-ID or gate-NAME; task- for all tasks.
        type_: Only events of this type, as TaskDied; may be given several times.
        store: Read this file instead of asking a server.
        limit: At most so many; 0 for all.
    """
    with _source(store, view) as pages:
        shown = 0
        for entry in pages(after or 0, stream):
            if type_ and entry["type"] not in type_:
                continue
            _tell(entry, view)
            shown += 1
            if limit and shown >= limit:
                return


@app.command
def tail(
    *,
    after: After = None,
    stream: Stream = "",
    type_: Types = (),
    store: Store = None,
    view: View = VIEW,
) -> None:
    """Events as they are stored, until interrupted.

    Args:
        after: Begin after this position instead of with what comes now.
        stream: Only this stream, as task-ID or gate-NAME; task- for all tasks.
        type_: Only events of this type, as TaskDied; may be given several times.
        store: Read this file instead of asking a server; begins ten events before its end.
    """
    entries = _followed(store, after, stream) if store else _streamed(view, after, stream)
    for entry in entries:
        if not type_ or entry["type"] in type_:
            _tell(entry, view, flush=True)


Json = dict[str, object]
Pages = Callable[[int, str], Iterator[Json]]


def _source(store: str | None, view: View) -> "AbstractContextManager[Pages]":
    return _FileSource(store) if store else _ServerSource(view)


class _ServerSource(AbstractContextManager[Pages]):
    """Pages of a server's log."""

    def __init__(self, view: View) -> None:
        from taskmaster.cli.connect import connect

        self._client = connect(view)

    def __enter__(self) -> Pages:
        return self._entries

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _entries(self, after: int, stream: str) -> Iterator[Json]:
        return _paged(self._client, after, stream)


def _paged(client: "Client", after: int, stream: str) -> Iterator[Json]:
    from taskmaster.client import calls

    token: str | None = ""
    while token is not None:
        call = calls.read_log(after=after, stream=stream, limit=PAGE, page_token=token)
        page = msgspec.json.decode(client.answer(call).body, type=_Page)
        yield from page.items
        token = page.next_page_token


class _Page(msgspec.Struct):
    items: list[Json]
    next_page_token: str | None = None


class _FileSource(AbstractContextManager[Pages]):
    """Pages of a log's file."""

    def __init__(self, store: str) -> None:
        self._reader = _open(store)

    def __enter__(self) -> Pages:
        return self._entries

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def _entries(self, after: int, stream: str) -> Iterator[Json]:
        while page := _read(self._reader, after, stream):
            yield from page
            after = _position(page[-1])


def _followed(store: str, after: int | None, stream: str) -> Iterator[Json]:
    with _open(store) as reader:
        at = max(0, reader.position() - LAST) if after is None else after
        while True:
            page = _read(reader, at, stream)
            yield from page
            if page:
                at = _position(page[-1])
            else:
                time.sleep(LOOK_EVERY_S)


def _streamed(view: View, after: int | None, stream: str) -> Iterator[Json]:
    from taskmaster.cli.connect import STREAM_PATIENCE_S, connect

    with connect(view, patience_s=STREAM_PATIENCE_S) as client:
        for entry in client.follow(after=after, stream=stream):
            yield _object(entry)


def _open(store: str) -> "LogReader":
    from taskmaster.events.store import open_reader

    return open_reader(store)


def _read(reader: "LogReader", after: int, stream: str) -> list[Json]:
    from taskmaster.api.history import shown_event
    from taskmaster.events.types import Position

    found = reader.events(after=Position(after), limit=PAGE, streams_like=stream)
    shown = [shown_event(record, with_stream=True) for record in found]
    return msgspec.json.decode(msgspec.json.encode(shown), type=list[Json])


def _position(entry: Json) -> int:
    return msgspec.convert(entry["position"], int)


def _object(entry: "Entry") -> Json:
    head = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "fields"}
    return {**msgspec.to_builtins(head), **entry.fields}


def _tell(entry: Json, view: View, *, flush: bool = False) -> None:
    """One event. A list without end is lines in every form; `json` is lines too."""
    match view.output:
        case "json" | "ndjson":
            text = msgspec.json.encode(entry).decode()
        case "yaml":
            text = "---\n" + msgspec.yaml.encode(entry).decode().rstrip("\n")
        case "name":
            text = str(entry["type"])
        case "table" | "wide":
            text = _line(entry, view.paint(), is_wide=view.output == "wide")
    print(text, flush=flush)


def _line(entry: Json, paint: Paint, *, is_wide: bool) -> str:
    from taskmaster.cli.columns import what
    from taskmaster.client.calls import entry as typed

    of = typed(entry)
    text = (
        f"{of.position:>8}  {paint.instant(of.at, exact=True)}  {of.type:<18}"
        f"  {of.stream}  {printable(what(of))}"
    )
    return text if paint.width is None or is_wide else text[: paint.width]
