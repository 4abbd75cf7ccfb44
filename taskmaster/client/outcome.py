"""What an answer, or its absence, means: a result, an error of the tree, or to try again.

Rules of residence: pure. Which of the errors stands for which answer is decided here, and when a
call is sent again; the clients wait and send.

    TaskMasterError
    ├─ RejectedError ─ UnauthorizedError    no key, or one that may not
    ├─ UnavailableError ─ UnreachableError  no answer: the server may be down or elsewhere
    └─ UnreadableAnswerError                an answer that is not TaskMaster's
"""

import contextlib
from typing import TypeVar

import msgspec
from msgspec import Struct

from taskmaster.client.calls import Answer, Call
from taskmaster.client.shapes import Problem, ProblemError
from taskmaster.errors import (
    SECOND_NS,
    ConflictError,
    GateClosedError,
    InvalidFieldError,
    NotFoundError,
    OverloadedError,
    RejectedError,
    TaskMasterError,
    TooLargeError,
    UnavailableError,
)

T = TypeVar("T")

PATIENCE_S = 10.0
"""Waiting for a server to come back, over all tries of one call."""
TRIES_MAX = 20
FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 2.0
PASSING = frozenset({502, 503, 504})


class UnauthorizedError(RejectedError):
    """The server wants an API key, or this one may not do it."""

    code = "unauthorized"


class UnreachableError(UnavailableError):
    """Nobody answered."""

    code = "unreachable"


class UnreadableAnswerError(TaskMasterError):
    """What answered does not speak like a TaskMaster server."""

    code = "unreadable_answer"


class ProblemAnsweredError(Exception):
    """The problem document behind an error; it is the error's `__cause__`."""

    def __init__(self, problem: Problem, document: bytes) -> None:
        """Keep the problem, and the document as it came."""
        super().__init__(problem.title)
        self.problem = problem
        self.document = document


class Lost(Struct, frozen=True):
    """No answer. `sent`: the request may have arrived."""

    sent: bool
    why: str


class Wait(Struct, frozen=True):
    """Send the call again after so long."""

    seconds: float


class Tries:
    """How often one call has been sent, how long it has waited, and what comes next."""

    def __init__(self, url: str, *, repeatable: bool, patience_s: float) -> None:
        """Before the first try."""
        self._url, self._repeatable, self._patience_s = url, repeatable, patience_s
        self._count, self._waited_s = 0, 0.0

    def after(self, came: Answer | Lost, chance: float) -> Answer | Wait:
        """The answer, if it is a good one, or how long to wait before the next try.

        Waits are full jitter (`chance` of 0 to 1), or what the server asked for. 503 may
        leave open whether a command was carried out, so it is treated as a lost answer; a closed
        gate stays closed, so waiting for it is the caller's affair.

        Raises:
            TaskMasterError: refused, or no patience is left.
        """
        self._count += 1
        if isinstance(came, Answer) and came.status < 300:
            return came
        bound_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (self._count - 1))
        asked_s = _retry_after_s(came) if isinstance(came, Answer) else None
        wait_s = bound_s * chance if asked_s is None else asked_s
        self._waited_s += wait_s
        spent = self._waited_s > self._patience_s or self._count >= TRIES_MAX
        if spent or not _may_repeat(came, repeatable=self._repeatable):
            raise failure(came, self._url)
        return Wait(wait_s)


def read(call: Call[T], answer: Answer) -> T:
    """The result in an answer.

    Raises:
        UnreadableAnswerError: it is not what this route answers.
    """
    try:
        return call.read(answer)
    except msgspec.MsgspecError as error:
        raise UnreadableAnswerError(
            f"cannot read the answer to {call.method} {call.path}: {error}",
            remedy="see whether the URL is that of a TaskMaster server of this version",
        ) from error


def failure(outcome: Answer | Lost, url: str) -> TaskMasterError:
    """The error for an answer above 299 or a lost one; a problem document is its `__cause__`."""
    if isinstance(outcome, Lost):
        return UnreachableError(
            f"no answer from {url}: {outcome.why}",
            remedy="start the server, or set TASKMASTER_URL to where it listens",
        )
    problem = _problem(outcome)
    first = problem.errors[0] if problem.errors else ProblemError()
    message = first.message or problem.detail or problem.title or f"answered {outcome.status}"
    if len(problem.errors) > 1:
        message = f"{message} (and {len(problem.errors) - 1} more)"
    field = first.pointer.strip("/").replace("/", ".")
    error = _error(outcome, _code(problem), message, field, first.remedy)
    error.__cause__ = ProblemAnsweredError(problem, outcome.body)
    return error


def problem_of(error: BaseException) -> bytes | None:
    """The problem document that an error came from, as the server wrote it."""
    cause = error.__cause__
    return cause.document if isinstance(cause, ProblemAnsweredError) else None


def _may_repeat(came: Answer | Lost, *, repeatable: bool) -> bool:
    if isinstance(came, Lost):
        return repeatable or not came.sent
    if _code(_problem(came)) == "closed":
        return False
    return came.status in PASSING and repeatable


def _error(answer: Answer, code: str, message: str, field: str, remedy: str) -> TaskMasterError:
    match answer.status:
        case 401 | 403:
            remedy = remedy or "set TASKMASTER_TOKEN to a key made by 'taskmaster key create'"
            return UnauthorizedError(message, field=field, remedy=remedy)
        case 404:
            return NotFoundError(message, field=field, remedy=remedy)
        case 409 | 412:
            return ConflictError(message, field=field, remedy=remedy)
        case 413:
            return TooLargeError(message, field=field, remedy=remedy)
        case 422:
            return InvalidFieldError(message, field=field, remedy=remedy)
        case 429 | 502 | 503 | 504:
            asked_s = _retry_after_s(answer)
            retry_after_ns = SECOND_NS if asked_s is None else int(asked_s * SECOND_NS)
            kind = _unavailable(answer.status, code)
            return kind(message, field=field, remedy=remedy, retry_after_ns=retry_after_ns)
        case status if status < 500:
            return RejectedError(message, field=field, remedy=remedy)
        case _:
            remedy = remedy or "look into the server's log; it names the request id"
            return TaskMasterError(message, field=field, remedy=remedy)


def _unavailable(status: int, code: str) -> type[UnavailableError]:
    if status == 429 or code == "overloaded":
        return OverloadedError
    return GateClosedError if code == "closed" else UnavailableError


def _problem(answer: Answer) -> Problem:
    """Of an answer that is none, such as a proxy's page, what its status says."""
    problem = Problem()
    with contextlib.suppress(msgspec.MsgspecError):
        problem = msgspec.json.decode(answer.body, type=Problem)
    if problem.title or problem.detail or problem.errors:
        return problem
    return Problem(title=f"answered {answer.status} without a reason", status=answer.status)


def _code(problem: Problem) -> str:
    return problem.type.rpartition("#")[2]


def _retry_after_s(answer: Answer) -> float | None:
    """Delay-seconds only: our server sends no dates, and a proxy's date needs a clock."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
