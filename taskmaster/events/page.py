"""What comes next in a gate: the merge of its priorities' ranges (hard spot 5).

Rules of residence: one page, inside one snapshot. Nothing here is proportional to what waits:
ten range reads of at most a page each, then the streams of the tasks that fit. Where tasks have
a `fair_key`, each lane has ranges of its own; lanes in which nothing is due are stepped over.
"""

from itertools import zip_longest
from typing import Any

from msgspec import Struct

from taskmaster.events.database import Database
from taskmaster.events.log import Page, WaitingTask
from taskmaster.events.ready import EACH_PRIORITY, READY, first_due, first_keyless
from taskmaster.events.rows import PRIORITIES, WAITING
from taskmaster.events.types import GateName, Position, TaskId, Wall, task_stream

MAX_EXPIRED = 500

PAGE_LANES = 400
"""Each takes a search; of as many lanes, one task each is enough for a page."""


class _Ready(Struct, frozen=True, array_like=True, gc=False):
    """What a page needs of a task's row: a whole one takes twice as long to read."""

    number: Position
    id: TaskId
    priority: int
    due_at: Wall
    expires_at: Wall | None
    fair_key: str


_READY = ", ".join(_Ready.__struct_fields__)
_LANE = f"gate = :gate AND fair_key = :lane AND priority = {{}} AND {READY}"
_RANGES = " UNION ALL ".join(
    f"SELECT * FROM (SELECT {_READY} FROM task WHERE {_LANE.format(priority)}"
    f" AND due_at <= :until ORDER BY due_at, number LIMIT :most) AS p{priority}"
    for priority in PRIORITIES
)
_BY_RANK = f"""(SELECT * FROM ({_RANGES}) AS ranges
    ORDER BY due_at - priority * :aging_ns, number LIMIT :most) AS ranked"""
_DUE_LANES = "FROM lane WHERE gate = :gate AND next_due_at <= :until AND fair_key"
_LANES = f"""(SELECT DISTINCT fair_key {_DUE_LANES} > :after
    ORDER BY fair_key LIMIT :most) AS lanes"""
_LANES_BEFORE = f"""(SELECT DISTINCT fair_key {_DUE_LANES} <= :after
    ORDER BY fair_key LIMIT :most) AS lanes"""
# The ranges of some lanes: those that have a row, and the keyless one's.
_SOME_RANGES = f"""(SELECT fair_key, priority FROM each(:lanes) CROSS JOIN lane
        WHERE gate = :gate AND fair_key = value AND next_due_at <= :until
    UNION ALL
    SELECT value, p.column1 FROM each(:lanes) CROSS JOIN {EACH_PRIORITY}
        WHERE value = '') AS range"""
_BEST_OF_RANGE = f"""WHERE gate = :gate AND fair_key = range.fair_key
        AND priority = range.priority AND {READY} AND due_at <= :until
        AND (expires_at IS NULL OR expires_at > :now)
    ORDER BY due_at, number LIMIT :most"""
# The next of each lane and priority without a search: one that has expired is passed over.
_HEADS = """(SELECT task.* FROM each(:lanes) CROSS JOIN lane CROSS JOIN task
    WHERE lane.gate = :gate AND lane.fair_key = value AND next_due_at <= :until
        AND number = next_number AND (expires_at IS NULL OR expires_at > :now)) AS heads"""
_EXPIRED = f"""(SELECT id FROM task WHERE gate = :gate AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at <= :now
    ORDER BY expires_at, number LIMIT {MAX_EXPIRED}) AS expired"""
_NEXT_EXPIRY = f"""SELECT min(expires_at) FROM task WHERE gate = :gate AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at > :now"""
_NEXT_DUE = f"SELECT {first_due(':gate', 'due_at > :until')}"


class _Chosen(Struct, frozen=True):
    """What a page could hold, before the bytes are looked at."""

    tasks: list[_Ready]
    cut: frozenset[str]
    more_lanes: bool = False


def next_page(
    database: Database,
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
    position = database.newest_position()
    bounds: dict[str, Any] = {"gate": gate, "now": now, "until": until, "aging_ns": aging_ns}
    expired: list[TaskId] = database.column("id", _EXPIRED, bounds)
    lanes = _lanes_after(database, after, bounds)
    if len(lanes) > 1:
        chosen = _of_lanes(database, lanes, limit, bounds)
    else:
        lane = lanes[0] if lanes else ""
        chosen = _of_lane(database, lane, limit, len(expired), bounds)
    tasks = _with_events(database, chosen.tasks, max_bytes)
    cut = chosen.cut | {task.fair_key for task in chosen.tasks[len(tasks) :]}
    return Page(
        position=position,
        complete=not cut and not chosen.more_lanes,
        tasks=tasks,
        cut=tuple(sorted(cut)),
        more_lanes=chosen.more_lanes,
        next_due_at=database.one(_NEXT_DUE, bounds),
        next_expiry_at=database.one(_NEXT_EXPIRY, bounds),
        expired=tuple(expired),
    )


def _lanes_after(database: Database, after: str, bounds: dict[str, Any]) -> list[str]:
    """The keys of lanes in which something is due, in a circle from after a key on; one more
    than a page takes. The keyless lane stands where the circle closes, and is not looked into
    where it is alone."""
    most = PAGE_LANES + 1
    params = bounds | {"after": after, "most": most}
    lanes: list[str] = database.column("fair_key", _LANES, params)
    before: list[str] = []
    if after and len(lanes) < most:
        before = database.column("fair_key", _LANES_BEFORE, params)
    if (lanes or before) and _is_keyless_due(database, bounds):
        lanes.append("")
    return (lanes + before)[:most]


def _is_keyless_due(database: Database, bounds: dict[str, Any]) -> bool:
    found = database.one(f"SELECT {first_keyless(':gate', 'due_at <= :until')}", bounds)
    return found is not None


def _of_lane(
    database: Database,
    lane: str,
    limit: int,
    expired: int,
    bounds: dict[str, Any],
) -> _Chosen:
    """The best of the only lane."""
    most = limit + 1 + expired
    params = bounds | {"lane": lane, "most": most}
    ranked = database.select(_Ready, _BY_RANK, params)
    now = bounds["now"]
    alive = [t for t in ranked if t.expires_at is None or t.expires_at > now]
    is_cut = len(ranked) == most or len(alive) > limit
    return _Chosen(alive[:limit], frozenset((lane,) if is_cut else ()))


def _of_lanes(database: Database, lanes: list[str], limit: int, bounds: dict[str, Any]) -> _Chosen:
    """As many of each lane, one by one in turn; of more lanes than fit, the first.

    Of those only the best is looked for, and more is taken to be there.
    """
    taken = lanes[:PAGE_LANES]
    more_lanes = len(lanes) > len(taken)
    each = 1 if more_lanes else -(-limit // len(taken))
    best = f"(SELECT task.* FROM {_SOME_RANGES} {database.best_of(_BEST_OF_RANGE)}) AS best"
    source = _HEADS if more_lanes else best
    found: dict[str, list[_Ready]] = {lane: [] for lane in taken}
    if more_lanes and "" in found:
        found[""] = _of_lane(database, "", 1, 0, bounds).tasks
    params = bounds | {"lanes": taken, "most": each + 1}
    for task in database.select(_Ready, source, params):
        found[task.fair_key].append(task)
    aging_ns: int = bounds["aging_ns"]
    for ranked in found.values():
        ranked.sort(key=lambda task: (task.due_at - task.priority * aging_ns, task.number))
    cut = (lane for lane, ranked in found.items() if more_lanes or len(ranked) > each)
    turns = zip_longest(*(ranked[:each] for ranked in found.values()))
    tasks = [task for turn in turns for task in turn if task is not None]
    return _Chosen(tasks, frozenset(cut), more_lanes)


def _with_events(
    database: Database, tasks: list[_Ready], max_bytes: int
) -> tuple[WaitingTask, ...]:
    """The first tasks whose streams fit together, with their streams."""
    if not tasks:
        return ()
    streams = [task_stream(task.id) for task in tasks]
    sizes = database.stream_sizes(streams)
    fitting, total = 0, 0
    for stream in streams:
        total += sizes[stream]
        if fitting and total > max_bytes:
            break
        fitting += 1
    events = database.read_streams(streams[:fitting])
    return tuple(
        WaitingTask(task.id, task.number, tuple(recorded.event for recorded in events[stream]))
        for task, stream in zip(tasks[:fitting], streams[:fitting], strict=True)
    )
