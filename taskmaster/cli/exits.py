"""Exit codes, and which error ends with which. They are an interface: docs/reference/cli.md.

Rules of residence: pure; no printing.
"""

import msgspec

from taskmaster.errors import (
    ConflictError,
    InvalidFieldError,
    NotFoundError,
    RejectedError,
    TaskMasterError,
    TooLargeError,
)

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
REFUSED = 5
UNREACHABLE = 6
CHECK_FAILED = 7
WAIT_TIMED_OUT = 124
INTERRUPTED = 130

MEANINGS = {
    DONE: "done",
    FAILED: "failed: the server could not, or a task that was waited for did not succeed",
    USAGE: "usage: a command, flag or value that is not accepted, here or by the server",
    NOT_FOUND: "no such task, gate or series",
    CONFLICT: "conflict: a version, a reused key, a state that does not allow it",
    REFUSED: "refused: no API key, or one that may not do this",
    UNREACHABLE: "the server cannot be reached",
    CHECK_FAILED: "a check found something: `doctor`, `config check`, `store check`",
    WAIT_TIMED_OUT: "what was waited for did not happen in time",
    INTERRUPTED: "interrupted",
}


class UsageError(RejectedError):
    """The command line asks for something that cannot be meant."""

    code = "usage"


def exit_code(error: TaskMasterError) -> int:
    """The code that a command ends with after this error."""
    match error:
        case UsageError() | InvalidFieldError() | TooLargeError():
            return USAGE
        case NotFoundError():
            return NOT_FOUND
        case ConflictError():
            return CONFLICT
        case _:
            # The client's own errors go by code: to import them is to import httpx.
            return {"unauthorized": REFUSED, "unreachable": UNREACHABLE}.get(error.code, FAILED)


def document(error: TaskMasterError) -> bytes:
    """A problem document for an error that did not come as one."""
    pointer = "/" + error.field.replace(".", "/") if error.field else ""
    one = {"pointer": pointer, "message": error.message, "remedy": error.remedy}
    return msgspec.json.encode(
        {
            "type": f"/docs/problems#{error.code}",
            "title": error.code.replace("_", " "),
            "detail": error.message,
            "errors": [one],
        }
    )
