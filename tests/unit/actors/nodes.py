"""A node in virtual time on a store in memory, whose world does as a test says."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from taskmaster.actors.alerts import AlertSettings
from taskmaster.actors.intake import Accepted
from taskmaster.actors.node import IN_FLIGHT, Node, NodeSettings
from taskmaster.actors.supervisor import Incident
from taskmaster.delivery.sender import Outbound
from taskmaster.events.log import Append, BatchResult, NotStored, Reader, TaskRow, Unknown
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.types import (
    SECOND,
    Epoch,
    Event,
    GateEvent,
    GateName,
    GateSettings,
    Mono,
    NodeId,
    Request,
    Retry,
    TaskEvent,
    TaskId,
    Wall,
    gate_stream,
)
from taskmaster.model.control import SetGate
from taskmaster.model.retry import Answer, Responded
from taskmaster.model.submission import SubmitTask
from taskmaster.supervision.simulated import SimulatedLoop
from tests.unit.model.builders import CAUSE, NAME, NOW

T = TypeVar("T")
OK = Responded(200, 1)


class Sent(Struct, frozen=True):
    """A request that left, in seconds of virtual time."""

    at: float
    task: TaskId
    attempt: int


class Endpoint:
    """Answers with `answer`, or what it makes of a request, after `takes_s`."""

    def __init__(self) -> None:
        self.answer: Answer | Callable[[Outbound], Answer] = OK
        self.takes_s = 0.01
        self.prepares_s = 0.0
        self.sent: list[Sent] = []

    async def send(self, outbound: Outbound) -> Answer:
        """As `Sender.send`."""
        headers = dict(outbound.headers)
        at = asyncio.get_running_loop().time()
        task = TaskId(headers["TaskMaster-Task"])
        self.sent.append(Sent(at, task, int(headers["TaskMaster-Attempt"])))
        await asyncio.sleep(self.takes_s)
        return self.answer(outbound) if callable(self.answer) else self.answer

    def is_ready(self, outbound: Outbound) -> bool:
        """As `Sender.is_ready`."""
        del outbound
        return not self.prepares_s

    async def prepare(self, outbound: Outbound) -> None:
        """As `Sender.prepare`."""
        del outbound
        await asyncio.sleep(self.prepares_s)

    async def close(self) -> None:
        """As `Sender.close`."""


class Clock:
    """Virtual time; the wall can be set."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._last = Wall(0)
        self.step_ns = 0

    def wall(self) -> Wall:
        """Shard time."""
        self._last = max(self._last, Wall(NOW + self._loop.now_ns + self.step_ns))
        return self._last

    def mono(self) -> Mono:
        """Pacing time."""
        return Mono(NOW + self._loop.now_ns)


class Chance:
    """A seeded Rng."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def uniform(self) -> float:
        """A number from [0, 1)."""
        return self._rng.random()


class World:
    """What outlives a node: the store, the endpoint, the time."""

    def __init__(
        self, *, seed: int = 1, in_flight: int = IN_FLIGHT, alerts: AlertSettings | None = None
    ) -> None:
        self.store = SQLiteStore.open(":memory:")
        self.endpoint = Endpoint()
        self.commit_s = 0.002
        self.read_s = 0.001
        self.trouble: list[NotStored | Unknown] = []
        self.fatal: list[str] = []
        self.incidents: list[Incident] = []
        self.in_flight = in_flight
        self.alerts = alerts
        self.now_ns = 0
        self._seed = seed
        self._lives = 0
        self._ids = 0

    # --- ports --------------------------------------------------------------------------------

    async def commit(self, batch: Sequence[Append]) -> BatchResult:
        """As `Committer.commit`."""
        await asyncio.sleep(self.commit_s / 2)
        if self.trouble:
            return self.trouble.pop(0)
        result = self.store.commit(batch)
        await asyncio.sleep(self.commit_s / 2)
        return result

    def task_id(self) -> TaskId:
        """As `Ids.task_id`."""
        self._ids += 1
        return TaskId(f"00000000-0000-7000-8000-{self._ids:012d}")

    def __getattr__(self, name: str) -> Any:
        """As `Reader`, by name."""
        method = getattr(self.store.reader(), name)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(self.read_s)
            return method(*args, **kwargs)

        return ask

    # --- lives --------------------------------------------------------------------------------

    def live(self, script: Callable[[Node], Awaitable[T]], *, down_s: float = 0) -> T:
        """Run a node while `script` runs, after a time without one; then it dies as by `kill -9`.

        A script that ends with a stop of the node leaves it in good order.
        """
        self._lives += 1
        loop = SimulatedLoop(self._seed + self._lives)
        loop.now_ns = self.now_ns + round(down_s * SECOND)
        try:
            return loop.run_until_complete(self._run(loop, script))
        finally:
            self.now_ns = loop.now_ns
            for task in asyncio.all_tasks(loop):
                task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]  # it dies with its process
            loop.close()

    async def _run(self, loop: SimulatedLoop, script: Callable[[Node], Awaitable[T]]) -> T:
        reader: Reader = self  # pyright: ignore[reportAssignmentType]  # answers by name
        self.clock = Clock(loop)
        newest_at, _ = self.store.reader().newest_times()
        node = Node(
            NodeSettings(
                node=NodeId(f"node-{self._lives}"),
                boot_id="virtual",
                anchor_ns=0,
                epoch=Epoch(self._lives),
                pid=self._lives,
                software="test",
                silent_ns=max(0, self.clock.wall() - newest_at) if newest_at else 0,
                in_flight=self.in_flight,
            ),
            committer=self,
            reader=reader,
            clock=self.clock,
            rng=Chance(self._seed),
            ids=self,
            sender=self.endpoint,
            fatal=self.fatal.append,
            incident=self.incidents.append,
            alerts=self.alerts,
        )
        await node.start()
        return await script(node)

    # --- what became of it --------------------------------------------------------------------

    def events_of(self, task: TaskId) -> list[TaskEvent]:
        """A task's stream."""
        return [
            r.event for r in self.store.reader().task_events(task) if isinstance(r.event, TaskEvent)
        ]

    def names_of(self, task: TaskId) -> list[str]:
        """The names of the events of a task's stream."""
        return [type(event).__name__ for event in self.events_of(task)]

    def gate_events(self, gate: GateName = NAME) -> list[Event]:
        """A gate's own stream."""
        events = self.store.reader().stream(gate_stream(gate))
        return [record.event for record in events if isinstance(record.event, GateEvent)]

    def row(self, task: TaskId) -> TaskRow:
        """A task's row."""
        row = self.store.reader().task_row(task)
        assert row is not None
        return row


async def open_gate(node: Node, chosen: GateSettings, name: GateName = NAME) -> None:
    """Create a gate, or set it."""
    await node.intake.gate_command(name, SetGate(chosen, CAUSE))


async def submit(
    node: Node,
    count: int = 1,
    *,
    gate: GateName = NAME,
    delay_ns: int = 0,
    retry: Retry | None = None,
    idempotent: bool = True,
    priority: int = 0,
    order_key: str = "",
    expires_at: Wall | None = None,
    timeout_ns: int = 30 * SECOND,
) -> list[TaskId]:
    """Tasks that were accepted."""
    command = SubmitTask(
        gate=gate,
        request=Request("http://127.0.0.1/hook"),
        delay_ns=delay_ns,
        retry=retry or Retry(jitter="none"),
        idempotent=idempotent,
        priority=priority,
        order_key=order_key,
        expires_at=expires_at,
        timeout_ns=timeout_ns,
    )
    answers = await node.intake.submit([command] * count, CAUSE)
    accepted = [answer.task_id for answer in answers if isinstance(answer, Accepted)]
    assert len(accepted) == count, answers
    return accepted
