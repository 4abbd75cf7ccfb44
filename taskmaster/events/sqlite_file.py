"""Opening a log's file: is it ours, who has it, and how its connections are set up.

Rules of residence: everything that touches the file outside of SQL, the lock, the owner row, and
the settings of a connection. Nothing here knows an event. A file that is not ours is never
written to: it is judged by its header before SQLite may change anything.
"""

import errno
import fcntl
import os
import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteTransaction,
)

from taskmaster.errors import ForeignFileError, StoreUnavailableError
from taskmaster.events.index_schema import INDEX_VERSION
from taskmaster.events.sqlite_schema import (
    APPLICATION_ID,
    INDEX_TABLES,
    LOG_TABLES,
    SCHEMA_VERSION,
)
from taskmaster.events.types import Epoch

MEMORY = ":memory:"
HEADER = b"SQLite format 3\x00"
HEADER_BYTES = 100
OLDEST_SQLITE = (3, 35, 0)  # UPDATE ... FROM came with 3.33, RETURNING with 3.35
SHARD = 0
"""The embedded store has one shard."""
BUSY_S = 1
"""How long a commit waits for a foreign lock before it says that nothing was stored."""
WRITER_CACHE_KIB = 32 * 1024
READER_CACHE_KIB = 16 * 1024  # 48 MB in all; a 200 MB cache alone takes the process to 242 MB
WAL_LIMIT_BYTES = 64 * 1024 * 1024
STATEMENTS = 40
"""Prepared statements a connection keeps: a commit uses about 12, most of them in two or three
sizes. One of 1,000 rows takes about a megabyte."""

_NOT_OURS = "give the path of a log that taskmaster made, or one that does not exist yet"
_DAMAGED = "restore the file from a backup"


# --- connections ------------------------------------------------------------------------------


class LogDatastore(SQLiteDatastore):
    """The library's datastore with one connection, set up for durability."""

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        """Take a file, or None for a log in memory. Connects at the first use."""
        self.path = path
        uri = MEMORY if path is None else _uri(path, read_only=read_only)
        super().__init__(uri, lock_timeout=BUSY_S, originator_id_type="text")
        self.pool = _LogPool(uri, read_only=read_only)

    @contextmanager
    def connection(self, *, write: bool) -> Generator[sqlite3.Connection]:
        """The bare connection. Whoever takes it begins and ends the transaction."""
        with self.get_connection(commit=write) as connection:
            assert isinstance(connection, _LogConnection)
            yield connection.bare


class _LogConnection(SQLiteConnection):
    """Writing transactions take the write lock at their beginning.

    The library's deferred BEGIN ends in "database is locked" where another connection commits
    between a read and a write of ours.
    """

    def __init__(self, bare: sqlite3.Connection) -> None:
        super().__init__(bare, max_age=None)
        self.bare = bare

    @contextmanager
    def transaction(self, *, commit: bool) -> Generator[SQLiteCursor]:
        with _LogTransaction(self, commit=commit) as cursor, cursor:
            yield cursor


class _LogTransaction(SQLiteTransaction):
    def __enter__(self) -> SQLiteCursor:
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if self.commit else "BEGIN")
        return cursor


class _LogPool(SQLiteConnectionPool):
    def __init__(self, uri: str, *, read_only: bool) -> None:
        super().__init__(db_name=uri, lock_timeout=BUSY_S, pool_size=1, max_overflow=0)
        self._uri = uri
        self._read_only = read_only

    def _create_connection(self) -> SQLiteConnection:
        return _LogConnection(connect(self._uri, read_only=self._read_only))


class _LogRow(sqlite3.Row):
    """Columns by name, as the library's reads want them; a position is its `rowid`."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__("position" if key == "rowid" else key)


def connect(uri: str, *, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun by hand. Any thread may use it,
    one at a time."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreUnavailableError(
            f"this Python comes with SQLite {sqlite3.sqlite_version}, which is too old",
            remedy="use a Python with SQLite 3.35 or newer",
        )
    connection = sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_S,
        cached_statements=STATEMENTS,
    )
    try:
        _set_up(connection, read_only=read_only)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, *, read_only: bool) -> None:
    connection.row_factory = _LogRow
    kib = READER_CACHE_KIB if read_only else WRITER_CACHE_KIB
    connection.execute(f"PRAGMA cache_size = -{kib}")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA trusted_schema = OFF")
    if not read_only:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        if sys.platform == "darwin":  # fsync alone leaves the drive's cache unwritten there
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")


def _uri(path: Path, *, read_only: bool) -> str:
    return f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"


# --- is it ours -------------------------------------------------------------------------------


def refuse_foreign(path: Path) -> None:
    """Judge an existing file by its first bytes, without SQLite and without writing.

    Raises:
        ForeignFileError: it is no SQLite file, or shorter than a header.
        StoreUnavailableError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise _not_readable(path, error) from error
    if not header.startswith(HEADER[: len(header)]) or not header:
        raise ForeignFileError(f"{path} is not a log of taskmaster", remedy=_NOT_OURS)
    if len(header) < HEADER_BYTES:
        raise ForeignFileError(f"{path} is cut off after {len(header)} bytes", remedy=_DAMAGED)


def refuse_other_versions(datastore: LogDatastore, path: Path) -> None:
    """Judge the file by what SQLite reads from it, on the datastore's first connection.

    Raises:
        ForeignFileError: another program's, damaged, or of a newer version.
        StoreUnavailableError: it cannot be read.
    """
    try:
        with datastore.connection(write=False) as connection:
            application_id = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise ForeignFileError(
                f"{path} is damaged or cut off: {error}", remedy=_DAMAGED
            ) from error
        raise StoreUnavailableError(
            f"{path} cannot be read: {error}",
            remedy="check the permissions of the file and its directory",
        ) from error
    if application_id != APPLICATION_ID:
        raise ForeignFileError(
            f"{path} is a database of another program, not a log of taskmaster", remedy=_NOT_OURS
        )
    if version > SCHEMA_VERSION:
        raise ForeignFileError(
            f"{path} has schema version {version}; this program knows up to {SCHEMA_VERSION}",
            remedy="upgrade taskmaster to the version that wrote this log",
        )


def _not_readable(path: Path, error: OSError) -> StoreUnavailableError | ForeignFileError:
    if error.errno == errno.ENOENT:
        return ForeignFileError(f"there is no log at {path}", remedy="check the path")
    return StoreUnavailableError(
        f"{path} cannot be opened: {error.strerror}",
        remedy="check the path and the permissions of its directory",
    )


# --- making one -------------------------------------------------------------------------------


def make(path: Path) -> None:
    """Make an empty log, under the caller's lock. A crash at any point leaves none or all of it.

    It is made under another name, so that no half of it is ever found under its own; and before
    it is turned to WAL, so that its header says whose it is from its first page on. Only the
    owner may read it: requests may carry credentials.
    """
    unborn = path.with_name(path.name + ".new")
    try:
        unborn.unlink(missing_ok=True)
        os.close(os.open(unborn, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise _not_readable(path, error) from error
    connection = connect(_uri(unborn, read_only=False), read_only=False)
    try:
        create_tables(connection)
    finally:
        connection.close()
    unborn.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # else a power cut may forget the file's name with all it holds
    finally:
        os.close(directory)


def turn_to_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Write-ahead logging: readers and the writer do not wait for each other."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnavailableError(
            f"{path} cannot be used with write-ahead logging (its journal mode is {mode})",
            remedy="put the log on a local disk",
        )


def create_tables(connection: sqlite3.Connection) -> None:
    """All tables and the numbers by which the file is known, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for statement in LOG_TABLES + INDEX_TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('index_version', ?)", (INDEX_VERSION,))
    connection.execute("COMMIT")


# --- whose it is ------------------------------------------------------------------------------


class FileLock:
    """Keeps every other process away from a file for as long as this object lives.

    The lock is the operating system's, on a file beside the log, so it goes with the process
    however that ends; the file itself stays. It holds the pid for the message only.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock of the log at `path`.

        Raises:
            StoreUnavailableError: another process has it; the message names its pid.
        """
        try:
            self._fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnavailableError(
                f"{path}.lock cannot be made: {error.strerror}",
                remedy="check that the directory is there and may be written",
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise StoreUnavailableError(
                f"{path} is in use by process {pid or 'unknown'}",
                remedy="stop that process, or give another path",
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        """Let go."""
        os.close(self._fd)


def take_ownership(connection: sqlite3.Connection, shard: int) -> Epoch:
    """Begin a new epoch of the shard; every older owner's commits are refused from now on."""
    row = connection.execute(
        """INSERT INTO owner VALUES (?, 1, ?)
           ON CONFLICT (shard) DO UPDATE SET epoch = epoch + 1, pid = excluded.pid
           RETURNING epoch""",
        (shard, os.getpid()),
    ).fetchone()
    return Epoch(row[0])
