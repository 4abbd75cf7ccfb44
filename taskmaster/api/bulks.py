"""Bulks: change many tasks by one command, look how far it is, end it, take it back.

Rules of residence: routes and their table, counting beforehand. What a bulk does is decided in
`model/bulk.py` and done by `actors/bulk.py`.
"""

from collections import Counter
from typing import Any, get_args

from msgspec import Struct
from msgspec.structs import asdict, replace
from starlette.requests import Request
from starlette.responses import Response

from taskmaster.actors.bulk import row_filter
from taskmaster.api.answers import Page
from taskmaster.api.bodies import ReasonIn
from taskmaster.api.bulk_bodies import BulkFilterIn, BulkIn, EditIn, UndoIn, change_of
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.encoding import counts_out, instant_out, row_state
from taskmaster.api.operations import PAGING, Operation, Reply
from taskmaster.api.paging import LIMIT, MAX_LIMIT
from taskmaster.api.problems import ProblemError, accepted, raise_if_no, stop
from taskmaster.api.reading import BodyReader, parameters, whole_number
from taskmaster.api.submissions import duration, instant
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.types import (
    BulkAction,
    BulkAnswer,
    BulkFilter,
    BulkId,
    BulkProgressed,
    GateName,
    Position,
    SeriesName,
    TaskChange,
    TaskStateName,
    Version,
    Wall,
    bulk_stream,
)
from taskmaster.model.bulk import Bulk, StartBulk
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.submission import HORIZON_NS
from taskmaster.views.gates import view_gate

PAGE = 400
COUNT_MAX = 100_000
"""So many are counted one by one at most; those of one gate by state are known at once."""
SAMPLE = 10
WAIT: tuple[TaskStateName, ...] = ("scheduled", "waiting")
ABOUT: dict[BulkAction, tuple[TaskStateName, ...]] = {
    "cancel": WAIT,
    "redrive": ("dead",),
    "reschedule": WAIT,
    "edit": WAIT,
    "move": WAIT,
}
"""The states that an action is for where the filter names none."""
_bulk = BodyReader(BulkIn)
_undo = BodyReader(UndoIn)
_reason = BodyReader(ReasonIn)


class BulkSetOut(Struct, frozen=True, kw_only=True):
    """What a bulk would change. `set` names these tasks for the call that does it; `matched` is
    null where more matched than are counted, the counts then are of those that were."""

    matched: int | None
    by_state: dict[str, int]
    by_gate: dict[str, int]
    sample: tuple[str, ...]
    set: str
    dry_run: bool = True


class BulkOut(Struct, frozen=True, kw_only=True):
    """A bulk and how far it is. Of the members answered, `changed` were, `requested` end with
    their open attempt, `already` were so, `refused` could not be, `unavailable` gates did not
    answer; `gone` matched no more when their turn came."""

    id: str
    action: BulkAction
    state: str
    filter: dict[str, Any] | None
    matched: int | None
    answered: int
    changed: int
    requested: int
    already: int
    refused: int
    unavailable: int
    gone: int
    rate: float | None
    undoes: str | None
    started_at: str
    author: str
    reason: str
    ended_at: str | None
    ended_by: str | None
    ended_reason: str | None


class BulkMember(Struct, frozen=True):
    """What became of one task, and why where it was left as it is."""

    id: str
    answer: BulkAnswer
    why: str = ""


# --- beginning --------------------------------------------------------------------------------


async def start(api: Api, request: Request) -> Response:
    """Begin a bulk, or count what it would change."""
    body = await _bulk.read(request)
    api.refuse_while_stopping()
    of = f"bulk {body.action} {body.filter}"
    match, position = await _decided(api, body, of)
    if body.dry_run:
        return JsonResponse(await counted(api, match, position, of))
    found = await counted(api, match, position, of)
    wish = StartBulk(
        cause=cause(request, f"Bulk{body.action.title()}", body.reason),
        action=body.action,
        match=match,
        position=position,
        matched=found.matched,
        rate=body.rate or 0,
        due_at=_due_at(api, body),
        change=None if body.edit is None else accepted(_change(api, body.edit)),
        to=None if body.to is None else GateName(body.to),
    )
    bulk = await _began(api, wish)
    return JsonResponse(bulk_out(api, bulk), 201, {"Location": f"/v1/bulks/{bulk.id}"})


async def _began(api: Api, wish: StartBulk) -> Bulk:
    bulk = await within(api.node.bulks.start(wish))
    raise_if_no(bulk, in_body=True)
    assert isinstance(bulk, Bulk)
    return bulk


async def _decided(api: Api, body: BulkIn, of: str) -> tuple[BulkFilter, Position]:
    """Which tasks, and at which position of the log: now, or where a dry run was."""
    at, position = api.now(), await within(api.reader.position())
    if body.set is not None:
        try:
            place = api.pager.place(of, body.set)
        except ProblemError:
            raise stop(
                "stale_page_token",
                "set is not of a dry run of this action and filter, or of an earlier life of the"
                " server",
                pointer="/set",
                remedy="make the dry run again",
            ) from None
        at, position = Wall(int(place.name)), Position(place.position)
    return accepted(_filter(body.filter, ABOUT[body.action], at)), position


def _filter(
    given: BulkFilterIn, about: tuple[TaskStateName, ...], at: Wall
) -> BulkFilter | Rejected:
    named = (given.state,) if isinstance(given.state, str) else given.state
    states = named or about
    found = BulkFilter(
        at=at,
        gate=GateName(given.gate) if given.gate else None,
        states=tuple(state for state in get_args(TaskStateName) if state in states),
        series=SeriesName(given.series) if given.series else None,
        key=given.key or "",
        fair_key=given.fair_key or "",
        labels=tuple((given.labels or {}).items()),
    )
    for name, written in (("due_before", given.due_before), ("due_after", given.due_after)):
        if written is not None:
            read = instant(f"filter.{name}", written)
            if isinstance(read, Rejected):
                return read
            found = replace(found, **{name: read})
    if not named and found == BulkFilter(at=at, states=found.states):  # empty texts are no names
        return invalid("filter", "the filter names nothing", "name a gate, a label or a state")
    return found


def _change(api: Api, edit: EditIn) -> TaskChange | Rejected:
    change = change_of(edit, api.egress)
    if isinstance(change, Rejected):
        return replace(change, field=f"edit.{change.field}")
    return change


def _due_at(api: Api, body: BulkIn) -> Wall | None:
    if body.due_at is not None and body.delay is not None:
        raise_if_no(invalid("delay", "both due_at and delay are given", "give one of them"))
    if body.due_at is not None:
        return accepted(instant("due_at", body.due_at))
    if body.delay is None:
        return None
    delay_ns = accepted(duration("delay", body.delay))
    if not 0 <= delay_ns <= HORIZON_NS:
        raise_if_no(invalid("delay", "delay must be 0 to 10 years", 'give one such as "15m"'))
    return Wall(api.now() + delay_ns)


async def counted(api: Api, match: BulkFilter, position: Position, of: str) -> BulkSetOut:
    """How many match by state and gate, and some of them."""
    by_state: Counter[str] = Counter()
    by_gate: Counter[str] = Counter()
    sample: list[str] = []
    plain = BulkFilter(at=match.at, gate=match.gate, states=match.states)
    is_plain = match.gate is not None and match == plain
    before, seen, is_whole = Position(position + 1), 0, True
    while rows := await within(api.reader.task_rows(row_filter(match), before=before, limit=PAGE)):
        for row in rows:
            state = row_state(row, match.at)
            if not match.states or state in match.states:
                by_state[state] += 1
                by_gate[row.gate] += 1
                sample += [row.task][: SAMPLE - len(sample)]
        seen, before = seen + len(rows), rows[-1].number
        if (is_plain and len(sample) >= SAMPLE) or seen >= COUNT_MAX:
            is_whole = False
            break
    if is_plain and not is_whole and match.gate is not None:
        view = await within(view_gate(api.node, match.gate))
        assert view is not None, f"tasks at a gate {match.gate} that does not exist"
        counts = asdict(counts_out(view))
        by_state = Counter({state: counts[state] for state in match.states if counts[state]})
        by_gate, is_whole = Counter({str(match.gate): by_state.total()}), True
    token = api.pager.token(of, position=position, name=str(match.at))
    return BulkSetOut(
        matched=by_state.total() if is_whole else None,
        by_state=dict(by_state),
        by_gate=dict(by_gate.most_common(100)),
        sample=tuple(sample),
        set=token,
    )


# --- looking, ending, undoing -----------------------------------------------------------------


def bulk_out(api: Api, bulk: Bulk) -> BulkOut:
    """A bulk as it is shown, with what is answered of the page that is under way."""
    started, ended = bulk.started, bulk.ended
    counts = api.node.bulks.counts(bulk)
    state = "running" if ended is None else "aborted" if ended.aborted else "ended"
    return BulkOut(
        id=bulk.id,
        action=started.action,
        state=state,
        filter=None if started.match is None else _filter_out(started.match),
        matched=started.matched,
        answered=replace(bulk, counts=counts).answered,
        **asdict(counts),
        gone=bulk.gone,
        rate=started.rate or None,
        undoes=started.undoes or None,
        started_at=rfc3339(started.at),
        author=started.cause.author,
        reason=started.cause.reason,
        ended_at=instant_out(None if ended is None else ended.at),
        ended_by=ended.cause.author if ended is not None and ended.aborted else None,
        ended_reason=ended.cause.reason if ended is not None and ended.aborted else None,
    )


def _filter_out(match: BulkFilter) -> dict[str, object]:
    shown: dict[str, object] = {
        "gate": match.gate,
        "state": list(match.states),
        "labels": dict(match.labels),
        "series": match.series,
        "key": match.key,
        "fair_key": match.fair_key,
        "due_before": instant_out(match.due_before),
        "due_after": instant_out(match.due_after),
    }
    return {name: value for name, value in shown.items() if value}


async def list_bulks(api: Api, request: Request) -> Response:
    """Bulks, the newest first."""
    given = parameters(request, "limit", "page_token")
    limit = whole_number(given, "limit", LIMIT, least=1, most=MAX_LIMIT)
    before = None
    if "page_token" in given:
        before = Position(api.pager.place("bulks", given["page_token"][0]).position)
    rows = await within(api.reader.bulk_rows(before=before, limit=limit + 1))
    shown = [bulk_out(api, await _read(api, row.bulk)) for row in rows[:limit]]
    token = None
    if len(rows) > limit:
        token = api.pager.token("bulks", position=rows[limit - 1].number)
    return JsonResponse(Page(tuple(shown), token))


async def read(api: Api, request: Request) -> Response:
    """One bulk."""
    parameters(request)
    return JsonResponse(bulk_out(api, await _read(api, _id(request))))


async def _read(api: Api, bulk_id: BulkId) -> Bulk:
    bulk = await within(api.node.bulks.read(bulk_id))
    if bulk is None:
        remedy = "GET /v1/bulks lists them"
        raise stop("not_found", f"there is no bulk {bulk_id[:60]!a}", pointer="/id", remedy=remedy)
    return bulk


def _id(request: Request) -> BulkId:
    return BulkId(request.path_params["id"])


async def members(api: Api, request: Request) -> Response:
    """What became of each task; a page holds those of some steps of the bulk."""
    given = parameters(request, "limit", "page_token")
    bulk_id = _id(request)
    limit = whole_number(given, "limit", LIMIT, least=1, most=MAX_LIMIT)
    of, after = f"members {bulk_id}", Version(1)
    if "page_token" in given:
        after = Version(api.pager.place(of, given["page_token"][0]).position)
    bulk = await _read(api, bulk_id)
    shown: list[BulkMember] = []
    while after < bulk.version and len(shown) < limit:
        (record,) = await within(api.reader.stream(bulk_stream(bulk_id), after=after, limit=1))
        after = record.version
        if isinstance(record.event, BulkProgressed):
            shown += [BulkMember(task, "changed") for task in record.event.changed]
            shown += [BulkMember(one.task, one.answer, one.why) for one in record.event.left]
    token = api.pager.token(of, position=after) if after < bulk.version else None
    return JsonResponse(Page(tuple(shown), token))


async def abort(api: Api, request: Request) -> Response:
    """End a bulk where it stands; what is done stays done."""
    body = await _reason.read(request, optional=True)
    because = cause(request, "AbortBulk", body.reason)
    bulk = await within(api.node.bulks.abort(_id(request), because))
    raise_if_no(bulk)
    assert isinstance(bulk, Bulk)
    return JsonResponse(bulk_out(api, bulk))


async def undo(api: Api, request: Request) -> Response:
    """Take a bulk back where nothing has happened since, by another bulk."""
    body = await _undo.read(request, optional=True)
    api.refuse_while_stopping()
    because = cause(request, "UndoBulk", body.reason)
    bulk = await within(api.node.bulks.undo(_id(request), because, body.rate or 0))
    raise_if_no(bulk)
    assert isinstance(bulk, Bulk)
    return JsonResponse(bulk_out(api, bulk), 201, {"Location": f"/v1/bulks/{bulk.id}"})


# --- the table --------------------------------------------------------------------------------

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/bulks",
        answer=start,
        name="start_bulk",
        about="Change all tasks that match: cancel, redrive, reschedule, edit or move them;"
        " dry_run only counts.",
        tag="bulks",
        body=BulkIn,
        replies=(
            Reply(201, BulkOut, "It is durable and goes on by itself."),
            Reply(200, BulkSetOut, "A dry run: what it would change."),
        ),
        codes=("conflict", "overloaded", "stale_page_token", "not_found"),
    ),
    Operation(
        method="GET",
        path="/v1/bulks",
        answer=list_bulks,
        name="list_bulks",
        about="Bulks, the newest first.",
        tag="bulks",
        parameters=PAGING,
        replies=(Reply(200, Page[BulkOut], "Bulks."),),
        codes=("stale_page_token",),
    ),
    Operation(
        method="POST",
        path="/v1/bulks/{id}:abort",
        answer=abort,
        name="abort_bulk",
        about="End a bulk where it stands; what is done stays done.",
        tag="bulks",
        body=ReasonIn,
        body_optional=True,
        replies=(Reply(200, BulkOut, "The bulk after it."),),
        codes=("not_found",),
    ),
    Operation(
        method="POST",
        path="/v1/bulks/{id}:undo",
        answer=undo,
        name="undo_bulk",
        about="Take back what a bulk did, where nothing has happened to a task since.",
        tag="bulks",
        body=UndoIn,
        body_optional=True,
        replies=(Reply(201, BulkOut, "The bulk that takes it back."),),
        codes=("not_found", "conflict", "overloaded"),
    ),
    Operation(
        method="GET",
        path="/v1/bulks/{id}/members",
        answer=members,
        name="bulk_members",
        about="What became of each task of a bulk, so far; a page may hold up to 200 more than"
        " asked for.",
        tag="bulks",
        parameters=PAGING,
        replies=(Reply(200, Page[BulkMember], "Its members."),),
        codes=("not_found", "stale_page_token"),
    ),
    Operation(
        method="GET",
        path="/v1/bulks/{id}",
        answer=read,
        name="read_bulk",
        about="A bulk and how far it is.",
        tag="bulks",
        replies=(Reply(200, BulkOut, "The bulk."),),
        codes=("not_found",),
    ),
)
