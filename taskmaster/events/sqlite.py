"""The durable log in SQLite: the one writer.

Rules of residence: the transaction of a commit, from BEGIN to COMMIT, and what its failures mean.
Which appends may be stored is decided in `batch.py`, what they change in `index.py`; the file is
`sqlite_file.py`, questions are `sqlite_read.py`. Synchronous; one thread at a time.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteCursor

from taskmaster.errors import OwnershipLostError, StoreUnavailableError
from taskmaster.events.batch import Stored, Verdict, judge
from taskmaster.events.closing import Closing
from taskmaster.events.codec import CODEC, from_stored_event
from taskmaster.events.index import fold
from taskmaster.events.index_tables import IndexTables
from taskmaster.events.log import (
    Append,
    BatchResult,
    NotStored,
    Recorded,
    Unknown,
)
from taskmaster.events.rebuild import Progress, is_index_current, rebuild_index
from taskmaster.events.rows import Changes, TaskEntry
from taskmaster.events.sqlite_database import SQLiteDatabase
from taskmaster.events.sqlite_file import (
    MEMORY,
    SHARD,
    FileLock,
    LogDatastore,
    create_tables,
    make,
    refuse_foreign,
    refuse_other_versions,
    take_ownership,
    turn_to_wal,
)
from taskmaster.events.sqlite_read import LogRecorder, SQLiteReader
from taskmaster.events.sqlite_schema import EVENT_KINDS
from taskmaster.events.types import Epoch, Position, TaskId

NOT_STORED = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)
"""Primary codes by which SQLite says that nothing of a transaction is stored."""
NOT_STORED_YET = NOT_STORED | {sqlite3.SQLITE_IOERR}
"""The same before COMMIT: until its last frame is written, a transaction leaves nothing."""


class SQLiteStore(Closing, LogRecorder):
    """The one writer of a log: appends in batches, each with its part of the index.

    The library's `insert_events` writes to it too, without a check of versions beyond the table's
    own: for restoring logs, not for deciding.
    """

    def __init__(self, datastore: LogDatastore, lock: FileLock | None = None) -> None:
        """Own the log on this datastore; `open` prepares it."""
        super().__init__(datastore)
        self._lock = lock
        self._failed = ""
        with datastore.connection(write=True) as connection:
            self.epoch: Epoch = take_ownership(connection, SHARD)
            self._database = SQLiteDatabase(connection)
        self._tables = IndexTables(self._database)

    @classmethod
    def open(
        cls, path: Path | str, *, create: bool = True, progress: Progress | None = None
    ) -> Self:
        """Open a log for writing and own it until `close`. `:memory:` is a log without a file.

        Folds the index anew, which takes about a minute for two million events, where it is of
        another version or was left half folded; `progress` learns how far it is.

        Raises:
            ForeignFileError: not a log of ours, damaged, of a newer version, or none there.
            StoreUnavailableError: another process has it, or it cannot be written.
        """
        if str(path) == MEMORY:
            datastore = LogDatastore(None)
            with datastore.connection(write=True) as connection:
                create_tables(connection)
            return cls(datastore)
        path = Path(path).resolve()  # one lock, whatever way leads to the file
        if not create or _has_content(path):
            refuse_foreign(path)  # before a lock file is left beside it
        lock = FileLock(path)
        try:
            return cls._open_locked(path, lock, progress)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def _open_locked(cls, path: Path, lock: FileLock, progress: Progress | None) -> Self:
        datastore = LogDatastore(path)
        try:
            if not _has_content(path):
                make(path)
            refuse_other_versions(datastore, path)
            with datastore.connection(write=True) as connection:
                turn_to_wal(connection, path)
            store = cls(datastore, lock)
            with datastore.connection(write=True) as connection:
                database = SQLiteDatabase(connection)
                if not is_index_current(database):
                    rebuild_index(database, progress)
        except sqlite3.OperationalError as error:
            datastore.close()
            raise StoreUnavailableError(
                f"{path} cannot be written: {error}",
                remedy="check the disk and the permissions of the file and its directory",
            ) from error
        except BaseException:
            datastore.close()
            raise
        return store

    def reader(self) -> SQLiteReader:
        """A reader with a connection of its own; in memory, one that shares the writer's.

        The file was judged when this store opened it, and is not opened here by hand: closing any
        descriptor of it would drop all of this process's locks on it, and the next program that
        closes the log would delete the WAL under the writer.
        """
        if self.datastore.path is None:
            return SQLiteReader(self.datastore)
        return SQLiteReader(LogDatastore(self.datastore.path, read_only=True))

    def rebuild(self, progress: Progress | None = None) -> None:
        """Drop the index and fold it anew from the log; readers see it half folded meanwhile.

        A crash on the way is made good by the next `open`.
        """
        with self.datastore.connection(write=True) as connection:
            rebuild_index(SQLiteDatabase(connection), progress)
        self._tables.forget()

    def close(self) -> None:
        """Close the connection and let go of the file."""
        self.datastore.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # --- commit

    def commit(self, batch: Sequence[Append]) -> BatchResult:
        """Store what can be stored of `batch` in one transaction, together with the index.

        One result for each append, in order. After `Unknown` the store takes nothing more: what
        is durable can only be learned by opening the log again.

        Raises:
            OwnershipLostError: another process has opened the log since.
        """
        if self._failed:
            return Unknown(self._failed)
        with self.datastore.connection(write=True) as connection:
            try:
                return self._together(connection, batch)
            except sqlite3.IntegrityError:
                return self._one_by_one(connection, batch)

    def _together(self, connection: sqlite3.Connection, batch: Sequence[Append]) -> BatchResult:
        try:
            connection.execute("BEGIN IMMEDIATE")
            stored = self._stored(connection, batch)
            verdict = judge(batch, stored)
            changes = self._store(connection, verdict.facts, stored.tasks)
        except sqlite3.OperationalError as error:
            return self._not_stored(connection, error)
        except BaseException:
            _roll_back(connection)
            raise
        return self._finish(connection, verdict, changes)

    def _one_by_one(self, connection: sqlite3.Connection, batch: Sequence[Append]) -> BatchResult:
        """The store refused the batch for a constraint although its versions were right, so the
        index and the log disagree about a stream: find the append, by what the log says."""
        self._tables.forget()
        verdict = Verdict([], [])
        try:
            connection.execute("BEGIN IMMEDIATE")
            for append in batch:
                connection.execute("SAVEPOINT append")
                try:
                    stored = self._stored(connection, [append])
                    one = judge([append], stored)
                    self._store(connection, one.facts, stored.tasks)
                    verdict.results += one.results
                    verdict.facts += one.facts
                except sqlite3.IntegrityError:
                    connection.execute("ROLLBACK TO append")
                    conflict = self._tables.conflict(append)
                    if conflict is None:
                        raise
                    verdict.results.append(conflict)
                connection.execute("RELEASE append")
        except sqlite3.OperationalError as error:
            return self._not_stored(connection, error)
        except BaseException:
            _roll_back(connection)
            raise
        return self._finish(connection, verdict, Changes())

    def _stored(self, connection: sqlite3.Connection, batch: Sequence[Append]) -> Stored:
        position = self._fenced_position(connection)
        return self._tables.stored(batch, position)

    def _fenced_position(self, connection: sqlite3.Connection) -> Position:
        """The position of the newest event ever, if this store still owns the log."""
        epoch, position = connection.execute(
            "SELECT epoch, (SELECT seq FROM sqlite_sequence WHERE name = 'stored_events')"
            " FROM owner WHERE shard = ?",
            (SHARD,),
        ).fetchone()
        if epoch != self.epoch:
            raise OwnershipLostError(
                f"epoch {self.epoch} of the log has ended; it is {epoch} now",
                remedy="let one process have the log",
            )
        return Position(position or 0)

    def _store(
        self,
        connection: sqlite3.Connection,
        facts: Sequence[Recorded],
        known: Mapping[TaskId, TaskEntry] | None = None,
    ) -> Changes:
        """Insert the facts and fold them into the index. `known` are the tasks read before."""
        rows = [
            (fact.position, fact.stream, fact.version, *CODEC.encode(fact.event)) for fact in facts
        ]
        into = f"INSERT INTO stored_events SELECT *, {SHARD}, {self.epoch} FROM ("
        self._database.put(into, EVENT_KINDS, rows, ") AS v WHERE column1 IS NOT NULL")
        changes = fold(self._tables.rows(facts, known), facts)
        self._tables.write(changes)
        return changes

    def _finish(
        self, connection: sqlite3.Connection, verdict: Verdict, changes: Changes
    ) -> BatchResult:
        if not verdict.facts:
            _roll_back(connection)
            return verdict.results
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in NOT_STORED:
                _roll_back(connection)
                return NotStored(str(error))
            self._failed = f"the commit before failed: {error}"
            return Unknown(str(error))
        self._tables.keep(changes)
        return verdict.results

    def _not_stored(
        self, connection: sqlite3.Connection, error: sqlite3.OperationalError
    ) -> NotStored:
        _roll_back(connection)
        if error.sqlite_errorcode & 0xFF in NOT_STORED_YET:
            return NotStored(str(error))
        raise error

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **_: Any
    ) -> Sequence[int]:
        """The library's way in, inside its transaction: the index is folded here too."""
        connection = c.sqlite_cursor.connection
        self._tables.forget()
        position = self._fenced_position(connection)
        facts = [
            from_stored_event(stored, position=Position(position + place))
            for place, stored in enumerate(stored_events, start=1)
        ]
        self._store(connection, facts)
        return [fact.position for fact in facts]


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
