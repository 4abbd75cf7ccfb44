"""A gate's outages and their recoveries: look at them, and steer the present one.

Rules of residence: routes and their table; what an outage is lies in `views/recoveries.py`, what a
command does in `model/steering.py`.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import OutageOut, Page, RecoveryStep
from taskmaster.api.bodies import ReasonIn
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.encoding import instant_out
from taskmaster.api.gates import command_operation, commanded_gate, gate_name, gate_view
from taskmaster.api.operations import Answering, Operation, Reply
from taskmaster.api.reading import BodyReader, parameters
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.log import Recorded
from taskmaster.events.types import Cause, Position, gate_stream
from taskmaster.model.control import GateCommand
from taskmaster.model.steering import EndRecovery, HoldRamp, ProbeGate, TripGate
from taskmaster.views.recoveries import Recovery, Step, recoveries

PAGE = 1_000
_reason = BodyReader(ReasonIn)


async def list_recoveries(api: Api, request: Request) -> Response:
    """A gate's outages, the newest first."""
    parameters(request)
    gate = gate_name(request)
    await gate_view(api, gate)
    records: list[Recorded] = []
    after = Position(0)
    stream = gate_stream(gate)
    while page := await within(api.reader.events(after=after, limit=PAGE, streams_like=stream)):
        records += [record for record in page if record.stream == stream]
        after = page[-1].position
    found = reversed(recoveries(records))
    return JsonResponse(Page(tuple(_shown(one) for one in found)))


def _shown(one: Recovery) -> OutageOut:
    return OutageOut(
        number=one.number,
        outage=one.outage,
        started_at=rfc3339(one.started_at),
        depth=one.depth,
        trips=one.trips,
        steps=tuple(_step(step) for step in one.steps),
        ended_at=instant_out(one.ended_at),
        ended_by=one.ended_by,
    )


def _step(step: Step) -> RecoveryStep:
    return RecoveryStep(
        at=rfc3339(step.at),
        kind=step.kind,
        why=step.why,
        author=step.cause.author,
        percent=step.percent,
        failures=step.failures,
        attempts=step.attempts,
    )


def _steering(name: str, command: Callable[[Cause], GateCommand]) -> Answering:
    async def answer(api: Api, request: Request) -> Response:
        body = await _reason.read(request, optional=True)
        because = cause(request, name, body.reason)
        return await commanded_gate(api, request, gate_name(request), command(because))

    return answer


def _operation(
    verb: str, name: str, about: str, command: Callable[[Cause], GateCommand]
) -> Operation:
    return command_operation(verb, _steering(name, command), about, ReasonIn)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/gates/{gate}/recoveries",
        answer=list_recoveries,
        name="list_recoveries",
        about="A gate's outages, the newest first: cause, depth, steps with their evidence, end.",
        tag="gates",
        replies=(Reply(200, Page[OutageOut], "Its outages."),),
        codes=("not_found",),
    ),
    _operation("hold_ramp", "HoldRamp", "Keep a ramp at its step.", HoldRamp),
    _operation(
        "release_ramp",
        "ReleaseRamp",
        "Let a ramp that was held go on.",
        lambda because: HoldRamp(because, held=False),
    ),
    _operation(
        "recover", "EndRecovery", "Open the gate now, without the rest of its ramp.", EndRecovery
    ),
    _operation("trip", "TripGate", "Start nothing for a while, then probe.", TripGate),
    _operation(
        "probe", "ProbeGate", "Probe now instead of at the end of the tripped time.", ProbeGate
    ),
)
