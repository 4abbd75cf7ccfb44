"""What comes next in a gate: the merge of its bands' ranges (hard spot 5).

Rules of residence: one page, inside one snapshot. Nothing here is proportional to what waits:
for each group some range reads of at most a page each, then the streams of the tasks that fit.
Where tasks have a `fair_key`, each lane has ranges of its own; lanes in which nothing is due are
stepped over.
"""

from functools import lru_cache
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from taskmaster.events.database import Database
from taskmaster.events.log import Page, WaitingTask
from taskmaster.events.ready import READY, first_due
from taskmaster.events.rows import PRIORITIES, REDRIVEN, WAITING
from taskmaster.events.split import WHOLE, Missing, Split
from taskmaster.events.types import GateName, Group, Position, TaskId, Wall, task_stream

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
_FIRST = Wall(-(2**63))
_PLAIN = tuple(PRIORITIES)
_REDRIVEN = tuple(REDRIVEN + priority for priority in PRIORITIES)
_WITHIN = f"{READY} AND due_at BETWEEN :first AND :last"
_ALIVE = "(expires_at IS NULL OR expires_at > :now)"
_BEST_OF_RANGE = f"""WHERE gate = :gate AND fair_key = range.fair_key AND band = range.band
        AND {_WITHIN} AND {_ALIVE}
    ORDER BY due_at, number LIMIT :most"""


class _Texts(Struct, frozen=True):
    """The statements for the tasks of some bands."""

    by_rank: str
    lanes: str
    lanes_before: str
    some_ranges: str
    heads: str
    has_keyless: str


@lru_cache
def _texts(bands: tuple[int, ...]) -> _Texts:
    among = f"band IN ({', '.join(map(str, bands))})"
    each = f"(VALUES {', '.join(f'({band})' for band in bands)}) AS p"
    ranges = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {_READY} FROM task WHERE gate = :gate AND fair_key = :lane"
        f" AND band = {band} AND {_WITHIN} ORDER BY due_at, number LIMIT :most) AS p{band}"
        for band in bands
    )
    # What is due next tells most lanes apart; else a search in the lane's own ranges.
    due_lanes = f"""FROM lane WHERE gate = :gate AND next_due_at <= :last AND {among}
        AND (next_due_at >= :first OR EXISTS (SELECT 1 FROM task WHERE task.gate = :gate
            AND task.fair_key = lane.fair_key AND task.band = lane.band AND {_WITHIN}))
        AND fair_key"""
    return _Texts(
        by_rank=f"""(SELECT * FROM ({ranges}) AS ranges
            ORDER BY due_at - priority * :aging_ns, number LIMIT :most) AS ranked""",
        lanes=f"""(SELECT DISTINCT fair_key {due_lanes} > :after
            ORDER BY fair_key LIMIT :most) AS lanes""",
        lanes_before=f"""(SELECT DISTINCT fair_key {due_lanes} <= :after
            ORDER BY fair_key LIMIT :most) AS lanes""",
        # Of some lanes: those that have a row, and the keyless one's.
        some_ranges=f"""(SELECT fair_key, band FROM each(:lanes) CROSS JOIN lane
                WHERE gate = :gate AND fair_key = value AND next_due_at <= :last AND {among}
            UNION ALL
            SELECT value, p.column1 FROM each(:lanes) CROSS JOIN {each}
                WHERE value = '') AS range""",
        # The next of each lane and band without a search: one that has expired is passed over.
        heads=f"""(SELECT task.* FROM each(:lanes) CROSS JOIN lane CROSS JOIN task
            WHERE lane.gate = :gate AND lane.fair_key = value AND next_due_at <= :last
                AND lane.{among} AND number = next_number AND {_ALIVE}) AS heads""",
        has_keyless=f"""SELECT EXISTS (SELECT 1 FROM task
            WHERE gate = :gate AND fair_key = '' AND {among} AND {_WITHIN})""",
    )


_HAS_REDRIVEN = f"""SELECT EXISTS (SELECT 1 FROM task INDEXED BY task_redriven
    WHERE gate = :gate AND {READY} AND band >= {REDRIVEN} AND due_at <= :until)"""
_EXPIRED = f"""(SELECT id FROM task WHERE gate = :gate AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at <= :now
    ORDER BY expires_at, number LIMIT {MAX_EXPIRED}) AS expired"""
_NEXT_EXPIRY = f"""SELECT min(expires_at) FROM task WHERE gate = :gate AND state = {WAITING}
    AND expires_at IS NOT NULL AND expires_at > :now"""
_NEXT_DUE = f"SELECT {first_due(':gate', 'due_at > :until')}"


class _Range(Struct, frozen=True):
    """Where one group's tasks lie: in these bands, due from an instant to another."""

    bands: tuple[int, ...]
    first: Wall
    last: Wall


class _Chosen(Struct, frozen=True):
    """What a page could hold of one group, before the bytes are looked at."""

    tasks: list[_Ready]
    cut: frozenset[str] = frozenset()
    more_lanes: bool = False

    def trimmed(self, count: int) -> "_Chosen":
        """The first so many."""
        if count >= len(self.tasks):
            return self
        left = (task.fair_key for task in self.tasks[count:])
        return _Chosen(self.tasks[:count], self.cut | frozenset(left), self.more_lanes)

    @property
    def missing(self) -> Missing:
        """What is left in the index."""
        return Missing(tuple(sorted(self.cut)), self.more_lanes)


def next_page(
    database: Database,
    gate: GateName,
    now: Wall,
    until: Wall,
    *,
    limit: int,
    aging_ns: int,
    max_bytes: int,
    split: Split = WHOLE,
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
    chosen: dict[Group, _Chosen] = {}
    for group, where in _ranges(database, split, bounds).items():
        within = bounds | {"first": where.first, "last": where.last}
        after = split.last.get(group, "")
        texts = _texts(where.bands)
        chosen[group] = _of_group(database, texts, after, limit, len(expired), within)
    chosen = _shared(chosen, limit)
    turns = zip_longest(*(one.tasks for one in chosen.values()))
    ordered = [task for turn in turns for task in turn if task is not None]
    tasks = _with_events(database, ordered, max_bytes)
    fitting = {task.task for task in tasks}
    missing: dict[Group, Missing] = {}
    for group, one in chosen.items():
        if some := one.trimmed(sum(task.id in fitting for task in one.tasks)).missing:
            missing[group] = some
    return Page(
        position=position,
        complete=not missing,
        tasks=tasks,
        missing=missing,
        next_due_at=database.one(_NEXT_DUE, bounds),
        next_expiry_at=database.one(_NEXT_EXPIRY, bounds),
        expired=tuple(expired),
    )


def _ranges(database: Database, split: Split, bounds: dict[str, Any]) -> dict[Group, _Range]:
    """Where the groups lie that may have something."""
    until: Wall = bounds["until"]
    since = split.fresh_since
    ranges: dict[Group, _Range] = {"fresh": _Range(_PLAIN, _FIRST, until)}
    if since is not None:
        ranges["fresh"] = _Range(_PLAIN, since, until)
        ranges["backlog"] = _Range(_PLAIN, _FIRST, min(until, Wall(since - 1)))
    if database.one(_HAS_REDRIVEN, bounds):
        ranges["redriven"] = _Range(_REDRIVEN, _FIRST, until)
    return ranges


def _shared(chosen: dict[Group, _Chosen], limit: int) -> dict[Group, _Chosen]:
    """As much of each group; what one has no use for is for the others."""
    left, shared = limit, dict(chosen)
    by_size = sorted(chosen, key=lambda group: len(chosen[group].tasks))
    for number, group in enumerate(by_size):
        shared[group] = chosen[group].trimmed(-(-left // (len(by_size) - number)))
        left -= len(shared[group].tasks)
    return shared


def _of_group(
    database: Database,
    texts: _Texts,
    after: str,
    limit: int,
    expired: int,
    bounds: dict[str, Any],
) -> _Chosen:
    lanes = _lanes_after(database, texts, after, bounds)
    if len(lanes) > 1:
        return _of_lanes(database, texts, lanes, limit, bounds)
    return _of_lane(database, texts, lanes[0] if lanes else "", limit + 1 + expired, bounds)


def _lanes_after(
    database: Database, texts: _Texts, after: str, bounds: dict[str, Any]
) -> list[str]:
    """The keys of lanes in which something is due, in a circle from after a key on; one more
    than a page takes. The keyless lane stands where the circle closes, and is not looked into
    where it is alone."""
    most = PAGE_LANES + 1
    params = bounds | {"after": after, "most": most}
    lanes: list[str] = database.column("fair_key", texts.lanes, params)
    before: list[str] = []
    if after and len(lanes) < most:
        before = database.column("fair_key", texts.lanes_before, params)
    if (lanes or before) and database.one(texts.has_keyless, bounds):
        lanes.append("")
    return (lanes + before)[:most]


def _of_lane(
    database: Database, texts: _Texts, lane: str, most: int, bounds: dict[str, Any]
) -> _Chosen:
    """The best of the only lane; where there are `most`, there may be more."""
    ranked = database.select(_Ready, texts.by_rank, bounds | {"lane": lane, "most": most})
    now = bounds["now"]
    alive = [t for t in ranked if t.expires_at is None or t.expires_at > now]
    return _Chosen(alive, frozenset((lane,) if len(ranked) == most else ()))


def _of_lanes(
    database: Database, texts: _Texts, lanes: list[str], limit: int, bounds: dict[str, Any]
) -> _Chosen:
    """As many of each lane, one by one in turn; of more lanes than fit, the first.

    Of those only the best is looked for, and more is taken to be there.
    """
    taken = lanes[:PAGE_LANES]
    more_lanes = len(lanes) > len(taken)
    each = 1 if more_lanes else -(-limit // len(taken))
    # the next of a lane is the first of a group that begins with what was due first
    by_heads = more_lanes and bounds["first"] == _FIRST
    best = f"(SELECT task.* FROM {texts.some_ranges} {database.best_of(_BEST_OF_RANGE)}) AS best"
    found: dict[str, list[_Ready]] = {lane: [] for lane in taken}
    if by_heads and "" in found:
        found[""] = _of_lane(database, texts, "", 2, bounds).tasks
    params = bounds | {"lanes": taken, "most": each + 1}
    for task in database.select(_Ready, texts.heads if by_heads else best, params):
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
