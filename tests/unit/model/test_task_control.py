"""What commands do to tasks, and that an undo takes exactly that back (semantics 8.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import BulkId, Cause, GateName, Next, TaskChange, Version, Wall
from taskmaster.model.rejected import Rejected
from taskmaster.model.task import Task, evolve
from taskmaster.model.task_control import (
    CancelTask,
    EditTask,
    MoveTask,
    RedriveTask,
    RescheduleTask,
    RunTask,
    TaskCommand,
    UndoTask,
    decide,
)
from tests.unit.model.builders import CAUSE, NOW, failed, started, succeeded, waiting_task, wall

BULK = BulkId("bulk")
BECAUSE = replace(CAUSE, bulk=BULK)
DUES = st.integers(0, 100).map(wall)
CHANGES = st.builds(
    TaskChange,
    url=st.none() | st.just("http://127.0.0.1/other"),
    method=st.none() | st.just("PUT"),
    priority=st.none() | st.integers(0, 9),
    expires_at=st.none() | st.integers(200, 300).map(wall),
)


def commands(cause: Cause) -> dict[str, st.SearchStrategy[TaskCommand]]:
    """Any wish but an undo."""
    because = st.just(cause)
    gates = st.sampled_from((GateName("gate"), GateName("other")))
    return {
        "cancel": st.builds(CancelTask, because),
        "reschedule": st.builds(RescheduleTask, DUES, because),
        "run": st.builds(RunTask, because),
        "redrive": st.builds(RedriveTask, because),
        "edit": st.builds(EditTask, CHANGES, because),
        "move": st.builds(MoveTask, gates, because),
    }


WISHES = commands(CAUSE)
MEANT = commands(BECAUSE)
LIVES = st.lists(
    st.one_of(*WISHES.values()) | st.sampled_from(("retry", "dead", "succeeded")), max_size=3
)
"""What a task went through: wishes of persons, and attempts by how they ended."""


def told(task: Task, command: TaskCommand, now: Wall) -> Task:
    """The task after a command, which may be refused."""
    decided = decide(task, command, now)
    for event in () if isinstance(decided, Rejected) else decided:
        task = evolve(task, event)
    return task


def lived(life: list[TaskCommand | str]) -> Task:
    task = waiting_task()
    for step in life:
        if not isinstance(step, str):
            task = told(task, step, NOW)
        elif task.state == "waiting":
            attempt = task.starts + 1
            task = evolve(task, started(attempt))
            follows: Next = "dead" if step == "dead" else "retry"
            failure = failed(attempt=attempt, follows=follows)
            task = evolve(task, succeeded(attempt) if step == "succeeded" else failure)
    return task


def seen(task: Task) -> Task:
    """A task but for what events count, and for what an end and a new beginning leave behind."""
    return replace(
        task,
        version=Version(0),
        touched=None,
        ended_at=None,
        used=0,
        first_started_at=None,
        first_start=0,
        redriven=False,
        followed=False,
        due_at=task.due_at if task.state == "waiting" else NOW,
    )


@pytest.mark.parametrize("wish", MEANT)
@given(LIVES, st.data(), st.integers(1, 50).map(wall))
def test_an_undo_gives_a_task_back_as_it_was_or_refuses(
    wish: str, life: list[TaskCommand | str], data: st.DataObject, undone_at: Wall
) -> None:
    before = lived(life)
    after = told(before, data.draw(MEANT[wish]), NOW)

    undone = told(after, UndoTask(BULK, CAUSE), undone_at)

    assert seen(undone) in (seen(before), seen(after))
    if undone.version != after.version:
        assert after.version != before.version
        assert seen(undone) == seen(before)
        assert isinstance(decide(undone, UndoTask(BULK, CAUSE), undone_at), Rejected)


@given(LIVES, st.one_of(*MEANT.values()), st.one_of(*WISHES.values()))
def test_what_was_touched_since_is_not_taken_back(
    life: list[TaskCommand | str], command: TaskCommand, later: TaskCommand
) -> None:
    after = told(lived(life), command, NOW)
    since = told(after, later, NOW)

    if since.version != after.version:
        assert isinstance(decide(since, UndoTask(BULK, CAUSE), NOW), Rejected)
