"""Facts and appends with defaults, for tests that show only the values that matter to them."""

from typing import Any

from taskmaster.events.log import Append, Write
from taskmaster.events.types import (
    NEW,
    SECOND,
    AnyEvent,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Every,
    GateName,
    GateOpened,
    GateSettings,
    Mono,
    Occurrence,
    Request,
    SeriesCreated,
    SeriesName,
    SeriesRules,
    Stream,
    TaskId,
    TaskSubmitted,
    Version,
    Wall,
    gate_stream,
    series_stream,
    task_stream,
)

GATE = GateName("orders")
START = Wall(1_800_000_000 * SECOND)
URL = "https://orders.example/hook"


def wall(seconds: float) -> Wall:
    """An instant some seconds after the tests' beginning of time."""
    return Wall(START + int(seconds * SECOND))


def submitted(**changes: Any) -> TaskSubmitted:
    """A submission that is due at once."""
    fields: dict[str, Any] = {
        "at": START,
        "gate": GATE,
        "request": Request(URL, body=b'{"order":1}'),
        "due_at": START,
    }
    return TaskSubmitted(**(fields | changes))


def started(**changes: Any) -> AttemptStarted:
    """The start of a first attempt."""
    fields: dict[str, Any] = {"at": START, "gate": GATE, "attempt": 1, "slot_at": Mono(1)}
    return AttemptStarted(**(fields | changes))


def succeeded(**changes: Any) -> AttemptSucceeded:
    """A first attempt that succeeded."""
    fields: dict[str, Any] = {
        "at": START,
        "gate": GATE,
        "attempt": 1,
        "status": 200,
        "duration_ns": 1,
    }
    return AttemptSucceeded(**(fields | changes))


def failed(**changes: Any) -> AttemptFailed:
    """A first attempt that failed by the endpoint's fault, with the task dead after it."""
    fields: dict[str, Any] = {
        "at": START,
        "gate": GATE,
        "attempt": 1,
        "outcome": "server_error",
        "fault": "endpoint",
        "delivered": "yes",
        "next": "dead",
    }
    return AttemptFailed(**(fields | changes))


def opened(**changes: Any) -> GateOpened:
    """A gate with the default settings."""
    fields: dict[str, Any] = {"at": START, "settings": GateSettings(), "mono": Mono(0)}
    return GateOpened(**(fields | changes))


def created(**changes: Any) -> SeriesCreated:
    """A series of every minute."""
    rules = SeriesRules(gate=GATE, schedule=Every(60 * SECOND), template=submitted())
    fields: dict[str, Any] = {"at": START, "rules": rules}
    return SeriesCreated(**(fields | changes))


def occurrence(series: SeriesName, number: int = 1) -> Occurrence:
    """A run of a series."""
    return Occurrence(series, Version(1), number, nominal_at=START)


def append(stream: Stream, expected: int, *events: AnyEvent) -> Append:
    """Events for one stream."""
    return Append((Write(stream, Version(expected), events),))


def of_task(task_id: str, expected: int, *events: AnyEvent) -> Append:
    """Events for a task."""
    return append(task_stream(TaskId(task_id)), expected, *events)


def of_gate(name: str, expected: int, *events: AnyEvent) -> Append:
    """Events for a gate."""
    return append(gate_stream(GateName(name)), expected, *events)


def of_series(name: str, expected: int, *events: AnyEvent) -> Append:
    """Events for a series."""
    return append(series_stream(SeriesName(name)), expected, *events)


def submission(task_id: str, **changes: Any) -> Append:
    """A new task."""
    return of_task(task_id, NEW, submitted(**changes))
