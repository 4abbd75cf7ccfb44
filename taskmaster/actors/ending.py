"""The append that ends a task's attempt or its waiting, with the successor of a periodic one.

Rules of residence: turns decisions of `model.task` and `model.series` into one all-or-nothing
append, for whoever is the task's writer: its own actor, its gate, or the start of the node.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.actors.ports import Ids
from taskmaster.events.log import Append, Reader, Recorded, Write
from taskmaster.events.types import (
    NEW,
    AttemptFailed,
    AttemptSucceeded,
    AttemptVoided,
    SeriesEvent,
    SeriesName,
    Stream,
    TaskEvent,
    TaskId,
    TaskSubmitted,
    Version,
    Wall,
    series_stream,
    task_stream,
)
from taskmaster.model.series import Series, fold_series, submitted_occurrence, successor
from taskmaster.model.task import FINAL, Task, evolve, fold


class Successor(Struct, frozen=True):
    """The next occurrence of a series, submitted in the commit that ended the one before.

    `held`: its series is paused, so it does not start before a resume.
    """

    task_id: TaskId
    submitted: TaskSubmitted
    held: bool = False


class Ending(Struct, frozen=True):
    """An append, the task after it, and the successor that it submits."""

    append: Append
    task: Task
    events: tuple[TaskEvent, ...]
    successor: Successor | None = None


def task_of(task_id: TaskId, records: tuple[Recorded, ...]) -> Task | None:
    """The folded task, or None where there is no such stream."""
    if not records:
        return None
    events: list[TaskEvent] = []
    for record in records:
        assert isinstance(record.event, TaskEvent)
        events.append(record.event)
    return fold(task_id, tuple(events))


async def read_task(reader: Reader, task_id: TaskId) -> Task | None:
    """A task from the log, or None."""
    return task_of(task_id, await reader.task_events(task_id))


async def read_series(reader: Reader, name: SeriesName) -> Series | None:
    """A series from the log, or None."""
    events: list[SeriesEvent] = []
    while records := await reader.stream(series_stream(name), after=Version(len(events))):
        for record in records:
            assert isinstance(record.event, SeriesEvent)
            events.append(record.event)
    return fold_series(name, tuple(events)) if events else None


def ending(
    task: Task,
    events: tuple[TaskEvent, ...],
    series: Series | None,
    ids: Ids,
    now: Wall,
    series_events: tuple[SeriesEvent, ...] = (),
) -> Ending:
    """The append of `events`; where they end an occurrence, with what follows it.

    The series is written with the version it was decided on, so that a change in between refuses
    the append; then only the successor is decided again.
    """
    after = task
    for event in events:
        after = evolve(after, event)
    own = Write(task_stream(task.id), task.version, events)
    occurrence = after.occurrence
    if occurrence is None or series is None or after.followed:
        return Ending(Append((own,)), after, events)
    if after.state not in FINAL:
        skipped = Write(series_stream(series.name), series.version, series_events)
        return Ending(Append((own, skipped)), after, events)
    follows = successor(
        series,
        occurrence,
        first_started_at=after.first_started_at,
        ended_at=now,
        succeeded=after.state == "succeeded",
    )
    stream: Stream = series_stream(series.name)
    writes = [own, Write(stream, series.version, follows.events)]
    if follows.occurrence is None:
        return Ending(Append(tuple(writes)), after, events)
    submitted = submitted_occurrence(series, follows.occurrence, follows.due_at, now)
    task_id = ids.task_id()
    writes.append(Write(task_stream(task_id), NEW, (submitted,)))
    return Ending(
        Append(tuple(writes)), after, events, Successor(task_id, submitted, series.paused)
    )


def is_final(result: AttemptSucceeded | AttemptFailed | AttemptVoided) -> bool:
    """Whether no other attempt may follow by rule."""
    match result:
        case AttemptSucceeded():
            return True
        case AttemptFailed(next=step):
            return step not in ("retry", "uncertain")
        case AttemptVoided():
            return False
        case _:
            assert_never(result)


def as_last(failed: AttemptFailed) -> AttemptFailed:
    """The same failure once a cancel was recorded: no further attempt."""
    if failed.next in ("retry", "uncertain"):
        return replace(failed, next="cancelled", reason="command", retry_at=None)
    return failed
