"""Tasks: submit one, read, list, history, and the commands.

Rules of residence: routes and their table. Many at once are `batch.py`'s, why a task waits is
`why.py`'s.
"""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.actors.intake import Accepted, Replayed
from taskmaster.actors.messages import CommandDone
from taskmaster.api.answers import CancelOut, Event, HistoryEvent, Page, TaskListed, TaskOut
from taskmaster.api.bodies import ReasonIn, RescheduleIn, TaskIn
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.encoding import listed, new_task_out, task_out
from taskmaster.api.history import shown_event
from taskmaster.api.operations import PAGING, PREFER_WAIT, Operation, Parameter, Reply
from taskmaster.api.paging import LIMIT, MAX_LIMIT
from taskmaster.api.problems import accepted, raise_if_no, stop
from taskmaster.api.reading import BodyReader, parameters, whole_number
from taskmaster.api.submissions import duration, instant, submission
from taskmaster.api.task_filter import filter_of, matching
from taskmaster.api.waiting import wait_for_end, wait_ns_of
from taskmaster.events.log import Recorded, TaskRow
from taskmaster.events.types import (
    Position,
    TaskEvent,
    TaskId,
    TaskSubmitted,
    Version,
    Wall,
    task_stream,
)
from taskmaster.model.rejected import invalid
from taskmaster.model.submission import HORIZON_NS
from taskmaster.model.task import fold
from taskmaster.model.task_control import (
    CancelTask,
    RedriveTask,
    RescheduleTask,
    RunTask,
    TaskCommand,
    cancel_answer,
)

READ_AT_ONCE = 32
"""First events that a list reads side by side; each may hold a body of 1 MiB."""
MAX_TRACEPARENT_CHARS = 64
_task = BodyReader(TaskIn)
_reason = BodyReader(ReasonIn)
_reschedule = BodyReader(RescheduleIn)


async def submit(api: Api, request: Request) -> Response:
    """Accept one task: 201 once it is durable."""
    api.refuse_while_stopping()
    task = await _task.read(request)
    traceparent = request.headers.get("traceparent", "")
    command = accepted(
        submission(
            task,
            api.egress,
            header_key=request.headers.get("idempotency-key", ""),
            traceparent=traceparent if len(traceparent) <= MAX_TRACEPARENT_CHARS else "",
        )
    )
    because = cause(request, "SubmitTask")
    implicit = task.gate is None
    [answer] = await within(api.node.intake.submit([command], because, implicit=implicit))
    raise_if_no(answer, in_body=True)
    wait_ns = wait_ns_of(request)
    if isinstance(answer, Replayed):
        await wait_for_end(api, answer.task_id, wait_ns)
        shown = await read_task(api, answer.task_id)
        headers = {"Location": location(answer.task_id), "Idempotent-Replayed": "true"}
        return JsonResponse(shown, 200, headers)
    assert isinstance(answer, Accepted)
    if wait_ns:
        await wait_for_end(api, answer.task_id, wait_ns)
        shown = await read_task(api, answer.task_id)
    else:
        shown = new_task_out(answer.task_id, answer.submitted, api.now())
    return JsonResponse(shown, 201, {"Location": location(answer.task_id)})


def location(task_id: TaskId) -> str:
    """Where a task is read."""
    return f"/v1/tasks/{task_id}"


async def read(api: Api, request: Request) -> Response:
    """One task; with Prefer: wait once it has ended."""
    parameters(request)
    task_id = TaskId(request.path_params["id"])
    await wait_for_end(api, task_id, wait_ns_of(request))
    return JsonResponse(await read_task(api, task_id))


async def read_task(api: Api, task_id: TaskId) -> TaskOut:
    """A task from its whole stream.

    Raises:
        ProblemError: there is none.
    """
    records = await task_records(api, task_id)
    return task_out(fold(task_id, task_events(records)), records[-1].event.at, api.now())


async def task_records(api: Api, task_id: TaskId) -> tuple[Recorded, ...]:
    """A task's stream.

    Raises:
        ProblemError: there is no such task.
    """
    records = await within(api.reader.task_events(task_id))
    if not records:
        raise stop(
            "not_found",
            f"there is no task {task_id[:60]!a}",
            pointer="/id",
            remedy="GET /v1/tasks lists them",
        )
    return records


def task_events(records: Sequence[Recorded]) -> tuple[TaskEvent, ...]:
    """The facts of a task's stream, which holds no others."""
    return tuple(record.event for record in records if isinstance(record.event, TaskEvent))


# --- lists ------------------------------------------------------------------------------------

FILTERS = (
    Parameter("gate", "Only tasks of this gate."),
    Parameter("state", "Only these states: repeat it, or separate them by commas.", repeated=True),
    Parameter("label", "Only tasks with this label, as name:value.", repeated=True),
    Parameter("series", "Only occurrences of this series."),
    Parameter("key", "Only the task with this idempotency key."),
    Parameter("due_before", "Only tasks due before this instant."),
    Parameter("due_after", "Only tasks due after this instant."),
)


async def list_tasks(api: Api, request: Request) -> Response:
    """Matching tasks, newest first."""
    names = ("gate", "state*", "label*", "series", "key", "due_before", "due_after")
    given = parameters(request, *names, "limit", "page_token")
    limit = whole_number(given, "limit", LIMIT, least=1, most=MAX_LIMIT)
    of = f"tasks {sorted((n, v) for n, v in given.items() if n not in ('limit', 'page_token'))}"
    before = None
    if "page_token" in given:
        before = Position(api.pager.place(of, given["page_token"][0]).position)
    now = api.now()
    found = await within(matching(api, filter_of(given, now), before=before, limit=limit, now=now))
    token = None if found.go_on is None else api.pager.token(of, position=found.go_on)
    return JsonResponse(Page(await _listed(api, found.rows, now), token))


async def _listed(api: Api, rows: Sequence[TaskRow], now: Wall) -> tuple[TaskListed, ...]:
    """Rows with what only a task's first event knows."""
    shown: list[TaskListed] = []
    for start in range(0, len(rows), READ_AT_ONCE):
        part = rows[start : start + READ_AT_ONCE]
        firsts = await within(
            asyncio.gather(*(api.reader.stream(task_stream(row.task), limit=1) for row in part))
        )
        for row, first in zip(part, firsts, strict=True):
            submitted = first[0].event
            assert isinstance(submitted, TaskSubmitted)
            shown.append(listed(row, submitted, now))
    return tuple(shown)


async def history(api: Api, request: Request) -> Response:
    """A task's events, oldest first."""
    given = parameters(request, "limit", "page_token")
    task_id = TaskId(request.path_params["id"])
    limit = whole_number(given, "limit", LIMIT, least=1, most=MAX_LIMIT)
    of = f"history {task_id}"
    after = Version(0)
    if "page_token" in given:
        after = Version(api.pager.place(of, given["page_token"][0]).position)
    records = await within(api.reader.stream(task_stream(task_id), after=after, limit=limit + 1))
    if not records and not after:
        await task_records(api, task_id)  # there is none: say so
    shown = records[:limit]
    token = api.pager.token(of, position=shown[-1].version) if len(records) > limit else None
    return JsonResponse(Page[Event](tuple(shown_event(record) for record in shown), token))


# --- commands ---------------------------------------------------------------------------------


async def cancel(api: Api, request: Request) -> Response:
    """Make this the end, or the open attempt the last one."""
    body = await _reason.read(request, optional=True)
    because = cause(request, "CancelTask", body.reason)
    done = await commanded_task(api, request, CancelTask(because))
    before, after = done.before, done.after
    answer = cancel_answer(before)
    if answer == "cancel_requested" and after.state == "cancelled":
        answer = "cancelled"  # its start was committed, but not sent yet
    return JsonResponse(CancelOut(answer, await read_task(api, after.id)))


async def reschedule(api: Api, request: Request) -> Response:
    """Give a task that waits another due time."""
    body = await _reschedule.read(request)
    if (body.due_at is None) == (body.delay is None):
        raise_if_no(invalid("due_at", "one of due_at and delay is needed", "give one of them"))
    if body.due_at is not None:
        due_at = accepted(instant("due_at", body.due_at))
    else:
        due_at = Wall(api.now() + accepted(duration("delay", body.delay or 0)))
    if due_at < 0 or due_at > api.now() + HORIZON_NS:
        field = "due_at" if body.due_at is not None else "delay"
        raise_if_no(invalid(field, f"{field} is out of range", "give a time within 10 years"))
    because = cause(request, "RescheduleTask", body.reason)
    done = await commanded_task(api, request, RescheduleTask(due_at, because))
    return JsonResponse(await read_task(api, done.after.id))


async def run(api: Api, request: Request) -> Response:
    """Make a task due now; it passes its gate like everything else."""
    body = await _reason.read(request, optional=True)
    done = await commanded_task(api, request, RunTask(cause(request, "RunTask", body.reason)))
    return JsonResponse(await read_task(api, done.after.id))


async def redrive(api: Api, request: Request) -> Response:
    """Give a task that ended without success to its gate again."""
    body = await _reason.read(request, optional=True)
    done = await commanded_task(
        api, request, RedriveTask(cause(request, "RedriveTask", body.reason))
    )
    return JsonResponse(await read_task(api, done.after.id))


async def commanded_task(api: Api, request: Request, command: TaskCommand) -> CommandDone:
    """Have the gate of the task in the path carry out a command.

    Raises:
        ProblemError: it was refused.
    """
    api.refuse_while_stopping()
    task_id = TaskId(request.path_params["id"])
    answer = await within(api.node.intake.task_command(task_id, command))
    raise_if_no(answer)
    assert isinstance(answer, CommandDone)
    return answer


# --- the table --------------------------------------------------------------------------------

_shown = (Reply(200, TaskOut, "The task after it."),)
OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/tasks",
        answer=submit,
        name="submit_task",
        about="Submit a task. It is answered once it is durable.",
        tag="tasks",
        body=TaskIn,
        parameters=(
            Parameter("Idempotency-Key", "The same as the field key.", where="header"),
            PREFER_WAIT,
        ),
        replies=(
            Reply(201, TaskOut, "It is durable."),
            Reply(200, TaskOut, "The key was used before with the same content: that task."),
        ),
        codes=("conflict", "too_large", "overloaded", "closed"),
    ),
    Operation(
        method="GET",
        path="/v1/tasks",
        answer=list_tasks,
        name="list_tasks",
        about="Tasks, newest first.",
        tag="tasks",
        parameters=(*FILTERS, *PAGING),
        replies=(Reply(200, Page[TaskListed], "Matching tasks."),),
        codes=("stale_page_token",),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{id}:cancel",
        answer=cancel,
        name="cancel_task",
        about="Cancel a task; the answer says what became of it.",
        tag="tasks",
        body=ReasonIn,
        body_optional=True,
        replies=(Reply(200, CancelOut, "What became of it."),),
        codes=("not_found",),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{id}:reschedule",
        answer=reschedule,
        name="reschedule_task",
        about="Give a task that waits another due time.",
        tag="tasks",
        body=RescheduleIn,
        replies=_shown,
        codes=("not_found", "conflict"),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{id}:run",
        answer=run,
        name="run_task",
        about="Make a task due now. It passes its gate like everything else.",
        tag="tasks",
        body=ReasonIn,
        body_optional=True,
        replies=_shown,
        codes=("not_found", "conflict"),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{id}:redrive",
        answer=redrive,
        name="redrive_task",
        about="Give a task that ended without success to its gate again, its attempts anew.",
        tag="tasks",
        body=ReasonIn,
        body_optional=True,
        replies=_shown,
        codes=("not_found", "conflict"),
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{id}/history",
        answer=history,
        name="task_history",
        about="Everything that happened to a task, oldest first.",
        tag="tasks",
        parameters=PAGING,
        replies=(Reply(200, Page[HistoryEvent], "Its events."),),
        codes=("not_found", "stale_page_token"),
    ),
    Operation(
        method="GET",
        path="/v1/tasks/{id}",
        answer=read,
        name="read_task",
        about="A task; with Prefer: wait once it has ended.",
        tag="tasks",
        parameters=(PREFER_WAIT,),
        replies=(Reply(200, TaskOut, "The task."),),
        codes=("not_found",),
    ),
)
