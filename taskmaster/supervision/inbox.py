"""Mail of an actor on a loop: a lane for the system, one for the rest, and replies to await.

Rules of residence: pykka's `ActorInbox` and `Future` on asyncio. All of it belongs to the loop's
thread; only `LoopInbox.put` may be called from others.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Protocol, cast

import pykka
from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import (
    _ActorStop,  # pyright: ignore[reportPrivateUsage]  # pinned minor
)

from taskmaster.supervision.life import SYSTEM_TYPES

SYSTEM_TYPES.add(_ActorStop)


class Turns(Protocol):
    """Decides the order in which inboxes with mail are served, and how much of it at once."""

    def messages(self) -> int:
        """How many messages the next inbox may handle before others have their turn."""
        ...

    def soon(self, serve: Callable[[], None]) -> None:
        """Call `serve` in a later turn of the loop."""
        ...


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


class Pending:
    """Returned by a handler that answers later: whoever asked is told of `set`, whenever it
    comes."""

    __slots__ = ("_reply_to", "is_set", "value")

    def __init__(self) -> None:
        self._reply_to: pykka.Future[Any] | None = None
        self.value: Any = None
        self.is_set = False

    def set(self, value: Any) -> None:
        """Give the answer."""
        self.value, self.is_set = value, True
        if self._reply_to is not None:
            self._reply_to.set(value)

    def refuse(self) -> None:
        """There will be no answer: the actor has ended."""
        if self._reply_to is not None:
            self._reply_to.set_exception(_dead("it ended before it answered"))

    def answers(self, reply_to: "pykka.Future[Any]") -> None:
        """Whom to answer."""
        self._reply_to = reply_to
        if self.is_set:
            reply_to.set(self.value)


class LoopInbox:
    """Mail in order; what the system says goes first, in an order of its own."""

    __slots__ = (
        "handled",
        "is_closed",
        "loop",
        "mail",
        "scheduled",
        "serve",
        "system",
        "thread",
        "turns",
    )

    def __init__(self) -> None:
        self.mail: deque[Envelope[Any]] = deque()
        self.system: deque[Envelope[Any]] = deque()
        self.scheduled = False
        self.handled = 0
        """Messages that the actor was given."""
        self.is_closed = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.turns: Turns | None = None
        self.thread = 0
        self.serve: Callable[[], None] | None = None

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add mail, from any thread."""
        if type(envelope.message) in SYSTEM_TYPES:
            self.system.append(envelope)
        else:
            self.mail.append(envelope)
        if self.is_closed:
            self.refuse()  # it ended between the sender's look and this
        elif not self.scheduled and self.loop is not None:
            self.schedule()

    def schedule(self) -> None:
        """Have the inbox served in a later turn."""
        assert self.loop is not None
        serve = self.serve
        if serve is None:
            return  # it ended while another thread was about to have its mail served
        self.scheduled = True
        if self.turns is not None:
            self.turns.soon(serve)
        elif threading.get_ident() == self.thread:
            self.loop.call_soon(serve)
        else:
            self.loop.call_soon_threadsafe(serve)

    def get(self) -> Envelope[Any]:
        """The next mail; there must be some."""
        return (self.system or self.mail).popleft()

    def empty(self) -> bool:
        """Whether there is none."""
        return not self.mail and not self.system

    def close(self) -> None:
        """Nothing is served any more; who waits for a reply is told."""
        self.is_closed = True
        self.serve = None  # it leads back to the actor: a cycle, which only a collection would free
        if self.mail or self.system:
            self.refuse()

    def refuse(self) -> None:
        """Answer all that is there: the actor has ended."""
        while not self.empty():
            envelope = self.get()
            if envelope.reply_to is None:
                continue
            if isinstance(envelope.message, _ActorStop):
                envelope.reply_to.set(None)
            else:
                envelope.reply_to.set_exception(_dead("it ended before it was heard"))


def _dead(why: str) -> tuple[type[BaseException], BaseException, None]:
    return ActorDeadError, ActorDeadError(why), None
