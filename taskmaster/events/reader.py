"""Questions to a log: the synchronous twin of the `Reader` port, the same for every database.

Rules of residence: reading only, one short transaction for each question, every answer bounded.
"""

from abc import abstractmethod
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager

from msgspec import Struct

from taskmaster.events.closing import Closing
from taskmaster.events.database import Database, read_whole_stream
from taskmaster.events.gate_list import ahead_of, busiest_gates, due_of, gate_page
from taskmaster.events.gate_state import gate_row, read_gate
from taskmaster.events.log import (
    Ahead,
    BulkRow,
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
from taskmaster.events.page import next_page
from taskmaster.events.ready import first_due
from taskmaster.events.rebuild import Difference, check_index
from taskmaster.events.rows import SERIES_STATES, BulkEntry, GateEntry, SeriesEntry, TaskEntry
from taskmaster.events.split import WHOLE, Split
from taskmaster.events.task_list import NO_BOUND, list_tasks, public_row
from taskmaster.events.types import (
    NEW,
    BulkId,
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


class _NextDue(Struct, frozen=True, array_like=True):
    name: GateName
    due: Wall


class LogReader(Closing):
    """Answers from committed state. One object, one thread."""

    @abstractmethod
    def _connected(self) -> AbstractContextManager[Database]:
        """The connection, outside of any transaction."""

    @contextmanager
    def _snapshot(self) -> Generator[Database]:
        """One reading transaction: the statements of one question see one state of the log."""
        with self._connected() as database, database.snapshot():
            yield database

    # --- events

    def task_events(self, task: TaskId) -> tuple[Recorded, ...]:
        """All of a task's stream; empty when there is no such task."""
        with self._snapshot() as database:
            return read_whole_stream(database, task_stream(task))

    def stream(
        self, stream: Stream, *, after: Version = NEW, limit: int = 1_000
    ) -> tuple[Recorded, ...]:
        """A stream from after a version on; fewer than `limit` when they are large."""
        with self._snapshot() as database:
            return database.read_stream(stream, after=after, limit=limit)

    def events(
        self, *, after: Position, limit: int = 1_000, streams_like: str = ""
    ) -> tuple[Recorded, ...]:
        """The log from after a position on; fewer than `limit` when they are large."""
        with self._snapshot() as database:
            return database.read_log(after=after, limit=limit, streams_like=streams_like)

    def position(self) -> Position:
        """The position of the newest event, or 0."""
        with self._snapshot() as database:
            return database.newest_position()

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
        split: Split = WHOLE,
    ) -> Page:
        """As `Reader.page`."""
        with self._snapshot() as database:
            return next_page(
                database,
                gate,
                now,
                Wall(now + ahead_ns),
                limit=limit,
                aging_ns=aging_ns,
                max_bytes=max_bytes,
                split=split,
            )

    def gate_snapshot(self, gate: GateName) -> GateSnapshot:
        """A gate's own stream and its traffic, at one position."""
        with self._snapshot() as database:
            return read_gate(database, gate)

    def gate_rows(self, names: Sequence[GateName] = ()) -> tuple[GateRow, ...]:
        """Counters of these gates, or of all, by name."""
        where = "WHERE name IN (SELECT value FROM each(:names))" if names else ""
        source = f"(SELECT * FROM gate {where} ORDER BY name) AS gates"
        with self._snapshot() as database:
            rows = database.select(GateEntry, source, {"names": names})
        return tuple(gate_row(entry) for entry in rows)

    def open_attempts(self, *, limit: int = 500) -> tuple[OpenAttempt, ...]:
        """Starts without an end, oldest first, over all gates."""
        source = """(SELECT * FROM attempt WHERE position IN (
            SELECT position FROM attempt INDEXED BY attempt_open WHERE ended_position IS NULL)
            ORDER BY position LIMIT :limit) AS oldest"""
        with self._snapshot() as database:
            return tuple(database.select(OpenAttempt, source, {"limit": limit}))

    def next_dues(self) -> dict[GateName, Wall]:
        """For each gate with something waiting that is not held: its earliest due time."""
        source = f"""
            (SELECT name, {first_due("name", "TRUE")} AS due FROM gate WHERE waiting > 0) AS dues
            WHERE due IS NOT NULL"""
        with self._snapshot() as database:
            return {row.name: row.due for row in database.select(_NextDue, source)}

    def due(self, gates: Sequence[GateName], now: Wall) -> dict[GateName, Due]:
        """What waits at these gates and is due at `now`."""
        with self._snapshot() as database:
            return due_of(database, gates, now)

    def ahead(self, gate: GateName, now: Wall, *, minutes: int) -> Ahead:
        """What is due at `now` at a gate, and what becomes due in so many minutes after it."""
        with self._snapshot() as database:
            return ahead_of(database, gate, now, minutes=minutes)

    def gate_page(
        self, match: GateFilter, *, after: str = "", limit: int = 100
    ) -> tuple[GateRow, ...]:
        """Matching gates by name, from after a name on."""
        with self._snapshot() as database:
            return gate_page(database, match, after=after, limit=limit)

    def busiest_gates(self, *, limit: int) -> BusiestGates:
        """The busiest `limit` gates, and what all others hold."""
        with self._snapshot() as database:
            return busiest_gates(database, limit=limit)

    # --- who wrote it

    def newest_start(self) -> NodeStarted | None:
        """How the newest process opened the log; node ids are ordered by time."""
        with self._snapshot() as database:
            stream = database.one(
                "SELECT originator_id FROM stored_events"
                " WHERE originator_id >= 'node-' AND originator_id < 'node.'"
                " ORDER BY originator_id DESC LIMIT 1"
            )
        if stream is None:
            return None
        first = self.stream(Stream(stream), limit=1)[0].event
        return first if isinstance(first, NodeStarted) else None

    def newest_times(self) -> tuple[Wall, Mono]:
        """The instant of the newest event, and of the newest start; 0 where there is none."""
        position = self.position()
        events = self.events(after=Position(max(0, position - 1)), limit=1)
        with self._snapshot() as database:
            slot_at = database.one("SELECT slot_at FROM attempt ORDER BY position DESC LIMIT 1")
        return events[0].event.at if events else Wall(0), Mono(slot_at or 0)

    # --- series and tasks

    def series_row(self, name: SeriesName) -> SeriesRow | None:
        """One series, or None."""
        with self._snapshot() as database:
            rows = database.select(SeriesEntry, "series WHERE name = :name", {"name": name})
        return _series_row(rows[0]) if rows else None

    def series_rows(self, *, after: str = "", limit: int = 100) -> tuple[SeriesRow, ...]:
        """Series by name, from after a name on."""
        source = "(SELECT * FROM series WHERE name > :after ORDER BY name LIMIT :limit) AS page"
        with self._snapshot() as database:
            rows = database.select(SeriesEntry, source, {"after": after, "limit": limit})
        return tuple(_series_row(entry) for entry in rows)

    def bulk_row(self, bulk: BulkId) -> BulkRow | None:
        """One bulk, or None."""
        with self._snapshot() as database:
            rows = database.select(BulkEntry, "bulk WHERE id = :bulk", {"bulk": bulk})
        return _bulk_row(rows[0]) if rows else None

    def bulk_rows(
        self, *, before: Position | None = None, limit: int = 100, running: bool = False
    ) -> tuple[BulkRow, ...]:
        """Bulks, or only those that have not ended, newest first, from before a number on."""
        where = "number < :below AND NOT ended" if running else "number < :below"
        source = f"(SELECT * FROM bulk WHERE {where} ORDER BY number DESC LIMIT :limit) AS page"
        below = NO_BOUND if before is None else before
        with self._snapshot() as database:
            rows = database.select(BulkEntry, source, {"below": below, "limit": limit})
        return tuple(_bulk_row(entry) for entry in rows)

    def task_row(self, task: TaskId) -> TaskRow | None:
        """Where a task stands, or None."""
        with self._snapshot() as database:
            rows = database.select(TaskEntry, "task WHERE id = :task", {"task": task})
        return public_row(rows[0]) if rows else None

    def task_rows(
        self, match: TaskFilter, *, before: Position | None = None, limit: int = 100
    ) -> tuple[TaskRow, ...]:
        """Matching tasks, newest first, from before a number on."""
        with self._snapshot() as database:
            return list_tasks(database, match, before=before, limit=limit)

    # --- the index itself

    def check_index(self) -> list[Difference]:
        """Where the stored index is not what the log gives; empty when they agree."""
        with self._connected() as database:
            return check_index(database)


def _bulk_row(entry: BulkEntry) -> BulkRow:
    return BulkRow(entry.id, entry.number, entry.version, entry.ended)


def _series_row(entry: SeriesEntry) -> SeriesRow:
    open_task = entry.latest if entry.open else None
    return SeriesRow(entry.name, entry.gate, entry.version, SERIES_STATES[entry.state], open_task)
