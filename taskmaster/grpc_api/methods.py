"""The methods that are answered once, as a table: each is an operation of the REST API.

Rules of residence: from a message to the request that the operation reads, and from its answer
back to a message. No rule of its own: what a field may be is decided where HTTP has it decided.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode

import msgspec
from google.protobuf.message import Message
from msgspec import Struct
from starlette.requests import Request

from taskmaster.api.app import OPERATIONS
from taskmaster.api.context import AUTHOR, REQUEST_ID, Api
from taskmaster.api.operations import Operation
from taskmaster.api.problems import stop
from taskmaster.grpc_api.shapes import Plain, fill, plain
from taskmaster.units import SECOND_NS, parse_duration


class Caller(NamedTuple):
    """Who calls, under which id, and the trace it is part of."""

    author: str
    request_id: str
    traceparent: str = ""


class Method(Struct, frozen=True):
    """A method and its operation. `inside` is the field that holds the body, if one does; `into`
    is where the answer goes, the message itself if empty."""

    name: str
    operation: str
    inside: str = ""
    into: str = ""


METHODS = (
    Method("TaskService/SubmitTask", "submit_task", inside="task", into="task"),
    Method("TaskService/GetTask", "read_task"),
    Method("TaskService/ListTasks", "list_tasks"),
    Method("TaskService/GetTaskHistory", "task_history"),
    Method("TaskService/CancelTask", "cancel_task"),
    Method("TaskService/RescheduleTask", "reschedule_task"),
    Method("TaskService/RunTask", "run_task"),
    Method("TaskService/RedriveTask", "redrive_task"),
    Method("GateService/GetGate", "read_gate"),
    Method("GateService/ListGates", "list_gates"),
    Method("GateService/PutGate", "put_gate", inside="settings"),
    Method("GateService/PatchGate", "patch_gate", inside="settings"),
    Method("GateService/PauseGate", "pause_gate"),
    Method("GateService/ResumeGate", "resume_gate"),
    Method("GateService/DrainGate", "drain_gate"),
    Method("GateService/CloseGate", "close_gate"),
    Method("GateService/ReleaseGate", "release_gate"),
    Method("SeriesService/GetSeries", "read_series"),
    Method("SeriesService/ListSeries", "list_series"),
    Method("SeriesService/PutSeries", "put_series", inside="series"),
    Method("SeriesService/PauseSeries", "pause_series"),
    Method("SeriesService/ResumeSeries", "resume_series"),
    Method("SeriesService/EndSeries", "end_series"),
    Method("SeriesService/NextRuns", "next_runs"),
)
_BY_NAME = {operation.name: operation for operation in OPERATIONS}
Answering = Callable[[Caller, Any], Awaitable[Any]]


def answering(api: Api, method: Method, reply: type[Message]) -> Answering:
    """The method as a function from its message to its answer."""
    operation = _BY_NAME[method.operation]

    async def answer(caller: Caller, message: Message) -> Message:
        request = _request(operation, method, plain(message), caller)
        response = await operation.answer(api, request)
        answered = reply()
        into: Any = answered
        if method.into:
            into = getattr(answered, method.into)
        fill(into, msgspec.json.decode(response.body))
        if response.headers.get("idempotent-replayed"):
            setattr(answered, "replayed", True)  # noqa: B010  # of any message
        return answered

    return answer


def _request(operation: Operation, method: Method, said: Plain, caller: Caller) -> Request:
    headers = _headers(said, caller)
    path = {name: _taken(said, name) for name in _names(operation.path)}
    query = {
        parameter.name: said.pop(parameter.name)
        for parameter in operation.parameters
        if parameter.where == "query" and parameter.name in said
    }
    if method.inside:
        said = {**_masked(said.pop(method.inside, {}), said.pop("update_mask", None)), **said}
    content = json.dumps(said).encode() if operation.body is not None else b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    scope = {
        "type": "http",
        "method": operation.method,
        "path": operation.path,
        "path_params": path,
        "query_string": urlencode(query, doseq=True).encode(),
        "headers": headers,
        AUTHOR: caller.author,
        REQUEST_ID: caller.request_id,
    }
    return Request(scope, receive)


def _names(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _taken(said: Plain, name: str) -> str:
    value = said.pop(name, "")
    if not value:
        message = f"{name} is missing"
        raise stop("invalid_field", message, pointer=f"/{name}", remedy="say which one is meant")
    return value


def _headers(said: Plain, caller: Caller) -> list[tuple[bytes, bytes]]:
    """What HTTP says in headers."""
    headers: list[tuple[bytes, bytes]] = []
    if caller.traceparent:
        headers.append((b"traceparent", caller.traceparent.encode("ascii", "ignore")))
    if "if_version" in said:
        headers.append((b"if-match", b'"%d"' % said.pop("if_version")))
    if said.pop("create_only", False):
        headers.append((b"if-none-match", b"*"))
    if "wait" in said:
        wait_ns = parse_duration(said.pop("wait")) or 0
        headers.append((b"prefer", b"wait=%d" % max(0, -(-wait_ns // SECOND_NS))))
    return headers


def _masked(settings: Plain, paths: list[str] | None) -> Plain:
    """The settings that are changed: with a mask those it names, null where they are unset."""
    if paths is None:
        return settings
    chosen: Plain = {}
    for path in paths:
        *outer, last = path.split(".")
        source, target = settings, chosen
        for name in outer:
            source = _parts(path, source.get(name, {}))
            target = _parts(path, target.setdefault(name, {}))
        target[last] = source.get(last)
    return chosen


def _parts(path: str, value: object) -> Plain:
    if isinstance(value, dict):
        return cast("Plain", value)
    message = f"update_mask names {path[:60]!a}, which has no parts"
    remedy = "name the setting as a whole"
    raise stop("invalid_field", message, pointer="/update_mask", remedy=remedy)
