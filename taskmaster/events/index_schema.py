"""The tables of the task index, in the terms of every database.

Rules of residence: names, columns and indexes, made from the structs of `events/rows.py`, and the
version that goes with them. They may be dropped and folded anew whenever `INDEX_VERSION` changes.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from taskmaster.events.rows import (
    IN_FLIGHT,
    LAST_OPEN,
    REDRIVEN,
    WAITING,
    AttemptEntry,
    BucketEntry,
    BulkEntry,
    GateEntry,
    KeyEntry,
    LabelEntry,
    LaneEntry,
    OutcomeEntry,
    SeriesEntry,
    TaskEntry,
)

INDEX_VERSION = 10
"""Of the index's tables and of the fold; a log with another one is folded anew."""

Kind = Literal["bigint", "text", "boolean", "bytea"]


class Column(Struct, frozen=True):
    """One column; the name is the field's."""

    name: str
    kind: Kind
    is_nullable: bool


class Table(Struct, frozen=True):
    """One table. `key` are the columns of its primary key, the first ones."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> str:
        """All columns, as a list in SQL."""
        return ", ".join(column.name for column in self.columns)

    def kinds(self, *names: str) -> tuple[Kind, ...]:
        """The kinds of these columns, or of all."""
        kinds: dict[str, Kind] = {column.name: column.kind for column in self.columns}
        return tuple(kinds[name] for name in names or kinds)


def _table(name: str, row: type[Struct], *key: str) -> Table:
    described = msgspec.inspect.type_info(row)
    assert isinstance(described, msgspec.inspect.StructType)
    columns = [_column(field.name, field.type) for field in described.fields]
    return Table(name, tuple(columns), key)


_KINDS: dict[type[msgspec.inspect.Type], Kind] = {
    msgspec.inspect.IntType: "bigint",
    msgspec.inspect.StrType: "text",
    msgspec.inspect.BoolType: "boolean",
}


def _column(name: str, described: msgspec.inspect.Type) -> Column:
    types = described.types if isinstance(described, msgspec.inspect.UnionType) else (described,)
    known = [type(one) for one in types if type(one) in _KINDS]
    return Column(name, _KINDS[known[0]], is_nullable=len(types) > 1)


TASK = _table("task", TaskEntry, "number")
LABEL = _table("label", LabelEntry, "key", "value", "number")
KEY = _table("key", KeyEntry, "gate", "key")
SERIES = _table("series", SeriesEntry, "name")
GATE = _table("gate", GateEntry, "name")
ATTEMPT = _table("attempt", AttemptEntry, "position")
OUTCOME = _table("outcome", OutcomeEntry, "gate", "second")
DUE_BUCKET = _table("due_bucket", BucketEntry, "gate", "held", "minute")
BULK = _table("bulk", BulkEntry, "id")
LANE = _table("lane", LaneEntry, "gate", "fair_key", "band")
TABLES = (TASK, LABEL, KEY, SERIES, GATE, ATTEMPT, OUTCOME, DUE_BUCKET, LANE, BULK)

INDEXES = (
    "CREATE UNIQUE INDEX task_id ON task (id)",
    # One range for each band of a lane; a page is their merge (hard spot 5).
    f"""CREATE INDEX task_range ON task (gate, fair_key, band, due_at, number)
        WHERE state = {WAITING} AND held = 0""",
    # What is due next over all lanes. Tasks without a key are one lane, of which only those that
    # were redriven need a row here.
    f"""CREATE INDEX task_due ON task (gate, due_at)
        WHERE state = {WAITING} AND held = 0 AND (fair_key <> '' OR band >= {REDRIVEN})""",
    f"""CREATE INDEX task_redriven ON task (gate, due_at)
        WHERE state = {WAITING} AND held = 0 AND band >= {REDRIVEN}""",
    f"CREATE INDEX task_held ON task (gate, due_at) WHERE state = {WAITING} AND held <> 0",
    f"""CREATE INDEX task_expiry ON task (gate, expires_at)
        WHERE state = {WAITING} AND expires_at IS NOT NULL""",
    # Not those in flight: a start and its end would each write here, and they are found by the
    # index of open attempts.
    f"CREATE INDEX task_list ON task (gate, state, number) WHERE state <> {IN_FLIGHT}",
    f"""CREATE INDEX task_line ON task (gate, order_key, number)
        WHERE order_key <> '' AND state <= {LAST_OPEN}""",
    "CREATE INDEX task_series ON task (series, number) WHERE series IS NOT NULL",
    "CREATE INDEX attempt_open ON attempt (gate, position) WHERE ended_position IS NULL",
    "CREATE UNIQUE INDEX bulk_number ON bulk (number)",
    "CREATE INDEX bulk_running ON bulk (number) WHERE NOT ended",
    # What a batch empties is found without a scan and taken away at once.
    "CREATE INDEX due_bucket_empty ON due_bucket (gate, held, minute) WHERE count = 0",
)
