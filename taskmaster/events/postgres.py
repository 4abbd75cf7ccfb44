"""The durable log in PostgreSQL: the one writer of a shard.

Rules of residence: the transaction of a commit, from its fence to COMMIT, and what its failures
mean. Which appends may be stored is decided in `batch.py`, what they change in `index.py`; the
connection is `postgres_connection.py`, questions are `reader.py`. Synchronous; one thread at a
time.

The fence is the first statement: one UPDATE of the shard's row checks the epoch, advances the
shard's clock and holds the row until COMMIT, so that commits of a shard follow one another and
their order is that of positions. No table is locked and nobody is notified: that would halve what
four writers commit.
"""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.rows import tuple_row

from taskmaster.errors import OwnershipLostError, StoreUnavailableError
from taskmaster.events.batch import Stored, Verdict, judge
from taskmaster.events.closing import Closing
from taskmaster.events.codec import CODEC, from_stored_event
from taskmaster.events.index import fold
from taskmaster.events.index_schema import Kind
from taskmaster.events.index_tables import IndexTables
from taskmaster.events.log import (
    Append,
    BatchResult,
    NotStored,
    Recorded,
    Unknown,
)
from taskmaster.events.postgres_connection import (
    UNAVAILABLE,
    WRITE_S,
    Address,
    Connection,
    LogDatastore,
    unavailable,
)
from taskmaster.events.postgres_database import PostgresDatabase
from taskmaster.events.postgres_days import DAYS_AHEAD, make_days
from taskmaster.events.postgres_migrate import migrate
from taskmaster.events.postgres_read import LogRecorder, PostgresReader
from taskmaster.events.rebuild import Progress, is_index_current, rebuild_index
from taskmaster.events.rows import Changes, TaskEntry
from taskmaster.events.types import Epoch, Position, TaskId

READ_BACK_TRIES = 120
READ_BACK_PAUSE_S = 0.25
"""Half a minute of refused connections; each that hangs takes two seconds more."""
NOT_REPLICATED = "01000"
"""The warning of a COMMIT whose wait for a synchronous standby was cancelled."""
NOT_CONFIRMED = "the wait for a synchronous standby was cancelled"

_EVENT_KINDS: tuple[Kind, ...] = (
    *("bigint", "text", "bigint", "text", "bytea"),
    *("bigint", "bigint"),
)
_FENCE = """UPDATE shard SET clock = greatest(clock + interval '1 us', clock_timestamp()),
        lease_until = clock_timestamp() + interval '3 s'
    WHERE shard = %s AND epoch = %s
    RETURNING position, floor(extract(epoch FROM clock) / 3600)::bigint"""
_TAKE = """UPDATE shard SET epoch = epoch + 1, owner = %s,
        lease_until = clock_timestamp() + interval '3 s'
    WHERE shard = %s
    RETURNING epoch, floor(extract(epoch FROM clock_timestamp()) / 3600)::bigint"""
_IN_USE = "SELECT pg_advisory_lock(hashtext('taskmaster shard'), %s::int)"
_IN_USE_AGAIN = _IN_USE.replace("pg_advisory", "pg_try_advisory")
"""Tells a second process at its start that the shard is in use; the fence alone decides."""


class PostgresStore(Closing, LogRecorder):
    """The one writer of a shard: appends in batches, each with its part of the index.

    The library's `insert_events` writes to it too, without a check of versions beyond the table's
    own: for restoring logs, not for deciding.
    """

    def __init__(self, datastore: LogDatastore, shard: int) -> None:
        """Own the shard from now on; `open` prepares the database."""
        super().__init__(datastore)
        self._shard = shard
        self._failed = ""
        self._inserted: list[int] = []
        connection = datastore.connection()
        _refuse_if_in_use(connection, datastore.address, shard)
        self.epoch, self._hour = _take_ownership(connection, shard)
        self._days_at = _days_at(self._hour)  # `migrate` has made those before
        self._database = PostgresDatabase(connection, shard, datastore.address)
        self._tables = IndexTables(self._database)

    @classmethod
    def open(cls, url: str, *, shard: int = 0, progress: Progress | None = None) -> Self:
        """Open a log for writing and own a shard of it until `close`.

        Makes the schema where there is none, takes its steps that are left, and folds the index
        anew where it is of another version or was left half folded; `progress` learns how far.

        Raises:
            ForeignFileError: the schema is another program's, or of a newer version.
            StoreUnavailableError: another process has the shard, or the database does not answer.
        """
        address = Address(url)
        datastore = LogDatastore(address, statement_s=WRITE_S)
        try:
            migrate(address)
            store = cls(datastore, shard)
            if not is_index_current(store._database):
                store.rebuild(progress)
        except UNAVAILABLE as error:
            datastore.close()
            raise unavailable(address, error) from None
        except BaseException:
            datastore.close()
            raise
        return store

    def reader(self) -> PostgresReader:
        """A reader with a connection of its own."""
        return PostgresReader(self.log.address, self._shard)

    def rebuild(self, progress: Progress | None = None) -> None:
        """Drop the index and fold it anew from the log; a crash on the way is made good by the
        next `open`."""
        rebuild_index(self._connected(), progress)
        self._tables.forget()

    def close(self) -> None:
        """Close the connection and let go of the shard."""
        self.log.close()

    # --- commit

    def commit(self, batch: Sequence[Append]) -> BatchResult:
        """Store what can be stored of `batch` in one transaction, together with the index.

        One result for each append, in order. A COMMIT whose answer is lost is decided by reading
        back. After `Unknown` the store takes nothing more: what is durable can only be learned by
        opening the log again.

        Raises:
            OwnershipLostError: another process has taken the shard since.
        """
        if self._failed:
            return Unknown(self._failed)
        try:
            database = self._connected()
            try:
                return self._together(database, batch)
            except psycopg.IntegrityError:
                self._roll_back()
                return self._one_by_one(database, batch)
        except UNAVAILABLE as error:
            # COMMIT was not sent: the server rolls back, now or when it learns that we are gone
            return self._not_stored(error)
        except BaseException:
            self._roll_back()
            raise

    def _together(self, database: PostgresDatabase, batch: Sequence[Append]) -> BatchResult:
        stored = self._stored(database, batch)
        verdict = judge(batch, stored)
        if not verdict.facts:
            self._roll_back()
            return verdict.results
        with database.connection.pipeline():
            changes = self._store(database, verdict.facts, stored.tasks)
        return self._finish(database, verdict, changes)

    def _one_by_one(self, database: PostgresDatabase, batch: Sequence[Append]) -> BatchResult:
        """The store refused the batch for a constraint although its versions were right, so the
        index and the log disagree about a stream: find the append, by what the log says."""
        self._tables.forget()
        verdict = Verdict([], [])
        database.begin()
        for append in batch:
            database.do("SAVEPOINT append")
            try:
                stored = self._stored(database, [append], begin=False)
                one = judge([append], stored)
                self._store(database, one.facts, stored.tasks)
                verdict.results += one.results
                verdict.facts += one.facts
            except psycopg.IntegrityError:
                database.do("ROLLBACK TO append")
                conflict = self._tables.conflict(append)
                if conflict is None:
                    raise
                verdict.results.append(conflict)
            database.do("RELEASE append")
        return self._finish(database, verdict, Changes())

    def _stored(
        self, database: PostgresDatabase, batch: Sequence[Append], *, begin: bool = True
    ) -> Stored:
        position = self._fenced_position(database.connection, begin=begin)
        return self._tables.stored(batch, position)

    def _fenced_position(self, connection: Connection, *, begin: bool) -> Position:
        """The position of the newest event, if this store still owns the shard."""
        with connection.pipeline():
            if begin:
                connection.execute("BEGIN")
            found = connection.execute(_FENCE, [self._shard, self.epoch])
        row = found.fetchone()
        if row is None:
            raise OwnershipLostError(
                f"epoch {self.epoch} of shard {self._shard} has ended",
                remedy="let one process have the shard",
            )
        position, self._hour = row
        return Position(position)

    def _store(
        self,
        database: PostgresDatabase,
        facts: Sequence[Recorded],
        known: Mapping[TaskId, TaskEntry] | None = None,
    ) -> Changes:
        """Insert the facts and fold them into the index. `known` are the tasks read before."""
        if not facts:
            return Changes()
        shard, epoch = self._shard, self.epoch
        rows = [
            (fact.position, fact.stream, fact.version, *CODEC.encode(fact.event), shard, epoch)
            for fact in facts
        ]
        changes = fold(self._tables.rows(facts, known), facts)
        database.put("INSERT INTO stored_events", _EVENT_KINDS, rows, "")
        self._tables.write(changes)
        database.do(
            "UPDATE shard SET position = :position WHERE shard = :shard",
            {"position": facts[-1].position, "shard": shard},
        )
        return changes

    def _finish(
        self, database: PostgresDatabase, verdict: Verdict, changes: Changes
    ) -> BatchResult:
        if not verdict.facts:
            self._roll_back()
            return verdict.results
        connection = database.connection
        try:
            is_replicated = self._commit(connection)
        except psycopg.Error as error:
            if not connection.closed:  # it said no, and lives: rolled back
                return self._not_stored(error)
            return self._read_back(verdict, error)
        if not is_replicated:
            return self._fail(NOT_CONFIRMED)
        self._tables.keep(changes)
        self._make_days(connection)
        return verdict.results

    def _commit(self, connection: Connection) -> bool:
        """Commit. Whether a synchronous standby has confirmed it, where there is one."""
        self.log.warnings.clear()
        connection.execute("COMMIT", prepare=False)
        return NOT_REPLICATED not in self.log.warnings

    # --- trouble

    def _read_back(self, verdict: Verdict, error: psycopg.Error) -> BatchResult:
        """The answer to COMMIT is lost: see whether the batch is there.

        The fence waits for the row that the lost transaction holds, so what it shows is final. Its
        own COMMIT waits for the synchronous standby, which has the lost one then too.
        """
        last = verdict.facts[-1].position
        said = self.log.address.redact(error)
        for _ in range(READ_BACK_TRIES):
            self.log.drop()
            try:
                connection = self._connected().connection
                position = self._fenced_position(connection, begin=True)
                is_replicated = self._commit(connection)
            except UNAVAILABLE as again:
                said = self.log.address.redact(again)
                time.sleep(READ_BACK_PAUSE_S)  # noqa: TID251  # on the committer's own thread
                continue
            if position < last:
                return NotStored(said)
            return verdict.results if is_replicated else self._fail(NOT_CONFIRMED)
        return self._fail(f"whether the last commit is stored could not be learned: {said}")

    def _fail(self, error: str) -> Unknown:
        self._failed = f"the commit before failed: {error}"
        return Unknown(error)

    def _not_stored(self, error: psycopg.Error) -> NotStored:
        self._roll_back()
        return NotStored(self.log.address.redact(error))

    def _roll_back(self) -> None:
        """Leave nothing open; a connection that cannot is given up."""
        connection = self._database.connection
        try:
            if not connection.closed:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            self.log.drop()

    def _connected(self) -> PostgresDatabase:
        """The database, on a new connection where the last one has broken."""
        connection = self.log.connection()
        if connection is not self._database.connection:
            self._tables.forget()  # a standby that took over may have less
            connection.execute(_IN_USE_AGAIN, [self._shard])
            self._database.connection = connection
        return self._database

    def _make_days(self, connection: Connection) -> None:
        """The commit before is durable: whatever goes wrong here, it was stored."""
        if self._hour < self._days_at:
            return
        try:
            make_days(connection, self._hour // 24)
            self._days_at = _days_at(self._hour)
        except UNAVAILABLE:
            # Not with each commit: one that waits for a lock costs a second. Until then the
            # default partition takes what comes.
            self._days_at = self._hour + 1

    # --- the library's way in

    def _insert_stored_events(
        self, curs: Any, stored_events: Sequence[StoredEvent], **_: Any
    ) -> None:
        """Inside the library's transaction: the index is folded here too."""
        database = PostgresDatabase(curs.connection, self._shard, self.log.address)
        curs.connection.row_factory = tuple_row
        self._tables.forget()
        position = self._fenced_position(curs.connection, begin=False)
        facts = [
            from_stored_event(stored, position=Position(position + place))
            for place, stored in enumerate(stored_events, start=1)
        ]
        self._store(database, facts)
        self._inserted = [fact.position for fact in facts]

    def _fetch_ids_after_insert_events(
        self, curs: Any, stored_events: Sequence[StoredEvent], **_: Any
    ) -> Sequence[int]:
        return self._inserted


def _refuse_if_in_use(connection: Connection, address: Address, shard: int) -> None:
    """Take the lock of the shard. One that is killed lets go of it at once."""
    try:
        connection.execute(_IN_USE, [shard])
    except psycopg.errors.LockNotAvailable:
        row = connection.execute("SELECT owner FROM shard WHERE shard = %s", [shard]).fetchone()
        raise StoreUnavailableError(
            f"{address.shown} is in use by process {row[0] if row else 'unknown'}",
            remedy="stop that process, or give another database",
        ) from None


def _take_ownership(connection: Connection, shard: int) -> tuple[Epoch, int]:
    """Begin a new epoch of the shard; every older owner's commits are refused from now on. The
    epoch, and the hour (since 1970) on the database's clock."""
    owner = f"{socket.gethostname()}:{os.getpid()}"
    row = connection.execute(_TAKE, [owner, shard]).fetchone()
    assert row is not None, f"there is no shard {shard}"
    return Epoch(row[0]), row[1]


def _days_at(hour: int) -> int:
    """The hour in which days are made again that were made in this one."""
    return (hour // 24 + DAYS_AHEAD // 2 + 1) * 24
