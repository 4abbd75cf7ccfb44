"""The cases of OTP's own suite that need more than a line; the ids are their numbers."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import product
from typing import Any

import pykka
import pytest
from pykka import ActorRef

from taskmaster.supervision import (
    NORMAL,
    SHUTDOWN,
    ChildFailed,
    ChildSpec,
    Counts,
    Crash,
    Down,
    Flags,
    Ignored,
    LoopActor,
    Misspelt,
    Ok,
    Reason,
    Refused,
    Shutdown,
    Supervisor,
    WithInfo,
    World,
    started,
    stop,
    tell,
    watch,
)
from taskmaster.supervision.machine import Machine
from taskmaster.supervision.messages import (
    Asked,
    AskToStop,
    Begin,
    End,
    Exited,
    Start,
    StartChild,
    StartDynamic,
    Started,
    Stop,
    StopFailed,
)
from taskmaster.supervision.specs import SECOND_NS, check_child
from tests.unit.actors.loops import run_on, simulated_loop, turns
from tests.unit.supervision.test_otp_suite import CASES as LINES

BOOM = ValueError("boom")


class Plain(LoopActor):
    """Ends as it is told to."""

    def on_receive(self, message: object) -> None:
        if isinstance(message, BaseException):
            raise message
        assert isinstance(message, Shutdown)
        self.exit(message)


def world() -> World:
    loop = simulated_loop()
    return World(mono_ns=lambda: loop.now_ns)


async def child_of(supervisor: Supervisor, name: object) -> "ActorRef[Any]":
    return next(child.pid for child in await supervisor.which_children() if child.id == name)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_on("simulated", main())


def machine_of(flags: Flags, *specs: ChildSpec) -> Machine:
    """Begun; each child's pid is its id."""
    machine = Machine(flags, specs)
    effects = machine.handle(Begin(), 0)
    while effects:
        (start,) = effects
        assert isinstance(start, Start)
        effects = machine.handle(Started(start.spec.id), 0)
    return machine


def case_2_a_start_that_is_ignored_ends_as_normal() -> None:
    async def main() -> None:
        class Nothing(Supervisor):
            def on_start(self) -> None:
                raise Ignored

        supervisor = Nothing([], world=world())
        downs: list[Down] = []
        supervisor.life.watch(downs.append)

        with pytest.raises(Ignored):
            supervisor.launch()
        assert [down.reason for down in downs] == [NORMAL]

    run(main)


def case_8_a_child_that_is_no_actor_fails_the_start() -> None:
    async def main() -> None:
        supervisor = Supervisor([ChildSpec("x", lambda: "rubbish")], world=world())

        with pytest.raises(ChildFailed, match="'x' failed to start: 'rubbish'"):
            supervisor.launch()

    run(main)


def case_9_a_start_that_raises_is_raised_and_is_the_reason_of_the_end() -> None:
    async def main() -> None:
        class Failing(Supervisor):
            def on_start(self) -> None:
                raise BOOM

        supervisor = Failing([], world=world())
        downs: list[Down] = []
        supervisor.life.watch(downs.append)

        with pytest.raises(ValueError, match="boom"):
            supervisor.launch()
        assert [down.error for down in downs] == [BOOM]

    run(main)


def case_13_what_a_spec_leaves_out_can_be_read() -> None:
    async def main() -> None:
        specs = [ChildSpec("a", Plain.start), ChildSpec("b", Plain.start, type="supervisor")]
        supervisor = Supervisor(specs, world=world())
        supervisor.launch()

        spec = await supervisor.child_spec("a")
        assert isinstance(spec, ChildSpec)
        assert (spec.restart, spec.type, spec.significant) == ("permanent", "worker", False)
        assert spec.shutdown_time == 5 * SECOND_NS
        other = await supervisor.child_spec("b")
        assert isinstance(other, ChildSpec)
        assert other.shutdown_time == "infinity"
        assert await supervisor.child_spec("c") == Refused("not_found")

    run(main)


def case_14_every_dynamic_child_has_the_spec_of_the_template() -> None:
    async def main() -> None:
        template = ChildSpec("t", Plain.start)
        supervisor = Supervisor([template], world=world(), strategy="simple_one_for_one")
        supervisor.launch()
        made = [await supervisor.start_dynamic() for _ in range(2)]

        for one in made:
            assert isinstance(one, Ok)
            assert await supervisor.child_spec(one.child) is template
        assert await supervisor.child_spec(Plain.start()) == Refused("not_found")

    run(main)


def case_15_a_faulty_spec_is_refused_by_name() -> None:
    """A field that does not exist is refused too, where OTP's maps ignore it."""
    for fields in ({"start": print}, {"id": "a"}, {"id": "a", "start": print, "restarts": 1}):
        with pytest.raises(TypeError):
            ChildSpec(**fields)  # pyright: ignore[reportArgumentType]  # faulty
    with pytest.raises(Misspelt, match="invalid_child_spec"):
        check_child(Flags(), ("a", print))


def case_21_children_that_end_by_themselves_do_not_disturb_a_stop() -> None:
    reasons: tuple[Reason, ...] = (NORMAL, SHUTDOWN, Shutdown("x"), Crash(BOOM))
    for restart, reason in product(("permanent", "transient", "temporary"), reasons):
        machine = machine_of(
            Flags(), *(ChildSpec(name, print, restart, "infinity") for name in "abc")
        )
        stopping = machine.handle(Stop(SHUTDOWN), 0)
        assert machine.handle(Exited("a", reason), 0) == []
        then = [*machine.handle(Exited("c", SHUTDOWN), 0), *machine.handle(Exited("b", reason), 0)]

        assert stopping == [AskToStop("c")]
        asked = [effect.pid for effect in then if isinstance(effect, AskToStop)]
        odd = [effect.id for effect in then if isinstance(effect, StopFailed)]
        is_odd = isinstance(reason, Crash) or (restart == "permanent" and reason != SHUTDOWN)
        assert asked == ["b"]
        assert odd == (["b", "a"] if is_odd else [])
        assert then[-1] == End(SHUTDOWN)


def case_23_a_supervisor_that_has_ended_answers_nothing() -> None:
    async def main() -> None:
        supervisor = Supervisor([], world=world())
        await stop(supervisor.launch())

        with pytest.raises(pykka.ActorDeadError):
            await supervisor.which_children()

    run(main)


def case_24_an_actor_that_is_no_child_is_not_found() -> None:
    async def main() -> None:
        supervisor = Supervisor(
            [ChildSpec("t", Plain.start)], world=world(), strategy="simple_one_for_one"
        )
        supervisor.launch()
        stranger = Plain.start()

        assert await supervisor.terminate_child(stranger) == Refused("not_found")
        assert stranger.is_alive()

    run(main)


def case_25_what_a_start_returns_beside_the_child_is_passed_on() -> None:
    async def main() -> None:
        numbers = iter(range(10))
        spec = ChildSpec("a", lambda: WithInfo(Plain.start(), next(numbers)))
        supervisor = Supervisor([], world=world())
        supervisor.launch()

        first = await supervisor.start_child(spec)
        assert isinstance(first, Ok)
        assert first.info == 0
        tell(first.child, BOOM)
        await turns(50)
        await supervisor.terminate_child("a")
        again = await supervisor.restart_child("a")

        assert isinstance(again, Ok)
        assert again.info == 2

    run(main)


FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"start": 1}, "invalid_start"),
    ({"restart": "prmanent"}, "invalid_restart_type"),
    ({"shutdown": -1}, "invalid_shutdown"),
    ({"shutdown": "never"}, "invalid_shutdown"),
    ({"shutdown": 1.5}, "invalid_shutdown"),
    ({"type": "wrker"}, "invalid_child_type"),
    ({"significant": 1}, "invalid_significant"),
    ({"start_timeout_ns": -1}, "invalid_start_timeout"),
]


def case_26_each_faulty_field_is_named_and_each_good_combination_taken() -> None:
    for fields, why in FAULTY:
        given: dict[str, Any] = {"id": "a", "start": print, **fields}
        spec = ChildSpec(**given)
        with pytest.raises(Misspelt) as refused:
            check_child(Flags(), spec)
        assert (refused.value.why, refused.value.field) == (why, next(iter(fields)))

        machine = machine_of(Flags())
        (reply,) = machine.handle(Asked(StartChild(spec)), 0)
        assert "misspelt" in repr(reply)

    restarts = ("permanent", "transient", "temporary")
    times: tuple[Any, ...] = (None, 0, 1000, "infinity", "brutal_kill")
    for restart, time, kind in product(restarts, times, ("worker", "supervisor")):
        check_child(Flags(), ChildSpec("a", print, restart, time, kind))


def case_27_significance_goes_with_auto_shutdown_and_not_with_permanent() -> None:
    for auto, restart in product(
        ("never", "any_significant", "all_significant"), ("permanent", "transient", "temporary")
    ):
        flags = Flags(auto_shutdown=auto)
        spec = ChildSpec("a", print, restart, significant=True)
        if auto == "never" or restart == "permanent":
            with pytest.raises(Misspelt, match="bad_combination"):
                check_child(flags, spec)
        else:
            check_child(flags, spec)
    for specs in ([], [ChildSpec("a", print), ChildSpec("b", print)]):
        with pytest.raises(Misspelt, match="bad_start_spec"):
            Machine(Flags("simple_one_for_one"), specs)


def case_28_each_faulty_flag_is_named() -> None:
    faulty: list[tuple[dict[str, Any], str]] = [
        ({"strategy": "none_for_one"}, "invalid_strategy"),
        ({"intensity": -1}, "invalid_intensity"),
        ({"intensity": "infinity"}, "invalid_intensity"),
        ({"period_ns": 0}, "invalid_period"),
        ({"period_ns": 1.5}, "invalid_period"),
        ({"auto_shutdown": "some"}, "invalid_auto_shutdown"),
    ]
    for fields, why in faulty:
        with pytest.raises(Misspelt, match=why):
            Machine(Flags(**fields), [])
    with pytest.raises(TypeError):
        Flags(intensty=1)  # pyright: ignore[reportCallIssue]  # faulty


def case_36_dynamic_children_are_stopped_in_parallel() -> None:
    async def main() -> None:

        class Slow(LoopActor):
            async def on_stop(self) -> None:
                await asyncio.sleep(1)

        supervisor = Supervisor(
            [ChildSpec("t", Slow.start)], world=world(), strategy="simple_one_for_one"
        )
        supervisor.launch()
        for _ in range(100):
            await supervisor.start_dynamic()
        began = simulated_loop().now_ns
        await stop(supervisor.actor_ref)

        assert simulated_loop().now_ns - began == SECOND_NS

    run(main)


def case_37_a_dynamic_child_may_come_with_something_too() -> None:
    async def main() -> None:
        def start(number: int) -> WithInfo:
            return WithInfo(Plain.start(), number)

        template = ChildSpec("t", start)
        supervisor = Supervisor([template], world=world(), strategy="simple_one_for_one")
        supervisor.launch()

        made = await supervisor.start_dynamic(7)
        assert isinstance(made, Ok)
        assert made.info == 7
        tell(made.child, BOOM)
        await turns(50)
        assert await supervisor.count_children() == Counts(1, 1, 0, 1)

    run(main)


class Heavy:
    """An argument whose end can be seen."""


def case_39_the_arguments_of_temporary_dynamic_children_are_let_go() -> None:
    kinds: tuple[tuple[Any, bool], ...] = (("temporary", False), ("permanent", True))
    for restart, is_kept in kinds:
        machine = machine_of(
            Flags("simple_one_for_one"),
            ChildSpec("t", print, restart),
        )
        heavy = Heavy()
        seen = weakref.ref(heavy)
        machine.handle(Asked(StartDynamic((heavy,))), 0)
        machine.handle(Started("a"), 0)
        del heavy
        gc.collect()

        assert (seen() is not None) is is_kept


def case_49_a_child_that_fails_at_the_start_tells_its_reason_to_the_top() -> None:
    async def main() -> None:
        def fail() -> "ActorRef[Any]":
            raise BOOM

        def inner() -> "ActorRef[Any]":
            return Supervisor([ChildSpec("x", fail)], world=world()).launch()

        top = Supervisor([ChildSpec("unit", inner, type="supervisor")], world=world())

        with pytest.raises(ChildFailed) as raised:
            await started(top.launch())
        assert isinstance(raised.value.__cause__, ChildFailed)
        assert raised.value.__cause__.__cause__ is BOOM

    run(main)


def case_53_a_child_that_unlinks_itself_cannot_hang_its_end() -> None:
    async def main() -> None:
        supervisor = Supervisor(
            [ChildSpec(name, Plain.start) for name in "ab"], world=world(), intensity=0
        )
        supervisor.launch()
        alive, gone = [await child_of(supervisor, name) for name in "ab"]
        for ref in (alive, gone):
            ref.actor_stopped.owner = None  # pyright: ignore[reportAttributeAccessIssue]  # unlinks
        await stop(gone)

        assert await supervisor.terminate_child("a") == Ok()
        assert await supervisor.terminate_child("b") == Ok()
        assert not alive.is_alive()

    run(main)


def case_54_a_tree_restarts_where_it_broke_and_without_dynamic_children() -> None:
    async def main() -> None:
        made: dict[str, list[Supervisor]] = {"one": [], "two": []}

        def tree(name: str) -> "ActorRef[Any]":
            specs = [ChildSpec(f"{name}-{n}", Plain.start) for n in range(2)]
            made[name].append(Supervisor(specs, world=world(), intensity=1))
            return made[name][-1].launch()

        top = Supervisor(
            [ChildSpec(name, partial(tree, name), type="supervisor") for name in ("one", "two")],
            world=world(),
            strategy="one_for_all",
            intensity=4,
        )
        top.launch()
        assert await top.count_children() == Counts(2, 2, 2, 0)
        await made["one"][0].start_child(ChildSpec("dynamic", Plain.start))
        assert await made["one"][0].count_children() == Counts(3, 3, 0, 3)

        tell(await child_of(made["two"][0], "two-0"), BOOM)  # one that is restarted where it is
        await turns(100)
        assert [len(made["one"]), len(made["two"])] == [1, 1]

        tell(await child_of(made["two"][0], "two-0"), BOOM)  # one too many
        await turns(200)
        assert [len(made["one"]), len(made["two"])] == [2, 2]
        assert await made["one"][1].count_children() == Counts(2, 2, 0, 2)
        assert await top.count_children() == Counts(2, 2, 2, 0)

    run(main)


def case_61_an_auto_shutdown_goes_up_only_where_the_supervisor_is_significant() -> None:
    async def main(is_significant: bool) -> None:
        inner: list[Supervisor] = []

        def start() -> "ActorRef[Any]":
            spec = ChildSpec("x", Plain.start, "transient", significant=True)
            inner.append(Supervisor([spec], world=world(), auto_shutdown="any_significant"))
            return inner[-1].launch()

        unit = ChildSpec("unit", start, "transient", type="supervisor", significant=is_significant)
        top = Supervisor(
            [unit, ChildSpec("a", Plain.start)], world=world(), auto_shutdown="any_significant"
        )
        downs: list[Down] = []
        watch(top.launch(), downs.append)
        tell(await child_of(inner[0], "x"), SHUTDOWN)
        await turns(100)

        assert not inner[0].actor_ref.is_alive()
        assert [down.reason for down in downs] == ([SHUTDOWN] if is_significant else [])

    for is_significant in (True, False):
        run_on("simulated", main(is_significant))


async def _counted(template: ChildSpec, expected: Callable[[int], Counts]) -> None:
    supervisor = Supervisor([template], world=world(), strategy="simple_one_for_one")
    supervisor.launch()
    refs: list[Any] = []
    for _ in range(2_000):
        made = await supervisor.start_dynamic()
        assert isinstance(made, Ok)
        refs.append(made.child)
    assert await supervisor.count_children() == expected(2_000)

    for ref in refs:
        await supervisor.terminate_child(ref)
    assert await supervisor.count_children() == expected(0)


def case_69_two_thousand_children_are_counted() -> None:
    template = ChildSpec("t", Plain.start, "temporary")
    run_on("simulated", _counted(template, lambda n: Counts(1, n, 0, n)))


def case_70_two_thousand_supervisors_are_counted() -> None:
    def start() -> "ActorRef[Any]":
        return Supervisor([], world=world()).launch()

    template = ChildSpec("t", start, "temporary", type="supervisor")
    run_on("simulated", _counted(template, lambda n: Counts(1, n, n, 0)))


def case_73_what_starts_a_temporary_child_is_let_go() -> None:
    for strategy in ("one_for_one", "one_for_all", "rest_for_one"):
        heavy = Heavy()
        seen = weakref.ref(heavy)
        machine = machine_of(Flags(strategy))
        spec = ChildSpec("a", partial(repr, heavy), "temporary")
        machine.handle(Asked(StartChild(spec)), 0)
        machine.handle(Started("p"), 0)
        del heavy, spec
        gc.collect()

        assert seen() is None
        (child,) = machine.children
        assert (child.pid, child.spec.restart) == ("p", "temporary")


def case_75_very_many_temporary_children_take_no_longer_each() -> None:
    """Nothing is looked through: ten times the children, at most fifty times the time in OTP's."""
    machine = machine_of(Flags("simple_one_for_one"), ChildSpec("t", print, "temporary"))
    for number in range(20_000):
        machine.handle(Asked(StartDynamic()), 0)
        machine.handle(Started(number), 0)
    for number in range(20_000):
        assert machine.handle(Exited(number, NORMAL), 0) == []

    assert len(machine.children) == 0


def case_86_very_many_children_start_and_stop() -> None:
    """`benchmarks/supervision.py` has 100,000, and what each costs."""

    async def main() -> None:
        supervisor = Supervisor(
            [ChildSpec("t", Plain.start)], world=world(), strategy="simple_one_for_one"
        )
        supervisor.launch()
        for _ in range(3_000):
            await supervisor.start_dynamic()
        refs = [child.pid for child in await supervisor.which_children()]
        await stop(supervisor.actor_ref)

        assert len(refs) == 3_000
        assert not any(ref.is_alive() for ref in refs)

    run(main)


CASES = {
    f"{name.split('_')[1]}": test
    for name, test in list(globals().items())
    if name.startswith("case_") and callable(test)
}


@pytest.mark.parametrize("number", CASES)
def test_a_case_ends_as_with_otp(number: str) -> None:
    CASES[number]()


def test_every_case_that_has_a_meaning_here_is_there() -> None:
    without_meaning = {*range(62, 69), 72, 77, *range(81, 85), 87, 88}
    numbers = {int(case[0].split("-")[0]) for case in LINES} | {int(number) for number in CASES}

    assert len(without_meaning) == 15
    assert numbers == set(range(1, 89)) - without_meaning
