"""Events as people read them: outside units, text instead of bytes, no secret.

Rules of residence: driven by the types of the facts, so that a new fact needs nothing here; only
what must look different has a line of its own.
"""

from collections.abc import Callable
from functools import lru_cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from msgspec import Struct
from msgspec.structs import asdict

from taskmaster.api.encoding import (
    adaptive_out,
    alerts_out,
    limits_out,
    maintenance_out,
    recovery_out,
    retry_out,
    schedule_out,
    shown_headers,
)
from taskmaster.delivery.headers import rfc3339
from taskmaster.events.log import Recorded
from taskmaster.events.types import (
    BulkFilter,
    Cause,
    Event,
    GateSettings,
    Mono,
    Occurrence,
    Request,
    Retry,
    SeriesRules,
    TaskChange,
    Wall,
    Window,
)
from taskmaster.units import format_duration

Show = Callable[[Any], Any]
LEFT_OUT = frozenset({"mono", "fingerprint", "tats", "above", "anchor_ns", "boot_id"})
"""Inner bookkeeping: pacing readings, and what only this machine can compare."""


def shown_event(record: Recorded, *, with_stream: bool = False) -> dict[str, Any]:
    """One event with its place and the fields of its type."""
    event = record.event
    shown: dict[str, Any] = {"position": record.position}
    if with_stream:
        shown["stream"] = record.stream
    shown["version"] = record.version
    shown["type"] = type(event).__name__
    shown["at"] = rfc3339(event.at)
    shown["cause"] = shown_cause(event.cause)
    for name, outside, show in _fields(type(event)):
        value = getattr(event, name)
        shown[outside] = None if value is None else show(value)
    return shown


def shown_cause(cause: Cause) -> dict[str, str]:
    """Which command, by whom, and why."""
    shown = {"command": cause.command, "author": cause.author, "reason": cause.reason}
    return {**shown, "bulk": cause.bulk} if cause.bulk else shown


@lru_cache(maxsize=128)
def _fields(fact: type[Event]) -> tuple[tuple[str, str, Show], ...]:
    """A fact's own fields: their name inside and outside, and how each is shown."""
    hints = get_type_hints(fact)
    return tuple(
        (name, name.removesuffix("_ns"), _show(name, hints[name]))
        for name in fact.__struct_fields__
        if name not in ("at", "cause") and name not in LEFT_OUT
    )


def _show(name: str, hint: object) -> Show:
    kinds = [one for one in (get_args(hint) or (hint,)) if one is not NoneType]
    if name.endswith("_ns"):
        return format_duration
    if name in ("headers", "labels"):
        return dict
    if any(one in (Wall, Mono) for one in kinds):
        return rfc3339
    by_type: dict[object, Show] = {
        bytes: _text,
        Request: _request,
        TaskChange: _change,
        BulkFilter: _match,
        Window: maintenance_out,
        Retry: retry_out,
        Occurrence: _occurrence,
        GateSettings: _settings,
        SeriesRules: _rules,
    }
    return next((by_type[one] for one in kinds if one in by_type), _as_it_is)


def _as_it_is(value: object) -> object:
    return value


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


class _RequestOut(Struct, frozen=True):
    url: str
    method: str
    headers: dict[str, str]
    body_bytes: int


def _request(request: Request) -> _RequestOut:
    headers = shown_headers(request.headers)
    return _RequestOut(request.url, request.method, headers, len(request.body))


def _occurrence(occurrence: Occurrence) -> dict[str, Any]:
    return {
        "series": occurrence.series,
        "series_version": occurrence.series_version,
        "number": occurrence.number,
        "nominal_at": rfc3339(occurrence.nominal_at),
        "next_at": None if occurrence.next_at is None else rfc3339(occurrence.next_at),
    }


def _change(change: TaskChange) -> dict[str, Any]:
    """What an edit sets; a body by its size."""
    shown: dict[str, Any] = {
        "url": change.url,
        "method": change.method,
        "headers": None if change.headers is None else shown_headers(change.headers),
        "body_bytes": None if change.body is None else len(change.body),
        "timeout": None if change.timeout_ns is None else format_duration(change.timeout_ns),
        "retry": None if change.retry is None else retry_out(change.retry),
        "idempotent": change.idempotent,
        "priority": change.priority,
        "expires_at": None if change.expires_at is None else rfc3339(change.expires_at),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _match(match: BulkFilter) -> dict[str, Any]:
    shown: dict[str, Any] = {**asdict(match), "labels": dict(match.labels)}
    shown["at"] = rfc3339(match.at)
    for name in ("due_before", "due_after"):
        shown[name] = rfc3339(shown[name]) if shown[name] is not None else None
    return {name: value for name, value in shown.items() if value}


def _settings(settings: GateSettings) -> dict[str, Any]:
    return {
        "limits": limits_out(settings.limits),
        "recovery": recovery_out(settings.recovery),
        "aging": format_duration(settings.aging_ns),
        "max_backlog": settings.max_backlog,
        "adaptive": adaptive_out(settings.adaptive),
        "parent": settings.parent,
        "alerts": alerts_out(settings.alerts),
    }


def _rules(rules: SeriesRules) -> dict[str, Any]:
    return {
        "gate": rules.gate,
        "schedule": schedule_out(rules.schedule),
        "request": _request(rules.template.request),
        "catch_up": rules.catch_up,
        "catch_up_limit": rules.catch_up_limit,
        "stop_on_failure": rules.stop_on_failure,
    }
