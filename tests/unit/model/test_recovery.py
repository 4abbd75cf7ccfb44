"""How a gate trips, probes and ramps up again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import (
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    GateDrained,
    GateEvent,
    GateLimitsChanged,
    GateProbed,
    GateRampStepped,
    GateRecovered,
    GateResumed,
    GateTripped,
    Mono,
    Rate,
    RecoverySettings,
)
from taskmaster.model.control import ResumeGate, SetGate, decide
from taskmaster.model.gate import (
    Gate,
    Grant,
    Open,
    Probing,
    Ramping,
    Tripped,
    Wait,
    admit,
    evolve,
    evolve_attempt,
)
from taskmaster.model.outcomes import Bucket
from taskmaster.model.recovery import (
    is_failing,
    next_reaction_at,
    ramp_after_raise,
    ramp_after_stop,
    react,
)
from tests.unit.model.builders import (
    CAUSE,
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
    wall,
    with_outcomes,
)
from tests.unit.model.windows import worst_excess

NO_RAMP = RecoverySettings(ramp_steps=())


def the_reaction(gate: Gate, at: float = 0, *, backlog: bool = True, u: float = 0.0) -> GateEvent:
    (event,) = react(gate, mono(at), wall(at), seen(backlog=backlog, u=u))
    return event


def reacted(gate: Gate, at: float = 0, *, backlog: bool = True, u: float = 0.0) -> Gate:
    for event in react(gate, mono(at), wall(at), seen(backlog=backlog, u=u)):
        gate = evolve(gate, event, NAME)
    return gate


def has_tripped(gate: Gate, at: float = 0) -> bool:
    return isinstance(reacted(gate, at).mode, Tripped)


# --- tripping ---------------------------------------------------------------------------------


def test_five_failures_in_a_row_trip_the_gate_for_a_second() -> None:
    """Semantics 4.2."""
    gate = open_gate(in_flight=9)
    for _ in range(4):
        gate = evolve_attempt(gate, failed())
        assert react(gate, MONO, NOW, seen()) == ()

    gate = evolve_attempt(gate, failed())

    assert the_reaction(gate) == GateTripped(
        at=NOW, mono=MONO, until=mono(1), trips=1, failures=5, attempts=5
    )


@pytest.mark.parametrize("sign_of_life", [succeeded(), failed("task")])
def test_a_success_or_a_4xx_ends_the_row(sign_of_life: object) -> None:
    """Semantics 4.2: neither is the endpoint's failure."""
    gate = open_gate(in_flight=20)
    for end in (*[failed()] * 4, sign_of_life, *[failed()] * 4):
        gate = evolve_attempt(gate, end)  # pyright: ignore[reportArgumentType]  # one of both

    assert gate.failures_in_row == 4
    assert not has_tripped(gate)


def test_a_429_neither_counts_nor_ends_the_row() -> None:
    """Semantics 4.2."""
    gate = open_gate(in_flight=20)
    for _ in range(20):
        gate = evolve_attempt(gate, failed("none", throttle_until=mono(1)))
    assert not has_tripped(gate)

    for end in (*[failed()] * 4, failed("none"), failed()):
        gate = evolve_attempt(gate, end)

    assert has_tripped(gate)


@pytest.mark.parametrize(
    ("ended", "wrong", "trips"),
    [
        (9, 5, False),  # too few to say
        (9, 9, False),
        (10, 4, False),
        (10, 5, True),
        (11, 5, False),  # less than half
        (11, 6, True),
        (1_000, 500, True),
        (1_000, 499, False),
    ],
)
def test_half_of_at_least_ten_attempts_trips(ended: int, wrong: int, trips: bool) -> None:
    """Semantics 4.2."""
    gate = with_outcomes(open_gate(), ended=ended, failed=wrong, in_row=1)

    assert has_tripped(gate) is trips


def test_the_tenth_attempt_trips_though_it_succeeds() -> None:
    """Semantics 4.2: five of ten failed, whichever came last."""
    gate = open_gate(in_flight=10)
    for end in (*[failed(), succeeded()] * 4, failed()):
        gate = evolve_attempt(gate, end)
    assert react(gate, MONO, NOW, seen()) == ()

    gate = evolve_attempt(gate, succeeded())

    assert the_reaction(gate) == GateTripped(
        at=NOW, mono=MONO, until=mono(1), trips=1, failures=5, attempts=10
    )


def test_what_ended_more_than_a_minute_ago_is_outside_the_window() -> None:
    """Semantics 4.2."""
    old = with_outcomes(open_gate(), ended=8, failed=8, ago_s=60)
    gate = with_outcomes(old, ended=2, failed=2)

    assert not is_failing(gate, NOW)
    assert is_failing(with_outcomes(open_gate(), ended=10, failed=5, ago_s=59), NOW)


def test_a_minute_later_the_same_outcomes_trip_no_more() -> None:
    gate = with_outcomes(open_gate(), ended=10, failed=10)

    assert has_tripped(gate, at=59)
    assert not has_tripped(gate, at=61)


def test_thresholds_are_settable() -> None:
    """Semantics 4.2."""
    rules = RecoverySettings(
        trip_failures=2, trip_min_attempts=4, trip_ratio=0.25, trip_window_ns=10 * SECOND
    )
    gate = open_gate(recovery=rules)

    assert has_tripped(with_outcomes(gate, ended=2, failed=2, in_row=2))
    assert has_tripped(with_outcomes(gate, ended=4, failed=1))
    assert not has_tripped(with_outcomes(gate, ended=3, failed=1))
    assert not has_tripped(with_outcomes(gate, ended=4, failed=1, ago_s=10))


def test_a_paused_gate_does_not_trip_before_it_is_resumed() -> None:
    """Semantics 4.1: resuming keeps the mode, so the mode stands still."""
    gate = replace(with_outcomes(open_gate(), ended=5, failed=5, in_row=5), control="paused")

    assert react(gate, MONO, NOW, seen()) == ()
    assert has_tripped(replace(gate, control="running"))


# --- the tripped time -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trips", "away_s"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (1_000, 30)]
)
def test_tripped_time_doubles_from_a_second_to_thirty(trips: int, away_s: int) -> None:
    """Semantics 4.2."""
    gate = open_gate(mode=Probing(trips - 1))

    event = the_reaction(replace(gate, failures_in_row=1))

    assert isinstance(event, GateTripped)
    assert (event.until, event.trips) == (mono(away_s), trips)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 9))
def test_tripped_time_is_jittered_downwards_by_up_to_a_quarter(u: float, trips: int) -> None:
    """Semantics 4.2: nodes and gates do not come back at one instant."""
    gate = replace(open_gate(mode=Probing(trips)), failures_in_row=1)

    whole, some = the_reaction(gate), the_reaction(gate, u=u)

    assert isinstance(whole, GateTripped)
    assert isinstance(some, GateTripped)
    assert 0.75 * (whole.until - MONO) <= some.until - MONO <= whole.until - MONO


def test_tripped_time_is_settable() -> None:
    rules = RecoverySettings(tripped_min_ns=5 * SECOND, tripped_max_ns=8 * SECOND)
    gate = with_outcomes(open_gate(recovery=rules), ended=5, failed=5, in_row=5)
    again = replace(open_gate(recovery=rules, mode=Probing(1)), failures_in_row=1)

    assert reacted(gate).mode == Tripped(mono(5), 1)
    assert reacted(again).mode == Tripped(mono(8), 2)


# --- probing ----------------------------------------------------------------------------------


def test_when_the_tripped_time_is_over_the_gate_probes() -> None:
    """Semantics 4.3."""
    gate = open_gate(mode=Tripped(mono(1), 1))

    assert react(gate, Mono(mono(1) - 1), wall(1), seen()) == ()
    assert the_reaction(gate, at=1) == GateProbed(at=wall(1), mono=mono(1))


def test_a_gate_without_work_stays_tripped_until_it_has_some() -> None:
    gate = open_gate(mode=Tripped(mono(1), 1))

    assert react(gate, mono(500), wall(500), seen(backlog=False)) == ()


def test_attempts_of_the_time_before_the_trip_end_before_the_first_probe() -> None:
    """Semantics 4.3: one attempt at a time, and its outcome is the probe's own."""
    gate = open_gate(mode=Tripped(mono(1), 1), in_flight=1)
    assert react(gate, mono(2), wall(2), seen()) == ()

    gate = evolve_attempt(gate, succeeded(at=wall(2)))

    assert reacted(gate, at=2).mode == Probing(1)
    assert reacted(gate, at=2).buckets == ()


def test_one_probe_at_a_time() -> None:
    """Semantics 4.3."""
    gate = open_gate(mode=Probing(1))
    assert isinstance(admit(gate, MONO), Grant)

    gate = evolve_attempt(gate, started(probe=True))

    assert admit(gate, MONO) == Wait("probing")
    assert react(gate, MONO, NOW, seen()) == ()


@pytest.mark.parametrize("good", [succeeded(), failed("task")])
def test_a_good_probe_starts_the_ramp_at_its_first_step(good: object) -> None:
    """Semantics 4.3: never at full rate. A 4xx shows that the endpoint is alive."""
    gate = open_gate(mode=Probing(2), in_flight=1)

    gate = evolve_attempt(gate, good)  # pyright: ignore[reportArgumentType]  # one of both

    assert the_reaction(gate) == GateRampStepped(
        at=NOW, mono=MONO, step=0, percent=5, until=mono(10), why="probe"
    )
    assert reacted(gate).mode == Ramping(0, 5, mono(10), 2)


def test_a_failed_probe_trips_again_for_twice_as_long() -> None:
    """Semantics 4.2 and 4.3: one failure is enough."""
    gate = evolve_attempt(open_gate(mode=Probing(2), in_flight=1), failed())

    assert reacted(gate).mode == Tripped(mono(4), 3)


def test_a_probe_that_says_nothing_is_followed_by_another() -> None:
    """A 429, or a crash of ours."""
    gate = evolve_attempt(open_gate(mode=Probing(1), in_flight=1), failed("none"))

    assert react(gate, MONO, NOW, seen()) == ()
    assert isinstance(admit(gate, MONO), Grant)


def test_without_a_ramp_a_good_probe_opens_the_gate() -> None:
    """Semantics 4.4: `off`."""
    gate = evolve_attempt(open_gate(recovery=NO_RAMP, mode=Probing(1), in_flight=1), succeeded())

    assert reacted(gate).mode == Open()


# --- the ramp ---------------------------------------------------------------------------------


def test_the_ramp_climbs_step_by_step_to_the_whole() -> None:
    """Semantics 4.4: 5, 10, 25, 50, 100 %, 10 s each."""
    gate = open_gate(mode=Ramping(0, 5, mono(10), 1))
    climbed: list[object] = [gate.mode]
    for at in range(1, 60):
        before = gate
        gate = reacted(evolve_attempt(gate, succeeded(at=wall(at))), at)
        if gate.mode != before.mode:
            mode = gate.mode
            climbed.append(replace(mode, base_ns=0) if isinstance(mode, Ramping) else mode)

    assert climbed == [
        Ramping(0, 5, mono(10), 1),
        Ramping(1, 10, mono(20), 1),
        Ramping(2, 25, mono(30), 1),
        Ramping(3, 50, mono(40), 1),
        Ramping(4, 100, mono(50), 1),
        Open(),
    ]


def test_the_last_step_recovers_the_gate() -> None:
    gate = open_gate(mode=Ramping(4, 100, mono(10), 1))

    assert the_reaction(gate, at=10) == GateRecovered(at=wall(10), mono=mono(10))


def test_no_step_is_left_before_its_time() -> None:
    gate = with_outcomes(open_gate(mode=Ramping(1, 10, mono(10), 1)), ended=500, failed=0)

    assert react(gate, Mono(mono(10) - 1), wall(10), seen()) == ()


@pytest.mark.parametrize(
    ("ended", "wrong", "falls"), [(5, 1, True), (4, 1, False), (6, 1, False), (50, 10, True)]
)
def test_the_ramp_falls_back_a_step_when_a_fifth_fails(ended: int, wrong: int, falls: bool) -> None:
    """Semantics 4.4."""
    gate = with_outcomes(open_gate(mode=Ramping(2, 25, mono(10), 1)), ended=ended, failed=wrong)

    gate = reacted(gate, at=3)

    assert gate.mode == (Ramping(1, 10, mono(13), 1) if falls else Ramping(2, 25, mono(10), 1))


def test_the_first_step_has_none_below_it() -> None:
    gate = with_outcomes(open_gate(mode=Ramping(0, 5, mono(10), 1)), ended=9, failed=2)

    assert react(gate, mono(3), wall(3), seen()) == ()


@pytest.mark.parametrize(
    "outcomes", [{"ended": 5, "failed": 5, "in_row": 5}, {"ended": 10, "failed": 5}]
)
def test_a_ramp_that_fails_trips_again_for_twice_as_long(outcomes: dict[str, int]) -> None:
    """Semantics 4.4 and 4.2."""
    gate = with_outcomes(open_gate(mode=Ramping(3, 50, mono(10), 2)), **outcomes)

    assert reacted(gate, at=3).mode == Tripped(mono(7), 3)


@pytest.mark.parametrize(("ended", "wrong"), [(1, 1), (4, 4), (4, 1)])
def test_a_step_is_not_left_upwards_while_a_fifth_fails(ended: int, wrong: int) -> None:
    """Semantics 4.4, also where too few ended to fall back."""
    gate = open_gate(mode=Ramping(1, 10, mono(10), 1))

    held = with_outcomes(gate, ended=ended, failed=wrong, in_row=wrong)

    assert react(held, mono(10), wall(10), seen()) == ()


def test_a_step_is_not_left_upwards_while_more_is_open_than_ended_well() -> None:
    """Semantics 4.4: an endpoint that hangs."""
    gate = replace(open_gate(mode=Ramping(1, 10, mono(10), 1)), in_flight=3)

    assert react(with_outcomes(gate, ended=2, failed=0), mono(99), wall(99), seen()) == ()
    assert reacted(with_outcomes(gate, ended=3, failed=0), at=99).mode == Ramping(
        2, 25, mono(109), 1
    )


def slowed(times: float, *, ended: int = 10_000, until: float = 10) -> Gate:
    """On the third step, whose attempts took so many times 100 ms, the quickest step's."""
    mode = Ramping(2, 25, mono(until), 1, base_ns=100 * MILLISECOND)
    gate = open_gate(Rate(100.0), concurrency=100, mode=mode)
    took_ns = round(times * 100 * MILLISECOND * ended)
    return replace(gate, buckets=(Bucket(NOW // SECOND, ended, 0, took_ns),))


@pytest.mark.parametrize(("times", "climbs"), [(1, True), (2, True), (2.1, False), (4, False)])
def test_the_ramp_stays_while_attempts_take_twice_as_long(times: float, climbs: bool) -> None:
    """Semantics 4.4: it climbs only while latency stays low."""
    assert bool(react(slowed(times), mono(10), NOW, seen())) is climbs


def test_it_stays_for_six_steps_and_then_takes_that_for_usual() -> None:
    assert react(slowed(3), mono(59), NOW, seen()) == ()

    event = the_reaction(slowed(3), 60)

    assert isinstance(event, GateRampStepped)
    assert (event.why, event.percent) == ("step", 50)
    assert event.base_ns == pytest.approx(300 * MILLISECOND, rel=0.02)


def test_on_its_first_step_it_stays_no_longer_however_slow_they_are() -> None:
    """It fell back there, and every attempt takes far longer now: nothing else will end it."""
    gate = slowed(30)
    gate = replace(gate, mode=Ramping(0, 5, mono(10), 1, base_ns=100 * MILLISECOND, slow_falls=1))

    assert react(gate, mono(59), NOW, seen()) == ()
    event = the_reaction(gate, 60)

    assert isinstance(event, GateRampStepped)
    assert (event.why, event.percent) == ("step", 10)
    assert event.base_ns == pytest.approx(3 * SECOND, rel=0.02)


def test_it_falls_back_a_step_when_they_take_four_times_as_long() -> None:
    """And next time twice as long is good enough: at full load an endpoint may be slower."""
    event = the_reaction(slowed(4.1), 1)

    assert isinstance(event, GateRampStepped)
    assert (event.why, event.percent) == ("slow", 10)
    assert (event.slow_falls, event.base_ns) == (1, 100 * MILLISECOND)
    assert event.took_ns == 410 * MILLISECOND


def test_a_few_slow_attempts_prove_nothing() -> None:
    assert react(slowed(5, ended=4), mono(1), NOW, seen()) == ()
    assert isinstance(the_reaction(slowed(2.5, ended=6), 10), GateRampStepped)


def test_a_ramp_knows_its_quickest_step() -> None:
    gate = reacted(slowed(0.5), 10)

    assert isinstance(gate.mode, Ramping)
    assert gate.mode.base_ns == pytest.approx(50 * MILLISECOND, rel=0.02)


@given(st.floats(1, 50))
def test_an_endpoint_that_is_always_slower_under_load_recovers_all_the_same(times: float) -> None:
    """At a quarter and more of its limits it takes so many times as long as below."""
    mode = Ramping(0, 5, mono(10), 1)
    gate = open_gate(Rate(100.0), concurrency=100, mode=mode)
    for second in range(1_200):
        if isinstance(gate.mode, Open):
            break
        assert isinstance(gate.mode, Ramping)
        share = gate.mode.percent
        took_ns = round(100 * MILLISECOND * (times if share >= 25 else 1))
        bucket = Bucket(NOW // SECOND + second, share, 0, share * took_ns)
        gate = replace(gate, buckets=(*gate.buckets, bucket)[-120:])
        gate = reacted(gate, second)
    assert isinstance(gate.mode, Open)


def test_a_rate_too_slow_for_any_evidence_climbs_by_time() -> None:
    """At one start an hour, 5 % of it would last a day."""
    gate = open_gate(Rate(1.0, HOUR), mode=Ramping(0, 5, mono(10), 1))

    assert reacted(gate, at=10).mode == Ramping(1, 10, mono(20), 1)


def test_a_ramp_whose_steps_were_changed_goes_on_from_its_share() -> None:
    rules = RecoverySettings(ramp_steps=(20, 60))
    gate = open_gate(recovery=rules, mode=Ramping(4, 50, mono(10), 0))

    assert reacted(gate, at=10).mode == Ramping(1, 60, mono(20), 0)
    assert reacted(with_outcomes(gate, ended=10, failed=3)).mode == Ramping(0, 20, mono(10), 0)


def test_a_ramp_with_no_lower_step_left_does_not_recover_by_failing() -> None:
    gate = open_gate(recovery=NO_RAMP, mode=Ramping(3, 50, mono(10), 0))

    assert react(with_outcomes(gate, ended=10, failed=3), mono(1), wall(1), seen()) == ()


@pytest.mark.parametrize("rate", [Rate(100.0, HOUR, 100), Rate(60.0, MINUTE, 60)])
def test_a_trip_and_its_ramp_keep_the_limit(rate: Rate) -> None:
    """Semantics 3.1 across 4.2 to 4.4."""
    gate = open_gate(rate, concurrency=1_000)
    sent: list[int] = []
    for tick in range(2_000):
        at = tick / 10
        gate = reacted(gate, at)
        while isinstance(answer := admit(gate, mono(at)), Grant) and answer.slot_at <= mono(at):
            sent.append(answer.slot_at)
            fails = rate.burst - 5 < len(sent) <= rate.burst
            end = failed(at=wall(at)) if fails else succeeded(at=wall(at))
            began = replace(started(at=wall(at)), slot_at=answer.slot_at, tats=answer.tats)
            gate = reacted(evolve_attempt(evolve_attempt(gate, began), end), at)

    assert len(sent) > rate.burst
    assert worst_excess(sent, rate) <= 0


def test_outcomes_of_the_step_before_are_not_held_against_the_next() -> None:
    gate = with_outcomes(open_gate(mode=Ramping(2, 25, mono(10), 1)), ended=10, failed=2)
    fallen = reacted(gate, at=3)

    assert react(fallen, mono(4), wall(4), seen()) == ()


def test_the_steps_are_settable() -> None:
    """Semantics 4.4."""
    rules = RecoverySettings(ramp_steps=(1, 50), ramp_step_ns=3 * SECOND)
    gate = evolve_attempt(open_gate(recovery=rules, mode=Probing(1), in_flight=1), succeeded())

    gate = reacted(gate)
    assert gate.mode == Ramping(0, 1, mono(3), 1)
    gate = reacted(gate, at=3)
    assert gate.mode == Ramping(1, 50, mono(6), 1)
    gate = reacted(gate, at=6)
    assert gate.mode == Open()


# --- when to look again -----------------------------------------------------------------------


@given(
    st.sampled_from(
        [
            open_gate(),
            open_gate(mode=Tripped(mono(7), 1)),
            open_gate(mode=Ramping(1, 10, mono(7), 1)),
            open_gate(mode=Probing(1)),
        ]
    ),
    st.integers(0, 20),
)
def test_by_time_alone_nothing_follows_before_the_instant_that_was_said(
    gate: Gate, at_s: int
) -> None:
    at = next_reaction_at(gate)

    events = react(gate, mono(at_s), wall(at_s), seen())

    assert bool(events) == (at is not None and mono(at_s) >= at)


# --- control by time and by the last end ------------------------------------------------------


def test_a_pause_ends_at_its_instant() -> None:
    """Semantics 8.1."""
    gate = replace(open_gate(), control="paused", paused_until=wall(60), stopped_since=mono(30))

    assert react(gate, mono(59), wall(59), seen()) == ()
    assert react(gate, mono(60), wall(60), seen()) == (GateResumed(at=wall(60), mono=mono(60)),)


def test_a_pause_follows_the_wall_clock() -> None:
    gate = replace(open_gate(), control="paused", paused_until=wall(60), stopped_since=MONO)

    assert react(gate, mono(1), wall(60), seen()) != ()
    assert react(gate, mono(999), wall(59), seen()) == ()


def test_a_draining_gate_is_drained_with_its_last_end() -> None:
    """Semantics 8.1; it is said once."""
    gate = replace(open_gate(in_flight=1), control="draining", stopped_since=MONO)
    assert react(gate, MONO, NOW, seen()) == ()

    gate = evolve_attempt(gate, succeeded())

    assert react(gate, MONO, NOW, seen()) == (GateDrained(at=NOW, mono=MONO),)
    assert react(replace(gate, drained=True), MONO, NOW, seen()) == ()


# --- the ramp after a stop --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stopped_s", "backlog", "ramps"),
    [(61, True, True), (60, True, False), (3_600, False, False), (1, True, False)],
)
def test_a_gate_with_work_begins_on_the_ramp_after_more_than_a_minute(
    stopped_s: int, backlog: bool, ramps: bool
) -> None:
    """Semantics 4.5."""
    events = ramp_after_stop(
        open_gate(), MONO, NOW, backlog=backlog, why="process_down", stopped_ns=stopped_s * SECOND
    )

    step = GateRampStepped(at=NOW, mono=MONO, step=0, percent=5, until=mono(10), why="process_down")
    assert events == ((step,) if ramps else ())


def test_a_long_pause_ends_in_a_ramp_whoever_ends_it() -> None:
    """Semantics 4.5: by its instant or by a command."""
    gate = replace(open_gate(), control="paused", paused_until=wall(61), stopped_since=MONO)

    by_time = react(gate, mono(61), wall(61), seen())
    by_command = decide(gate, ResumeGate(CAUSE), mono(61), wall(61), backlog=True)

    step = GateRampStepped(
        at=wall(61), mono=mono(61), step=0, percent=5, until=mono(71), why="paused"
    )
    assert by_time == (GateResumed(at=wall(61), mono=mono(61)), step)
    assert by_command == (
        GateResumed(at=wall(61), mono=mono(61), cause=CAUSE),
        replace(step, cause=CAUSE),
    )


def test_a_ramp_begins_anew_after_a_stop() -> None:
    gate = open_gate(mode=Ramping(3, 50, mono(10), 2))

    (event,) = ramp_after_stop(
        gate, MONO, NOW, backlog=True, why="process_down", stopped_ns=2 * MINUTE
    )

    assert isinstance(event, GateRampStepped)
    assert event.step == 0
    assert evolve(gate, event, NAME).mode == Ramping(0, 5, mono(10), 2)


@pytest.mark.parametrize(
    "gate",
    [
        open_gate(mode=Tripped(mono(10), 1)),
        open_gate(mode=Probing(1)),
        open_gate(recovery=NO_RAMP),
    ],
)
def test_a_gate_that_must_probe_first_or_has_no_ramp_stays_as_it_is(gate: Gate) -> None:
    """Semantics 4.4: a probe decides, not a stop."""
    events = ramp_after_stop(gate, MONO, NOW, backlog=True, why="paused", stopped_ns=MINUTE * 2)

    assert events == ()


def test_how_long_a_stop_may_be_is_settable() -> None:
    gate = open_gate(recovery=RecoverySettings(ramp_after_ns=SECOND))

    events = ramp_after_stop(gate, MONO, NOW, backlog=True, why="paused", stopped_ns=2 * SECOND)

    assert len(events) == 1


# --- the ramp after a raise -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concurrency", "percent"),
    [(10, None), (5, None), (20, None), (21, 50), (39, 50), (40, 25), (100, 10), (1_000, 5)],
)
def test_limits_raised_more_than_twofold_begin_near_the_old_ones(
    concurrency: int, percent: int | None
) -> None:
    """Semantics 4.5, from ten slots."""
    events = ramp_after_raise(
        open_gate(concurrency=10), settings(concurrency=concurrency), MONO, NOW, CAUSE
    )

    shares = [event.percent for event in events if isinstance(event, GateRampStepped)]
    assert shares == ([] if percent is None else [percent])


def test_one_rate_of_several_that_is_raised_is_enough() -> None:
    gate = open_gate(Rate(1.0), Rate(100.0, MINUTE))
    raised = settings(Rate(1.0), Rate(250.0, MINUTE))

    (event,) = ramp_after_raise(gate, raised, MONO, NOW, CAUSE)

    assert event == GateRampStepped(
        at=NOW, mono=MONO, cause=CAUSE, step=3, percent=50, until=mono(10), why="limits"
    )


@pytest.mark.parametrize("mode", [Tripped(mono(10), 1), Probing(1)])
def test_a_raise_while_the_endpoint_is_out_changes_no_mode(mode: Tripped | Probing) -> None:
    gate = open_gate(concurrency=1, mode=mode)

    assert ramp_after_raise(gate, settings(concurrency=100), MONO, NOW, CAUSE) == ()


def test_a_raise_on_the_ramp_climbs_no_step() -> None:
    """Three times 5 % of the new limits is what three times the old would have had."""
    gate = open_gate(Rate(100.0), mode=Ramping(0, 5, mono(10), 1))

    (event,) = ramp_after_raise(gate, settings(Rate(300.0)), MONO, NOW, CAUSE)

    assert isinstance(event, GateRampStepped)
    assert event.step == 0


def test_a_rate_that_is_taken_away_is_a_raise() -> None:
    (event,) = ramp_after_raise(open_gate(Rate(10.0)), settings(), MONO, NOW, CAUSE)

    assert isinstance(event, GateRampStepped)
    assert event.step == 0


def test_a_raise_ramps_as_the_settings_say_that_came_with_it() -> None:
    chosen = settings(Rate(100.0), recovery=NO_RAMP)

    assert ramp_after_raise(open_gate(Rate(10.0)), chosen, MONO, NOW, CAUSE) == ()


def test_a_raise_is_one_decision_with_its_ramp() -> None:
    chosen = settings(concurrency=100)

    decided = decide(open_gate(concurrency=10), SetGate(chosen, CAUSE), MONO, NOW, backlog=True)

    assert decided == (
        GateLimitsChanged(at=NOW, mono=MONO, cause=CAUSE, settings=chosen),
        GateRampStepped(
            at=NOW, mono=MONO, cause=CAUSE, step=1, percent=10, until=mono(10), why="limits"
        ),
    )


# --- a whole outage ---------------------------------------------------------------------------


def test_an_endpoint_that_was_out_sees_no_flood_when_it_is_back() -> None:
    """Semantics 4: half a minute out, then back; ten in flight at most, 100 ms each."""
    gate = open_gate(Rate(50.0, SECOND, 1))
    per_second: dict[int, int] = {}
    for tick in range(1_200):
        at = tick / 10
        while isinstance(answer := admit(gate, mono(at)), Grant) and answer.slot_at <= mono(at):
            start = replace(started(at=wall(at), probe=answer.probe), tats=answer.tats)
            gate = evolve_attempt(gate, start)
            per_second[tick // 10] = per_second.get(tick // 10, 0) + 1
            if gate.in_flight == 10 or answer.probe:
                break
        for _ in range(gate.in_flight):
            end = failed(at=wall(at)) if 10 <= at < 40 else succeeded(at=wall(at))
            gate = evolve_attempt(gate, end)
            gate = reacted(gate, at)
        gate = reacted(gate, at)

    out = [per_second.get(second, 0) for second in range(11, 40)]
    assert max(out) <= 1, "one probe a second at most while it is out"
    back = next(second for second in range(40, 120) if per_second.get(second, 0) > 1)
    first_step = [per_second.get(second, 0) for second in range(back, back + 9)]
    assert max(first_step) <= 4, "a twentieth of fifty, and a probe"
    assert gate.mode == Open()
