"""What is read of the log for the split of a gate's waiting in a time.

Rules of residence: reading alone, bounded; the split is `views/gate_why.py`'s. All is put together
as it stood at one position of the log: what happens while it is read is taken away again.
"""

from msgspec import Struct, field

from taskmaster.api.context import Api, within
from taskmaster.api.problems import stop
from taskmaster.events.log import Recorded, TaskFilter
from taskmaster.events.types import (
    AnyEvent,
    GateName,
    Position,
    TaskEvent,
    TaskId,
    TaskMoved,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.task import fold
from taskmaster.views.gate_why import Still

PAGE = 1_000
MAX_EVENTS = 100_000
MAX_OLDER = 5_000
"""Tasks submitted before the time, each of which is read on its own."""
MAX_DUES = 20_000
_TASK = "task-"

Lives = dict[TaskId, list[Recorded]]


class Read(Struct, frozen=True):
    """What was read: from `since` on, which may be later than was asked for."""

    since: Wall
    tasks: list[tuple[TaskEvent, ...]]
    still: Still


class _Window(Struct):
    """The tasks of a gate to which something happened, newest events first."""

    since: Wall
    lives: Lives = field(default_factory=Lives)


async def read_waits(api: Api, gate: GateName, since: Wall, until: Wall) -> Read:
    """Read what a gate's tasks went through from `since` to `until`.

    Raises:
        ProblemError: more tasks became due in that time than are read one by one.
    """
    ahead = await within(api.reader.ahead(gate, until, minutes=0))
    position = ahead.position
    window = await _touched(api, gate, since, position)
    since = window.since
    dues = await _dues(api, gate, since, until, position)
    lives = window.lives
    for task_id in await _touched_later(api, gate, position):
        lives.setdefault(task_id, [])
    tasks: list[tuple[TaskEvent, ...]] = []
    counted = 0
    for task_id, known in lives.items():
        records = known
        if not records or not isinstance(records[0].event, TaskSubmitted):
            stream = await within(api.reader.task_events(task_id))
            records = [one for one in stream if one.position <= position]
        events = tuple(one.event for one in records if isinstance(one.event, TaskEvent))
        if not events:
            continue  # submitted after that position
        tasks.append(events)
        task = fold(task_id, events)
        counted += task.gate == gate and task.state == "waiting" and task.due_at <= until
    due = ahead.due
    left = due.eligible + due.by_order + due.by_series - counted
    mine = tuple(due_at for task_id, due_at in dues if task_id not in lives)
    return Read(since, tasks, Still(max(0, left - len(mine)), mine))


async def _touched(api: Api, gate: GateName, since: Wall, position: Position) -> _Window:
    """What happened at a gate back to `since`, or as far back as the bounds allow."""
    window = _Window(since)
    older: set[TaskId] = set()
    came: set[TaskId] = set()
    records: list[Recorded] = []
    end = position
    for _ in range(MAX_EVENTS // PAGE):
        if end <= 0:
            return window
        begin = Position(max(0, end - PAGE))
        records = await _between(api, begin, end)
        for record in reversed(records):
            event = record.event
            if not _is_of(gate, event):
                continue
            task_id = TaskId(record.stream.removeprefix(_TASK))
            if isinstance(event, TaskSubmitted):
                if task_id in came:
                    continue  # it was elsewhere between, so it is read on its own
                older.discard(task_id)
            else:
                older.add(task_id)
            if isinstance(event, TaskMoved) and event.to == gate:
                came.add(task_id)
            window.lives.setdefault(task_id, []).insert(0, record)
        if all(record.event.at < since for record in records):
            return window
        if len(older) > MAX_OLDER:
            break
        end = begin
    window.since = max(since, Wall(max(record.event.at for record in records)))
    return window


def _is_of(gate: GateName, event: AnyEvent) -> bool:
    """Whether it happened to a task of a gate, or gave the gate one."""
    if isinstance(event, TaskMoved) and event.to == gate:
        return True
    return isinstance(event, TaskEvent) and event.gate == gate


async def _between(api: Api, begin: Position, end: Position) -> list[Recorded]:
    """All events after one position up to another."""
    records: list[Recorded] = []
    at = begin
    while at < end and (
        page := await within(api.reader.events(after=at, limit=min(PAGE, end - at)))
    ):
        records += page
        at = page[-1].position
    return records


async def _touched_later(api: Api, gate: GateName, position: Position) -> set[TaskId]:
    """The tasks to which something happened after a position."""
    newest = await within(api.reader.position())
    records = await _between(api, position, newest)
    return {
        TaskId(record.stream.removeprefix(_TASK))
        for record in records
        if _is_of(gate, record.event)
    }


async def _dues(
    api: Api, gate: GateName, since: Wall, until: Wall, position: Position
) -> list[tuple[TaskId, Wall]]:
    """The tasks that wait and became due in the time, with that instant."""
    before = await within(api.reader.ahead(gate, since, minutes=0))
    at_end = await within(api.reader.ahead(gate, until, minutes=0))
    if before.position == at_end.position == position and before.due == at_end.due:
        return []
    match = TaskFilter(gate=gate, states=("waiting",), due_after=since, due_before=Wall(until + 1))
    found: list[tuple[TaskId, Wall]] = []
    last: Position | None = None
    while rows := await within(api.reader.task_rows(match, before=last, limit=PAGE)):
        found += ((row.task, row.due_at) for row in rows)
        last = rows[-1].number
        if len(found) > MAX_DUES:
            raise stop(
                "too_large",
                f"more than {MAX_DUES} tasks became due in that time and wait",
                pointer="/since",
                remedy="ask for a shorter time",
            )
    return found
