"""What a command does to a task (semantics 8): events, or a no.

Rules of residence: pure; single commands and those of a bulk are the same. What follows from an
answer or from time alone is `task.py`'s.
"""

from typing import Literal, assert_never

from msgspec import Struct

from taskmaster.events.types import (
    BulkId,
    CancelRequested,
    Cause,
    GateName,
    Request,
    TaskCancelled,
    TaskChange,
    TaskDied,
    TaskEdited,
    TaskEvent,
    TaskExpired,
    TaskMoved,
    TaskRescheduled,
    TaskRevived,
    Wall,
)
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.submission import SubmitTask, decide_submission, refuse_due
from taskmaster.model.task import Task


class CancelTask(Struct, frozen=True):
    """Make this the end, or the open attempt the last one."""

    cause: Cause


class RescheduleTask(Struct, frozen=True):
    """Another due time for a task that waits."""

    due_at: Wall
    cause: Cause


class RunTask(Struct, frozen=True):
    """Due now; it passes the gate like everything else."""

    cause: Cause


class RedriveTask(Struct, frozen=True):
    """Give a dead, expired, cancelled or uncertain task to its gate again, attempts anew."""

    cause: Cause


class EditTask(Struct, frozen=True):
    """Other rules for a task that was never sent."""

    change: TaskChange
    cause: Cause


class MoveTask(Struct, frozen=True):
    """Give a task to another gate."""

    to: GateName
    cause: Cause


class UndoTask(Struct, frozen=True):
    """Take back what a bulk did to a task, if nothing has happened to it since."""

    bulk: BulkId
    cause: Cause


TaskCommand = CancelTask | RescheduleTask | RunTask | RedriveTask | EditTask | MoveTask | UndoTask
CancelAnswer = Literal["cancelled", "cancel_requested", "already_done", "uncertain"]


def decide(task: Task, command: TaskCommand, now: Wall) -> tuple[TaskEvent, ...] | Rejected:
    """The events of a command; none when it is so already."""
    match command:
        case CancelTask(cause=cause):
            if task.state == "waiting":
                return (TaskCancelled(at=now, cause=cause, gate=task.gate),)
            if task.state == "in_flight" and not task.cancel_requested:
                return (CancelRequested(at=now, cause=cause, gate=task.gate),)
            return ()
        case RescheduleTask(due_at=due_at, cause=cause):
            wrong = refuse_due(due_at, now)
            if wrong is not None:
                return wrong
            expires_at = task.expires_at
            if expires_at is not None and due_at >= expires_at:
                return invalid("due_at", "due_at is not before expires_at", "give an earlier time")
            return _moved(task, due_at, now, cause, "rescheduled")
        case RunTask(cause=cause):
            return _moved(task, min(now, task.due_at), now, cause, "run")
        case RedriveTask(cause=cause):
            if task.state in ("waiting", "in_flight"):
                return Rejected(
                    "conflict", "id", f"the task is {task.state}", "redrive it once it has ended"
                )
            if task.state == "succeeded":
                return Rejected(
                    "conflict", "id", "the task has succeeded", "submit it anew to send it again"
                )
            expires_at = task.expires_at
            if expires_at is not None and now >= expires_at:
                return Rejected(
                    "conflict", "id", "the task's expires_at has passed", "submit it anew"
                )
            return (TaskRevived(at=now, cause=cause, gate=task.gate, due_at=now),)
        case EditTask(change=change, cause=cause):
            return _edited(task, change, now, cause)
        case MoveTask(to=to, cause=cause):
            return _moved_to(task, to, now, cause)
        case UndoTask(bulk=bulk, cause=cause):
            return _undone(task, bulk, now, cause)
        case _:
            assert_never(command)


def _moved(
    task: Task, due_at: Wall, now: Wall, cause: Cause, verb: str
) -> tuple[TaskEvent, ...] | Rejected:
    if task.state != "waiting":
        return Rejected(
            "conflict",
            "id",
            f"a task that is {task.state} cannot be {verb}",
            "only a task that waits can; redrive one that has ended",
        )
    if due_at == task.due_at:
        return ()
    return (TaskRescheduled(at=now, cause=cause, gate=task.gate, due_at=due_at),)


def cancel_answer(before: Task) -> CancelAnswer:
    """What a cancel is answered with (semantics 8.2), by the state it met."""
    match before.state:
        case "waiting":
            return "cancelled"
        case "in_flight":
            return "cancel_requested"
        case "uncertain":
            return "uncertain"
        case "succeeded" | "dead" | "cancelled" | "expired":
            return "already_done"
        case _:
            assert_never(before.state)


# --- edit and move ----------------------------------------------------------------------------


def _edited(
    task: Task, change: TaskChange, now: Wall, cause: Cause
) -> tuple[TaskEvent, ...] | Rejected:
    """Only before the first attempt (semantics 8.3): what was sent once must stay the same."""
    if task.state != "waiting" or task.sends:
        state = task.state if task.state != "waiting" else "on its way to another attempt"
        return Rejected(
            "conflict", "id", f"a task that is {state} cannot be edited", "submit another one"
        )
    old = task.submitted
    sent = old.request
    request = Request(
        url=sent.url if change.url is None else change.url,
        method=sent.method if change.method is None else change.method,
        headers=sent.headers if change.headers is None else change.headers,
        body=sent.body if change.body is None else change.body,
    )
    wish = SubmitTask(
        gate=task.gate,
        request=request,
        due_at=task.due_at,
        retry=old.retry if change.retry is None else change.retry,
        timeout_ns=old.timeout_ns if change.timeout_ns is None else change.timeout_ns,
        expires_at=task.expires_at if change.expires_at is None else change.expires_at,
        idempotent=old.idempotent if change.idempotent is None else change.idempotent,
        priority=old.priority if change.priority is None else change.priority,
    )
    acceptable = decide_submission(wish, cause, now)
    if isinstance(acceptable, Rejected):
        return acceptable
    edited = TaskEdited(
        at=now,
        cause=cause,
        gate=task.gate,
        request=None if request == sent else request,
        timeout_ns=wish.timeout_ns,
        retry=wish.retry,
        idempotent=wish.idempotent,
        priority=wish.priority,
        expires_at=wish.expires_at,
    )
    as_it_is = _as_edited(task, task, now, cause)
    return () if edited == as_it_is else (edited,)


def _as_edited(task: Task, rules_of: Task, now: Wall, cause: Cause) -> TaskEdited:
    """The edit that gives a task the rules of `rules_of`."""
    rules = rules_of.submitted
    same = rules.request == task.submitted.request
    return TaskEdited(
        at=now,
        cause=cause,
        gate=task.gate,
        request=None if same else rules.request,
        timeout_ns=rules.timeout_ns,
        retry=rules.retry,
        idempotent=rules.idempotent,
        priority=rules.priority,
        expires_at=rules_of.expires_at,
    )


def _moved_to(
    task: Task, to: GateName, now: Wall, cause: Cause
) -> tuple[TaskEvent, ...] | Rejected:
    """Attempts are counted where they started, so none may be open or uncertain."""
    if task.state not in ("waiting", "dead"):
        return Rejected(
            "conflict",
            "id",
            f"a task that is {task.state} cannot be moved",
            "only a task that waits or is dead can",
        )
    if task.occurrence is not None:
        return Rejected(
            "conflict", "id", "the task is a run of a series", "change the gate of the series"
        )
    if to == task.gate:
        return ()
    rules = task.submitted
    return (
        TaskMoved(
            at=now,
            cause=cause,
            gate=task.gate,
            to=to,
            key=rules.key,
            fingerprint=rules.fingerprint if rules.key else "",
        ),
    )


# --- undo -------------------------------------------------------------------------------------


def _undone(task: Task, bulk: BulkId, now: Wall, cause: Cause) -> tuple[TaskEvent, ...] | Rejected:
    """The event that gives a task back what it was before the bulk touched it."""
    touched = task.touched
    if touched is None or touched.bulk != bulk:
        return Rejected(
            "conflict", "id", f"the task has moved on and is {task.state}", "look at its history"
        )
    before = touched.before
    if before.gate != task.gate:
        return _moved_to(task, before.gate, now, cause)
    if task.state == "cancelled":
        return _uncancelled(task, before, now, cause)
    if task.state != "waiting":
        return Rejected(
            "conflict",
            "id",
            f"a task that is {task.state} cannot be given back",
            "wait for its end",
        )
    if before.state != "waiting":
        return _undriven(task, before, now, cause)
    if before.submitted != task.submitted or before.expires_at != task.expires_at:
        return (_as_edited(task, before, now, cause),)
    return (TaskRescheduled(at=now, cause=cause, gate=task.gate, due_at=before.due_at),)


def _uncancelled(
    task: Task, before: Task, now: Wall, cause: Cause
) -> tuple[TaskEvent, ...] | Rejected:
    if before.state != "waiting" or before.sends:
        return Rejected("conflict", "id", "the task was sent before it was cancelled", "redrive it")
    if before.occurrence is not None:
        return Rejected("conflict", "id", "the next run of its series stands already", "redrive it")
    if task.expires_at is not None and now >= task.expires_at:
        return Rejected("conflict", "id", "the task's expires_at has passed", "submit it anew")
    due_at = before.due_at
    return (TaskRevived(at=now, cause=cause, gate=task.gate, due_at=due_at, redriven=False),)


def _undriven(
    task: Task, before: Task, now: Wall, cause: Cause
) -> tuple[TaskEvent, ...] | Rejected:
    """A redrive is taken back by the end that the task had come to."""
    match before.state:
        case "dead":
            return (TaskDied(at=now, cause=cause, gate=task.gate, reason=before.reason),)
        case "expired":
            return (TaskExpired(at=now, cause=cause, gate=task.gate),)
        case "cancelled":
            return (TaskCancelled(at=now, cause=cause, gate=task.gate),)
        case _:
            return Rejected(
                "conflict", "id", f"the task was {before.state} before", "cancel it instead"
            )
