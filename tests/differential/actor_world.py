"""The same scenarios with real actors and supervisors, on a loop whose interleaving is drawn.

An actor serves what the system says (ends, stops) before its mail, OTP in the order of arrival. So
only scenarios whose bursts are in that order are the same for both (`generator.keeps_lanes`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pykka import ActorDeadError, ActorRef, Future

from taskmaster.supervision import (
    SHUTDOWN,
    ChildFailed,
    Down,
    Hook,
    Ignored,
    LoopActor,
    Misspelt,
    Supervisor,
    World,
    ended,
    kill,
    started,
    tell,
    tell_to_stop,
)
from taskmaster.supervision.messages import Child, WhichChildren
from taskmaster.supervision.reasons import Reason
from taskmaster.supervision.refs import life_of
from taskmaster.supervision.simulated import SimulatedLoop
from tests.differential import scenarios as plays
from tests.differential.machine_world import REASONS
from tests.differential.requests import Plans, Question, Starter, child_spec, flags, request
from tests.differential.scenarios import Op, Scenario, StartResult, Tree
from tests.differential.traces import why

Ref = ActorRef[Any]
STARTS_SLOWLY = ("b", "d", "2")  # how names end
Asking = tuple[Question, Future[Any]]


def play(one: Scenario) -> list[str]:
    """The trace of a scenario."""
    loop = SimulatedLoop(one.seed)
    try:
        world = _World(one, lambda: loop.now_ns)
        loop.run_until_complete(world.play())
        return world.trace
    finally:
        loop.close()


class _Die:
    """Tells a worker to end of itself."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class _Subject(LoopActor):
    """A worker that starts and ends as its scenario says."""

    def __init__(self, label: str, who: Starter, result: StartResult, trace: list[str]) -> None:
        super().__init__(label)
        self._who = who
        self._result = result
        self._trace = trace
        self._ends_of_itself = False

    def on_start(self) -> Hook | None:
        if self._who.name.endswith(STARTS_SLOWLY):
            return self._start_slowly()
        self._start_as_planned()
        return None

    async def _start_slowly(self) -> None:
        await asyncio.sleep(0)
        self._start_as_planned()

    def _start_as_planned(self) -> None:
        if self._result == "dies":
            raise RuntimeError("died")
        if self._result == "ignore":
            raise Ignored

    def on_receive(self, message: object) -> None:
        assert isinstance(message, _Die)
        self._ends_of_itself = True
        if message.reason == REASONS["boom"]:
            raise RuntimeError("boom")
        self.exit(message.reason)

    def on_stop(self) -> Hook | None:
        if self._ends_of_itself:
            return None
        self._trace.append(f"ask {self._who.name} {why(self._reason)}")
        match self._who.kid.on_stop:
            case "obey":
                return None
            case "refuse":
                return _for_ever()
            case "leave boom":
                raise RuntimeError("boom")
            case leaving:
                self.exit(REASONS[leaving.removeprefix("leave ")])
                return None


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


class _World:
    def __init__(self, one: Scenario, mono_ns: Callable[[], int]) -> None:
        self.trace: list[str] = []
        self._scenario = one
        self._supervision = World(mono_ns)
        self._plans = Plans(one, self.trace)
        self._actors: dict[str, LoopActor] = {}  # the last of each name
        self._simple: set[str] = set()  # supervisors of dynamic children

    async def play(self) -> None:
        _, label = self._plans.next_start("root")
        try:
            root = self._supervisor(label, self._scenario.tree)
            await started(self._launch("root", root))
        except (ChildFailed, Misspelt) as error:
            self.trace.append(f"< {why(error)}")
            return
        self.trace.append("< ok")
        for op in (*self._scenario.ops, plays.Stop()):
            if root.life.is_over:
                return
            self.trace.append(">")
            awaited = await self._play(op)
            answers = [await _answer(one) for one in awaited]
            await self._be_quiet()
            self.trace += [f"< {answer}" for answer in answers]

    # --- operations -----------------------------------------------------------------------------

    async def _play(self, op: Op) -> list[Asking | str]:
        match op:
            case plays.Wait(ms=ms):
                await asyncio.sleep(ms / 1000)
                return []
            case plays.Stop():
                tell_to_stop(self._actors["root"].actor_ref, SHUTDOWN)
                return []
            case plays.Crash(name=name, why=reason):
                return await self._crash(name, reason)
            case plays.Burst(supervisor=name, ops=ops):
                supervisor = self._alive(name)
                if supervisor is None:
                    return ["noproc"]
                supervisor.inbox.scheduled = True  # so that it is not served
                awaited = [answer for single in ops for answer in await self._play(single)]
                supervisor.inbox.schedule()
                return awaited
            case _:
                supervisor = self._alive(op.supervisor)
                if supervisor is None:
                    return ["noproc"]
                question = Question(op, is_simple=op.supervisor in self._simple)
                asked = request(op, self._start_of, self._last_ref, lambda ref: ref.is_alive())
                return [(question, supervisor.actor_ref.ask(asked, block=False))]

    async def _crash(self, name: str, reason: plays.Why) -> list[Asking | str]:
        worker = self._alive(name)
        if worker is None:
            return ["absent"]
        if reason == "kill":
            kill(worker.actor_ref)
        else:
            tell(worker.actor_ref, _Die(REASONS[reason]))
            await ended((worker.actor_ref,))
        return []

    def _alive(self, name: str) -> LoopActor | None:
        actor = self._actors.get(name)
        return actor if actor is not None and not actor.life.is_over else None

    def _last_ref(self, name: str) -> Ref | None:
        actor = self._actors.get(name)
        return None if actor is None else actor.actor_ref

    async def _be_quiet(self) -> None:
        """As the driver does: ask all supervisors until a whole round of it brings no news."""
        before = -1
        is_restarting = False
        while before != len(self.trace) or is_restarting:
            before = len(self.trace)
            is_restarting = False
            for actor in list(self._actors.values()):
                if isinstance(actor, Supervisor) and not actor.life.is_over:
                    is_restarting |= await _is_restarting(actor)

    # --- actors ---------------------------------------------------------------------------------

    def _start_of(self, who: Starter) -> Callable[..., Ref]:
        return lambda *args: self._start(who(*args))

    def _start(self, who: Starter) -> Ref:
        result, label = self._plans.next_start(who.name)
        if result in ("error", "crash"):
            raise RuntimeError("no" if result == "error" else "crash")
        if who.kid.tree is None:
            subject = _Subject(label, who, result, self.trace)
            return self._launch(who.name, subject) if result == "ok" else subject.launch()
        if result == "dies":
            raise RuntimeError("died")
        if result == "ignore":
            raise Ignored
        return self._launch(who.name, self._supervisor(label, who.kid.tree))

    def _supervisor(self, label: str, tree: Tree) -> Supervisor:
        name = label.partition("#")[0]
        told = flags(tree)
        if told.strategy == "simple_one_for_one":
            self._simple.add(name)
        try:
            return Supervisor(
                [child_spec(name, kid, self._start_of) for kid in tree.kids],
                world=self._supervision,
                strategy=told.strategy,
                intensity=told.intensity,
                period_ns=told.period_ns,
                auto_shutdown=told.auto_shutdown,
                name=label,
            )
        except Misspelt as error:
            self.trace.append(f"end {name} {error.why}")
            raise

    def _launch(self, name: str, actor: LoopActor) -> Ref:
        def told(down: Down) -> None:
            self.trace.append(f"end {name} {why(down.reason)}")

        self._actors[name] = actor
        life_of(actor.actor_ref).watch(told)
        return actor.launch()


async def _answer(awaited: Asking | str) -> str:
    if isinstance(awaited, str):
        return awaited
    question, reply = awaited
    with suppress(ActorDeadError):  # it has ended, and never answers
        question.answer = await reply
    return question.text(lambda ref: str(getattr(ref, "actor_urn", None)))


async def _is_restarting(supervisor: Supervisor) -> bool:
    try:
        children: tuple[Child, ...] = await supervisor.actor_ref.ask(WhichChildren(), block=False)
    except ActorDeadError:
        return True  # it has news, if not for us
    return any(child.state == "restarting" for child in children)
