"""When a gate will be empty, and what earlier forecasts came to.

Rules of residence: the route; what is reckoned lies in `model/forecast.py`.
"""

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.context import Api, JsonResponse, within
from taskmaster.api.encoding import instant_out
from taskmaster.api.gates import gate_name, gate_view
from taskmaster.api.operations import Operation, Reply
from taskmaster.api.reading import parameters
from taskmaster.api.seen_answers import ForecastOut, MadeOut
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import Wall
from taskmaster.views.forecasts import after, make


async def gate_forecast(api: Api, request: Request) -> Response:
    """When nothing eligible is left, if it goes on so."""
    parameters(request)
    view = await gate_view(api, gate_name(request))
    gate = view.row.gate
    found = await within(make(api.node, view, api.histories.of(gate)))

    def at(seconds: float | None) -> Wall | None:
        return None if seconds is None else after(view.now, seconds)

    made = api.histories.forecasts.of(gate)
    return JsonResponse(
        ForecastOut(
            gate=gate,
            at=rfc3339(view.now),
            eligible=view.eligible,
            empty_at=instant_out(at(found.expected_s)),
            earliest_at=instant_out(at(found.least_s)),
            latest_at=instant_out(at(found.most_s)),
            assumption=found.why,
            made=tuple(
                MadeOut(
                    made_at=rfc3339(one.made_at),
                    empty_at=instant_out(one.empty_at),
                    emptied_at=instant_out(one.emptied_at),
                )
                for one in reversed(made)
            ),
        )
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/gates/{gate}/forecast",
        answer=gate_forecast,
        name="gate_forecast",
        about="When a gate will be empty if it goes on so, of what that is assumed, and what the"
        " forecasts of the last hour came to.",
        tag="gates",
        replies=(Reply(200, ForecastOut, "The forecast."),),
        codes=("not_found",),
    ),
)
