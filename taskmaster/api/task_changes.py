"""Changes of one task that waits: other rules, another gate.

Rules of residence: routes and their table; other commands are `tasks.py`'s, many at once
`bulks.py`'s.
"""

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import TaskOut
from taskmaster.api.bulk_bodies import TaskEditIn, TaskMoveIn, change_of
from taskmaster.api.context import Api, JsonResponse, cause
from taskmaster.api.operations import Operation, Reply
from taskmaster.api.problems import accepted
from taskmaster.api.reading import BodyReader
from taskmaster.api.tasks import commanded_task, read_task
from taskmaster.events.types import GateName
from taskmaster.model.task_control import EditTask, MoveTask

_edit = BodyReader(TaskEditIn)
_move = BodyReader(TaskMoveIn)


async def edit(api: Api, request: Request) -> Response:
    """Give a task that was never sent other rules."""
    body = await _edit.read(request)
    change = accepted(change_of(body, api.egress))
    because = cause(request, "EditTask", body.reason)
    done = await commanded_task(api, request, EditTask(change, because))
    return JsonResponse(await read_task(api, done.after.id))


async def move(api: Api, request: Request) -> Response:
    """Give a task to another gate."""
    body = await _move.read(request)
    because = cause(request, "MoveTask", body.reason)
    done = await commanded_task(api, request, MoveTask(GateName(body.to), because))
    return JsonResponse(await read_task(api, done.after.id))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/tasks/{id}:edit",
        answer=edit,
        name="edit_task",
        about="Give a task that was never sent another request or other rules.",
        tag="tasks",
        body=TaskEditIn,
        replies=(Reply(200, TaskOut, "The task after it."),),
        codes=("not_found", "conflict", "too_large"),
    ),
    Operation(
        method="POST",
        path="/v1/tasks/{id}:move",
        answer=move,
        name="move_task",
        about="Give a task that waits or is dead to another gate, with its key.",
        tag="tasks",
        body=TaskMoveIn,
        replies=(Reply(200, TaskOut, "The task after it."),),
        codes=("not_found", "conflict"),
    ),
)
