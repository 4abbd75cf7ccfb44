"""What holds of the machine whatever happens to it: random children, starts, ends and requests."""

from collections import deque
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from taskmaster.supervision import KILLED, NORMAL, SHUTDOWN, ChildSpec, Crash, Flags, Reason
from taskmaster.supervision.machine import Machine
from taskmaster.supervision.messages import (
    Asked,
    AskToStop,
    Begin,
    DeleteChild,
    Effect,
    End,
    Exited,
    GaveUp,
    Input,
    Kill,
    Reply,
    RestartChild,
    Restarted,
    RestartFailed,
    SendSelf,
    Start,
    Started,
    StartFailed,
    Stop,
    TerminateChild,
    TryAgain,
)

NAMES = "abcd"
BOOM = Crash(ValueError("boom"))
strategies = st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])
restarts = st.sampled_from(["permanent", "transient", "temporary"])
steps = st.lists(
    st.tuples(
        st.sampled_from(["boom", "normal", "kill", "term", "restart", "delete", "late"]),
        st.sampled_from(NAMES),
    ),
    max_size=12,
)


class Driven:
    """A machine whose children do as they are told, and whose starts go as drawn."""

    def __init__(self, flags: Flags, kinds: list[Any], fates: list[bool]) -> None:
        specs = [
            ChildSpec(name, print, kind, "infinity")
            for name, kind in zip(NAMES, kinds, strict=False)
        ]
        self.machine = Machine(flags, specs)
        self.order = [spec.id for spec in specs]
        self.fates = deque(fates)
        self.inbox: deque[Input] = deque()
        self.alive: list[tuple[object, int]] = []  # in the order of their starts
        self.effects: list[tuple[int, Effect]] = []
        self.now_ns = 0
        self.asked = self.answered = 0

    def give(self, given: Input) -> None:
        self.inbox.append(given)
        for _ in range(100):
            if not self.inbox:
                return
            for effect in self.machine.handle(self.inbox.popleft(), self.now_ns):
                self.effects.append((self.now_ns, effect))
                self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Start(spec=spec, incarnation=incarnation):
                if self.fates and not self.fates.popleft():
                    self.inbox.appendleft(StartFailed("drawn"))
                    return
                pid = (spec.id, incarnation)
                assert spec.id not in [one for one, _ in self.alive], "two of one child"
                self.alive.append(pid)
                self.inbox.appendleft(Started(pid))
            case AskToStop(pid=pid) | Kill(pid=pid):
                self.end(cast("tuple[object, int]", pid), SHUTDOWN)
            case SendSelf(key=key):
                self.inbox.append(TryAgain(key))
            case Reply():
                self.answered += 1
            case _:
                pass

    def end(self, pid: tuple[object, int], reason: Reason) -> None:
        self.alive.remove(pid)
        self.inbox.append(Exited(pid, reason))

    def step(self, verb: str, name: str) -> None:
        pid = next((one for one in self.alive if one[0] == name), None)
        match verb:
            case "boom" | "normal" | "kill":
                if pid is not None:
                    reasons: dict[str, Reason] = {"boom": BOOM, "normal": NORMAL, "kill": KILLED}
                    self.alive.remove(pid)
                    self.give(Exited(pid, reasons[verb]))
            case "late":
                self.now_ns += 3
            case _:
                requests = {"term": TerminateChild, "restart": RestartChild, "delete": DeleteChild}
                self.asked += not self.machine.is_over
                self.give(Asked(requests[verb](name)))


def driven(
    strategy: str, intensity: int, kinds: list[str], fates: list[bool], todo: list[tuple[str, str]]
) -> Driven:
    flags = Flags(cast("Any", strategy), intensity, 5)
    play = Driven(flags, kinds, [True] * len(kinds) + fates)
    play.give(Begin())
    for verb, name in todo:
        play.step(verb, name)
    return play


scenarios = given(
    strategies,
    st.integers(0, 4),
    st.lists(restarts, min_size=1, max_size=4),
    st.lists(st.booleans(), max_size=8),
    steps,
)


@scenarios
def test_a_stop_ends_all_that_run_in_the_reverse_of_the_specs_and_none_is_left(
    strategy: str, intensity: int, kinds: list[str], fates: list[bool], todo: list[tuple[str, str]]
) -> None:
    play = driven(strategy, intensity, kinds, fates, todo)
    if play.machine.is_over:
        assert play.alive == []
        return
    running = [name for name in play.order if name in [one for one, _ in play.alive]]
    mark = len(play.effects)

    play.give(Stop(SHUTDOWN))

    asked = [
        cast("tuple[object, int]", effect.pid)[0]
        for _, effect in play.effects[mark:]
        if isinstance(effect, AskToStop)
    ]
    assert asked == running[::-1]
    assert play.alive == []
    assert play.effects[-1][1] == End(SHUTDOWN)


@scenarios
def test_no_period_has_more_restarts_than_the_intensity(
    strategy: str, intensity: int, kinds: list[str], fates: list[bool], todo: list[tuple[str, str]]
) -> None:
    """A restart is one start of the child that ended, or of the one whose start had failed."""
    play = driven("one_for_one", intensity, kinds, fates, todo)
    tries = [now for now, effect in play.effects if isinstance(effect, Restarted | RestartFailed)]

    for at, first in enumerate(tries):
        within = [now for now in tries[at:] if now - first <= play.machine.flags.period_ns]
        assert len(within) <= intensity
    gave_up = any(isinstance(effect, GaveUp) for _, effect in play.effects)
    assert gave_up <= play.machine.is_over


@scenarios
def test_what_the_machine_knows_is_what_runs(
    strategy: str, intensity: int, kinds: list[str], fates: list[bool], todo: list[tuple[str, str]]
) -> None:
    play = driven(strategy, intensity, kinds, fates, todo)

    known = {child.pid for child in play.machine.children if child.pid is not None}
    assert known == set(play.alive)
    order = [child.spec.id for child in play.machine.children]
    assert order == [name for name in play.order if name in order]
    assert play.answered == play.asked


@scenarios
def test_a_temporary_child_is_started_once(
    strategy: str, intensity: int, kinds: list[str], fates: list[bool], todo: list[tuple[str, str]]
) -> None:
    play = driven(strategy, intensity, kinds, fates, todo)
    started = [
        effect.spec.id
        for _, effect in play.effects
        if isinstance(effect, Start) and effect.spec.restart == "temporary"
    ]

    assert len(started) == len(set(started))


@scenarios
def test_the_same_inputs_give_the_same_effects(
    strategy: str, intensity: int, kinds: list[str], fates: list[bool], todo: list[tuple[str, str]]
) -> None:
    one = driven(strategy, intensity, kinds, fates, todo)
    two = driven(strategy, intensity, kinds, fates, todo)

    assert repr(one.effects) == repr(two.effects)
