"""The task index in SQLite: reads the rows a batch may touch, writes the rows it left.

Rules of residence: SQL for the rows of `events/rows.py`, run inside a transaction of the caller's.
What a fact changes is decided in `events/index.py` alone.

One statement for each table and batch, for reading as for writing: between two steps of SQLite
another thread takes the interpreter's lock, and getting it back may cost the switch interval. 200
rows under contention: 16 ms fetched row by row, 1 ms as one row of JSON.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec.structs import astuple

from taskmaster.events.log import Recorded
from taskmaster.events.needs import Needs
from taskmaster.events.rows import (
    LAST_OPEN,
    WAITING,
    AttemptEntry,
    Changes,
    GateEntry,
    KeyEntry,
    Line,
    Rows,
    SeriesEntry,
    TaskEntry,
)
from taskmaster.events.sqlite_file import STATEMENTS
from taskmaster.events.sqlite_schema import (
    ATTEMPT_COLUMNS,
    GATE_COLUMNS,
    KEY_COLUMNS,
    LABEL_COLUMNS,
    SERIES_COLUMNS,
    TASK_COLUMNS,
)
from taskmaster.events.types import GateName, SeriesName, TaskId

MAX_VARIABLES = 32_000  # SQLite's own default bound is 32,766 for each statement
MAX_CACHED_TASKS = 8_192  # about 700 bytes each
MAX_CACHED_GATES = 8_192

T = TypeVar("T")
V = TypeVar("V")
Values = Sequence[Sequence[object]]

TASKS = msgspec.json.Decoder(list[TaskEntry])
GATES = msgspec.json.Decoder(list[GateEntry])
SERIES = msgspec.json.Decoder(list[SeriesEntry], strict=False)  # SQLite's booleans are 0 and 1
KEYS = msgspec.json.Decoder(list[KeyEntry])

TASK_ROW = f"json_array({TASK_COLUMNS})"
GATE_ROW = f"json_array({GATE_COLUMNS})"
SERIES_ROW = f"json_array({SERIES_COLUMNS})"
KEY_ROW = f"json_array({KEY_COLUMNS})"

_TASK_CHANGES = (
    "state",
    "version",
    "due_at",
    "changed_at",
    "attempts",
    "nominal_at",
    "expires_at",
    "held",
    "started",
)
_UPDATE_TASKS = "UPDATE task SET " + ", ".join(
    f"{column} = v.column{place}" for place, column in enumerate(_TASK_CHANGES, start=2)
)

_LANE_NEXT = f"""(SELECT due_at, number FROM task WHERE task.gate = lane.gate
    AND task.fair_key = lane.fair_key AND task.priority = lane.priority
    AND state = {WAITING} AND held = 0 ORDER BY due_at, number LIMIT 1)"""


class IndexTables:
    """Rows of the index on one writing connection, with a cache of committed ones.

    The cache holds what is committed and nothing else: `keep` adds to it after a commit, so that
    a rolled back batch leaves no trace in it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Stand on a connection; reads nothing yet."""
        self._connection = connection
        self._tasks: dict[TaskId, TaskEntry] = {}
        self._gates: dict[GateName, GateEntry] = {}

    def forget(self) -> None:
        """Drop the cache: somebody else changed the tables, or it is unknown what is stored."""
        self._tasks.clear()
        self._gates.clear()

    def rows(
        self, facts: Sequence[Recorded], known: Mapping[TaskId, TaskEntry] | None = None
    ) -> Rows:
        """Everything that folding the facts may read. `known` spares reading tasks again."""
        needs = Needs(facts)
        if known is None:
            tasks = self.tasks(needs.tasks)
        else:
            tasks = {task: known[task] for task in needs.tasks if task in known}
        needs.follow(tasks.values())
        series = self._series(needs.series)
        open_ids = {one.latest for one in series.values() if one.open and one.latest is not None}
        if missing := open_ids - tasks.keys():
            open_tasks = self.tasks(missing)
            needs.follow(open_tasks.values())
            tasks |= open_tasks
        lines = self._lines(needs.lines, tasks)
        return Rows(tasks, self._gate_entries(needs.gates), series, lines)

    def tasks(self, ids: Iterable[TaskId]) -> dict[TaskId, TaskEntry]:
        """The rows of those tasks that exist."""
        found: dict[TaskId, TaskEntry] = {}
        missing: list[TaskId] = []
        for task_id in ids:
            task = self._tasks.get(task_id)
            if task is None:
                missing.append(task_id)
            else:
                found[task_id] = task
        for chunk in _chunks(missing, 1):
            count = min(MAX_VARIABLES, _power_of_two(len(chunk)))
            where = f"task WHERE id IN ({_marks(count)})"
            padded = [*chunk, *[None] * (count - len(chunk))]
            for task in select(self._connection, TASKS, TASK_ROW, where, padded):
                found[task.id] = task
        return found

    def keys(self, lines: Iterable[Line]) -> dict[Line, KeyEntry]:
        """Idempotency keys by gate and key."""
        found: dict[Line, KeyEntry] = {}
        for chunk in _chunks(list(lines), 2):
            where = f"key WHERE (gate, key) IN (VALUES {_tuples(len(chunk), 2)})"
            flat = [part for line in chunk for part in line]
            for entry in select(self._connection, KEYS, KEY_ROW, where, flat):
                found[entry.gate, entry.key] = entry
        return found

    def _gate_entries(self, names: Iterable[GateName]) -> dict[GateName, GateEntry]:
        found = {name: self._gates[name] for name in names if name in self._gates}
        missing = [name for name in names if name not in found]
        for chunk in _chunks(missing, 1):
            where = f"gate WHERE name IN ({_marks(len(chunk))})"
            for gate in select(self._connection, GATES, GATE_ROW, where, chunk):
                found[gate.name] = gate
        return found

    def _series(self, names: Iterable[SeriesName]) -> dict[SeriesName, SeriesEntry]:
        found: dict[SeriesName, SeriesEntry] = {}
        for chunk in _chunks(list(names), 1):
            where = f"series WHERE name IN ({_marks(len(chunk))})"
            for series in select(self._connection, SERIES, SERIES_ROW, where, chunk):
                found[series.name] = series
        return found

    def _lines(
        self, lines: dict[Line, int], tasks: dict[TaskId, TaskEntry]
    ) -> dict[Line, list[TaskId]]:
        """The lowest open tasks of each line, added to `tasks`: one more than the batch touches."""
        found: dict[Line, list[TaskId]] = {}
        for touched in sorted(set(lines.values())):
            same = [line for line, count in lines.items() if count == touched]
            for chunk in _chunks(same, 2):
                source = (
                    f"(VALUES {_tuples(len(chunk), 2)}) AS line CROSS JOIN task ON number IN ("
                    "SELECT number FROM task WHERE gate = line.column1"
                    " AND order_key = line.column2 AND order_key <> ''"
                    f" AND state <= {LAST_OPEN} ORDER BY number LIMIT {touched + 1})"
                )
                flat = [part for line in chunk for part in line]
                for task in select(self._connection, TASKS, TASK_ROW, source, flat):
                    tasks.setdefault(task.id, task)
                    found.setdefault((task.gate, task.order_key), []).append(task.id)
        return found

    def write(self, changes: Changes) -> None:
        """Store what a fold gave, in the order that `Changes` asks for."""
        insert, put, out = self._insert, self._put, changes
        insert(f"INSERT INTO task ({TASK_COLUMNS})", _rows(out.submitted))
        if out.changed:
            rows = [
                (
                    task.number,
                    task.state,
                    task.version,
                    task.due_at,
                    task.changed_at,
                    task.attempts,
                    task.nominal_at,
                    task.expires_at,
                    task.held,
                    task.started,
                )
                for task in out.changed
            ]
            put(f"{_UPDATE_TASKS} FROM (", rows, ") AS v WHERE task.number = v.column1")
        insert(f"INSERT OR IGNORE INTO label ({LABEL_COLUMNS})", _rows(out.labels))
        insert(f"INSERT OR REPLACE INTO key ({KEY_COLUMNS})", _rows(out.keys))
        put(
            "UPDATE key SET dead_at = v.column4 FROM (",
            [(end.gate, end.key, end.task, end.dead_at) for end in out.key_ends],
            ") AS v WHERE key.gate = v.column1 AND key.key = v.column2 AND key.task = v.column3",
        )
        insert(f"INSERT INTO attempt ({ATTEMPT_COLUMNS})", _rows(out.starts))
        self._end_attempts(out.ends)
        insert(f"INSERT OR REPLACE INTO gate ({GATE_COLUMNS})", _rows(out.gates))
        insert(f"INSERT OR REPLACE INTO series ({SERIES_COLUMNS})", _rows(out.series))
        self._add_due(changes)
        self._move_lanes(changes)
        self._add_outcomes(changes)

    def keep(self, changes: Changes) -> None:
        """Remember committed rows that are likely to be asked for again, oldest out first."""
        for entries in (changes.submitted, changes.changed):
            for task in entries:
                self._tasks.pop(task.id, None)
                if task.state <= LAST_OPEN:
                    self._tasks[task.id] = task
        for gate in changes.gates:
            self._gates.pop(gate.name, None)
            self._gates[gate.name] = gate
        _trim(self._tasks, MAX_CACHED_TASKS)
        _trim(self._gates, MAX_CACHED_GATES)

    def _end_attempts(self, ends: Sequence[AttemptEntry]) -> None:
        self._put(
            "UPDATE attempt SET ended_position = v.column2, ended_at = v.column3,"
            " outcome = v.column4 FROM (",
            [(end.position, end.ended_position, end.ended_at, end.outcome) for end in ends],
            ") AS v WHERE attempt.position = v.column1",
        )

    def _add_due(self, changes: Changes) -> None:
        self._insert(
            "INSERT INTO due_bucket (gate, held, minute, count)",
            [(*place, count) for place, count in changes.due.items()],
            " ON CONFLICT (gate, held, minute) DO UPDATE SET count = count + excluded.count",
        )
        if any(count < 0 for count in changes.due.values()):
            self._connection.execute("DELETE FROM due_bucket WHERE count = 0")

    def _move_lanes(self, changes: Changes) -> None:
        """Counts by sums; what is due next from the task rows, one search for each lane."""
        self._insert(
            "INSERT INTO lane (gate, fair_key, priority, waiting)",
            [(*place, count) for place, count in changes.lanes.items()],
            " ON CONFLICT (gate, fair_key, priority)"
            " DO UPDATE SET waiting = waiting + excluded.waiting",
        )
        places = list(changes.lanes)
        these = "(gate, fair_key, priority) IN ("
        self._put(f"DELETE FROM lane WHERE waiting = 0 AND {these}", places, ")")
        update = f"UPDATE lane SET (next_due_at, next_number) = {_LANE_NEXT} WHERE {these}"
        self._put(update, places, ")")

    def _add_outcomes(self, changes: Changes) -> None:
        for chunk in _chunks(list(changes.cleared), 1):
            self._connection.execute(
                f"DELETE FROM outcome WHERE gate IN ({_marks(len(chunk))})", chunk
            )
        self._insert(
            "INSERT INTO outcome (gate, second, ended, failed)",
            [
                (gate, second, ends.ended, ends.failed)
                for (gate, second), ends in changes.outcomes.items()
            ],
            " ON CONFLICT (gate, second) DO UPDATE"
            " SET ended = ended + excluded.ended, failed = failed + excluded.failed",
        )
        self._put("DELETE FROM outcome WHERE (gate, second) IN (", list(changes.forgotten), ")")

    def _insert(self, into: str, rows: Values, on_conflict: str = "") -> None:
        insert(self._connection, into, rows, on_conflict)

    def _put(self, before: str, rows: Values, after: str) -> None:
        put(self._connection, before, rows, after)


def select(
    connection: sqlite3.Connection,
    decoder: "msgspec.json.Decoder[list[T]]",
    row: str,
    source: str,
    params: Sequence[object] | Mapping[str, object] = (),
) -> list[T]:
    """Rows of one statement, handed over by SQLite as one value. `row` is the JSON of one row,
    `source` what follows FROM."""
    sql = f"SELECT json_group_array({row}) FROM {source}"
    return decoder.decode(connection.execute(sql, params).fetchone()[0])


def json_object(struct: type[msgspec.Struct]) -> str:
    """SQL for one row as a JSON object with the fields of `struct`."""
    fields = ", ".join(f"'{name}', {name}" for name in struct.__struct_fields__)
    return f"json_object({fields})"


def insert(connection: sqlite3.Connection, into: str, rows: Values, on_conflict: str = "") -> None:
    """One INSERT of all rows; the first value of a row is never None."""
    put(connection, f"{into} SELECT * FROM (", rows, f") WHERE column1 IS NOT NULL{on_conflict}")


def put(connection: sqlite3.Connection, before: str, rows: Values, after: str) -> None:
    """One statement around `VALUES (...), ...`; more only beyond the bound of variables.

    Rows of NULL, which must match nothing, fill it up to a power of two, so that a few prepared
    statements serve batches of every size: preparing one costs as much as running it.
    """
    if not rows:
        return
    width = len(rows[0])
    most = MAX_VARIABLES // width
    for chunk in _chunks(rows, width):
        count = min(most, _power_of_two(len(chunk)))
        flat = [value for row in chunk for value in row]
        flat += [None] * (count * width - len(flat))
        connection.execute(_around_values(before, count, width, after), flat)


@lru_cache(maxsize=STATEMENTS)
def _around_values(before: str, count: int, width: int, after: str) -> str:
    return f"{before} VALUES {_tuples(count, width)}{after}"


def _power_of_two(count: int) -> int:
    """The first that is not below `count`."""
    return 1 << (count - 1).bit_length()


def _rows(entries: Sequence[msgspec.Struct]) -> Values:
    return [astuple(entry) for entry in entries]


def _chunks(rows: Sequence[T], width: int) -> Iterable[Sequence[T]]:
    size = MAX_VARIABLES // width
    if len(rows) <= size:
        return (rows,) if rows else ()
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _marks(count: int) -> str:
    return ",".join("?" * count)


def _tuples(count: int, width: int) -> str:
    return ",".join([f"({_marks(width)})"] * count)


def _trim(cache: dict[T, V], most: int) -> None:
    for key in list(islice(cache, max(0, len(cache) - most))):
        del cache[key]
