"""The tables of a log in SQLite.

Rules of residence: DDL and the version numbers that go with it. The log's tables are for ever;
the index's tables may be dropped and folded anew whenever `INDEX_VERSION` changes.
"""

from taskmaster.events.rows import (
    IN_FLIGHT,
    LAST_OPEN,
    WAITING,
    AttemptEntry,
    GateEntry,
    KeyEntry,
    LabelEntry,
    SeriesEntry,
    TaskEntry,
)

APPLICATION_ID = 0x544D4C31
"""In the file's header: TML1."""
SCHEMA_VERSION = 1
"""Of the log's tables; a file with a higher one is refused."""
INDEX_VERSION = 5
"""Of the index's tables and of the fold; a file with another one is folded anew."""
EVENTS_TABLE = "stored_events"

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

INDEX_TABLES = (
    """CREATE TABLE task (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        gate TEXT NOT NULL,
        state INTEGER NOT NULL,
        version INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        submitted_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        url TEXT NOT NULL,
        expires_at INTEGER,
        fair_key TEXT NOT NULL,
        order_key TEXT NOT NULL,
        series TEXT,
        nominal_at INTEGER,
        held INTEGER NOT NULL,
        key TEXT NOT NULL,
        started INTEGER NOT NULL)""",
    # One range for each priority of a lane; a page is their merge (hard spot 5).
    f"""CREATE INDEX task_range ON task (gate, fair_key, priority, due_at, number)
        WHERE state = {WAITING} AND held = 0""",
    # What is due next over all lanes. Tasks without a key are one lane, which needs no row here.
    f"""CREATE INDEX task_due ON task (gate, due_at)
        WHERE state = {WAITING} AND held = 0 AND fair_key <> ''""",
    f"CREATE INDEX task_held ON task (gate, due_at) WHERE state = {WAITING} AND held <> 0",
    f"""CREATE INDEX task_expiry ON task (gate, expires_at)
        WHERE state = {WAITING} AND expires_at IS NOT NULL""",
    # Not those in flight: a start and its end would each write here, and they are found by the
    # index of open attempts.
    f"CREATE INDEX task_list ON task (gate, state, number) WHERE state <> {IN_FLIGHT}",
    f"""CREATE INDEX task_line ON task (gate, order_key, number)
        WHERE order_key <> '' AND state <= {LAST_OPEN}""",
    "CREATE INDEX task_series ON task (series, number) WHERE series IS NOT NULL",
    """CREATE TABLE label (
        key TEXT NOT NULL, value TEXT NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (key, value, number)) WITHOUT ROWID""",
    """CREATE TABLE key (
        gate TEXT NOT NULL, key TEXT NOT NULL, task TEXT NOT NULL, fingerprint TEXT NOT NULL,
        dead_at INTEGER, PRIMARY KEY (gate, key)) WITHOUT ROWID""",
    """CREATE TABLE series (
        name TEXT PRIMARY KEY, gate TEXT NOT NULL, version INTEGER NOT NULL,
        state INTEGER NOT NULL, latest TEXT, open INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE gate (
        name TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        waiting INTEGER NOT NULL,
        in_flight INTEGER NOT NULL,
        awaiting INTEGER NOT NULL,
        uncertain INTEGER NOT NULL,
        succeeded INTEGER NOT NULL,
        dead INTEGER NOT NULL,
        cancelled INTEGER NOT NULL,
        expired INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        failures_in_row INTEGER NOT NULL,
        tats TEXT NOT NULL,
        last_start INTEGER NOT NULL,
        throttled_until INTEGER NOT NULL,
        newest_second INTEGER NOT NULL,
        settings TEXT NOT NULL,
        control INTEGER NOT NULL,
        mode INTEGER NOT NULL,
        paused_until INTEGER,
        quarantined_until INTEGER,
        implicit INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE attempt (
        position INTEGER PRIMARY KEY,
        gate TEXT NOT NULL,
        task TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        slot_at INTEGER NOT NULL,
        ended_position INTEGER,
        ended_at INTEGER,
        outcome TEXT)""",
    "CREATE INDEX attempt_open ON attempt (gate, position) WHERE ended_position IS NULL",
    """CREATE TABLE outcome (
        gate TEXT NOT NULL, second INTEGER NOT NULL, ended INTEGER NOT NULL,
        failed INTEGER NOT NULL, PRIMARY KEY (gate, second)) WITHOUT ROWID""",
    """CREATE TABLE due_bucket (
        gate TEXT NOT NULL, held INTEGER NOT NULL, minute INTEGER NOT NULL,
        count INTEGER NOT NULL, PRIMARY KEY (gate, held, minute)) WITHOUT ROWID""",
    # Only of tasks with a key: gates without any write no row.
    """CREATE TABLE lane (
        gate TEXT NOT NULL, fair_key TEXT NOT NULL, priority INTEGER NOT NULL,
        waiting INTEGER NOT NULL, next_due_at INTEGER, next_number INTEGER,
        PRIMARY KEY (gate, fair_key, priority)) WITHOUT ROWID""",
    # What a batch empties is found without a scan and taken away at once.
    "CREATE INDEX due_bucket_empty ON due_bucket (gate, held, minute) WHERE count = 0",
)

INDEX_TABLE_NAMES = (
    "task",
    "label",
    "key",
    "series",
    "gate",
    "attempt",
    "outcome",
    "due_bucket",
    "lane",
)

TASK_COLUMNS = ", ".join(TaskEntry.__struct_fields__)
GATE_COLUMNS = ", ".join(GateEntry.__struct_fields__)
SERIES_COLUMNS = ", ".join(SeriesEntry.__struct_fields__)
KEY_COLUMNS = ", ".join(KeyEntry.__struct_fields__)
LABEL_COLUMNS = ", ".join(LabelEntry.__struct_fields__)
ATTEMPT_COLUMNS = ", ".join(AttemptEntry.__struct_fields__)
