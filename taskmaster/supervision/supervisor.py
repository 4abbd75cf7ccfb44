"""`Supervisor`: the actor that carries out what `machine.py` decides.

Rules of residence: no decision. Children are actors of a loop; what they report comes in as
messages of the system lane, so that it is heard in the start and the stop of the supervisor too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from msgspec import Struct
from pykka import ActorDeadError, ActorRef
from pykka._envelope import Envelope

from taskmaster.supervision.actor import Hook, LoopActor, kill
from taskmaster.supervision.children import Children
from taskmaster.supervision.inbox import Pending
from taskmaster.supervision.life import Down, System
from taskmaster.supervision.machine import Machine
from taskmaster.supervision.messages import (
    Answer,
    Asked,
    AskToStop,
    Begin,
    CancelTimer,
    Child,
    CountChildren,
    Counts,
    DeleteChild,
    Effect,
    End,
    Exited,
    GetChildSpec,
    Input,
    Kill,
    Ok,
    Pid,
    Refused,
    Reply,
    Report,
    Request,
    RestartChild,
    SendSelf,
    SetTimer,
    Start,
    StartChild,
    StartDynamic,
    Started,
    StartFailed,
    StartIgnored,
    Stop,
    TerminateChild,
    TimerFired,
    TryAgain,
    WhichChildren,
)
from taskmaster.supervision.reasons import (
    NO_PROCESS,
    SHUTDOWN,
    ChildFailed,
    Crash,
    FailedToStart,
    Ignored,
    Reason,
)
from taskmaster.supervision.refs import life_of, tell, tell_to_stop, watch_start
from taskmaster.supervision.specs import (
    SECOND_NS,
    AutoShutdown,
    ChildSpec,
    Flags,
    ShutdownTime,
    Strategy,
)
from taskmaster.supervision.zombies import Zombies


class World(Struct, frozen=True):
    """What a supervisor needs of the world."""

    mono_ns: Callable[[], int]
    """A monotonic clock."""
    uniform: Callable[[], float] = lambda: 0.0
    """A number from [0, 1), for the jitter of back-off; by default there is none."""
    report: Callable[[Report], None] = lambda _report: None
    """Told of ends, restarts and giving up, for the log."""
    zombies: Zombies | None = None


class WithInfo(Struct, frozen=True):
    """What a start function may return: the child, and something for whoever asked for it."""

    ref: "ActorRef[Any]"
    info: object


class StartTimedOut(Struct, frozen=True):
    """The reason of a start that took longer than its spec allows; the child was killed."""

    timeout_ns: int


class _Fired(System, frozen=True):
    timer: int


class _StartSettled(System, frozen=True):
    outcome: Started | StartIgnored | StartFailed


class Supervisor(LoopActor):
    """Starts its children in order, restarts them by their specs, stops them in reverse."""

    def __init__(  # OTP's four flags, and where it lives
        self,
        children: Sequence[ChildSpec],
        *,
        world: World,
        strategy: Strategy = "one_for_one",
        intensity: int = 1,
        period_ns: int = 5 * SECOND_NS,
        auto_shutdown: AutoShutdown = "never",
        name: str = "",
    ) -> None:
        """The defaults are OTP's: one restart within five seconds.

        Raises:
            Misspelt: the flags or the specs, before anything is started.
        """
        super().__init__(name)
        self._world = world
        self._machine = Machine(Flags(strategy, intensity, period_ns, auto_shutdown), children)
        self._given: deque[Input] = deque()
        self._is_feeding = False
        self._ended: Reason | None = None
        self._settled: asyncio.Future[None] | None = None
        self._starting: ActorRef[Any] | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._unanswered: set[Pending] = set()

    # --- life ---------------------------------------------------------------------------------

    def on_start(self) -> Hook | None:
        """Start the children. A failing start stops those before it, one after the other.

        Raises:
            ChildFailed: which, and why; once no child is left.
        """
        self._feed(Begin())
        if not self._machine.is_busy:
            self._children_started()
            return None
        return self._wait_for_children(self._settlement())

    async def _wait_for_children(self, settled: "asyncio.Future[None]") -> None:
        await settled
        self._settled = None
        self._children_started()

    def _children_started(self) -> None:
        match self._ended:
            case None:
                pass
            case FailedToStart(child=child, reason=reason):
                cause = reason.error if isinstance(reason, Crash) else None
                raise ChildFailed(child, reason) from cause
            case reason:
                self.exit(reason)  # it gave up before it had started

    def _settlement(self) -> "asyncio.Future[None]":
        """Done when the children have started, or have stopped."""
        self._settled = asyncio.get_running_loop().create_future()
        return self._settled

    def on_stop(self) -> Hook | None:
        """Stop the children in reverse, waiting for each."""
        self._feed(Stop(self._reason))
        return None if self._machine.is_over else self._wait_for_end(self._settlement())

    async def _wait_for_end(self, settled: "asyncio.Future[None]") -> None:
        await settled

    def let_go(self) -> None:
        """A supervisor that crashed or was killed takes its children with it."""
        for handle in self._timers.values():
            handle.cancel()
        for pending in self._unanswered:
            pending.refuse()
        self._unanswered.clear()
        if self._starting is not None:
            kill(self._starting)
        for child in reversed(self._machine.children):
            if child.pid is not None:
                _end_orphan(_ref(child.pid), child.spec.shutdown_time)

    @property
    def flags(self) -> Flags:
        """How it treats its children."""
        return self._machine.flags

    @property
    def restarts_in_period(self) -> int:
        """How many restarts count against it now."""
        return self._machine.restarts_in_period(self._world.mono_ns())

    @property
    def kept(self) -> Children:
        """The children as they stand, for whoever is on the loop's thread."""
        return self._machine.children

    # --- requests -----------------------------------------------------------------------------

    async def start_child(self, spec: ChildSpec) -> Ok | Refused:
        """Add a child, last in order."""
        return _done(await self._request(StartChild(spec)))

    async def start_dynamic(self, *args: object) -> Ok | Refused:
        """Start one more child of the template (`simple_one_for_one`)."""
        return _done(await self._request(StartDynamic(args)))

    async def terminate_child(self, key: "Pid | ActorRef[Any]") -> Ok | Refused:
        """Stop a child by its id, or a dynamic one by its reference, and wait for its end."""
        if isinstance(key, ActorRef):
            ref = cast("ActorRef[Any]", key)
            request = TerminateChild(ref, is_pid=True, is_alive=ref.is_alive())
        else:
            request = TerminateChild(key)
        return _done(await self._request(request))

    async def restart_child(self, child_id: Pid) -> Ok | Refused:
        """Start a child that is stopped."""
        return _done(await self._request(RestartChild(child_id)))

    async def delete_child(self, child_id: Pid) -> Ok | Refused:
        """Forget a child that is stopped."""
        return _done(await self._request(DeleteChild(child_id)))

    async def child_spec(self, key: Pid) -> ChildSpec | Refused:
        """The spec of a child."""
        answer = await self._request(GetChildSpec(key))
        assert isinstance(answer, ChildSpec | Refused)
        return answer

    async def which_children(self) -> tuple[Child, ...]:
        """All children, the one started last first."""
        answer = await self._request(WhichChildren())
        assert isinstance(answer, tuple)
        return answer

    async def count_children(self) -> Counts:
        """How many there are."""
        answer = await self._request(CountChildren())
        assert isinstance(answer, Counts)
        return answer

    async def _request(self, request: Request) -> Answer:
        """Serve it at once where nothing waits before it; else it is mail like any other."""
        inbox = self.inbox
        if not self.life.is_open or inbox.turns is not None or not inbox.empty():
            return cast("Answer", await self.actor_ref.ask(request, block=False))
        try:
            pending = self._serve_request(request)
        except BaseException as error:
            self._crash(error, Envelope(request))
            raise ActorDeadError(f"{self} crashed") from error
        if pending.is_set:
            return cast("Answer", pending.value)
        reply = self._create_future()
        pending.answers(reply)
        return cast("Answer", await reply)

    # --- what comes in ------------------------------------------------------------------------

    def on_receive(self, message: object) -> object:
        """A request, or a restart to try again."""
        if isinstance(message, TryAgain):
            self._feed(message)
            return None
        assert isinstance(message, Request), f"unknown message {message!r}"
        return self._serve_request(message)

    def _serve_request(self, request: Request) -> Pending:
        pending = Pending()
        self._feed(Asked(request, pending))
        if not pending.is_set:
            self._unanswered.add(pending)
        return pending

    def on_system(self, message: System) -> object:
        """A child has ended or started, or a timer fired."""
        match message:
            case Down(ref=ref, reason=reason):
                zombies = self._world.zombies
                if zombies is not None and (left := life_of(ref).left):
                    zombies.look_at(left)
                self._feed(Exited(ref, reason))
            case _Fired(timer=timer):
                self._timers.pop(timer, None)
                self._feed(TimerFired(timer))
            case _StartSettled(outcome=outcome):
                self._starting = None
                self._feed(outcome)
            case _:
                raise AssertionError(f"unknown message {message!r}")
        return None

    def _feed(self, given: Input) -> None:
        self._given.append(given)
        if self._is_feeding:
            return
        self._is_feeding = True
        try:
            while self._given:
                given = self._given.popleft()
                for effect in self._machine.handle(given, self._world.mono_ns()):
                    self._carry_out(effect)
        finally:
            self._is_feeding = False
        if self._settled is not None and not self._settled.done():
            if self._machine.is_over or not (self.life.is_stopping or self._machine.is_busy):
                self._settled.set_result(None)
        elif self._ended is not None and self.life.is_open:
            self.exit(self._ended)

    # --- effects ------------------------------------------------------------------------------

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Start():
                self._start_child(effect)
            case Reply(tag=tag, answer=answer):
                assert isinstance(tag, Pending)
                tag.set(answer)
                self._unanswered.discard(tag)
            case AskToStop(pid=pid):
                tell_to_stop(self._linked(pid), SHUTDOWN)
            case Kill(pid=pid):
                kill(self._linked(pid))
            case SetTimer():
                self._set_timer(effect)
            case CancelTimer(timer=timer):
                handle = self._timers.pop(timer, None)
                if handle is not None:
                    handle.cancel()
            case SendSelf(key=key):
                tell(self.actor_ref, TryAgain(key))
            case End(reason=reason):
                self._ended = reason
            case _:
                self._world.report(effect)

    def _set_timer(self, wanted: SetTimer) -> None:
        after_ns = wanted.least_ns
        if wanted.most_ns > wanted.least_ns:
            after_ns += int((wanted.most_ns - wanted.least_ns) * self._world.uniform())
        loop = asyncio.get_running_loop()
        fired = _Fired(wanted.timer)
        self._timers[wanted.timer] = loop.call_later(
            after_ns / SECOND_NS, tell, self.actor_ref, fired
        )

    def _start_child(self, wanted: Start) -> None:
        try:
            made: object = wanted.spec.start(*wanted.args)
        except Ignored:
            self._given.append(StartIgnored())
            return
        except BaseException as error:  # noqa: BLE001  # whatever it is, that child has not started
            self._given.append(StartFailed(Crash(error)))
            return
        info: object = None
        if isinstance(made, WithInfo):
            made, info = made.ref, made.info
        if not isinstance(made, ActorRef):
            self._given.append(StartFailed(made))
            return
        ref = cast("ActorRef[Any]", made)
        life = life_of(ref)
        life.incarnation = wanted.incarnation
        if life.is_over:
            self._given.append(StartIgnored() if life.was_ignored else StartFailed(life.end))
        elif life.is_starting:
            self._wait_for(ref, info, wanted.spec.start_timeout_ns)
        else:
            life.owner = self._child_down
            self._given.append(Started(ref, info))

    def _wait_for(self, ref: "ActorRef[Any]", info: object, timeout_ns: int) -> None:
        """The start of this child takes a while: its outcome will be a message."""
        self._starting = ref
        life = life_of(ref)
        loop = asyncio.get_running_loop()
        outcome: Started | StartIgnored | StartFailed | None = None

        def settle(settled: Started | StartIgnored | StartFailed) -> None:
            nonlocal outcome
            if outcome is None:
                outcome = settled
                timer.cancel()
                tell(self.actor_ref, _StartSettled(settled))

        def told(failure: Reason | None) -> None:
            if failure is None:
                life.owner = self._child_down
                settle(Started(ref, info))
            else:
                settle(StartIgnored() if life.was_ignored else StartFailed(failure))

        def timed_out() -> None:
            settle(StartFailed(StartTimedOut(timeout_ns)))
            kill(ref)

        timer = loop.call_later(timeout_ns / SECOND_NS, timed_out)
        watch_start(ref, told)

    def _linked(self, pid: Pid) -> "ActorRef[Any]":
        """A child whose end will be told, even if it had taken itself out of its supervisor's
        hands: or a stop would wait for ever."""
        ref = _ref(pid)
        life = life_of(ref)
        if life.is_over:
            self._child_down(Down(ref, life.incarnation, NO_PROCESS))
        else:
            life.owner = self._child_down
        return ref

    def _child_down(self, down: Down) -> None:
        tell(self.actor_ref, down)


def _ref(pid: object) -> "ActorRef[Any]":
    return cast("ActorRef[Any]", pid)


def _done(answer: Answer) -> Ok | Refused:
    assert isinstance(answer, Ok | Refused)
    return answer


def _end_orphan(ref: "ActorRef[Any]", time: ShutdownTime) -> None:
    """As when a linked process of Erlang's hears of the end: asked to stop, then killed."""
    if time == "brutal_kill":
        kill(ref)
        return
    tell_to_stop(ref, SHUTDOWN)
    if isinstance(time, int):
        asyncio.get_running_loop().call_later(time / SECOND_NS, kill, ref)
