"""Gates above gates: one decision, and no level above its own limits (semantics 3.1 to 3.3)."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    SECOND,
    AttemptStarted,
    AttemptVoided,
    GateEvent,
    GateLimitsChanged,
    GateName,
    GateOpened,
    GatePaused,
    GateProbed,
    GateRampStepped,
    GateRecovered,
    GateResumed,
    Limits,
    Mono,
    Rate,
    Wall,
)
from taskmaster.model.control import DrainGate, decide
from taskmaster.model.family import (
    Kinship,
    Parent,
    admit_below,
    first_cause,
    ready_at,
    refuse_parent,
    start_of,
)
from taskmaster.model.gate import (
    Gate,
    Grant,
    Ramping,
    Tripped,
    Wait,
    admit,
    evolve,
    evolve_attempt,
)
from taskmaster.model.recovery import Seen, next_reaction_at, react
from taskmaster.model.rejected import Rejected
from taskmaster.model.restore import Traffic, restore
from taskmaster.model.steering import ProbeGate
from tests.unit.model.builders import CAUSE, MONO, NOW, mono, open_gate, settings, wall
from tests.unit.model.windows import excess_over

A, B, HOST, SITE = GateName("a"), GateName("b"), GateName("host"), GateName("site")
BELOW = {A: (HOST, SITE), B: (HOST, SITE), HOST: (HOST, SITE), SITE: (SITE,)}
"""Which families' limits hold for a gate's own tasks."""


def named(name: GateName, gate: Gate) -> Gate:
    return replace(gate, name=name)


def parent(gate: Gate, *, in_flight: int = 0) -> Parent:
    return Parent(gate, in_flight, gate.tats)


# --- the decision -----------------------------------------------------------------------------


def test_all_levels_agree_to_one_slot_and_each_spends_a_token_at_it() -> None:
    child = open_gate(Rate(1, SECOND, 1))
    host = named(HOST, open_gate(Rate(10, SECOND, 2)))
    late = replace(host, tats=(mono(0.13),))

    answer = admit_below(child, grant(child, MONO), (parent(late),), MONO)

    assert isinstance(answer, Grant)
    assert answer.slot_at == mono(0.03)
    assert answer.tats == (mono(1.03),)
    assert [(one.gate, one.tats) for one in answer.above] == [(HOST, (mono(0.23),))]


def grant(gate: Gate, now: Mono) -> Grant:
    answer = admit(gate, now)
    assert isinstance(answer, Grant)
    return answer


def test_a_parent_without_a_rate_leaves_nothing_in_the_event() -> None:
    child, host = open_gate(), named(HOST, open_gate(concurrency=3))

    answer = admit_below(child, grant(child, MONO), (parent(host, in_flight=2),), MONO)

    assert answer == Grant(MONO, ())


def test_slots_of_a_parent_are_its_familys() -> None:
    """Semantics 3.2, for what its children have open together."""
    child, host = open_gate(), named(HOST, open_gate(concurrency=3))

    answer = admit_below(child, grant(child, MONO), (parent(host, in_flight=3),), MONO)

    assert answer == Wait("slot", gate=HOST)


def test_of_all_that_hold_the_first_of_semantics_10_is_named() -> None:
    child = open_gate()
    host = named(HOST, open_gate(concurrency=1))
    paused = replace(named(SITE, open_gate()), control="paused")

    answer = admit_below(
        child, grant(child, MONO), (parent(host, in_flight=1), parent(paused)), MONO
    )

    assert answer == Wait("paused", gate=SITE)


def test_a_gate_that_holds_for_itself_names_a_parent_that_comes_before() -> None:
    paused = replace(named(HOST, open_gate()), control="paused")
    busy = named(HOST, open_gate(concurrency=1))

    assert first_cause(Wait("slot"), (parent(paused),), MONO) == Wait("paused", gate=HOST)
    assert first_cause(Wait("slot"), (parent(busy, in_flight=1),), MONO) == Wait("slot")


def test_a_share_of_a_parents_limits_holds_for_its_family() -> None:
    """Semantics 4.4: rate and concurrency together."""
    host = named(HOST, open_gate(concurrency=10))
    ramping = replace(host, mode=Ramping(0, 20, until=mono(10), trips=0))

    assert ready_at(parent(ramping, in_flight=1), MONO) == MONO
    assert ready_at(parent(ramping, in_flight=2), MONO) == Wait("ramp", gate=HOST)


def test_what_an_endpoint_asked_for_stays_with_its_gate() -> None:
    """Semantics 4.6: another endpoint of the same host was not asked to be left alone."""
    host = replace(named(HOST, open_gate()), throttled_until=mono(60))

    assert ready_at(parent(host), MONO) == MONO


# --- every window, every level ----------------------------------------------------------------


class Step(Struct, frozen=True):
    """What happens after a while."""

    gap_ns: int
    what: str
    gate: GateName
    limits: Limits | None = None
    times: int = 1


RATES = st.builds(
    Rate,
    rate=st.sampled_from([0.5, 10.0, 100.0, 500.0]),
    per_ns=st.sampled_from([SECOND, 10 * SECOND]),
    burst=st.integers(1, 6),
)
LIMITS = st.builds(
    Limits,
    concurrency=st.sampled_from([1, 3, 60]),
    rates=st.lists(RATES, min_size=1, max_size=2).map(tuple),
)
WIDE = st.just(Limits(concurrency=100)) | LIMITS
GAPS = st.just(0) | st.integers(0, SECOND // 10) | st.integers(0, 5 * SECOND) | st.just(90 * SECOND)
ANY, PARENTS = st.sampled_from((A, B, HOST, SITE)), st.sampled_from((HOST, SITE))
CONTROLS = st.sampled_from(("pause", "resume", "step", "recover", "recover"))
STARTS = st.builds(Step, GAPS, st.just("start"), ANY, times=st.integers(1, 12))
STEPS = st.lists(
    STARTS
    | STARTS
    | st.builds(Step, GAPS, st.just("end"), ANY, times=st.integers(1, 12))
    | st.builds(Step, GAPS, CONTROLS, PARENTS)
    | st.builds(Step, GAPS, st.just("limits"), PARENTS, LIMITS)
    | st.builds(Step, GAPS, st.just("restart"), st.just(HOST)),
    min_size=1,
    max_size=30,
)


class Log:
    """Gates in a family, live and as the log has them; an instant is a position in it."""

    def __init__(self, limits: dict[GateName, Limits]) -> None:
        self.now = MONO
        self.position = 0
        self.streams: dict[GateName, list[tuple[int, GateEvent]]] = defaultdict(list)
        self.tats: dict[GateName, tuple[int, tuple[Mono, ...]]] = {}
        self.open: dict[GateName, int] = defaultdict(int)
        self.gates: dict[GateName, Gate] = {}
        self.starts: dict[GateName, list[int]] = defaultdict(list)
        for name, allowed in limits.items():
            self.own(
                name, GateOpened(at=NOW, mono=MONO, settings=replace(settings(), limits=allowed))
            )

    def own(self, name: GateName, event: GateEvent) -> None:
        """An event of a gate's own stream; windows begin anew where its limits change."""
        self.position += 1
        self.streams[name].append((self.position, event))
        self.gates[name] = evolve(self.gates.get(name), event, name)
        if isinstance(event, GateLimitsChanged):
            self.starts[name].clear()

    def family(self, name: GateName) -> int:
        return sum(self.open[one] for one, above in BELOW.items() if name in above)

    def start(self, name: GateName) -> None:
        own = admit(self.gates[name], self.now)
        if isinstance(own, Wait):
            return
        above = [
            Parent(self.gates[one], self.family(one), self.gates[one].tats) for one in BELOW[name]
        ]
        answer = admit_below(self.gates[name], own, above, self.now)
        if isinstance(answer, Wait):
            return
        started = start_of(self.gates[name], 1, answer, stopped_ns=0, wall=Wall(self.now))
        self.fold(name, started)
        for one in {name, *BELOW[name]}:
            self.starts[one].append(answer.slot_at)

    def fold(self, name: GateName, started: AttemptStarted) -> None:
        self.position += 1
        self.open[name] += 1
        self.gates[name] = evolve_attempt(self.gates[name], started)
        self.tats[name] = (self.position, started.tats)
        for one in started.above:
            self.gates[one.gate] = replace(self.gates[one.gate], tats=one.tats)
            self.tats[one.gate] = (self.position, one.tats)

    def end(self, name: GateName) -> None:
        if self.open[name]:
            self.open[name] -= 1
            ended = AttemptVoided(at=Wall(self.now), gate=name, attempt=1)
            self.gates[name] = evolve_attempt(self.gates[name], ended)

    def restored(self, name: GateName) -> Gate:
        position, tats = self.tats.get(name, (0, ()))
        traffic = Traffic(in_flight=self.open[name], tats=tats, tats_position=position)
        return restore(name, tuple(self.streams[name]), traffic)

    def take(self, step: Step) -> None:
        self.now = Mono(self.now + step.gap_ns)
        name, at, now = step.gate, Wall(self.now), self.now
        match step.what:
            case "start":
                for _ in range(step.times):
                    self.start(name)
            case "end":
                for _ in range(step.times):
                    self.end(name)
            case "pause":
                self.own(name, GatePaused(at=at, mono=now))
            case "resume":
                self.own(name, GateResumed(at=at, mono=now))
            case "step":
                self.own(
                    name,
                    GateRampStepped(at=at, mono=now, step=1, percent=30, until=now, why="paused"),
                )
            case "recover":
                self.own(name, GateRecovered(at=at, mono=now))
            case "limits":
                assert step.limits is not None
                chosen = replace(self.gates[name].settings, limits=step.limits)
                self.own(name, GateLimitsChanged(at=at, mono=now, settings=chosen))
            case _:
                self.gates = {one: self.restored(one) for one in self.gates}


@given(st.fixed_dictionaries({A: WIDE, B: WIDE, HOST: LIMITS, SITE: WIDE}), STEPS)
def test_no_level_is_ever_above_its_limits_and_live_state_is_the_fold(
    limits: dict[GateName, Limits], steps: list[Step]
) -> None:
    """Semantics 3.1 to 3.3 and 3.5 for every window of every level, over limits that change,
    pauses, ramps, long silences and restarts."""
    log = Log(limits)

    for step in steps:
        before = log.family(HOST), log.family(SITE)
        log.take(step)
        for name, was in zip((HOST, SITE), before, strict=True):
            if step.what == "start":
                most = log.gates[name].settings.limits.concurrency
                assert log.family(name) <= max(was, most)
        for name in (A, B, HOST, SITE):
            assert log.gates[name] == log.restored(name)
            rates = log.gates[name].settings.limits.rates
            assert excess_over(log.starts[name], rates) <= 0


# --- a parent's own life ----------------------------------------------------------------------

FAMILY = Seen(backlog=True, error="", u=0.0, family=0)


def test_a_parent_does_not_trip_by_itself() -> None:
    """Each child trips by itself; what a parent sends in its own name says nothing of them."""
    failing = replace(open_gate(), failures_in_row=50)

    assert react(failing, MONO, NOW, FAMILY) == ()


def test_a_parent_that_was_tripped_by_hand_goes_on_by_its_ramp() -> None:
    """There is no one endpoint to probe."""
    tripped = replace(open_gate(), mode=Tripped(until=mono(5), trips=1))

    [event] = react(tripped, mono(5), wall(5), FAMILY)
    by_hand = decide(tripped, ProbeGate(CAUSE), mono(1), wall(1), backlog=True, family=0)

    assert react(tripped, mono(4), wall(4), FAMILY) == ()
    assert isinstance(event, GateRampStepped)
    assert (event.percent, event.why) == (5, "tripped")
    assert isinstance(by_hand, tuple)
    assert isinstance(by_hand[0], GateRampStepped)


def test_a_gate_that_probed_when_it_got_children_ramps() -> None:
    probing = evolve(open_gate(), GateProbed(at=NOW, mono=MONO), GateName("gate"))

    [event] = react(probing, mono(1), wall(1), FAMILY)

    assert isinstance(event, GateRampStepped)


def test_a_parents_ramp_climbs_by_time() -> None:
    ramping = replace(open_gate(in_flight=3), mode=Ramping(0, 5, until=mono(10), trips=0))

    assert next_reaction_at(ramping) == mono(10)
    assert react(ramping, mono(9), wall(9), FAMILY) == ()
    [event] = react(ramping, mono(10), wall(10), FAMILY)
    assert isinstance(event, GateRampStepped)
    assert event.percent == 10


def test_a_parent_has_drained_when_its_family_has() -> None:
    gate = open_gate()

    busy = decide(gate, DrainGate(CAUSE), MONO, NOW, backlog=False, family=2)
    idle = decide(gate, DrainGate(CAUSE), MONO, NOW, backlog=False, family=0)

    assert isinstance(busy, tuple)
    assert isinstance(idle, tuple)
    assert [type(event).__name__ for event in busy] == ["GatePaused"]
    assert [type(event).__name__ for event in idle] == ["GatePaused", "GateDrained"]
    draining = replace(gate, control="draining")
    assert react(draining, MONO, NOW, replace(FAMILY, family=1)) == ()
    assert len(react(draining, MONO, NOW, FAMILY)) == 1


# --- kinship ----------------------------------------------------------------------------------

NAMES = tuple(GateName(name) for name in "abcdef")


def chain(*names: str) -> Kinship:
    """Each below the next."""
    pairs = itertools.pairwise(names)
    return Kinship(NAMES, {GateName(one): GateName(two) for one, two in pairs})


@pytest.mark.parametrize(
    ("name", "parent", "kinship", "said"),
    [
        ("a", "x", chain(), "there is no gate x"),
        ("a", "a", chain(), "a gate cannot be its own parent"),
        ("c", "a", chain("a", "b", "c"), "gate a is below c already"),
        (
            "e",
            "a",
            chain("a", "b", "c", "d"),
            "that makes 5 levels of gates, at most 4 are allowed",
        ),
        ("b", "c", chain("a", "b"), None),
        (
            "c",
            "d",
            Kinship(NAMES, {**chain("a", "b", "c").parents, **chain("d", "e").parents}),
            "that makes 5",
        ),
    ],
)
def test_a_parent_is_refused_with_what_is_wrong(
    name: str, parent: str, kinship: Kinship, said: str | None
) -> None:
    answer = refuse_parent(GateName(name), GateName(parent), kinship)

    if said is None:
        assert answer is None
    else:
        assert isinstance(answer, Rejected)
        assert answer.field == "parent"
        assert answer.message.startswith(said)
        assert answer.remedy


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20))
def test_no_sequence_of_accepted_parents_makes_a_ring_or_a_fifth_level(
    wishes: list[tuple[GateName, GateName]],
) -> None:
    parents: dict[GateName, GateName] = {}
    for name, above in wishes:
        if refuse_parent(name, above, Kinship(NAMES, parents)) is None:
            parents[name] = above

    for name in NAMES:
        line = [name]
        while line[-1] in parents:
            line.append(parents[line[-1]])
            assert len(line) <= 4
