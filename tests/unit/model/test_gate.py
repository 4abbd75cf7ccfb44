"""What a gate allows now, and what its events make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import (
    MILLISECOND,
    MINUTE,
    SECOND,
    GateClosed,
    GateDrained,
    GateEvent,
    GateLimitsChanged,
    GateOpened,
    GatePaused,
    GateProbed,
    GateQuarantined,
    GateRampStepped,
    GateRecovered,
    GateReleased,
    GateResumed,
    GateTripped,
    Mono,
    Rate,
    Version,
    Wall,
)
from taskmaster.model.gate import (
    Gate,
    Grant,
    Mode,
    Open,
    Probing,
    Ramping,
    Tripped,
    Wait,
    WaitCause,
    admit,
    evolve,
    evolve_attempt,
    is_calm,
    state_name,
    stopped_ns,
)
from taskmaster.model.outcomes import KEPT_SECONDS, Bucket
from taskmaster.model.recovery import react
from taskmaster.model.restore import Traffic, restore
from tests.unit.model.builders import (
    MONO,
    NAME,
    NOW,
    failed,
    mono,
    open_gate,
    seen,
    settings,
    started,
    succeeded,
    voided,
    wall,
    with_outcomes,
)

MODES: tuple[tuple[Mode, str], ...] = (
    (Open(), "open"),
    (Tripped(mono(5), 1), "tripped"),
    (Probing(1), "probing"),
    (Ramping(0, 5, mono(10), 1), "ramping"),
)


def tripped(at: float, until: float = 100) -> GateTripped:
    return GateTripped(at=wall(at), mono=mono(at), until=mono(until), trips=1)


def paused(at: float, *, until: Wall | None = None, drain: bool = False) -> GatePaused:
    return GatePaused(at=wall(at), mono=mono(at), until=until, drain=drain)


def after(gate: Gate, *events: GateEvent) -> Gate:
    for event in events:
        gate = evolve(gate, event, NAME)
    return gate


# --- admit ------------------------------------------------------------------------------------


def test_an_open_gate_grants_at_once_and_spends_a_token() -> None:
    gate = open_gate(Rate(10.0, SECOND, 1))

    assert admit(gate, MONO) == Grant(slot_at=MONO, tats=(mono(0.1),))


def test_a_token_up_to_50_ms_ahead_is_granted_for_its_instant() -> None:
    """Hard spots 1: a commit's latency costs no throughput."""
    gate = replace(open_gate(Rate(10.0, SECOND, 1)), tats=(mono(0.05),))

    assert admit(gate, MONO) == Grant(slot_at=mono(0.05), tats=(mono(0.15),))


def test_a_token_further_ahead_waits_until_50_ms_before_it() -> None:
    gate = replace(open_gate(Rate(10.0, SECOND, 1)), tats=(Mono(mono(0.05) + 1),))

    assert admit(gate, MONO) == Wait("token", Mono(MONO + 1))


def test_the_pacers_record_counts_where_it_is_later() -> None:
    """Semantics 3.8: what a late commit delayed is spaced anew."""
    gate = open_gate(Rate(10.0, SECOND, 1))

    assert admit(gate, MONO, (mono(0.04),)) == Grant(slot_at=mono(0.04), tats=(mono(0.14),))


def test_a_full_gate_waits_for_the_end_of_an_attempt() -> None:
    """Semantics 3.2."""
    assert admit(open_gate(concurrency=2, in_flight=2), MONO) == Wait("slot", None)


def test_waiting_spends_nothing() -> None:
    """Semantics 3.3."""
    gate = open_gate(Rate(10.0, SECOND, 1), concurrency=1, in_flight=1)

    answer = admit(gate, MONO)

    assert answer == Wait("slot")
    assert gate.tats == (MONO,)


def test_a_tripped_gate_grants_nothing_and_says_until_when() -> None:
    gate = open_gate(mode=Tripped(mono(5), 1))

    assert admit(gate, mono(1)) == Wait("tripped", mono(5))


def test_a_tripped_gate_whose_time_is_over_waits_for_its_probe_to_be_recorded() -> None:
    """Semantics 4.3: probing is a mode of its own, and an event first."""
    assert admit(open_gate(mode=Tripped(mono(5), 1)), mono(9)) == Wait("tripped", mono(5))


def test_a_probing_gate_grants_one_attempt_at_a_time() -> None:
    """Semantics 4.3; and 3.4, it spends a token like everything else."""
    gate = open_gate(Rate(10.0, SECOND, 1), mode=Probing(1))

    assert admit(gate, MONO) == Grant(slot_at=MONO, tats=(mono(0.1),), probe=True)
    assert admit(replace(gate, in_flight=1), MONO) == Wait("probing")


@pytest.mark.parametrize(
    ("percent", "in_flight", "expected"),
    [
        (5, 0, None),
        (5, 1, Wait("ramp")),
        (50, 9, None),
        (50, 10, Wait("ramp")),
        (50, 20, Wait("slot")),
    ],
)
def test_a_ramping_gate_has_a_share_of_its_slots(
    percent: int, in_flight: int, expected: Wait | None
) -> None:
    """Semantics 4.4."""
    mode = Ramping(0, percent, mono(10), 1)
    gate = open_gate(concurrency=20, mode=mode, in_flight=in_flight)

    assert admit(gate, MONO) == (expected or Grant(MONO, ()))


def test_a_ramping_gate_has_a_share_of_its_rate() -> None:
    """Semantics 4.4: a quarter of ten a second is one each 400 ms."""
    gate = open_gate(Rate(10.0, SECOND, 4), mode=Ramping(2, 25, mono(10), 1))

    first = admit(gate, MONO)

    assert first == Grant(MONO, (mono(0.4),))
    assert isinstance(first, Grant)
    assert admit(replace(gate, tats=first.tats), MONO) == Wait("ramp", mono(0.35))


def test_a_throttled_gate_starts_nothing_before_the_moment_that_was_asked_for() -> None:
    """Semantics 4.6."""
    gate = replace(open_gate(), throttled_until=mono(10))

    assert admit(gate, MONO) == Wait("throttled", mono(9.95))
    assert admit(gate, mono(9.95)) == Grant(mono(10), ())
    assert admit(gate, mono(10)) == Grant(mono(10), ())


CAUSES: tuple[WaitCause, ...] = (
    "quarantined",
    "paused",
    "throttled",
    "tripped",
    "slot",
    "token",
)


@given(st.sets(st.sampled_from(CAUSES)))
def test_the_first_cause_that_holds_is_given(causes: set[WaitCause]) -> None:
    """Semantics 10: quarantined, paused, throttled, tripped, probing, slot, ramp, token."""
    gate = open_gate(Rate(1.0, SECOND, 1), concurrency=1)
    if "quarantined" in causes:
        gate = replace(gate, quarantined_until=wall(60))
    if "paused" in causes:
        gate = replace(gate, control="paused")
    if "throttled" in causes:
        gate = replace(gate, throttled_until=mono(60))
    if "tripped" in causes:
        gate = replace(gate, mode=Tripped(mono(60), 1))
    if "slot" in causes:
        gate = replace(gate, in_flight=1)
    if "token" in causes:
        gate = replace(gate, tats=(mono(60),))
    expected = next((cause for cause in CAUSES if cause in causes), None)

    answer = admit(gate, MONO)

    assert (answer.cause if isinstance(answer, Wait) else None) == expected


@pytest.mark.parametrize(
    ("gate", "cause"),
    [
        (open_gate(concurrency=1, mode=Probing(1), in_flight=1), "probing"),
        (open_gate(concurrency=1, mode=Ramping(0, 5, mono(1), 1), in_flight=1), "slot"),
        (
            replace(open_gate(Rate(1.0), mode=Ramping(0, 5, mono(1), 1)), tats=(mono(60),)),
            "ramp",
        ),
    ],
)
def test_probing_goes_before_the_slot_and_the_ramp_after_it(gate: Gate, cause: WaitCause) -> None:
    """Semantics 10."""
    answer = admit(gate, MONO)

    assert isinstance(answer, Wait)
    assert answer.cause == cause


# --- control beside mode ----------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "name"), MODES)
def test_the_state_is_the_control_unless_it_is_running(mode: Mode, name: str) -> None:
    """Semantics 4.1."""
    gate = open_gate(mode=mode)

    assert state_name(gate) == name
    assert state_name(after(gate, paused(1))) == "paused"
    assert state_name(after(gate, paused(1, drain=True))) == "draining"
    assert state_name(after(gate, GateClosed(at=wall(1), mono=mono(1)))) == "closed"
    quarantined = GateQuarantined(at=wall(1), mono=mono(1), until=wall(60))
    assert state_name(after(gate, paused(1), quarantined)) == "quarantined"


@pytest.mark.parametrize(("mode", "name"), MODES)
@pytest.mark.parametrize(
    "stop", [paused(1), paused(1, drain=True), GateClosed(at=wall(1), mono=mono(1))]
)
def test_resuming_keeps_the_mode(mode: Mode, name: str, stop: GateEvent) -> None:
    """Semantics 4.1."""
    gate = after(open_gate(mode=mode), stop, GateResumed(at=wall(2), mono=mono(2)))

    assert gate.mode == mode
    assert state_name(gate) == name


@pytest.mark.parametrize("control", ["paused", "draining", "closed"])
@pytest.mark.parametrize(("mode", "name"), MODES)
def test_nothing_starts_at_a_gate_that_does_not_run(control: str, mode: Mode, name: str) -> None:
    """Semantics 8.1."""
    del name
    gate = replace(open_gate(mode=mode), control=control)

    assert admit(gate, MONO) == Wait("paused")


def test_a_mode_may_change_while_the_gate_is_paused() -> None:
    gate = after(open_gate(), paused(1), tripped(2))

    assert gate.mode == Tripped(mono(100), 1)
    assert gate.control == "paused"


def test_a_resume_ends_a_pause_and_forgets_its_end() -> None:
    gate = after(
        open_gate(),
        paused(1, until=wall(60), drain=True),
        GateDrained(at=wall(2), mono=mono(2)),
    )
    assert (gate.control, gate.paused_until, gate.drained) == ("draining", wall(60), True)

    gate = after(gate, GateResumed(at=wall(3), mono=mono(3)))

    assert (gate.control, gate.paused_until, gate.drained) == ("running", None, False)


def test_a_quarantine_ends_with_its_release() -> None:
    gate = after(open_gate(), GateQuarantined(at=wall(1), mono=mono(1), until=wall(60)))
    assert admit(gate, mono(2)) == Wait("quarantined")

    gate = after(gate, GateReleased(at=wall(3), mono=mono(3)))

    assert admit(gate, mono(3)) == Grant(mono(3), ())


def test_each_event_of_its_own_is_a_version() -> None:
    opened = evolve(None, GateOpened(at=NOW, mono=MONO, settings=settings()), NAME)

    assert opened.version == Version(1)
    assert after(opened, paused(1), tripped(2)).version == Version(3)
    assert evolve_attempt(opened, started()).version == Version(1)


def test_the_first_event_opens_the_gate_with_full_buckets() -> None:
    chosen = settings(Rate(1.0, SECOND, 3), Rate(9.0, SECOND, 1))

    gate = evolve(None, GateOpened(at=NOW, mono=MONO, settings=chosen, implicit=True), NAME)

    assert gate == Gate(
        name=NAME, settings=chosen, version=Version(1), implicit=True, tats=(MONO, MONO)
    )


def test_other_limits_hold_from_their_event_on() -> None:
    """Semantics 3.6; the mode stays what it was."""
    gate = replace(open_gate(Rate(1.0, SECOND, 1)), tats=(mono(1),), mode=Probing(1))
    chosen = settings(Rate(10.0, SECOND, 1), concurrency=2)

    gate = after(gate, GateLimitsChanged(at=NOW, mono=MONO, settings=chosen))

    assert gate.settings == chosen
    assert gate.tats == (mono(0.1),)
    assert gate.mode == Probing(1)


# --- attempts ---------------------------------------------------------------------------------


def test_in_flight_is_starts_less_ends() -> None:
    """Semantics 3.2: whatever the end."""
    gate = open_gate()
    for _ in range(7):
        gate = evolve_attempt(gate, started())
    assert gate.in_flight == 7

    ends = (
        voided(),
        succeeded(),
        failed("endpoint"),
        failed("task"),
        failed("none"),
        failed("none", throttle_until=mono(5)),
        failed("endpoint", follows="uncertain"),
    )
    for index, end in enumerate(ends):
        gate = evolve_attempt(gate, end)
        assert gate.in_flight == 6 - index


def test_a_start_brings_the_tats_after_it() -> None:
    start = replace(started(), tats=(mono(7),))

    assert evolve_attempt(open_gate(Rate(1.0)), start).tats == (mono(7),)


def test_a_voided_start_keeps_its_token_spent_and_is_no_outcome() -> None:
    """Semantics 3.8."""
    start = replace(started(), tats=(mono(7),))

    gate = evolve_attempt(evolve_attempt(open_gate(Rate(1.0)), start), voided())

    assert gate.tats == (mono(7),)
    assert (gate.buckets, gate.failures_in_row) == ((), 0)


@pytest.mark.parametrize(
    ("end", "in_row", "bucket"),
    [
        (failed("endpoint"), 4, (1, 1)),
        (failed("task"), 0, (1, 0)),
        (succeeded(), 0, (1, 0)),
        (failed("none"), 3, None),
        (voided(), 3, None),
    ],
)
def test_only_the_endpoints_failures_count_and_a_sign_of_life_ends_the_row(
    end: object, in_row: int, bucket: tuple[int, int] | None
) -> None:
    """Semantics 4.2: 5xx and no connection; 4xx shows it alive, 429 says nothing."""
    gate = replace(open_gate(in_flight=1), failures_in_row=3)

    gate = evolve_attempt(gate, end)  # pyright: ignore[reportArgumentType]  # one of each

    assert gate.failures_in_row == in_row
    counted = tuple((one.ended, one.failed) for one in gate.buckets)
    assert counted == (() if bucket is None else (bucket,))


def test_the_latest_moment_asked_for_throttles_the_gate() -> None:
    """Semantics 4.6."""
    gate = evolve_attempt(open_gate(), failed("none", throttle_until=mono(10)))
    gate = evolve_attempt(gate, failed("none", throttle_until=mono(4)))
    gate = evolve_attempt(gate, failed("none"))

    assert gate.throttled_until == mono(10)


def test_outcomes_of_one_second_are_counted_together() -> None:
    gate = open_gate()
    for end in (succeeded(at=wall(0)), failed(at=wall(0.9)), failed(at=wall(1))):
        gate = evolve_attempt(gate, end)

    second = NOW // SECOND
    assert gate.buckets == (Bucket(second, 2, 1, took_ns=1), Bucket(second + 1, 1, 1))
    assert gate.failed == 2


def test_an_outcome_that_comes_late_counts_in_the_newest_second() -> None:
    gate = evolve_attempt(open_gate(), failed(at=wall(5)))

    gate = evolve_attempt(gate, failed(at=wall(3)))

    assert gate.buckets == (Bucket(NOW // SECOND + 5, 2, 2),)


def test_outcomes_are_forgotten_after_two_minutes() -> None:
    gate = evolve_attempt(open_gate(), failed(at=wall(0)))
    gate = evolve_attempt(gate, failed(at=wall(1)))

    gate = evolve_attempt(gate, succeeded(at=wall(KEPT_SECONDS + 1)))

    assert [bucket.second - NOW // SECOND for bucket in gate.buckets] == [1, 121]
    assert gate.failed == 1


@pytest.mark.parametrize(
    "change",
    [
        tripped(1),
        GateProbed(at=wall(1), mono=mono(1)),
        GateRampStepped(at=wall(1), mono=mono(1), step=0, percent=5, until=mono(11), why="probe"),
        GateRecovered(at=wall(1), mono=mono(1)),
    ],
)
def test_outcomes_are_counted_anew_in_each_mode(change: GateEvent) -> None:
    gate = with_outcomes(open_gate(), ended=9, failed=4, in_row=2)

    gate = after(gate, change)

    assert (gate.buckets, gate.failed, gate.failures_in_row) == ((), 0, 0)


def test_trips_are_counted_until_the_gate_has_recovered() -> None:
    step = GateRampStepped(at=wall(2), mono=mono(2), step=0, percent=5, until=mono(12), why="probe")
    probed = GateProbed(at=wall(1), mono=mono(1))
    gate = after(open_gate(), replace(tripped(0), trips=3), probed, step)
    assert gate.mode == Ramping(0, 5, mono(12), 3)

    gate = after(gate, GateRecovered(at=wall(9), mono=mono(9)), step)

    assert gate.mode == Ramping(0, 5, mono(12), 0)


# --- stopped time -----------------------------------------------------------------------------


def test_time_stopped_adds_up_over_pauses_and_trips() -> None:
    """Semantics 5: paused, tripped and probing time is no task's."""
    gate = after(open_gate(), paused(10), GateResumed(at=wall(15), mono=mono(15)), tripped(100))
    assert stopped_ns(gate, mono(100)) == 5 * SECOND
    assert stopped_ns(gate, mono(130)) == 35 * SECOND

    gate = after(gate, GateProbed(at=wall(130), mono=mono(130)))
    assert stopped_ns(gate, mono(140)) == 45 * SECOND

    step = GateRampStepped(
        at=wall(150), mono=mono(150), step=0, percent=5, until=mono(160), why="probe"
    )
    gate = after(gate, step)
    assert stopped_ns(gate, mono(9_999)) == 55 * SECOND


def test_a_pause_within_a_trip_is_counted_once() -> None:
    gate = after(
        open_gate(),
        tripped(10),
        paused(20),
        GateRecovered(at=wall(30), mono=mono(30)),
        GateResumed(at=wall(40), mono=mono(40)),
    )

    assert stopped_ns(gate, mono(100)) == 30 * SECOND


def test_closed_and_draining_time_is_stopped_time() -> None:
    gate = after(open_gate(), paused(0, drain=True), GateClosed(at=wall(5), mono=mono(5)))

    assert stopped_ns(gate, mono(9)) == 9 * SECOND


# --- calm -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "calm"),
    [
        (open_gate(in_flight=3), True),
        (with_outcomes(open_gate(), ended=100, failed=0), True),
        (with_outcomes(open_gate(), ended=100, failed=1), False),
        (after(open_gate(), paused(0)), False),
        (open_gate(mode=Tripped(mono(5), 1)), False),
        (open_gate(mode=Probing(1)), False),
        (open_gate(mode=Ramping(0, 5, mono(10), 0)), False),
    ],
)
def test_a_gate_is_calm_while_it_is_open_runs_and_remembers_no_failure(
    gate: Gate, calm: bool
) -> None:
    assert is_calm(gate) is calm


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(0, 119), st.integers(1, 50)), max_size=5),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_nothing_follows_by_rule_at_a_calm_gate_at_any_time(
    in_flight: int, buckets: list[tuple[int, int]], after_s: int, backlog: bool
) -> None:
    """Its actor does not ask. (Over random histories: `tests/unit/actors/test_gate_stream.py`.)"""
    gate = open_gate(in_flight=in_flight)
    for ago_s, ended in sorted(buckets, reverse=True):
        gate = with_outcomes(gate, ended=ended, failed=0, ago_s=ago_s)

    assert is_calm(gate)
    assert react(gate, mono(after_s), wall(after_s), seen(backlog=backlog)) == ()


# --- restored ---------------------------------------------------------------------------------


def test_a_restored_gate_takes_its_attempts_from_the_traffic() -> None:
    opened = GateOpened(at=NOW, mono=MONO, settings=settings(Rate(1.0)))
    traffic = Traffic(
        in_flight=3,
        tats=(mono(9),),
        tats_position=5,
        failures_in_row=2,
        buckets=(Bucket(1, 4, 2), Bucket(2, 1, 1)),
        throttled_until=mono(60),
    )

    gate = restore(NAME, ((1, opened),), traffic)

    assert gate.in_flight == 3
    assert gate.tats == (mono(9),)
    assert (gate.failures_in_row, gate.failed) == (2, 3)
    assert gate.throttled_until == mono(60)


def test_events_after_the_last_start_are_folded_on_top_of_its_tats() -> None:
    """Semantics 3.5 and 3.6: what was spent stays spent under limits that came later."""
    opened = GateOpened(at=NOW, mono=MONO, settings=settings(Rate(1.0, SECOND, 5)))
    slower = GateLimitsChanged(at=NOW, mono=MONO, settings=settings(Rate(0.5, SECOND, 5)))
    traffic = Traffic(tats=(mono(3),), tats_position=5)

    before = restore(NAME, ((1, opened), (3, slower)), traffic)
    behind = restore(NAME, ((1, opened), (8, slower)), traffic)

    assert before.tats == (mono(3),)
    assert behind.tats == (mono(6),)


def test_a_gate_that_never_started_anything_has_the_buckets_it_was_opened_with() -> None:
    opened = GateOpened(at=NOW, mono=MONO, settings=settings(Rate(1.0)))

    assert restore(NAME, ((4, opened),), Traffic()).tats == (MONO,)


def test_a_start_that_is_written_late_under_other_rates_counts_for_nothing() -> None:
    """Its actor crashed before it was durable, so it was never sent."""
    opened = GateOpened(at=NOW, mono=MONO, settings=settings(Rate(1.0)))
    two = settings(Rate(1.0), Rate(100.0, MINUTE))
    changed = GateLimitsChanged(at=NOW, mono=MONO, settings=two)
    late = Traffic(tats=(mono(7),), tats_position=3)

    gate = restore(NAME, ((1, opened), (2, changed)), late)

    assert gate.tats == (MONO, MONO)
    assert isinstance(admit(gate, MONO), Grant)


def test_a_lookahead_is_50_ms() -> None:
    """Hard spots 1."""
    gate = replace(open_gate(Rate(1.0)), tats=(mono(1),))

    assert admit(gate, Mono(mono(1) - 50 * MILLISECOND)) == Grant(mono(1), (mono(2),))
