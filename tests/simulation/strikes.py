"""Crashes of actors at random: bugs that are in no code, for supervision to mend.

A message is met by a bug before it is heard or after, a coroutine of an actor where it reads or
sends. Struck are gates, the supervisors of their tasks, and tasks in flight. The end of the journal
or of the router ends the process, which `Faults.crash_every_ns` stands for.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from pykka._envelope import Envelope

from taskmaster.actors.gate import GateActor
from taskmaster.actors.task import TaskActor, TasksActor
from taskmaster.supervision import LoopActor
from taskmaster.supervision.actor import News
from taskmaster.supervision.simulated import SeededTurns, SimulatedLoop

STRUCK = (GateActor, TasksActor, TaskActor)


class Struck(Exception):  # noqa: N818  # what the world does, not an error
    """A bug, drawn from the seed."""


class Strikes:
    """Draws who is struck. `rate` is for each turn of an actor, and for each of its waits."""

    def __init__(self, rate: float, rng: random.Random, is_calm: Callable[[], bool]) -> None:
        self._rate = rate
        self._rng = rng
        self._is_calm = is_calm
        self.count = 0

    def falls(self) -> bool:
        """Whether a strike falls now; never in calm."""
        if not self._rate or self._is_calm() or self._rng.random() >= self._rate:
            return False
        self.count += 1
        return True

    def meet_mail(self, actor: LoopActor) -> None:
        """Maybe have the next message of an actor meet a bug, before it is heard or after."""
        if not isinstance(actor, STRUCK) or not actor.inbox.mail or not self.falls():
            return
        if isinstance(actor, GateActor) and self._rng.random() < 0.2:
            self._strike_tasks(actor)
            return
        envelope = actor.inbox.mail.popleft()
        message, is_heard = envelope.message, self._rng.random() < 0.5

        def meet(_news: object) -> None:
            if is_heard:
                if isinstance(message, News):
                    message.handler(message.news)
                else:
                    actor.on_receive(message)
            raise Struck(f"{'after' if is_heard else 'before'} {type(message).__name__}")

        actor.inbox.mail.appendleft(Envelope(News(meet, None), envelope.reply_to))

    def _strike_tasks(self, gate: GateActor) -> None:
        """The supervisor of the gate's tasks hears nothing but this."""
        line: Any = vars(gate)["_line"]

        def meet(_news: object) -> None:
            raise Struck("of its own")

        if line.tasks is not None:
            line.tasks.inbox.put(Envelope(News(meet, None)))

    def meet_coroutine(self) -> None:
        """Maybe raise in the coroutine of an actor that now reads or sends."""
        if not self._rate:
            return
        task = asyncio.current_task()
        frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
        actor = frame.f_locals.get("self") if frame is not None else None
        if isinstance(actor, STRUCK) and self.falls():
            raise Struck("in a coroutine")


class StrikingTurns(SeededTurns):
    """Serves actors in the seeded order, some of them struck."""

    def __init__(self, loop: SimulatedLoop, rng: random.Random, strikes: Strikes) -> None:
        super().__init__(loop, rng)
        self._strikes = strikes

    def soon(self, serve: Callable[[], None]) -> None:
        """As `SeededTurns.soon`; the method of an actor says whose it is."""
        actor: LoopActor = getattr(serve, "__self__")  # noqa: B009  # a bound method's

        def struck() -> None:
            self._strikes.meet_mail(actor)
            serve()

        super().soon(struck)
