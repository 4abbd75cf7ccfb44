"""One table of what can be called: the routes and the OpenAPI document are both made from it.

Rules of residence: the shape of the table and its translation into starlette routes. The entries
stand beside the functions that they name, one table for each subject.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from taskmaster.api.context import Api
from taskmaster.api.problems import stop

Method = Literal["GET", "POST", "PUT", "PATCH"]
Answering = Callable[[Api, Request], Awaitable[Response]]


class Parameter(Struct, frozen=True):
    """A parameter of the query or a header; one that may be given often is `repeated`."""

    name: str
    about: str
    repeated: bool = False
    where: Literal["query", "header"] = "query"
    type: Literal["string", "integer"] = "string"
    least: int = 1
    most: int = 1_000


class Reply(Struct, frozen=True):
    """One of the answers: its status, the type of its body, and when it is given."""

    status: int
    shape: Any
    about: str
    media: str = "application/json"


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. `codes` are the problems it can end with beside the usual ones;
    `is_open`: it is served without a key."""

    method: Method
    path: str
    answer: Answering
    name: str
    about: str
    tag: str
    replies: tuple[Reply, ...]
    body: Any = None
    body_optional: bool = False
    body_media: tuple[str, ...] = ("application/json",)
    parameters: tuple[Parameter, ...] = ()
    codes: tuple[str, ...] = ()
    is_open: bool = False


PAGING = (
    Parameter("limit", "How many items at most: 1 to 1000, 100 if left out.", type="integer"),
    Parameter("page_token", "Where the list goes on: next_page_token of the answer before."),
)
IF_MATCH = Parameter(
    "If-Match", "An ETag: change nothing if it is not the present one.", where="header"
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "An ETag: answer 304 if nothing has changed; * on PUT: create only.",
    where="header",
)
PREFER_WAIT = Parameter(
    "Prefer",
    "wait=N: answer once the task has ended, after at most N seconds (60).",
    where="header",
)


def routes(api: Api, operations: tuple[Operation, ...]) -> list[Route]:
    """A route for each path, in the order of the table; `/v1/gates/{gate}`, which would match
    `/v1/gates/a:pause` too, after all that do not end in a free part."""
    by_path: defaultdict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations:
        by_path[operation.path][operation.method] = operation
    paths = sorted(by_path, key=lambda path: path.endswith("}"))
    return [
        Route(path.replace("{path}", "{path:path}"), _dispatch(api, by_path[path]))  # with slashes
        for path in paths
    ]


def _dispatch(api: Api, by_method: dict[str, Operation]) -> Any:
    answers = {method: operation.answer for method, operation in by_method.items()}
    if "GET" in answers:
        answers["HEAD"] = answers["GET"]
    allow = ", ".join(sorted(answers))

    class _Endpoint:
        """Callable as ASGI, so that starlette adds no wrapping of its own."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            request = Request(scope, receive, send)
            answer = answers.get(scope["method"])
            if answer is None:
                detail = f"{scope['method']} is not for this path"
                headers = {"Allow": allow}
                raise stop("method_not_allowed", detail, remedy=f"use {allow}", headers=headers)
            response = await answer(api, request)
            await response(scope, receive, send)

    return _Endpoint()
