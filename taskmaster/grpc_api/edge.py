"""Around every call: a request id, the guard, errors turned into statuses, one line of log.

Rules of residence: what `api/edge.py` is over HTTP. No browser can call gRPC without a preflight
that this server does not answer, so without keys only the address protects it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Any

import grpc
import structlog
from google.rpc.status_pb2 import Status

from taskmaster.api.auth import Guard
from taskmaster.api.context import Api
from taskmaster.api.problems import ProblemError, of_error, problem
from taskmaster.api.tasks import MAX_TRACEPARENT_CHARS
from taskmaster.errors import TaskMasterError
from taskmaster.events.types import SECOND, Mono
from taskmaster.grpc_api.methods import Answering, Caller
from taskmaster.grpc_api.statuses import status_of

Context = grpc.aio.ServicerContext[Any, Any]
Streaming = Callable[[Caller, Any], AsyncIterator[Any]]
REQUEST_ID = "x-request-id"
DETAILS = "grpc-status-details-bin"


class GrpcEdge:
    """Wraps what answers calls."""

    def __init__(self, api: Api, guard: Guard) -> None:
        """Let in whom `guard` lets in."""
        self._api = api
        self._guard = guard
        self._log = structlog.get_logger()

    def once(
        self, name: str, answer: Answering, *, inside: str = "", fields: Collection[str] = ()
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        """A method that answers once. Errors of `fields` stand in the field `inside`."""

        async def behavior(message: Any, context: Context) -> Any:
            began, request_id = self._begin(context)
            try:
                reply = await answer(self._caller(context, request_id), message)
            except Exception as error:  # a bug ends the call, not the node
                status = self._status(error, name, request_id, inside, fields)
                await self._say(context, status, name, request_id, began)
                raise
            self._served(name, request_id, began, 0)
            return reply

        return behavior

    def many(self, name: str, answers: Streaming) -> Callable[[Any, Context], Awaitable[None]]:
        """A method that answers with a stream, which the caller's reading holds back."""

        async def behavior(message: Any, context: Context) -> None:
            began, request_id = self._begin(context)
            try:
                replies: Any = answers(self._caller(context, request_id), message)
                async with aclosing(replies):
                    async for reply in replies:
                        await context.write(reply)
            except Exception as error:  # a bug ends the call, not the node
                status = self._status(error, name, request_id, "", ())
                await self._say(context, status, name, request_id, began)
                raise
            self._served(name, request_id, began, 0)

        return behavior

    def _begin(self, context: Context) -> tuple[Mono, str]:
        request_id = str(self._api.node.ports.ids.task_id())
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        return self._api.mono(), request_id

    def _caller(self, context: Context, request_id: str) -> Caller:
        """Who calls.

        Raises:
            ProblemError: nobody who may.
        """
        given = dict(context.invocation_metadata() or ())
        authorization = given.get("authorization", "")
        author = self._guard.caller(
            authorization if isinstance(authorization, str) else "",
            now=self._api.now(),
            mono=self._api.mono(),
        )
        traceparent = given.get("traceparent", "")
        if not isinstance(traceparent, str) or len(traceparent) > MAX_TRACEPARENT_CHARS:
            traceparent = ""
        return Caller(author, request_id, traceparent)

    def _status(
        self, error: Exception, name: str, request_id: str, inside: str, fields: Collection[str]
    ) -> Status:
        if isinstance(error, TaskMasterError):
            error = of_error(error)
        if isinstance(error, ProblemError):
            after_s = int(error.headers.get("Retry-After", "0"))
            return status_of(error.problem, inside=inside, fields=fields, retry_after_s=after_s)
        self._log.error(
            "request_crashed", request_id=request_id, path=name, error=repr(error), exc_info=error
        )
        remedy = f"report it with the request id {request_id}"
        return status_of(problem("bug", "the server met a bug", remedy=remedy))

    async def _say(
        self, context: Context, status: Status, name: str, request_id: str, began: Mono
    ) -> None:
        self._served(name, request_id, began, status.code)
        await context.abort(
            _CODES[status.code],
            status.message,
            ((DETAILS, status.SerializeToString()), (REQUEST_ID, request_id)),
        )

    def _served(self, name: str, request_id: str, began: Mono, code: int) -> None:
        self._log.debug(
            "request_served",
            request_id=request_id,
            method="gRPC",
            path=name,
            status=code,
            duration_s=(self._api.mono() - began) / SECOND,
        )


_CODES = {code.value[0]: code for code in grpc.StatusCode}
