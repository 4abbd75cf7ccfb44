"""`LoopActor`: pykka's actor on an asyncio loop, so that a hundred thousand live in one process.

Rules of residence: stands on pykka's extension points (underscore names, hence the pinned minor
version) and closes what pykka leaves open:

- a start is reported to the starter: done, ignored, or what `on_start` raised;
- an unexpected error ends the actor, in `ask` too, and only this actor, whatever was raised;
- a stop, the end of another actor and an inspection are served before the backlog of mail;
- whoever watches gets exactly one `Down` for each incarnation;
- its coroutines end with it; no global registry, whose removal is linear.

All actors of a loop run on its thread. `tell` from that thread is an append; from another it costs
one `call_soon_threadsafe`. Handlers are short and never wait.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, ClassVar, Self, TypeVar

import pykka
from msgspec import Struct
from pykka import ActorRef
from pykka._envelope import Envelope
from pykka.messages import (
    ProxyCall,
    ProxyGetAttr,
    ProxySetAttr,
    _ActorStop,  # pyright: ignore[reportPrivateUsage]  # pinned minor
)

from taskmaster.supervision.inbox import LoopFuture, LoopInbox, Pending
from taskmaster.supervision.life import Down, Life, System
from taskmaster.supervision.reasons import (
    KILLED,
    NORMAL,
    Crash,
    Expected,
    Ignored,
    Reason,
)
from taskmaster.supervision.refs import Exit, Inspect, Inspection

MESSAGES_A_TURN = 64
"""An actor lets others have the loop after this many messages."""

T = TypeVar("T")
Hook = Coroutine[Any, Any, None]
_numbers = count(1)


class News(Struct, frozen=True, gc=False):
    """Mail that names its handler (`LoopActor.now`)."""

    handler: Callable[[Any], None]
    news: Any


class _Coroutine(Struct, frozen=True):
    """Stands for the message when a spawned coroutine failed."""


_NO_MAIL: Envelope[Any] = Envelope(None)
_COROUTINE: Envelope[Any] = Envelope(_Coroutine())
_PROXY = frozenset({ProxyCall, ProxyGetAttr, ProxySetAttr})


class LoopActor(pykka.Actor):
    """An actor of the running loop; start it from the loop's thread."""

    EXPECTED: ClassVar[tuple[type[BaseException], ...]] = (Expected,)
    """Errors that are answers: given to whoever asked, and the actor lives on."""

    def __init__(self, name: str = "") -> None:
        """Set what pykka's own `__init__` sets, without a lock and a random urn for each actor."""
        self.actor_urn = name or f"{type(self).__name__}:{next(_numbers)}"
        self.inbox = self.actor_inbox = LoopInbox()
        self.life = Life()
        self.actor_stopped = self.life  # pyright: ignore[reportAttributeAccessIssue]  # same methods
        self._actor_ref = ActorRef(self)
        self._spawned: set[asyncio.Task[Any]] | None = None
        self._reason: Reason = NORMAL

    # --- hooks --------------------------------------------------------------------------------

    def on_start(self) -> Hook | None:  # pyright: ignore[reportIncompatibleMethodOverride]  # may wait
        """Runs before any mail is served; a coroutine may wait, and the starter with it."""

    def on_stop(self) -> Hook | None:  # pyright: ignore[reportIncompatibleMethodOverride]  # may wait
        """Runs when the actor is to end, not when it crashes; a coroutine may wait."""

    def after_mail(self) -> None:
        """Called once after each turn's messages, for what need not be done after every one."""

    def on_system(self, message: System) -> object:
        """The end of an actor that this one watches by message; in every phase of its life."""
        return self.on_receive(message)

    # --- start --------------------------------------------------------------------------------

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> "ActorRef[Self]":  # pyright: ignore[reportIncompatibleMethodOverride]  # the same, quoted
        """Make and start an actor.

        Returns once `on_start` has run; where that is a coroutine, await `started` for its outcome.

        Raises:
            Exception: what `__init__` or `on_start` raised; the actor is not there then.
        """
        actor = cls(*args, **kwargs)
        return actor.launch()

    def launch(self) -> "ActorRef[Self]":
        """Start an actor that was made; what `on_start` raises is raised here."""
        self._start_actor_loop()
        return self.actor_ref

    @staticmethod
    def _create_actor_inbox() -> LoopInbox:
        return LoopInbox()

    @staticmethod
    def _create_future() -> LoopFuture:
        return LoopFuture()

    def _start_actor_loop(self) -> None:
        inbox = self.inbox
        inbox.loop = loop = asyncio.get_running_loop()
        inbox.turns = getattr(loop, "turns", None)
        inbox.thread = threading.get_ident()
        inbox.serve = self._serve
        try:
            starting = self.on_start()
        except BaseException as error:
            self._failed_to_start(error)
            raise
        if starting is None:
            self._has_started()
        else:
            self.spawn(self._wait_for_start(starting))
            if inbox.system and not inbox.scheduled:
                inbox.schedule()

    async def _wait_for_start(self, starting: Hook) -> None:
        try:
            await starting
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # told to whoever waits for the start
            self._failed_to_start(error)
        else:
            self._has_started()

    def _failed_to_start(self, error: BaseException) -> None:
        self.life.was_ignored = isinstance(error, Ignored)
        self._finish(NORMAL if self.life.was_ignored else Crash(error, "start"))

    def _has_started(self) -> None:
        inbox = self.inbox
        if self.life.is_over:
            return  # it ended itself in its start
        self.life.has_started()
        if not inbox.scheduled and not inbox.empty():
            inbox.schedule()

    # --- mail ---------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine that belongs to this actor: it ends with it, and its error crashes it.

        Of an actor that is over it does not begin: a reply that came late may ask for one.
        """
        if self.life.is_over:
            work.close()
            return
        loop = self.inbox.loop
        assert loop is not None
        task = loop.create_task(self._guarded(work))
        if self._spawned is None:
            self._spawned = set()
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except GeneratorExit:
            raise  # the loop itself is gone
        except asyncio.CancelledError:
            if self.life.is_over:
                raise
            self._crash(asyncio.CancelledError(), _COROUTINE)
        except BaseException as error:  # noqa: BLE001  # it ends this actor only
            self._crash(error, _COROUTINE)

    def now(self, handler: Callable[[T], None], news: T) -> None:
        """Handle news at once where nothing waits before it: one turn of the loop less.

        For whoever stands outside any handler of this actor: its own coroutines, and replies.
        Otherwise, and in simulation, the news is mail like any other.
        """
        inbox, life = self.inbox, self.life
        if inbox.mail or inbox.system or inbox.turns is not None or life.is_starting:
            inbox.put(Envelope(News(handler, news)))
        elif life.is_open:
            inbox.handled += 1
            try:
                handler(news)
            except BaseException as error:  # noqa: BLE001  # it ends this actor only
                self._crash(error, Envelope(news))

    def _serve(self) -> None:
        """Handle some mail, then let others have the loop."""
        inbox, life = self.inbox, self.life
        inbox.scheduled = False
        mail, system = inbox.mail, inbox.system
        envelope = _NO_MAIL
        turns = inbox.turns
        try:
            for _ in range(MESSAGES_A_TURN if turns is None else turns.messages()):
                if system:
                    if life.is_over:
                        break
                    envelope = system.popleft()
                    self._serve_system(envelope)
                    continue
                if not mail or not life.is_open:
                    break
                envelope = mail.popleft()
                inbox.handled += 1
                message = envelope.message
                try:
                    if type(message) is News:
                        reply = message.handler(message.news)
                    elif type(message) in _PROXY:
                        reply = self._handle_receive(message)
                    else:
                        reply = self.on_receive(message)
                    if envelope.reply_to is not None:
                        _reply(envelope.reply_to, reply)
                except self.EXPECTED as error:
                    if envelope.reply_to is not None:
                        envelope.reply_to.set_exception((type(error), error, error.__traceback__))
            if life.is_open:
                self.after_mail()
        except BaseException as error:  # noqa: BLE001  # it ends this actor only
            self._crash(error, envelope)
            return
        if (system or (mail and life.is_open)) and not inbox.scheduled and not life.is_over:
            inbox.schedule()

    def _serve_system(self, envelope: Envelope[Any]) -> None:
        message: object = envelope.message
        reply_to = envelope.reply_to
        match message:
            case _ActorStop() | Exit():
                if reply_to is not None:
                    self.life.watch(lambda _down: reply_to.set(None))
                self.exit(message.reason if isinstance(message, Exit) else NORMAL)
            case Inspect():
                if reply_to is not None:
                    reply_to.set(self._inspection())
            case _:
                assert isinstance(message, System)
                reply = self.on_system(message)
                if reply_to is not None:
                    _reply(reply_to, reply)

    def _inspection(self) -> Inspection:
        life = self.life
        phase = "starting" if life.is_starting else "stopping" if life.is_stopping else "running"
        return Inspection(
            phase="over" if life.is_over else phase,
            incarnation=life.incarnation,
            mail=len(self.inbox.mail),
            coroutines=len(self._spawned or ()),
        )

    # --- end ----------------------------------------------------------------------------------

    def exit(self, reason: Reason = NORMAL) -> None:
        """End now, with this reason: no more mail is heard. In `on_stop` it sets the reason."""
        life = self.life
        self._reason = reason
        if life.is_over or life.is_stopping:
            return
        if life.is_starting:  # there is nothing yet that `on_stop` could put away
            self._finish(reason)
            return
        life.is_stopping = True
        life.is_open = False
        try:
            stopping = self.on_stop()
        except BaseException as error:  # noqa: BLE001  # told to the watchers as the end's reason
            self._finish(Crash(error, "stop"))
            return
        if stopping is None:
            self._finish(self._reason)
        else:
            self.spawn(self._wait_for_stop(stopping))

    async def _wait_for_stop(self, stopping: Hook) -> None:
        try:
            await stopping
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # told to the watchers as the end's reason
            self._finish(Crash(error, "stop"))
        else:
            self._finish(self._reason)

    def _stop(self) -> None:
        self.exit(NORMAL)

    def kill(self) -> None:
        """End at once: no hook runs. What its coroutines do in spite of it is not heard."""
        self._finish(KILLED)

    def _crash(self, error: BaseException, envelope: Envelope[Any]) -> None:
        if envelope.reply_to is not None:
            envelope.reply_to.set_exception((type(error), error, error.__traceback__))
        life = self.life
        if life.is_over:
            return
        life.set()
        try:
            self.on_failure(type(error), error, error.__traceback__)
        except BaseException as second:  # noqa: BLE001  # the first error is the one to tell
            error.add_note(f"on_failure raised {second!r}")
        self._over(Crash(error, _type_name(envelope)))

    def _finish(self, reason: Reason) -> None:
        if not self.life.is_over:
            self.life.set()
            self._over(reason)

    def _over(self, reason: Reason) -> None:
        """What it started ends, who waits for a reply is answered, who watches is told."""
        life = self.life
        life.end = reason
        self.let_go()
        if self._spawned:
            for task in self._spawned:
                task.cancel()
            life.left = frozenset(self._spawned)
        self.inbox.close()
        life.tell_of_end(Down(self.actor_ref, life.incarnation, reason))

    def let_go(self) -> None:
        """Called at the end, whatever the reason: for what must not outlive the actor."""


def _reply(reply_to: "pykka.Future[Any]", reply: object) -> None:
    if type(reply) is Pending:
        reply.answers(reply_to)
    else:
        reply_to.set(reply)


def _type_name(envelope: Envelope[Any]) -> str:
    message: object = envelope.message
    return type(message.news if isinstance(message, News) else message).__name__


def kill(ref: "ActorRef[Any]") -> None:
    """End an actor without asking it. On the loop's thread."""
    actor: object = ref._actor_weakref()  # pyright: ignore[reportPrivateUsage]  # the way back
    if isinstance(actor, LoopActor):
        actor.kill()
