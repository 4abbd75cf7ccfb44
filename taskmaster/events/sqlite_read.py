"""A reader of a log in SQLite, and the library's recorder on our tables.

Rules of residence: how a log's file is opened for reading. The questions are `reader.py`'s.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from eventsourcing.sqlite import SQLiteApplicationRecorder

from taskmaster.events.reader import LogReader
from taskmaster.events.rebuild import refuse_other_index
from taskmaster.events.sqlite_database import SQLiteDatabase
from taskmaster.events.sqlite_file import LogDatastore, refuse_foreign, refuse_other_versions
from taskmaster.events.sqlite_schema import EVENTS_TABLE, LOG_TABLES


class LogRecorder(SQLiteApplicationRecorder):
    """The library's recorder on our tables; its own reading methods work unchanged."""

    datastore: LogDatastore

    def __init__(self, datastore: LogDatastore) -> None:
        """Stand on a datastore whose tables exist."""
        super().__init__(datastore, EVENTS_TABLE)

    def construct_create_table_statements(self) -> list[str]:
        """Our own tables, for the library's `create_table`."""
        return list(LOG_TABLES)


class SQLiteReader(LogReader, LogRecorder):
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
            with reader._connected() as database:
                refuse_other_index(database, str(path))
        except BaseException:
            reader.close()
            raise
        return reader

    def close(self) -> None:
        """Close the connection."""
        self.datastore.close()

    @contextmanager
    def _connected(self) -> Generator[SQLiteDatabase]:
        with self.datastore.connection(write=False) as connection:
            yield SQLiteDatabase(connection)
