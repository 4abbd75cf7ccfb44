"""The tables of a log in PostgreSQL, and the steps that lead to them.

Rules of residence: DDL and version numbers; running it is `postgres_migrate.py`'s. The log's
tables are for ever: a step that was released is never changed, another is added. Those of the
index are made from `index_schema.py`.
"""

from taskmaster.events.index_schema import INDEXES, TABLES, Kind, Table

SCHEMA = "taskmaster"
SHARDS = 64
"""Fixed when a log is made."""
POSITION_BITS = 44
"""A position's low bits count within its shard, those above are the shard: positions are unique
over the log, one range of them is one shard, and all stay below 2**53, as JSON wants it."""
EVENTS_TABLE = "stored_events"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # By day, since a task's id begins with its instant: a day whose tasks are final can be
        # taken away whole. What has no such id lies in the two others. The library's recorders
        # read this table as it is; their unique index on `notification_id` cannot stand on it,
        # and what makes it unique is the fence.
        """CREATE TABLE stored_events (
            notification_id bigint NOT NULL,
            originator_id text COLLATE "C" NOT NULL,
            originator_version bigint NOT NULL,
            topic text COLLATE "C" NOT NULL,
            state bytea NOT NULL,
            shard smallint NOT NULL,
            epoch bigint NOT NULL,
            PRIMARY KEY (originator_id, originator_version)
        ) PARTITION BY RANGE (originator_id)""",
        "CREATE INDEX ON stored_events (shard, notification_id)",
        """CREATE TABLE stored_events_gates PARTITION OF stored_events
            FOR VALUES FROM (MINVALUE) TO ('task-')""",
        "CREATE TABLE stored_events_others PARTITION OF stored_events DEFAULT",
        # One row a shard, written by every commit: room for HOT updates.
        """CREATE TABLE shard (
            shard smallint PRIMARY KEY,
            epoch bigint NOT NULL DEFAULT 0,
            owner text COLLATE "C" NOT NULL DEFAULT '',
            lease_until timestamptz NOT NULL DEFAULT '-infinity',
            clock timestamptz NOT NULL DEFAULT '-infinity',
            position bigint NOT NULL
        ) WITH (fillfactor = 50)""",
        f"""INSERT INTO shard (shard, position)
            SELECT n, n::bigint << {POSITION_BITS} FROM generate_series(0, {SHARDS - 1}) AS n""",
        # `index_version`; `rebuilding` only while the index is folded anew.
        'CREATE TABLE meta (name text COLLATE "C" PRIMARY KEY, value bigint NOT NULL)',
    ),
)
"""Each step is one transaction, numbered from 1; there is no way back."""

_TYPES: dict[Kind, str] = {"text": 'text COLLATE "C"'}
"""Names are ordered by their bytes, as in SQLite, whatever the database's locale."""


def create_index(temporary: str = "") -> list[str]:
    """The tables of the index, empty; `temporary` ones stand before the others of their name."""
    return [*(_create(table, temporary) for table in TABLES), *INDEXES]


def _create(table: Table, temporary: str) -> str:
    columns = [
        f"{column.name} {_TYPES.get(column.kind, column.kind)}"
        f"{'' if column.is_nullable else ' NOT NULL'}"
        for column in table.columns
    ]
    key = f"PRIMARY KEY ({', '.join(table.key)})"
    return f"CREATE {temporary} TABLE {table.name} ({', '.join(columns)}, {key})"


def first_position(shard: int) -> int:
    """The position before the first one of a shard."""
    return shard << POSITION_BITS
