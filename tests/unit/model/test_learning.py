"""What an adaptive gate learns: from medians of windows, inside what is set, with evidence."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import (
    MILLISECOND,
    MINUTE,
    SECOND,
    Adaptive,
    GateLimitLearned,
    GateLimitsChanged,
    GateSettings,
    GateTripped,
    LearnCause,
    Mono,
)
from taskmaster.model.gate import Gate, Grant, Wait, admit, evolve, learned_limit
from taskmaster.model.learning import (
    BUSY,
    FIRST,
    MEASURE_NS,
    MEASURE_SOON_NS,
    Learned,
    Window,
    learn,
    learned_of,
    most,
    open_at_once,
    reopened,
)
from tests.unit.model.builders import MONO, NAME, NOW, failed, mono, open_gate, succeeded

LATENCY = Adaptive()
ERRORS = Adaptive(by="errors")
BASE_NS = 100 * MILLISECOND


def window(
    *durations_ms: float,
    errors: int = 0,
    throttled: int = 0,
    busiest: int = 1_000,
    opened: float = 0,
) -> Window:
    seen = Window()
    for ms in durations_ms:
        seen.add(replace(succeeded(), duration_ns=int(ms * MILLISECOND)), busiest, mono(opened))
    for _ in range(errors):
        seen.add(failed(), busiest, mono(opened))
    for _ in range(throttled):
        seen.add(replace(failed("none"), throttle_until=mono(1)), busiest, mono(opened))
    return seen


def step(
    learned: Learned,
    seen: Window,
    *,
    adaptive: Adaptive = LATENCY,
    concurrency: int = 10_000,
    at: float = 1,
    u: float = 0.5,
) -> GateLimitLearned | None:
    return learn(adaptive, concurrency, learned, seen, now=mono(at), wall=NOW, u=u)


def known(limit: float, **changes: object) -> Learned:
    """A limit whose base is known and need not be measured soon."""
    learned = Learned(limit=limit, base_ns=BASE_NS, measure_at=mono(3_600))
    return replace(learned, **changes)


# --- windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "after_s", "limit", "complete"),
    [(8, 0.5, 100, True), (7, 0.5, 100, False), (8, 0.499, 100, False), (2, 0.5, 1, True)],
)
def test_a_window_closes_after_half_a_second_and_eight_ends(
    ends: int, after_s: float, limit: int, complete: bool
) -> None:
    assert window(*[1] * ends).is_complete(limit, mono(after_s)) is complete


def test_nothing_is_learned_from_nothing() -> None:
    assert not Window().is_complete(1, mono(99))


def test_a_refusal_says_nothing_of_how_long_work_takes_and_a_timeout_does() -> None:
    seen = Window()
    seen.add(replace(failed(), outcome="refused", duration_ns=1), 5, MONO)
    seen.add(replace(failed(), outcome="timeout", duration_ns=30 * SECOND), 5, MONO)

    assert seen.durations == [30 * SECOND]
    assert seen.errors == 2


# --- steps ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("median_ms", "moves", "why"),
    [
        (100, 12, "spare"),  # nobody waits: 6 lg L
        (101, 12, "spare"),  # one of a hundred: still at most lg L
        (103, 2, "spare"),  # about three
        (107, 0, None),  # about seven: enough
        (120, -2, "queue"),  # about seventeen: too many
    ],
)
def test_a_limit_of_a_hundred_moves_by_how_many_wait(
    median_ms: int, moves: int, why: LearnCause | None
) -> None:
    event = step(known(100), window(*[median_ms] * 9))

    assert (event.limit - 100 if event else 0) == moves
    assert (event.why if event else None) == why


def test_far_too_many_are_taken_back_faster() -> None:
    """Of 100 half wait, 12 would be too many: a quarter of what is beyond."""
    event = step(known(100), window(*[200] * 9))

    assert event is not None
    assert event.limit == 100 - (50 - 12) / 4


@pytest.mark.parametrize("median_ms", [100, 150])
def test_a_limit_that_is_not_used_does_not_move(median_ms: int) -> None:
    """It has no say in what is in flight, so a queue is not of its making."""
    assert step(known(100), window(*[median_ms] * 9, busiest=int(100 * BUSY) - 1)) is None


def test_a_limit_between_one_and_two_is_used_by_one() -> None:
    """Two thirds of 1.9 are more than one: it once stayed there for ever."""
    event = step(known(1.9), window(100, 100, busiest=1))

    assert event is not None
    assert event.limit == 2.9


@pytest.mark.parametrize(
    ("median_ms", "moves", "why"),
    [(133, 2, "spare"), (190, 1, "spare"), (250, 0, None), (500, -1, "queue")],
)
def test_of_a_few_a_part_is_enough_to_wait_or_too_many(
    median_ms: int, moves: int, why: LearnCause | None
) -> None:
    """Of four there can never be six that wait."""
    event = step(known(4), window(*[median_ms] * 9))

    assert (event.limit - 4 if event else 0) == moves
    assert (event.why if event else None) == why


@pytest.mark.parametrize(
    ("good", "errors", "limit"), [(9, 4, 50), (9, 1, 98), (1, 1, 50), (0, 9, 50)]
)
def test_errors_halve_it_and_a_few_take_a_step_back(good: int, errors: int, limit: int) -> None:
    event = step(known(100), window(*[100] * good, errors=errors))

    assert event is not None
    assert (event.limit, event.why, event.errors) == (limit, "errors", errors)


def test_being_throttled_is_a_step_back() -> None:
    event = step(known(100), window(*[100] * 9, throttled=1))

    assert event is not None
    assert (event.limit, event.why) == (98, "throttled")


def test_by_errors_latency_means_nothing() -> None:
    """An endpoint that only takes work in."""
    event = step(Learned(limit=100), window(*[90_000] * 9), adaptive=ERRORS)

    assert event is not None
    assert (event.limit, event.base_ns) == (102, 0)


def test_the_base_is_of_the_median_and_not_of_the_lowest_duration() -> None:
    """One quick answer would make every other one look queued."""
    event = step(Learned(limit=10), window(1, *[100] * 15))

    assert event is not None
    assert event.base_ns == 100 * MILLISECOND


@pytest.mark.parametrize(("ends", "rank"), [(4, 4), (8, 7), (16, 11), (64, 38), (1_000, 524)])
def test_the_median_of_a_few_may_be_far_higher_than_it_looks(ends: int, rank: int) -> None:
    event = step(Learned(limit=10), window(*range(1, ends + 1)))

    assert event is not None
    assert event.base_ns == rank * MILLISECOND


@pytest.mark.parametrize(("ends", "base_ns"), [(2, 0), (3, 0), (4, 1_000_000)])
def test_the_base_is_not_taken_from_a_few(ends: int, base_ns: int) -> None:
    """A limit of 1 makes windows of two."""
    event = step(Learned(limit=1), window(*[1] * ends))

    assert event is not None
    assert (event.limit, event.base_ns) == (2, base_ns)


@pytest.mark.parametrize("ends", [8, 125])
@pytest.mark.parametrize(("shape", "median_ms"), [(1, 69), (4, 92), (16, 98)])
def test_the_base_of_many_windows_is_not_that_of_the_luckiest(
    ends: int, shape: int, median_ms: int
) -> None:
    """Work whose durations vary and which waits for nobody: the ramp has small windows."""
    rng = Random(1)
    learned = Learned(limit=30)
    for _ in range(100):
        durations = (rng.gammavariate(shape, 100 / shape) for _ in range(ends))
        event = step(learned, window(*durations, busiest=1))
        learned = learned_of(event) if event is not None else learned

    assert 0.55 * median_ms < learned.base_ns / MILLISECOND < 1.1 * median_ms


def test_the_base_is_measured_anew_at_half_the_limit_and_then_left() -> None:
    due = known(100, measure_at=mono(1))

    measuring = step(due, window(*[300] * 9), u=0.5)
    assert measuring is not None
    assert (measuring.limit, measuring.back_to, measuring.why) == (50, 100, "measure")
    assert measuring.measure_at == mono(1) + MEASURE_NS

    measured = step(learned_of(measuring), window(*[240] * 16, opened=1.6), at=2.1)
    assert measured is not None
    assert (measured.limit, measured.back_to, measured.why) == (100, 0, "measured")
    assert measured.base_ns == 240 * MILLISECOND


def test_what_ends_soon_after_the_limit_was_halved_is_not_measured() -> None:
    """It stood in the queue that the whole limit had let in: 300 ms, and as long once more."""
    measuring = step(known(100, measure_at=mono(1)), window(*[300] * 9))
    assert measuring is not None

    assert step(learned_of(measuring), window(*[290] * 16, opened=1.599), at=2.1) is None


def test_errors_while_it_is_measured_leave_the_limit_at_the_half() -> None:
    """Even that was too much, so nothing says that twice as much is borne."""
    measuring = step(known(100, measure_at=mono(1)), window(*[300] * 9))
    assert measuring is not None

    event = step(learned_of(measuring), window(*[900] * 9, errors=1, opened=1.1), at=1.6)

    assert event is not None
    assert (event.limit, event.back_to, event.why) == (50, 0, "errors")
    assert event.base_ns == BASE_NS
    assert learned_of(event).settled_at == 0


def test_the_base_is_not_measured_on_a_limit_that_is_not_used() -> None:
    assert step(known(100, measure_at=mono(1)), window(*[107] * 9, busiest=2)) is None


@given(st.floats(0, 1, exclude_max=True))
def test_measurements_are_spread_by_a_fifth(u: float) -> None:
    event = step(known(100, measure_at=mono(1)), window(*[107] * 9), u=u)

    assert event is not None
    assert 8 * MINUTE <= event.measure_at - mono(1) <= 12 * MINUTE


def test_the_first_measurement_comes_soon() -> None:
    """After an outage the first answers are those of a cold endpoint."""
    event = step(known(100, measure_at=Mono(0)), window(*[107] * 9))

    assert event is not None
    assert event.measure_at == mono(1) + MEASURE_SOON_NS


@pytest.mark.parametrize(("median_ms", "soon"), [(60, True), (99, False)])
def test_one_that_finds_less_is_followed_by_another_soon(median_ms: int, soon: bool) -> None:
    """At half of far too much it is still crowded there."""
    measuring = known(50, back_to=100.0, measure_at=mono(600))

    event = step(measuring, window(*[median_ms] * 16))

    assert event is not None
    assert event.measure_at == (mono(1) + MEASURE_SOON_NS if soon else mono(600))


def test_after_an_outage_it_begins_at_the_least_and_rises_by_half_at_most() -> None:
    learned = reopened(LATENCY)
    limits = [learned.limit]
    for _ in range(6):
        event = step(learned, window(*[100] * 9))
        assert event is not None
        learned = learned_of(event)
        limits.append(learned.limit)

    assert limits == [1, 2, 3, 4.5, 6.75, 10.125, 15.1875]


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 5_000), max_size=20),
            st.integers(0, 9),
            st.integers(0, 3),
            st.integers(1, 400),
        ),
        max_size=30,
    ),
    st.integers(1, 50),
    st.none() | st.integers(50, 500),
    st.integers(1, 300),
    st.sampled_from(["latency", "errors"]),
)
def test_whatever_is_seen_the_limit_stays_inside_what_is_set(
    windows: list[tuple[list[int], int, int, int]],
    least: int,
    greatest: int | None,
    concurrency: int,
    by: str,
) -> None:
    """Semantics 4.7: it never exceeds the configured one."""
    adaptive = Adaptive(least, greatest, by)  # pyright: ignore[reportArgumentType]  # one of both
    learned = Learned()
    for index, (durations, errors, throttled, busiest) in enumerate(windows):
        seen = window(*durations, errors=errors, throttled=throttled, busiest=busiest)
        event = step(learned, seen, adaptive=adaptive, concurrency=concurrency, at=index * 60)
        if event is not None:
            learned = learned_of(event)
        allowed = open_at_once(adaptive, learned, concurrency)
        assert 1 <= allowed <= most(adaptive, concurrency) <= concurrency
        assert allowed >= min(least, concurrency)


@pytest.mark.parametrize("capacity", [5, 40, 300])
def test_it_finds_what_an_endpoint_works_on_at_once(capacity: int) -> None:
    """An endpoint of so many workers of 100 ms each, behind which the rest queues."""
    learned = Learned()
    seen_limits: list[float] = []
    for tick in range(400):
        open_now = int(learned.limit)
        took_ms = 100 * max(1.0, open_now / capacity)
        event = step(learned, window(*[took_ms] * 9, busiest=open_now, opened=tick), at=tick)
        learned = learned_of(event) if event is not None else learned
        seen_limits.append(learned.limit)

    settled = seen_limits[200:]
    assert min(settled) >= 0.9 * capacity
    assert max(settled) <= 1.5 * capacity + 10


# --- in the gate ------------------------------------------------------------------------------


def adaptive_gate(adaptive: Adaptive = LATENCY, concurrency: int = 100, in_flight: int = 0) -> Gate:
    gate = open_gate(concurrency=concurrency, in_flight=in_flight)
    return replace(gate, settings=replace(gate.settings, adaptive=adaptive))


def test_a_gate_starts_no_more_than_it_learned() -> None:
    gate = adaptive_gate(in_flight=FIRST - 1)

    assert isinstance(admit(gate, MONO), Grant)
    assert admit(replace(gate, in_flight=FIRST), MONO) == Wait("slot")
    assert learned_limit(gate) == FIRST


def test_a_gate_that_trips_begins_at_the_least_again() -> None:
    gate = replace(adaptive_gate(Adaptive(min=2)), learned=known(80))

    tripped = GateTripped(at=NOW, mono=MONO, until=mono(1), trips=1)

    assert evolve(gate, tripped, NAME).learned == Learned(limit=2)


def test_what_is_learned_is_forgotten_by_other_rules_of_learning_only() -> None:
    gate = replace(adaptive_gate(), learned=known(80))
    more = replace(gate.settings, max_backlog=5)
    other = replace(gate.settings, adaptive=ERRORS)

    def changed(settings: GateSettings) -> Gate:
        return evolve(gate, GateLimitsChanged(at=NOW, mono=MONO, settings=settings), NAME)

    assert changed(more).learned == known(80)
    assert changed(other).learned == Learned()
