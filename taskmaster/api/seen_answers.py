"""What is answered about a gate over time.

Rules of residence: as `answers.py`; names carry their units, so that a picture needs no table.
"""

from typing import Literal

from msgspec import Struct

from taskmaster.views.history import Columns


class MarkOut(Struct, frozen=True, omit_defaults=True):
    """A moment: a trip, a step of the ramp, a pause, a change of the limits."""

    at: str
    what: str
    percent: int | None = None


class HistoryOut(Struct, frozen=True):
    """What a gate did: one list for each number, one place for each step of time."""

    gate: str
    since: str
    until: str
    step_seconds: int
    columns: Columns
    marks: tuple[MarkOut, ...]


class MadeOut(Struct, frozen=True):
    """A forecast that was made, and when the gate was empty then: null if it is not yet."""

    made_at: str
    empty_at: str | None
    emptied_at: str | None


class ForecastOut(Struct, frozen=True):
    """When nothing eligible is left at a gate: expected, at best, at worst. Null: never so, or
    not within a week. `made` are forecasts of the last hour, the newest first."""

    gate: str
    at: str
    eligible: int
    empty_at: str | None
    earliest_at: str | None
    latest_at: str | None
    assumption: str
    made: tuple[MadeOut, ...]


class AlertOut(Struct, frozen=True):
    """An alert that is raised."""

    gate: str
    alert: str
    id: str
    raised_at: str
    detail: str


class AlertChange(Struct, frozen=True):
    """An alert that was raised, told again, or cleared."""

    at: str
    gate: str
    alert: str
    id: str
    what: Literal["raised", "again", "cleared"]
    detail: str


class AlertsOut(Struct, frozen=True):
    """Alerts that are raised, by gate, and the newest changes first."""

    items: tuple[AlertOut, ...]
    recent: tuple[AlertChange, ...]
