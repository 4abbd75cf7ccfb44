"""The supervision tree: look at it, at one place of it, and act on one.

Rules of residence: routes and their table; what the tree is lies in `actors/tree.py`, what
happened in it is read from the log.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from taskmaster.actors.supervisor import Place
from taskmaster.api.answers import ActorIncident, ActorOut, GateOut, Page, TreeNode
from taskmaster.api.bodies import ReasonIn
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.gates import commanded_gate
from taskmaster.api.operations import PAGING, Answering, Operation, Parameter, Reply
from taskmaster.api.paging import MAX_LIMIT
from taskmaster.api.problems import stop
from taskmaster.api.reading import BodyReader, parameters, whole_number
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import SECOND, GateName, TaskId, Wall
from taskmaster.model.control import ReleaseGate
from taskmaster.views.gates import fold_gate
from taskmaster.views.incidents import Incident, incidents
from taskmaster.views.tree import places_of

LAST = 20
STATES = ("running", "restarting", "stopped", "quarantined")
_reason = BodyReader(ReasonIn)


async def tree(api: Api, request: Request) -> Response:
    """The supervision tree, by path."""
    given = parameters(request, "below", "state*", "limit", "page_token")
    limit = whole_number(given, "limit", MAX_LIMIT, least=1, most=MAX_LIMIT)
    below = given.get("below", [""])[0]
    states = set(given.get("state", []))
    of = f"tree {below} {sorted(states)}"
    after = ""
    if "page_token" in given:
        after = api.pager.place(of, given["page_token"][0]).name
    found = [
        place
        async for place in places_of(api.node)
        if place.path > after
        and place.path.startswith(below)
        and (not states or place.state in states)
    ]
    found.sort(key=lambda place: place.path)
    items = tuple(tree_node(api, place) for place in found[:limit])
    token = api.pager.token(of, name=items[-1].path) if len(found) > limit else None
    return JsonResponse(Page(items, token))


def tree_node(api: Api, place: Place) -> TreeNode:
    """A place as it is shown."""
    since = Wall(place.since_ns - api.mono() + api.now()) if place.since_ns else None
    lived_s = (api.now() - since) / SECOND if since is not None else 0.0
    return TreeNode(
        path=place.path,
        kind=place.kind,
        state=place.state,
        since=rfc3339(since) if since is not None else None,
        until=rfc3339(Wall(place.until_ns)) if place.until_ns is not None else None,
        incarnation=place.incarnation,
        restarts=place.restarts,
        restarts_in_period=place.in_period,
        last_error=place.last_error,
        inbox=place.inbox,
        handled=place.handled,
        rate=round(place.handled / lived_s, 3) if lived_s > 1 else float(place.handled),
    )


async def read(api: Api, request: Request) -> Response:
    """One place of the tree."""
    parameters(request)
    path = request.path_params["path"]
    detail = api.node.detail(path)
    if detail is None:
        raise _nothing_there(path)
    found = await within(incidents(api.reader, path, LAST))
    return JsonResponse(
        ActorOut(
            actor=tree_node(api, detail.place),
            spec=detail.spec,
            inbox=detail.inbox,
            traceback=detail.traceback,
            incidents=tuple(_shown(incident) for incident in found),
            state=await _state(api, path),
        )
    )


async def _state(api: Api, path: str) -> object:
    """What a gate or a task is folded to; nothing that may hold a secret."""
    match path.split("/"):
        case ["gates", gate] | ["gates", gate, "gate"]:
            return msgspec.to_builtins(await within(fold_gate(api.node, GateName(gate))))
        case ["gates", _, "tasks", task]:
            row = await within(api.reader.task_row(TaskId(task)))
            return None if row is None else {"state": row.state, "attempts": row.attempts}
        case _:
            return None


def _shown(incident: Incident) -> ActorIncident:
    return ActorIncident(
        position=incident.position,
        at=rfc3339(incident.at),
        type=incident.type,
        incarnation=incident.incarnation,
        message=incident.message,
        error=incident.error,
        author=incident.cause.author,
        reason=incident.cause.reason,
    )


def _nothing_there(path: str) -> Exception:
    return stop(
        "not_found",
        f"there is no actor at {path}",
        remedy="see `taskmaster tree`; a gate without work has none",
    )


# --- commands ---------------------------------------------------------------------------------


async def restart(api: Api, request: Request) -> Response:
    """End an actor of a gate; its supervisor starts it again, from the log."""
    path = request.path_params["path"]
    body = await _reason.read(request, optional=True)
    because = cause(request, "RestartActor", body.reason)
    if not api.node.restart(path, because):
        if api.node.detail(path) is not None:
            raise stop(
                "conflict",
                f"{path} is not restarted by itself",
                remedy="name an actor below gates/NAME, or restart the process",
            )
        raise _nothing_there(path)
    return _place_now(api, path)


async def quarantine(api: Api, request: Request) -> Response:
    """Leave a gate alone."""
    gate = _gate_of(request)
    body = await _reason.read(request, optional=True)
    if not await within(api.reader.gate_rows([gate])):
        raise _nothing_there(f"gates/{gate}")
    if not api.node.gates.leave_alone(gate, cause(request, "QuarantineGate", body.reason)):
        raise stop("conflict", f"gate {gate} is quarantined already", remedy="release it first")
    return _place_now(api, f"gates/{gate}")


async def release(api: Api, request: Request) -> Response:
    """Let a gate that was left alone run again."""
    gate = _gate_of(request)
    body = await _reason.read(request, optional=True)
    because = cause(request, "ReleaseGate", body.reason)
    return await commanded_gate(api, request, gate, ReleaseGate(because))


def _place_now(api: Api, path: str) -> Response:
    detail = api.node.detail(path)
    return JsonResponse(Page(() if detail is None else (tree_node(api, detail.place),)))


def _gate_of(request: Request) -> GateName:
    path = request.path_params["path"]
    name = path.removeprefix("gates/")
    if name == path or "/" in name:
        raise stop(
            "conflict",
            f"{path} cannot be quarantined",
            remedy="name a gate's place, gates/NAME",
        )
    return GateName(name)


# --- the table --------------------------------------------------------------------------------


def _command_operation(verb: str, answer: Answering, about: str, reply: Reply) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/actors/{{path}}:{verb}",
        answer=answer,
        name=f"{verb}_actor",
        about=about,
        tag="tree",
        body=ReasonIn,
        body_optional=True,
        replies=(reply,),
        codes=("not_found", "conflict"),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tree",
        answer=tree,
        name="tree",
        about="The supervision tree, by path.",
        tag="tree",
        parameters=(
            Parameter("below", "Only paths that begin so, such as gates/billing."),
            Parameter("state", f"Only these: {', '.join(STATES)}.", repeated=True),
            *PAGING,
        ),
        replies=(Reply(200, Page[TreeNode], "Its places."),),
        codes=("stale_page_token",),
    ),
    Operation(
        method="GET",
        path="/v1/actors/{path}",
        answer=read,
        name="read_actor",
        about="One place of the tree: its spec, its inbox by type, its incidents, its state.",
        tag="tree",
        replies=(Reply(200, ActorOut, "The place."),),
        codes=("not_found",),
    ),
    _command_operation(
        "restart",
        restart,
        "End an actor of a gate; its supervisor starts it again, from the log.",
        Reply(200, Page[TreeNode], "The place now."),
    ),
    _command_operation(
        "quarantine",
        quarantine,
        "Leave a gate alone; it starts nothing until it is released or its time is over.",
        Reply(200, Page[TreeNode], "The place now."),
    ),
    _command_operation(
        "release",
        release,
        "Let a gate that was left alone run again; it begins on the ramp.",
        Reply(200, GateOut, "The gate after it."),
    ),
)
