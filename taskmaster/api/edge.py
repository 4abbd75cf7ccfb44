"""Around every call: a request id, the guard, errors turned into problems, one line of log.

Rules of residence: plain ASGI, for starlette's own wrapper costs a task for each request. What is
raised ends here: a `ProblemError` or an error of the tree as its document, anything else as a bug,
which is logged and answered with 500, for a crash of one call must not end the node.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from msgspec.structs import replace
from starlette.requests import ClientDisconnect

from taskmaster.api.auth import Guard
from taskmaster.api.context import AUTHOR, REQUEST_ID, Api
from taskmaster.api.problems import (
    ProblemError,
    ProblemResponse,
    of_error,
    problem,
    stop,
)
from taskmaster.errors import TaskMasterError
from taskmaster.events.types import SECOND

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEADER_BYTES = 32 * 1024
UNREAD = frozenset({413, 431})
"""Statuses that are answered before the request was read."""
LINGER_S = 1.0
LINGER_BYTES = 64 * 1024 * 1024
_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}")
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Edge:
    """The outermost layer of the application."""

    def __init__(self, inner: AsgiApp, api: Api, guard: Guard) -> None:
        """Stand around `inner`."""
        self._inner = inner
        self.api = api
        self.guard = guard
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        api = self.api
        began = api.mono()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        is_usable = _REQUEST_ID.fullmatch(given) is not None
        request_id = given.decode() if is_usable else str(api.node.ports.ids.task_id())
        scope[REQUEST_ID] = request_id
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = list(message.get("headers", ()))
                names = {name.lower() for name, _ in sent}
                sent += [pair for pair in _ALWAYS if pair[0] not in names]
                sent.append((b"x-request-id", request_id.encode()))
                message["headers"] = sent
            await send(message)

        try:
            _refuse_large(scope["headers"])
            scope[AUTHOR] = self.guard.author(scope["path"], headers, now=api.now(), mono=began)
            await self._inner(scope, receive, sending)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except ProblemError as error:
            await self._say(error, request_id, scope, receive, sending)
        except TaskMasterError as error:
            await self._say(of_error(error), request_id, scope, receive, sending)
        except Exception as error:
            self._log.error(
                "request_crashed",
                request_id=request_id,
                path=scope["path"],
                error=repr(error),
                exc_info=error,
            )
            if status:
                raise  # the answer has begun: let the connection break
            found = problem("bug", "the server met a bug", remedy="report it with the request_id")
            await self._say(ProblemError(found), request_id, scope, receive, sending)
        self._log.debug(
            "request_served",
            request_id=request_id,
            method=scope["method"],
            path=scope["path"],
            status=status,
            duration_s=(api.mono() - began) / SECOND,
        )

    async def _say(
        self, error: ProblemError, request_id: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        found = replace(error.problem, request_id=request_id)
        response = ProblemResponse(found, error.headers)
        if found.status in UNREAD:
            await _answer_unread(response, receive, send)
        else:
            await response(scope, receive, send)


async def _answer_unread(response: ProblemResponse, receive: Receive, send: Send) -> None:
    """Answer, then read on for a while what is thrown away.

    A socket that is closed with bytes unread resets the connection, and the caller, who is still
    sending, may never see the answer.
    """
    start = {"type": "http.response.start", "status": response.status_code}
    await send({**start, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        pass  # it sends too slowly, or nothing
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refuse_large(headers: list[tuple[bytes, bytes]]) -> None:
    total = 0
    for name, value in headers:
        total += len(name) + len(value) + 4
    if total > MAX_HEADER_BYTES:
        raise stop(
            "headers_too_large",
            f"the headers take {total} bytes",
            remedy=f"send at most {MAX_HEADER_BYTES}",
            headers={"Connection": "close"},
        )
