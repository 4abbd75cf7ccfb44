"""Leading a database to the schema of this program, step by step and forward only.

Rules of residence: the steps are `postgres_schema.py`'s. Whoever migrates holds an advisory lock,
so that of many processes that start at once one migrates and the others find it done.
"""

from msgspec import Struct

from taskmaster.errors import ForeignFileError
from taskmaster.events.index_schema import INDEX_VERSION
from taskmaster.events.postgres_connection import (
    UNAVAILABLE,
    Address,
    Connection,
    unavailable,
)
from taskmaster.events.postgres_days import make_days
from taskmaster.events.postgres_schema import MIGRATIONS, SCHEMA, create_index

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('taskmaster schema'))"


class Schema(Struct, frozen=True):
    """Where a database stands: the last step taken (0: none), and those that are left."""

    version: int
    pending: int


def migrate(address: Address) -> Schema:
    """Take the steps that are left; each is one transaction. Returns where it stood before.

    Raises:
        ForeignFileError: the schema is another program's, or of a newer version.
        psycopg.Error: the database does not answer or does not allow it.
    """
    with address.connect() as connection:
        connection.execute("SET lock_timeout = '30s'")  # others that migrate
        before = read_schema(connection, address)
        for version in range(before.version + 1, len(MIGRATIONS) + 1):
            with connection.transaction():
                connection.execute(_LOCK)
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
                if read_schema(connection, address).version < version:
                    _take_step(connection, version)
        [clock] = connection.execute(
            "SELECT floor(extract(epoch FROM clock_timestamp()) / 86400)::bigint"
        ).fetchall()
        make_days(connection, clock[0])
    return before


def read_schema(connection: Connection, address: Address) -> Schema:
    """Where the database stands.

    Raises:
        ForeignFileError: the schema is another program's, or of a newer version.
    """
    if _is_there(connection, "migration"):
        row = connection.execute("SELECT max(version) FROM migration").fetchone()
        version: int = row[0] if row is not None else 0
    elif _is_there(connection, "stored_events"):
        raise ForeignFileError(
            f"the schema {SCHEMA} of {address.shown} is another program's",
            remedy="give another database",
        )
    else:
        version = 0
    if version > len(MIGRATIONS):
        raise ForeignFileError(
            f"{address.shown} has schema version {version};"
            f" this program knows up to {len(MIGRATIONS)}",
            remedy="upgrade taskmaster to the version that wrote this log",
        )
    return Schema(version, len(MIGRATIONS) - version)


def _take_step(connection: Connection, version: int) -> None:
    if version == 1:
        connection.execute(
            """CREATE TABLE migration (
                version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"""
        )
    for statement in MIGRATIONS[version - 1]:
        connection.execute(statement.encode())
    if version == 1:
        for statement in create_index():
            connection.execute(statement.encode())
        connection.execute("INSERT INTO meta VALUES ('index_version', %s)", [INDEX_VERSION])
    connection.execute("INSERT INTO migration (version) VALUES (%s)", [version])


def _is_there(connection: Connection, table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.{table}"]).fetchone()
    return row is not None and row[0] is not None


class Inspection(Struct, frozen=True):
    """A database as `doctor` shows it. `owner` is the process that has the log open."""

    shown: str
    server: int
    schema: Schema
    is_durable: bool
    owner: str


def inspect(url: str) -> Inspection:
    """Look at a database without changing it.

    Raises:
        InvalidFieldError: the URL is none.
        ForeignFileError: the schema is another program's, or of a newer version.
        StoreUnavailableError: it does not answer.
    """
    address = Address(url)
    try:
        with address.connect() as connection:
            schema = read_schema(connection, address)
            durable = connection.execute(
                """SELECT bool_and(setting = 'on') FROM pg_settings
                    WHERE name IN ('fsync', 'full_page_writes')"""
            ).fetchone()
            return Inspection(
                address.shown,
                connection.info.server_version,
                schema,
                bool(durable and durable[0]),
                _owner(connection) if schema.version else "",
            )
    except UNAVAILABLE as error:
        raise unavailable(address, error) from None


def _owner(connection: Connection) -> str:
    row = connection.execute(
        """SELECT owner FROM shard WHERE epoch > 0 AND EXISTS (SELECT 1 FROM pg_locks
            WHERE locktype = 'advisory' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND classid = hashtext('taskmaster shard')::oid AND objid = shard::int::oid)"""
    ).fetchone()
    return "" if row is None else row[0]
