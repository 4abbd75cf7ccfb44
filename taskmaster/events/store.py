"""Which store an address means, and how it is shown.

Rules of residence: the one place that knows both databases. PostgreSQL's driver is imported only
where it is used: it costs a command 0.1 s.
"""

from typing import TYPE_CHECKING

from taskmaster.events.reader import LogReader
from taskmaster.events.rebuild import Progress
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.sqlite_read import SQLiteReader

if TYPE_CHECKING:
    from taskmaster.events.postgres import PostgresStore


def is_postgres(store: str) -> bool:
    """Whether a store is a database of PostgreSQL, not a file."""
    return store.startswith(("postgresql://", "postgres://"))


def open_store(store: str, progress: Progress | None = None) -> "SQLiteStore | PostgresStore":
    """Open a log for writing.

    Raises:
        TaskMasterError: it cannot be used.
    """
    if not is_postgres(store):
        return SQLiteStore.open(store, progress=progress)
    from taskmaster.events.postgres import PostgresStore  # noqa: PLC0415

    return PostgresStore.open(store, progress=progress)


def open_reader(store: str) -> LogReader:
    """Open a log for reading.

    Raises:
        TaskMasterError: it cannot be used.
    """
    if not is_postgres(store):
        return SQLiteReader.open(store)
    from taskmaster.events.postgres_read import PostgresReader  # noqa: PLC0415

    return PostgresReader.open(store)


def shown_store(store: str) -> str:
    """The address without a password or anything else but host and database."""
    if not is_postgres(store):
        return store
    from taskmaster.events.postgres_connection import Address  # noqa: PLC0415

    return Address(store).shown
