"""The tables of a log in SQLite.

Rules of residence: DDL and the version number that goes with it. The log's tables are for ever;
those of the index are made from `index_schema.py`.
"""

from taskmaster.events.index_schema import INDEXES, TABLES, Kind, Table

APPLICATION_ID = 0x544D4C31
"""In the file's header: TML1."""
SCHEMA_VERSION = 1
"""Of the log's tables; a file with a higher one is refused."""
EVENTS_TABLE = "stored_events"
EVENT_KINDS: tuple[Kind, ...] = ("bigint", "text", "bigint", "text", "bytea")
"""Of the columns that differ from event to event."""

LOG_TABLES = (
    # AUTOINCREMENT: a position is never used again, even after the last row was taken away.
    """CREATE TABLE stored_events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        shard INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        UNIQUE (originator_id, originator_version))""",
    "CREATE TABLE owner (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, pid INTEGER NOT NULL)",
    # `index_version`; `rebuilding` only while the index is folded anew.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)

_TYPES: dict[Kind, str] = {
    "bigint": "INTEGER",
    "text": "TEXT",
    "boolean": "INTEGER",
    "bytea": "BLOB",
}


def _create(table: Table) -> str:
    columns = [
        f"{column.name} {_TYPES[column.kind]}{'' if column.is_nullable else ' NOT NULL'}"
        for column in table.columns
    ]
    # one integer for a key: the row's own number, which costs no index
    is_rowid = table.kinds(*table.key) == ("bigint",)
    key = f"PRIMARY KEY ({', '.join(table.key)})"
    return f"CREATE TABLE {table.name} ({', '.join(columns)}, {key})" + (
        "" if is_rowid else " WITHOUT ROWID"
    )


INDEX_TABLES = (*(_create(table) for table in TABLES), *INDEXES)
