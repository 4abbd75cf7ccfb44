"""Events from a log in SQLite: a stream, the log by position, the streams of many tasks.

Rules of residence: `stored_events` alone. States are embedded into one JSON value a statement and
decoded once; how much is read is bounded by bytes as well as by count.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from taskmaster.errors import UnreadableEventError
from taskmaster.events.codec import CODEC
from taskmaster.events.log import Recorded
from taskmaster.events.types import Position, Stream, Version

T = TypeVar("T")

MAX_BYTES = 16 * 1024 * 1024
"""Most bytes of states in one answer; the first event is always in it."""


class _StoredRow(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    position: Position
    stream: Stream
    version: Version
    topic: str
    state: msgspec.Raw


_ROWS = msgspec.json.Decoder(list[_StoredRow])
_SIZES = msgspec.json.Decoder(list[int])
_SIZED_STREAMS = msgspec.json.Decoder(list[tuple[Stream, int]])

_COLUMNS = "position, originator_id, originator_version, topic, state"
# Not json_array: the state is JSON already and need not be parsed to be embedded.
_EMBEDDED = """'[' || position || ',' || json_quote(originator_id) || ',' || originator_version
    || ',' || json_quote(topic) || ',' || CAST(state AS TEXT) || ']'"""


def select(
    connection: sqlite3.Connection,
    decoder: "msgspec.json.Decoder[list[T]]",
    row: str,
    source: str,
    params: Sequence[object] | Mapping[str, object] = (),
) -> list[T]:
    """Rows of one statement, handed over by SQLite as one value. `row` is the JSON of one row,
    `source` what follows FROM."""
    sql = f"SELECT json_group_array({row}) FROM {source}"
    return decoder.decode(connection.execute(sql, params).fetchone()[0])


def newest_position(connection: sqlite3.Connection) -> Position:
    """The position of the newest event, or 0."""
    row = connection.execute("SELECT max(position) FROM stored_events").fetchone()
    return Position(row[0] or 0)


def read_stream(
    connection: sqlite3.Connection, stream: Stream, *, after: Version, limit: int
) -> tuple[Recorded, ...]:
    """A stream from after a version on."""
    return _bounded(
        connection,
        "stored_events WHERE originator_id = ? AND originator_version > ?"
        " ORDER BY originator_version LIMIT ?",
        (stream, after),
        limit,
    )


def read_log(
    connection: sqlite3.Connection, *, after: Position, limit: int, streams_like: str = ""
) -> tuple[Recorded, ...]:
    """The log from after a position on; `streams_like` is a prefix of streams.

    Tasks are most of a log, so they are met by walking it; any other prefix is looked up, and
    what has it is sorted (a plus keeps SQLite from using a column's index).
    """
    params: tuple[object, ...] = (after, streams_like, streams_like + "\U0010ffff")
    if not streams_like:
        where, params = "position > ?", (after,)
    elif "task-".startswith(streams_like):
        where = "position > ? AND +originator_id >= ? AND +originator_id < ?"
    else:
        where = "+position > ? AND originator_id >= ? AND originator_id < ?"
    return _bounded(
        connection, f"stored_events WHERE {where} ORDER BY position LIMIT ?", params, limit
    )


def stream_sizes(connection: sqlite3.Connection, streams: Sequence[Stream]) -> dict[Stream, int]:
    """Bytes of all states of each stream; reads headers of rows, not the states."""
    marks = ",".join("?" * len(streams))
    source = f"""(SELECT originator_id, sum(length(state)) AS size FROM stored_events
        WHERE originator_id IN ({marks}) GROUP BY originator_id)"""
    row = "json_array(originator_id, size)"
    return dict(select(connection, _SIZED_STREAMS, row, source, streams))


def read_streams(
    connection: sqlite3.Connection, streams: Sequence[Stream]
) -> dict[Stream, list[Recorded]]:
    """The whole of several streams, each oldest first."""
    found: dict[Stream, list[Recorded]] = {stream: [] for stream in streams}
    marks = ",".join("?" * len(streams))
    source = f"""stored_events WHERE originator_id IN ({marks})
        ORDER BY originator_id, originator_version"""
    for recorded in _read(connection, source, streams):
        found[recorded.stream].append(recorded)
    return found


def _bounded(
    connection: sqlite3.Connection, source: str, params: Sequence[object], limit: int
) -> tuple[Recorded, ...]:
    sizes = select(
        connection,
        _SIZES,
        "size",
        f"(SELECT length(state) AS size FROM {source})",
        (*params, limit),
    )
    count, total = 0, 0
    for size in sizes:
        total += size
        if count and total > MAX_BYTES:
            break
        count += 1
    return tuple(_read(connection, source, (*params, count))) if count else ()


def _read(
    connection: sqlite3.Connection, source: str, params: Sequence[object]
) -> Iterable[Recorded]:
    sql = f"""SELECT CAST('[' || group_concat({_EMBEDDED}) || ']' AS BLOB)
        FROM (SELECT {_COLUMNS} FROM {source})"""
    joined = connection.execute(sql, params).fetchone()[0]
    if joined is None:
        return ()
    try:
        rows = _ROWS.decode(joined)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _name_unreadable(connection, source, params)
        raise UnreadableEventError(f"events do not decode: {error}") from error
    return [
        Recorded(
            row.position,
            row.stream,
            row.version,
            CODEC.decode(row.topic, row.state, stream=row.stream, position=row.position),
        )
        for row in rows
    ]


def _name_unreadable(connection: sqlite3.Connection, source: str, params: Sequence[object]) -> None:
    """Decode one by one, so that the error says which event it is."""
    for position, stream, _, topic, state in connection.execute(
        f"SELECT {_COLUMNS} FROM {source}", params
    ):
        CODEC.decode(topic, bytes(state), stream=stream, position=position)
