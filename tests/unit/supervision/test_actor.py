"""The actor: its start, its mail, its end; on asyncio, on uvloop and in virtual time."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

import pykka
import pytest

from taskmaster.supervision import (
    MESSAGES_A_TURN,
    NO_PROCESS,
    Down,
    LoopActor,
    mail_of,
    stop,
    tell,
    tell_to_stop,
    watch,
)
from tests.unit.actors.loops import KINDS, run_on, turns

Main = Callable[[], Coroutine[Any, Any, None]]


class Boom(BaseException):
    """Not even an `Exception`."""


class Recorder(LoopActor):
    """Keeps what it is told; raises what it is told to raise."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.heard: list[object] = []
        self.hooks: list[str] = []
        self.fails_to_stop: BaseException | None = None

    def on_start(self) -> None:
        self.hooks.append("start")

    def on_stop(self) -> None:
        self.hooks.append("stop")
        if self.fails_to_stop is not None:
            raise self.fails_to_stop

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hooks.append("failure")

    def on_receive(self, message: object) -> object:
        self.heard.append(message)
        if isinstance(message, BaseException):
            raise message
        if message == "stop yourself":
            self.stop()
        return message

    def after_mail(self) -> None:
        self.hooks.append("after mail")


def made() -> tuple[Recorder, "pykka.ActorRef[Any]", list[Down]]:
    """A started actor, and what its watcher is told."""
    actor = Recorder()
    ref = actor.launch()
    downs: list[Down] = []
    watch(ref, downs.append)
    return actor, ref, downs


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    """Run a test's coroutine on each kind of loop."""
    kind: str = request.param
    return lambda main: run_on(kind, main())


Runs = Callable[[Main], None]
ERRORS = (
    ValueError("bug"),
    SystemExit(3),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    GeneratorExit(),
    Boom(),
)


# --- start ------------------------------------------------------------------------------------


def test_a_start_returns_once_on_start_has_run(run: Runs) -> None:
    async def main() -> None:
        actor = Recorder()

        actor.launch()

        assert actor.hooks == ["start"]

    run(main)


@pytest.mark.parametrize("error", ERRORS)
def test_a_start_that_fails_is_raised_to_the_starter(run: Runs, error: BaseException) -> None:
    async def main() -> None:
        class Failing(Recorder):
            def on_start(self) -> None:
                raise error

        actor = Failing()
        early = actor.actor_ref.ask("before the start", block=False)

        with pytest.raises(type(error)) as raised:
            actor.launch()

        assert raised.value is error
        assert not actor.actor_ref.is_alive()
        assert not tell(actor.actor_ref, "hello")
        with pytest.raises(pykka.ActorDeadError):
            await early
        assert actor.hooks == []

    run(main)


def test_what_was_told_before_the_start_is_heard_after_it(run: Runs) -> None:
    async def main() -> None:
        actor = Recorder()
        tell(actor.actor_ref, 1)
        actor.launch()
        await turns()

        assert actor.heard == [1]

    run(main)


def test_names_differ_though_nobody_gave_them(run: Runs) -> None:
    async def main() -> None:
        refs = {Recorder.start().actor_urn for _ in range(100)}

        assert len(refs) == 100
        assert Recorder.start("task-1").actor_urn == "task-1"

    run(main)


def test_actors_are_in_no_global_registry(run: Runs) -> None:
    async def main() -> None:
        made()

        assert pykka.ActorRegistry.get_all() == []

    run(main)


# --- mail -------------------------------------------------------------------------------------


def test_mail_is_heard_in_order(run: Runs) -> None:
    async def main() -> None:
        actor, ref, _ = made()
        for number in range(500):
            tell(ref, number)
        await turns(600)

        assert actor.heard == list(range(500))

    run(main)


def test_an_ask_is_answered(run: Runs) -> None:
    async def main() -> None:
        _, ref, _ = made()

        assert await ref.ask("hello", block=False) == "hello"

    run(main)


def test_a_reply_that_would_hold_the_loop_is_refused(run: Runs) -> None:
    async def main() -> None:
        _, ref, _ = made()
        reply = ref.ask("hello", block=False)
        with pytest.raises(RuntimeError, match="hold the loop"):
            reply.get()

        await reply

        assert reply.get() == "hello"

    run(main)


def test_an_actor_lets_others_have_the_loop_between_its_messages() -> None:
    async def main() -> None:
        greedy, ref, _ = made()
        other, other_ref, _ = made()
        for number in range(10 * MESSAGES_A_TURN):
            tell(ref, number)
        tell(other_ref, "me too")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert other.heard == ["me too"]
        assert len(greedy.heard) < 10 * MESSAGES_A_TURN
        assert mail_of(ref) == 10 * MESSAGES_A_TURN - len(greedy.heard)

    run_on("asyncio", main())


def test_after_mail_comes_once_for_all_the_news_of_a_turn() -> None:
    async def main() -> None:
        actor, ref, _ = made()
        for number in range(MESSAGES_A_TURN + 1):
            tell(ref, number)
        await turns()

        assert actor.hooks == ["start", "after mail", "after mail"]

    run_on("asyncio", main())


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_thread_reaches_the_loop_by_tell(kind: str) -> None:
    async def main() -> None:
        actor, ref, _ = made()
        threads = [
            threading.Thread(target=lambda: [tell(ref, n) for n in range(1_000)]) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(30):
            while len(actor.heard) < 3_000:
                await asyncio.sleep(0.001)
        for thread in threads:
            thread.join()

        assert sorted(actor.heard, key=str) == sorted([*range(1_000)] * 3, key=str)

    run_on(kind, main())


# --- a bug ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS)
def test_a_bug_ends_the_actor_and_only_this_one(run: Runs, error: BaseException) -> None:
    """SystemExit and KeyboardInterrupt too: pykka would stop every actor, asyncio the loop."""

    async def main() -> None:
        actor, ref, downs = made()
        other, other_ref, other_downs = made()

        tell(ref, error)
        tell(ref, "lost")
        await turns()

        (down,) = downs
        assert (down.error, down.message, down.name) == (error, type(error).__name__, ref.actor_urn)
        assert not ref.is_alive()
        assert actor.heard == [error]
        assert "failure" in actor.hooks
        assert "stop" not in actor.hooks
        assert await other_ref.ask("alive", block=False) == "alive"
        assert (other.heard, other_downs) == (["alive"], [])

    run(main)


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit(1), Boom()])
def test_a_bug_in_an_ask_is_returned_and_crashes(run: Runs, error: BaseException) -> None:
    """Pykka returns it and lives on, with whatever state it left behind."""

    async def main() -> None:
        _, ref, downs = made()
        reply = ref.ask(error, block=False)
        waiting = ref.ask("behind it", block=False)
        await turns()

        assert not ref.is_alive()
        assert [down.error for down in downs] == [error]
        with pytest.raises(type(error)) as raised:
            reply.get()
        assert raised.value is error
        with pytest.raises(pykka.ActorDeadError):
            await waiting

    run(main)


def test_an_ask_of_a_dead_actor_is_answered_at_once(run: Runs) -> None:
    async def main() -> None:
        _, ref, _ = made()
        tell(ref, ValueError("bug"))
        await turns()

        with pytest.raises(pykka.ActorDeadError):
            await ref.ask("hello", block=False)
        with pytest.raises(pykka.ActorDeadError):
            ref.tell("hello")
        assert not tell(ref, "hello")

    run(main)


def test_a_bug_in_after_mail_crashes_too(run: Runs) -> None:
    async def main() -> None:
        class Failing(Recorder):
            def after_mail(self) -> None:
                raise ValueError("bug")

        ref = Failing.start()
        downs: list[Down] = []
        watch(ref, downs.append)
        tell(ref, "hello")
        await turns()

        assert [repr(down.error) for down in downs] == ["ValueError('bug')"]

    run(main)


def test_a_second_bug_in_on_failure_is_noted_on_the_first(run: Runs) -> None:
    async def main() -> None:
        class Failing(Recorder):
            def on_failure(
                self,
                exception_type: type[BaseException] | None,
                exception_value: BaseException | None,
                traceback: TracebackType | None,
            ) -> None:
                raise KeyError("second")

        ref = Failing.start()
        downs: list[Down] = []
        watch(ref, downs.append)
        first = ValueError("first")
        tell(ref, first)
        await turns()

        (down,) = downs
        assert down.error is first
        assert first.__notes__ == ["on_failure raised KeyError('second')"]

    run(main)


# --- a stop -----------------------------------------------------------------------------------


def test_a_stop_is_served_before_the_backlog(run: Runs) -> None:
    async def main() -> None:
        actor, ref, downs = made()
        asked = ref.ask("never heard", block=False)
        for number in range(500):
            tell(ref, number)

        await stop(ref)

        assert actor.heard == []
        assert actor.hooks == ["start", "stop"]
        assert [(down.error, down.message) for down in downs] == [(None, "")]
        with pytest.raises(pykka.ActorDeadError):
            await asked

    run(main)


def test_an_actor_that_stops_itself_hears_nothing_more(run: Runs) -> None:
    async def main() -> None:
        actor, ref, downs = made()
        for message in ("first", "stop yourself", "lost"):
            tell(ref, message)
        await turns()

        assert actor.heard == ["first", "stop yourself"]
        assert len(downs) == 1

    run(main)


def test_an_actor_that_has_ended_is_stopped_already(run: Runs) -> None:
    async def main() -> None:
        _, ref, downs = made()
        await stop(ref)

        await stop(ref)

        assert len(downs) == 1

    run(main)


def test_two_stops_are_one_end(run: Runs) -> None:
    async def main() -> None:
        actor, ref, downs = made()

        tell_to_stop(ref)
        tell_to_stop(ref)
        await stop(ref)

        assert len(downs) == 1
        assert actor.hooks.count("stop") == 1

    run(main)


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit(1)])
def test_a_stop_that_fails_is_told_as_the_ends_reason(run: Runs, error: BaseException) -> None:
    async def main() -> None:
        actor, ref, downs = made()
        actor.fails_to_stop = error

        await stop(ref)

        assert [(down.error, down.message) for down in downs] == [(error, "stop")]
        assert not ref.is_alive()

    run(main)


def test_a_bug_after_the_actor_has_stopped_itself_is_no_second_end(run: Runs) -> None:
    async def main() -> None:
        class Both(Recorder):
            def on_receive(self, message: object) -> object:
                self._stop()
                raise ValueError("bug")

        ref = Both.start()
        downs: list[Down] = []
        watch(ref, downs.append)
        tell(ref, "go")
        await turns()

        assert [down.error for down in downs] == [None]

    run(main)


# --- watching ---------------------------------------------------------------------------------


def test_an_actor_that_has_ended_is_freed_without_a_collection(run: Runs) -> None:
    async def main() -> None:
        actor, ref, downs = made()
        alive = weakref.ref(actor)
        gc.disable()
        try:
            await stop(ref)
            await turns(2)
            del actor

            assert downs
            assert alive() is None
        finally:
            gc.enable()

    run(main)


def test_every_watcher_hears_of_the_end_once_and_the_owner_first(run: Runs) -> None:
    async def main() -> None:
        actor, ref, _ = made()
        told: list[str] = []
        watch(ref, lambda _down: told.append("one"))
        watch(ref, lambda _down: told.append("two"))
        actor.life.owner = lambda _down: told.append("owner")

        tell(ref, ValueError("bug"))
        tell_to_stop(ref)
        await turns()

        assert told == ["owner", "one", "two"]

    run(main)


def test_who_watches_too_late_is_told_at_once(run: Runs) -> None:
    """As Erlang's monitor of a process that is gone."""

    async def main() -> None:
        _, ref, _ = made()
        tell(ref, ValueError("bug"))
        await turns()
        downs: list[Down] = []

        watch(ref, downs.append)

        assert downs == [Down(ref, 1, NO_PROCESS)]

    run(main)


# --- coroutines of an actor -------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit(1), KeyboardInterrupt(), Boom()])
def test_a_bug_in_a_spawned_coroutine_crashes_the_actor(run: Runs, error: BaseException) -> None:
    async def main() -> None:
        actor, ref, downs = made()

        async def work() -> None:
            await asyncio.sleep(0)
            raise error

        actor.spawn(work())
        await turns()

        assert [(down.error, down.message) for down in downs] == [(error, "_Coroutine")]
        assert not ref.is_alive()

    run(main)


def test_a_spawned_coroutine_that_is_cancelled_crashes_the_actor(run: Runs) -> None:
    """Whoever waits for its message would wait for ever."""

    async def main() -> None:
        actor, _, downs = made()

        async def work() -> None:
            raise asyncio.CancelledError

        actor.spawn(work())
        await turns()

        assert [type(down.error) for down in downs] == [asyncio.CancelledError]

    run(main)


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_spawned_coroutine_ends_with_its_actor(run: Runs, end: str) -> None:
    async def main() -> None:
        actor, ref, downs = made()
        told: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(3_600)
            finally:
                told.append("cancelled")

        actor.spawn(work())
        await turns()
        if end == "stop":
            await stop(ref)
        else:
            tell(ref, ValueError("bug"))
        await turns()

        assert told == ["cancelled"]
        assert len(downs) == 1

    run(main)


def test_a_coroutine_that_is_asked_for_after_the_end_does_not_begin(run: Runs) -> None:
    """A reply that comes late may ask for it."""

    async def main() -> None:
        actor, ref, _ = made()
        told: list[str] = []

        async def work() -> None:
            told.append("begun")

        tell(ref, ValueError("bug"))
        await turns()
        actor.spawn(work())
        await turns()

        assert told == []

    run(main)


def test_what_a_coroutine_raises_while_its_actor_ends_is_no_second_end(run: Runs) -> None:
    async def main() -> None:
        actor, ref, downs = made()

        async def work() -> None:
            try:
                await asyncio.sleep(3_600)
            finally:
                raise ValueError("on the way out")

        actor.spawn(work())
        await turns()
        await stop(ref)
        await turns()

        assert [down.error for down in downs] == [None]

    run(main)


# --- news -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_news_is_heard_at_once_where_nothing_waits_before_it(kind: str) -> None:
    async def main() -> None:
        actor, _, _ = made()

        actor.now(actor.heard.append, "now")

        assert actor.heard == ["now"]

    run_on(kind, main())


def test_news_overtakes_no_mail(run: Runs) -> None:
    async def main() -> None:
        actor, ref, _ = made()
        tell(ref, 1)
        actor.now(actor.heard.append, 2)
        tell(ref, 3)
        await turns()

        assert actor.heard == [1, 2, 3]

    run(main)


@pytest.mark.parametrize("mail", [0, 1])
def test_a_bug_in_a_handler_of_news_crashes_the_actor_not_the_caller(run: Runs, mail: int) -> None:
    async def main() -> None:
        actor, ref, downs = made()
        for number in range(mail):
            tell(ref, number)

        def handler(news: str) -> None:
            raise Boom(news)

        actor.now(handler, "news")
        await turns()

        assert [(type(down.error), down.message) for down in downs] == [(Boom, "str")]

    run(main)


def test_no_news_is_heard_by_an_actor_that_has_ended(run: Runs) -> None:
    async def main() -> None:
        actor, ref, _ = made()
        await stop(ref)

        actor.now(actor.heard.append, "late")
        await turns()

        assert actor.heard == []

    run(main)


# --- in virtual time --------------------------------------------------------------------------


def test_a_seed_repeats_its_interleaving_and_others_differ() -> None:
    async def main() -> list[str]:
        heard: list[str] = []

        class Speaker(LoopActor):
            def on_receive(self, message: object) -> None:
                heard.append(f"{self.actor_urn}{message}")

        refs = [Speaker.start(name) for name in "abcd"]
        for number in range(5):
            for ref in refs:
                tell(ref, number)
        await turns(200)
        return heard

    orders = {tuple(run_on("simulated", main(), seed=seed)) for seed in range(20)}
    again = {tuple(run_on("simulated", main(), seed=seed)) for seed in range(20)}

    assert orders == again
    assert len(orders) == 20
    for order in orders:
        for name in "abcd":
            assert [one for one in order if one[0] == name] == [f"{name}{n}" for n in range(5)]
