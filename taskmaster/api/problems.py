"""What a call is answered with when the answer is no: RFC 9457, one document for every error.

Rules of residence: the codes with their status and explanation, and the translation of what the
program says no with (`Rejected`, `Refused`, `TaskMasterError`) into one `Problem`. The page
`/docs/problems` is made from `CODES`.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct
from starlette.responses import Response

from taskmaster.actors.journal import Refused
from taskmaster.errors import (
    ConflictError,
    InvalidFieldError,
    NotFoundError,
    RejectedError,
    StoreUnavailableError,
    TaskMasterError,
    TooLargeError,
    UnavailableError,
)
from taskmaster.events.types import SECOND
from taskmaster.model.rejected import Rejected

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

T = TypeVar("T")


class Explained(Struct, frozen=True):
    """A code's status, its title, and what the docs say about it."""

    status: int
    title: str
    about: str


CODES: dict[str, Explained] = {
    "unreadable": Explained(
        400, "The request cannot be read", "The body is no JSON, or a parameter cannot be read."
    ),
    "stale_page_token": Explained(
        400,
        "The page token cannot be used",
        "It was changed, belongs to another list or filter, or to an earlier life of the server."
        " Begin again without page_token.",
    ),
    "unauthenticated": Explained(
        401,
        "An API key is needed",
        "Send Authorization: Bearer tm_... with a key made by `taskmaster key create`.",
    ),
    "foreign_origin": Explained(
        403,
        "The page is of another site",
        "Without API keys no page of another site may call the server through a browser.",
    ),
    "not_found": Explained(404, "There is no such thing", "Nothing of that name or id exists."),
    "method_not_allowed": Explained(
        405, "The method is not for this path", "The header Allow names those that are."
    ),
    "conflict": Explained(
        409,
        "What is stored does not allow it",
        "A key is used with other content, or the state does not allow the command.",
    ),
    "precondition_failed": Explained(
        412, "It has changed", "If-Match names another version than the present one. Read it again."
    ),
    "too_large": Explained(
        413,
        "It is too large",
        "A task's body takes at most 1 MiB, a single request 2 MiB, a batch 32 MiB and 10,000"
        " tasks. Nothing is cut off silently.",
    ),
    "unsupported_media_type": Explained(
        415,
        "The content type is not read",
        "Send application/json; a batch may also be application/x-ndjson.",
    ),
    "foreign_host": Explained(
        421,
        "The host is not served",
        "Without API keys the server answers only to names of this machine, so that no page of"
        " another site can reach it through a browser.",
    ),
    "invalid_field": Explained(
        422,
        "A field cannot be accepted",
        "It is unknown, of the wrong type or out of range. Nothing was stored.",
    ),
    "overloaded": Explained(
        429, "Too much waits at the gate", "The gate's max_backlog is reached. Try again later."
    ),
    "headers_too_large": Explained(
        431, "The header block is too large", "At most 32 KiB of headers are taken."
    ),
    "bug": Explained(
        500,
        "The server met a bug",
        "The server's log has the details under the request_id. Report it.",
    ),
    "closed": Explained(503, "The gate is closed", "It takes no submissions until it is resumed."),
    "unavailable": Explained(
        503,
        "The server cannot do it now",
        "The store is away, a gate does not answer, or the server stops. Nothing was stored unless"
        " the detail says so. Try again after Retry-After.",
    ),
}


class FieldError(Struct, frozen=True, omit_defaults=True):
    """One field that cannot be accepted: where it is (RFC 6901), what is wrong, the remedy."""

    pointer: str
    message: str
    remedy: str = ""


class Problem(Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457). `type` leads to its explanation."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    request_id: str = ""


class ProblemError(Exception):
    """Ends a call with a problem; raised and caught in `api` only."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        """Keep the document, and headers such as Retry-After."""
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = dict(headers or {})


def problem(
    code: str, detail: str, *, pointer: str | None = None, remedy: str = "", status: int = 0
) -> Problem:
    """A problem of that code; with `pointer` it names a field and the remedy."""
    about = CODES[code]
    errors = () if pointer is None else (FieldError(pointer, detail, remedy),)
    text = detail if pointer is not None or not remedy else f"{detail}; {remedy}"
    return Problem(f"/docs/problems#{code}", about.title, status or about.status, text, errors)


def code_of(found: Problem) -> str:
    """The code of a problem, the key of `CODES`."""
    return found.type.partition("#")[2]


def stop(
    code: str,
    detail: str,
    *,
    pointer: str | None = None,
    remedy: str = "",
    headers: Mapping[str, str] | None = None,
) -> ProblemError:
    """The same, to be raised."""
    return ProblemError(problem(code, detail, pointer=pointer, remedy=remedy), headers)


def of_rejected(rejected: Rejected, *, in_body: bool = False) -> Problem:
    """A decision's no. `in_body`: a gate that is named in the body and does not exist is a field
    that cannot be accepted, not a path that leads nowhere."""
    code = rejected.code
    if in_body and code == "not_found":
        code = "invalid_field"
    pointer = pointer_of(rejected.field) if rejected.field else None
    return problem(code, rejected.message, pointer=pointer, remedy=rejected.remedy)


def retry_headers(found: Problem, after_ns: int = RETRY_AFTER_S * SECOND) -> dict[str, str]:
    """Retry-After, where trying again helps."""
    if found.status not in (429, 503):
        return {}
    return {"Retry-After": str(max(1, -(-after_ns // SECOND)))}


def of_refused(refused: Refused) -> Problem:
    """The store's no: nothing was stored."""
    return problem("unavailable", f"the store takes nothing now: {refused.error}")


def raise_if_no(answer: object, *, in_body: bool = False) -> None:
    """Raise what a command was refused with; anything else is an answer."""
    if isinstance(answer, Rejected):
        found = of_rejected(answer, in_body=in_body)
        raise ProblemError(found, retry_headers(found))
    if isinstance(answer, Refused):
        found = of_refused(answer)
        raise ProblemError(found, retry_headers(found, answer.retry_after_ns))


def accepted(answer: T | Rejected) -> T:
    """What is not a no.

    Raises:
        ProblemError: it is one.
    """
    if isinstance(answer, Rejected):
        raise_if_no(answer)
        raise AssertionError("a rejection is raised")
    return answer


def of_error(error: TaskMasterError) -> ProblemError:
    """An error of the tree, at the edge (`errors.py`)."""
    match error:
        case InvalidFieldError():
            code = "invalid_field"
        case NotFoundError():
            code = "not_found"
        case ConflictError():
            code = "conflict"
        case TooLargeError():
            code = "too_large"
        case RejectedError():
            code = "invalid_field"
        case StoreUnavailableError() | UnavailableError():
            code = "unavailable"
        case _:
            code = "bug"
    pointer = pointer_of(error.field) if error.field else None
    found = problem(code, error.message, pointer=pointer, remedy=error.remedy)
    after_ns = error.retry_after_ns if isinstance(error, UnavailableError) else SECOND
    return ProblemError(found, retry_headers(found, after_ns))


_FREE = re.compile(r"(labels|headers)\.(.+)", re.DOTALL)
_PART = re.compile(r"[^.\[\]]+")


def pointer_of(field: str) -> str:
    """`limits.rates[0].rate` as a JSON pointer. Names of labels and headers may hold dots."""
    free = _FREE.fullmatch(field)
    parts: list[str] = list(free.groups()) if free else _PART.findall(field)
    return "".join("/" + escape(part) for part in parts)


def escape(part: str) -> str:
    """One part of a JSON pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


class ProblemResponse(Response):
    """A problem as an answer."""

    media_type = MEDIA_TYPE

    def __init__(self, found: Problem, headers: Mapping[str, str] | None = None) -> None:
        """Its status is the problem's."""
        super().__init__(msgspec.json.encode(found), found.status, dict(headers or {}))
