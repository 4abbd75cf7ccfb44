"""What tables and single views show of tasks, gates and series.

Rules of residence: from the client's structs to text; no connection.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from taskmaster.cli.paint import Column, Paint, pairs, printable, table
from taskmaster.units import SECOND_NS, format_duration

if TYPE_CHECKING:
    from taskmaster.client import Entry, Gate, Limits, Run, Series, Task
    from taskmaster.client.shapes import GateWaited, WhyCause

TASKS: "tuple[Column[Task], ...]" = (
    Column("ID", lambda task, _: task.id),
    Column("GATE", lambda task, _: task.gate),
    Column("STATE", lambda task, _: task.state),
    Column("ATTEMPTS", lambda task, _: str(task.attempts)),
    Column("DUE", lambda task, paint: paint.instant(task.due_at)),
    Column("NEXT", lambda task, paint: paint.instant(task.next_at)),
    Column("PRIORITY", lambda task, _: str(task.priority), wide=True),
    Column("LABELS", lambda task, _: words(task.labels), wide=True),
    Column("METHOD", lambda task, _: task.method, wide=True),
    Column("URL", lambda task, _: task.url, wide=True),
)
GATES: "tuple[Column[Gate], ...]" = (
    Column("GATE", lambda gate, _: gate.gate),
    Column("STATE", lambda gate, _: gate.state),
    Column("LIMITS", lambda gate, _: limits(gate.limits)),
    Column("BACKLOG", lambda gate, _: str(gate.backlog)),
    Column("IN FLIGHT", lambda gate, _: str(gate.counts.get("in_flight", 0))),
    Column("OLDEST", lambda gate, _: age(gate.oldest_eligible_age_seconds)),
    Column("DONE", lambda gate, _: str(gate.counts.get("succeeded", 0))),
    Column("DEAD", lambda gate, _: str(gate.counts.get("dead", 0))),
    Column("SCHEDULED", lambda gate, _: str(gate.counts.get("scheduled", 0)), wide=True),
    Column("PARENT", lambda gate, _: gate.parent or "-", wide=True),
    Column("ATTEMPTS", lambda gate, _: str(gate.attempts), wide=True),
    Column("FAILURES", lambda gate, _: str(gate.failures), wide=True),
    Column("WAITS FOR", lambda gate, paint: _waits(gate, paint), wide=True),
)
SERIES: "tuple[Column[Series], ...]" = (
    Column("SERIES", lambda series, _: series.series),
    Column("GATE", lambda series, _: series.gate),
    Column("STATE", lambda series, _: series.state),
    Column("SCHEDULE", lambda series, _: schedule(series)),
    Column("NEXT", lambda series, paint: paint.instant(series.next_at)),
    Column("OPEN TASK", lambda series, _: series.open_task or "-", wide=True),
    Column("CATCH-UP", lambda series, _: series.catch_up, wide=True),
)
RUNS: "tuple[Column[Run], ...]" = (
    Column("UTC", lambda run, _: Paint().instant(run.nominal_at)),
    Column("LOCAL", lambda run, _: run.local),
)
ENTRIES: "tuple[Column[Entry], ...]" = (
    Column("POSITION", lambda entry, _: str(entry.position)),
    Column("AT", lambda entry, paint: paint.instant(entry.at, exact=True)),
    Column("STREAM", lambda entry, _: entry.stream),
    Column("EVENT", lambda entry, _: entry.type),
    Column("WHAT", lambda entry, _: what(entry)),
)
HISTORY: "tuple[Column[Entry], ...]" = (
    Column("VERSION", lambda entry, _: str(entry.version)),
    *ENTRIES[1:2],
    *ENTRIES[3:],
)


def task_text(task: "Task", paint: Paint) -> str:
    """The whole of one task."""
    retry = {name: value for name, value in (task.retry or {}).items() if value not in (None, [])}
    return pairs(
        paint,
        [
            ("task", task.id),
            ("gate", task.gate),
            ("state", task.state),
            ("reason", task.reason or ""),
            ("attempts", str(task.attempts)),
            ("due", paint.instant(task.due_at, exact=True)),
            ("next", paint.instant(task.next_at, exact=True) if task.next_at else ""),
            ("submitted", paint.instant(task.submitted_at, exact=True)),
            ("changed", paint.instant(task.changed_at, exact=True)),
            ("expires", paint.instant(task.expires_at, exact=True) if task.expires_at else ""),
            ("request", f"{task.method} {task.url}"),
            ("headers", words(task.headers or {}, ": ")),
            ("body", "" if task.body_bytes is None else f"{task.body_bytes} bytes"),
            ("timeout", task.timeout or ""),
            ("retry", words(retry, " ")),
            ("idempotent", "no" if task.idempotent is False else ""),
            ("priority", str(task.priority or "")),
            ("key", task.key or ""),
            ("fair key", task.fair_key or ""),
            ("order key", task.order_key or ""),
            ("series", task.series or ""),
            ("nominal", paint.instant(task.nominal_at) if task.nominal_at else ""),
            ("labels", words(task.labels)),
            ("cancel", "requested" if task.cancel_requested else ""),
        ],
    )


def gate_text(gate: "Gate", paint: Paint) -> str:
    """The whole of one gate."""
    counts = {name: count for name, count in gate.counts.items() if count}
    return pairs(
        paint,
        [
            ("gate", gate.gate + (" (made for the origin of a URL)" if gate.implicit else "")),
            ("state", gate.state),
            ("mode", gate.mode if gate.mode != gate.state else ""),
            ("limits", limits(gate.limits)),
            ("parent", gate.parent or ""),
            ("family", _family(gate)),
            ("adaptive", _adaptive(gate)),
            ("ramp", f"{gate.ramp_percent} % of the limits" if gate.ramp_percent else ""),
            ("waits for", _waits(gate, paint) if gate.waits else ""),
            ("downtimes", _downtimes(gate, paint)),
            ("backlog", f"{gate.backlog} eligible, oldest {age(gate.oldest_eligible_age_seconds)}"),
            ("tasks", words(counts, " ")),
            ("attempts", f"{gate.attempts}, of which {gate.failures} failed"),
            ("recovery", words(gate.recovery, " ")),
            ("alerts", words(gate.alerts, " ")),
            ("aging", gate.aging),
            ("max backlog", str(gate.max_backlog or "")),
            ("version", str(gate.version)),
        ],
    )


def _downtimes(gate: "Gate", paint: Paint) -> str:
    """The present one and those to come, who planned each and why."""
    first = sorted(gate.maintenance, key=lambda one: one.start_at)[:3]
    told: list[str] = []
    for one in first:
        start, until = (paint.instant(at, exact=True) for at in (one.start_at, one.until))
        state = "under way" if one.state == "under_way" else f"from {start}"
        why = f": {printable(one.reason)}" if one.reason else ""
        told.append(f"{state} until {until}, by {printable(one.author) or 'nobody known'}{why}")
    rest = len(gate.maintenance) - len(first)
    return "; ".join([*told, *([f"{rest} more"] if rest else [])])


def _family(gate: "Gate") -> str:
    if gate.family is None:
        return ""
    children = gate.family.children
    named = ", ".join(children[:10]) + (", ..." if len(children) > 10 else "")
    return f"{gate.family.in_flight} in flight with {len(children)} below: {named}"


def _adaptive(gate: "Gate") -> str:
    rules = gate.adaptive
    if rules == "off":
        return ""
    most = "the concurrency" if rules.max is None else str(rules.max)
    now = "" if gate.learned_limit is None else f", now {gate.learned_limit}"
    rate = "" if gate.learned_rate is None else f", at most {gate.learned_rate:.3g}/s"
    return f"by {rules.by}, {rules.min} to {most}{now}{rate}"


def waited_text(waited: "GateWaited", paint: Paint) -> str:
    """How long a gate's tasks waited in a time, by cause."""
    columns: tuple[Column[WhyCause], ...] = (
        Column("CAUSE", lambda one, _: one.cause),
        Column("TASK-SECONDS", lambda one, _: f"{one.seconds:.3f}"),
        Column("SHARE", lambda one, _: f"{100 * one.seconds / waited.total_seconds:.1f} %"),
    )
    head = pairs(
        paint,
        [
            ("since", paint.instant(waited.since)),
            ("until", paint.instant(waited.until)),
            ("waited", f"{waited.total_seconds:.3f} task-seconds of {waited.tasks} tasks"),
        ],
    )
    return f"{head}\n\n{table(paint, columns, waited.causes)}" if waited.causes else head


def series_text(series: "Series", paint: Paint) -> str:
    """The whole of one series."""
    return pairs(
        paint,
        [
            ("series", series.series),
            ("gate", series.gate),
            ("state", series.state),
            ("schedule", schedule(series)),
            ("means", series.schedule.explain),
            ("next", paint.instant(series.next_at) if series.next_at else ""),
            ("nominal", paint.instant(series.nominal_at) if series.nominal_at else ""),
            ("open task", series.open_task or ""),
            ("catch-up", f"{series.catch_up}, at most {series.catch_up_limit}"),
            ("on failure", "ends" if series.stop_on_failure else ""),
            ("version", str(series.version)),
        ],
    )


def limits(of: "Limits") -> str:
    """`10/s burst 1, 1000/1h burst 20, 32 at once`."""
    rates = of.rates or []
    parts = [
        f"{rate.rate:g}/{'s' if rate.per in {'1s', 1, None} else rate.per}"
        + (f" burst {rate.burst}" if rate.burst else "")
        for rate in rates
    ]
    if not rates and of.rate is not None:
        parts.append(f"{of.rate:g}/s" + (f" burst {of.burst}" if of.burst else ""))
    if of.concurrency is not None:
        parts.append(f"{of.concurrency} at once")
    return ", ".join(parts)


def schedule(series: "Series") -> str:
    """`every 15m`, `after 15m` or `0 3 * * * Europe/Berlin`."""
    given = series.schedule
    if given.cron:
        return f"{given.cron} {given.time_zone or 'UTC'}"
    return f"every {given.every}" if given.every else f"after {given.after}"


def what(entry: "Entry") -> str:
    """What only this type of event says, with its author and reason."""
    fields = {
        name: value for name, value in entry.fields.items() if value not in (None, "", [], {})
    }
    text = words(fields, "=")
    cause = entry.cause
    if cause.get("command", "rule") == "rule":
        return text
    by = f"{cause.get('command')} by {cause.get('author', '?')}"
    reason = f": {cause['reason']}" if cause.get("reason") else ""
    return f"{text} ({by}{reason})".lstrip()


def words(given: Mapping[str, object], between: str = "=") -> str:
    """A few names and values on one line."""
    return ", ".join(f"{name}{between}{_word(value)}" for name, value in given.items())


def age(age_s: float | None) -> str:
    """A duration in the two units that matter."""
    if age_s is None:
        return "-"
    if age_s >= 60:
        return format_duration(int(age_s) * SECOND_NS)
    return f"{age_s:.1f}s"


def _word(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(_word(one) for one in cast("list[object]", value))
        case dict():
            return "{" + words(cast("dict[str, object]", value)) + "}"
        case _:
            return str(value)


def _waits(gate: "Gate", paint: Paint) -> str:
    if gate.waits is None:
        return "-"
    until = f" until {paint.instant(gate.waits.until, exact=True)}" if gate.waits.until else ""
    at = f" at {gate.waits.gate}" if gate.waits.gate else ""
    return gate.waits.cause + at + until
