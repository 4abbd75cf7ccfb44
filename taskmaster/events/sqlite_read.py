"""Questions to a log in SQLite: the synchronous twin of the `Reader` port.

Rules of residence: reading only, one short transaction for each question, every answer bounded.
Rows come as one JSON value a statement (see `sqlite_index.py`), events with their bytes embedded
and decoded once.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from eventsourcing.sqlite import SQLiteApplicationRecorder

from taskmaster.errors import StoreUnavailableError
from taskmaster.events.log import (
    BusiestGates,
    Due,
    GateFilter,
    GateRow,
    GateSnapshot,
    OpenAttempt,
    Page,
    Recorded,
    SeriesRow,
    TaskFilter,
    TaskRow,
)
from taskmaster.events.rows import SERIES_STATES, SeriesEntry
from taskmaster.events.sqlite_events import (
    newest_position,
    read_log,
    read_stream,
    read_whole_stream,
)
from taskmaster.events.sqlite_file import LogDatastore, refuse_foreign, refuse_other_versions
from taskmaster.events.sqlite_gate import gate_row, read_gate
from taskmaster.events.sqlite_gates import busiest_gates, due_of, gate_page
from taskmaster.events.sqlite_index import (
    GATE_ROW,
    GATES,
    SERIES,
    SERIES_ROW,
    TASK_ROW,
    TASKS,
    json_object,
    select,
)
from taskmaster.events.sqlite_list import list_tasks, public_row
from taskmaster.events.sqlite_page import next_page
from taskmaster.events.sqlite_ready import first_due
from taskmaster.events.sqlite_rebuild import Difference, check_index, is_index_current
from taskmaster.events.sqlite_schema import EVENTS_TABLE, LOG_TABLES
from taskmaster.events.types import (
    NEW,
    GateName,
    Mono,
    NodeStarted,
    Position,
    SeriesName,
    Stream,
    TaskId,
    Version,
    Wall,
    task_stream,
)

_OPEN = msgspec.json.Decoder(list[OpenAttempt])
_DUES = msgspec.json.Decoder(list[tuple[GateName, Wall]])


class LogRecorder(SQLiteApplicationRecorder):
    """The library's recorder on our tables; its own reading methods work unchanged."""

    datastore: LogDatastore

    def __init__(self, datastore: LogDatastore) -> None:
        """Stand on a datastore whose tables exist."""
        super().__init__(datastore, EVENTS_TABLE)

    def construct_create_table_statements(self) -> list[str]:
        """Our own tables, for the library's `create_table`."""
        return list(LOG_TABLES)


class SQLiteReader(LogRecorder):
    """Answers from committed state on a connection of its own, which cannot write.

    One object, one thread. May be opened on the log of a living server or of a dead one.
    """

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a log for reading, without its lock.

        Raises:
            ForeignFileError: no log there, not ours, damaged, or of a newer version.
            StoreUnavailableError: it cannot be read, or its index is of another version.
        """
        path = Path(path)
        refuse_foreign(path)
        reader = cls(LogDatastore(path, read_only=True))
        try:
            refuse_other_versions(reader.datastore, path)
            with reader.datastore.connection(write=False) as connection:
                _refuse_other_index(connection, path)
        except BaseException:
            reader.close()
            raise
        return reader

    def close(self) -> None:
        """Close the connection."""
        self.datastore.close()

    def __enter__(self) -> Self:
        """Close at the end of a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, whatever happened."""
        self.close()

    @contextmanager
    def _snapshot(self) -> Generator[sqlite3.Connection]:
        """One reading transaction: the statements of one question see one state of the log."""
        with self.datastore.connection(write=False) as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    # --- events

    def task_events(self, task: TaskId) -> tuple[Recorded, ...]:
        """All of a task's stream; empty when there is no such task."""
        with self._snapshot() as connection:
            return read_whole_stream(connection, task_stream(task))

    def stream(
        self, stream: Stream, *, after: Version = NEW, limit: int = 1_000
    ) -> tuple[Recorded, ...]:
        """A stream from after a version on; fewer than `limit` when they are large."""
        with self._snapshot() as connection:
            return read_stream(connection, stream, after=after, limit=limit)

    def events(
        self, *, after: Position, limit: int = 1_000, streams_like: str = ""
    ) -> tuple[Recorded, ...]:
        """The log from after a position on; fewer than `limit` when they are large."""
        with self._snapshot() as connection:
            return read_log(connection, after=after, limit=limit, streams_like=streams_like)

    def position(self) -> Position:
        """The position of the newest event, or 0."""
        with self._snapshot() as connection:
            return newest_position(connection)

    # --- gates

    def page(
        self,
        gate: GateName,
        now: Wall,
        *,
        limit: int,
        aging_ns: int,
        max_bytes: int,
        ahead_ns: int = 0,
        after: str = "",
    ) -> Page:
        """As `Reader.page`."""
        with self._snapshot() as connection:
            return next_page(
                connection,
                gate,
                now,
                Wall(now + ahead_ns),
                limit=limit,
                aging_ns=aging_ns,
                max_bytes=max_bytes,
                after=after,
            )

    def gate_snapshot(self, gate: GateName) -> GateSnapshot:
        """A gate's own stream and its traffic, at one position."""
        with self._snapshot() as connection:
            return read_gate(connection, gate)

    def gate_rows(self, names: Sequence[GateName] = ()) -> tuple[GateRow, ...]:
        """Counters of these gates, or of all, by name."""
        where = f"WHERE name IN ({','.join('?' * len(names))})" if names else ""
        with self._snapshot() as connection:
            source = f"(SELECT * FROM gate {where} ORDER BY name)"
            rows = select(connection, GATES, GATE_ROW, source, names)
        return tuple(gate_row(entry) for entry in rows)

    def open_attempts(self, *, limit: int = 500) -> tuple[OpenAttempt, ...]:
        """Starts without an end, oldest first, over all gates."""
        source = (
            "(SELECT * FROM attempt WHERE position IN ("
            "SELECT position FROM attempt INDEXED BY attempt_open WHERE ended_position IS NULL)"
            " ORDER BY position LIMIT ?)"
        )
        with self._snapshot() as connection:
            return tuple(select(connection, _OPEN, json_object(OpenAttempt), source, (limit,)))

    def next_dues(self) -> dict[GateName, Wall]:
        """For each gate with something waiting that is not held: its earliest due time."""
        source = f"""
            (SELECT name, {first_due("name", "TRUE")} AS due FROM gate WHERE waiting > 0)
            WHERE due IS NOT NULL"""
        with self._snapshot() as connection:
            return dict(select(connection, _DUES, "json_array(name, due)", source))

    def due(self, gates: Sequence[GateName], now: Wall) -> dict[GateName, Due]:
        """What waits at these gates and is due at `now`."""
        with self._snapshot() as connection:
            return due_of(connection, gates, now)

    def gate_page(
        self, match: GateFilter, *, after: str = "", limit: int = 100
    ) -> tuple[GateRow, ...]:
        """Matching gates by name, from after a name on."""
        with self._snapshot() as connection:
            return gate_page(connection, match, after=after, limit=limit)

    def busiest_gates(self, *, limit: int) -> BusiestGates:
        """The busiest `limit` gates, and what all others hold."""
        with self._snapshot() as connection:
            return busiest_gates(connection, limit=limit)

    # --- who wrote it

    def newest_start(self) -> NodeStarted | None:
        """How the newest process opened the log; node ids are ordered by time."""
        with self._snapshot() as connection:
            row = connection.execute(
                "SELECT originator_id FROM stored_events"
                " WHERE originator_id >= 'node-' AND originator_id < 'node.'"
                " ORDER BY originator_id DESC LIMIT 1"
            ).fetchone()
        if row is None:
            return None
        first = self.stream(Stream(row[0]), limit=1)[0].event
        return first if isinstance(first, NodeStarted) else None

    def newest_times(self) -> tuple[Wall, Mono]:
        """The instant of the newest event, and of the newest start; 0 where there is none."""
        position = self.position()
        events = self.events(after=Position(max(0, position - 1)), limit=1)
        with self._snapshot() as connection:
            row = connection.execute(
                "SELECT slot_at FROM attempt ORDER BY position DESC LIMIT 1"
            ).fetchone()
        at = events[0].event.at if events else Wall(0)
        return at, Mono(row[0] if row is not None else 0)

    # --- series and tasks

    def series_row(self, name: SeriesName) -> SeriesRow | None:
        """One series, or None."""
        with self._snapshot() as connection:
            rows = select(connection, SERIES, SERIES_ROW, "series WHERE name = ?", (name,))
        return _series_row(rows[0]) if rows else None

    def series_rows(self, *, after: str = "", limit: int = 100) -> tuple[SeriesRow, ...]:
        """Series by name, from after a name on."""
        source = "(SELECT * FROM series WHERE name > ? ORDER BY name LIMIT ?)"
        with self._snapshot() as connection:
            rows = select(connection, SERIES, SERIES_ROW, source, (after, limit))
        return tuple(_series_row(entry) for entry in rows)

    def task_row(self, task: TaskId) -> TaskRow | None:
        """Where a task stands, or None."""
        with self._snapshot() as connection:
            rows = select(connection, TASKS, TASK_ROW, "task WHERE id = ?", (task,))
        return public_row(rows[0]) if rows else None

    def task_rows(
        self, match: TaskFilter, *, before: Position | None = None, limit: int = 100
    ) -> tuple[TaskRow, ...]:
        """Matching tasks, newest first, from before a number on."""
        with self._snapshot() as connection:
            return list_tasks(connection, match, before=before, limit=limit)

    # --- the index itself

    def check_index(self) -> list[Difference]:
        """Where the stored index is not what the log gives; empty when they agree."""
        with self.datastore.connection(write=False) as connection:
            return check_index(connection)


def _refuse_other_index(connection: sqlite3.Connection, path: Path) -> None:
    if not is_index_current(connection):
        raise StoreUnavailableError(
            f"the index of {path} is not of this version of taskmaster",
            remedy="start the server on it once, which folds the index anew",
        )


def _series_row(entry: SeriesEntry) -> SeriesRow:
    open_task = entry.latest if entry.open else None
    return SeriesRow(entry.name, entry.gate, entry.version, SERIES_STATES[entry.state], open_task)
