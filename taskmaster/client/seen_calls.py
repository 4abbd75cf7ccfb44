"""Calls about what a gate did over time.

Rules of residence: as `calls.py`.
"""

from datetime import datetime
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from taskmaster.client.calls import Answer, Call


class HistoryMark(Struct, frozen=True):
    """A moment: a trip, a step of the ramp, a pause, a change of the limits."""

    at: datetime
    what: str
    percent: int | None = None


class HistoryColumns(Struct, frozen=True):
    """A gate's numbers by time, one list each. None: not known."""

    at_unix_seconds: list[int]
    waiting: list[int | None]
    eligible: list[int | None]
    oldest_eligible_age_seconds: list[float | None]
    in_flight: list[int | None]
    limit: list[int | None]
    learned_limit: list[int | None]
    rate_limit_per_s: list[float | None]
    submitted_per_s: list[float | None]
    started_per_s: list[float | None]
    succeeded_per_s: list[float | None]
    failed_per_s: list[float | None]
    throttled_per_s: list[float | None]
    latency_p50_seconds: list[float | None]
    latency_p99_seconds: list[float | None]
    state: list[str | None]


class GateHistory(Struct, frozen=True):
    """What a gate did from `since` to `until`, in steps."""

    gate: str
    since: datetime
    until: datetime
    step_seconds: int
    columns: HistoryColumns
    marks: list[HistoryMark] = field(default_factory=list[HistoryMark])


def gate_history(
    gate: str, *, since: str = "", until: str = "", step: str = ""
) -> Call[GateHistory]:
    """A gate's numbers over time; instants, or how far back (`10m`)."""
    query = (("since", since), ("until", until), ("step", step))
    return Call(
        "GET",
        f"/v1/gates/{quote(gate, safe='')}/history",
        _read_history,
        query=tuple(pair for pair in query if pair[1]),
    )


def _read_history(answer: Answer) -> GateHistory:
    return msgspec.json.decode(answer.body, type=GateHistory)


class MadeForecast(Struct, frozen=True):
    """A forecast that was made, and when the gate was empty then."""

    made_at: datetime
    empty_at: datetime | None = None
    emptied_at: datetime | None = None


class GateForecast(Struct, frozen=True):
    """When nothing eligible is left at a gate; None: never so, or not within a week."""

    gate: str
    at: datetime
    eligible: int
    empty_at: datetime | None = None
    earliest_at: datetime | None = None
    latest_at: datetime | None = None
    assumption: str = ""
    made: list[MadeForecast] = field(default_factory=list[MadeForecast])


def gate_forecast(gate: str) -> Call[GateForecast]:
    """When a gate will be empty."""
    return Call("GET", f"/v1/gates/{quote(gate, safe='')}/forecast", _read_forecast)


def _read_forecast(answer: Answer) -> GateForecast:
    return msgspec.json.decode(answer.body, type=GateForecast)


class Alert(Struct, frozen=True):
    """An alert that is raised."""

    gate: str
    alert: str
    id: str
    raised_at: datetime
    detail: str = ""


class AlertChange(Struct, frozen=True):
    """An alert that was raised, told again, or cleared."""

    at: datetime
    gate: str
    alert: str
    id: str
    what: str
    detail: str = ""


class Alerts(Struct, frozen=True):
    """What needs a person, and the newest changes of that."""

    items: list[Alert]
    recent: list[AlertChange]


def list_alerts(*, gate: str = "") -> Call[Alerts]:
    """What needs a person, at one gate or at all."""
    query = (("gate", gate),) if gate else ()
    return Call("GET", "/v1/alerts", _read_alerts, query=query)


def _read_alerts(answer: Answer) -> Alerts:
    return msgspec.json.decode(answer.body, type=Alerts)
