"""Planned downtimes of a gate: announce, list, cancel.

Rules of residence: routes and their table; what a downtime does is `model/maintenance.py`'s.
"""

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import GateOut, MaintenanceOut, Page
from taskmaster.api.bodies import MaintenanceIn, ReasonIn
from taskmaster.api.context import Api, JsonResponse, cause
from taskmaster.api.encoding import maintenance_out
from taskmaster.api.gates import commanded_gate, gate_name, gate_view
from taskmaster.api.operations import Operation, Reply
from taskmaster.api.problems import accepted, raise_if_no
from taskmaster.api.reading import BodyReader, parameters
from taskmaster.api.submissions import duration, instant
from taskmaster.model.maintenance import CancelMaintenance, PlanMaintenance
from taskmaster.model.rejected import invalid

_plan = BodyReader(MaintenanceIn)
_reason = BodyReader(ReasonIn)


async def plan(api: Api, request: Request) -> Response:
    """Announce a downtime."""
    gate = gate_name(request)
    body = await _plan.read(request)
    await gate_view(api, gate)
    command = PlanMaintenance(
        cause(request, "PlanMaintenance", body.reason),
        start_at=accepted(instant("from", body.start_at)),
        until=accepted(instant("until", body.until)),
        drain_ns=0 if body.drain is None else accepted(duration("drain", body.drain)),
    )
    return await commanded_gate(api, request, gate, command)


async def list_windows(api: Api, request: Request) -> Response:
    """A gate's downtimes that are not over, the next first."""
    parameters(request)
    view = await gate_view(api, gate_name(request))
    windows = sorted(view.row.windows, key=lambda window: window.start_at)
    return JsonResponse(Page(tuple(maintenance_out(window) for window in windows)))


async def cancel(api: Api, request: Request) -> Response:
    """Take a downtime back, or end it."""
    gate, number = gate_name(request), request.path_params["number"]
    body = await _reason.read(request, optional=True)
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise_if_no(invalid("number", "number is no whole number", "give that of the list"))
    because = cause(request, "CancelMaintenance", body.reason)
    await gate_view(api, gate)
    return await commanded_gate(api, request, gate, CancelMaintenance(because, int(number)))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/gates/{gate}/maintenance/{number}:cancel",
        answer=cancel,
        name="cancel_maintenance",
        about="Take a planned downtime back; one under way ends, and the ramp begins.",
        tag="gates",
        body=ReasonIn,
        body_optional=True,
        replies=(Reply(200, GateOut, "The gate after it."),),
        codes=("not_found",),
    ),
    Operation(
        method="POST",
        path="/v1/gates/{gate}/maintenance",
        answer=plan,
        name="plan_maintenance",
        about="Announce a downtime: the gate pauses for it, and ramps up after it by itself.",
        tag="gates",
        body=MaintenanceIn,
        replies=(Reply(200, GateOut, "The gate after it."),),
        codes=("not_found", "conflict"),
    ),
    Operation(
        method="GET",
        path="/v1/gates/{gate}/maintenance",
        answer=list_windows,
        name="list_maintenance",
        about="A gate's downtimes that are not over, the next first.",
        tag="gates",
        replies=(Reply(200, Page[MaintenanceOut], "Its downtimes."),),
        codes=("not_found",),
    ),
)
