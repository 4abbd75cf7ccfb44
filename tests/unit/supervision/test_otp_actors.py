"""Situations of supervision that need more than a line: trees, starts that take a while, the ends
of actors. The ids are the numbers of the situations, as in `test_otp_table.py`."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any

import pykka
import pytest
from pykka import ActorRef

from taskmaster.supervision import (
    KILLED,
    NO_PROCESS,
    SHUTDOWN,
    Backoff,
    ChildFailed,
    ChildSpec,
    Crash,
    Down,
    Expected,
    Flags,
    LoopActor,
    Misspelt,
    Ok,
    Refused,
    StartTimedOut,
    Supervisor,
    World,
    Zombies,
    kill,
    started,
    stop,
    tell,
    tell_to_stop,
    watch,
)
from taskmaster.supervision.machine import Machine
from taskmaster.supervision.messages import Begin, Exited, Report, Restarted
from taskmaster.supervision.specs import SECOND_NS, Restart
from tests.unit.actors.loops import run_on, simulated_loop, turns
from tests.unit.supervision.play import play
from tests.unit.supervision.test_otp_table import ROWS as LINES

BOOM = ValueError("boom")


class Plain(LoopActor):
    """Raises what it is told to raise, answers what it is asked."""

    def __init__(self, *heard: object) -> None:
        super().__init__()
        self.heard = list(heard)

    def on_receive(self, message: object) -> object:
        self.heard.append(message)
        if isinstance(message, BaseException):
            raise message
        return message


def world(**ports: Any) -> World:
    """Of a simulated loop."""
    loop = simulated_loop()
    return World(mono_ns=lambda: loop.now_ns, **ports)


def downs_of(ref: "ActorRef[Any]") -> list[Down]:
    downs: list[Down] = []
    watch(ref, downs.append)
    return downs


async def child_of(supervisor: Supervisor, name: object) -> "ActorRef[Any]":
    return next(child.pid for child in await supervisor.which_children() if child.id == name)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_on("simulated", main())


def row_37_two_of_one_id_are_refused_before_any_is_started() -> None:
    starts: list[str] = []
    specs = [ChildSpec(name, partial(starts.append, name)) for name in "aba"]

    with pytest.raises(Misspelt, match="duplicate_child_name: id is 'a'"):
        Machine(Flags(), specs)
    assert starts == []


def row_38_the_arguments_of_a_dynamic_child_follow_those_of_the_template() -> None:
    async def main() -> None:
        made: list[tuple[object, ...]] = []

        def start(*args: object) -> "ActorRef[Any]":
            made.append(args)
            return Plain.start()

        template = ChildSpec("t", partial(start, "template"), "temporary")
        supervisor = Supervisor([template], world=world(), strategy="simple_one_for_one")
        supervisor.launch()
        await supervisor.start_dynamic(1, 2)

        assert made == [("template", 1, 2)]

    run(main)


def row_40_one_timer_serves_all_that_are_stopped_at_once() -> None:
    seen = play("machine", "simple_one_for_one", "t=20", "start a%refuse; start b%refuse; stop")

    assert seen.endswith("#a #b end:shutdown r:t r:t ~a ~b")

    async def main() -> None:
        class Slow(LoopActor):
            async def on_stop(self) -> None:
                await asyncio.sleep(3_600)

        template = ChildSpec("t", Slow.start, shutdown=2 * SECOND_NS)
        supervisor = Supervisor([template], world=world(), strategy="simple_one_for_one")
        supervisor.launch()
        for _ in range(20):
            await supervisor.start_dynamic()
        began = simulated_loop().now_ns

        await stop(supervisor.actor_ref)

        assert simulated_loop().now_ns - began == 2 * SECOND_NS

    run(main)


async def nested(restart: Restart) -> tuple[Supervisor, list[Supervisor], list[Report]]:
    """A supervisor over one that tolerates no restart, with a dynamic child beside its own."""
    reports: list[Report] = []
    inner: list[Supervisor] = []

    def start() -> "ActorRef[Any]":
        inner.append(Supervisor([ChildSpec("x", Plain.start)], world=world(), intensity=0))
        return inner[-1].launch()

    specs = [
        ChildSpec("unit", start, restart, type="supervisor"),
        ChildSpec("sibling", Plain.start),
    ]
    outer = Supervisor(specs, world=world(report=reports.append))
    outer.launch()
    assert isinstance(await inner[0].start_child(ChildSpec("dynamic", Plain.start)), Ok)
    tell(await child_of(inner[0], "x"), BOOM)
    await turns(100)
    return outer, inner, reports


def row_42_a_permanent_supervisor_that_gave_up_is_restarted_without_its_dynamic_children() -> None:
    async def main() -> None:
        _, inner, reports = await nested("permanent")

        assert [child.id for child in await inner[1].which_children()] == ["x"]
        assert [one for one in reports if isinstance(one, Restarted)] == [Restarted("unit", 2)]

    run(main)


def row_43_a_transient_supervisor_that_gave_up_stays_down_and_costs_nothing() -> None:
    async def main() -> None:
        outer, inner, reports = await nested("transient")

        assert len(inner) == 1
        assert reports == []
        states = [(child.id, child.state) for child in await outer.which_children()]
        assert states == [("sibling", "running"), ("unit", "stopped")]

    run(main)


def row_45_a_child_that_ends_in_its_own_start_has_failed_to_start() -> None:
    async def main() -> None:
        class Short(LoopActor):
            def on_start(self) -> None:
                self.exit(SHUTDOWN)

        class ShortLater(LoopActor):
            async def on_start(self) -> None:
                await asyncio.sleep(1)
                self.exit(SHUTDOWN)

        supervisor = Supervisor([], world=world())
        supervisor.launch()

        for kind in (Short, ShortLater):
            answer = await supervisor.start_child(ChildSpec("x", kind.start))
            assert answer == Refused("start_failed", SHUTDOWN)
        assert await supervisor.which_children() == ()

    run(main)


def row_47_the_end_of_an_actor_that_is_no_child_is_ignored() -> None:
    machine = Machine(Flags(intensity=0), [])
    machine.handle(Begin(), 0)

    assert machine.handle(Exited("stranger", Crash(BOOM)), 0) == []
    assert not machine.is_over


def row_48_no_child_survives_a_supervisor_that_crashes_or_is_killed() -> None:
    async def main(how: str) -> None:
        stopped: list[str] = []

        class Child(LoopActor):
            def on_stop(self) -> None:
                stopped.append(self.actor_urn)

        class Deaf(LoopActor):
            async def on_stop(self) -> None:
                await asyncio.sleep(10**6)

        deaf = Deaf()
        specs = [
            ChildSpec("a", lambda: Child.start("a")),
            ChildSpec("b", deaf.launch, shutdown=SECOND_NS),
            ChildSpec("c", lambda: Child.start("c")),
        ]
        inner = Supervisor(specs, world=world())
        ref = inner.launch()
        children = [await child_of(inner, name) for name in "abc"]
        if how == "crash":
            tell(ref, "no message of a supervisor")
        else:
            kill(ref)
        await asyncio.sleep(2)

        assert not any(child.is_alive() for child in children)
        assert sorted(stopped) == ["a", "c"]

    run(partial(main, "crash"))
    run(partial(main, "kill"))


def row_49_an_unexpected_error_in_an_ask_is_returned_and_crashes() -> None:
    async def main() -> None:
        ref = Plain.start()
        downs = downs_of(ref)

        with pytest.raises(ValueError, match="boom"):
            await ref.ask(BOOM, block=False)
        assert [down.error for down in downs] == [BOOM]

    run(main)


def row_50_an_expected_error_is_an_answer() -> None:
    async def main() -> None:
        ref = Plain.start()
        downs = downs_of(ref)

        with pytest.raises(Expected, match="unknown gate"):
            await ref.ask(Expected("unknown gate"), block=False)
        tell(ref, Expected("nobody asked"))
        assert await ref.ask("still here", block=False) == "still here"
        assert downs == []

    run(main)


def row_51_what_ends_a_process_elsewhere_ends_one_actor_here() -> None:
    async def main() -> None:
        errors = (SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError())
        other = Plain.start()
        for error in errors:
            ref = Plain.start()
            downs = downs_of(ref)
            tell(ref, error)
            await turns()
            assert [down.error for down in downs] == [error]

            def start(error: BaseException = error) -> "ActorRef[Any]":
                raise error

            supervisor = Supervisor([], world=world())
            supervisor.launch()
            answer = await supervisor.start_child(ChildSpec("x", start))
            assert answer == Refused("start_failed", Crash(error))
        assert await other.ask("alive", block=False) == "alive"

    run(main)


def row_52_a_start_that_takes_too_long_has_failed() -> None:
    async def main() -> None:
        class Slow(LoopActor):
            async def on_start(self) -> None:
                await asyncio.sleep(60)

        refs: list[ActorRef[Any]] = []

        def start() -> "ActorRef[Any]":
            refs.append(Slow.start())
            return refs[-1]

        spec = ChildSpec("x", start, start_timeout_ns=2 * SECOND_NS)
        supervisor = Supervisor([ChildSpec("a", Plain.start)], world=world())
        supervisor.launch()
        assert await supervisor.start_child(spec) == Refused(
            "start_failed", StartTimedOut(2 * SECOND_NS)
        )
        assert not refs[0].is_alive()

        failing = Supervisor([ChildSpec("a", Plain.start), spec], world=world())
        with pytest.raises(ChildFailed, match="child 'x' failed to start: StartTimedOut"):
            await started(failing.launch())

        quick = ChildSpec("y", start, start_timeout_ns=61 * SECOND_NS)
        assert await supervisor.start_child(quick) == Ok(refs[-1])

    run(main)


def row_53_each_watcher_hears_of_each_incarnation_once() -> None:
    async def main() -> None:
        class Failing(Plain):
            def on_failure(
                self,
                exception_type: type[BaseException] | None,
                exception_value: BaseException | None,
                traceback: TracebackType | None,
            ) -> None:
                raise KeyError("in on_failure")

        supervisor = Supervisor([ChildSpec("a", Failing.start)], world=world(), intensity=3)
        supervisor.launch()
        heard: list[Down] = []
        for _ in range(3):
            ref = await child_of(supervisor, "a")
            watch(ref, heard.append)
            watch(ref, heard.append)
            tell(ref, BOOM)
            tell_to_stop(ref)
            kill(ref)
            await turns(50)
            kill(ref)
            late = downs_of(ref)
            assert [down.reason for down in late] == [NO_PROCESS]

        assert [down.incarnation for down in heard] == [1, 1, 2, 2, 3, 3]

    run(main)


def row_54_a_late_result_of_an_incarnation_that_was_killed_is_dropped() -> None:
    async def main() -> None:
        class Late(Plain):
            def __init__(self) -> None:
                super().__init__()
                self.results: list[str] = []

            async def work(self) -> None:
                try:
                    await asyncio.sleep(3_600)
                except asyncio.CancelledError:
                    await asyncio.sleep(5)  # goes on all the same
                self.now(self.results.append, "late")
                tell(self.actor_ref, "late")

        actor = Late()
        supervisor = Supervisor(
            [ChildSpec("a", actor.launch, "temporary", shutdown="brutal_kill")], world=world()
        )
        supervisor.launch()
        actor.spawn(actor.work())
        await turns()
        await supervisor.terminate_child("a")
        await asyncio.sleep(10)

        assert (actor.results, actor.heard) == ([], [])

    run(main)


def row_55_a_backoff_delays_longer_each_time_and_begins_anew_after_a_while() -> None:
    async def main() -> None:
        starts: list[int] = []

        def start() -> "ActorRef[Any]":
            starts.append(simulated_loop().now_ns)
            return Plain.start()

        backoff = Backoff(SECOND_NS, 4 * SECOND_NS, jitter=0.5, reset_after_ns=100 * SECOND_NS)
        supervisor = Supervisor(
            [ChildSpec("a", start, backoff=backoff)],
            world=world(uniform=lambda: 0.5),
            intensity=100,
        )
        supervisor.launch()
        waits: list[int] = []
        for lives_s in (0, 1, 1, 1, 100, 1):
            await asyncio.sleep(lives_s)
            ended_at = simulated_loop().now_ns
            tell(await child_of(supervisor, "a"), BOOM)
            await asyncio.sleep(10)
            waits.append(starts[-1] - ended_at)

        # the least and half of a half more; the fifth had lived for 100 s
        assert waits == [int(s * 1.25 * SECOND_NS) for s in (1, 2, 4, 4, 1, 2)]

    run(main)


def row_57_the_mail_of_a_dead_incarnation_is_lost_with_it() -> None:
    async def main() -> None:
        made: list[Plain] = []

        def start() -> "ActorRef[Any]":
            made.append(Plain())
            return made[-1].launch()

        supervisor = Supervisor([ChildSpec("a", start)], world=world())
        supervisor.launch()
        ref = made[0].actor_ref
        tell(ref, BOOM)
        asked = ref.ask("behind it", block=False)
        tell(ref, "dropped")
        await turns(50)

        with pytest.raises(pykka.ActorDeadError):
            await asked
        assert not tell(ref, "too late")
        assert made[0].heard == [BOOM]
        assert (len(made), made[1].heard) == (2, [])

    run(main)


def row_59_too_many_coroutines_that_go_on_end_the_process() -> None:
    async def main() -> None:
        too_many: list[int] = []
        zombies = Zombies(2, too_many.append)

        class Stubborn(LoopActor):
            def on_start(self) -> None:
                self.spawn(self.work())

            async def work(self) -> None:
                for _ in range(3):
                    try:
                        await asyncio.sleep(50)
                    except asyncio.CancelledError:
                        continue

        template = ChildSpec("t", Stubborn.start, "temporary", shutdown="brutal_kill")
        supervisor = Supervisor(
            [template], world=world(zombies=zombies), strategy="simple_one_for_one"
        )
        supervisor.launch()
        for number in range(3):
            answer = await supervisor.start_dynamic()
            assert isinstance(answer, Ok)
            await turns()
            downs = downs_of(answer.child)
            await supervisor.terminate_child(answer.child)
            assert [down.reason for down in downs] == [KILLED]
            assert too_many == []
            await asyncio.sleep(2)
            assert len(zombies) == number + 1

        assert too_many == [3]
        await asyncio.sleep(200)
        assert len(zombies) == 0

    run(main)


ROWS = {
    name.split("_")[1]: test
    for name, test in list(globals().items())
    if name.startswith("row_") and callable(test)
}


@pytest.mark.parametrize("number", ROWS)
def test_a_situation_ends_as_it_must(number: str) -> None:
    ROWS[number]()


def test_every_situation_is_there() -> None:
    """56 and 58 are of TaskMaster's whole tree: `tests/simulation` and `test_quarantine.py`."""
    numbers = {int(row[0].split("-")[0]) for row in LINES} | {int(number) for number in ROWS}

    assert numbers == set(range(1, 60)) - {56, 58}
