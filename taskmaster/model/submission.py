"""What a submission must be to become a task (semantics 2.6, 5, 9).

Rules of residence: pure; every range of a task's fields is checked here, once, for every edge.
The URL's own safety is the egress guard's, the header names' the delivery's.
"""

import hashlib
import re

import msgspec
from msgspec import Struct

from taskmaster.events.types import (
    DAY,
    HOUR,
    SECOND,
    Cause,
    GateName,
    Request,
    Retry,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.rejected import Rejected, invalid

MAX_BODY_BYTES = 1024 * 1024
MAX_KEY_CHARS = 255
MAX_LABELS = 64
MAX_LABEL_CHARS = 256
MAX_URL_CHARS = 8 * 1024
MAX_TIMEOUT_NS = HOUR
MAX_ATTEMPTS = 1_000
HORIZON_NS = 10 * 366 * DAY
LATEST = Wall(2**63 - 1)
"""In April 2262: an instant is 64 bits wide in the log and the index."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LABEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")


class SubmitTask(Struct, frozen=True):
    """A wish for a task, units converted, gate resolved. `due_at` None with `delay_ns` 0 is now."""

    gate: GateName
    request: Request
    due_at: Wall | None = None
    delay_ns: int = 0
    retry: Retry = Retry()
    timeout_ns: int = 30 * SECOND
    expires_at: Wall | None = None
    idempotent: bool = True
    priority: int = 0
    fair_key: str = ""
    order_key: str = ""
    key: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    traceparent: str = ""


def decide_submission(command: SubmitTask, cause: Cause, now: Wall) -> TaskSubmitted | Rejected:
    """The fact of an acceptable submission; else the first field that is not."""
    wrong = _refuse_times(command, now) or _refuse_request(command) or _refuse_rules(command)
    if wrong is not None:
        return wrong
    due_at = command.due_at if command.due_at is not None else Wall(now + command.delay_ns)
    return TaskSubmitted(
        at=now,
        cause=cause,
        gate=command.gate,
        request=command.request,
        due_at=due_at,
        retry=command.retry,
        timeout_ns=command.timeout_ns,
        expires_at=command.expires_at,
        idempotent=command.idempotent,
        priority=command.priority,
        fair_key=command.fair_key,
        order_key=command.order_key,
        key=command.key,
        fingerprint=fingerprint(command) if command.key else "",
        labels=command.labels,
        traceparent=command.traceparent,
    )


def fingerprint(command: SubmitTask) -> str:
    """SHA-256 over the normalised command: what must be the same when a key is used again."""
    kept = msgspec.structs.replace(command, traceparent="")
    return hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()


def _refuse_times(command: SubmitTask, now: Wall) -> Rejected | None:
    if command.due_at is not None and command.delay_ns:
        return invalid("delay", "both due_at and delay are given", "give one of them")
    if not 0 <= command.delay_ns <= HORIZON_NS:
        return invalid("delay", "delay must be 0 to 10 years", 'give a duration, such as "15m"')
    due_at = command.due_at if command.due_at is not None else now + command.delay_ns
    wrong = refuse_due(Wall(due_at), now)
    if wrong is not None:
        return wrong
    expires_at = command.expires_at
    if expires_at is not None and expires_at <= max(now, due_at):
        return invalid(
            "expires_at", "expires_at is not after now and due_at", "give a later time, or none"
        )
    if expires_at is not None and expires_at > LATEST:
        return invalid("expires_at", "expires_at lies after April 2262", "give none for no end")
    if not SECOND // 100 <= command.timeout_ns <= MAX_TIMEOUT_NS:
        return invalid("timeout", "timeout must be 10 ms to 1 h", 'give a duration, such as "30s"')
    return None


def refuse_due(due_at: Wall, now: Wall, field: str = "due_at") -> Rejected | None:
    """Whether a task may be due then."""
    if 0 <= due_at <= now + HORIZON_NS:
        return None
    message = f"{field} lies before 1970 or more than 10 years ahead"
    return invalid(field, message, "give a time within the next 10 years")


def _refuse_request(command: SubmitTask) -> Rejected | None:
    request = command.request
    if len(request.body) > MAX_BODY_BYTES:
        return Rejected(
            "too_large",
            "body",
            f"body is {len(request.body)} bytes, at most {MAX_BODY_BYTES} are taken",
            "send a reference to the data instead of the data",
        )
    if len(request.url) > MAX_URL_CHARS:
        return Rejected(
            "too_large", "url", f"url is longer than {MAX_URL_CHARS} characters", "shorten it"
        )
    if request.method not in METHODS:
        return invalid(
            "method",
            f"{request.method[:20]!a} is no method that is sent",
            f"use one of {', '.join(sorted(METHODS))}",
        )
    return None


def _refuse_rules(command: SubmitTask) -> Rejected | None:
    if not 0 <= command.priority <= 9:
        return invalid(
            "priority", f"priority must be 0 to 9 (it is {command.priority})", "9 goes first"
        )
    for field, text in (
        ("key", command.key),
        ("fair_key", command.fair_key),
        ("order_key", command.order_key),
    ):
        if text and (len(text) > MAX_KEY_CHARS or not text.isprintable()):
            return invalid(
                field,
                f"{field} is longer than {MAX_KEY_CHARS} or not printable",
                f"use up to {MAX_KEY_CHARS} printable characters",
            )
    if command.labels:
        wrong = _refuse_labels(command.labels)
        if wrong is not None:
            return wrong
    return _refuse_retry(command.retry)


def _refuse_labels(labels: tuple[tuple[str, str], ...]) -> Rejected | None:
    if len(labels) > MAX_LABELS:
        return invalid("labels", f"more than {MAX_LABELS} labels", "keep those you search by")
    for name, text in labels:
        if not LABEL_NAME.fullmatch(name):
            return invalid(
                "labels",
                f"{name[:40]!a} is no label name",
                "use 1 to 63 letters, digits, dots, slashes, dashes and underscores",
            )
        if len(text) > MAX_LABEL_CHARS or not text.isprintable():
            return invalid(
                f"labels.{name}",
                f"the value is longer than {MAX_LABEL_CHARS} or not printable",
                f"use up to {MAX_LABEL_CHARS} printable characters",
            )
    return None


DEFAULT_RETRY = Retry()


def _refuse_retry(retry: Retry) -> Rejected | None:
    if retry is DEFAULT_RETRY:
        return None
    checks: tuple[tuple[bool, str, str], ...] = (
        (1 <= retry.max_attempts <= MAX_ATTEMPTS, "max_attempts", f"give 1 to {MAX_ATTEMPTS}"),
        (
            SECOND // 1_000 <= retry.min_backoff_ns <= retry.max_backoff_ns,
            "min_backoff",
            "give 1ms up to max_backoff",
        ),
        (retry.max_backoff_ns <= 30 * DAY, "max_backoff", "give at most 30 days"),
        (SECOND <= retry.max_elapsed_ns <= 366 * DAY, "max_elapsed", "give 1s to 366 days"),
        (
            len(retry.retry_on) <= 100 and all(400 <= code <= 499 for code in retry.retry_on),
            "retry_on",
            "give statuses from 400 to 499",
        ),
    )
    for holds, field, remedy in checks:
        if not holds:
            return invalid(f"retry.{field}", f"{field} is out of range", remedy)
    return None
