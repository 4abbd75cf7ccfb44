"""Purging a gate: a bulk that cancels what waits there, and whose end is waited for.

Rules of residence: the route and its answer; a purge is nothing of its own.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from taskmaster.api.answers import PurgeOut
from taskmaster.api.bodies import PurgeIn
from taskmaster.api.bulks import WAIT, counted
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.gates import gate_name, gate_view
from taskmaster.api.operations import Operation, Reply
from taskmaster.api.problems import raise_if_no
from taskmaster.api.reading import BodyReader
from taskmaster.events.types import SECOND, BulkFilter
from taskmaster.model.bulk import Bulk, StartBulk

WAIT_NS = 20 * SECOND
"""A purge that takes longer is answered as far as it is; it goes on."""
LOOK_S = 0.05
_purge = BodyReader(PurgeIn)


async def purge(api: Api, request: Request) -> Response:
    """Cancel what waits at a gate."""
    gate = gate_name(request)
    body = await _purge.read(request, optional=True)
    api.refuse_while_stopping()
    because = cause(request, "PurgeGate", body.reason)
    await gate_view(api, gate)
    named = body.state or WAIT
    states = (named,) if isinstance(named, str) else named
    match = BulkFilter(at=api.now(), gate=gate, states=tuple(dict.fromkeys(states)))
    position = await within(api.reader.position())
    found = await counted(api, match, position, "purge")
    matched = found.matched or 0
    if body.dry_run:
        return JsonResponse(PurgeOut(matched, 0, dry_run=True, sample=found.sample))
    wish = StartBulk(because, "cancel", match, position, matched)
    bulk = await within(api.node.bulks.start(wish))
    raise_if_no(bulk)
    assert isinstance(bulk, Bulk)
    counts = (await _end_of(api, bulk)).counts
    return JsonResponse(
        PurgeOut(matched, counts.changed, dry_run=False, sample=found.sample, bulk=bulk.id)
    )


async def _end_of(api: Api, bulk: Bulk) -> Bulk:
    until = api.mono() + WAIT_NS
    while bulk.ended is None and api.mono() < until and not api.node.ports.is_stopping:
        await asyncio.sleep(LOOK_S)
        bulk = await within(api.node.bulks.read(bulk.id)) or bulk
    return bulk


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/gates/{gate}:purge",
        answer=purge,
        name="purge_gate",
        about="Cancel what waits at a gate, by a bulk that is waited for; dry_run only counts.",
        tag="gates",
        body=PurgeIn,
        body_optional=True,
        replies=(Reply(200, PurgeOut, "How many matched and were cancelled."),),
        codes=("not_found", "overloaded"),
    ),
)
