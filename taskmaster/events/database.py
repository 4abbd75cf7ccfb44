"""What the index asks of a database: one connection, inside a transaction of the caller's.

Rules of residence: the port alone. Statements of the index are written once, in SQL that SQLite
and PostgreSQL both understand, with three conventions that each side renders as its own:
parameters are `:name`; `each(:names)` is a table with the column `value`, made of a list of
texts; `INDEXED BY` tells SQLite's planner what PostgreSQL's statistics tell its own. A value is
an integer, a text or None; a sum is cast to BIGINT, since PostgreSQL's are numeric.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from taskmaster.events.index_schema import Kind, Table
from taskmaster.events.log import Recorded
from taskmaster.events.types import Position, Stream, Version

S = TypeVar("S", bound=Struct)
Values = Sequence[Sequence[object]]
Params = Mapping[str, object]
NONE: Params = {}


class EventReads(Protocol):
    """Events of the log, as one snapshot shows them."""

    def newest_position(self) -> Position:
        """The position of the newest event, or 0."""
        ...

    def read_stream(self, stream: Stream, *, after: Version, limit: int) -> tuple[Recorded, ...]:
        """A stream from after a version on; fewer than `limit` when they are large."""
        ...

    def read_log(
        self, *, after: Position, limit: int, streams_like: str = ""
    ) -> tuple[Recorded, ...]:
        """The log from after a position on; fewer than `limit` when they are large."""
        ...

    def stream_sizes(self, streams: Sequence[Stream]) -> dict[Stream, int]:
        """Bytes of all states of each stream."""
        ...

    def read_streams(self, streams: Sequence[Stream]) -> dict[Stream, list[Recorded]]:
        """The whole of several streams, each oldest first."""
        ...


class Database(EventReads, Protocol):
    """Rows of the index, read and written by the statement."""

    def select(self, row: type[S], source: str, params: Params = NONE) -> list[S]:
        """Rows with the fields of `row` for columns; `source` is what follows FROM."""
        ...

    def column(self, name: str, source: str, params: Params = NONE) -> list[Any]:
        """One column of what follows FROM."""
        ...

    def one(self, sql: str, params: Params = NONE) -> Any:
        """The first value of the first row, or None."""
        ...

    def matching(
        self, row: type[S], before: str, kinds: Sequence[Kind], rows: Values, after: str
    ) -> list[S]:
        """As `select`, from what a table of `rows` stands in the midst of, as in `put`."""
        ...

    def best_of(self, inner: str) -> str:
        """For FROM, behind a table: for each of its rows the tasks that `inner` finds, which
        follows `FROM task` and may name the table's columns."""
        ...

    def put(self, before: str, kinds: Sequence[Kind], rows: Values, after: str) -> None:
        """One statement around a table of `rows` with the columns `column1`, `column2` and so on;
        more than one only where a database has bounds. A row of None may be among them."""
        ...

    def do(self, sql: str, params: Params = NONE) -> None:
        """A statement without an answer."""
        ...

    def begin(self) -> None:
        """Begin a transaction that writes."""
        ...

    def commit(self) -> None:
        """End it."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """A transaction whose statements see one state of the log."""
        ...

    # --- whole tables

    def new_index(self) -> None:
        """Drop the tables of the index, and make them empty."""
        ...

    def scratch(self) -> "AbstractContextManager[Database]":
        """An empty index beside the stored one, gone at the end of the block."""
        ...

    def rows(self, table: Table) -> Iterator[tuple[object, ...]]:
        """A whole table, by its first three columns."""
        ...


class _Tail(Struct, frozen=True, array_like=True):
    stream: Stream
    version: Version


_TAILS = """(SELECT value AS stream, coalesce((SELECT max(originator_version) FROM stored_events
    WHERE originator_id = value), 0) AS version FROM each(:streams)) AS tails"""


def read_tails(database: Database, streams: Sequence[Stream]) -> dict[Stream, Version]:
    """The version of each stream, by the log itself."""
    if not streams:
        return {}
    tails = database.select(_Tail, _TAILS, {"streams": streams})
    return {tail.stream: tail.version for tail in tails}


def read_whole_stream(database: EventReads, stream: Stream) -> tuple[Recorded, ...]:
    """All of a stream: whoever folds it needs every event, however many there are."""
    events: list[Recorded] = []
    after = Version(0)
    while chunk := database.read_stream(stream, after=after, limit=1_000):
        events.extend(chunk)
        after = chunk[-1].version
    return tuple(events)
