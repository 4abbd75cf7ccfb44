"""What needs a person now, and what did.

Rules of residence: the route; what raises an alert lies in `model/alerts.py`.
"""

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.actors.alerts import raised_by
from taskmaster.api.context import Api, JsonResponse
from taskmaster.api.operations import Operation, Parameter, Reply
from taskmaster.api.reading import parameters
from taskmaster.api.seen_answers import AlertChange, AlertOut, AlertsOut
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import AlertEvent, AlertRaised


async def list_alerts(api: Api, request: Request) -> Response:
    """Alerts that are raised, and the newest changes."""
    given = parameters(request, "gate")
    gate = given.get("gate", [""])[0]
    actor = api.node.alerts
    active = tuple(
        AlertOut(name, alert, standing.id, rfc3339(standing.raised_at), detail)
        for name, alert, standing, detail in raised_by(actor)
        if not gate or name == gate
    )
    events = reversed(actor.recent) if actor is not None else ()
    recent = tuple(_change(event) for event in events if not gate or event.gate == gate)
    return JsonResponse(AlertsOut(active, recent))


def _change(event: AlertEvent) -> AlertChange:
    is_raised = isinstance(event, AlertRaised)
    return AlertChange(
        at=rfc3339(event.at),
        gate=event.gate,
        alert=event.alert,
        id=event.alert_id,
        what=("again" if event.again else "raised") if is_raised else "cleared",
        detail=event.detail if is_raised else "",
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/alerts",
        answer=list_alerts,
        name="list_alerts",
        about="What needs a person: alerts that are raised, and the newest 200 changes.",
        tag="alerts",
        parameters=(Parameter("gate", "Only those of this gate."),),
        replies=(Reply(200, AlertsOut, "The alerts."),),
    ),
)
