"""Many tasks changed by one command, on a node in virtual time; `live` ends as by `kill -9`."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from taskmaster.actors.bulks import MOST_RUNNING
from taskmaster.actors.messages import CommandDone
from taskmaster.actors.node import Node
from taskmaster.actors.supervisor import GaveUp
from taskmaster.events.types import (
    HOUR,
    MINUTE,
    SECOND,
    BulkAction,
    BulkCounts,
    BulkFilter,
    BulkId,
    BulkProgressed,
    Cause,
    GateName,
    TaskChange,
    TaskId,
    Wall,
    bulk_stream,
)
from taskmaster.model.bulk import Bulk, StartBulk
from taskmaster.model.control import CloseGate, PauseGate, ResumeGate
from taskmaster.model.rejected import Rejected
from taskmaster.model.retry import Responded
from taskmaster.model.task import Task, fold
from taskmaster.model.task_control import EditTask, MoveTask, RunTask
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, NAME, NOW, settings

WHY = Cause("CancelTasks", "ada", "tidy up")
OTHER = GateName("other")
LATER = Wall(NOW + 2 * HOUR)


async def begin(
    node: Node,
    action: BulkAction = "cancel",
    *,
    gate: GateName = NAME,
    states: tuple[str, ...] = ("scheduled", "waiting"),
    rate: float = 0,
    **more: Any,
) -> BulkId:
    """A bulk over a gate, decided where the log stands."""
    match = BulkFilter(at=node.ports.clock.wall(), gate=gate, states=states)  # pyright: ignore[reportArgumentType]  # names of states
    position = await node.ports.reader.position()
    wish = StartBulk(WHY, action, match, position, None, rate, **more)
    started = await node.bulks.start(wish)
    assert isinstance(started, Bulk), started
    return started.id


async def end_of(node: Node, bulk_id: BulkId) -> Bulk:
    """The bulk once it has ended."""
    while True:
        bulk = await node.bulks.read(bulk_id)
        assert bulk is not None
        if bulk.ended is not None:
            return bulk
        await asyncio.sleep(0.1)


async def undone(node: Node, bulk_id: BulkId) -> Bulk:
    """The end of the undo of a bulk."""
    undo = await node.bulks.undo(bulk_id, CAUSE)
    assert isinstance(undo, Bulk), undo
    return await end_of(node, undo.id)


def task(world: World, task_id: TaskId) -> Task:
    """A task from its stream."""
    return fold(task_id, tuple(world.events_of(task_id)))


def pages(world: World, bulk_id: BulkId) -> list[BulkProgressed]:
    """How a bulk went on, as it is written."""
    records = world.store.reader().stream(bulk_stream(bulk_id))
    return [record.event for record in records if isinstance(record.event, BulkProgressed)]


def test_every_member_is_changed_once_with_who_and_why() -> None:
    """Semantics 8.3 and 8.4."""
    world = World()

    async def main(node: Node) -> tuple[list[TaskId], Bulk]:
        await open_gate(node, settings())
        tasks = await submit(node, 450, delay_ns=HOUR)
        return tasks, await end_of(node, await begin(node))

    tasks, bulk = world.live(main)

    assert bulk.counts == BulkCounts(changed=450)
    assert [len(page.changed) for page in pages(world, bulk.id)] == [200, 200, 50]
    for task_id in tasks:
        submitted, cancelled = world.events_of(task_id)
        assert submitted.cause.bulk == ""
        assert cancelled.cause == Cause("CancelTasks", "ada", "tidy up", bulk.id)


def test_what_is_submitted_or_comes_to_match_later_is_not_a_member() -> None:
    """The set is frozen at one position of the log."""
    world = World()
    world.endpoint.answer = Responded(404, 1)

    async def main(node: Node) -> tuple[list[TaskId], list[TaskId], list[TaskId], Bulk]:
        await open_gate(node, settings())
        dead = await submit(node, 3)
        alive = await submit(node, 2, delay_ns=HOUR)
        await asyncio.sleep(1)
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        bulk_id = await begin(node, "redrive", states=("dead",), rate=1)
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        new = await submit(node, 2)
        for one in alive:
            await node.intake.task_command(one, RunTask(CAUSE))
        await asyncio.sleep(1)
        return dead, alive, new, await end_of(node, bulk_id)

    dead, alive, new, bulk = world.live(main)

    assert bulk.counts == BulkCounts(changed=3)
    assert [world.names_of(one).count("TaskRevived") for one in dead] == [1, 1, 1]
    assert {world.row(one).state for one in alive + new} == {"dead"}
    assert [name for one in alive + new for name in world.names_of(one) if "Rev" in name] == []


def test_the_set_is_that_of_the_count_however_late_it_is_begun() -> None:
    """Semantics 8.3: neither a newer task that matches gets in, nor an older one that matches
    only since."""
    world = World()
    world.endpoint.answer = Responded(404, 1)

    async def main(node: Node) -> tuple[list[TaskId], Bulk]:
        await open_gate(node, settings())
        alive = await submit(node, 2, delay_ns=HOUR)
        await submit(node, 3)
        await asyncio.sleep(1)
        counted = await node.ports.reader.position()
        match = BulkFilter(at=node.ports.clock.wall(), gate=NAME, states=("dead",))
        new = await submit(node, 2)
        for one in alive:
            await node.intake.task_command(one, RunTask(CAUSE))
        await asyncio.sleep(1)
        assert {world.row(one).state for one in alive + new} == {"dead"}
        bulk = await node.bulks.start(StartBulk(WHY, "redrive", match, counted))
        assert isinstance(bulk, Bulk)
        return alive + new, await end_of(node, bulk.id)

    others, bulk = world.live(main)

    assert bulk.counts == BulkCounts(changed=3)
    assert [one for one in others if "TaskRevived" in world.names_of(one)] == []


@pytest.mark.parametrize("lived_s", [0.05, 0.5, 1.3, 2.04, 2.97, 3.0, 3.05])
def test_a_bulk_goes_on_after_a_kill_and_answers_each_member_once(lived_s: float) -> None:
    world = World()

    async def first(node: Node) -> tuple[list[TaskId], BulkId]:
        await open_gate(node, settings())
        tasks = await submit(node, 300, delay_ns=HOUR)
        bulk_id = await begin(node, rate=100)
        await asyncio.sleep(lived_s)
        return tasks, bulk_id

    tasks, bulk_id = world.live(first)
    bulk = world.live(lambda node: end_of(node, bulk_id), down_s=5)

    assert bulk.counts == BulkCounts(changed=300)
    listed = Counter(one for page in pages(world, bulk_id) for one in page.changed)
    assert listed == Counter(tasks)
    assert {tuple(world.names_of(one)) for one in tasks} == {("TaskSubmitted", "TaskCancelled")}


def test_a_redrive_that_a_kill_broke_off_redrives_nothing_twice() -> None:
    """A member that has died again since is not given to its gate a second time."""
    world = World()
    world.endpoint.answer = Responded(404, 1)

    async def first(node: Node) -> tuple[list[TaskId], BulkId]:
        await open_gate(node, settings())
        tasks = await submit(node, 150)
        await asyncio.sleep(2)
        bulk_id = await begin(node, "redrive", states=("dead",), rate=50)
        await asyncio.sleep(1)
        return tasks, bulk_id

    tasks, bulk_id = world.live(first)
    bulk = world.live(lambda node: end_of(node, bulk_id))

    assert bulk.counts == BulkCounts(changed=150)
    assert {world.names_of(one).count("TaskRevived") for one in tasks} == {1}


def test_a_rate_spaces_the_members() -> None:
    world = World()

    async def main(node: Node) -> list[TaskId]:
        await open_gate(node, settings())
        tasks = await submit(node, 100, delay_ns=HOUR)
        await end_of(node, await begin(node, rate=20))
        return tasks

    tasks = world.live(main)

    at = sorted(world.events_of(one)[-1].at for one in tasks)
    assert 4.5 * SECOND < at[-1] - at[0] < 6 * SECOND
    assert all(at[i + 22] - at[i] >= SECOND for i in range(len(at) - 22))


def test_an_aborted_bulk_keeps_what_is_done_and_leaves_the_rest() -> None:
    world = World()

    async def main(node: Node) -> tuple[list[TaskId], Bulk | Rejected]:
        await open_gate(node, settings())
        tasks = await submit(node, 100, delay_ns=HOUR)
        bulk_id = await begin(node, rate=10)
        await asyncio.sleep(3)
        return tasks, await node.bulks.abort(bulk_id, Cause("AbortBulk", "eve", "wrong gate"))

    tasks, bulk = world.live(main)

    assert isinstance(bulk, Bulk)
    assert bulk.ended is not None
    assert bulk.ended.aborted
    assert bulk.ended.cause == Cause("AbortBulk", "eve", "wrong gate")
    cancelled = [one for one in tasks if world.row(one).state == "cancelled"]
    assert 20 <= len(cancelled) <= 40
    assert bulk.counts == BulkCounts(changed=len(cancelled))


def test_a_bulk_whose_actor_gave_up_can_be_aborted() -> None:
    world = World()

    async def main(node: Node) -> Bulk | Rejected:
        await open_gate(node, settings())
        await submit(node, 3, delay_ns=HOUR)
        await _given_up(world, node)
        await asyncio.sleep(1)
        (row,) = await node.ports.reader.bulk_rows(running=True)
        return await node.bulks.abort(row.bulk, CAUSE)

    bulk = world.live(main)

    assert isinstance(bulk, Bulk)
    assert bulk.ended is not None
    assert bulk.ended.aborted


async def _given_up(world: World, node: Node) -> BulkId:
    """A bulk that crashed on its first member until nobody restarted it."""

    async def crash(_task: TaskId) -> None:
        raise RuntimeError("a bug")

    vars(world)["task_events"] = crash
    bulk_id = await begin(node)
    while not any(isinstance(incident, GaveUp) for incident in world.incidents):
        await asyncio.sleep(0.1)
    del vars(world)["task_events"]
    return bulk_id


def test_a_restart_goes_on_with_every_bulk_whatever_its_actor_had_come_to() -> None:
    world = World()

    async def first(node: Node) -> list[BulkId]:
        await open_gate(node, settings())
        await submit(node, 3, delay_ns=HOUR)
        gave_up = await _given_up(world, node)
        others = await asyncio.gather(*(begin(node, rate=1) for _ in range(MOST_RUNNING)))
        return [gave_up, *others]

    async def second(node: Node) -> int:
        async with asyncio.timeout(60):
            return len([await end_of(node, bulk_id) for bulk_id in bulk_ids])

    bulk_ids = world.live(first)

    assert world.live(second) == MOST_RUNNING + 1


def test_a_member_that_cannot_be_changed_is_listed_with_the_reason() -> None:
    world = World()
    world.endpoint.takes_s = 100

    async def main(node: Node) -> Bulk:
        await open_gate(node, settings())
        await submit(node, 2, timeout_ns=200 * SECOND)
        await submit(node, 1, delay_ns=HOUR)
        await asyncio.sleep(1)
        states = ("in_flight", "scheduled")
        bulk_id = await begin(node, "reschedule", states=states, due_at=LATER)
        return await end_of(node, bulk_id)

    bulk = world.live(main)

    assert bulk.counts == BulkCounts(changed=1, refused=2)
    (page,) = pages(world, bulk.id)
    assert {left.why for left in page.left} == {"a task that is in_flight cannot be rescheduled"}


# --- undo -------------------------------------------------------------------------------------


async def _halted(node: Node, count: int = 3) -> list[TaskId]:
    """Tasks that wait at a gate which starts nothing."""
    await open_gate(node, settings())
    await open_gate(node, settings(), OTHER)
    await node.intake.gate_command(NAME, PauseGate(CAUSE))
    return await submit(node, count, delay_ns=MINUTE)


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("cancel", {}),
        ("reschedule", {"due_at": LATER}),
        ("edit", {"change": TaskChange(url="http://127.0.0.1/new", priority=7)}),
        ("move", {"to": OTHER}),
    ],
)
def test_an_undo_gives_back_what_has_not_moved_since(
    action: BulkAction, more: dict[str, Any]
) -> None:
    world = World()

    async def main(node: Node) -> tuple[list[TaskId], list[Task], list[Task], Bulk]:
        tasks = await _halted(node)
        before = [task(world, one) for one in tasks]
        bulk = await end_of(node, await begin(node, action, **more))
        assert bulk.counts == BulkCounts(changed=3)
        between = [task(world, one) for one in tasks]
        return tasks, before, between, await undone(node, bulk.id)

    tasks, before, between, undo = world.live(main)

    assert undo.counts == BulkCounts(changed=3)
    for one, old, changed in zip(tasks, before, between, strict=True):
        now = task(world, one)
        assert _shown(now) == _shown(old)
        assert _shown(changed) != _shown(old)
        assert world.row(one).gate == NAME
        assert (world.row(one).url, world.row(one).priority) == ("http://127.0.0.1/hook", 0)
    assert world.store.reader().check_index() == []


def _shown(one: Task) -> tuple[object, ...]:
    return one.state, one.due_at, one.gate, one.submitted, one.expires_at


def test_an_undone_redrive_is_dead_again() -> None:
    world = World()
    world.endpoint.answer = Responded(404, 1)

    async def main(node: Node) -> tuple[list[TaskId], Bulk]:
        await open_gate(node, settings())
        tasks = await submit(node, 3)
        await asyncio.sleep(1)
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        bulk_id = await begin(node, "redrive", states=("dead",))
        await end_of(node, bulk_id)
        return tasks, await undone(node, bulk_id)

    tasks, undo = world.live(main)

    assert undo.counts == BulkCounts(changed=3)
    assert {(task(world, one).state, task(world, one).reason) for one in tasks} == {
        ("dead", "permanent")
    }


def test_an_undo_leaves_what_was_started_since_and_lists_it() -> None:
    world = World()

    async def main(node: Node) -> tuple[list[TaskId], Bulk]:
        tasks = await _halted(node)
        bulk_id = await begin(node, "edit", change=TaskChange(priority=5))
        await end_of(node, bulk_id)
        await node.intake.task_command(tasks[0], RunTask(CAUSE))
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        await asyncio.sleep(1)
        return tasks, await undone(node, bulk_id)

    tasks, undo = world.live(main)

    assert undo.counts == BulkCounts(changed=2, refused=1)
    left = [left for page in pages(world, undo.id) for left in page.left]
    assert [(one.task, one.why) for one in left] == [
        (tasks[0], "the task has moved on and is succeeded")
    ]
    assert world.names_of(tasks[0])[-1] == "AttemptSucceeded"


def test_an_undo_of_a_bulk_that_runs_or_of_an_undo_is_refused() -> None:
    world = World()

    async def main(node: Node) -> tuple[Bulk | Rejected, Bulk | Rejected]:
        await _halted(node, 10)
        bulk_id = await begin(node, rate=1)
        early = await node.bulks.undo(bulk_id, CAUSE)
        await node.bulks.abort(bulk_id, CAUSE)
        undo = await undone(node, bulk_id)
        return early, await node.bulks.undo(undo.id, CAUSE)

    early, again = world.live(main)

    assert isinstance(early, Rejected)
    assert (early.code, early.remedy) == ("conflict", "abort it first")
    assert isinstance(again, Rejected)
    assert again.message == "an undo cannot be undone"


# --- edit and move, one at a time -------------------------------------------------------------


def test_an_edited_task_is_sent_as_edited() -> None:
    """Semantics 8.3."""
    world = World()
    urls: list[str] = []

    def answer(outbound: object) -> Responded:
        urls.append(outbound.url)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]  # an Outbound
        return Responded(200, 1)

    world.endpoint.answer = answer

    async def main(node: Node) -> object:
        await open_gate(node, settings())
        (one,) = await submit(node, delay_ns=SECOND)
        change = TaskChange(url="http://127.0.0.1/edited")
        await node.intake.task_command(one, EditTask(change, CAUSE))
        await asyncio.sleep(3)
        return await node.intake.task_command(one, EditTask(change, CAUSE))

    late = world.live(main)

    assert urls == ["http://127.0.0.1/edited"]
    assert isinstance(late, Rejected)
    assert late.message == "a task that is succeeded cannot be edited"


def test_a_moved_task_runs_at_the_other_gate_and_only_there() -> None:
    world = World()

    async def main(node: Node) -> tuple[TaskId, object]:
        (one, _) = await _halted(node, 2)
        done = await node.intake.task_command(one, MoveTask(OTHER, CAUSE))
        await node.intake.task_command(one, RunTask(CAUSE))
        await asyncio.sleep(2)
        return one, done

    one, done = world.live(main)

    assert isinstance(done, CommandDone)
    assert (done.before.gate, done.after.gate) == (NAME, OTHER)
    assert world.names_of(one)[1:] == [
        "TaskMoved",
        "TaskRescheduled",
        "AttemptStarted",
        "AttemptSucceeded",
    ]
    assert [sent.task for sent in world.endpoint.sent] == [one]
    rows = {row.gate: row.counts for row in world.store.reader().gate_rows()}
    assert (rows[NAME]["waiting"], rows[OTHER]["succeeded"]) == (1, 1)
    assert world.store.reader().check_index() == []


def test_a_moved_head_of_an_order_key_lets_the_next_one_go() -> None:
    """Semantics 3.9: order holds within one gate."""
    world = World()

    async def main(node: Node) -> list[TaskId]:
        await open_gate(node, settings())
        await open_gate(node, settings(), OTHER)
        await node.intake.gate_command(OTHER, PauseGate(CAUSE))
        first = await submit(node, order_key="k", delay_ns=HOUR)
        second = await submit(node, order_key="k")
        await asyncio.sleep(2)
        assert not world.endpoint.sent
        await node.intake.task_command(first[0], MoveTask(OTHER, CAUSE))
        await asyncio.sleep(2)
        return [*first, *second]

    first, second = world.live(main)

    assert [sent.task for sent in world.endpoint.sent] == [second]
    assert world.row(first).state == "waiting"
    assert world.store.reader().check_index() == []


def test_a_task_moves_neither_to_a_closed_gate_nor_to_one_that_is_not_there() -> None:
    world = World()

    async def main(node: Node) -> tuple[TaskId, object, object]:
        (one,) = await _halted(node, 1)
        await node.intake.gate_command(OTHER, CloseGate(CAUSE))
        closed = await node.intake.task_command(one, MoveTask(OTHER, CAUSE))
        return one, closed, await node.intake.task_command(one, MoveTask(GateName("x"), CAUSE))

    one, closed, missing = world.live(main)

    assert isinstance(closed, Rejected)
    assert isinstance(missing, Rejected)
    assert (closed.code, missing.code) == ("conflict", "not_found")
    assert world.names_of(one) == ["TaskSubmitted"]
