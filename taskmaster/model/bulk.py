"""Many tasks changed by one command: which are meant, what is done to each, how far it is.

Rules of residence: pure. A bulk's own stream holds what was asked for, how far it has come and how
it ended; what it did to a task is in the task's stream alone, under the bulk's id.
"""

from math import isfinite
from typing import assert_never

from msgspec import Struct
from msgspec.structs import astuple, replace

from taskmaster.events.types import (
    BulkAction,
    BulkAnswer,
    BulkCounts,
    BulkEnded,
    BulkEvent,
    BulkFilter,
    BulkId,
    BulkProgressed,
    BulkStarted,
    Cause,
    GateName,
    Position,
    TaskChange,
    Version,
    Wall,
)
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.submission import refuse_due
from taskmaster.model.task import Task, state_name
from taskmaster.model.task_control import (
    CancelTask,
    EditTask,
    MoveTask,
    RedriveTask,
    RescheduleTask,
    TaskCommand,
    UndoTask,
)

MAX_RATE_PER_S = 10_000
NEEDS: dict[BulkAction, str] = {"reschedule": "due_at", "edit": "edit", "move": "to"}
"""What an action cannot do without, as it is called outside."""


class StartBulk(Struct, frozen=True):
    """A wish to change all that matched `match` at `position`."""

    cause: Cause
    action: BulkAction
    match: BulkFilter
    position: Position
    matched: int | None = None
    rate: float = 0
    due_at: Wall | None = None
    change: TaskChange | None = None
    to: GateName | None = None


class Bulk(Struct, frozen=True):
    """A bulk's state. `counts` are the members answered so far, `cursor` where it goes on."""

    id: BulkId
    started: BulkStarted
    version: Version = Version(1)
    cursor: int = 0
    counts: BulkCounts = BulkCounts()
    ended: BulkEnded | None = None

    @property
    def answered(self) -> int:
        """How many members have their answer."""
        return sum(astuple(self.counts))

    @property
    def gone(self) -> int:
        """Of an ended bulk, how many that were counted at the start matched no more when their
        turn came: they were left alone."""
        matched = self.started.matched
        done = self.ended is not None and not self.ended.aborted
        return max(0, matched - self.answered) if done and matched is not None else 0


def fold_bulk(bulk_id: BulkId, events: tuple[BulkEvent, ...]) -> Bulk:
    """A bulk after its first event and any later ones; each progress sums up those before."""
    first = events[0]
    assert isinstance(first, BulkStarted), "a bulk without BulkStarted"
    bulk = Bulk(bulk_id, first)
    for event in events[1:]:
        bulk = evolve_bulk(bulk, event)
    return bulk


def evolve_bulk(bulk: Bulk, event: BulkEvent) -> Bulk:
    """The bulk after one event."""
    version = Version(bulk.version + 1)
    match event:
        case BulkStarted():
            raise AssertionError("BulkStarted comes first and once")
        case BulkProgressed(cursor=cursor, counts=counts):
            return replace(bulk, version=version, cursor=cursor, counts=counts)
        case BulkEnded(counts=counts):
            return replace(bulk, version=version, counts=counts, ended=event)
        case _:
            assert_never(event)


# --- decisions --------------------------------------------------------------------------------


def decide_start(command: StartBulk, now: Wall) -> BulkStarted | Rejected:
    """The fact of an acceptable bulk; else the first field that is not."""
    wrong = _refuse(command, now)
    if wrong is not None:
        return wrong
    return BulkStarted(
        at=now,
        cause=command.cause,
        action=command.action,
        position=command.position,
        match=command.match,
        matched=command.matched,
        rate=command.rate,
        due_at=command.due_at,
        change=command.change,
        to=command.to,
    )


def _refuse(command: StartBulk, now: Wall) -> Rejected | None:
    match = command.match
    if replace(match, at=Wall(0)) == BulkFilter(at=Wall(0)):
        return invalid("filter", "the filter matches every task", "name a gate, a label or a state")
    given = {"due_at": command.due_at, "edit": command.change, "to": command.to}
    needed = NEEDS.get(command.action, "")
    for name, value in given.items():
        if name == needed and value is None:
            return invalid(name, f"{command.action} needs {name}", "say what it is to be")
        if name != needed and value is not None:
            return invalid(name, f"{name} is not for {command.action}", "leave it out")
    if command.due_at is not None:
        wrong = refuse_due(command.due_at, now)
        if wrong is not None:
            return wrong
    return _refuse_rate(command.rate)


def _refuse_rate(rate: float) -> Rejected | None:
    if isfinite(rate) and 0 <= rate <= MAX_RATE_PER_S and (not rate or rate >= 0.001):
        return None
    return invalid(
        "rate", f"rate must be 0.001 to {MAX_RATE_PER_S} a second", "leave it out for no bound"
    )


def decide_undo(
    bulk: Bulk, cause: Cause, position: Position, now: Wall, rate: float = 0
) -> BulkStarted | Rejected:
    """The bulk that takes another one back, where nothing has happened since."""
    if bulk.started.action == "undo":
        remedy = f"start the {bulk.started.action} of before again"
        return Rejected("conflict", "id", "an undo cannot be undone", remedy)
    if bulk.ended is None:
        return Rejected("conflict", "id", "the bulk is still running", "abort it first")
    wrong = _refuse_rate(rate)
    if wrong is not None:
        return wrong
    changed = bulk.counts.changed + bulk.counts.requested
    return BulkStarted(
        at=now,
        cause=cause,
        action="undo",
        position=position,
        matched=changed,
        rate=rate,
        undoes=bulk.id,
    )


def command_of(bulk: Bulk) -> TaskCommand:
    """What each member is told; the events of it carry the bulk's id."""
    started = bulk.started
    cause = replace(started.cause, bulk=bulk.id)
    match started.action:
        case "cancel":
            return CancelTask(cause)
        case "redrive":
            return RedriveTask(cause)
        case "reschedule":
            assert started.due_at is not None
            return RescheduleTask(started.due_at, cause)
        case "edit":
            assert started.change is not None
            return EditTask(started.change, cause)
        case "move":
            assert started.to is not None
            return MoveTask(started.to, cause)
        case "undo":
            return UndoTask(started.undoes, cause)
        case _:
            assert_never(started.action)


def matches(task: Task, match: BulkFilter) -> bool:
    """Whether a task, as it stood where the bulk was decided, is meant."""
    rules = task.submitted
    if match.states and state_name(task, match.at) not in match.states:
        return False
    if match.due_before is not None and task.due_at >= match.due_before:
        return False
    if match.due_after is not None and task.due_at <= match.due_after:
        return False
    series = task.occurrence.series if task.occurrence is not None else None
    wanted = (
        (match.gate or task.gate, task.gate),
        (match.series or series, series),
        (match.key or rules.key, rules.key),
        (match.fair_key or rules.fair_key, rules.fair_key),
    )
    return all(one == other for one, other in wanted) and set(match.labels) <= set(rules.labels)


def answer_of(before: Task, after: Task, command: TaskCommand) -> tuple[BulkAnswer, str]:
    """What a member that was told came to."""
    if after.version == before.version:
        is_held = isinstance(command, CancelTask) and before.state == "uncertain"
        return ("refused", "the task is uncertain") if is_held else ("already", before.state)
    return ("requested" if after.state == "in_flight" else "changed"), ""
