"""The log as it is read from outside: in pages, and as it grows (SSE).

Rules of residence: positions go out and come in; nothing is skipped and nothing is sent twice, so
a reader that was cut off goes on with the last id it has seen.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import Event, HistoryEvent, Page
from taskmaster.api.context import Api, JsonResponse, within
from taskmaster.api.history import shown_event
from taskmaster.api.operations import PAGING, Operation, Parameter, Reply
from taskmaster.api.paging import LIMIT, MAX_LIMIT
from taskmaster.api.problems import stop
from taskmaster.api.reading import bad_parameter, parameters, whole_number
from taskmaster.events.log import Recorded
from taskmaster.events.types import MILLISECOND, SECOND, Position

PING_S = 15
READ_AT_ONCE = 200
MAX_READS = 10
MAX_STREAMS = 200
"""SSE callers at one time; each costs a reading of the log."""
REST_NS = 100 * MILLISECOND
"""Between two readings of a busy log: what came meanwhile is sent together."""
MOST = 2**63 - 1


async def list_events(api: Api, request: Request) -> Response:
    """Events in log order, from after a position on."""
    given = parameters(request, "after", "stream", "limit", "page_token")
    limit = whole_number(given, "limit", LIMIT, least=1, most=MAX_LIMIT)
    after = Position(whole_number(given, "after", 0, least=0, most=MOST))
    stream = given.get("stream", [""])[0]
    of = f"events {stream}"
    if "page_token" in given:
        after = Position(api.pager.place(of, given["page_token"][0]).position)
    found: list[Recorded] = []
    is_over = False
    for _ in range(MAX_READS):
        records, after, is_over = await _read(api, after, stream, limit - len(found))
        found += records
        if is_over or len(found) >= limit:
            break
    token = None if is_over else api.pager.token(of, position=after)
    items = tuple(shown_event(record, with_stream=True) for record in found)
    return JsonResponse(Page[Event](items, token))


async def _read(
    api: Api, after: Position, stream: str, limit: int
) -> tuple[list[Recorded], Position, bool]:
    """Events of a stream, or of all whose names begin with it if it ends in `-`; up to where was
    read, and whether that is the end for now."""
    records = await within(api.reader.events(after=after, limit=limit, streams_like=stream))
    if not records:
        return [], after, True
    wanted = list(records)
    if stream and not stream.endswith("-"):
        wanted = [record for record in records if record.stream == stream]
    return wanted, records[-1].position, False


async def stream_events(api: Api, request: Request) -> Response:
    """Events as they are committed. `Last-Event-ID`, or else `after`, says where to begin."""
    given = parameters(request, "after", "stream")
    start = given.get("after", [""])[0]
    start = request.headers.get("last-event-id", start)
    if start and not (start.isascii() and start.isdecimal() and len(start) <= 19):
        raise bad_parameter("after", "is no position", "give the id of the last event seen")
    if api.streams >= MAX_STREAMS:
        raise stop(
            "unavailable", "too many read the stream of events", headers={"Retry-After": "5"}
        )
    after = Position(min(int(start), MOST)) if start else await within(api.reader.position())
    stream = given.get("stream", [""])[0]
    return EventSourceResponse(_messages(api, after, stream), ping=PING_S, sep="\n")


async def _messages(api: Api, after: Position, stream: str) -> AsyncIterator[dict[str, Any]]:
    api.streams += 1
    try:
        while not api.node.ports.is_stopping:
            known = api.follow.position
            records, after, is_over = await _read(api, after, stream, READ_AT_ONCE)
            for record in records:
                yield {
                    "id": str(record.position),
                    "event": type(record.event).__name__,
                    "data": msgspec.json.encode(shown_event(record, with_stream=True)).decode(),
                }
            if is_over and await api.follow.after(max(known, after), SECOND):
                await asyncio.sleep(REST_NS / SECOND)
    finally:
        api.streams -= 1


_FILTERS = (
    Parameter("after", "Only events after this position.", type="integer", least=0, most=MOST),
    Parameter(
        "stream", "Only this stream, such as task-<id>; or all that begin so, such as task-."
    ),
)
OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/events",
        answer=list_events,
        name="list_events",
        about="The log: every event in the order in which it was committed.",
        tag="log",
        parameters=(*_FILTERS, *PAGING),
        replies=(Reply(200, Page[HistoryEvent], "Events."),),
        codes=("stale_page_token",),
    ),
    Operation(
        method="GET",
        path="/v1/events:stream",
        answer=stream_events,
        name="stream_events",
        about="The log as it grows, as server-sent events; id is the position. It begins at the"
        " end unless after or Last-Event-ID says otherwise.",
        tag="log",
        parameters=(
            *_FILTERS,
            Parameter("Last-Event-ID", "Go on after this position.", where="header"),
        ),
        replies=(Reply(200, HistoryEvent, "Events without end.", "text/event-stream"),),
    ),
)
