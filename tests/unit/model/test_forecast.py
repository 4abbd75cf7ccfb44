"""When a gate is empty, if it goes on so (semantics 10)."""

from hypothesis import given
from hypothesis.strategies import floats, integers
from msgspec.structs import replace

from taskmaster.events.types import SECOND, Limits, Mono, Rate
from taskmaster.model.forecast import Phase, Seen, empty_after, forecast
from taskmaster.model.gate import Ramping, Tripped
from tests.unit.model.builders import open_gate

NOW = Mono(1_000 * SECOND)
RATED = Limits(concurrency=100, rates=(Rate(10.0),))


def test_a_backlog_flows_out_at_the_rate_less_what_comes_in() -> None:
    gate = replace(open_gate(), settings=replace(open_gate().settings, limits=RATED))

    found = forecast(gate, Seen(eligible=80, came_per_s=2.0, came_most=2.0), NOW)

    assert found.expected_s is not None
    assert round(found.expected_s, 3) == 10.0
    assert "2/s come in" in found.why


def test_slots_and_latency_bound_it_where_there_is_no_rate() -> None:
    gate = open_gate()
    slots = gate.settings.limits.concurrency

    found = forecast(gate, Seen(eligible=30 * slots, latency_s=0.5), NOW)

    assert found.expected_s == 15.0


def test_more_comes_in_than_goes_out_is_never() -> None:
    assert empty_after(Seen(eligible=1), (Phase(None, 5.0),), 5.0) is None


def test_a_ramp_and_a_trip_are_waited_for() -> None:
    open_one = replace(open_gate(), settings=replace(open_gate().settings, limits=RATED))
    tripped = replace(open_one, mode=Tripped(Mono(NOW + 20 * SECOND), 1))
    ramping = replace(open_one, mode=Ramping(3, 50, Mono(NOW + 4 * SECOND), 1))
    seen = Seen(eligible=200, latency_s=0.1)

    at_50, at_0 = forecast(ramping, seen, NOW), forecast(tripped, seen, NOW)

    # 4 s at 5/s, then 10/s; and 20.1 s of nothing, then 10 s each of 0.5, 1, 2.5, 5 and 10/s
    assert at_50.expected_s is not None
    assert at_0.expected_s is not None
    assert round(at_50.expected_s, 2) == 22.0
    assert round(at_0.expected_s, 1) == 20.1 + 40 + 11.0


def test_a_pause_without_an_end_is_never_and_says_so() -> None:
    found = forecast(replace(open_gate(), control="paused"), Seen(eligible=5), NOW)

    assert (found.expected_s, found.why) == (None, "the gate is paused without an end")


def test_a_pause_without_an_end_says_so_of_a_gate_that_tripped_too() -> None:
    tripped = open_gate(mode=Tripped(Mono(NOW + 20 * SECOND), 1))

    found = forecast(replace(tripped, control="paused"), Seen(eligible=5), NOW)

    assert (found.expected_s, found.why) == (None, "the gate is paused without an end")


def test_a_pause_and_what_an_endpoint_asked_for_pass_side_by_side() -> None:
    gate = open_gate(Rate(10.0), concurrency=100)
    held = replace(gate, control="paused", throttled_until=Mono(NOW + 30 * SECOND))

    found = [forecast(held, Seen(eligible=100), NOW, paused_s).expected_s for paused_s in (20, 60)]

    assert found == [40.0, 70.0]


def test_what_becomes_due_later_comes_on_top_when_it_is_due() -> None:
    seen = Seen(eligible=100, later=((5.0, 50), (1_000.0, 7)))

    assert empty_after(seen, (Phase(None, 10.0),), 0.0) == 15.0


@given(
    integers(1, 10**6),
    integers(0, 10**6),
    floats(0.1, 1_000),
    floats(0, 900),
    floats(0.1, 1_000),
)
def test_more_work_is_never_sooner_and_more_pace_never_later(
    eligible: int, more: int, per_s: float, came: float, pause_s: float
) -> None:
    phases = (Phase(pause_s, 0.0), Phase(None, per_s))
    faster = (Phase(pause_s, 0.0), Phase(None, per_s * 2))

    base = empty_after(Seen(eligible=eligible), phases, came) or float("inf")

    assert (empty_after(Seen(eligible=eligible + more), phases, came) or float("inf")) >= base
    assert (empty_after(Seen(eligible=eligible), faster, came) or float("inf")) <= base
