"""What a gate did over time, as columns of numbers.

Rules of residence: reads the query; what is counted and kept lies in `views/histories.py`.
"""

from math import ceil

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.context import Api, JsonResponse
from taskmaster.api.gates import gate_name, gate_view
from taskmaster.api.operations import Operation, Parameter, Reply
from taskmaster.api.problems import accepted
from taskmaster.api.reading import bad_parameter, parameters
from taskmaster.api.seen_answers import HistoryOut, MarkOut
from taskmaster.api.submissions import duration, instant
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import HOUR, MINUTE, SECOND, Wall
from taskmaster.views.history import COARSE_S, FINE_ROWS, columns

SINCE_NS = 10 * MINUTE
MOST_POINTS = 2_000
STEPS_S = (1, 10, 20, 30, 60, 120, 300, 600, 3_600)
"""A step of more than a second is made of tens of seconds."""

SPAN = (
    Parameter("since", "From when on: an instant, or how far back (10m, the default)."),
    Parameter("until", "To when: an instant, or how far back; now if left out."),
)


def span(api: Api, given: dict[str, list[str]], default_ns: int) -> tuple[Wall, Wall]:
    """From when to when a question asks.

    Raises:
        ProblemError: it cannot be read, or ends before it begins.
    """
    now = api.now()
    until = _point(given, "until", now, now)
    since = _point(given, "since", now, Wall(until - default_ns))
    if since >= until:
        raise bad_parameter("since", "is not before until", "give an earlier one")
    return since, until


def _point(given: dict[str, list[str]], name: str, now: Wall, default: Wall) -> Wall:
    if name not in given:
        return default
    text = given[name][0]
    if "T" in text or "t" in text:
        at = accepted(instant(name, text))
    else:
        at = Wall(now - accepted(duration(name, text)))
    if at > now:
        raise bad_parameter(name, "lies ahead", "give an instant that has passed")
    return Wall(max(0, at))


async def gate_history(api: Api, request: Request) -> Response:
    """A gate's numbers over time."""
    given = parameters(request, "since", "until", "step")
    gate = gate_name(request)
    await gate_view(api, gate)
    since, until = span(api, given, SINCE_NS)
    begin, end = since // SECOND, max(since // SECOND + 1, until // SECOND)
    step = _step(given, begin, end, api.now() // SECOND)
    begin -= begin % step
    history = api.histories.of(gate)
    out = HistoryOut(
        gate=gate,
        since=rfc3339(Wall(begin * SECOND)),
        until=rfc3339(Wall(end * SECOND)),
        step_seconds=step,
        columns=columns(history.rows(begin, step), begin, end, step),
        marks=tuple(
            MarkOut(rfc3339(mark.at), mark.what, mark.percent)
            for mark in history.marks
            if begin * SECOND <= mark.at < until
        ),
    )
    return JsonResponse(out)


def _step(given: dict[str, list[str]], begin: int, end: int, now: int) -> int:
    """The step that was asked for, or the smallest that gives a picture's worth of points."""
    if "step" not in given:
        least = 1 if now - begin <= FINE_ROWS else COARSE_S
        wanted = max(least, ceil((end - begin) / FINE_ROWS))
        return next((step for step in STEPS_S if step >= wanted), STEPS_S[-1])
    step_ns = accepted(duration("step", given["step"][0]))
    step, rest = divmod(step_ns, SECOND)
    if rest or not 1 <= step <= HOUR // SECOND:
        raise bad_parameter("step", "must be 1 s to 1 h, in whole seconds", "give 1s or 10s")
    if (end - begin) / step > MOST_POINTS:
        raise bad_parameter("step", f"gives more than {MOST_POINTS} points", "give a longer one")
    return step


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/gates/{gate}/history",
        answer=gate_history,
        name="gate_history",
        about="A gate's numbers over time: backlog, rates, in flight, limits, latency, state.",
        tag="gates",
        parameters=(
            *SPAN,
            Parameter("step", "How much time one point is: 1s to 1h; fitting if left out."),
        ),
        replies=(Reply(200, HistoryOut, "The numbers, oldest first."),),
        codes=("not_found",),
    ),
)
