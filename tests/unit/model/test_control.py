"""What a command does to a gate, and which settings it may be given."""

from dataclasses import dataclass
from math import inf, nan

import pytest
from msgspec.structs import replace

from taskmaster.events.types import (
    DAY,
    MILLISECOND,
    SECOND,
    GateClosed,
    GateDrained,
    GateEvent,
    GateLimitsChanged,
    GateOpened,
    GatePaused,
    GateReleased,
    GateResumed,
    GateSettings,
    Limits,
    Mono,
    Rate,
    RecoverySettings,
    Wall,
)
from taskmaster.model.control import (
    CloseGate,
    DrainGate,
    GateCommand,
    PauseGate,
    ReleaseGate,
    ResumeGate,
    SetGate,
    decide,
    refuse_name,
    refuse_settings,
)
from taskmaster.model.gate import Control, Gate
from taskmaster.model.rejected import Rejected
from tests.unit.model.builders import CAUSE, MONO, NOW, open_gate, settings, wall


@dataclass(frozen=True)
class Given:
    """A gate under some control."""

    gate: Gate

    def decided(self, command: GateCommand) -> tuple[GateEvent, ...] | Rejected:
        return decide(self.gate, command, MONO, NOW, backlog=False)


def under(control: Control, *, in_flight: int = 0) -> Given:
    stopped_since = None if control == "running" else Mono(MONO - SECOND)
    gate = replace(open_gate(in_flight=in_flight), control=control, stopped_since=stopped_since)
    return Given(gate)


PAUSED = GatePaused(at=NOW, mono=MONO, cause=CAUSE)
RESUMED = GateResumed(at=NOW, mono=MONO, cause=CAUSE)
DRAINING = GatePaused(at=NOW, mono=MONO, cause=CAUSE, drain=True)
DRAINED = GateDrained(at=NOW, mono=MONO, cause=CAUSE)
CLOSED = GateClosed(at=NOW, mono=MONO, cause=CAUSE)


def refused(decided: tuple[GateEvent, ...] | Rejected) -> tuple[str, str]:
    assert isinstance(decided, Rejected)
    assert decided.remedy
    return decided.code, decided.field


@pytest.mark.parametrize(
    ("control", "command", "expected"),
    [
        ("running", PauseGate(CAUSE), (PAUSED,)),
        ("paused", PauseGate(CAUSE), (PAUSED,)),  # another reason, another end
        ("draining", PauseGate(CAUSE), (PAUSED,)),
        ("running", DrainGate(CAUSE), (DRAINING, DRAINED)),
        ("paused", DrainGate(CAUSE), (DRAINING, DRAINED)),
        ("running", ResumeGate(CAUSE), ()),
        ("paused", ResumeGate(CAUSE), (RESUMED,)),
        ("draining", ResumeGate(CAUSE), (RESUMED,)),
        ("closed", ResumeGate(CAUSE), (RESUMED,)),
        ("running", CloseGate(CAUSE), (CLOSED,)),
        ("paused", CloseGate(CAUSE), (CLOSED,)),
        ("closed", CloseGate(CAUSE), ()),
        ("running", ReleaseGate(CAUSE), ()),
    ],
)
def test_a_command_gives_these_events_under_this_control(
    control: Control, command: GateCommand, expected: tuple[GateEvent, ...]
) -> None:
    """Semantics 8.1 and 8.4: who and why is in each."""
    assert under(control).decided(command) == expected


@pytest.mark.parametrize("command", [PauseGate(CAUSE), DrainGate(CAUSE)])
def test_a_closed_gate_is_neither_paused_nor_drained(command: GateCommand) -> None:
    assert refused(under("closed").decided(command)) == ("conflict", "gate")


def test_a_drain_is_over_once_nothing_is_in_flight() -> None:
    """Semantics 8.1."""
    assert under("running", in_flight=1).decided(DrainGate(CAUSE)) == (DRAINING,)


def test_a_pause_has_an_end_that_lies_ahead() -> None:
    paused = GatePaused(at=NOW, mono=MONO, cause=CAUSE, until=Wall(NOW + 1))

    assert under("running").decided(PauseGate(CAUSE, Wall(NOW + 1))) == (paused,)
    for until in (NOW, Wall(2**63)):
        wish = PauseGate(CAUSE, until)
        assert refused(under("running").decided(wish)) == ("invalid_field", "until")


def test_a_quarantine_is_ended_by_a_release() -> None:
    gate = replace(open_gate(), quarantined_until=wall(60))

    assert Given(gate).decided(ReleaseGate(CAUSE)) == (
        GateReleased(at=NOW, mono=MONO, cause=CAUSE),
    )


@pytest.mark.parametrize(
    "command",
    [PauseGate(CAUSE), DrainGate(CAUSE), ResumeGate(CAUSE), CloseGate(CAUSE), ReleaseGate(CAUSE)],
)
def test_a_gate_that_is_not_there_takes_no_command(command: GateCommand) -> None:
    assert refused(decide(None, command, MONO, NOW, backlog=False)) == ("not_found", "gate")


@pytest.mark.parametrize("implicit", [True, False])
def test_settings_open_a_gate_that_is_not_there(implicit: bool) -> None:
    chosen = settings(Rate(1.0))

    decided = decide(None, SetGate(chosen, CAUSE, implicit), MONO, NOW, backlog=False)

    assert decided == (
        GateOpened(at=NOW, mono=MONO, cause=CAUSE, settings=chosen, implicit=implicit),
    )


def test_settings_change_a_gate_that_is_there_and_the_same_again_nothing() -> None:
    """Semantics 3.6."""
    gate = Given(open_gate(Rate(1.0)))
    chosen = settings(Rate(2.0))

    assert gate.decided(SetGate(chosen, CAUSE)) == (
        GateLimitsChanged(at=NOW, mono=MONO, cause=CAUSE, settings=chosen),
    )
    assert gate.decided(SetGate(settings(Rate(1.0)), CAUSE)) == ()


def test_settings_out_of_range_change_nothing() -> None:
    wrong = settings(concurrency=0)

    assert refused(Given(open_gate()).decided(SetGate(wrong, CAUSE)))[1] == "limits.concurrency"
    assert refused(decide(None, SetGate(wrong, CAUSE), MONO, NOW, backlog=False))[0] == (
        "invalid_field"
    )


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a", "9", "https~api.example.com~443", "A.b_c~d-e", "x" * 255, "http~--1~80"]
)
def test_these_are_gate_names(name: str) -> None:
    """Semantics 1."""
    assert refuse_name(name) is None


@pytest.mark.parametrize(
    "name",
    ["", ".a", "-a", "~a", "_a", "a b", "a/b", "a\n", "ä", "x" * 256, "a:80", "a\x00", "٣"],
)
def test_these_are_no_gate_names(name: str) -> None:
    """Semantics 1: whatever would be another thing in a path or a stream's name."""
    wrong = refuse_name(name)

    assert wrong is not None
    assert (wrong.code, wrong.field) == ("invalid_field", "gate")
    assert wrong.message.isascii()
    assert wrong.message.isprintable()


# --- ranges -----------------------------------------------------------------------------------


def with_rate(rate: float = 1.0, per_ns: int = SECOND, burst: int = 1) -> GateSettings:
    return settings(Rate(rate, per_ns, burst))


def with_rules(**rules: object) -> GateSettings:
    return settings(recovery=replace(RecoverySettings(), **rules))


@pytest.mark.parametrize(
    "chosen",
    [
        GateSettings(),
        settings(concurrency=1),
        settings(concurrency=100_000),
        settings(*[Rate(1.0)] * 8),
        with_rate(1_000_000.0),
        with_rate(1.0, 366 * DAY),
        with_rate(0.001, 10 * SECOND),
        with_rate(burst=1_000_000),
        replace(settings(), aging_ns=0),
        replace(settings(), aging_ns=DAY),
        replace(settings(), max_backlog=10**9),
        with_rules(trip_failures=1, trip_ratio=0.01, trip_min_attempts=1),
        with_rules(trip_failures=1_000, trip_ratio=1.0, trip_min_attempts=100_000),
        with_rules(trip_window_ns=SECOND),
        with_rules(trip_window_ns=120 * SECOND),
        with_rules(tripped_min_ns=100 * MILLISECOND, tripped_max_ns=100 * MILLISECOND),
        with_rules(tripped_max_ns=DAY),
        with_rules(ramp_step_ns=100 * MILLISECOND, ramp_after_ns=0),
        with_rules(ramp_step_ns=DAY, ramp_after_ns=DAY),
        with_rules(fresh_share=0),
        with_rules(fresh_share=1),
        with_rules(ramp_steps=()),
        with_rules(ramp_steps=tuple(range(1, 21))),
        with_rules(ramp_steps=(100,)),
    ],
)
def test_these_settings_are_taken(chosen: GateSettings) -> None:
    assert refuse_settings(chosen) is None


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        (settings(concurrency=0), "limits.concurrency"),
        (settings(concurrency=-1), "limits.concurrency"),
        (settings(concurrency=100_001), "limits.concurrency"),
        (settings(*[Rate(1.0)] * 9), "limits.rates"),
        (with_rate(0.0), "limits.rates[0].rate"),
        (with_rate(-1.0), "limits.rates[0].rate"),
        (with_rate(nan), "limits.rates[0].rate"),
        (with_rate(inf), "limits.rates[0].rate"),
        (with_rate(1_000_001.0), "limits.rates[0].rate"),
        (with_rate(1e-9), "limits.rates[0].rate"),  # one in 31 years
        (with_rate(5e-324), "limits.rates[0].rate"),
        (with_rate(per_ns=SECOND - 1), "limits.rates[0].per"),
        (with_rate(per_ns=366 * DAY + 1), "limits.rates[0].per"),
        (with_rate(burst=0), "limits.rates[0].burst"),
        (with_rate(burst=1_000_001), "limits.rates[0].burst"),
        (settings(Rate(1.0), Rate(0.0)), "limits.rates[1].rate"),
        (replace(settings(), aging_ns=-1), "aging"),
        (replace(settings(), aging_ns=DAY + 1), "aging"),
        (replace(settings(), max_backlog=-1), "max_backlog"),
        (replace(settings(), max_backlog=10**9 + 1), "max_backlog"),
        (with_rules(trip_failures=0), "recovery.trip_failures"),
        (with_rules(trip_failures=1_001), "recovery.trip_failures"),
        (with_rules(trip_ratio=0.0), "recovery.trip_ratio"),
        (with_rules(trip_ratio=1.01), "recovery.trip_ratio"),
        (with_rules(trip_ratio=nan), "recovery.trip_ratio"),
        (with_rules(trip_min_attempts=0), "recovery.trip_min_attempts"),
        (with_rules(trip_min_attempts=100_001), "recovery.trip_min_attempts"),
        (with_rules(trip_window_ns=SECOND - 1), "recovery.trip_window"),
        (with_rules(trip_window_ns=120 * SECOND + 1), "recovery.trip_window"),
        (with_rules(tripped_min_ns=99 * MILLISECOND), "recovery.tripped_min"),
        (with_rules(tripped_min_ns=31 * SECOND), "recovery.tripped_min"),
        (with_rules(tripped_max_ns=DAY + 1), "recovery.tripped_max"),
        (with_rules(ramp_step_ns=99 * MILLISECOND), "recovery.ramp_step"),
        (with_rules(ramp_step_ns=DAY + 1), "recovery.ramp_step"),
        (with_rules(ramp_after_ns=-1), "recovery.ramp_after"),
        (with_rules(ramp_after_ns=DAY + 1), "recovery.ramp_after"),
        (with_rules(fresh_share=-0.1), "recovery.fresh_share"),
        (with_rules(fresh_share=1.1), "recovery.fresh_share"),
        (with_rules(fresh_share=nan), "recovery.fresh_share"),
        (with_rules(ramp_steps=(0, 100)), "recovery.ramp_steps"),
        (with_rules(ramp_steps=(5, 101)), "recovery.ramp_steps"),
        (with_rules(ramp_steps=(10, 5)), "recovery.ramp_steps"),
        (with_rules(ramp_steps=(5, 5)), "recovery.ramp_steps"),
        (with_rules(ramp_steps=tuple(range(1, 22))), "recovery.ramp_steps"),
    ],
)
def test_these_settings_are_refused_by_name(chosen: GateSettings, field: str) -> None:
    """Style 8: what, where, remedy."""
    wrong = refuse_settings(chosen)

    assert wrong is not None
    assert (wrong.code, wrong.field) == ("invalid_field", field)
    assert wrong.message
    assert wrong.remedy


def test_the_tightest_limits_that_are_taken_can_be_reckoned_with() -> None:
    """A start in 366 days, by 8 rates: no overflow, no division by zero."""
    limits = Limits(1, (Rate(1.0, 366 * DAY, 1_000_000),) * 8)

    assert refuse_settings(GateSettings(limits=limits)) is None
