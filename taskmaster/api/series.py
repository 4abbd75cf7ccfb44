"""Series: create, read, list, the commands, and the next runs.

Rules of residence: routes and their table; what the JSON means is `schedules.py`'s.
"""

import asyncio
from collections.abc import Callable

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import Page, RunsOut, SeriesOut
from taskmaster.api.bodies import PreviewIn, ReasonIn, SeriesIn, SeriesPatch
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.encoding import instant_out, schedule_out
from taskmaster.api.etags import etag, is_known, refuse_unless_matched
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
from taskmaster.api.reading import BodyReader, parameters, whole_number
from taskmaster.api.schedules import next_runs, patched, rules_of, schedule_of, zone_of
from taskmaster.api.submissions import instant
from taskmaster.events.log import SeriesRow
from taskmaster.events.types import (
    Cause,
    GateName,
    GateSettings,
    SeriesEvent,
    SeriesName,
    SeriesRules,
    Version,
    series_stream,
)
from taskmaster.model.control import SetGate
from taskmaster.model.recurrence import PREVIEW_MAX, explain
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.series import (
    ChangeSeries,
    EndSeries,
    PauseSeries,
    ResumeSeries,
    Series,
    SeriesCommand,
    decide_creation,
    fold_series,
)

RUNS = 10
AT_ONCE = 32
STREAM_PAGE = 1_000
_series = BodyReader(SeriesIn)
_patch = BodyReader(SeriesPatch)
_preview = BodyReader(PreviewIn)
_reason = BodyReader(ReasonIn)


def series_name(request: Request) -> SeriesName:
    """The series in the path."""
    return SeriesName(request.path_params["name"])


# --- reading ----------------------------------------------------------------------------------


async def folded(api: Api, name: SeriesName) -> Series:
    """A series from its stream, a page at a time.

    Raises:
        ProblemError: there is none.
    """
    series: Series | None = None
    after = Version(0)
    while True:
        records = await within(
            api.reader.stream(series_stream(name), after=after, limit=STREAM_PAGE)
        )
        events = tuple(r.event for r in records if isinstance(r.event, SeriesEvent))
        if events:
            series = fold_series(name, events) if series is None else series.after(events)
        if not records:
            break
        after = records[-1].version
    if series is None:
        raise stop(
            "not_found",
            f"there is no series {name[:60]!a}",
            pointer="/series",
            remedy="GET /v1/series lists them",
        )
    return series


async def shown(api: Api, row: SeriesRow) -> SeriesOut:
    """A series as it is shown, with its open task."""
    series = await folded(api, row.series)
    task = None if row.open_task is None else await within(api.reader.task_row(row.open_task))
    rules = series.rules
    is_coming = row.state != "ended" and task is not None and task.state == "waiting"
    return SeriesOut(
        series=row.series,
        gate=row.gate,
        state=row.state,
        schedule=schedule_out(rules.schedule),
        catch_up=rules.catch_up,
        catch_up_limit=rules.catch_up_limit,
        stop_on_failure=rules.stop_on_failure,
        open_task=row.open_task,
        next_at=instant_out(task.due_at) if is_coming and task else None,
        nominal_at=instant_out(task.nominal_at) if task else None,
        url=rules.template.request.url,
        method=rules.template.request.method,
        version=series.version,
    )


async def row_of(api: Api, name: SeriesName) -> SeriesRow:
    """A series' row.

    Raises:
        ProblemError: there is no such series.
    """
    row = await within(api.reader.series_row(name))
    if row is None:
        raise stop(
            "not_found",
            f"there is no series {name[:60]!a}",
            pointer="/series",
            remedy="GET /v1/series lists them",
        )
    return row


async def read(api: Api, request: Request) -> Response:
    """One series."""
    parameters(request)
    series = await shown(api, await row_of(api, series_name(request)))
    version = Version(series.version)
    if is_known(request, version):
        return Response(status_code=304, headers={"ETag": etag(version)})
    return tagged(series)


async def list_series(api: Api, request: Request) -> Response:
    """Series by name."""
    given = parameters(request, "limit", "page_token")
    limit = whole_number(given, "limit", LIMIT, least=1, most=MAX_LIMIT)
    after = ""
    if "page_token" in given:
        after = api.pager.place("series", given["page_token"][0]).name
    rows = await within(api.reader.series_rows(after=after, limit=limit + 1))
    items: list[SeriesOut] = []
    for start in range(0, min(limit, len(rows)), AT_ONCE):
        part = rows[start : min(start + AT_ONCE, limit)]
        items += await asyncio.gather(*(shown(api, row) for row in part))
    token = api.pager.token("series", name=rows[limit - 1].series) if len(rows) > limit else None
    return JsonResponse(Page(tuple(items), token))


# --- creating ---------------------------------------------------------------------------------


async def put(api: Api, request: Request) -> Response:
    """Create a series with its first occurrence; the same again is no conflict."""
    api.refuse_while_stopping()
    name = series_name(request)
    body = await _series.read(request)
    rules = accepted(rules_of(body, api.egress, api.now()))
    start_at = None if body.start_at is None else accepted(instant("start_at", body.start_at))
    because = cause(request, "CreateSeries", body.reason)
    # before a gate is opened for it, so that nothing is left behind by a refusal
    accepted(decide_creation(name, rules, because, api.now(), start_at))
    if await within(api.reader.series_row(name)) is None:
        if body.gate is None:
            await _open_implicit(api, rules.gate, because)
        answer = await within(api.node.intake.create_series(name, rules, because, start_at))
        if not _is_taken(answer):
            raise_if_no(answer, in_body=True)
            created = await shown(api, await row_of(api, name))
            headers = {"Location": f"/v1/series/{name}", "ETag": etag(Version(created.version))}
            return JsonResponse(created, 201, headers)
    await _refuse_unless_same(api, name, rules)
    return tagged(await shown(api, await row_of(api, name)))


def _is_taken(answer: Series | Rejected) -> bool:
    return isinstance(answer, Rejected) and answer.code == "conflict" and answer.field == "series"


async def _open_implicit(api: Api, gate: GateName, because: Cause) -> None:
    """A series whose body names no gate runs through that of its URL's origin."""
    if not await within(api.reader.gate_rows([gate])):
        command = SetGate(GateSettings(), because, implicit=True)
        raise_if_no(await within(api.node.intake.gate_command(gate, command)))


async def _refuse_unless_same(api: Api, name: SeriesName, rules: SeriesRules) -> None:
    present = await folded(api, name)
    if present.ended:
        what, remedy = "that has ended", "choose another name"
    elif present.rules != rules:
        what, remedy = "with other rules", "change it with PATCH, or choose another name"
    else:
        return
    raise stop("conflict", f"there is a series {name} {what}", pointer="/series", remedy=remedy)


# --- changing ---------------------------------------------------------------------------------


async def patch(api: Api, request: Request) -> Response:
    """Give a series other rules, from its next run on."""
    api.refuse_while_stopping()
    name = series_name(request)
    body = await _patch.read(request)
    row = await row_of(api, name)
    async with api.gate_lock(row.gate):
        present = await folded(api, name)
        refuse_unless_matched(request, "series", present.version)
        given = {field: getattr(body, field) for field in body.__struct_fields__}
        reason = str(given.pop("reason"))
        stated = {field: value for field, value in given.items() if value is not UNSET}
        wanted = accepted(patched(present.rules, stated))
        rules = accepted(rules_of(wanted, api.egress, api.now()))
        command = ChangeSeries(rules, cause(request, "ChangeSeries", reason))
        raise_if_no(await within(api.node.intake.series_command(name, command)), in_body=True)
        return tagged(await shown(api, await row_of(api, name)))


def tagged(series: SeriesOut) -> Response:
    """A series with its version as ETag."""
    return JsonResponse(series, 200, {"ETag": etag(Version(series.version))})


# --- commands ---------------------------------------------------------------------------------


def _commanding(name: str, command: Callable[[Cause], SeriesCommand]) -> Answering:
    """The route of a command that needs a reason only."""

    async def answer(api: Api, request: Request) -> Response:
        api.refuse_while_stopping()
        series = series_name(request)
        body = await _reason.read(request, optional=True)
        because = cause(request, name, body.reason)
        raise_if_no(await within(api.node.intake.series_command(series, command(because))))
        return tagged(await shown(api, await row_of(api, series)))

    return answer


# --- the next runs ----------------------------------------------------------------------------


async def coming(api: Api, request: Request) -> Response:
    """The next runs of a series, its open task first."""
    given = parameters(request, "count")
    count = whole_number(given, "count", RUNS, least=1, most=PREVIEW_MAX)
    row = await row_of(api, series_name(request))
    series = await folded(api, row.series)
    schedule = series.rules.schedule
    if row.open_task is None:
        return JsonResponse(RunsOut((), explain(schedule)))
    task = await within(api.reader.task_row(row.open_task))
    first = None if task is None else task.nominal_at
    items = await next_runs(schedule, api.now(), count, zone_of(schedule), first=first)
    return JsonResponse(RunsOut(items, explain(schedule)))


async def preview(api: Api, request: Request) -> Response:
    """The next runs of a schedule before anything is saved."""
    body = await _preview.read(request)
    schedule = accepted(schedule_of(body))
    since = api.now() if body.since is None else accepted(instant("from", body.since))
    if not 1 <= body.count <= PREVIEW_MAX:
        message = f"count must be 1 to {PREVIEW_MAX} (it is {body.count})"
        raise_if_no(invalid("count", message, "ask for fewer"))
    items = await next_runs(schedule, since, body.count, zone_of(schedule, body.time_zone))
    return JsonResponse(RunsOut(items, explain(schedule)))


# --- the table --------------------------------------------------------------------------------


def _command_operation(
    verb: str, name: str, command: Callable[[Cause], SeriesCommand], about: str
) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/series/{{name}}:{verb}",
        answer=_commanding(name, command),
        name=f"{verb}_series",
        about=about,
        tag="series",
        body=ReasonIn,
        body_optional=True,
        replies=(Reply(200, SeriesOut, "The series after it."),),
        codes=("not_found", "conflict"),
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/series:preview",
        answer=preview,
        name="preview_series",
        about="The next runs of a schedule, in UTC and local time, before anything is saved.",
        tag="series",
        body=PreviewIn,
        replies=(Reply(200, RunsOut, "The runs."),),
    ),
    Operation(
        method="GET",
        path="/v1/series",
        answer=list_series,
        name="list_series",
        about="Series by name.",
        tag="series",
        parameters=PAGING,
        replies=(Reply(200, Page[SeriesOut], "Series."),),
        codes=("stale_page_token",),
    ),
    _command_operation("pause", "PauseSeries", PauseSeries, "Hold the open task back."),
    _command_operation("resume", "ResumeSeries", ResumeSeries, "Let the open task start again."),
    _command_operation(
        "end", "EndSeries", EndSeries, "End the series; what waits of it is cancelled."
    ),
    Operation(
        method="GET",
        path="/v1/series/{name}/next",
        answer=coming,
        name="next_runs",
        about="The next runs of a series, its open task first.",
        tag="series",
        parameters=(Parameter("count", "How many: 1 to 1000, 10 if left out.", type="integer"),),
        replies=(Reply(200, RunsOut, "The runs."),),
        codes=("not_found",),
    ),
    Operation(
        method="PUT",
        path="/v1/series/{name}",
        answer=put,
        name="put_series",
        about="Create a series with its first occurrence. The same again is no conflict.",
        tag="series",
        body=SeriesIn,
        replies=(
            Reply(201, SeriesOut, "It is new."),
            Reply(200, SeriesOut, "It was there with the same rules."),
        ),
        codes=("conflict", "closed"),
    ),
    Operation(
        method="GET",
        path="/v1/series/{name}",
        answer=read,
        name="read_series",
        about="A series and its open task.",
        tag="series",
        parameters=(IF_NONE_MATCH,),
        replies=(
            Reply(200, SeriesOut, "The series."),
            Reply(304, None, "It is as you know it."),
        ),
        codes=("not_found",),
    ),
    Operation(
        method="PATCH",
        path="/v1/series/{name}",
        answer=patch,
        name="patch_series",
        about="Give a series other rules from its next run on: what is left out stays, null is the"
        " default. Its open task stays as it is.",
        tag="series",
        body=SeriesPatch,
        parameters=(IF_MATCH,),
        replies=(Reply(200, SeriesOut, "The series after it."),),
        codes=("not_found", "conflict", "precondition_failed"),
    ),
)
