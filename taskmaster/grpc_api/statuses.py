"""What a call is answered with when the answer is no: the API's problems as statuses of gRPC.

Rules of residence: pure translation. Details are those of google.rpc: BadRequest names the field
and the remedy, RetryInfo says when to try again, QuotaFailure which gate is full, and ErrorInfo
carries the problem's code, which is the same over HTTP.
"""

from collections.abc import Collection

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from taskmaster.api.problems import RETRY_AFTER_S, FieldError, Problem, code_of, retry_headers

DOMAIN = "taskmaster"
STATUSES: dict[str, grpc.StatusCode] = {
    "unreadable": grpc.StatusCode.INVALID_ARGUMENT,
    "stale_page_token": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "foreign_origin": grpc.StatusCode.PERMISSION_DENIED,
    "foreign_host": grpc.StatusCode.PERMISSION_DENIED,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "method_not_allowed": grpc.StatusCode.UNIMPLEMENTED,
    "conflict": grpc.StatusCode.FAILED_PRECONDITION,
    "precondition_failed": grpc.StatusCode.ABORTED,
    "too_large": grpc.StatusCode.INVALID_ARGUMENT,
    "unsupported_media_type": grpc.StatusCode.INVALID_ARGUMENT,
    "invalid_field": grpc.StatusCode.INVALID_ARGUMENT,
    "overloaded": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "headers_too_large": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "bug": grpc.StatusCode.INTERNAL,
    "closed": grpc.StatusCode.UNAVAILABLE,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}
TAKEN = frozenset({"/key", "/series"})
"""Where a conflict says that there is one already."""
_SHOWN = {"body_base64": "body"}


def status_code(found: Problem) -> grpc.StatusCode:
    """The status of a problem."""
    code = code_of(found)
    if code == "conflict" and any(error.pointer in TAKEN for error in found.errors):
        return grpc.StatusCode.ALREADY_EXISTS
    return STATUSES[code]


def status_of(
    found: Problem, *, inside: str = "", fields: Collection[str] = (), retry_after_s: int = 0
) -> Status:
    """A problem with its details. Where the names in `fields` stand inside a field of the call,
    `inside` is its name; `retry_after_s` 0: the usual, where trying again helps."""
    status = Status(code=status_code(found).value[0], message=found.detail or found.title)
    details: list[Message] = [ErrorInfo(reason=code_of(found).upper(), domain=DOMAIN)]
    if found.errors:
        violations = [_violation(error, inside, fields) for error in found.errors]
        details.append(BadRequest(field_violations=violations))
    if retry_headers(found):
        info = RetryInfo()
        info.retry_delay.seconds = retry_after_s or RETRY_AFTER_S
        details.append(info)
    if code_of(found) == "overloaded":
        violation = QuotaFailure.Violation(subject="max_backlog", description=found.detail)
        details.append(QuotaFailure(violations=[violation]))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _violation(
    error: FieldError, inside: str, fields: Collection[str]
) -> BadRequest.FieldViolation:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in error.pointer.split("/")[1:]]
    parts = [_SHOWN.get(part, part) for part in parts]
    if inside and parts and parts[0] in fields:
        parts.insert(0, inside)
    text = f"{error.message}; {error.remedy}" if error.remedy else error.message
    return BadRequest.FieldViolation(field=".".join(parts), description=text)
