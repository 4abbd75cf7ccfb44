"""What rate an adaptive gate learns from being throttled: cut, back to just below, beyond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import (
    SECOND,
    Adaptive,
    GateLimitsChanged,
    GateRateLearned,
    Limits,
    Mono,
    Rate,
)
from taskmaster.model.gate import Gate, Grant, Wait, admit, allowed, evolve, evolve_attempt
from taskmaster.model.learning import Window
from taskmaster.model.quota import (
    BACK_NS,
    FREE,
    LEAST_PER_S,
    Quota,
    is_used,
    learn_rate,
    quota_of,
)
from tests.unit.model.builders import (
    MONO,
    NAME,
    NOW,
    failed,
    mono,
    open_gate,
    started,
    succeeded,
)

LIMITS = Limits(100, (Rate(1_000.0, SECOND, 20),))


def window(ends: int, throttled: int = 0, *, at: float = 0, took_ns: int = 0) -> Window:
    """One that opened at `at` and saw so many ends there."""
    seen = Window()
    for _ in range(ends - throttled):
        seen.add(succeeded(), 1, mono(at))
    for _ in range(throttled):
        answer = replace(failed("none"), throttle_until=mono(at + 1), duration_ns=took_ns)
        seen.add(answer, 1, mono(at))
    return seen


def step(quota: Quota, seen: Window, at: float, limits: Limits = LIMITS) -> GateRateLearned | None:
    return learn_rate(limits, quota, seen, now=mono(at), wall=NOW)


def quota(event: GateRateLearned | None) -> Quota:
    assert event is not None
    return quota_of(event)


# --- the cut ----------------------------------------------------------------------------------


def test_a_throttled_gate_starts_a_tenth_fewer_than_it_did() -> None:
    event = step(Quota(), window(100, 5), 0.5)

    assert event is not None
    assert (event.why, event.rate, event.top) == ("throttled", pytest.approx(180), 200)
    assert (event.ended, event.throttled, event.window_ns) == (100, 5, SECOND // 2)


def test_what_was_told_to_wait_does_not_look_slow() -> None:
    """The 429s may come just after a window ended, and then nothing for a second."""
    seen = window(100)
    seen.go_on(mono(0.5), used=False)
    seen.add(replace(failed("none"), throttle_until=mono(1.5)), 1, mono(0.5))

    event = step(Quota(), seen, 1.5)

    assert event is not None
    assert event.top == 200


def test_a_window_that_opened_as_the_clock_began_counts_too() -> None:
    seen = Window()
    for _ in range(100):
        seen.add(succeeded(), 1, Mono(0))
    seen.go_on(Mono(SECOND // 2), used=False)

    assert seen.per_s(Mono(SECOND)) == 200


def test_attempts_from_before_the_cut_do_not_cut_again() -> None:
    first = quota(step(Quota(), window(100, 5), 0.5))

    assert step(first, window(20, 5, at=0.6, took_ns=SECOND // 5), 1.1) is None
    later = step(first, window(90, 5, at=0.8, took_ns=SECOND // 5), 1.3)
    assert later is not None
    assert later.rate < first.rate


def test_without_being_throttled_nothing_is_learned() -> None:
    assert step(Quota(), window(100), 0.5) is None


# --- the way back -----------------------------------------------------------------------------


def climb(known: Quota, seconds: float, *, per_s: float | None = None) -> Quota:
    """Half a second at a time at the learned rate, or at another."""
    seen, at = Window(), 1.0
    for _ in range(int(seconds * 2)):
        rate = per_s or known.rate or 1_000
        seen.opened_at = mono(at)
        seen.durations = [1] * max(1, round(rate / 2))
        at += 0.5
        event = step(known, seen, at)
        seen.go_on(mono(at), used=event is None and is_used(known, seen, mono(at)))
        if event is not None:
            seen.used_ns = 0
            known = quota_of(event)
    return known


def test_it_is_back_after_a_while_stays_there_and_then_goes_beyond() -> None:
    cut = quota(step(Quota(), window(100, 5), 0.5))

    assert 0.98 * cut.top < climb(cut, BACK_NS / SECOND).rate < 1.01 * cut.top
    assert 1.08 * cut.top < climb(cut, 2 * BACK_NS / SECOND).rate < 1.15 * cut.top
    assert climb(cut, 5 * BACK_NS / SECOND) == Quota()


def test_a_rate_that_is_not_used_does_not_climb() -> None:
    cut = quota(step(Quota(), window(100, 5), 0.5))

    assert climb(cut, 100, per_s=20) == cut


def test_a_rate_that_is_set_lower_makes_the_learned_one_useless() -> None:
    cut = quota(step(Quota(), window(100, 5), 0.5))
    event = step(
        replace(cut, climbed_ns=BACK_NS), window(100), 0.5, Limits(1, (Rate(200.0, SECOND, 4),))
    )

    assert event is not None
    assert (event.why, event.rate) == ("free", 0)


@given(
    st.lists(
        st.tuples(st.integers(1, 2_000), st.floats(0, 1), st.floats(0.5, 5)),
        min_size=1,
        max_size=60,
    )
)
def test_whatever_comes_a_learned_rate_is_between_its_bounds(
    windows: list[tuple[int, float, float]],
) -> None:
    known, at = Quota(), 1.0
    for ends, share, length in windows:
        seen = window(ends, round(ends * share), at=at)
        at += length
        event = step(known, seen, at)
        if event is None:
            continue
        after = quota_of(event)
        if event.why == "throttled":
            assert after.rate <= max(LEAST_PER_S, after.top)
        else:
            assert not after.rate or known.rate < after.rate <= FREE * after.top
        known = after
        assert not known.rate or known.rate >= LEAST_PER_S


# --- in the gate ------------------------------------------------------------------------------


def learned(rate: float, at: Mono = MONO) -> GateRateLearned:
    return GateRateLearned(at=NOW, mono=at, rate=rate, top=rate, why="throttled")


def gate_at(rate: float) -> Gate:
    gate = open_gate(*LIMITS.rates, concurrency=100)
    adaptive = replace(gate, settings=replace(gate.settings, adaptive=Adaptive()))
    return evolve(adaptive, learned(rate), NAME)


def starts_in(gate: Gate, seconds: float) -> int:
    """How many an endpoint that answers at once is sent."""
    count, now = 0, MONO
    while now < MONO + seconds * SECOND:
        answer = admit(gate, now)
        if isinstance(answer, Wait):
            assert answer.until is not None
            now = max(answer.until, Mono(now + 1))
            continue
        gate = evolve_attempt(gate, replace(started(), tats=answer.tats, slot_at=answer.slot_at))
        gate = evolve_attempt(gate, succeeded())
        count += 1
    return count


def test_a_learned_rate_bounds_beside_those_that_are_set() -> None:
    assert starts_in(gate_at(100.0), 2) <= 2 + 100 * 2.05
    assert starts_in(gate_at(100.0), 2) >= 100 * 2
    assert starts_in(evolve(gate_at(100.0), learned(0.0), NAME), 1) >= 1_000


def test_a_start_carries_where_the_learned_rate_stands() -> None:
    gate = gate_at(100.0)
    answer = admit(gate, MONO)

    assert isinstance(answer, Grant)
    assert len(answer.tats) == len(allowed(gate).paces) == 2


def test_another_learned_rate_gives_nothing_back() -> None:
    gate = gate_at(10.0)
    answer = admit(gate, MONO)
    assert isinstance(answer, Grant)
    gate = evolve_attempt(gate, replace(started(), tats=answer.tats, slot_at=answer.slot_at))

    slower = evolve(gate, learned(5.0), NAME)

    assert isinstance(admit(gate, MONO), Wait)
    assert isinstance(admit(slower, MONO), Wait)


def test_other_limits_make_it_forgotten() -> None:
    gate = gate_at(100.0)
    changed = replace(gate.settings, limits=Limits(50, (Rate(500.0, SECOND, 10),)))

    gate = evolve(gate, GateLimitsChanged(at=NOW, mono=MONO, settings=changed), NAME)

    assert gate.quota == Quota()
    assert len(gate.tats) == 1
