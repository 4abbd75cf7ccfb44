"""What a gate's JSON states, whole and as a change."""

from typing import Any

import msgspec
import pytest

from taskmaster.api.bodies import GateIn
from taskmaster.api.encoding import limits_out, recovery_out
from taskmaster.api.gate_settings import Stated, in_body_terms, settings_of
from taskmaster.events.types import HOUR, SECOND, GateSettings, Limits, Rate, RecoverySettings
from taskmaster.model.rejected import Rejected, invalid


def stated(body: dict[str, Any], present: GateSettings | None = None) -> GateSettings:
    read = msgspec.convert(body, GateIn)
    found = settings_of(read) if present is None else settings_of(read, present)
    assert isinstance(found, Stated)
    return found.settings


PRESENT = GateSettings(
    limits=Limits(concurrency=4, rates=(Rate(10.0, SECOND, 2), Rate(100.0, HOUR, 5))),
    recovery=RecoverySettings(trip_failures=9, ramp_steps=()),
    aging_ns=5 * SECOND,
    max_backlog=70,
)


def test_nothing_stated_is_the_default_or_what_was_there() -> None:
    assert stated({}) == GateSettings()
    assert stated({}, PRESENT) == PRESENT


@pytest.mark.parametrize(
    ("limits", "rates"),
    [
        ({"rate": 3}, (Rate(3.0, SECOND, 1), Rate(100.0, HOUR, 5))),
        ({"rate": 3, "burst": 7}, (Rate(3.0, SECOND, 7), Rate(100.0, HOUR, 5))),
        ({"burst": 7}, (Rate(10.0, SECOND, 7), Rate(100.0, HOUR, 5))),
        ({"rate": None}, (Rate(100.0, HOUR, 5),)),
        ({"rates": []}, ()),
        ({"rates": None}, (Rate(10.0, SECOND, 2),)),
        ({"rates": [{"rate": 1}]}, (Rate(1.0, SECOND, 1),)),
        ({"rate": 3, "rates": []}, (Rate(3.0, SECOND, 1),)),
        ({"concurrency": 1}, PRESENT.limits.rates),
    ],
)
def test_a_change_of_limits_leaves_the_rest(limits: Any, rates: tuple[Rate, ...]) -> None:
    assert stated({"limits": limits}, PRESENT).limits.rates == rates


def test_null_is_the_default_everywhere() -> None:
    nothing = {"limits": None, "recovery": None, "aging": None, "max_backlog": None}

    assert stated(nothing, PRESENT) == GateSettings()
    assert stated({"limits": {"concurrency": None}}, PRESENT).limits.concurrency == 32
    assert stated({"recovery": {"trip_failures": None}}, PRESENT).recovery.trip_failures == 5
    assert stated({"recovery": {"ramp_steps": None}}, PRESENT).recovery.ramp_steps[0] == 5


def test_a_burst_left_out_is_a_fiftieth_of_a_second() -> None:
    """Semantics 3.1."""
    assert stated({"limits": {"rate": 2_000}}).limits.rates[0].burst == 40
    assert stated({"limits": {"rate": 1}}).limits.rates[0].burst == 1
    assert (
        stated({"limits": {"rates": [{"rate": 360_000, "per": "1h"}]}}).limits.rates[0].burst == 2
    )


def test_what_is_shown_states_the_same_again() -> None:
    shown = {
        "limits": msgspec.to_builtins(limits_out(PRESENT.limits)),
        "recovery": msgspec.to_builtins(recovery_out(PRESENT.recovery)),
        "aging": "5s",
        "max_backlog": 70,
    }

    assert stated(shown) == PRESENT


def test_a_rate_that_is_refused_is_named_as_it_was_given() -> None:
    first = invalid("limits.rates[0].rate", "bad (limits.rates[0].rate is -1)", "x")
    second = invalid("limits.rates[1].burst", "bad", "x")

    assert in_body_terms(first, has_short=True) == Rejected(
        "invalid_field", "limits.rate", "bad (limits.rate is -1)", "x"
    )
    assert in_body_terms(second, has_short=True).field == "limits.rates[0].burst"
    assert in_body_terms(first, has_short=False) == first
