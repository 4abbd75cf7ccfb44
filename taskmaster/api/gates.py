"""Gates: create, change, read, list, and the commands.

Rules of residence: routes and their table. What settings mean is `gate_settings.py`'s, purging
many tasks `purge.py`'s, why tasks wait `why.py`'s.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import FamilyOut, GateOut, Page, WaitOut
from taskmaster.api.bodies import GateIn, PauseIn, ReasonIn
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.encoding import (
    adaptive_out,
    alerts_out,
    counts_out,
    instant_out,
    limits_out,
    maintenance_out,
    recovery_out,
)
from taskmaster.api.etags import etag, is_known, refuse_unless_matched
from taskmaster.api.gate_settings import DEFAULTS, in_body_terms, settings_of
from taskmaster.api.operations import (
    IF_MATCH,
    IF_NONE_MATCH,
    PAGING,
    Answering,
    Operation,
    Parameter,
    Reply,
)
from taskmaster.api.paging import LIMIT, MAX_LIMIT
from taskmaster.api.problems import accepted, raise_if_no, stop
from taskmaster.api.reading import BodyReader, bad_parameter, parameters, whole_number
from taskmaster.api.submissions import instant
from taskmaster.events.log import GateFilter, GateRow
from taskmaster.events.types import Cause, GateName
from taskmaster.model.control import (
    CloseGate,
    DrainGate,
    GateCommand,
    PauseGate,
    ReleaseGate,
    ResumeGate,
    SetGate,
    refuse_name,
)
from taskmaster.model.gate import GateStateName
from taskmaster.model.rejected import Rejected
from taskmaster.units import format_duration
from taskmaster.views.gates import GateView, view_gate, view_gates

STATES: tuple[GateStateName, ...] = (
    "open", "tripped", "probing", "ramping", "paused", "draining", "closed", "quarantined",
)  # fmt: skip
MOST_CHILDREN = 1_000
_gate = BodyReader(GateIn)
_reason = BodyReader(ReasonIn)
_pause = BodyReader(PauseIn)


def gate_name(request: Request) -> GateName:
    """The gate in the path.

    Raises:
        ProblemError: it cannot be a gate's name.
    """
    name = request.path_params["gate"]
    raise_if_no(refuse_name(name))
    return GateName(name)


# --- reading ----------------------------------------------------------------------------------


def gate_out(api: Api, view: GateView) -> GateOut:
    """A gate as it is shown."""
    row = view.row
    waits = None
    held_by = view.held_by
    if held_by is not None:
        waits = WaitOut(held_by, instant_out(view.held_until(api.mono())), view.holder)
    return GateOut(
        gate=row.gate,
        state=view.state,
        mode=row.mode,
        control=row.control,
        implicit=row.implicit,
        limits=limits_out(row.settings.limits),
        recovery=recovery_out(row.settings.recovery),
        aging=format_duration(row.settings.aging_ns),
        max_backlog=row.settings.max_backlog,
        adaptive=adaptive_out(row.settings.adaptive),
        parent=row.settings.parent,
        family=family_out(api, row.gate),
        alerts=alerts_out(row.settings.alerts),
        learned_limit=view.learned_limit,
        learned_rate=view.learned_rate,
        counts=counts_out(view),
        backlog=view.eligible,
        oldest_eligible_age_seconds=view.oldest_age_s,
        attempts=row.attempts,
        failures=row.failures,
        waits=waits,
        ramp_percent=view.ramp_percent,
        maintenance=tuple(maintenance_out(window) for window in row.windows),
        version=row.version,
    )


def family_out(api: Api, gate: GateName) -> FamilyOut | None:
    """What a gate with children answers for; None: it has none."""
    families = api.node.ports.families
    family = families.get(gate)
    if family is None or not families.leads(gate):
        return None
    children = sorted(one for one, parent in families.parents.items() if parent == gate)
    return FamilyOut(family.in_flight, tuple(children[:MOST_CHILDREN]))


async def read(api: Api, request: Request) -> Response:
    """One gate, with its version as ETag."""
    parameters(request)
    view = await gate_view(api, gate_name(request))
    if is_known(request, view.row.version):
        return Response(status_code=304, headers={"ETag": etag(view.row.version)})
    return JsonResponse(gate_out(api, view), 200, {"ETag": etag(view.row.version)})


async def gate_view(api: Api, gate: GateName) -> GateView:
    """A gate as people ask about it.

    Raises:
        ProblemError: there is none.
    """
    view = await within(view_gate(api.node, gate))
    if view is None:
        raise stop(
            "not_found",
            f"there is no gate {gate}",
            pointer="/gate",
            remedy="create it with PUT first",
        )
    return view


async def list_gates(api: Api, request: Request) -> Response:
    """Gates by name."""
    given = parameters(request, "state*", "limit", "page_token")
    wanted = _states(given.get("state", []))
    limit = whole_number(given, "limit", LIMIT, least=1, most=MAX_LIMIT)
    of = f"gates {wanted}"
    after = ""
    if "page_token" in given:
        after = api.pager.place(of, given["page_token"][0]).name
    match = GateFilter(wanted, tuple(api.node.gates.quarantine.held))
    rows = await within(api.reader.gate_page(match, after=after, limit=limit + 1))
    views = await within(view_gates(api.node, rows[:limit]))
    token = api.pager.token(of, name=rows[limit - 1].gate) if len(rows) > limit else None
    return JsonResponse(Page(tuple(gate_out(api, view) for view in views), token))


def _states(texts: list[str]) -> tuple[GateStateName, ...]:
    names = {name.strip() for text in texts for name in text.split(",")}
    for name in names:
        if name not in STATES:
            shown = ascii(name[:40])
            raise bad_parameter("state", f"cannot be {shown}", f"use some of {', '.join(STATES)}")
    return tuple(state for state in STATES if state in names)


# --- creating and changing --------------------------------------------------------------------


async def put(api: Api, request: Request) -> Response:
    """Create a gate, or replace its settings."""
    gate = gate_name(request)
    body = await _gate.read(request, optional=True)
    stated = accepted(settings_of(body))
    async with api.gate_lock(gate):
        row = await _row(api, gate)
        refuse_unless_matched(request, "gate", row and row.version)
        because = cause(request, "SetGate", body.reason)
        command = SetGate(stated.settings, because)
        view = await _commanded(api, gate, command, has_short=stated.has_short)
    headers = {"ETag": etag(view.row.version)}
    if row is None:
        headers["Location"] = f"/v1/gates/{gate}"
    return JsonResponse(gate_out(api, view), 201 if row is None else 200, headers)


async def patch(api: Api, request: Request) -> Response:
    """Change some settings of a gate; null is the default."""
    gate = gate_name(request)
    body = await _gate.read(request)
    async with api.gate_lock(gate):
        row = await _row(api, gate)
        refuse_unless_matched(request, "gate", row and row.version)
        stated = accepted(settings_of(body, row.settings if row else DEFAULTS))
        if row is None:
            await gate_view(api, gate)  # there is none: say so
        because = cause(request, "SetGate", body.reason)
        command = SetGate(stated.settings, because)
        view = await _commanded(api, gate, command, has_short=stated.has_short)
    return JsonResponse(gate_out(api, view), 200, {"ETag": etag(view.row.version)})


async def _row(api: Api, gate: GateName) -> GateRow | None:
    rows = await within(api.reader.gate_rows([gate]))
    return rows[0] if rows else None


async def _commanded(
    api: Api, gate: GateName, command: GateCommand, *, has_short: bool = False
) -> GateView:
    """Have a command carried out; the gate after it."""
    api.refuse_while_stopping()
    answer = await within(api.node.intake.gate_command(gate, command))
    if isinstance(answer, Rejected):
        answer = in_body_terms(answer, has_short=has_short)
    raise_if_no(answer)
    return await gate_view(api, gate)


# --- commands ---------------------------------------------------------------------------------


async def pause(api: Api, request: Request) -> Response:
    """No new starts until `until` or a resume."""
    body = await _pause.read(request, optional=True)
    until = None if body.until is None else accepted(instant("until", body.until))
    return await _command(api, request, PauseGate(cause(request, "PauseGate", body.reason), until))


async def drain(api: Api, request: Request) -> Response:
    """No new starts; the gate's history says when nothing is in flight any more."""
    because = await _because(request, "DrainGate")
    return await _command(api, request, DrainGate(because))


async def resume(api: Api, request: Request) -> Response:
    """Take starts and submissions again."""
    because = await _because(request, "ResumeGate")
    return await _command(api, request, ResumeGate(because))


async def close(api: Api, request: Request) -> Response:
    """Take neither starts nor submissions."""
    because = await _because(request, "CloseGate")
    return await _command(api, request, CloseGate(because))


async def release(api: Api, request: Request) -> Response:
    """End a quarantine."""
    because = await _because(request, "ReleaseGate")
    return await _command(api, request, ReleaseGate(because))


async def _because(request: Request, command: str) -> Cause:
    body = await _reason.read(request, optional=True)
    return cause(request, command, body.reason)


async def _command(api: Api, request: Request, command: GateCommand) -> Response:
    return await commanded_gate(api, request, gate_name(request), command)


async def commanded_gate(
    api: Api, request: Request, gate: GateName, command: GateCommand
) -> Response:
    """Give a gate a command; the answer is the gate after it."""
    async with api.gate_lock(gate):
        if request.headers.get("if-match") is not None:
            row = await _row(api, gate)
            refuse_unless_matched(request, "gate", row and row.version)
        view = await _commanded(api, gate, command)
    return JsonResponse(gate_out(api, view), 200, {"ETag": etag(view.row.version)})


# --- the table --------------------------------------------------------------------------------


def command_operation(verb: str, answer: Answering, about: str, body: Any) -> Operation:
    """A command on a gate, answered with the gate after it."""
    return Operation(
        method="POST",
        path=f"/v1/gates/{{gate}}:{verb}",
        answer=answer,
        name=f"{verb}_gate",
        about=about,
        tag="gates",
        body=body,
        body_optional=True,
        parameters=(IF_MATCH,),
        replies=(Reply(200, GateOut, "The gate after it."),),
        codes=("not_found", "conflict", "precondition_failed"),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/gates",
        answer=list_gates,
        name="list_gates",
        about="Gates by name.",
        tag="gates",
        parameters=(
            Parameter(
                "state", "Only these states: repeat it, or separate them by commas.", repeated=True
            ),
            *PAGING,
        ),
        replies=(Reply(200, Page[GateOut], "Gates."),),
        codes=("stale_page_token",),
    ),
    command_operation("pause", pause, "Start nothing until `until` or a resume.", PauseIn),
    command_operation("resume", resume, "Take starts and submissions again.", ReasonIn),
    command_operation("drain", drain, "Pause, and record when nothing is in flight.", ReasonIn),
    command_operation("close", close, "Take neither starts nor submissions.", ReasonIn),
    command_operation("release", release, "End a quarantine.", ReasonIn),
    Operation(
        method="PUT",
        path="/v1/gates/{gate}",
        answer=put,
        name="put_gate",
        about="Create a gate, or replace its settings: what is left out gets its default.",
        tag="gates",
        body=GateIn,
        body_optional=True,
        parameters=(IF_MATCH, IF_NONE_MATCH),
        replies=(Reply(201, GateOut, "It is new."), Reply(200, GateOut, "It was there.")),
        codes=("precondition_failed",),
    ),
    Operation(
        method="PATCH",
        path="/v1/gates/{gate}",
        answer=patch,
        name="patch_gate",
        about="Change some settings of a gate: what is left out stays, null is the default.",
        tag="gates",
        body=GateIn,
        parameters=(IF_MATCH,),
        replies=(Reply(200, GateOut, "The gate after it."),),
        codes=("not_found", "precondition_failed"),
    ),
    Operation(
        method="GET",
        path="/v1/gates/{gate}",
        answer=read,
        name="read_gate",
        about="A gate: settings, state, counts and what holds it back.",
        tag="gates",
        parameters=(IF_NONE_MATCH,),
        replies=(Reply(200, GateOut, "The gate."), Reply(304, None, "It is as you know it.")),
        codes=("not_found",),
    ),
)
