"""The rows of the task index: reads those a batch may touch, writes those it left.

Rules of residence: statements for the rows of `events/rows.py`, the same for every database, run
inside a transaction of the caller's. What a fact changes is decided in `events/index.py` alone.
One statement for each table and batch, for reading as for writing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from operator import attrgetter
from typing import Literal, TypeVar

import msgspec
from msgspec.structs import astuple

from taskmaster.events.batch import Stored, lines_of
from taskmaster.events.database import Database, Values, read_tails
from taskmaster.events.index_schema import (
    ATTEMPT,
    BULK,
    DUE_BUCKET,
    GATE,
    KEY,
    LABEL,
    LANE,
    OUTCOME,
    SERIES,
    TASK,
    Kind,
    Table,
)
from taskmaster.events.log import Append, Recorded, VersionConflict
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
    task_of,
)
from taskmaster.events.types import GateName, Position, SeriesName, Stream, TaskId

MAX_CACHED_TASKS = 8_192  # about 700 bytes each
MAX_CACHED_GATES = 8_192

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
V = TypeVar("V")


class _Part(msgspec.Struct, frozen=True):
    """Some columns of a table, the first its key, and their values in an entry."""

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    values: Callable[[object], tuple[object, ...]]


def _part(table: Table, *names: str) -> _Part:
    return _Part(names, table.kinds(*names), attrgetter(*names))


_TASK_CHANGES = _part(
    TASK,
    *("number", "state", "version", "band", "due_at", "changed_at"),
    *("attempts", "nominal_at", "expires_at", "held", "started"),
)
_TASK_STEPS = _part(TASK, "number", "state", "version", "changed_at", "attempts", "started")
"""What a start and its end change: each value that is handed over costs 0.25 us."""
_TASK_ALTERED = _part(TASK, "number", "gate", "url", "priority")
_BULK_MOVES = _part(BULK, "id", "version", "ended")
_STARTS = _part(ATTEMPT, "position", "gate", "task", "attempt", "slot_at")
_ENDS = _part(ATTEMPT, "position", "ended_position", "ended_at", "outcome")

_LANE_NEXT = f"""(SELECT due_at, number FROM task WHERE task.gate = lane.gate
    AND task.fair_key = lane.fair_key AND task.band = lane.band
    AND state = {WAITING} AND held = 0 ORDER BY due_at, number LIMIT 1)"""


class IndexTables:
    """Rows of the index on one writing connection, with a cache of committed ones.

    The cache holds what is committed and nothing else: `keep` adds to it after a commit, so that
    a rolled back batch leaves no trace in it.
    """

    def __init__(self, database: Database) -> None:
        """Stand on a connection; reads nothing yet."""
        self._database = database
        self._tasks: dict[TaskId, TaskEntry] = {}
        self._gates: dict[GateName, GateEntry] = {}

    def forget(self) -> None:
        """Drop the cache: somebody else changed the tables, or it is unknown what is stored."""
        self._tasks.clear()
        self._gates.clear()

    def stored(self, batch: Sequence[Append], position: Position) -> Stored:
        """What the log, now at `position`, holds of the streams and keys that the batch names."""
        streams = {write.stream for append in batch for write in append.writes}
        ids = {task_of(stream) for stream in streams if stream.startswith("task-")}
        tasks = self.tasks(ids)
        tails = {Stream(f"task-{task.id}"): task.version for task in tasks.values()}
        others = [stream for stream in streams if not stream.startswith("task-")]
        tails |= read_tails(self._database, others)
        lines = lines_of(batch, tasks)
        keys = self.keys(lines) if lines else {}
        return Stored(tails, keys, tasks, position)

    def conflict(self, append: Append) -> VersionConflict | None:
        """Where an append that was judged by the index is not what the log expects."""
        tails = read_tails(self._database, [write.stream for write in append.writes])
        for write in append.writes:
            if tails[write.stream] != write.expected:
                return VersionConflict(write.stream, tails[write.stream])
        return None

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
        for task in self._among(TaskEntry, TASK, "id", missing):
            found[task.id] = task
        return found

    def keys(self, lines: Iterable[Line]) -> dict[Line, KeyEntry]:
        """Idempotency keys by gate and key."""
        kinds = KEY.kinds("gate", "key")
        rows = self._matching(KeyEntry, "key WHERE (gate, key) IN (", kinds, list(lines), ")")
        return {(entry.gate, entry.key): entry for entry in rows}

    def _gate_entries(self, names: Iterable[GateName]) -> dict[GateName, GateEntry]:
        found = {name: self._gates[name] for name in names if name in self._gates}
        missing = [name for name in names if name not in found]
        for gate in self._among(GateEntry, GATE, "name", missing):
            found[gate.name] = gate
        return found

    def _series(self, names: Iterable[SeriesName]) -> dict[SeriesName, SeriesEntry]:
        rows = self._among(SeriesEntry, SERIES, "name", names)
        return {series.name: series for series in rows}

    def _lines(
        self, lines: dict[Line, int], tasks: dict[TaskId, TaskEntry]
    ) -> dict[Line, list[TaskId]]:
        """The lowest open tasks of each line, added to `tasks`: one more than the batch touches."""
        found: dict[Line, list[TaskId]] = {}
        for touched in sorted(set(lines.values())):
            same = [line for line, count in lines.items() if count == touched]
            lowest = self._database.best_of(
                "WHERE gate = line.column1 AND order_key = line.column2 AND order_key <> ''"
                f" AND state <= {LAST_OPEN} ORDER BY number LIMIT {touched + 1}"
            )
            kinds = TASK.kinds("gate", "order_key")
            for task in self._matching(TaskEntry, "(", kinds, same, f") AS line {lowest}"):
                tasks.setdefault(task.id, task)
                found.setdefault((task.gate, task.order_key), []).append(task.id)
        return found

    def _among(self, row: type[S], table: Table, column: str, keys: Iterable[str]) -> Sequence[S]:
        rows = [(key,) for key in keys]
        before = f"{table.name} WHERE {column} IN ("
        return self._matching(row, before, table.kinds(column), rows, ")") if rows else ()

    def _matching(
        self, row: type[S], before: str, kinds: Sequence[Kind], rows: Values, after: str
    ) -> Sequence[S]:
        return self._database.matching(row, before, kinds, rows, after) if rows else ()

    def write(self, changes: Changes) -> None:
        """Store what a fold gave, in the order that `Changes` asks for."""
        out = changes
        self._insert(TASK, _rows(out.submitted))
        self._update(TASK, _TASK_STEPS, out.stepped)
        self._update(TASK, _TASK_CHANGES, out.changed)
        self._update(TASK, _TASK_ALTERED, out.altered)
        self._insert(LABEL, _rows(out.labels), "ignore")
        self._insert(KEY, _rows(out.keys), "replace")
        self._put(
            "UPDATE key SET dead_at = v.column4 FROM (",
            KEY.kinds("gate", "key", "task", "dead_at"),
            [(end.gate, end.key, end.task, end.dead_at) for end in out.key_ends],
            ") AS v WHERE key.gate = v.column1 AND key.key = v.column2 AND key.task = v.column3",
        )
        self._start_attempts(out.starts)
        self._update(ATTEMPT, _ENDS, out.ends)
        self._insert(GATE, _rows(out.gates), "replace")
        self._insert(SERIES, _rows(out.series), "replace")
        self._insert(BULK, _rows(out.bulks))
        self._update(BULK, _BULK_MOVES, out.bulk_moves)
        self._add_due(changes)
        self._move_lanes(changes)
        self._add_outcomes(changes)

    def keep(self, changes: Changes) -> None:
        """Remember committed rows that are likely to be asked for again, oldest out first."""
        for entries in (changes.submitted, changes.stepped, changes.changed):
            for task in entries:
                self._tasks.pop(task.id, None)
                if task.state <= LAST_OPEN:
                    self._tasks[task.id] = task
        for gate in changes.gates:
            self._gates.pop(gate.name, None)
            self._gates[gate.name] = gate
        _trim(self._tasks, MAX_CACHED_TASKS)
        _trim(self._gates, MAX_CACHED_GATES)

    def _start_attempts(self, starts: Sequence[AttemptEntry]) -> None:
        """What has not ended in the same batch leaves its end to the columns' defaults."""
        self._put(
            f"INSERT INTO attempt ({', '.join(_STARTS.names)}) SELECT * FROM (",
            _STARTS.kinds,
            [_STARTS.values(start) for start in starts if start.ended_position is None],
            ") AS v WHERE column1 IS NOT NULL",
        )
        ended = [start for start in starts if start.ended_position is not None]
        self._insert(ATTEMPT, _rows(ended))

    def _update(self, table: Table, part: _Part, entries: Sequence[msgspec.Struct]) -> None:
        if not entries:
            return
        key, *columns = part.names
        sets = (f"{column} = v.column{place}" for place, column in enumerate(columns, start=2))
        self._put(
            f"UPDATE {table.name} SET {', '.join(sets)} FROM (",
            part.kinds,
            [part.values(entry) for entry in entries],
            f") AS v WHERE {table.name}.{key} = v.column1",
        )

    def _add_due(self, changes: Changes) -> None:
        rows = [(*place, count) for place, count in changes.due.items()]
        self._insert(DUE_BUCKET, rows, "add")
        emptied = [place for place, count in changes.due.items() if count < 0]
        self._delete(DUE_BUCKET, emptied, "count = 0 AND ")

    def _move_lanes(self, changes: Changes) -> None:
        """Counts by sums; what is due next from the task rows, one search for each lane."""
        rows = [(*place, count, None, None) for place, count in changes.lanes.items()]
        self._insert(LANE, rows, "add")
        if not rows:
            return
        places = list(changes.lanes)
        self._delete(LANE, places, "waiting = 0 AND ")
        update = f"UPDATE lane SET (next_due_at, next_number) = {_LANE_NEXT} WHERE"
        self._put(f"{update} ({', '.join(LANE.key)}) IN (", LANE.kinds(*LANE.key), places, ")")

    def _add_outcomes(self, changes: Changes) -> None:
        names = [(gate,) for gate in changes.cleared]
        self._put("DELETE FROM outcome WHERE gate IN (", OUTCOME.kinds("gate"), names, ")")
        rows = [
            (gate, second, ends.ended, ends.failed, ends.took_ns)
            for (gate, second), ends in changes.outcomes.items()
        ]
        self._insert(OUTCOME, rows, "add")
        self._delete(OUTCOME, list(changes.forgotten))

    def _insert(
        self, table: Table, rows: Values, conflict: Literal["", "ignore", "replace", "add"] = ""
    ) -> None:
        """One INSERT of all rows; the first value of a row is never None."""
        if rows:  # most tables have none in most batches
            after = f") AS v WHERE column1 IS NOT NULL{_on_conflict(table, conflict)}"
            before = f"INSERT INTO {table.name} ({table.names}) SELECT * FROM ("
            self._put(before, table.kinds(), rows, after)

    def _delete(self, table: Table, keys: Values, where: str = "") -> None:
        if not keys:
            return
        before = f"DELETE FROM {table.name} WHERE {where}({', '.join(table.key)}) IN ("
        self._put(before, table.kinds(*table.key), keys, ")")

    def _put(self, before: str, kinds: Sequence[Kind], rows: Values, after: str) -> None:
        if rows:
            self._database.put(before, kinds, rows, after)


@cache
def _on_conflict(table: Table, conflict: Literal["", "ignore", "replace", "add"]) -> str:
    if not conflict:
        return ""
    key = f" ON CONFLICT ({', '.join(table.key)}) DO"
    others = [column for column in table.columns if column.name not in table.key]
    match conflict:
        case "ignore":
            return f"{key} NOTHING"
        case "replace":
            sets = [f"{column.name} = excluded.{column.name}" for column in others]
        case "add":  # counts; what may be absent is no count
            sets = [
                f"{column.name} = {table.name}.{column.name} + excluded.{column.name}"
                for column in others
                if not column.is_nullable
            ]
    return f"{key} UPDATE SET {', '.join(sets)}"


def _rows(entries: Sequence[msgspec.Struct]) -> Values:
    return [astuple(entry) for entry in entries]


def _trim(cache: dict[T, V], most: int) -> None:
    for key in list(islice(cache, max(0, len(cache) - most))):
        del cache[key]
