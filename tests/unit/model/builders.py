"""Gates, tasks and their facts with defaults, for tests to show only what matters to them."""

from msgspec.structs import replace

from taskmaster.events.types import (
    SECOND,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    Cause,
    Fault,
    GateName,
    GateSettings,
    Limits,
    Mono,
    Next,
    Rate,
    RecoverySettings,
    Request,
    Retry,
    TaskId,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.gate import Gate, Mode, Open, fresh_tats, paces
from taskmaster.model.outcomes import Bucket
from taskmaster.model.recovery import Seen
from taskmaster.model.submission import SubmitTask
from taskmaster.model.task import Moment, Task, fold

NAME = GateName("gate")
TASK = TaskId("01890a5d-ac96-774b-bcce-b302099a8057")
NOW = Wall(1_000_000_000 * SECOND)
MONO = Mono(NOW)  # pacing time is anchored to the wall clock
CAUSE = Cause("test", "someone", "to see")


def mono(seconds: float) -> Mono:
    """Pacing time so long after `MONO`."""
    return Mono(MONO + round(seconds * SECOND))


def wall(seconds: float) -> Wall:
    """Shard time so long after `NOW`."""
    return Wall(NOW + round(seconds * SECOND))


# --- gates ------------------------------------------------------------------------------------


def settings(
    *rates: Rate,
    concurrency: int = 10,
    recovery: RecoverySettings | None = None,
) -> GateSettings:
    """Ten slots and no rate, but for what is given."""
    limits = Limits(concurrency=concurrency, rates=rates)
    return GateSettings(limits=limits, recovery=recovery or RecoverySettings())


def open_gate(
    *rates: Rate,
    concurrency: int = 10,
    recovery: RecoverySettings | None = None,
    mode: Mode | None = None,
    in_flight: int = 0,
) -> Gate:
    """A running gate with full buckets."""
    gate = Gate(
        name=NAME,
        settings=settings(*rates, concurrency=concurrency, recovery=recovery),
        mode=mode or Open(),
        in_flight=in_flight,
    )
    return replace(gate, tats=fresh_tats(paces(gate), MONO))


def with_outcomes(gate: Gate, *, ended: int, failed: int, in_row: int = 0, ago_s: int = 0) -> Gate:
    """The gate once these attempts ended in one second."""
    bucket = Bucket(NOW // SECOND - ago_s, ended, failed)
    buckets = (*gate.buckets, bucket)
    return replace(gate, buckets=buckets, failed=gate.failed + failed, failures_in_row=in_row)


def seen(*, backlog: bool = True, error: str = "", u: float = 0.0) -> Seen:
    """Work waits, and nothing is spread."""
    return Seen(backlog, error, u)


# --- tasks ------------------------------------------------------------------------------------


def submitted(
    *,
    at: Wall = NOW,
    due_at: Wall | None = None,
    retry: Retry | None = None,
    method: str = "POST",
    idempotent: bool = True,
    expires_at: Wall | None = None,
    priority: int = 0,
    gate: GateName = NAME,
) -> TaskSubmitted:
    """A task due at once that may be sent again."""
    return TaskSubmitted(
        at=at,
        gate=gate,
        request=Request("http://127.0.0.1/hook", method=method),
        due_at=at if due_at is None else due_at,
        retry=retry or Retry(),
        idempotent=idempotent,
        expires_at=expires_at,
        priority=priority,
    )


def waiting_task(
    *,
    due_at: Wall | None = None,
    retry: Retry | None = None,
    method: str = "POST",
    idempotent: bool = True,
    expires_at: Wall | None = None,
    priority: int = 0,
    fair_key: str = "",
    task_id: TaskId = TASK,
) -> Task:
    """A task that was never started."""
    first = submitted(
        due_at=due_at,
        retry=retry,
        method=method,
        idempotent=idempotent,
        expires_at=expires_at,
        priority=priority,
    )
    return fold(task_id, (replace(first, fair_key=fair_key),))


def started(
    attempt: int = 1, *, at: Wall = NOW, stopped_ns: int = 0, probe: bool = False
) -> AttemptStarted:
    """A start at once."""
    return AttemptStarted(
        at=at,
        gate=NAME,
        attempt=attempt,
        slot_at=Mono(at),
        stopped_ns=stopped_ns,
        probe=probe,
    )


def voided(attempt: int = 1, *, at: Wall = NOW) -> AttemptVoided:
    """A start that was not sent."""
    return AttemptVoided(at=at, gate=NAME, attempt=attempt)


def succeeded(attempt: int = 1, *, at: Wall = NOW) -> AttemptSucceeded:
    """A 200."""
    return AttemptSucceeded(at=at, gate=NAME, attempt=attempt, status=200, duration_ns=1)


def failed(
    fault: Fault = "endpoint",
    *,
    attempt: int = 1,
    at: Wall = NOW,
    follows: Next = "retry",
    used: bool = True,
    throttle_until: Mono | None = None,
) -> AttemptFailed:
    """A failure that is tried again at once."""
    return AttemptFailed(
        at=at,
        gate=NAME,
        attempt=attempt,
        outcome="server_error",
        fault=fault,
        delivered="yes",
        next=follows,
        used=used,
        retry_at=at if follows == "retry" else None,
        throttle_until=throttle_until,
    )


def moment(at: Wall = NOW, *, stopped_ns: int = 0, u: float = 0.5, u_gate: float = 0.5) -> Moment:
    """An end by both clocks."""
    return Moment(wall=at, mono=Mono(at), stopped_ns=stopped_ns, u=u, u_gate=u_gate)


# --- submissions ------------------------------------------------------------------------------


def submission(
    *,
    request: Request | None = None,
    due_at: Wall | None = None,
    delay_ns: int = 0,
    retry: Retry | None = None,
    timeout_ns: int = 30 * SECOND,
    expires_at: Wall | None = None,
    key: str = "",
    labels: tuple[tuple[str, str], ...] = (),
    traceparent: str = "",
) -> SubmitTask:
    """A wish for a task now."""
    return SubmitTask(
        gate=NAME,
        request=request or Request("http://127.0.0.1/hook"),
        due_at=due_at,
        delay_ns=delay_ns,
        retry=retry or Retry(),
        timeout_ns=timeout_ns,
        expires_at=expires_at,
        key=key,
        labels=labels,
        traceparent=traceparent,
    )
