"""Purging a gate: what waits there is cancelled in bulk, or only counted.

Rules of residence: pages through rows and tells each task's gate; a purge is many cancels, each
with the same cause, and none that is not in the task's own history.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.actors.messages import CommandDone
from taskmaster.api.answers import PurgeOut
from taskmaster.api.bodies import PurgeIn
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.gates import gate_name, gate_view
from taskmaster.api.operations import Operation, Reply
from taskmaster.api.problems import raise_if_no
from taskmaster.api.reading import BodyReader
from taskmaster.api.task_filter import Match, filter_of, matching
from taskmaster.events.log import TaskRow
from taskmaster.events.types import Cause, Position
from taskmaster.model.task_control import CancelTask

PAGE = 500
AT_ONCE = 64
MAX_PURGED = 100_000
"""Cancelled by one call; the answer says how many matched, so that a caller can go on."""
SAMPLE = 10
_purge = BodyReader(PurgeIn)


async def purge(api: Api, request: Request) -> Response:
    """Cancel what waits at a gate."""
    gate = gate_name(request)
    body = await _purge.read(request, optional=True)
    api.refuse_while_stopping()
    because = cause(request, "PurgeGate", body.reason)
    view = await gate_view(api, gate)
    states = ("scheduled", "waiting") if body.state is None else body.state
    named = list[str]([states] if isinstance(states, str) else states)
    due = view.row.counts.get("waiting", 0) - view.scheduled
    matched = sum({"scheduled": view.scheduled, "waiting": due}[state] for state in set(named))
    match = filter_of({"gate": [gate], "state": named}, api.now())
    if body.dry_run:
        found = await within(matching(api, match, before=None, limit=SAMPLE, now=api.now()))
        sample = tuple(row.task for row in found.rows)
        return JsonResponse(PurgeOut(matched, 0, dry_run=True, sample=sample))
    return JsonResponse(await _purged(api, match, because, matched))


async def _purged(api: Api, match: Match, because: Cause, counted: int) -> PurgeOut:
    """Cancel page by page, newest first; a task that started meanwhile is left alone."""
    cancelled = seen = 0
    sample: list[str] = []
    before: Position | None = None
    while seen < MAX_PURGED and not api.node.ports.is_stopping:
        found = await within(matching(api, match, before=before, limit=PAGE, now=api.now()))
        for start in range(0, len(found.rows), AT_ONCE):
            part = found.rows[start : start + AT_ONCE]
            done = await asyncio.gather(*(_cancelled(api, row, because) for row in part))
            cancelled += sum(done)
            sample += [row.task for row in part[: SAMPLE - len(sample)]]
        seen += len(found.rows)
        before = found.go_on
        if before is None:
            break
    return PurgeOut(max(counted, seen), cancelled, dry_run=False, sample=tuple(sample))


async def _cancelled(api: Api, row: TaskRow, because: Cause) -> bool:
    answer = await within(api.node.intake.task_command(row.task, CancelTask(because)))
    if not isinstance(answer, CommandDone):
        raise_if_no(answer)
        return False
    return answer.after.state == "cancelled" and answer.before.state != "cancelled"


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/gates/{gate}:purge",
        answer=purge,
        name="purge_gate",
        about="Cancel what waits at a gate, up to 100,000 tasks a call; dry_run only counts.",
        tag="gates",
        body=PurgeIn,
        body_optional=True,
        replies=(Reply(200, PurgeOut, "How many matched and were cancelled."),),
        codes=("not_found",),
    ),
)
