"""What comes next in a gate: the merge of its priorities' ranges (hard spot 5).

Rules of residence: one page, inside one snapshot. Nothing here is proportional to what waits:
ten range reads of at most a page each, then the streams of the tasks that fit. Where tasks have
a `fair_key`, each lane has ranges of its own; lanes in which nothing is due are stepped over.
"""

import sqlite3
from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import Struct

from taskmaster.events.log import Page, WaitingTask
from taskmaster.events.rows import PRIORITIES, WAITING, TaskEntry
from taskmaster.events.sqlite_events import newest_position, read_streams, stream_sizes
from taskmaster.events.sqlite_index import TASK_ROW, TASKS, select
from taskmaster.events.sqlite_list import public_row
from taskmaster.events.sqlite_ready import EACH_PRIORITY, READY, first_due, first_keyless
from taskmaster.events.sqlite_schema import TASK_COLUMNS
from taskmaster.events.types import GateName, TaskId, Wall, task_stream

MAX_EXPIRED = 500

PAGE_LANES = 400
"""Each takes a search; of as many lanes, one task each is enough for a page."""

_IDS = msgspec.json.Decoder(list[TaskId])
_KEYS = msgspec.json.Decoder(list[str])
_LANE = f"gate = :gate AND fair_key = :lane AND priority = {{}} AND {READY}"
_RANGES = " UNION ALL ".join(
    f"SELECT * FROM (SELECT {TASK_COLUMNS} FROM task WHERE {_LANE.format(priority)}"
    " AND due_at <= :until ORDER BY due_at, number LIMIT :most)"
    for priority in PRIORITIES
)
_BY_RANK = f"""(SELECT * FROM ({_RANGES})
    ORDER BY due_at - priority * :aging_ns, number LIMIT :most)"""
_DUE_LANES = "FROM lane WHERE gate = :gate AND next_due_at <= :until AND fair_key"
_LANES = f"""(SELECT DISTINCT fair_key {_DUE_LANES} > :after ORDER BY fair_key LIMIT :most)"""
_LANES_BEFORE = f"""(SELECT DISTINCT fair_key {_DUE_LANES} <= :after
    ORDER BY fair_key LIMIT :most)"""
# The ranges of some lanes: those that have a row, and the keyless one's.
_SOME_RANGES = f"""(SELECT fair_key, priority FROM json_each(:lanes) CROSS JOIN lane
        ON gate = :gate AND fair_key = value AND next_due_at <= :until
    UNION ALL
    SELECT value, p.column1 FROM json_each(:lanes) CROSS JOIN {EACH_PRIORITY}
        WHERE value = '')"""
_BY_LANE = f"""(SELECT task.* FROM {_SOME_RANGES} AS some CROSS JOIN task ON number IN (
    SELECT number FROM task WHERE gate = :gate AND fair_key = some.fair_key
        AND priority = some.priority AND {READY} AND due_at <= :until
        AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY due_at, number LIMIT :most))"""
# The next of each lane and priority without a search: one that has expired is passed over.
_HEADS = """(SELECT task.* FROM json_each(:lanes) CROSS JOIN lane
    ON lane.gate = :gate AND lane.fair_key = value AND next_due_at <= :until
    CROSS JOIN task ON number = next_number WHERE expires_at IS NULL OR expires_at > :now)"""
_EXPIRED = f"""(SELECT id FROM task WHERE gate = ? AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at, number LIMIT ?)"""
_NEXT_EXPIRY = f"""SELECT min(expires_at) FROM task WHERE gate = ? AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at > ?"""
_NEXT_DUE = f"SELECT {first_due(':gate', 'due_at > :until')}"

_encoder = msgspec.json.Encoder()


class _Chosen(Struct, frozen=True):
    """What a page could hold, before the bytes are looked at."""

    tasks: list[TaskEntry]
    cut: frozenset[str]
    more_lanes: bool = False


def next_page(
    connection: sqlite3.Connection,
    gate: GateName,
    now: Wall,
    until: Wall,
    *,
    limit: int,
    aging_ns: int,
    max_bytes: int,
    after: str = "",
) -> Page:
    """The page at the snapshot of the caller's transaction: what is due at `until`, not earlier
    than `now`, by which tasks expire.

    A page holds at least one task where there is one, however large. Tasks past their
    `expires_at` are told apart; where there are more of them than one page tells, the page may be
    short and is not complete.
    """
    position = newest_position(connection)
    expired = select(connection, _IDS, "id", _EXPIRED, (gate, now, MAX_EXPIRED))
    bounds: dict[str, Any] = {"gate": gate, "now": now, "until": until, "aging_ns": aging_ns}
    lanes = _lanes_after(connection, after, bounds)
    if len(lanes) > 1:
        chosen = _of_lanes(connection, lanes, limit, bounds)
    else:
        lane = lanes[0] if lanes else ""
        chosen = _of_lane(connection, lane, limit, len(expired), bounds)
    tasks = _with_events(connection, chosen.tasks, max_bytes)
    cut = chosen.cut | {task.fair_key for task in chosen.tasks[len(tasks) :]}
    return Page(
        position=position,
        complete=not cut and not chosen.more_lanes,
        tasks=tasks,
        cut=tuple(sorted(cut)),
        more_lanes=chosen.more_lanes,
        next_due_at=connection.execute(_NEXT_DUE, bounds).fetchone()[0],
        next_expiry_at=connection.execute(_NEXT_EXPIRY, (gate, now)).fetchone()[0],
        expired=tuple(expired),
    )


def _lanes_after(connection: sqlite3.Connection, after: str, bounds: dict[str, Any]) -> list[str]:
    """The keys of lanes in which something is due, in a circle from after a key on; one more
    than a page takes. The keyless lane stands where the circle closes, and is not looked into
    where it is alone."""
    most = PAGE_LANES + 1
    params = bounds | {"after": after, "most": most}
    lanes = select(connection, _KEYS, "fair_key", _LANES, params)
    before: list[str] = []
    if after and len(lanes) < most:
        before = select(connection, _KEYS, "fair_key", _LANES_BEFORE, params)
    if (lanes or before) and _is_keyless_due(connection, bounds):
        lanes.append("")
    return (lanes + before)[:most]


def _is_keyless_due(connection: sqlite3.Connection, bounds: dict[str, Any]) -> bool:
    found = connection.execute(f"SELECT {first_keyless(':gate', 'due_at <= :until')}", bounds)
    return found.fetchone()[0] is not None


def _of_lane(
    connection: sqlite3.Connection,
    lane: str,
    limit: int,
    expired: int,
    bounds: dict[str, Any],
) -> _Chosen:
    """The best of the only lane."""
    most = limit + 1 + expired
    params = bounds | {"lane": lane, "most": most}
    ranked = select(connection, TASKS, TASK_ROW, _BY_RANK, params)
    now = bounds["now"]
    alive = [t for t in ranked if t.expires_at is None or t.expires_at > now]
    is_cut = len(ranked) == most or len(alive) > limit
    return _Chosen(alive[:limit], frozenset((lane,) if is_cut else ()))


def _of_lanes(
    connection: sqlite3.Connection, lanes: list[str], limit: int, bounds: dict[str, Any]
) -> _Chosen:
    """As many of each lane, one by one in turn; of more lanes than fit, the first.

    Of those only the best is looked for, and more is taken to be there.
    """
    taken = lanes[:PAGE_LANES]
    more_lanes = len(lanes) > len(taken)
    each = 1 if more_lanes else -(-limit // len(taken))
    names = _encoder.encode(taken).decode()
    source = _HEADS if more_lanes else _BY_LANE
    found: dict[str, list[TaskEntry]] = {lane: [] for lane in taken}
    if more_lanes and "" in found:
        found[""] = _of_lane(connection, "", 1, 0, bounds).tasks
    params = bounds | {"lanes": names, "most": each + 1}
    for task in select(connection, TASKS, TASK_ROW, source, params):
        found[task.fair_key].append(task)
    aging_ns: int = bounds["aging_ns"]
    for ranked in found.values():
        ranked.sort(key=lambda task: (task.due_at - task.priority * aging_ns, task.number))
    cut = (lane for lane, ranked in found.items() if more_lanes or len(ranked) > each)
    turns = zip_longest(*(ranked[:each] for ranked in found.values()))
    tasks = [task for turn in turns for task in turn if task is not None]
    return _Chosen(tasks, frozenset(cut), more_lanes)


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
