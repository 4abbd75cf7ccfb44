"""Planned downtimes, decided: random wishes and instants, folded as they come (semantics 8.6)."""

from hypothesis import given
from hypothesis import strategies as st

from taskmaster.events.types import MINUTE, SECOND, GateEvent, GatePaused, Mono, Wall
from taskmaster.model.control import GateCommand, PauseGate, ResumeGate, decide
from taskmaster.model.gate import Gate, Ramping, evolve
from taskmaster.model.maintenance import CancelMaintenance, PlanMaintenance, maintain, under_way
from taskmaster.model.recovery import Seen, react
from taskmaster.model.rejected import Rejected
from taskmaster.model.windows import begins_at
from tests.unit.model.builders import CAUSE, NAME, NOW, open_gate

QUIET = Seen(backlog=False, error="", u=0.5)


def after(gate: Gate, events: tuple[GateEvent, ...]) -> Gate:
    """The gate behind some events of its own."""
    for event in events:
        gate = evolve(gate, event, NAME)
    return gate


def at_rest(gate: Gate, passed_ns: int) -> Gate:
    """The gate once nothing more follows by rule, that long after `NOW`."""
    now, wall = Mono(passed_ns), Wall(NOW + passed_ns)
    for _ in range(300):  # each downtime begins once and ends once
        events = maintain(gate, now, wall) or react(gate, now, wall, QUIET)
        if not events:
            return gate
        gate = after(gate, events)
    raise AssertionError("the rules do not come to rest")


def told(gate: Gate, command: GateCommand, passed_ns: int, family: int | None = None) -> Gate:
    """The gate after a command, which may be refused."""
    decided = decide(
        gate, command, Mono(passed_ns), Wall(NOW + passed_ns), backlog=False, family=family
    )
    return gate if isinstance(decided, Rejected) else after(gate, decided)


def plan(start_s: int, until_s: int, drain_s: int = 0) -> PlanMaintenance:
    """A downtime, in seconds from `NOW`."""
    start_at, until = Wall(NOW + start_s * SECOND), Wall(NOW + until_s * SECOND)
    return PlanMaintenance(CAUSE, start_at, until, drain_s * SECOND)


SECONDS = st.integers(0, 300)
WISHES = st.one_of(
    st.builds(plan, SECONDS, SECONDS, st.integers(0, 60)),
    st.builds(CancelMaintenance, st.just(CAUSE), st.integers(1, 5)),
)
STEPS = st.lists(st.tuples(st.integers(0, 60), st.none() | WISHES), max_size=25)


@given(STEPS)
def test_a_gate_is_paused_exactly_in_its_downtimes_which_never_overlap(
    steps: list[tuple[int, PlanMaintenance | CancelMaintenance | None]],
) -> None:
    """Semantics 8.6; nobody pauses the gate but its downtimes."""
    gate, passed_ns = open_gate(), 0
    for gap_s, wish in steps:
        passed_ns += gap_s * SECOND
        gate = at_rest(gate, passed_ns)
        if wish is not None:
            gate = at_rest(told(gate, wish, passed_ns), passed_ns)

        wall = NOW + passed_ns
        present = [window for window in gate.windows if begins_at(window) <= wall]
        assert (gate.control == "paused") == bool(present)
        assert gate.paused_until == (present[0].until if present else None)
        for one, next_one in zip(gate.windows, gate.windows[1:], strict=False):
            assert one.until <= begins_at(next_one)


@given(st.integers(0, 90), st.none() | st.integers(1, 200), st.integers(0, 90))
def test_a_persons_pause_is_never_cut_short(paused_s: int, for_s: int | None, later_s: int) -> None:
    """Semantics 8.6: whichever came first, the pause or the downtime of 10 s to 60 s."""
    gate = told(open_gate(), plan(10, 60), 0)
    gate = at_rest(gate, paused_s * SECOND)
    until = None if for_s is None else Wall(NOW + (paused_s + for_s) * SECOND)
    decided = decide(
        gate,
        PauseGate(CAUSE, until),
        Mono(paused_s * SECOND),
        Wall(NOW + paused_s * SECOND),
        backlog=False,
    )
    if isinstance(decided, Rejected):
        window = under_way(gate)
        assert window is not None
        assert until is not None
        assert until < window.until
        return
    gate = after(gate, decided)
    now_s = paused_s + later_s
    gate = at_rest(gate, now_s * SECOND)

    if until is None or NOW + now_s * SECOND < until:
        assert gate.control == "paused"


@given(st.integers(1, 30 * 60), st.sampled_from(["over", "resumed", "cancelled"]), st.booleans())
def test_every_end_of_a_downtime_is_the_first_step_of_the_ramp(
    for_s: int, how: str, leads: bool
) -> None:
    """Semantics 8.6: however short it was, however it ends, with children or without."""
    family = 0 if leads else None
    gate = at_rest(told(open_gate(), plan(0, for_s), 0), 0)
    assert gate.control == "paused"

    match how:
        case "over":
            gate = after(gate, maintain(gate, Mono(for_s * SECOND), Wall(NOW + for_s * SECOND)))
        case "resumed":
            gate = told(gate, ResumeGate(CAUSE), SECOND // 2, family)
        case _:
            gate = told(gate, CancelMaintenance(CAUSE, 1), SECOND // 2, family)

    assert gate.control == "running"
    assert isinstance(gate.mode, Ramping)
    assert (gate.mode.percent, gate.windows) == (5, ())


def test_a_short_pause_of_a_person_becomes_that_of_the_downtime() -> None:
    gate = told(open_gate(), plan(10, 60), 0)
    gate = told(gate, PauseGate(CAUSE, Wall(NOW + 20 * SECOND)), 5 * SECOND)

    events = maintain(gate, Mono(10 * SECOND), Wall(NOW + 10 * SECOND))

    (pause,) = [event for event in events if isinstance(event, GatePaused)]
    assert pause.until == NOW + MINUTE
