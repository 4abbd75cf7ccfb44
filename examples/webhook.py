"""An application that answers webhooks once for each idempotency key.

A repeated request, which happens when an answer was lost, gets the answer of the first one and
changes nothing. Keys are kept in memory, as the applications' own state is.
"""

import sys
from collections.abc import Callable

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Work = Callable[[dict[str, str]], dict[str, object]]


class Busy(Exception):  # noqa: N818  # an answer, not an error
    """Ask again after so many seconds."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def application(works: dict[str, Work], state: Callable[[], object]) -> Starlette:
    """One POST route for each work, and GET /state."""
    answers: dict[str, dict[str, object]] = {}

    async def answer(request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        if key not in answers:
            content = await request.body()
            asked = msgspec.json.decode(content, type=dict[str, str]) if content else {}
            try:
                answers[key] = works[request.url.path](asked)
            except Busy as busy:
                return Response(status_code=503, headers={"Retry-After": str(busy.seconds)})
        return JSONResponse(answers[key])

    async def show(_request: Request) -> Response:
        return Response(msgspec.json.encode(state()), media_type="application/json")

    routes = [Route(path, answer, methods=["POST"]) for path in works]
    return Starlette(routes=[*routes, Route("/state", show)])


def serve(app: Starlette) -> None:
    """Serve on the port that the command line names."""
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
