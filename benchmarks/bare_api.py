"""The submitting endpoints with nothing behind them: they read, decode, make an id and answer.

Rules of residence: the baseline of `submit`; what TaskMaster's own API does is not repeated here.
"""

import socket
import sys
from collections.abc import Iterable

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from taskmaster.actors.system import SystemIds
from taskmaster.api.answers import BatchItem, BatchOut
from taskmaster.api.bodies import TaskIn

NDJSON = "application/x-ndjson"

_one = msgspec.json.Decoder(TaskIn)
_many = msgspec.json.Decoder(list[TaskIn])
_id = SystemIds().task_id


def serve() -> None:
    """Until SIGTERM, with the server's settings of uvicorn."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        _app(), loop="uvloop", http="httptools", ws="none", lifespan="off", log_config=None
    )
    uvicorn.Server(config).run([listener])


def _app() -> Starlette:
    return Starlette(
        routes=[
            Route("/v1/tasks", _create, methods=["POST"]),
            Route("/v1/tasks:batchCreate", _create_many, methods=["POST"]),
        ]
    )


async def _create(request: Request) -> Response:
    task = _one.decode(await request.body())
    return Response(msgspec.json.encode(_item(0, task)), 201, media_type="application/json")


async def _create_many(request: Request) -> Response:
    body = await request.body()
    if request.headers["content-type"] == NDJSON:
        items = _items(_one.decode_lines(body))
        return Response(msgspec.json.Encoder().encode_lines(items), media_type=NDJSON)
    items = _items(_many.decode(body))
    out = BatchOut(items, len(items), 0, 0)
    return Response(msgspec.json.encode(out), media_type="application/json")


def _items(tasks: Iterable[TaskIn]) -> list[BatchItem]:
    return [_item(index, task) for index, task in enumerate(tasks)]


def _item(index: int, task: TaskIn) -> BatchItem:
    return BatchItem(index, 201, _id(), task.gate or "")
