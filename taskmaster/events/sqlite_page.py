"""What comes next in a gate: the merge of its priorities' ranges (hard spot 5).

Rules of residence: one page, inside one snapshot. Nothing here is proportional to what waits:
ten range reads of at most a page each, then the streams of the tasks that fit.
"""

import sqlite3

import msgspec

from taskmaster.events.log import Page, WaitingTask
from taskmaster.events.rows import PRIORITIES, WAITING, TaskEntry
from taskmaster.events.sqlite_events import newest_position, read_streams, stream_sizes
from taskmaster.events.sqlite_index import TASK_ROW, TASKS, select
from taskmaster.events.sqlite_list import public_row
from taskmaster.events.sqlite_schema import TASK_COLUMNS
from taskmaster.events.types import GateName, TaskId, Wall, task_stream

MAX_EXPIRED = 500

_IDS = msgspec.json.Decoder(list[TaskId])
_READY = f"gate = :gate AND priority = {{}} AND state = {WAITING} AND held = 0"
_RANGES = " UNION ALL ".join(
    f"SELECT * FROM (SELECT {TASK_COLUMNS} FROM task WHERE {_READY.format(priority)}"
    " AND due_at <= :until ORDER BY due_at, number LIMIT :most)"
    for priority in PRIORITIES
)
_BY_RANK = f"""(SELECT * FROM ({_RANGES})
    ORDER BY due_at - priority * :aging_ns, number LIMIT :most)"""
_EXPIRED = f"""(SELECT id FROM task WHERE gate = ? AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at, number LIMIT ?)"""
_NEXT_EXPIRY = f"""SELECT min(expires_at) FROM task WHERE gate = ? AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at > ?"""
_NEXT_DUE = f"""SELECT min((SELECT due_at FROM task
        WHERE gate = ? AND priority = p.column1 AND state = {WAITING} AND held = 0
          AND due_at > ? ORDER BY due_at LIMIT 1))
    FROM (VALUES {", ".join(f"({priority})" for priority in PRIORITIES)}) AS p"""


def next_page(
    connection: sqlite3.Connection,
    gate: GateName,
    now: Wall,
    until: Wall,
    *,
    limit: int,
    aging_ns: int,
    max_bytes: int,
) -> Page:
    """The page at the snapshot of the caller's transaction: what is due at `until`, not earlier
    than `now`, by which tasks expire.

    A page holds at least one task where there is one, however large. Tasks past their
    `expires_at` are told apart; where there are more of them than one page tells, the page may be
    short and is not complete.
    """
    position = newest_position(connection)
    expired = select(connection, _IDS, "id", _EXPIRED, (gate, now, MAX_EXPIRED))
    most = limit + 1 + len(expired)
    ranked = select(
        connection,
        TASKS,
        TASK_ROW,
        _BY_RANK,
        {"gate": gate, "until": until, "aging_ns": aging_ns, "most": most},
    )
    alive = [task for task in ranked if task.expires_at is None or task.expires_at > now]
    tasks = _with_events(connection, alive[:limit], max_bytes)
    return Page(
        position=position,
        complete=len(ranked) < most and len(tasks) == len(alive),
        tasks=tasks,
        next_due_at=connection.execute(_NEXT_DUE, (gate, until)).fetchone()[0],
        next_expiry_at=connection.execute(_NEXT_EXPIRY, (gate, now)).fetchone()[0],
        expired=tuple(expired),
    )


def _with_events(
    connection: sqlite3.Connection, tasks: list[TaskEntry], max_bytes: int
) -> tuple[WaitingTask, ...]:
    """The first tasks whose streams fit together, with their streams."""
    if not tasks:
        return ()
    streams = [task_stream(task.id) for task in tasks]
    sizes = stream_sizes(connection, streams)
    fitting, total = 0, 0
    for stream in streams:
        total += sizes[stream]
        if fitting and total > max_bytes:
            break
        fitting += 1
    events = read_streams(connection, streams[:fitting])
    return tuple(
        WaitingTask(public_row(task), tuple(recorded.event for recorded in events[stream]))
        for task, stream in zip(tasks[:fitting], streams[:fitting], strict=True)
    )
