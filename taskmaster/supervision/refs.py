"""What one does with the reference of an actor: tell it, watch it, stop it, look at it.

Rules of residence: works for every actor whose life is a `Life`; on the loop's thread, but `tell`.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from msgspec import Struct
from pykka import ActorRef
from pykka._envelope import Envelope

from taskmaster.supervision.inbox import LoopInbox
from taskmaster.supervision.life import Down, Life, System, Told, ToldOfStart
from taskmaster.supervision.reasons import NO_PROCESS, NORMAL, Crash, Ignored, Reason


class Exit(System, frozen=True):
    """A request to end with this reason: OTP's exit signal."""

    reason: Reason


class Inspect(System, frozen=True):
    """A question that is answered before all mail, with an `Inspection`."""


class Inspection(Struct, frozen=True):
    """What an actor is up to."""

    phase: Literal["starting", "running", "stopping", "over"]
    incarnation: int
    mail: int
    coroutines: int


def life_of(ref: "ActorRef[Any]") -> Life:
    """The life of an actor."""
    life = ref.actor_stopped
    assert isinstance(life, Life), f"{ref} is no actor of a loop"
    return life


def tell(ref: "ActorRef[Any]", message: object) -> bool:
    """Tell an actor that may have ended; False when it has."""
    if ref.actor_stopped.is_set():
        return False
    ref.actor_inbox.put(Envelope(message))
    return True


def watch(ref: "ActorRef[Any]", told: Told) -> None:
    """Have `told` called once when the actor ends; at once if it has. On the loop's thread."""
    life = life_of(ref)
    if life.is_over:
        told(Down(ref, life.incarnation, NO_PROCESS))
    else:
        life.watch(told)


def watch_start(ref: "ActorRef[Any]", told: ToldOfStart) -> None:
    """Have `told` called once: with None when the actor has started, or with why it has not."""
    life_of(ref).watch_start(told)


async def started(ref: "ActorRef[Any]") -> "ActorRef[Any]":
    """Wait until an actor has started.

    Raises:
        BaseException: what its `on_start` raised.
        Ignored: it had nothing to do, or was stopped before it had started.
    """
    outcome: asyncio.Future[Reason | None] = asyncio.get_running_loop().create_future()
    watch_start(ref, outcome.set_result)
    match await outcome:
        case None:
            return ref
        case Crash(error=error):
            raise error
        case reason:
            raise Ignored(reason)


def tell_to_stop(ref: "ActorRef[Any]", reason: Reason = NORMAL) -> None:
    """Have an actor stop before it handles what waits in its inbox."""
    tell(ref, Exit(reason))


async def stop(ref: "ActorRef[Any]", reason: Reason = NORMAL) -> None:
    """Stop an actor and wait until it has ended."""
    tell_to_stop(ref, reason)
    await ended((ref,))


async def ended(refs: "Sequence[ActorRef[Any]]") -> None:
    """Wait until all of them have ended."""
    loop = asyncio.get_running_loop()
    for ref in refs:
        down: asyncio.Future[Down] = loop.create_future()
        watch(ref, partial(_settle, down))
        await down


def mail_of(ref: "ActorRef[Any]") -> int:
    """How many messages wait in an actor's inbox."""
    inbox = ref.actor_inbox
    return len(inbox.mail) if isinstance(inbox, LoopInbox) else 0


def handled_by(ref: "ActorRef[Any]") -> int:
    """How many messages an actor was given."""
    inbox = ref.actor_inbox
    return inbox.handled if isinstance(inbox, LoopInbox) else 0


def mail_by_type(ref: "ActorRef[Any]") -> dict[str, int]:
    """What waits in an actor's inbox, by the type of message."""
    inbox = ref.actor_inbox
    counts: Counter[str] = Counter()
    if isinstance(inbox, LoopInbox):
        counts.update(type(envelope.message).__name__ for envelope in inbox.mail)
    return dict(counts)


def _settle(future: "asyncio.Future[Down]", down: Down) -> None:
    if not future.done():  # whoever waited may have gone
        future.set_result(down)
