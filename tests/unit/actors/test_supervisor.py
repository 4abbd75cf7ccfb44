"""Supervision as Erlang/OTP has it: what is started when, and what an end means for the others."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import pykka
import pytest

from taskmaster.actors.supervisor import Crashed, GaveUp, Incident, Restarted, Supervisor
from taskmaster.events.types import SECOND
from taskmaster.supervision import (
    NORMAL,
    ChildFailed,
    ChildSpec,
    Down,
    LoopActor,
    Ok,
    Refused,
    Shutdown,
    started,
    stop,
    tell,
    watch,
)
from taskmaster.supervision.specs import Restart, Strategy
from tests.unit.actors.loops import run_on, turns


class Child(LoopActor):
    """Writes its start and its stop into the trace, its crash into a list of its own."""

    def __init__(self, name: str, trace: list[str], crashes: list[str]) -> None:
        super().__init__()
        self._name = name
        self._trace = trace
        self._crashes = crashes

    def on_start(self) -> None:
        self._trace.append(f"+{self._name}")

    def on_stop(self) -> None:
        self._trace.append(f"-{self._name}")

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._crashes.append(self._name)

    def on_receive(self, message: object) -> None:
        if isinstance(message, BaseException):
            raise message
        self._stop()


class Tree:
    """A supervisor over children of one letter each, its trace, its incidents, its end."""

    def __init__(
        self,
        children: str = "abc",
        *,
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period_ns: int = 60 * SECOND,
        restart: dict[str, Restart] | None = None,
        failing: dict[str, list[int]] | None = None,
    ) -> None:
        """`failing` names the starts, from 1 on, that fail for a child."""
        self.trace: list[str] = []
        self.crashes: list[str] = []
        self.incidents: list[Incident] = []
        self.downs: list[Down] = []
        self.now_ns = 0
        self._failing = failing or {}
        self._starts: dict[str, int] = {}
        restarts = restart or {}
        self.supervisor = Supervisor(
            "top",
            tuple(self.spec(name, restarts.get(name, "permanent")) for name in children),
            mono_ns=lambda: self.now_ns,
            listener=self.incidents.append,
            strategy=strategy,
            intensity=intensity,
            period_ns=period_ns,
        )

    def spec(self, name: str, restart: Restart = "permanent") -> ChildSpec:
        def start() -> "pykka.ActorRef[Any]":
            self._starts[name] = self._starts.get(name, 0) + 1
            if self._starts[name] in self._failing.get(name, []):
                self.trace.append(f"!{name}")
                raise OSError(name)
            return Child.start(name, self.trace, self.crashes)

        return ChildSpec(name, start, restart)

    def start(self) -> "Tree":
        watch(self.supervisor.launch(), self.downs.append)
        return self

    async def crash(self, name: str) -> None:
        ref = self.supervisor.child(name)
        assert ref is not None
        tell(ref, ValueError(name))
        await turns(60)

    async def end(self, name: str) -> None:
        ref = self.supervisor.child(name)
        assert ref is not None
        tell(ref, "end normally")
        await turns(60)

    def since(self, mark: int) -> str:
        return " ".join(self.trace[mark:])

    @property
    def restarted(self) -> list[str]:
        return [i.path for i in self.incidents if isinstance(i, Restarted)]

    @property
    def gave_up(self) -> bool:
        assert bool(self.downs) is not self.supervisor.actor_ref.is_alive()
        return any(isinstance(incident, GaveUp) for incident in self.incidents)

    @property
    def alive(self) -> str:
        return "".join(
            info.path[-1] for info in self.supervisor.children() if info.state == "running"
        )


def test_children_start_in_order_and_stop_in_reverse() -> None:
    """OTP rows 28 and 85."""

    async def main() -> None:
        tree = Tree("bac").start()
        assert tree.since(0) == "+b +a +c"

        await stop(tree.supervisor.actor_ref)
        await turns()

        assert tree.since(3) == "-c -a -b"
        assert [down.reason for down in tree.downs] == [NORMAL]
        assert tree.incidents == []

    run_on("asyncio", main())


def test_a_supervisor_without_children_starts_and_stops() -> None:
    """OTP case 1."""

    async def main() -> None:
        tree = Tree("").start()
        await stop(tree.supervisor.actor_ref)

        assert len(tree.downs) == 1

    run_on("asyncio", main())


def test_a_child_that_fails_at_the_supervisors_start_ends_those_before_it() -> None:
    """OTP row 14: no retry, no count."""

    async def main() -> None:
        tree = Tree("abc", failing={"c": [1]})

        with pytest.raises(ChildFailed, match="'c'") as raised:
            await started(tree.supervisor.launch())

        assert repr(raised.value.__cause__) == "OSError('c')"

        assert tree.since(0) == "+a +b !c -b -a"
        assert not tree.supervisor.actor_ref.is_alive()
        assert tree.incidents == []

    run_on("asyncio", main())


@pytest.mark.parametrize(
    ("restart", "crash", "end"),
    [("permanent", "+b", "-b +b"), ("transient", "+b", "-b"), ("temporary", "", "-b")],
)
def test_a_child_is_started_again_by_its_type(restart: Restart, crash: str, end: str) -> None:
    """OTP rows 1 to 4."""

    async def main() -> None:
        crashed, ended = Tree(restart={"b": restart}).start(), Tree(restart={"b": restart}).start()

        await crashed.crash("b")
        await ended.end("b")

        assert crashed.since(3) == crash
        assert ended.since(3) == end
        assert not crashed.gave_up

    run_on("asyncio", main())


def test_an_end_that_calls_for_no_restart_counts_for_nothing() -> None:
    """OTP rows 2 and 4: a transient's spec is kept, a temporary's forgotten."""

    async def main() -> None:
        tree = Tree(intensity=0, restart={"a": "transient", "b": "temporary"}).start()

        await tree.end("a")
        await tree.crash("b")

        assert not tree.gave_up
        assert [info.path for info in tree.supervisor.children()] == ["top/a", "top/c"]
        assert tree.alive == "c"

    run_on("asyncio", main())


def test_one_for_one_leaves_the_others_alone() -> None:
    """OTP case 30."""

    async def main() -> None:
        tree = Tree("abc").start()
        before = tree.supervisor.child("a"), tree.supervisor.child("c")

        await tree.crash("b")

        assert tree.since(3) == "+b"
        assert (tree.supervisor.child("a"), tree.supervisor.child("c")) == before

    run_on("asyncio", main())


def test_rest_for_one_replaces_what_was_started_later() -> None:
    """OTP row 9."""

    async def main() -> None:
        tree = Tree("abcd", strategy="rest_for_one").start()
        first = tree.supervisor.child("a")

        await tree.crash("b")

        starts = [entry for entry in tree.trace[4:] if entry[0] == "+"]
        stops = [entry for entry in tree.trace[4:] if entry[0] == "-"]
        assert starts == ["+b", "+c", "+d"]
        assert stops == ["-d", "-c"]
        assert tree.supervisor.child("a") is first
        assert tree.alive == "abcd"

    run_on("asyncio", main())


def test_the_last_of_a_rest_for_one_is_replaced_alone() -> None:
    async def main() -> None:
        tree = Tree("abc", strategy="rest_for_one").start()

        await tree.crash("c")

        assert tree.since(3) == "+c"

    run_on("asyncio", main())


@pytest.mark.parametrize("intensity", [0, 1, 3])
def test_an_intensity_tolerates_so_many_restarts_and_not_one_more(intensity: int) -> None:
    """OTP rows 5 and 6: the crashed child is not restarted, the others stop in reverse."""

    async def main() -> None:
        tree = Tree("abc", intensity=intensity).start()
        for _ in range(intensity):
            await tree.crash("b")
        assert not tree.gave_up
        mark = len(tree.trace)

        await tree.crash("b")

        assert tree.gave_up
        assert tree.since(mark) == "-c -a"
        assert tree.incidents[-1] == GaveUp("top", intensity + 1)
        assert [down.reason for down in tree.downs] == [Shutdown()]

    run_on("asyncio", main())


@pytest.mark.parametrize(("gap_ns", "survives"), [(60 * SECOND, False), (60 * SECOND + 1, True)])
def test_restarts_are_counted_within_the_period(gap_ns: int, survives: bool) -> None:
    """OTP rows 7 and 8; the window is inclusive."""

    async def main() -> None:
        tree = Tree("a", intensity=1, period_ns=60 * SECOND).start()

        await tree.crash("a")
        tree.now_ns = gap_ns
        await tree.crash("a")

        assert tree.gave_up is not survives

    run_on("asyncio", main())


def test_restarts_further_apart_than_the_period_never_trip_it() -> None:
    """OTP case 29."""

    async def main() -> None:
        tree = Tree("a", intensity=1, period_ns=SECOND).start()
        for _ in range(50):
            tree.now_ns += SECOND + 1
            await tree.crash("a")

        assert not tree.gave_up
        assert len(tree.restarted) == 50

    run_on("asyncio", main())


def test_the_restarts_of_all_children_count_together() -> None:
    async def main() -> None:
        tree = Tree("abc", intensity=2).start()
        for name in "ab":
            await tree.crash(name)
        assert not tree.gave_up

        await tree.crash("c")

        assert tree.gave_up

    run_on("asyncio", main())


def test_two_that_crash_at_once_are_handled_one_after_the_other() -> None:
    """OTP row 46."""

    async def main() -> None:
        tree = Tree("ab").start()
        for name in "ab":
            ref = tree.supervisor.child(name)
            assert ref is not None
            tell(ref, ValueError(name))
        await turns()

        assert tree.restarted == ["top/a", "top/b"]

    run_on("asyncio", main())


def test_the_end_of_a_child_that_was_replaced_meanwhile_is_ignored() -> None:
    """OTP row 46, for rest_for_one."""

    async def main() -> None:
        tree = Tree("ab", strategy="rest_for_one", intensity=1).start()
        for name in "ab":
            ref = tree.supervisor.child(name)
            assert ref is not None
            tell(ref, ValueError(name))
        await turns()

        assert not tree.gave_up
        assert tree.alive == "ab"

    run_on("asyncio", main())


# --- restarts that fail -----------------------------------------------------------------------


def test_a_restart_that_fails_is_tried_again_and_counts_each_time() -> None:
    """OTP: not fatal."""

    async def main() -> None:
        tree = Tree("a", intensity=3, failing={"a": [2, 3]}).start()

        await tree.crash("a")

        assert tree.since(1) == "!a !a +a"
        assert not tree.gave_up
        assert tree.alive == "a"

    run_on("asyncio", main())


def test_a_child_that_cannot_be_restarted_ends_the_supervisor() -> None:
    """OTP case 31, and the measured row: intensity 4, four start attempts."""

    async def main() -> None:
        tree = Tree("ab", intensity=4, failing={"b": list(range(2, 100))}).start()

        await tree.crash("b")

        assert tree.since(2) == "!b !b !b !b -a"
        assert tree.gave_up

    run_on("asyncio", main())


def test_a_retry_of_a_group_begins_at_the_child_that_failed() -> None:
    """OTP row 11 and case 42: what was restarted before it is left running."""

    async def main() -> None:
        tree = Tree("abcd", strategy="rest_for_one", failing={"c": [2]}).start()

        await tree.crash("b")

        starts = [entry for entry in tree.trace[4:] if entry[0] != "-"]
        assert starts == ["+b", "!c", "+c", "+d"]
        assert tree.alive == "abcd"

    run_on("asyncio", main())


def test_a_stop_is_served_between_tries() -> None:
    """OTP row 27."""

    async def main() -> None:
        tree = Tree("a", intensity=10**6, failing={"a": list(range(2, 10**5))}).start()
        ref = tree.supervisor.child("a")
        assert ref is not None
        tell(ref, ValueError("a"))
        await turns(5)

        await stop(tree.supervisor.actor_ref)

        tries = len(tree.trace)
        await turns(50)
        assert len(tree.trace) == tries

    run_on("asyncio", main())


# --- dynamic children -------------------------------------------------------------------------


def test_a_child_may_be_added_and_taken_away() -> None:
    """OTP rows 20 and 44: added ones go last."""

    async def main() -> None:
        tree = Tree("ab").start()

        added = await tree.supervisor.start_child(tree.spec("x"))
        assert added == Ok(tree.supervisor.child("x"))
        assert [info.path for info in tree.supervisor.children()] == ["top/a", "top/b", "top/x"]

        assert await tree.supervisor.terminate_child("a") == Ok()
        assert await tree.supervisor.terminate_child("unknown") == Refused("not_found")

        assert tree.since(2) == "+x -a"
        assert tree.alive == "bx"
        assert tree.supervisor.child("a") is None
        assert tree.incidents == []

    run_on("asyncio", main())


def test_a_child_that_is_there_is_not_added_again() -> None:
    """OTP row 19."""

    async def main() -> None:
        tree = Tree("ab").start()

        answer = await tree.supervisor.start_child(tree.spec("a"))

        assert answer == Refused("already_started", tree.supervisor.child("a"))

        assert tree.since(0) == "+a +b"

    run_on("asyncio", main())


def test_an_added_child_that_fails_to_start_is_not_kept() -> None:
    """OTP row 18."""

    async def main() -> None:
        tree = Tree("a", failing={"x": [1]}).start()

        answer = await tree.supervisor.start_child(tree.spec("x"))
        assert isinstance(answer, Refused)
        assert answer.reason == "start_failed"

        assert [info.path for info in tree.supervisor.children()] == ["top/a"]
        assert isinstance(await tree.supervisor.start_child(tree.spec("x")), Ok)

    run_on("asyncio", main())


# --- what is told -----------------------------------------------------------------------------


def test_each_crash_and_each_restart_is_told() -> None:
    async def main() -> None:
        tree = Tree("a").start()

        await tree.crash("a")

        crashed, restarted = tree.incidents
        assert isinstance(crashed, Crashed)
        assert (crashed.path, crashed.incarnation, crashed.message) == ("top/a", 1, "ValueError")
        assert repr(crashed.error) == "ValueError('a')"
        assert restarted == Restarted("top/a", 2)

    run_on("asyncio", main())


def test_a_restart_that_fails_is_told_as_a_crash_at_the_start() -> None:
    async def main() -> None:
        tree = Tree("a", failing={"a": [2]}).start()

        await tree.crash("a")

        kinds = [(type(incident), getattr(incident, "message", "")) for incident in tree.incidents]
        assert kinds == [(Crashed, "ValueError"), (Crashed, "start"), (Restarted, "")]

    run_on("asyncio", main())


def test_the_tree_shows_each_child_and_what_became_of_it() -> None:
    async def main() -> None:
        tree = Tree("ab", restart={"b": "transient"}).start()
        tree.now_ns = 7
        await tree.crash("a")
        await tree.end("b")

        first, second = tree.supervisor.children()
        assert (first.path, first.kind, first.state) == ("top/a", "Child", "running")
        assert (first.incarnation, first.since_ns, first.restarts) == (2, 7, 1)
        assert first.last_error == "ValueError('a')"
        assert (second.state, second.restarts, second.last_error) == ("stopped", 0, "")

    run_on("asyncio", main())


# --- trees ------------------------------------------------------------------------------------


def test_a_subtree_that_gave_up_costs_its_siblings_nothing_where_it_is_transient() -> None:
    """OTP row 43: quarantine."""

    async def main() -> None:
        inner = Tree("x", intensity=0)
        outer = Tree("a", intensity=0)
        outer.start()
        await outer.supervisor.start_child(
            ChildSpec("unit", lambda: inner.start().supervisor.actor_ref, "transient")
        )

        await inner.crash("x")

        assert inner.gave_up
        assert not outer.gave_up
        assert outer.alive == "a"

    run_on("asyncio", main())


def test_a_subtree_that_gave_up_is_started_anew_where_it_is_permanent() -> None:
    """OTP row 42."""

    async def main() -> None:
        trees: list[Tree] = []

        def start() -> "pykka.ActorRef[Any]":
            trees.append(Tree("x", intensity=0).start())
            return trees[-1].supervisor.actor_ref

        outer = Tree("a").start()
        await outer.supervisor.start_child(ChildSpec("unit", start))

        await trees[0].crash("x")

        assert trees[0].gave_up
        assert [tree.alive for tree in trees] == ["", "x"]
        assert outer.restarted == ["top/unit"]

    run_on("asyncio", main())


def test_a_whole_tree_ends_with_its_top() -> None:
    async def main() -> None:
        inner = Tree("xy")
        outer = Tree("a").start()
        await outer.supervisor.start_child(
            ChildSpec("unit", lambda: inner.start().supervisor.actor_ref)
        )

        await stop(outer.supervisor.actor_ref)
        await turns()

        assert inner.since(2) == "-y -x"
        assert outer.since(1) == "-a"
        assert outer.incidents == []

    run_on("asyncio", main())


@pytest.mark.parametrize("kind", ["asyncio", "uvloop", "simulated"])
def test_a_storm_of_crashes_leaves_the_children_of_the_spec_and_no_others(kind: str) -> None:
    """Whatever the interleaving: each child once, or none after giving up."""

    def storm(seed: int) -> Callable[[], Any]:
        async def main() -> None:
            tree = Tree("abcd", strategy="rest_for_one", intensity=6 + seed % 3).start()
            for number in range(8):
                ref = tree.supervisor.child("abcd"[(seed + number * 3) % 4])
                if ref is not None and ref.is_alive():
                    tell(ref, ValueError("storm"))
                await turns(number % 3)
            await turns(100)
            starts = sum(entry[0] == "+" for entry in tree.trace)
            stops = sum(entry[0] == "-" for entry in tree.trace)
            assert tree.alive == ("" if tree.gave_up else "abcd")
            assert starts - stops - len(tree.crashes) == len(tree.alive), "one that nobody knows"

        return main

    for seed in range(30):
        run_on(kind, storm(seed)(), seed=seed)
