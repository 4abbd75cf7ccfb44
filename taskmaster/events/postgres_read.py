"""A reader of a log in PostgreSQL, and the library's recorder on our tables.

Rules of residence: how a log is opened for reading, and what a lost connection means to a
question: it is asked once more. The questions are `reader.py`'s.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Self

import psycopg
from eventsourcing.postgres import PostgresApplicationRecorder

from taskmaster.errors import ForeignFileError
from taskmaster.events.postgres_connection import (
    READ_S,
    UNAVAILABLE,
    Address,
    LogDatastore,
    unavailable,
)
from taskmaster.events.postgres_database import PostgresDatabase
from taskmaster.events.postgres_migrate import read_schema
from taskmaster.events.postgres_schema import EVENTS_TABLE
from taskmaster.events.reader import LogReader
from taskmaster.events.rebuild import refuse_other_index


class LogRecorder(PostgresApplicationRecorder):
    """The library's recorder on our tables; its own reading methods work unchanged."""

    def __init__(self, datastore: LogDatastore) -> None:
        """Stand on a datastore whose tables exist."""
        self.log = datastore
        super().__init__(datastore, events_table_name=EVENTS_TABLE)


class PostgresReader(LogReader):
    """Answers from committed state on a connection of its own, for one shard.

    One object, one thread. May be opened on the log of a living server or of a dead one.
    """

    def __init__(self, address: Address, shard: int = 0) -> None:
        """Connects at the first question."""
        self._datastore = LogDatastore(address, statement_s=READ_S)
        self._shard = shard

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a log for reading.

        Raises:
            ForeignFileError: no log there, not ours, or of a newer version.
            StoreUnavailableError: it cannot be read, or its index is of another version.
        """
        reader = cls(Address(url))
        try:
            with reader._connected() as database:
                _refuse_others(database, reader._datastore.address)
        except BaseException:
            reader.close()
            raise
        return reader

    def close(self) -> None:
        """Close the connection."""
        self._datastore.close()

    @contextmanager
    def _connected(self) -> Generator[PostgresDatabase]:
        try:
            yield self._database()
        except UNAVAILABLE as error:
            self._datastore.drop()
            raise unavailable(self._datastore.address, error) from None

    @contextmanager
    def _snapshot(self) -> Generator[PostgresDatabase]:
        """One reading transaction. A connection that broke while it lay idle is made anew."""
        with self._connected():
            database = self._begun()
            try:
                yield database
            finally:
                database.roll_back()

    def _begun(self) -> PostgresDatabase:
        try:
            database = self._database()
            database.begin_snapshot()
        except psycopg.OperationalError:
            self._datastore.drop()
            database = self._database()
            database.begin_snapshot()
        return database

    def _database(self) -> PostgresDatabase:
        address = self._datastore.address
        return PostgresDatabase(self._datastore.connection(), self._shard, address)


def _refuse_others(database: PostgresDatabase, address: Address) -> None:
    if read_schema(database.connection, address).version == 0:
        raise ForeignFileError(f"there is no log at {address.shown}", remedy="check the address")
    refuse_other_index(database, address.shown)
