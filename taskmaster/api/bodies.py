"""What requests carry: the JSON that comes in, as frozen structs that take no unknown field.

Rules of residence: shapes only; names and units are those that people write. The descriptions are
shown in three places: the OpenAPI document, the docs page, and as the remedy of a value that does
not fit ("give ..."). Ranges are the model's.
"""

from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct, field

Duration = Annotated[
    int | float | str,
    Meta(description='a number of seconds, or a duration such as "15m", "1h30m" or "PT15M"'),
]
Instant = Annotated[
    str,
    Meta(
        description='an instant with an offset, such as "2026-11-24T09:00:00Z"',
        extra_json_schema={"format": "date-time"},
    ),
]
Reason = Annotated[
    str,
    Meta(description="why, in your words, for the history", extra_json_schema={"maxLength": 1_000}),
]
MAX_REASON_CHARS = 1_000


class RetryIn(Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of trying again. Retrying stops at whichever bound comes first."""

    max_attempts: Annotated[int, Meta(description="how often it may be tried, 1 to 1000")] = 5
    min_backoff: Duration | None = None
    max_backoff: Duration | None = None
    max_elapsed: Duration | None = None
    jitter: Annotated[Literal["full", "none"], Meta(description="full or none")] = "full"
    retry_on: Annotated[
        tuple[int, ...], Meta(description="statuses from 400 to 499 that are tried again")
    ] = ()


class RequestIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a task and a series have in common: the request and its rules."""

    url: Annotated[str, Meta(description="the endpoint, such as https://example.com/hook")]
    method: Annotated[str, Meta(description="GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")] = (
        "POST"
    )
    headers: Annotated[
        dict[str, str] | None, Meta(description="an object of header names and values")
    ] = None
    body: Annotated[str | None, Meta(description="the request's body as text")] = None
    body_base64: Annotated[
        str | None, Meta(description="the request's body as base64, instead of body")
    ] = None
    gate: Annotated[
        str | None,
        Meta(description="the name of a gate that exists, or leave it out for the URL's origin"),
    ] = None
    timeout: Annotated[
        Duration | None, Meta(description='seconds, or a duration such as "30s", 10 ms to 1 h')
    ] = None
    retry: Annotated[RetryIn | None, Meta(description="the rules of trying again")] = None
    idempotent: Annotated[
        bool,
        Meta(
            description="false if it must not be sent again when it is unknown whether it arrived"
        ),
    ] = True
    priority: Annotated[int, Meta(description="0 to 9; higher goes first")] = 0
    fair_key: Annotated[
        str | None, Meta(description="the name among which a gate shares its throughput")
    ] = None
    order_key: Annotated[
        str | None, Meta(description="the name within which tasks run strictly one by one")
    ] = None
    labels: Annotated[
        dict[str, str] | None, Meta(description="an object of names and texts to search by")
    ] = None


class TaskIn(RequestIn, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request to an endpoint, at or after a point in time, under rules."""

    due_at: Annotated[
        Instant | None, Meta(description='an instant such as "2026-11-24T09:00:00Z", or delay')
    ] = None
    delay: Annotated[
        Duration | None, Meta(description='seconds, or a duration such as "15m", or due_at')
    ] = None
    expires_at: Annotated[
        Instant | None, Meta(description="an instant after which it is not sent any more")
    ] = None
    key: Annotated[str | None, Meta(description="an idempotency key, unique within the gate")] = (
        None
    )


Every = Annotated[
    Duration | None, Meta(description='the period between nominal times, such as "15m"')
]
After = Annotated[
    Duration | None, Meta(description='the pause after the end of a run, such as "15m"')
]
CronText = Annotated[
    str | None, Meta(description='five fields, or six with seconds first, such as "30 2 * * *"')
]
Zone = Annotated[
    str | None, Meta(description='the IANA zone in which cron is read, such as "Europe/Berlin"')
]


class SeriesIn(RequestIn, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that is repeated. One of every, after and cron says when."""

    every: Every = None
    after: After = None
    cron: CronText = None
    time_zone: Zone = None
    catch_up: Annotated[Literal["one", "none", "all"], Meta(description="one, none or all")] = "one"
    catch_up_limit: Annotated[
        int, Meta(description="how many missed runs are caught up at most, 1 to 1000")
    ] = 100
    stop_on_failure: Annotated[
        bool, Meta(description="true to end the series when a run does not succeed")
    ] = False
    start_at: Annotated[
        Instant | None, Meta(description="an instant before which no run comes")
    ] = None
    expires_after: Annotated[
        Duration | None, Meta(description="how long after its due time a run is still sent")
    ] = None
    reason: Reason = ""


def _patched(hint: Any) -> Any:
    """The same field where it may be left out, or be null."""
    base, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    return Annotated[base | UnsetType | None, *metas]


SeriesPatch = defstruct(
    "SeriesPatch",
    [
        (name, _patched(hint), UNSET)
        for name, hint in get_type_hints(SeriesIn, include_extras=True).items()
        if name not in ("start_at", "reason")
    ]
    + [("reason", Reason, "")],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    namespace={
        "__doc__": "Other rules of a series, from its next run on. What is left out stays, null is"
        " the default; `retry`, `headers` and `labels` are replaced as a whole."
    },
)


class PreviewIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule whose next runs are asked for, before anything is saved."""

    every: Every = None
    after: After = None
    cron: CronText = None
    time_zone: Zone = None
    since: Annotated[
        Instant | None, Meta(description="an instant, the past included; now if left out")
    ] = field(default=None, name="from")
    count: Annotated[int, Meta(description="how many runs, 1 to 1000")] = 10


class RateIn(Struct, frozen=True, forbid_unknown_fields=True):
    """At most `burst + T * rate / per` starts in any interval of length T."""

    rate: Annotated[int | float, Meta(description="attempts per `per`, above 0, such as 10")]
    per: Annotated[Duration | None, Meta(description='a duration such as "1s" or "1h"')] = None
    burst: Annotated[
        int | None,
        Meta(
            description="a whole number, or leave it out for a fiftieth of a second of the rate,"
            " rounded up: 1 up to 50 per second, so 1000 per 1h are one each 3.6 s"
        ),
    ] = None


class LimitsIn(Struct, frozen=True, forbid_unknown_fields=True):
    """All of them must agree to a start. `rate` and `burst` are short for one rate per second,
    and stand together with `rates`."""

    concurrency: Annotated[
        int | UnsetType | None, Meta(description="how many attempts may be open at once")
    ] = UNSET
    rate: Annotated[
        int | float | UnsetType | None, Meta(description="attempts per second, such as 10")
    ] = UNSET
    burst: Annotated[
        int | UnsetType | None,
        Meta(description="a whole number, or leave it out for a fiftieth of a second of rate"),
    ] = UNSET
    rates: Annotated[
        tuple[RateIn, ...] | UnsetType | None,
        Meta(description='a list such as [{"rate": 1000, "per": "1h"}]'),
    ] = UNSET


class RecoveryIn(Struct, frozen=True, forbid_unknown_fields=True):
    """When the gate trips and how it comes back."""

    trip_failures: Annotated[
        int | UnsetType | None, Meta(description="failures in a row, 1 to 1000")
    ] = UNSET
    trip_ratio: Annotated[
        int | float | UnsetType | None, Meta(description="a share above 0 up to 1, such as 0.5")
    ] = UNSET
    trip_min_attempts: Annotated[
        int | UnsetType | None, Meta(description="attempts of which trip_ratio is a share")
    ] = UNSET
    trip_window: Annotated[
        Duration | UnsetType | None, Meta(description='a duration from "1s" to "120s"')
    ] = UNSET
    tripped_min: Annotated[
        Duration | UnsetType | None, Meta(description='a duration such as "1s"')
    ] = UNSET
    tripped_max: Annotated[
        Duration | UnsetType | None, Meta(description='a duration such as "30s"')
    ] = UNSET
    ramp_steps: Annotated[
        tuple[int, ...] | Literal["off"] | UnsetType | None,
        Meta(description='rising percentages such as [5, 10, 25, 50, 100], or "off"'),
    ] = UNSET
    ramp_step: Annotated[
        Duration | UnsetType | None, Meta(description='a duration such as "10s"')
    ] = UNSET
    ramp_after: Annotated[
        Duration | UnsetType | None, Meta(description='a duration such as "60s"')
    ] = UNSET
    fresh_share: Annotated[
        float | UnsetType | None,
        Meta(description="what fresh work gets after an outage, 0 (strict order) to 1"),
    ] = UNSET


class AdaptiveIn(Struct, frozen=True, forbid_unknown_fields=True):
    """How a gate learns its concurrency."""

    min: Annotated[
        int | UnsetType | None, Meta(description="the least that may be open, 1 or more")
    ] = UNSET
    max: Annotated[
        int | UnsetType | None,
        Meta(description="the most that may be learned; null is limits.concurrency"),
    ] = UNSET
    by: Annotated[
        Literal["latency", "errors"] | UnsetType | None,
        Meta(description='"latency", or "errors" where latency means nothing'),
    ] = UNSET


class AlertsIn(Struct, frozen=True, forbid_unknown_fields=True):
    """From when on a gate needs a person; 0 is never."""

    oldest_eligible: Annotated[
        Duration | UnsetType | None, Meta(description='a duration such as "5m", or 0 for never')
    ] = UNSET
    tripped: Annotated[
        Duration | UnsetType | None, Meta(description='a duration such as "5m", or 0 for never')
    ] = UNSET
    ramp_failures: Annotated[
        int | UnsetType | None, Meta(description="how often a ramp may fail, or 0 for never")
    ] = UNSET
    dead_letters: Annotated[
        int | UnsetType | None, Meta(description="how many new ones, or 0 for never")
    ] = UNSET
    window: Annotated[
        Duration | UnsetType | None, Meta(description='within what time, such as "10m"')
    ] = UNSET
    unattended: Annotated[
        Duration | UnsetType | None, Meta(description='a duration such as "24h", or 0 for never')
    ] = UNSET


class GateIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A gate's settings. PUT gives what is left out its default, PATCH leaves it as it is; null
    is the default in both."""

    limits: Annotated[
        LimitsIn | UnsetType | None, Meta(description="an object with rate and concurrency")
    ] = UNSET
    recovery: Annotated[
        RecoveryIn | UnsetType | None, Meta(description="an object of rules of recovery")
    ] = UNSET
    aging: Annotated[Duration | UnsetType | None, Meta(description='a duration such as "60s"')] = (
        UNSET
    )
    max_backlog: Annotated[
        int | UnsetType | None, Meta(description="a whole number, or 0 for no bound")
    ] = UNSET
    adaptive: Annotated[
        AdaptiveIn | Literal["off"] | UnsetType | None,
        Meta(description='an object with min, max and by, or "off"'),
    ] = UNSET
    parent: Annotated[
        str | UnsetType | None,
        Meta(description='a gate whose limits hold too, or "" for none'),
    ] = UNSET
    alerts: Annotated[
        AlertsIn | UnsetType | None, Meta(description="an object of thresholds of alerts")
    ] = UNSET
    reason: Reason = ""


class ReasonIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for the history."""

    reason: Reason = ""


class RescheduleIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Another due time: one of due_at and delay."""

    due_at: Annotated[
        Instant | None, Meta(description='an instant such as "2026-11-24T09:00:00Z", or delay')
    ] = None
    delay: Annotated[
        Duration | None, Meta(description='seconds, or a duration such as "15m", or due_at')
    ] = None
    reason: Reason = ""


class PauseIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Until when, and why."""

    until: Annotated[
        Instant | None, Meta(description="an instant to come, or leave it out for until resumed")
    ] = None
    reason: Reason = ""


class MaintenanceIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A planned downtime of the gate's endpoint."""

    start_at: Annotated[
        Instant, Meta(description='an instant to come, such as "2026-11-24T02:00:00Z"')
    ] = field(name="from")
    until: Annotated[Instant, Meta(description="an instant after from, at most 30 days later")]
    drain: Annotated[
        Duration | None,
        Meta(description='how long before from starts end already, such as "5m"'),
    ] = None
    reason: Reason = ""


PurgeState = Literal["scheduled", "waiting"]


class PurgeIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of a gate's tasks are cancelled, and whether they are only counted."""

    dry_run: Annotated[bool, Meta(description="true to count and cancel nothing")] = False
    state: Annotated[
        PurgeState | tuple[PurgeState, ...] | None,
        Meta(description="scheduled, waiting or both; both if left out"),
    ] = None
    reason: Reason = ""
