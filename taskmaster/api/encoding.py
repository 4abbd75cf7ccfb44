"""From the model's values to what calls are answered with.

Rules of residence: pure translation, in one direction. Values of headers that may hold secrets
and bodies are never shown.
"""

import re
from typing import Literal

from taskmaster.api.answers import (
    AdaptiveOut,
    AlertRulesOut,
    CountsOut,
    LimitsOut,
    MaintenanceOut,
    RateOut,
    RecoveryOut,
    RetryOut,
    ScheduleOut,
    TaskListed,
    TaskOut,
)
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.log import TaskRow
from taskmaster.events.types import (
    SECOND,
    Adaptive,
    After,
    AlertRules,
    Cron,
    Every,
    Limits,
    RecoverySettings,
    Retry,
    Schedule,
    TaskId,
    TaskSubmitted,
    Wall,
    Window,
)
from taskmaster.model.recurrence import explain
from taskmaster.model.task import Task, TaskStateName, fold, state_name
from taskmaster.units import format_duration
from taskmaster.views.gates import GateView

MASKED = "***"
SECRET_NAME = re.compile(
    r"auth|token|secret|passw|key|cookie|credential|signature|session", re.IGNORECASE
)
"""A header whose name holds one of these shows no value."""


def shown_headers(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Headers with masked values."""
    return {name: MASKED if SECRET_NAME.search(name) else value for name, value in headers}


def retry_out(retry: Retry) -> RetryOut:
    """The rules of trying again."""
    return RetryOut(
        max_attempts=retry.max_attempts,
        min_backoff=format_duration(retry.min_backoff_ns),
        max_backoff=format_duration(retry.max_backoff_ns),
        max_elapsed=format_duration(retry.max_elapsed_ns),
        jitter=retry.jitter,
        retry_on=retry.retry_on,
    )


def instant_out(at: Wall | None) -> str | None:
    """An instant, or null."""
    return None if at is None else rfc3339(at)


def task_out(task: Task, changed_at: Wall, now: Wall) -> TaskOut:
    """A task by itself, from its fold."""
    submitted = task.submitted
    request, occurrence = submitted.request, task.occurrence
    return TaskOut(
        id=task.id,
        gate=task.gate,
        state=state_name(task, now),
        attempts=task.sends,
        due_at=rfc3339(task.due_at),
        next_at=rfc3339(task.due_at) if task.state == "waiting" else None,
        submitted_at=rfc3339(submitted.at),
        changed_at=rfc3339(changed_at),
        url=request.url,
        method=request.method,
        priority=submitted.priority,
        labels=dict(submitted.labels),
        headers=shown_headers(request.headers),
        body_bytes=len(request.body),
        timeout=format_duration(submitted.timeout_ns),
        retry=retry_out(submitted.retry),
        expires_at=instant_out(submitted.expires_at),
        idempotent=submitted.idempotent,
        key=submitted.key,
        fair_key=submitted.fair_key,
        order_key=submitted.order_key,
        series=occurrence.series if occurrence else None,
        nominal_at=rfc3339(occurrence.nominal_at) if occurrence else None,
        reason=task.reason,
        version=task.version,
        cancel_requested=task.cancel_requested,
    )


def new_task_out(task_id: TaskId, submitted: TaskSubmitted, now: Wall) -> TaskOut:
    """A task that has just been submitted."""
    return task_out(fold(task_id, (submitted,)), submitted.at, now)


def listed(row: TaskRow, submitted: TaskSubmitted, now: Wall) -> TaskListed:
    """A task in a list, from its row and its first event."""
    return TaskListed(
        id=row.task,
        gate=row.gate,
        state=row_state(row, now),
        attempts=row.attempts,
        due_at=rfc3339(row.due_at),
        next_at=rfc3339(row.due_at) if row.state == "waiting" else None,
        submitted_at=rfc3339(row.submitted_at),
        changed_at=rfc3339(row.changed_at),
        url=row.url,
        method=submitted.request.method,
        priority=row.priority,
        labels=dict(submitted.labels),
    )


def row_state(row: TaskRow, now: Wall) -> TaskStateName:
    """A row's state under the names of the API."""
    if row.state == "waiting":
        return "scheduled" if row.due_at > now else "waiting"
    return "uncertain" if row.state == "awaiting" else row.state


# --- gates ------------------------------------------------------------------------------------


def limits_out(limits: Limits) -> LimitsOut:
    """A gate's limits, the short form beside the long one where there is one."""
    rates = tuple(
        RateOut(rate.rate, format_duration(rate.per_ns), rate.burst) for rate in limits.rates
    )
    per_second = [rate for rate in limits.rates if rate.per_ns == SECOND]
    if len(per_second) != 1:
        return LimitsOut(limits.concurrency, rates)
    return LimitsOut(limits.concurrency, rates, per_second[0].rate, per_second[0].burst)


def recovery_out(rules: RecoverySettings) -> RecoveryOut:
    """A gate's rules of recovery."""
    return RecoveryOut(
        trip_failures=rules.trip_failures,
        trip_ratio=rules.trip_ratio,
        trip_min_attempts=rules.trip_min_attempts,
        trip_window=format_duration(rules.trip_window_ns),
        tripped_min=format_duration(rules.tripped_min_ns),
        tripped_max=format_duration(rules.tripped_max_ns),
        ramp_steps=rules.ramp_steps or "off",
        ramp_step=format_duration(rules.ramp_step_ns),
        ramp_after=format_duration(rules.ramp_after_ns),
        fresh_share=rules.fresh_share,
    )


def alerts_out(rules: AlertRules) -> AlertRulesOut:
    """From when on a gate needs a person."""
    return AlertRulesOut(
        oldest_eligible=format_duration(rules.oldest_eligible_ns),
        tripped=format_duration(rules.tripped_ns),
        ramp_failures=rules.ramp_failures,
        dead_letters=rules.dead_letters,
        window=format_duration(rules.window_ns),
        unattended=format_duration(rules.unattended_ns),
    )


def adaptive_out(adaptive: Adaptive | None) -> AdaptiveOut | Literal["off"]:
    """How a gate learns its concurrency."""
    return "off" if adaptive is None else AdaptiveOut(adaptive.min, adaptive.max, adaptive.by)


def counts_out(view: GateView) -> CountsOut:
    """Tasks by state; what waits is split by whether it is due (semantics 2.3)."""
    counts = view.row.counts
    return CountsOut(
        scheduled=view.scheduled,
        waiting=counts.get("waiting", 0) - view.scheduled,
        in_flight=counts.get("in_flight", 0),
        uncertain=counts.get("uncertain", 0) + counts.get("awaiting", 0),
        succeeded=counts.get("succeeded", 0),
        dead=counts.get("dead", 0),
        cancelled=counts.get("cancelled", 0),
        expired=counts.get("expired", 0),
    )


# --- series -----------------------------------------------------------------------------------


def schedule_out(schedule: Schedule) -> ScheduleOut:
    """When a series runs, and the same as a sentence."""
    sentence = explain(schedule)
    match schedule:
        case Every(period_ns=period_ns):
            return ScheduleOut(sentence, every=format_duration(period_ns))
        case After(period_ns=period_ns):
            return ScheduleOut(sentence, after=format_duration(period_ns))
        case Cron(expression=expression, time_zone=time_zone):
            return ScheduleOut(sentence, cron=expression, time_zone=time_zone)


def maintenance_out(window: Window) -> MaintenanceOut:
    """A planned downtime as it is shown."""
    return MaintenanceOut(
        number=window.number,
        state="under_way" if window.begun else "planned",
        start_at=rfc3339(window.start_at),
        until=rfc3339(window.until),
        drain=format_duration(window.drain_ns),
        author=window.author,
        reason=window.reason,
    )
