"""The headers of an attempt, and which headers a task may bring.

Rules of residence: pure; time comes in. Signing keys live in `Signer` and are never shown.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, hmac_data

from taskmaster.delivery.refusal import Refusal
from taskmaster.errors import InvalidFieldError
from taskmaster.events.types import SECOND, GateName, TaskId, Wall

MAX_HEADERS_BYTES = 32 * 1024
"""Of a task's own headers, as sent (semantics 9)."""

RESERVED = frozenset(
    {
        # ours, in every request
        "idempotency-key",
        "traceparent",
        "tracestate",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        # the connection's: a second opinion on these is how requests get smuggled
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "expect",
    }
)
RESERVED_PREFIX = "taskmaster-"


def refuse_headers(headers: Iterable[tuple[str, str]]) -> Refusal | None:
    """Say which of a task's headers cannot be sent, and why, or `None`. Shows no value."""
    total = 0
    for name, value in headers:
        refusal = _refuse_name(name)
        if refusal is not None:
            return refusal
        if not _VALUE.fullmatch(value):
            return Refusal(
                f"headers.{name}",
                f"header {name} holds a line break, a control character, a character outside "
                "ASCII, or a blank at an end",
                "encode its value, for instance as base64",
            )
        total += len(name) + len(value) + 4  # ": " and the line's end
    if total > MAX_HEADERS_BYTES:
        return Refusal(
            "headers",
            f"headers take {total} bytes (at most {MAX_HEADERS_BYTES})",
            "put what is long into the body",
        )
    return None


@lru_cache(maxsize=1024)
def _refuse_name(name: str) -> Refusal | None:
    """Names repeat from task to task; judging one anew costs 0.8 us."""
    if not _TOKEN.fullmatch(name):
        return Refusal(
            "headers",
            f"headers holds a name that is none: {name[:40]!a}",
            "use letters, digits and -",
        )
    lower = name.lower()
    if lower in RESERVED or lower.startswith(RESERVED_PREFIX):
        return Refusal(
            f"headers.{name}", f"header {name} is set by TaskMaster itself", "leave it out"
        )
    return None


class Signer(Webhook):
    """A gate's signing key in the form of Standard Webhooks: `whsec_` and base64.

    The library's own `sign` is for text: given bytes it signs their `repr`, which no receiver
    accepts, and a body need not be text.
    """

    def __init__(self, secret: str) -> None:
        """Read the key.

        Raises:
            InvalidFieldError: it is no base64, or empty.
        """
        try:
            super().__init__(secret)
        except (ValueError, EmptyWebhookSecretError):
            raise InvalidFieldError(
                "signing key cannot be read",
                field="signing_key",
                remedy="give whsec_ and 24 to 64 random bytes in base64",
            ) from None  # the cause may show the key

    def signature(self, task_id: TaskId, timestamp_s: int, body: bytes) -> str:
        """One signature of `body`, sent at `timestamp_s`, seconds since 1970."""
        signed = b"%b.%d.%b" % (task_id.encode(), timestamp_s, body)
        return "v1," + b64encode(hmac_data(self._whsecret, signed)).decode()


def attempt_headers(
    headers: tuple[tuple[str, str], ...],
    *,
    task_id: TaskId,
    gate: GateName,
    attempt: int,
    due_at: Wall,
    traceparent: str,
) -> tuple[tuple[str, str], ...]:
    """All headers of one attempt (semantics 2.5) but the signature: the task's own, then ours."""
    return (
        *headers,
        ("Idempotency-Key", task_id),
        ("TaskMaster-Task", task_id),
        ("TaskMaster-Gate", gate),
        ("TaskMaster-Attempt", str(attempt)),
        ("TaskMaster-Due", rfc3339(due_at)),
        ("traceparent", traceparent),
    )


def signature_headers(
    signers: tuple[Signer, ...], *, task_id: TaskId, body: bytes, now: Wall
) -> tuple[tuple[str, str], ...]:
    """The three headers of Standard Webhooks; one signature for each key, while one is replaced."""
    timestamp_s = now // SECOND
    signatures = (signer.signature(task_id, timestamp_s, body) for signer in signers)
    return (
        ("webhook-id", task_id),
        ("webhook-timestamp", str(timestamp_s)),
        ("webhook-signature", " ".join(signatures)),
    )


def attempt_traceparent(task_id: TaskId, attempt: int, submitted: str = "") -> str:
    """The W3C trace context of one attempt, the same whenever it is asked for.

    It goes on with the trace of the submission where that is readable; otherwise the trace is the
    task's own, under its id if that is a UUID. Such a trace is marked as sampled: most receivers
    follow the mark, and without it a call by TaskMaster would be the one they never see.
    """
    given = _TRACEPARENT.fullmatch(submitted) if submitted else None
    if given:
        span = blake2b(f"{task_id}/{attempt}".encode(), digest_size=8).hexdigest()
        return f"00-{given[1]}-{span}-{given[2]}"
    trace = task_id.replace("-", "")
    if not _TRACE_ID.fullmatch(trace):
        trace = blake2b(task_id.encode(), digest_size=16).hexdigest()
    return f"00-{trace}-{attempt & 0xFFFF:04x}{trace[-12:]}-01"


def rfc3339(at: Wall) -> str:
    """An instant in UTC, to the microsecond, rounded down; whole seconds without a fraction."""
    second, rest = divmod(at, SECOND)
    micros = rest // 1000
    return f"{_to_second(second)}.{micros:06d}Z" if micros else f"{_to_second(second)}Z"


@lru_cache(maxsize=1024)
def _to_second(second: int) -> str:
    """Tasks that are due together share their second; formatting one costs 1.5 us."""
    return (_EPOCH + timedelta(seconds=second)).isoformat().removesuffix("+00:00")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_TRACEPARENT = re.compile(
    r"[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
