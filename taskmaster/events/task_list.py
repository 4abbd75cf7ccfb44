"""Lists of tasks by filter, newest first.

Rules of residence: which index drives a list, and the public form of a task's row. Each list
reads from the narrowest index that its filter offers; what is left of the filter is applied row
by row.
"""

import heapq
from collections.abc import Sequence

from taskmaster.events.database import Database
from taskmaster.events.index_schema import TASK
from taskmaster.events.log import RowState, TaskFilter, TaskRow
from taskmaster.events.rows import IN_FLIGHT, STATES, TaskEntry
from taskmaster.events.types import GateName, Position

NO_BOUND = 2**63 - 1

_IN_STATE = [f"WHERE gate = :of AND state = {state} AND" for state in range(len(STATES))]
# Those in flight are not in the index of lists; they are few, and their attempts are open.
_IN_STATE[IN_FLIGHT] = f"""WHERE id IN (SELECT task FROM attempt WHERE gate = :of
    AND ended_position IS NULL) AND state = {IN_FLIGHT} AND"""


def public_row(task: TaskEntry) -> TaskRow:
    """A row as the rest of the program sees it."""
    return TaskRow(
        task=task.id,
        number=task.number,
        gate=task.gate,
        state=STATES[task.state],
        version=task.version,
        priority=task.priority,
        due_at=task.due_at,
        submitted_at=task.submitted_at,
        changed_at=task.changed_at,
        attempts=task.attempts,
        url=task.url,
        expires_at=task.expires_at,
        fair_key=task.fair_key,
        order_key=task.order_key,
        series=task.series,
        nominal_at=task.nominal_at,
        held=task.held != 0,
    )


def list_tasks(
    database: Database, match: TaskFilter, *, before: Position | None, limit: int
) -> tuple[TaskRow, ...]:
    """Matching tasks, newest first, from before a number on."""
    below = NO_BOUND if before is None else before
    params: dict[str, object] = {"below": below, "limit": limit}
    where = _conditions(match, params)
    if match.labels:
        source = _from_labels(match, where, params)
    elif match.series is None and not match.key and (match.gate is not None or match.states):
        found = _from_states(database, match, where, params)
        tasks = _numbered(database, heapq.nlargest(limit, found))
        return tuple(public_row(task) for task in tasks)
    else:
        source = f"""(SELECT * FROM task WHERE number < :below{where}
            ORDER BY number DESC LIMIT :limit) AS newest"""
    return tuple(public_row(task) for task in database.select(TaskEntry, source, params))


def _numbered(database: Database, numbers: Sequence[int]) -> list[TaskEntry]:
    """Tasks by number, newest first."""
    before, after = "(SELECT * FROM task WHERE number IN (", ") ORDER BY number DESC) AS newest"
    rows = [(number,) for number in numbers]
    return database.matching(TaskEntry, before, TASK.kinds("number"), rows, after) if rows else []


def _from_labels(match: TaskFilter, where: str, params: dict[str, object]) -> str:
    """Walk the first label from its newest task back."""
    for place, (key, value) in enumerate(match.labels):
        params |= {f"key_{place}": key, f"value_{place}": value}
        if place:
            where += (
                f" AND EXISTS (SELECT 1 FROM label AS other WHERE other.key = :key_{place}"
                f" AND other.value = :value_{place} AND other.number = task.number)"
            )
    return f"""(SELECT task.* FROM label AS first CROSS JOIN task
        WHERE task.number = first.number
            AND first.key = :key_0 AND first.value = :value_0 AND first.number < :below{where}
        ORDER BY first.number DESC LIMIT :limit) AS newest"""


def _from_states(
    database: Database, match: TaskFilter, where: str, params: dict[str, object]
) -> list[int]:
    """Merge the newest of each gate and state that the filter names."""
    states = [STATES.index(state) for state in match.states] or list(range(len(STATES)))
    gates = [match.gate] if match.gate is not None else _gates_with(database, match.states)
    terms = [
        f"""SELECT number FROM (SELECT number FROM task {_IN_STATE[state]}
            number < :below{where} ORDER BY number DESC LIMIT :limit) AS s{state}"""
        for state in states
    ]
    source = f"({' UNION ALL '.join(terms)}) AS newest"
    found: list[int] = []
    for gate in gates:
        found += database.column("number", source, params | {"of": gate})
    return found


def _gates_with(database: Database, states: Sequence[RowState]) -> list[GateName]:
    counts = " + ".join(states)
    return database.column("name", f"gate WHERE {counts} > 0")


def _conditions(match: TaskFilter, params: dict[str, object]) -> str:
    """The filter without its labels, row by row; its parameters go into `params`."""
    where = ""
    if match.key:
        gates = "SELECT name FROM gate" if match.gate is None else ":gate"
        where += f" AND id IN (SELECT task FROM key WHERE gate IN ({gates}) AND key = :key)"
        params["key"] = match.key
    if match.series is not None:
        where += " AND series = :series"
        params["series"] = match.series
    if match.gate is not None:
        where += " AND gate = :gate"
        params["gate"] = match.gate
    if match.states:
        numbers = [str(STATES.index(state)) for state in match.states]
        where += f" AND state IN ({','.join(numbers)})"
    if match.fair_key:
        where += " AND fair_key = :fair_key"
        params["fair_key"] = match.fair_key
    if match.due_before is not None:
        where += " AND due_at < :due_before"
        params["due_before"] = match.due_before
    if match.due_after is not None:
        where += " AND due_at > :due_after"
        params["due_after"] = match.due_after
    return where
