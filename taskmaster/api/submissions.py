"""From a submission's JSON to the model's wish: units converted, gate resolved, URL judged.

Rules of residence: the hot path of every batch, so no regex and no dict is made for what is left
out. Ranges are checked by the model, where a URL may lead by the egress guard; what is looked at
here is only what cannot be written in the model's types.
"""

import binascii
from base64 import b64decode

from taskmaster.api.bodies import MAX_REASON_CHARS, RequestIn, RetryIn, TaskIn
from taskmaster.delivery.egress import Egress, Target, default_gate
from taskmaster.delivery.headers import refuse_headers
from taskmaster.delivery.refusal import Refusal
from taskmaster.events.types import SECOND, GateName, Request, Retry, Wall
from taskmaster.model.control import refuse_name
from taskmaster.model.rejected import Rejected, invalid
from taskmaster.model.submission import DEFAULT_RETRY, MAX_BODY_BYTES, SubmitTask
from taskmaster.units import parse_duration, parse_instant

TIMEOUT_NS = 30 * SECOND
NO_BODY = b""
MAX_NAME_CHARS = 255


def submission(
    task: TaskIn, egress: Egress, *, header_key: str = "", traceparent: str = ""
) -> SubmitTask | Rejected:
    """The wish that a body states; `header_key` is that of the header Idempotency-Key."""
    target = egress.check_url(task.url)
    if not isinstance(target, Target):
        return of_refusal(target)
    gate = _gate(task, target)
    if isinstance(gate, Rejected):
        return gate
    request = _request(task)
    if isinstance(request, Rejected):
        return request
    due_at = expires_at = None
    delay_ns, timeout_ns, retry = 0, TIMEOUT_NS, DEFAULT_RETRY
    if task.due_at is not None:
        if task.delay is not None:
            return invalid("delay", "both due_at and delay are given", "give one of them")
        due_at = instant("due_at", task.due_at)
        if isinstance(due_at, Rejected):
            return due_at
    elif task.delay is not None:
        delay_ns = duration("delay", task.delay)
        if isinstance(delay_ns, Rejected):
            return delay_ns
    if task.timeout is not None:
        timeout_ns = duration("timeout", task.timeout)
        if isinstance(timeout_ns, Rejected):
            return timeout_ns
    if task.expires_at is not None:
        expires_at = instant("expires_at", task.expires_at)
        if isinstance(expires_at, Rejected):
            return expires_at
    if task.retry is not None:
        retry = retry_of(task.retry)
        if isinstance(retry, Rejected):
            return retry
    key = task.key or header_key
    if header_key and key != header_key:
        return invalid("key", "key and the header Idempotency-Key differ", "give one of them")
    return SubmitTask(
        gate,
        request,
        due_at,
        delay_ns,
        retry,
        timeout_ns,
        expires_at,
        task.idempotent,
        task.priority,
        task.fair_key or "",
        task.order_key or "",
        key,
        tuple(task.labels.items()) if task.labels else (),
        traceparent,
    )


def of_refusal(refusal: Refusal) -> Rejected:
    """Delivery's no as a decision's."""
    return invalid(refusal.field, refusal.message, refusal.remedy)


def _gate(task: RequestIn, target: Target) -> GateName | Rejected:
    """The gate that is named, or that of the URL's origin."""
    if task.gate is None:
        name = default_gate(target)
        if len(name) > MAX_NAME_CHARS:
            return invalid("gate", "the URL's host is too long to name a gate", "name a gate")
        return name
    return refuse_name(task.gate) or GateName(task.gate)


def _request(task: RequestIn) -> Request | Rejected:
    """The request as it will be sent, its bytes frozen."""
    content = NO_BODY
    if task.body is not None or task.body_base64 is not None:
        read = content_of(task.body, task.body_base64)
        if isinstance(read, Rejected):
            return read
        content = read
    headers: tuple[tuple[str, str], ...] = ()
    if task.headers:
        headers = tuple(task.headers.items())
        refusal = refuse_headers(headers)
        if refusal is not None:
            return of_refusal(refusal)
    return Request(task.url, task.method, headers, content)


def content_of(text: str | None, base64: str | None) -> bytes | Rejected:
    """A body's bytes, of which one of two forms is given."""
    if text is not None and base64 is not None:
        return invalid("body_base64", "both body and body_base64 are given", "give one of them")
    return _from_base64(base64) if base64 is not None else (text or "").encode()


def _from_base64(text: str) -> bytes | Rejected:
    if len(text) > (MAX_BODY_BYTES + 2) * 4 // 3 + 4:
        return Rejected(
            "too_large",
            "body_base64",
            f"the body is larger than {MAX_BODY_BYTES} bytes",
            "send a reference to the data instead of the data",
        )
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters outside ASCII
        return invalid(
            "body_base64",
            "body_base64 is no base64",
            "use the alphabet with + and /, padded with =, without line breaks",
        )


def request_of(task: RequestIn, egress: Egress) -> tuple[GateName, Request] | Rejected:
    """A series' request and gate, by the same rules."""
    target = egress.check_url(task.url)
    if not isinstance(target, Target):
        return of_refusal(target)
    gate = _gate(task, target)
    if isinstance(gate, Rejected):
        return gate
    request = _request(task)
    return request if isinstance(request, Rejected) else (gate, request)


# --- units ------------------------------------------------------------------------------------


def duration(field: str, written: float | str) -> int | Rejected:
    """A duration in nanoseconds."""
    read = parse_duration(written)
    if read is None:
        return invalid(
            field,
            f"{field} cannot be read as a duration (it is {str(written)[:40]!a})",
            'give a number of seconds, or a duration such as "15m"',
        )
    return read


def instant(field: str, written: str) -> Wall | Rejected:
    """An instant in nanoseconds."""
    read = parse_instant(written)
    if read is None:
        return invalid(
            field,
            f"{field} cannot be read as an instant between 1970 and 2262 (it is {written[:40]!a})",
            'give one with its offset, such as "2026-11-24T09:00:00Z"',
        )
    return Wall(read)


def retry_of(retry: RetryIn) -> Retry | Rejected:
    """The rules of trying again; what is left out has its default."""
    found: dict[str, int] = {}
    for name, written in (
        ("min_backoff", retry.min_backoff),
        ("max_backoff", retry.max_backoff),
        ("max_elapsed", retry.max_elapsed),
    ):
        if written is not None:
            read = duration(f"retry.{name}", written)
            if isinstance(read, Rejected):
                return read
            found[name] = read
    default = DEFAULT_RETRY
    max_backoff_ns = found.get("max_backoff", default.max_backoff_ns)
    return Retry(
        max_attempts=retry.max_attempts,
        # someone who caps the back-off below its default start means both
        min_backoff_ns=found.get("min_backoff", min(default.min_backoff_ns, max_backoff_ns)),
        max_backoff_ns=max_backoff_ns,
        max_elapsed_ns=found.get("max_elapsed", default.max_elapsed_ns),
        jitter=retry.jitter,
        retry_on=retry.retry_on,
    )


def refuse_reason(reason: str) -> Rejected | None:
    """A reason is kept for ever and shown in one line."""
    if len(reason) <= MAX_REASON_CHARS and (not reason or reason.isprintable()):
        return None
    return invalid(
        "reason",
        f"reason is longer than {MAX_REASON_CHARS} or not printable",
        f"use up to {MAX_REASON_CHARS} printable characters in one line",
    )
