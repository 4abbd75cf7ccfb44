"""Lists of tasks by filter, newest first.

Rules of residence: which index drives a list, and the public form of a task's row. Each list
reads from the narrowest index that its filter offers; what is left of the filter is applied row
by row.
"""

import heapq
import sqlite3
from collections.abc import Sequence

import msgspec

from taskmaster.events.log import RowState, TaskFilter, TaskRow
from taskmaster.events.rows import IN_FLIGHT, STATES, TaskEntry
from taskmaster.events.sqlite_index import TASK_ROW, TASKS, select
from taskmaster.events.types import GateName, Position

NO_BOUND = 2**63 - 1
_NAMES = msgspec.json.Decoder(list[GateName])
_NUMBERS = msgspec.json.Decoder(list[int])

_IN_STATE = [f"WHERE gate = ? AND state = {state} AND" for state in range(len(STATES))]
# Those in flight are not in the index of lists; they are few, and their attempts are open.
_IN_STATE[IN_FLIGHT] = f"""WHERE id IN (SELECT task FROM attempt WHERE gate = ?
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
    connection: sqlite3.Connection, match: TaskFilter, *, before: Position | None, limit: int
) -> tuple[TaskRow, ...]:
    """Matching tasks, newest first, from before a number on."""
    below = NO_BOUND if before is None else before
    if match.labels:
        source, params = _from_labels(match, below, limit)
    elif match.series is None and not match.key and (match.gate is not None or match.states):
        numbers = _from_states(connection, match, below, limit)
        marks = ",".join("?" * len(numbers))
        source, params = f"(SELECT * FROM task WHERE number IN ({marks})", list[object](numbers)
        source += " ORDER BY number DESC)"
    else:
        where, params = _conditions(match)
        source = f"(SELECT * FROM task WHERE number < ?{where} ORDER BY number DESC LIMIT ?)"
        params = [below, *params, limit]
    return tuple(public_row(task) for task in select(connection, TASKS, TASK_ROW, source, params))


def _from_labels(match: TaskFilter, below: int, limit: int) -> tuple[str, list[object]]:
    """Walk the first label from its newest task back."""
    (key, value), *others = match.labels
    where, params = _conditions(match)
    for _ in others:
        where += (
            " AND EXISTS (SELECT 1 FROM label AS other WHERE other.key = ?"
            " AND other.value = ? AND other.number = task.number)"
        )
    params += [part for other in others for part in other]
    source = f"""(SELECT task.* FROM label AS first CROSS JOIN task ON task.number = first.number
        WHERE first.key = ? AND first.value = ? AND first.number < ?{where}
        ORDER BY first.number DESC LIMIT ?)"""
    return source, [key, value, below, *params, limit]


def _from_states(
    connection: sqlite3.Connection, match: TaskFilter, below: int, limit: int
) -> list[int]:
    """Merge the newest of each gate and state that the filter names."""
    states = [STATES.index(state) for state in match.states] or list(range(len(STATES)))
    gates = [match.gate] if match.gate is not None else _gates_with(connection, match.states)
    where, params = _conditions(match)
    newest = f"number < ?{where} ORDER BY number DESC LIMIT ?"
    found: list[int] = []
    for gate in gates:
        terms: list[str] = []
        all_params: list[object] = []
        for state in states:
            terms.append(
                f"SELECT number FROM (SELECT number FROM task {_IN_STATE[state]} {newest})"
            )
            all_params += [gate, below, *params, limit]
        source = f"({' UNION ALL '.join(terms)})"
        found += select(connection, _NUMBERS, "number", source, all_params)
    return heapq.nlargest(limit, found)


def _gates_with(connection: sqlite3.Connection, states: Sequence[RowState]) -> list[GateName]:
    counts = " + ".join(states)
    return select(connection, _NAMES, "name", f"gate WHERE {counts} > 0")


def _conditions(match: TaskFilter) -> tuple[str, list[object]]:
    """The filter without its labels, row by row."""
    where, params = "", list[object]()
    if match.key:
        gates = "SELECT name FROM gate" if match.gate is None else "?"
        where += f" AND id IN (SELECT task FROM key WHERE gate IN ({gates}) AND key = ?)"
        params += [match.key] if match.gate is None else [match.gate, match.key]
    if match.series is not None:
        where += " AND series = ?"
        params.append(match.series)
    if match.gate is not None:
        where += " AND gate = ?"
        params.append(match.gate)
    if match.states:
        where += f" AND state IN ({','.join('?' * len(match.states))})"
        params += [STATES.index(state) for state in match.states]
    if match.due_before is not None:
        where += " AND due_at < ?"
        params.append(match.due_before)
    if match.due_after is not None:
        where += " AND due_at > ?"
        params.append(match.due_after)
    return where, params
