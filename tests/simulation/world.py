"""A whole node in virtual time, with faults of store, network and clock, drawn from a seed.

The node, its actors and the SQLite store (in memory) are the real ones; simulated are the loop's
time and interleaving, the latency and trouble of commits and reads, and the endpoint. A crash
drops everything but the store, as `kill -9` does.

What is found wrong is told to the world, which ends the life at once and raises it to whoever runs
the seed: raised where it was found, it would be one more crash that supervision mends.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from taskmaster.actors.node import Node, NodeSettings
from taskmaster.actors.supervisor import Crashed, Incident
from taskmaster.delivery.sender import Outbound
from taskmaster.events.log import Append, BatchResult, NotStored, Reader, Unknown
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.types import (
    SECOND,
    AttemptStarted,
    Epoch,
    GateName,
    Mono,
    NodeId,
    Position,
    TaskId,
    Wall,
)
from taskmaster.model.retry import Answer, Responded, Unanswered
from taskmaster.supervision.simulated import SimulatedLoop
from tests.simulation.checks import Broken
from tests.simulation.strikes import Strikes, StrikingTurns, Struck

EPOCH = 1_790_000_000 * SECOND


class Faults(Struct, frozen=True):
    """How often things go wrong, as probabilities; a seed enables some of them (swarm testing)."""

    refused: float = 0.0
    unknown: float = 0.0
    slow: float = 0.0
    crash_every_ns: int = 0
    endpoint_fails: float = 0.0
    endpoint_throttles: float = 0.0
    endpoint_hangs: float = 0.0
    outage_ns: int = 0
    clock_steps: bool = False
    actor_crashes: float = 0.0


def faults_of(seed: int, *, crashes: bool = False) -> Faults:
    """A random subset of the faults; with `crashes` also some rate of crashes of actors."""
    rng = random.Random(seed * 7919)

    def some(value: float) -> float:
        return value if rng.random() < 0.4 else 0.0

    return Faults(
        refused=some(0.05),
        unknown=some(0.02),
        slow=some(0.05),
        crash_every_ns=int(some(1) * rng.uniform(0.5, 5) * SECOND),
        endpoint_fails=some(0.2),
        endpoint_throttles=some(0.05),
        endpoint_hangs=some(0.1),
        outage_ns=int(some(1) * rng.uniform(2, 20) * SECOND),
        clock_steps=rng.random() < 0.3,
        actor_crashes=rng.choice((0.001, 0.005, 0.02, 0.1)) if crashes else 0.0,
    )


class VirtualClock:
    """Shard time in virtual time; the wall clock can be stepped."""

    def __init__(self, loop: SimulatedLoop, anchor_ns: int, floor: Wall, step_ns: int) -> None:
        self._loop = loop
        self._anchor_ns = anchor_ns
        self._last = floor
        self.step_ns = step_ns

    def wall(self) -> Wall:
        now = Wall(EPOCH + self._loop.now_ns + self.step_ns)
        self._last = max(self._last, now)
        return self._last

    def mono(self) -> Mono:
        return Mono(self._loop.now_ns + self._anchor_ns)


class SeededRng:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def uniform(self) -> float:
        return self._rng.random()


class CountedIds:
    def __init__(self) -> None:
        self._count = 0

    def task_id(self) -> TaskId:
        self._count += 1
        return TaskId(f"00000000-0000-7000-8000-{self._count:012d}")


class Sent(Struct, frozen=True):
    """One request that left, at virtual time."""

    at_ns: int
    gate: GateName
    task: TaskId
    attempt: int


class Crash(Exception):  # noqa: N818  # what the world does, not an error
    """The process is gone."""


class SimulatedCommitter:
    """Commits to the real store after a virtual latency, or does not."""

    def __init__(self, world: "World", loop: SimulatedLoop) -> None:
        self._world = world
        self._loop = loop

    async def commit(self, batch: Sequence[Append]) -> BatchResult:
        world, rng, faults = self._world, self._world.rng, self._world.faults
        latency = rng.uniform(0.0005, 0.02)
        if rng.random() < faults.slow:
            latency += rng.uniform(0.1, 2)
        await asyncio.sleep(latency * rng.random())
        if world.calm or rng.random() >= faults.refused:
            if not world.calm and rng.random() < faults.unknown:
                if rng.random() < 0.5:
                    world.committed(batch, world.store.commit(batch))
                return Unknown("the connection was lost in COMMIT")
            result = world.store.commit(batch)
            world.committed(batch, result)
            await asyncio.sleep(latency * rng.random())
            return result
        return NotStored("database is locked")


class SimulatedReader:
    """The real reader, answering late."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._reader = world.store.reader()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._reader, name)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            rng = self._world.rng
            await asyncio.sleep(rng.uniform(0, 0.002))
            self._world.strikes.meet_coroutine()
            answer = method(*args, **kwargs)
            await asyncio.sleep(rng.uniform(0, 0.003))
            return answer

        return ask


class SimulatedEndpoint:
    """Answers by the faults of the world, and remembers what arrived."""

    def __init__(self, world: "World", loop: SimulatedLoop) -> None:
        self._world = world
        self._loop = loop

    async def send(self, outbound: Outbound) -> Answer:
        self._world.strikes.meet_coroutine()
        world, rng, faults = self._world, self._world.rng, self._world.faults
        began = self._loop.now_ns
        headers = dict(outbound.headers)
        world.sent_now(outbound.gate, TaskId(headers["TaskMaster-Task"]), began)
        return await self._answer(outbound, rng, faults, began)

    async def _answer(
        self, outbound: Outbound, rng: random.Random, faults: Faults, began: int
    ) -> Answer:
        world = self._world

        def took() -> int:
            return self._loop.now_ns - began

        if not world.calm and world.is_out(self._loop.now_ns):
            await asyncio.sleep(rng.uniform(0, 0.01))
            return Unanswered("refused", took(), "connection refused")
        if not world.calm and rng.random() < faults.endpoint_hangs:
            await asyncio.sleep(outbound.timeout_ns / SECOND)
            return Unanswered("timeout", took(), "no answer in time")
        await asyncio.sleep(rng.uniform(0.005, 0.3))
        world.strikes.meet_coroutine()
        if not world.calm and rng.random() < faults.endpoint_fails:
            return Responded(500, took())
        if not world.calm and rng.random() < faults.endpoint_throttles:
            return Responded(429, took(), retry_after=str(rng.randrange(0, 4)))
        return Responded(200, took(), body=b"ok")

    def is_ready(self, outbound: Outbound) -> bool:
        return self._world.rng.random() < 0.9

    async def prepare(self, outbound: Outbound) -> None:
        await asyncio.sleep(self._world.rng.uniform(0, 0.1))

    async def close(self) -> None:
        pass


class World:
    """The store and what was seen; nodes live and die in it."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.faults = faults if faults is not None else faults_of(seed)
        self.store = SQLiteStore.open(":memory:")
        self.ids = CountedIds()
        self.sent: list[Sent] = []
        self.now_ns = 0
        self.calm = False
        self.step_ns = 0
        self.anchor_ns = EPOCH
        self.lives = 0
        self.crashes_at: list[int] = []
        self.acknowledged: set[TaskId] = set()
        self.checks: list[Any] = []
        self.found: list[Broken] = []
        self.strikes = Strikes(
            self.faults.actor_crashes, random.Random(seed ^ 0xC4A5), lambda: self.calm
        )
        out_from = self.rng.randrange(0, 10) * SECOND
        self._outage = (out_from, out_from + self.faults.outage_ns)

    def is_out(self, now_ns: int) -> bool:
        return self._outage[0] <= now_ns < self._outage[1]

    def sent_now(self, gate: GateName, task: TaskId, at_ns: int) -> None:
        records = self.store.reader().task_events(task)
        starts = [r.event for r in records if isinstance(r.event, AttemptStarted)]
        attempt = starts[-1].attempt if starts else 0
        self.sent.append(Sent(at_ns, gate, task, attempt))
        for check in self.checks:
            self._check(check.sent, self.sent[-1], records)

    def committed(self, batch: Sequence[Append], result: BatchResult) -> None:
        for check in self.checks:
            self._check(check.committed, batch, result)

    def _check(self, check: Callable[..., None], *seen: object) -> None:
        try:
            check(self, *seen)
        except Broken as broken:
            self.break_off(broken)

    def break_off(self, broken: Broken) -> None:
        """End this life: what comes after a broken promise tells nothing."""
        self.found.append(broken)
        asyncio.get_running_loop().stop()

    def _heard(self, incident: Incident) -> None:
        """No fault but a strike makes an actor crash: where one does, it has met a bug."""
        if isinstance(incident, Crashed) and not isinstance(incident.error, Struck):
            what = f"{incident.path} crashed by {incident.message}: {incident.error!r}"
            broken = Broken(what)
            broken.__cause__ = incident.error
            self.break_off(broken)

    def _unheard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Raised by a timer or a coroutine of nobody, which the loop would log."""
        broken = Broken(str(context["message"]))
        broken.__cause__ = context.get("exception")
        self.found.append(broken)
        loop.stop()

    # --- lives --------------------------------------------------------------------------------

    def live(self, script: Any, *, until_ns: int | None = None) -> bool:
        """Run a node on the store while `script(node)` runs; False when it crashed on the way.

        Raises:
            Broken: what a check found, or how an actor crashed, at whatever step.
        """
        self.lives += 1
        loop = SimulatedLoop(self.rng.getrandbits(32))
        loop.now_ns = self.now_ns
        if self.faults.actor_crashes:
            loop.turns = StrikingTurns(loop, loop.rng, self.strikes)
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(self._unheard)
        died: list[str] = []

        def die(why: str) -> None:
            died.append(why)
            loop.stop()

        if until_ns is not None:
            loop.call_later((until_ns - self.now_ns) / SECOND, die, "kill -9")
        task = loop.create_task(self._run(loop, script, die))
        task.add_done_callback(lambda _task: loop.stop())
        try:
            loop.run_forever()
        finally:
            self.now_ns = loop.now_ns
        if self.found:
            _abandon(loop)
            raise self.found[0]
        if died:
            self.crashes_at.append(self.now_ns)
            _abandon(loop)
            return False
        task.result()
        _abandon(loop)
        return True

    async def _run(self, loop: SimulatedLoop, script: Any, die: Any) -> None:
        reader = SimulatedReader(self)
        events = self.store.reader()
        position = events.position()
        last = events.events(after=Position(max(0, position - 1)), limit=1)
        floor = last[0].event.at if last else Wall(0)
        clock = VirtualClock(loop, self.anchor_ns, floor, self.step_ns)
        wall = clock.wall()
        silent_ns = wall - floor if last else 0
        typed_reader: Reader = reader  # pyright: ignore[reportAssignmentType]  # answers by name
        node = Node(
            NodeSettings(
                node=NodeId(f"{self.lives:06d}"),
                boot_id="virtual",
                anchor_ns=self.anchor_ns,
                epoch=Epoch(self.lives),
                pid=self.lives,
                software="simulated",
                silent_ns=max(0, silent_ns),
            ),
            committer=SimulatedCommitter(self, loop),
            reader=typed_reader,
            clock=clock,
            rng=SeededRng(self.rng),
            ids=self.ids,
            sender=SimulatedEndpoint(self, loop),
            fatal=die,
            incident=self._heard,
        )
        self.clock = clock
        await node.start()
        await script(node)


def _abandon(loop: SimulatedLoop) -> None:
    """Drop a loop with all that runs on it, without letting any of it run again."""
    quiet = "_log_destroy_pending"  # asyncio's own switch against words about lost tasks
    for task in asyncio.all_tasks(loop):
        setattr(task, quiet, False)
    for queue in ("_ready", "_scheduled"):
        getattr(loop, queue).clear()
    loop.close()
