"""A task's life: what its events make of it, and what an answer or a command adds to them.

Rules of residence: pure. `evolve` folds one stream; the decisions below say which event comes
next. Submissions are decided in `submission.py`, successors of periodic tasks in `series.py`.
"""

from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    NEW,
    SECOND,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    BulkId,
    CancelRequested,
    EndReason,
    GateName,
    Mono,
    Next,
    Occurrence,
    Outcome,
    TaskCancelled,
    TaskDied,
    TaskEdited,
    TaskEvent,
    TaskExpired,
    TaskId,
    TaskMoved,
    TaskRescheduled,
    TaskRevived,
    TaskStateName,
    TaskSubmitted,
    Version,
    Wall,
)
from taskmaster.model.retry import Answer, Responded, Unanswered, Verdict, backoff_ns, classify

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
StoredState = Literal[
    "waiting", "in_flight", "uncertain", "succeeded", "dead", "cancelled", "expired"
]
FINAL: frozenset[StoredState] = frozenset({"succeeded", "dead", "cancelled", "expired"})


class Touched(Struct, frozen=True):
    """What a bulk did to a task last, and the task before it; gone with the next event."""

    bulk: BulkId
    before: "Task"


class Task(Struct, frozen=True):
    """A task's state. `sends` counts starts less voided ones, `used` those that count as attempts.

    `probes` counts the starts that were to find out how the endpoint is.
    `followed`: it ended once, so that its successor was asked for. `first_started_at` is when
    `max_elapsed` began, `first_stopped_ns` how long the gate had been stopped by then, and
    `first_start` the number of the start that began it. `redriven`: it was given to its
    gate again, however often it was tried since.
    """

    id: TaskId
    submitted: TaskSubmitted
    due_at: Wall
    gate: GateName
    version: Version = NEW
    state: StoredState = "waiting"
    occurrence: Occurrence | None = None
    expires_at: Wall | None = None
    starts: int = 0
    sends: int = 0
    used: int = 0
    first_started_at: Wall | None = None
    first_stopped_ns: int = 0
    first_start: int = 0
    probing: bool = False
    probes: int = 0
    cancel_requested: bool = False
    followed: bool = False
    redriven: bool = False
    ended_at: Wall | None = None
    reason: EndReason = ""
    touched: Touched | None = None


def fold(task_id: TaskId, events: tuple[TaskEvent, ...]) -> Task:
    """The task after the whole of its stream."""
    first = events[0]
    assert isinstance(first, TaskSubmitted), "a task without TaskSubmitted"
    task = Task(
        id=task_id,
        submitted=first,
        due_at=first.due_at,
        gate=first.gate,
        version=Version(1),
        occurrence=first.occurrence,
        expires_at=first.expires_at,
    )
    for event in events[1:]:
        task = evolve(task, event)
    return task


def evolve(task: Task, event: TaskEvent) -> Task:
    """The task after one event."""
    if task.touched is not None:
        task = replace(task, touched=None)
    after = _evolved(task, event)
    bulk = event.cause.bulk
    return replace(after, touched=Touched(bulk, task)) if bulk else after


def _evolved(task: Task, event: TaskEvent) -> Task:
    version = Version(task.version + 1)
    match event:
        case TaskSubmitted():
            raise AssertionError("TaskSubmitted comes first and once")
        case AttemptStarted():
            first = task.first_started_at is None
            return replace(
                task,
                version=version,
                state="in_flight",
                starts=event.attempt,
                sends=task.sends + 1,
                probing=event.probe,
                probes=task.probes + event.probe,
                first_started_at=event.at if first else task.first_started_at,
                first_stopped_ns=event.stopped_ns if first else task.first_stopped_ns,
                first_start=event.attempt if first else task.first_start,
            )
        case AttemptVoided():
            task = replace(task, version=version, state="waiting", sends=task.sends - 1)
            # what was never sent did not begin `max_elapsed` either
            return _unbegun(task) if event.attempt == task.first_start else task
        case AttemptSucceeded():
            return replace(task, version=version, state="succeeded", ended_at=event.at)
        case AttemptFailed():
            return _failed(replace(task, version=version), event)
        case TaskRescheduled():
            occurrence = event.occurrence or task.occurrence
            expires_at = event.expires_at if event.expires_at is not None else task.expires_at
            moved = replace(task, due_at=event.due_at, occurrence=occurrence, expires_at=expires_at)
            return replace(moved, version=version)
        case CancelRequested():
            return replace(task, version=version, cancel_requested=True)
        case TaskCancelled():
            return replace(
                task, version=version, state="cancelled", ended_at=event.at, reason="command"
            )
        case TaskExpired():
            return replace(
                task, version=version, state="expired", ended_at=event.at, reason="deadline"
            )
        case TaskDied():
            return replace(
                task, version=version, state="dead", ended_at=event.at, reason=event.reason
            )
        case TaskRevived():
            return replace(
                _unbegun(task),
                version=version,
                state="waiting",
                due_at=event.due_at,
                used=0,
                cancel_requested=False,
                followed=task.followed or task.state in FINAL,
                redriven=task.redriven or event.redriven,
                ended_at=None,
                reason="",
            )
        case TaskEdited():
            return _edited(replace(task, version=version), event)
        case TaskMoved():
            # how long the gate was stopped is reckoned for each gate: `max_elapsed` begins anew
            return replace(_unbegun(task), version=version, gate=event.to)
        case _:
            assert_never(event)


def _edited(task: Task, event: TaskEdited) -> Task:
    submitted = replace(
        task.submitted,
        request=event.request or task.submitted.request,
        timeout_ns=event.timeout_ns,
        retry=event.retry,
        idempotent=event.idempotent,
        priority=event.priority,
    )
    return replace(task, submitted=submitted, expires_at=event.expires_at)


def _unbegun(task: Task) -> Task:
    return replace(task, first_started_at=None, first_stopped_ns=0, first_start=0)


def _failed(task: Task, event: AttemptFailed) -> Task:
    used = task.used + (1 if event.used else 0)
    match event.next:
        case "retry":
            assert event.retry_at is not None
            return replace(task, state="waiting", used=used, due_at=event.retry_at)
        case "uncertain":
            return replace(task, state="uncertain", used=used)
        case "dead" | "cancelled" | "expired":
            return replace(
                task, state=event.next, used=used, ended_at=event.at, reason=event.reason
            )
        case _:
            assert_never(event.next)


def state_name(task: Task, now: Wall) -> TaskStateName:
    """What API and CLI call it: a task that waits is `scheduled` until it is due."""
    if task.state != "waiting":
        return task.state
    return "scheduled" if task.due_at > now else "waiting"


def may_resend(task: Task) -> bool:
    """Whether an attempt of unknown outcome may be followed by another (semantics 2.4)."""
    rules = task.submitted
    return rules.idempotent or rules.request.method in IDEMPOTENT_METHODS


# --- before a start ---------------------------------------------------------------------------


def end_before_start(task: Task, now: Wall, stopped_ns: int) -> TaskExpired | TaskDied | None:
    """The end of a task whose time was used up while it waited, or None: it may start."""
    expires_at = task.expires_at
    if expires_at is not None and now >= expires_at:
        return TaskExpired(at=now, gate=task.gate)
    if _elapsed_ns(task, now, stopped_ns) > task.submitted.retry.max_elapsed_ns:
        return TaskDied(at=now, gate=task.gate, reason="elapsed")
    return None


def _elapsed_ns(task: Task, now: Wall, stopped_ns: int) -> int:
    """Time since the first start, less what the gate stood paused or tripped."""
    if task.first_started_at is None:
        return 0
    return now - task.first_started_at - max(0, stopped_ns - task.first_stopped_ns)


# --- after an answer --------------------------------------------------------------------------


class Moment(Struct, frozen=True):
    """When an attempt ended, by both clocks, with the gate's stopped time and two random numbers
    from [0, 1): `u` spreads the retry, `u_gate` the release of a throttled gate."""

    wall: Wall
    mono: Mono
    stopped_ns: int
    u: float
    u_gate: float


def settle(task: Task, answer: Answer, moment: Moment) -> AttemptSucceeded | AttemptFailed:
    """What an answer makes of the open attempt (semantics 5)."""
    verdict = classify(answer, task.submitted.retry.retry_on, moment.wall)
    match answer:
        case Responded(status=status, body=body, truncated=truncated):
            pass
        case Unanswered():
            status, body, truncated = 0, b"", False
        case _:
            assert_never(answer)
    if verdict.outcome is None:
        return AttemptSucceeded(
            at=moment.wall,
            gate=task.gate,
            attempt=task.starts,
            status=status,
            duration_ns=answer.duration_ns,
            response=body,
            truncated=truncated,
        )
    return _failure(
        task,
        verdict,
        moment,
        status=status,
        error=answer.error if isinstance(answer, Unanswered) else "",
        duration_ns=answer.duration_ns,
        response=body,
        truncated=truncated,
    )


def interrupted(task: Task, moment: Moment) -> AttemptFailed:
    """The end of an attempt that was open when its process died (semantics 2.4)."""
    return _failure(task, _ours("interrupted"), moment, error="the process ended")


def crashed(task: Task, moment: Moment, error: str) -> AttemptFailed:
    """The end of an attempt whose actor crashed: it counts, so that no poison loops for ever."""
    return _failure(task, _ours("crashed"), moment, error=error)


def _ours(outcome: Outcome) -> Verdict:
    return Verdict(
        outcome=outcome, fault="none", delivered="unknown", again="retry", retry_after_ns=None
    )


def _failure(
    task: Task,
    verdict: Verdict,
    moment: Moment,
    *,
    status: int = 0,
    error: str = "",
    duration_ns: int = 0,
    response: bytes = b"",
    truncated: bool = False,
) -> AttemptFailed:
    assert verdict.outcome is not None
    used = verdict.again != "throttled" and not (task.probing and verdict.fault == "endpoint")
    wait_ns = _wait_ns(task, verdict, moment.u)
    step, reason = _what_next(task, verdict, moment, used=used, wait_ns=wait_ns)
    throttle_until = None
    if verdict.again == "throttled":
        # the whole gate stays away; spread so that nothing is released at one instant
        spread_ns = int(min(max(wait_ns // 10, SECOND // 10), SECOND) * moment.u_gate)
        throttle_until = Mono(moment.mono + wait_ns + spread_ns)
    return AttemptFailed(
        at=moment.wall,
        gate=task.gate,
        attempt=task.starts,
        outcome=verdict.outcome,
        fault=verdict.fault,
        delivered=verdict.delivered,
        next=step,
        reason=reason,
        used=used,
        retry_at=Wall(moment.wall + wait_ns) if step == "retry" else None,
        throttle_until=throttle_until,
        status=status,
        error=error,
        duration_ns=duration_ns,
        response=response,
        truncated=truncated,
    )


def _wait_ns(task: Task, verdict: Verdict, u: float) -> int:
    if verdict.retry_after_ns is not None:
        return verdict.retry_after_ns
    return backoff_ns(task.submitted.retry, max(1, task.used + 1), u)


def _what_next(
    task: Task, verdict: Verdict, moment: Moment, *, used: bool, wait_ns: int
) -> tuple[Next, EndReason]:
    rules = task.submitted
    if task.cancel_requested:
        return "cancelled", "command"
    if verdict.again == "final":
        return "dead", "permanent"
    if verdict.delivered == "unknown" and not may_resend(task):
        return "uncertain", ""
    if task.used + (1 if used else 0) >= rules.retry.max_attempts:
        return "dead", "poison" if verdict.outcome == "crashed" else "attempts"
    if task.expires_at is not None and moment.wall + wait_ns >= task.expires_at:
        return "expired", "deadline"
    elapsed = _elapsed_ns(task, moment.wall, moment.stopped_ns) + wait_ns
    if elapsed > rules.retry.max_elapsed_ns:
        return "dead", "elapsed"
    return "retry", ""
