"""The index's statements on one connection to SQLite.

Rules of residence: how SQLite runs what `database.py` asks for; no table is named here.

One statement for each table and batch, for reading as for writing: between two steps of SQLite
another thread takes the interpreter's lock, and getting it back may cost the switch interval. 200
rows under contention: 16 ms fetched row by row, 1 ms as one row of JSON.
"""

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache, lru_cache
from itertools import chain
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from taskmaster.events.database import NONE, Params, Values
from taskmaster.events.index_schema import TABLES, Kind, Table
from taskmaster.events.log import Recorded
from taskmaster.events.sqlite_events import (
    newest_position,
    read_log,
    read_stream,
    read_streams,
    select,
    stream_sizes,
)
from taskmaster.events.sqlite_file import STATEMENTS
from taskmaster.events.sqlite_schema import INDEX_TABLES
from taskmaster.events.types import Position, Stream, Version

MAX_VARIABLES = 32_000  # SQLite's own default bound is 32,766 for each statement

S = TypeVar("S", bound=Struct)

_COLUMN = msgspec.json.Decoder(list[Any])
_encoder = msgspec.json.Encoder()


class SQLiteDatabase:
    """`Database` on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Stand on a connection in autocommit mode."""
        self.connection = connection

    # --- events

    def newest_position(self) -> Position:
        """As `EventReads.newest_position`."""
        return newest_position(self.connection)

    def read_stream(self, stream: Stream, *, after: Version, limit: int) -> tuple[Recorded, ...]:
        """As `EventReads.read_stream`."""
        return read_stream(self.connection, stream, after=after, limit=limit)

    def read_log(
        self, *, after: Position, limit: int, streams_like: str = ""
    ) -> tuple[Recorded, ...]:
        """As `EventReads.read_log`."""
        return read_log(self.connection, after=after, limit=limit, streams_like=streams_like)

    def stream_sizes(self, streams: Sequence[Stream]) -> dict[Stream, int]:
        """As `EventReads.stream_sizes`."""
        return stream_sizes(self.connection, streams)

    def read_streams(self, streams: Sequence[Stream]) -> dict[Stream, list[Recorded]]:
        """As `EventReads.read_streams`."""
        return read_streams(self.connection, streams)

    # --- rows

    def select(self, row: type[S], source: str, params: Params = NONE) -> list[S]:
        """As `Database.select`."""
        decoder, columns = _shape(row)
        rows: list[S] = select(self.connection, decoder, columns, _sql(source), _values(params))
        return rows

    def column(self, name: str, source: str, params: Params = NONE) -> list[Any]:
        """As `Database.column`."""
        return select(self.connection, _COLUMN, name, _sql(source), _values(params))

    def one(self, sql: str, params: Params = NONE) -> Any:
        """As `Database.one`."""
        row = self.connection.execute(_sql(sql), _values(params)).fetchone()
        return None if row is None else row[0]

    def matching(
        self, row: type[S], before: str, kinds: Sequence[Kind], rows: Values, after: str
    ) -> list[S]:
        """As `Database.matching`."""
        decoder, columns = _shape(row)
        found: list[S] = []
        for source, flat in _around(before, len(kinds), rows, after):
            found += select(self.connection, decoder, columns, source, flat)
        return found

    def best_of(self, inner: str) -> str:
        """As `Database.best_of`. CROSS JOIN keeps the planner to this order."""
        return f"CROSS JOIN task ON number IN (SELECT number FROM task {inner})"

    def put(self, before: str, kinds: Sequence[Kind], rows: Values, after: str) -> None:
        """As `Database.put`."""
        for statement, flat in _around(before, len(kinds), rows, after):
            self.connection.execute(statement, flat)

    def do(self, sql: str, params: Params = NONE) -> None:
        """As `Database.do`."""
        self.connection.execute(_sql(sql), _values(params))

    def begin(self) -> None:
        """As `Database.begin`."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """As `Database.commit`."""
        self.connection.execute("COMMIT")

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """As `Database.snapshot`."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    # --- whole tables

    def new_index(self) -> None:
        """As `Database.new_index`."""
        for table in TABLES:
            self.connection.execute(f"DROP TABLE IF EXISTS {table.name}")
        for statement in INDEX_TABLES:
            self.connection.execute(statement)

    @contextmanager
    def scratch(self) -> "Generator[SQLiteDatabase]":
        """As `Database.scratch`, in a temporary file of SQLite's own."""
        with closing(sqlite3.connect("", isolation_level=None)) as connection:
            folded = SQLiteDatabase(connection)
            folded.new_index()
            yield folded

    def rows(self, table: Table) -> Iterator[tuple[object, ...]]:
        """As `Database.rows`."""
        for row in self.connection.execute(f"SELECT * FROM {table.name} ORDER BY 1, 2, 3"):
            yield tuple(row)


@cache
def _shape(row: type[Struct]) -> "tuple[msgspec.json.Decoder[list[Any]], str]":
    """How rows are decoded, and SQL for the JSON of one."""
    fields = row.__struct_fields__
    decoder = msgspec.json.Decoder(list[row], strict=False)  # SQLite's booleans are 0 and 1
    if row.__struct_config__.array_like:
        return decoder, f"json_array({', '.join(fields)})"
    pairs = ", ".join(f"'{name}', {name}" for name in fields)
    return decoder, f"json_object({pairs})"


@lru_cache(maxsize=STATEMENTS)
def _sql(text: str) -> str:
    return text.replace("each(:", "json_each(:")


def _values(params: Params) -> Mapping[str, object]:
    """Parameters as SQLite takes them: a list is one JSON value."""
    return {
        name: _encoder.encode(value).decode() if isinstance(value, list | tuple) else value
        for name, value in params.items()
    }


def _around(
    before: str, width: int, rows: Values, after: str
) -> Iterable[tuple[str, list[object]]]:
    """Statements around `VALUES (...), ...`; more than one only beyond the bound of variables.

    Rows of NULL, which must match nothing, fill it up to a power of two or three quarters of one,
    so that a few prepared statements serve batches of every size: preparing one costs as much as
    running it, and a row of NULL nearly as much as another (2.8 us of 3.7 at ten columns).
    """
    most = MAX_VARIABLES // width
    for start in range(0, len(rows), most):
        chunk = rows[start : start + most]
        count = min(most, _padded(len(chunk)))
        flat = list(chain.from_iterable(chunk))
        flat += [None] * (count * width - len(flat))
        yield _around_values(before, count, width, after), flat


@lru_cache(maxsize=STATEMENTS)
def _around_values(before: str, count: int, width: int, after: str) -> str:
    values = ",".join([f"({','.join('?' * width)})"] * count)
    return f"{before} VALUES {values}{after}"


def _padded(count: int) -> int:
    """The first power of two, or three quarters of one, that is not below `count`."""
    power = 1 << (count - 1).bit_length()
    return power * 3 // 4 if count * 4 <= power * 3 else power
