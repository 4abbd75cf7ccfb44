"""Which answer is what outcome, and when to try again (semantics 5).

Rules of residence: pure; randomness comes in as `u`, a number drawn from [0, 1). Whether attempts
or time are used up is the task's to say; here one answer and one back-off are judged alone.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, assert_never

from msgspec import Struct

from taskmaster.events.types import DAY, MILLISECOND, SECOND, Delivered, Fault, Outcome, Retry, Wall

RETRY_AFTER_MAX_NS = DAY
"""An endpoint cannot ask for a longer stay than this (semantics 4.6)."""
HTTP_DATE_MAX_CHARS = 64
"""The longest of the three forms of an HTTP date has 33; what is longer is not read."""
BACKOFF_FLOOR_NS = 100 * MILLISECOND
"""Full jitter alone would send some retries at once, into the trouble that failed them."""
DOUBLINGS_MAX = 63
"""A nanosecond doubled so often is 292 years; more doublings would only make the integer grow."""

Trouble = Literal[
    "dns", "refused", "tls", "connect_timeout", "timeout", "reset", "certificate", "egress"
]


class Responded(Struct, frozen=True):
    """The endpoint answered. `retry_after` is the header as it came; `body` at most 16 KiB."""

    status: int
    duration_ns: int
    retry_after: str | None = None
    body: bytes = b""
    truncated: bool = False


class Unanswered(Struct, frozen=True):
    """No answer came; `error` is one line without URL query or secrets."""

    outcome: Trouble
    duration_ns: int
    error: str = ""


Answer = Responded | Unanswered
Again = Literal["retry", "throttled", "final"]


class Verdict(Struct, frozen=True):
    """What an answer means. `outcome` is None for a success.

    `again` is what the answer alone allows: a retry that uses up an attempt, one that does not
    because the whole gate slows, or none. `retry_after_ns` is set only when throttled, and None
    there if the endpoint gave no moment to come: the caller takes the back-off.
    """

    outcome: Outcome | None
    fault: Fault
    delivered: Delivered
    again: Again
    retry_after_ns: int | None = None


SUCCESS = Verdict(None, "none", "yes", "final")


def classify(answer: Answer, retry_on: tuple[int, ...], now: Wall) -> Verdict:
    """What an answer means for its task and its gate.

    `retry_on` widens only the 4xx that are final otherwise; such an answer stays the task's
    fault, for it shows an endpoint that is alive.

    Source: the table of semantics 5; 4.2 and 4.6 for the gate.
    """
    match answer:
        case Responded(status=status, retry_after=retry_after):
            return _classify_status(status, retry_after, retry_on, now)
        case Unanswered(outcome=trouble):
            return _classify_trouble(trouble)
        case _:
            assert_never(answer)


def _classify_status(
    status: int, retry_after: str | None, retry_on: tuple[int, ...], now: Wall
) -> Verdict:
    """A status outside 100 to 599, or a 1xx that was the last word, is read as a 5xx.

    Source: RFC 9110, section 15.
    """
    asked_ns = None if retry_after is None else parse_retry_after(retry_after, now)
    if 200 <= status < 300:
        return SUCCESS
    if status == 429 or (status == 503 and asked_ns is not None):
        # 0, which a date from a clock that is behind gives too, would be asked again at once
        return Verdict("throttled", "none", "yes", "throttled", asked_ns or None)
    if status in {408, 425}:
        return Verdict("retryable", "none", "yes", "retry")
    if 300 <= status < 400:
        return Verdict("redirect", "task", "yes", "final")
    if 400 <= status < 500:
        return Verdict("client_error", "task", "yes", "retry" if status in retry_on else "final")
    return Verdict("server_error", "endpoint", "yes", "retry")


def _classify_trouble(trouble: Trouble) -> Verdict:
    match trouble:
        case "dns" | "refused" | "tls" | "connect_timeout":
            return Verdict(trouble, "endpoint", "no", "retry")
        case "timeout" | "reset":
            return Verdict(trouble, "endpoint", "unknown", "retry")
        case "certificate" | "egress":
            return Verdict(trouble, "none", "no", "final")
        case _:
            assert_never(trouble)


def parse_retry_after(header: str, now: Wall) -> int | None:
    """How long an endpoint asks us to stay away, in nanoseconds, at most 24 h.

    Takes delay-seconds or an HTTP date in any of its three forms; a date that has passed gives 0,
    one without a zone is read in UTC. None if it is neither: the caller takes the back-off.

    Source: RFC 9110, sections 5.6.7 and 10.2.3; semantics 4.6.
    """
    asked = header.strip(" \t")
    if not asked.isascii():
        return None
    if asked.isdigit():
        significant = asked.lstrip("0")
        if len(significant) > len(str(RETRY_AFTER_MAX_NS // SECOND)):
            return RETRY_AFTER_MAX_NS
        return min(int(significant or "0") * SECOND, RETRY_AFTER_MAX_NS)
    at = _http_date(asked)
    return None if at is None else min(max(0, at - now), RETRY_AFTER_MAX_NS)


def _http_date(text: str) -> Wall | None:
    if len(text) > HTTP_DATE_MAX_CHARS:
        return None
    try:
        read = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = read.replace(tzinfo=UTC) if read.tzinfo is None else read
    elapsed = at - datetime(1970, 1, 1, tzinfo=UTC)
    return Wall((elapsed.days * 86_400 + elapsed.seconds) * SECOND)


def backoff_ns(retry: Retry, failures: int, u: float) -> int:
    """How long to wait after the attempt that was the `failures`-th to fail, from 1 on.

    Full jitter spreads it evenly between a floor (100 ms, or the bound where that is lower) and
    the bound, `min(max_backoff, min_backoff * 2**(failures - 1))`; without jitter it is the bound.

    Source: semantics 5; "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    assert failures >= 1, "a back-off before the first failure"
    assert 0 <= u < 1, "u is drawn from [0, 1)"
    doubled_ns = retry.min_backoff_ns << min(failures - 1, DOUBLINGS_MAX)
    bound_ns = min(retry.max_backoff_ns, doubled_ns)
    match retry.jitter:
        case "full":
            floor_ns = min(BACKOFF_FLOOR_NS, bound_ns)
            return floor_ns + int(u * (bound_ns - floor_ns))
        case "none":
            return bound_ns
        case _:
            assert_never(retry.jitter)
