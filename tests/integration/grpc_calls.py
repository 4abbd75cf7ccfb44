"""What tests call a server with over gRPC: its stubs, and errors with their details."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from taskmaster.v1 import gates_pb2_grpc, series_pb2_grpc, tasks_pb2_grpc

WITHIN_S = 30.0


class Stubs:
    """The services behind a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.tasks: Any = tasks_pb2_grpc.TaskServiceStub(channel)
        self.gates: Any = gates_pb2_grpc.GateServiceStub(channel)
        self.series: Any = series_pb2_grpc.SeriesServiceStub(channel)


class No(NamedTuple):
    """An error: its status, the code of the problem, the field and the text of it."""

    status: grpc.StatusCode
    reason: str
    field: str = ""
    text: str = ""
    retry_s: int = 0
    quota: str = ""


def refusal(call: Callable[..., Any], message: Any, **more: Any) -> No:
    """What a call that must fail was answered with."""
    with pytest.raises(grpc.RpcError) as refused:
        _whole(call(message, timeout=WITHIN_S, **more))
    error: Any = refused.value
    from_call = cast("Callable[[Any], Any]", rpc_status.from_call)
    status = from_call(error)
    assert status is not None, error
    return no_of(status)


def _whole(reply: Any) -> None:
    """A stream's error comes when it is read."""
    if hasattr(reply, "__next__"):
        list(reply)


def no_of(status: Any) -> No:
    """An error with its details."""
    assert isinstance(status, Status)
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    info, bad, retry, quota = ErrorInfo(), BadRequest(), RetryInfo(), QuotaFailure()
    for detail in status.details:
        for one in (info, bad, retry, quota):
            detail.Unpack(one)  # only of its own type
    assert info.domain == "taskmaster"
    first = bad.field_violations[0] if bad.field_violations else BadRequest.FieldViolation()
    violated = quota.violations[0].subject if quota.violations else ""
    seconds = retry.retry_delay.seconds
    return No(code, info.reason, first.field, first.description, seconds, violated)
