"""The index's statements and the events' reads on one connection to PostgreSQL.

Rules of residence: how PostgreSQL runs what `database.py` asks for; no table of the index is
named here. A batch is one statement a table, with one array for each column: its text is the same
for every size, so each is prepared once.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from msgspec import Struct
from psycopg.rows import TupleRow

from taskmaster.events.codec import CODEC
from taskmaster.events.database import NONE, Params, Values
from taskmaster.events.index_schema import TABLES, Kind, Table
from taskmaster.events.log import Recorded
from taskmaster.events.postgres_connection import Address, Connection
from taskmaster.events.postgres_schema import create_index, first_position
from taskmaster.events.types import Position, Stream, Version

S = TypeVar("S", bound=Struct)

MAX_BYTES = 16 * 1024 * 1024
"""Most bytes of states in one answer; the first event is always in it."""
STATEMENTS = 500

_COLUMNS = "notification_id, originator_id, originator_version, topic, state"


class PostgresDatabase:
    """`Database` on one connection, for one shard."""

    def __init__(self, connection: Connection, shard: int, address: Address) -> None:
        """Stand on a connection in autocommit mode, made to `address`."""
        self.connection = connection
        self._shard = shard
        self._address = address

    def _rows(self, sql: str, params: Params = NONE) -> list[TupleRow]:
        return self.connection.execute(_sql(sql), _values(params)).fetchall()

    # --- events

    def newest_position(self) -> Position:
        """As `EventReads.newest_position`."""
        position = self.one("SELECT position FROM shard WHERE shard = :s", {"s": self._shard})
        return Position(position if position > first_position(self._shard) else 0)

    def read_stream(self, stream: Stream, *, after: Version, limit: int) -> tuple[Recorded, ...]:
        """As `EventReads.read_stream`."""
        return self._bounded(
            "originator_id = :stream AND originator_version > :after",
            "originator_version",
            {"stream": stream, "after": after, "limit": limit},
        )

    def read_log(
        self, *, after: Position, limit: int, streams_like: str = ""
    ) -> tuple[Recorded, ...]:
        """As `EventReads.read_log`."""
        where = "shard = :shard AND notification_id > :after"
        if streams_like:
            where += " AND originator_id >= :low AND originator_id < :high"
        params = {
            "shard": self._shard,
            "after": after,
            "limit": limit,
            "low": streams_like,
            "high": streams_like + "\U0010ffff",
        }
        return self._bounded(where, "notification_id", params)

    def stream_sizes(self, streams: Sequence[Stream]) -> dict[Stream, int]:
        """As `EventReads.stream_sizes`; reads headers of rows, not the states."""
        rows = self._rows(
            """SELECT originator_id, sum(octet_length(state))::bigint FROM stored_events
                WHERE originator_id IN (SELECT value FROM each(:streams))
                GROUP BY originator_id""",
            {"streams": streams},
        )
        return {Stream(stream): size for stream, size in rows}

    def read_streams(self, streams: Sequence[Stream]) -> dict[Stream, list[Recorded]]:
        """As `EventReads.read_streams`."""
        found: dict[Stream, list[Recorded]] = {stream: [] for stream in streams}
        rows = self._rows(
            f"""SELECT {_COLUMNS} FROM stored_events
                WHERE originator_id IN (SELECT value FROM each(:streams))
                ORDER BY originator_id, originator_version""",
            {"streams": streams},
        )
        for recorded in _decoded(rows):
            found[recorded.stream].append(recorded)
        return found

    def _bounded(self, where: str, order: str, params: Params) -> tuple[Recorded, ...]:
        rows = self._rows(
            f"""SELECT {_COLUMNS} FROM (
                SELECT {_COLUMNS}, sum(octet_length(state)) OVER upto AS total,
                    row_number() OVER upto AS place
                FROM (SELECT {_COLUMNS} FROM stored_events WHERE {where}
                    ORDER BY {order} LIMIT :limit) AS found
                WINDOW upto AS (ORDER BY {order})) AS bounded
                WHERE total <= {MAX_BYTES} OR place = 1 ORDER BY {order}""",
            params,
        )
        return tuple(_decoded(rows))

    # --- rows

    def select(self, row: type[S], source: str, params: Params = NONE) -> list[S]:
        """As `Database.select`."""
        rows = self._rows(f"SELECT {', '.join(row.__struct_fields__)} FROM {source}", params)
        return [row(*values) for values in rows]

    def column(self, name: str, source: str, params: Params = NONE) -> list[Any]:
        """As `Database.column`."""
        return [values[0] for values in self._rows(f"SELECT {name} FROM {source}", params)]

    def one(self, sql: str, params: Params = NONE) -> Any:
        """As `Database.one`."""
        row = self.connection.execute(_sql(sql), _values(params)).fetchone()
        return None if row is None else row[0]

    def matching(
        self, row: type[S], before: str, kinds: Sequence[Kind], rows: Values, after: str
    ) -> list[S]:
        """As `Database.matching`."""
        columns = ", ".join(row.__struct_fields__)
        sql = _around(f"SELECT {columns} FROM {before}", tuple(kinds), after)
        found = self.connection.execute(sql, _arrays(kinds, rows)).fetchall()
        return [row(*values) for values in found]

    def best_of(self, inner: str) -> str:
        """As `Database.best_of`."""
        return f"CROSS JOIN LATERAL (SELECT * FROM task {inner}) AS task"

    def put(self, before: str, kinds: Sequence[Kind], rows: Values, after: str) -> None:
        """As `Database.put`."""
        self.connection.execute(_around(before, tuple(kinds), after), _arrays(kinds, rows))

    def do(self, sql: str, params: Params = NONE) -> None:
        """As `Database.do`."""
        self.connection.execute(_sql(sql), _values(params))

    def begin(self) -> None:
        """As `Database.begin`."""
        self.connection.execute("BEGIN")

    def commit(self) -> None:
        """As `Database.commit`."""
        self.connection.execute("COMMIT")

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """As `Database.snapshot`."""
        self.begin_snapshot()
        try:
            yield
        finally:
            self.roll_back()

    def begin_snapshot(self) -> None:
        """Begin a transaction that reads one state."""
        self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def roll_back(self) -> None:
        """End a transaction, unless the connection went with it."""
        if not self.connection.closed:
            self.connection.execute("ROLLBACK")

    # --- whole tables

    def new_index(self) -> None:
        """As `Database.new_index`."""
        for table in TABLES:
            self.connection.execute(f"DROP TABLE IF EXISTS {table.name}".encode())
        for statement in create_index():
            self.connection.execute(statement.encode())

    @contextmanager
    def scratch(self) -> "Generator[PostgresDatabase]":
        """As `Database.scratch`, in temporary tables of another session, which it finds before
        those of the log."""
        with self._address.connect() as connection:
            for statement in create_index("TEMPORARY"):
                connection.execute(statement.encode())
            yield PostgresDatabase(connection, self._shard, self._address)

    def rows(self, table: Table) -> Iterator[tuple[object, ...]]:
        """As `Database.rows`."""
        sql = f"SELECT * FROM {table.name} ORDER BY 1, 2, 3".encode()
        with self.connection.cursor("whole", withhold=True) as cursor:
            yield from cursor.execute(sql)


def _decoded(rows: Iterable[TupleRow]) -> Iterator[Recorded]:
    for position, stream, version, topic, state in rows:
        event = CODEC.decode(topic, state, stream=stream, position=position)
        yield Recorded(position, stream, version, event)


@lru_cache(maxsize=STATEMENTS)
def _sql(text: str) -> bytes:
    """The shared SQL as the driver wants it."""
    text = re.sub(r" INDEXED BY \w+", "", text).replace("%", "%%")
    text = re.sub(
        r"each\(:(\w+)\)( AS (\w+))?",
        lambda found: f"unnest(%({found[1]})s::text[]) AS {found[3] or found[1]}(value)",
        text,
    )
    return re.sub(r"(?<![:\w]):(\w+)", r"%(\1)s", text).encode()


def _values(params: Params) -> Mapping[str, object]:
    return {name: _asked(value) for name, value in params.items()}


def _asked(value: Any) -> object:
    """A parameter as the driver takes it. A text here cannot hold NUL; a question that does must
    find nothing, so it asks for another character that no name or key holds."""
    match value:
        case str():
            return value.replace("\x00", "\x01")
        case list() | tuple():
            return [_asked(one) for one in value]  # pyright: ignore[reportUnknownVariableType]  # texts
        case _:
            return value


@lru_cache(maxsize=STATEMENTS)
def _around(before: str, kinds: tuple[Kind, ...], after: str) -> bytes:
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    names = ", ".join(f"column{place}" for place in range(1, len(kinds) + 1))
    return f"{before} SELECT * FROM unnest({arrays}) AS v({names}) {after}".encode()


def _arrays(kinds: Sequence[Kind], rows: Values) -> list[str]:
    """One array literal for each column. The driver's own list dumper takes one call an element:
    several times the cost of the whole commit."""
    columns = zip(*rows, strict=True)
    return [_LITERALS[kind](column) for kind, column in zip(kinds, columns, strict=True)]


def _plain(column: Sequence[object]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in column]) + "}"


def _quoted(column: Sequence[Any]) -> str:
    texts = [
        "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for text in column
    ]
    return "{" + ",".join(texts) + "}"


def _hex(column: Sequence[Any]) -> str:
    return '{"' + '","'.join([f"\\\\x{state.hex()}" for state in column]) + '"}'


_LITERALS = {"bigint": _plain, "boolean": _plain, "text": _quoted, "bytea": _hex}
