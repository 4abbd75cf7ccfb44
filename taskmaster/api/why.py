"""Why a task, or what waits at a gate, has not run yet.

Rules of residence: reads what the split needs (`views/why.py`) and says what holds now.
"""

from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import GateCause, GateWaited, GateWhy, TaskWhy, WhyCause
from taskmaster.api.context import Api, JsonResponse, within
from taskmaster.api.gate_history import SINCE_NS, SPAN, span
from taskmaster.api.gate_waits import read_waits
from taskmaster.api.gates import gate_name, gate_view
from taskmaster.api.operations import Operation, Reply
from taskmaster.api.reading import parameters
from taskmaster.api.tasks import task_events, task_records
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import SECOND, GateEvent, GateName, TaskId, Version, gate_stream
from taskmaster.model.family import Kinship
from taskmaster.model.task import Task, fold, state_name
from taskmaster.views.gate_why import split_gate
from taskmaster.views.gates import FOR_ALL, view_gate
from taskmaster.views.why import Standing, gates_of, life_ns, split, standings, together

STREAM_PAGE = 1_000
MAX_PAGES = 100
"""Of a gate's stream; what it went through after 100,000 events is not told apart any more."""


async def why_task(api: Api, request: Request) -> Response:
    """Where a task's time since submission went, adding up exactly."""
    parameters(request)
    task_id = TaskId(request.path_params["id"])
    events = task_events(await task_records(api, task_id))
    task = fold(task_id, events)
    gates = {gate: await _standings(api, gate) for gate in gates_of(events)}
    now = api.now()
    parts = split(events, gates, now, mono_ahead_ns=api.mono() - now)
    cause, holder = await _holding(api, task)
    out = TaskWhy(
        id=task_id,
        state=state_name(task, now),
        causes=tuple(WhyCause(part.cause, seconds(part.ns)) for part in parts),
        total_seconds=seconds(life_ns(events, now)),
        now=cause,
        holder=holder,
    )
    return JsonResponse(out)


def seconds(ns: int) -> Raw:
    """Nanoseconds as a JSON number of seconds, all nine digits."""
    whole, rest = divmod(ns, SECOND)
    return Raw(f"{whole}.{rest:09d}".encode())


async def _standings(api: Api, gate: GateName) -> tuple[Standing, ...]:
    """What a gate and those above it allowed together."""
    kinship = Kinship((), api.node.ports.families.parents)
    return together([await _of_one(api, name) for name in (gate, *kinship.above(gate))])


async def _of_one(api: Api, gate: GateName) -> tuple[Standing, ...]:
    events: list[GateEvent] = []
    after = Version(0)
    for _ in range(MAX_PAGES):
        records = await within(api.reader.stream(gate_stream(gate), after=after, limit=STREAM_PAGE))
        if not records:
            break
        events += (r.event for r in records if isinstance(r.event, GateEvent))
        after = records[-1].version
    return standings(events)


async def _holding(api: Api, task: Task) -> tuple[str | None, GateName | None]:
    """What holds a task back at this moment, in the order of semantics 10, and the gate above its
    own that does."""
    if task.state == "uncertain":
        return "uncertain", None
    if task.state != "waiting":
        return None, None
    if task.due_at > api.now():
        return ("back_off" if task.used else "not_due"), None
    view = await within(view_gate(api.node, task.gate))
    row = await within(api.reader.task_row(task.id))
    cause, holder = (view.held_by, view.holder) if view is not None else (None, None)
    if cause in FOR_ALL:
        return cause, holder
    if row is not None and row.held:
        return ("order_key" if row.order_key else "series_paused"), None
    return cause or "behind_others", holder


async def why_gate(api: Api, request: Request) -> Response:
    """Why what waits at a gate waits, and with `since` how long its tasks did."""
    given = parameters(request, "since", "until")
    view = await gate_view(api, gate_name(request))
    causes = tuple(GateCause(cause, tasks) for cause, tasks in view.causes.items())
    waited = await _waited(api, view.row.gate, given) if given else None
    return JsonResponse(GateWhy(view.row.gate, view.eligible, causes, waited, view.holder))


async def _waited(api: Api, gate: GateName, given: dict[str, list[str]]) -> GateWaited:
    since, until = span(api, given, SINCE_NS)
    read = await read_waits(api, gate, since, until)
    ahead_ns = api.mono() - api.now()
    standing = await _standings(api, gate)
    waited = split_gate(
        gate, read.tasks, read.still, standing, read.since, until, mono_ahead_ns=ahead_ns
    )
    return GateWaited(
        since=rfc3339(waited.since),
        until=rfc3339(waited.until),
        tasks=waited.tasks,
        total_seconds=seconds(waited.total_ns),
        causes=tuple(WhyCause(part.cause, seconds(part.ns)) for part in waited.parts),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tasks/{id}/why",
        answer=why_task,
        name="why_task",
        about="Why a task has not run yet: its time since submission by cause, adding up exactly.",
        tag="tasks",
        replies=(Reply(200, TaskWhy, "The causes."),),
        codes=("not_found",),
    ),
    Operation(
        method="GET",
        path="/v1/gates/{gate}/why",
        answer=why_gate,
        name="why_gate",
        about="Why what waits at a gate waits: how many tasks each cause holds back; with since"
        " also how long its tasks waited from then on, by cause, adding up exactly.",
        tag="gates",
        parameters=SPAN,
        replies=(Reply(200, GateWhy, "The causes."),),
        codes=("not_found",),
    ),
)
