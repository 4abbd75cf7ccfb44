"""`LoopActor`: pykka's actor on an asyncio loop, so that a hundred thousand live in one process.

Rules of residence: knows nothing of gates, tasks or the log. Stands on pykka's extension points
(underscore names, hence the pinned minor version) and closes what pykka leaves open:

- `start` returns once `on_start` has run; its failure is raised to the starter;
- an unexpected error ends the actor, in `ask` too, and only this actor, whatever was raised;
- a stop is served before the backlog of the inbox;
- whoever watches gets exactly one `Down` for each incarnation;
- no global registry, whose removal is linear.

All actors of a loop run on its thread. `tell` from that thread is an append; from another it costs
one `call_soon_threadsafe`. Handlers are short and never wait.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from itertools import count
from typing import Any, Protocol, Self, TypeVar, cast

import pykka
from msgspec import Struct
from pykka import ActorDeadError, ActorRef
from pykka._envelope import Envelope
from pykka.messages import (
    ProxyCall,
    ProxyGetAttr,
    ProxySetAttr,
    _ActorStop,  # pyright: ignore[reportPrivateUsage]  # pinned minor
)

MESSAGES_A_TURN = 64
"""An actor lets others have the loop after this many messages."""

T = TypeVar("T")
_numbers = count(1)


class Down(Struct, frozen=True):
    """An actor ended. `error` is None after a stop that was asked for; `message` is the type of
    what it was handling when it crashed."""

    actor: "ActorRef[Any]"
    name: str
    error: BaseException | None = None
    message: str = ""


class Turns(Protocol):
    """Decides the order in which inboxes with mail are served, and how much of it at once."""

    def messages(self) -> int:
        """How many messages the next inbox may handle before others have their turn."""
        ...

    def soon(self, serve: Callable[[], None]) -> None:
        """Call `serve` in a later turn of the loop."""
        ...


class Life:
    """One incarnation's life: what pykka expects of a `threading.Event`, without its lock, and
    who is to be told of its end. Every reference to the actor shares it."""

    __slots__ = ("_watchers", "is_over", "owner")

    def __init__(self) -> None:
        self.is_over = False
        self._watchers: list[Callable[[Down], None]] | None = None
        self.owner: Callable[[Down], None] | None = None
        """Its supervisor, which is told first; a slot of its own, for there are many actors."""

    def is_set(self) -> bool:
        """Whether it is over."""
        return self.is_over

    def set(self) -> None:
        """End it."""
        self.is_over = True

    def watch(self, told: Callable[["Down"], None]) -> None:
        """Have `told` called once, at the end."""
        if self._watchers is None:
            self._watchers = []
        self._watchers.append(told)

    def tell_watchers(self, down: "Down") -> None:
        """Tell each watcher, once."""
        owner, self.owner = self.owner, None
        if owner is not None:
            owner(down)
        if self._watchers is not None:
            watchers, self._watchers = self._watchers, None
            for told in watchers:
                told(down)


class LoopFuture(pykka.Future[Any]):
    """A reply that can be awaited. A blocking `get` on the loop's thread is refused."""

    def __init__(self) -> None:
        super().__init__()
        self._future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def get(self, *, timeout: float | None = None) -> Any:
        """The reply, once it is there; never waits, for that would hold the loop for ever."""
        del timeout
        if not self._future.done():
            raise RuntimeError("get() would hold the loop; await the future instead")
        return self._future.result()

    def set(self, value: Any = None) -> None:
        """Give the reply; a caller that has gone is no error."""
        if not self._future.done():
            self._future.set_result(value)

    def set_exception(self, exc_info: Any = None) -> None:
        """Give an error as the reply."""
        if self._future.done():
            return
        error: object = exc_info
        if isinstance(exc_info, tuple):
            error = cast("tuple[object, ...]", exc_info)[1]
        if not isinstance(error, BaseException):
            error = ActorDeadError("the actor is not there")
        self._future.set_exception(error)

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the reply."""
        return self._future.__await__()


class LoopInbox:
    """Mail in order; a stop goes first."""

    __slots__ = ("loop", "mail", "scheduled", "serve", "thread", "turns")

    def __init__(self) -> None:
        self.mail: deque[Envelope[Any]] = deque()
        self.scheduled = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.turns: Turns | None = None
        self.thread = 0
        self.serve: Callable[[], None] | None = None

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add mail, from any thread."""
        if isinstance(envelope.message, _ActorStop):
            self.mail.appendleft(envelope)
        else:
            self.mail.append(envelope)
        if not self.scheduled and self.loop is not None:
            self.schedule()

    def schedule(self) -> None:
        """Have the inbox served in a later turn."""
        assert self.loop is not None
        assert self.serve is not None
        self.scheduled = True
        if self.turns is not None:
            self.turns.soon(self.serve)
        elif threading.get_ident() == self.thread:
            self.loop.call_soon(self.serve)
        else:
            self.loop.call_soon_threadsafe(self.serve)

    def get(self) -> Envelope[Any]:
        """The next mail; there must be some."""
        return self.mail.popleft()

    def empty(self) -> bool:
        """Whether there is none."""
        return not self.mail


class _Coroutine(Struct, frozen=True):
    """Stands for the message when a spawned coroutine failed."""


class News(Struct, frozen=True, gc=False):
    """Mail that names its handler (`LoopActor.now`)."""

    handler: Callable[[Any], None]
    news: Any


_NO_MAIL: Envelope[Any] = Envelope(None)
_PYKKA_MESSAGES = frozenset({_ActorStop, ProxyCall, ProxyGetAttr, ProxySetAttr})


class LoopActor(pykka.Actor):
    """An actor of the running loop; start it from the loop's thread."""

    def __init__(self, name: str = "") -> None:
        """Set what pykka's own `__init__` sets, without a lock and a random urn for each actor."""
        self.actor_urn = name or f"{type(self).__name__}:{next(_numbers)}"
        self.inbox = self.actor_inbox = LoopInbox()
        self.life = Life()
        self.actor_stopped = self.life  # pyright: ignore[reportAttributeAccessIssue]  # same methods
        self._actor_ref = ActorRef(self)
        self._spawned: set[asyncio.Task[Any]] | None = None

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> "ActorRef[Self]":  # pyright: ignore[reportIncompatibleMethodOverride]  # the same, quoted
        """Make and start an actor; returns once `on_start` has run.

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
            self.on_start()
        except BaseException:
            self.actor_stopped.set()
            self._actor_loop_teardown()
            raise
        if inbox.mail and not inbox.scheduled:
            inbox.schedule()

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine that belongs to this actor: it ends with it, and its error crashes it."""
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
            self._crash(asyncio.CancelledError(), Envelope(_Coroutine()))
        except BaseException as error:  # noqa: BLE001  # it ends this actor only
            if not self.life.is_over:
                self._crash(error, Envelope(_Coroutine()))

    def now(self, handler: Callable[[T], None], news: T) -> None:
        """Handle news at once where nothing waits before it: one turn of the loop less.

        For whoever stands outside any handler of this actor: its own coroutines, and replies.
        Otherwise, and in simulation, the news is mail like any other.
        """
        inbox = self.inbox
        if inbox.mail or inbox.turns is not None:
            inbox.put(Envelope(News(handler, news)))
        elif not self.life.is_over:
            try:
                handler(news)
            except BaseException as error:  # noqa: BLE001  # it ends this actor only
                self._crash(error, Envelope(news))

    def after_mail(self) -> None:
        """Called once after each turn's messages, for what need not be done after every one."""

    def _serve(self) -> None:
        """Handle some mail, then let others have the loop."""
        inbox = self.inbox
        inbox.scheduled = False
        mail, life = inbox.mail, self.life
        envelope = _NO_MAIL
        turns = inbox.turns
        try:
            for _ in range(MESSAGES_A_TURN if turns is None else turns.messages()):
                if not mail or life.is_over:
                    break
                envelope = mail.popleft()
                message = envelope.message
                if type(message) is News:
                    reply = message.handler(message.news)
                elif type(message) in _PYKKA_MESSAGES:
                    reply = self._handle_receive(message)
                else:
                    reply = self.on_receive(message)
                if envelope.reply_to is not None:
                    envelope.reply_to.set(reply)
            if not life.is_over:
                self.after_mail()
        except BaseException as error:  # noqa: BLE001  # it ends this actor only
            self._crash(error, envelope)
            return
        if life.is_over:
            self._actor_loop_teardown()
        elif mail and not inbox.scheduled:
            inbox.schedule()

    def _crash(self, error: BaseException, envelope: Envelope[Any]) -> None:
        self.actor_stopped.set()
        if envelope.reply_to is not None:
            envelope.reply_to.set_exception((type(error), error, error.__traceback__))
        try:
            self.on_failure(type(error), error, error.__traceback__)
        except BaseException as second:  # noqa: BLE001  # the first error is the one to tell
            error.add_note(f"on_failure raised {second!r}")
        self._let_go()
        self.life.tell_watchers(Down(self.actor_ref, self.actor_urn, error, _type_name(envelope)))

    def _stop(self) -> None:
        """A stop that was asked for."""
        self.actor_stopped.set()
        error: BaseException | None = None
        try:
            self.on_stop()
        except BaseException as raised:  # noqa: BLE001  # told to the watchers as the end's reason
            error = raised
        self._let_go()
        self.life.tell_watchers(
            Down(self.actor_ref, self.actor_urn, error, "stop" if error else "")
        )

    def _let_go(self) -> None:
        """Cancel what it spawned, answer who waits for a reply."""
        for task in list(self._spawned or ()):
            task.cancel()
        self._actor_loop_teardown()


def _type_name(envelope: Envelope[Any]) -> str:
    message: object = envelope.message
    return type(message.news if isinstance(message, News) else message).__name__


def tell(ref: "ActorRef[Any]", message: object) -> bool:
    """Tell an actor that may have ended; False when it has. Mail is a hint, truth is the log."""
    if ref.actor_stopped.is_set():
        return False
    ref.actor_inbox.put(Envelope(message))
    return True


def watch(ref: "ActorRef[Any]", told: Callable[[Down], None]) -> None:
    """Have `told` called once when the actor ends; at once if it has. On the loop's thread."""
    life = ref.actor_stopped
    assert isinstance(life, Life)
    if life.is_over:
        told(Down(ref, ref.actor_urn))
    else:
        life.watch(told)


def tell_to_stop(ref: "ActorRef[Any]") -> None:
    """Have an actor stop before it handles what waits in its inbox."""
    tell(ref, _ActorStop())


async def stop(ref: "ActorRef[Any]") -> None:
    """Stop an actor and wait until it has ended."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    watch(ref, lambda _down: ended.set_result(None))
    tell_to_stop(ref)
    await ended


def mail_of(ref: "ActorRef[Any]") -> int:
    """How many messages wait in an actor's inbox."""
    inbox = ref.actor_inbox
    return len(inbox.mail) if isinstance(inbox, LoopInbox) else 0
