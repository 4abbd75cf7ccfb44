"""`tree`: the supervision tree of a server, or what befell that of a dead one.

Rules of residence: from paths to indented lines; a file is only read.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import msgspec.structs
from cyclopts import Group, Parameter

from taskmaster.cli.exits import UsageError
from taskmaster.cli.paint import Column, Paint, printable, table
from taskmaster.cli.view import VIEW, Shown, View
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client import Unit
    from taskmaster.events.log import Recorded
    from taskmaster.events.reader import LogReader
    from taskmaster.views.incidents import Run, Summary

WHICH = Group("Which places", sort_key=1)
DEAD = Group("Of a file", sort_key=2)
State = Literal["running", "restarting", "stopped", "quarantined"]
Sort = Literal["path", "restarts", "inbox", "handled", "rate"]
PAGE = 1_000


def tree(
    path: str = "",
    /,
    *,
    state: Annotated[tuple[State, ...], Parameter(group=WHICH, consume_multiple=False)] = (),
    depth: Annotated[int | None, Parameter(group=WHICH)] = None,
    sort: Annotated[Sort, Parameter(group=WHICH)] = "path",
    store: Annotated[str | None, Parameter(name=("--store", "-s"), group=DEAD)] = None,
    at: Annotated[str | None, Parameter(group=DEAD)] = None,
    watch: Watch = ONCE,
    view: View = VIEW,
) -> None:
    """The supervision tree: what runs, how often it was restarted, what it crashed on.

    Args:
        path: Only this place and what is below it, as gates/NAME.
        state: Only in this state; may be given several times.
        depth: Not deeper than so many levels below the top.
        sort: By path, or the most first, as top does.
        store: Read this file, also of a dead server: what crashed in it, when, how often.
        at: Up to this instant of the file, or how long ago (2h).
    """
    if store is not None:
        return look(view, watch, lambda: _of_file(store, path, at))
    if at is not None:
        raise UsageError("--at is about a file", remedy="give --store too")
    from taskmaster.cli.connect import connect, find
    from taskmaster.client import calls

    with connect(view) as client:

        def shown() -> Shown:
            found = find(
                client,
                lambda size, token: calls.tree(
                    below=path, states=state, limit=size, page_token=token
                ),
                limit=0,
            )
            units = [unit for unit in found.rows if depth is None or unit.path.count("/") <= depth]
            if sort != "path":
                units.sort(key=lambda unit: -(getattr(unit, sort) or 0))
            names = [unit.path for unit in units]
            text = _top if sort != "path" else _text
            return Shown(found.document, lambda paint: text(units, paint), names)

        look(view, watch, shown)


def _top(units: "Sequence[Unit]", paint: Paint) -> str:
    return _table(units, paint, lambda unit: unit.path)


def _text(units: "Sequence[Unit]", paint: Paint) -> str:
    paths = {unit.path for unit in units}
    return _table(units, paint, lambda unit: _indented(unit.path, paths))


def _table(units: "Sequence[Unit]", paint: Paint, name: "Callable[[Unit], str]") -> str:
    columns: tuple[Column[Unit], ...] = (
        Column("UNIT", lambda unit, _: name(unit)),
        Column("KIND", lambda unit, _: unit.kind),
        Column("STATE", lambda unit, _: unit.state),
        Column("SINCE", lambda unit, paint: paint.instant(unit.since)),
        Column("RESTARTS", lambda unit, _: str(unit.restarts)),
        Column("INBOX", lambda unit, _: "-" if unit.inbox is None else str(unit.inbox)),
        Column("HANDLED", lambda unit, _: str(unit.handled)),
        Column("RATE", lambda unit, _: f"{unit.rate:.3g}/s"),
        Column("LAST ERROR", lambda unit, _: printable(unit.last_error or "")),
    )
    return table(paint, columns, units)


def _indented(path: str, paths: set[str]) -> str:
    """A place below one that is shown is indented and bears only its own part of the path."""
    parts = path.split("/")
    depth = sum("/".join(parts[:count]) in paths for count in range(1, len(parts)))
    shown = next(
        (count for count in range(len(parts) - 1, 0, -1) if "/".join(parts[:count]) in paths), 0
    )
    return "  " * depth + "/".join(parts[shown:])


# --- of a file --------------------------------------------------------------------------------


def _of_file(store: str, path: str, at: str | None) -> Shown:
    from taskmaster.cli.values import past_ns
    from taskmaster.events.store import open_reader
    from taskmaster.events.types import Wall
    from taskmaster.views.incidents import summaries

    until = None if at is None else Wall(past_ns(at, flag="--at"))
    reader = open_reader(store)
    try:
        runs, places = summaries(_records(reader), until)
    finally:
        reader.close()
    found = [place for place in places if place.path.startswith(path)]
    document = msgspec.json.encode(
        {"runs": [_out(run) for run in runs], "places": [_out(place) for place in found]}
    )
    names = [place.path for place in found]
    return Shown(document, lambda paint: _history(runs, found, paint), names)


def _out(found: "Run | Summary") -> dict[str, object]:
    """Its fields, with instants as everywhere."""
    from taskmaster.delivery.headers import rfc3339
    from taskmaster.events.types import Wall

    fields = msgspec.structs.asdict(found)
    return {
        name: rfc3339(Wall(value)) if name.endswith("_at") and value is not None else value
        for name, value in fields.items()
    }


def _records(reader: "LogReader") -> "Iterator[Recorded]":
    from taskmaster.events.types import Position

    for streams in ("node-", "gate-"):
        after = Position(0)
        while records := reader.events(after=after, limit=PAGE, streams_like=streams):
            yield from records
            after = records[-1].position


def _history(runs: "list[Run]", places: "list[Summary]", paint: Paint) -> str:
    lives: tuple[Column[Run], ...] = (
        Column("NODE", lambda run, _: run.node),
        Column("PID", lambda run, _: str(run.pid)),
        Column("STARTED", lambda run, paint: paint.nanoseconds(run.started_at)),
        Column(
            "ENDED",
            lambda run, paint: (
                paint.nanoseconds(run.stopped_at)
                if run.stopped_at is not None
                else "no good end in the log"
            ),
        ),
    )
    columns: tuple[Column[Summary], ...] = (
        Column("PLACE", lambda place, _: place.path),
        Column("CRASHES", lambda place, _: str(place.crashes)),
        Column("RESTARTS", lambda place, _: str(place.restarts)),
        Column("STATE", lambda place, _: "quarantined" if place.quarantined else ""),
        Column("FIRST", lambda place, paint: paint.nanoseconds(place.first_at)),
        Column("LAST", lambda place, paint: paint.nanoseconds(place.last_at)),
        Column("MESSAGE", lambda place, _: place.last_message),
        Column("LAST ERROR", lambda place, _: printable(place.last_error)),
    )
    crashes = table(paint, columns, places) if places else "nothing crashed"
    return f"{table(paint, lives, runs)}\n\n{crashes}"
