"""A gate's events as sentences: what it did, and the numbers for which it did so.

Rules of residence: words only; an event comes as the API shows it. One that is not known here is
shown by its name and fields.
"""

from collections.abc import Callable
from typing import cast

from taskmaster.client.shapes import Entry

RULE = "taskmaster"
"""The author of what follows by rule."""
LEARNED = {
    "spare": "nobody seems to wait there and what it may use is used",
    "queue": "too many seem to wait there",
    "errors": "attempts failed",
    "throttled": "the endpoint asked for less",
    "measure": "for one window, to measure how long an attempt takes that waits for nobody",
    "measured": "the measurement is over",
}
RAMP = {
    "probe": "a probe went well",
    "step": "the step before went well",
    "fallback": "too many attempts of the step failed",
    "slow": "attempts of the step took far longer than before",
    "process_down": "the process had been down",
    "paused": "it had been paused",
    "quarantined": "it had been quarantined",
    "clock_jump": "the clock jumped ahead",
    "maintenance": "its planned downtime is over",
    "limits": "its limits were raised more than twofold",
    "tripped": "its tripped time is over",
}
Said = Callable[[Entry], str]


def sentence(event: Entry) -> str:
    """One event in words, with who did it and why where it was a person."""
    said = SENTENCES.get(event.type, _by_name)(event)
    author = str(event.cause.get("author") or "")
    reason = str(event.cause.get("reason") or "")
    if author and author != RULE:
        said += f", by {author}"
    return f"{said} ({reason})" if reason else said


def _by_name(event: Entry) -> str:
    fields = ", ".join(f"{name} {value}" for name, value in event.fields.items())
    return f"{event.type}: {fields}" if fields else event.type


def _tripped(event: Entry) -> str:
    field = event.fields
    if not field["attempts"]:
        return f"tripped until {field['until']}"
    error = f", the last with: {field['error']}" if field.get("error") else ""
    return (
        f"tripped until {field['until']}: {field['failures']} of {field['attempts']} attempts"
        f" failed{error}"
    )


def _stepped(event: Entry) -> str:
    why = str(event.fields["why"])
    return f"{event.fields['percent']} % of its limits: {RAMP.get(why, why)}"


def _learned(event: Entry) -> str:
    field = event.fields
    before, limit = _whole(field["before"]), _whole(field["limit"])
    why = str(field["why"])
    median, base = field["median"], field["base"]
    took = f"; the median of {field['ended']} attempts was {median}" if field["ended"] else ""
    base = f", {base} when nobody waits" if base not in {"0s", 0} else ""
    failed = f"; {field['errors']} failed" if field["errors"] else ""
    return (
        f"may have {limit} in flight instead of {before}: {LEARNED.get(why, why)}{took}{base}"
        f"{failed}; at most {field['busiest']} were in flight"
    )


def _rate_learned(event: Entry) -> str:
    field = event.fields
    before, rate, top = (_per_s(field[name]) for name in ("before", "rate", "top"))
    match field["why"]:
        case "free":
            return f"starts as much as is set again: the endpoint bears more than {before}"
        case "throttled":
            return (
                f"starts {rate} at most: at {top} the endpoint asked to be left alone,"
                f" {field['throttled']} times among {field['ended']}"
            )
        case _:
            return f"starts {rate} at most instead of {before}: the endpoint bore that"


def _per_s(number: object) -> str:
    return f"{cast('float', number):.3g}/s"


def _whole(number: object) -> int:
    return int(cast("float", number))


def _recovery(event: Entry) -> str:
    field = event.fields
    return f"outage {field['number']} ({field['outage']}), {field['depth']} tasks were eligible"


SENTENCES: dict[str, Said] = {
    "GateOpened": lambda _: "came into being",
    "GateLimitsChanged": lambda _: "was given other settings",
    "GatePaused": lambda event: "drains" if event.fields.get("drain") else "was paused",
    "GateDrained": lambda _: "has nothing in flight any more",
    "GateResumed": lambda _: "takes starts again",
    "GateClosed": lambda _: "was closed",
    "GateTripped": _tripped,
    "GateProbed": lambda _: "sends one real task at a time to find out how the endpoint is",
    "GateRampStepped": _stepped,
    "MaintenancePlanned": lambda event: "downtime is planned",
    "MaintenanceCancelled": lambda event: "its planned downtime will not be, or ends now",
    "MaintenanceBegan": lambda event: "downtime begins",
    "MaintenanceEnded": lambda event: f"downtime ends: {event.fields.get('why', '')}",
    "GateRampHeld": lambda event: (
        "its ramp is held" if event.fields["held"] else "its ramp goes on"
    ),
    "GateRecovered": lambda _: "has the whole of its limits again",
    "RecoveryStarted": _recovery,
    "GateLimitLearned": _learned,
    "GateRateLearned": _rate_learned,
    "GateQuarantined": lambda event: (
        f"is left alone until {event.fields['until']}, for it crashed too often:"
        f" {event.fields['error']}"
    ),
    "GateReleased": lambda _: "may run again",
}
