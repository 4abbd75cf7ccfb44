"""From a gate's JSON to its settings, whole (PUT) or laid over the present ones (PATCH).

Rules of residence: units and the short form of a rate; ranges are the model's. `limits.rate` is a
rate per second that stands before the others, so that it keeps its place when they change.
"""

import re
from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from taskmaster.api.bodies import (
    AdaptiveIn,
    AlertsIn,
    Duration,
    GateIn,
    LimitsIn,
    RateIn,
    RecoveryIn,
)
from taskmaster.api.submissions import duration
from taskmaster.events.types import (
    SECOND,
    Adaptive,
    AlertRules,
    GateName,
    GateSettings,
    Limits,
    Rate,
    RecoverySettings,
)
from taskmaster.model.limits import default_burst
from taskmaster.model.rejected import Rejected, invalid

DEFAULTS = GateSettings()
MAX_BACKLOG = 1_000_000_000
"""JSON has larger numbers than the store."""
_FIRST_RATE = re.compile(r"limits\.rates\[(\d+)\](\.\w+)?")


class Stated(Struct, frozen=True):
    """The settings that a body states; `has_short`: the first rate is its `limits.rate`."""

    settings: GateSettings
    has_short: bool = False


def settings_of(body: GateIn, present: GateSettings = DEFAULTS) -> Stated | Rejected:
    """The settings after a body was laid over `present`."""
    limits = _limits(body.limits, present.limits)
    if isinstance(limits, Rejected):
        return limits
    recovery = _recovery(body.recovery, present.recovery)
    if isinstance(recovery, Rejected):
        return recovery
    aging_ns = _ns("aging", body.aging, present.aging_ns, DEFAULTS.aging_ns)
    if isinstance(aging_ns, Rejected):
        return aging_ns
    max_backlog = _or(body.max_backlog, present.max_backlog, DEFAULTS.max_backlog)
    if max_backlog > MAX_BACKLOG:
        message = f"max_backlog must be at most {MAX_BACKLOG}"
        return invalid("max_backlog", message, "give fewer, or 0 for no bound")
    adaptive = _adaptive(body.adaptive, present.adaptive)
    parent = present.parent
    if not isinstance(body.parent, UnsetType):
        parent = GateName(body.parent) if body.parent else None
    alerts = _alerts(body.alerts, present.alerts)
    if isinstance(alerts, Rejected):
        return alerts
    settings = GateSettings(limits, recovery, aging_ns, max_backlog, adaptive, parent, alerts)
    has_short = isinstance(body.limits, LimitsIn) and _is_given(body.limits.rate)
    return Stated(settings, has_short)


def in_body_terms(rejected: Rejected, *, has_short: bool) -> Rejected:
    """A no about `limits.rates[n]` under the name by which the body gave that rate."""
    found = _FIRST_RATE.fullmatch(rejected.field)
    if found is None or not has_short:
        return rejected
    index = int(found[1])
    short = (
        f"limits{found[2] or ''}" if index == 0 else f"limits.rates[{index - 1}]{found[2] or ''}"
    )
    return replace(rejected, field=short, message=rejected.message.replace(rejected.field, short))


def _is_given(value: object) -> bool:
    return value is not UNSET and value is not None


def _or(written: int | UnsetType | None, present: int, default: int) -> int:
    if isinstance(written, UnsetType):
        return present
    return default if written is None else written


def _ns(
    field: str, written: Duration | UnsetType | None, present: int, default: int
) -> int | Rejected:
    if isinstance(written, UnsetType):
        return present
    return default if written is None else duration(field, written)


# --- limits -----------------------------------------------------------------------------------


def _limits(body: LimitsIn | UnsetType | None, present: Limits) -> Limits | Rejected:
    if isinstance(body, UnsetType):
        return present
    if body is None:
        return DEFAULTS.limits
    concurrency = _or(body.concurrency, present.concurrency, DEFAULTS.limits.concurrency)
    short = next((one for one in present.rates if one.per_ns == SECOND), None)
    if sum(one.per_ns == SECOND for one in present.rates) > 1:
        short = None
    others = tuple(one for one in present.rates if one is not short)
    if body.rates is None:
        others = ()
    elif not isinstance(body.rates, UnsetType):
        stated = _rates(body.rates)
        if isinstance(stated, Rejected):
            return stated
        others = stated
        if isinstance(body.rate, UnsetType) and isinstance(body.burst, UnsetType):
            short = None  # the list states all of them
    short = _short(body, short)
    if isinstance(short, Rejected):
        return short
    # a document that was read states its rate in both forms: that is one rate
    rates = others if short is None else (short, *(one for one in others if one != short))
    return Limits(concurrency, rates)


def _short(body: LimitsIn, present: Rate | None) -> Rate | Rejected | None:
    """The rate per second that `rate` and `burst` state."""
    if body.rate is None:
        return None
    if isinstance(body.rate, UnsetType):
        if isinstance(body.burst, UnsetType):
            return present
        if present is None:
            return invalid("limits.burst", "burst is given without rate", "give limits.rate too")
        rate = present.rate
    else:
        rate = float(body.rate)
    return _rate(rate, SECOND, None if isinstance(body.burst, UnsetType) else body.burst)


def _rates(stated: tuple[RateIn, ...]) -> tuple[Rate, ...] | Rejected:
    rates: list[Rate] = []
    for index, one in enumerate(stated):
        per_ns = SECOND
        if one.per is not None:
            read = duration(f"limits.rates[{index}].per", one.per)
            if isinstance(read, Rejected):
                return read
            per_ns = read
        rates.append(_rate(float(one.rate), per_ns, one.burst))
    return tuple(rates)


def _rate(rate: float, per_ns: int, burst: int | None) -> Rate:
    """A rate; one that the model will refuse anyway gets any burst."""
    if burst is None:
        burst = default_burst(rate, per_ns) if rate > 0 and per_ns > 0 else 1
    return Rate(rate, per_ns, burst)


# --- learning ---------------------------------------------------------------------------------


def _adaptive(
    body: AdaptiveIn | Literal["off"] | UnsetType | None, present: Adaptive | None
) -> Adaptive | None:
    if isinstance(body, UnsetType):
        return present
    if body is None or body == "off":
        return None
    before = present or Adaptive()
    stated = {
        name: getattr(Adaptive(), name) if value is None else value
        for name in ("min", "max", "by")
        if (value := getattr(body, name)) is not UNSET
    }
    return replace(before, **stated)


# --- recovery ---------------------------------------------------------------------------------

_DURATIONS = ("trip_window", "tripped_min", "tripped_max", "ramp_step", "ramp_after")
_NUMBERS = ("trip_failures", "trip_ratio", "trip_min_attempts", "fresh_share")


def _recovery(
    body: RecoveryIn | UnsetType | None, present: RecoverySettings
) -> RecoverySettings | Rejected:
    if isinstance(body, UnsetType):
        return present
    if body is None:
        return DEFAULTS.recovery
    stated: dict[str, object] = {}
    for name in _DURATIONS:
        inner = f"{name}_ns"
        default: int = getattr(DEFAULTS.recovery, inner)
        read = _ns(f"recovery.{name}", getattr(body, name), getattr(present, inner), default)
        if isinstance(read, Rejected):
            return read
        stated[inner] = read
    for name in _NUMBERS:
        written = getattr(body, name)
        if written is None:
            stated[name] = getattr(DEFAULTS.recovery, name)
        elif written is not UNSET:
            stated[name] = written
    if body.ramp_steps == "off":
        stated["ramp_steps"] = ()
    elif body.ramp_steps is None:
        stated["ramp_steps"] = DEFAULTS.recovery.ramp_steps
    elif not isinstance(body.ramp_steps, UnsetType):
        stated["ramp_steps"] = body.ramp_steps
    return replace(present, **stated)


# --- alerts -----------------------------------------------------------------------------------


def _alerts(body: AlertsIn | UnsetType | None, present: AlertRules) -> AlertRules | Rejected:
    if isinstance(body, UnsetType):
        return present
    if body is None:
        return DEFAULTS.alerts
    stated: dict[str, int] = {}
    for name in ("oldest_eligible", "tripped", "window", "unattended"):
        inner = f"{name}_ns"
        default: int = getattr(DEFAULTS.alerts, inner)
        read = _ns(f"alerts.{name}", getattr(body, name), getattr(present, inner), default)
        if isinstance(read, Rejected):
            return read
        stated[inner] = read
    for name in ("ramp_failures", "dead_letters"):
        default = getattr(DEFAULTS.alerts, name)
        stated[name] = _or(getattr(body, name), getattr(present, name), default)
    return replace(present, **stated)
