"""One seed's story: gates, tasks and series, commands, crashes; then calm, then every check."""

import asyncio
import random
from typing import Any

from msgspec.structs import asdict, replace

from taskmaster.actors.ending import task_of
from taskmaster.actors.gate_stream import folded_gate
from taskmaster.actors.intake import Accepted, Replayed
from taskmaster.actors.messages import GateDone
from taskmaster.actors.node import Node
from taskmaster.events.log import TaskFilter
from taskmaster.events.types import (
    DAY,
    MILLISECOND,
    SECOND,
    Cause,
    Every,
    GateName,
    GateSettings,
    Limits,
    Rate,
    RecoverySettings,
    Request,
    Retry,
    SeriesName,
    SeriesRules,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.control import PauseGate, ReleaseGate, ResumeGate, SetGate
from taskmaster.model.submission import SubmitTask
from taskmaster.model.task_control import CancelTask, RescheduleTask, RunTask
from tests.simulation.checks import Broken, Durability, InOrder, Lifetimes, Windows
from tests.simulation.world import EPOCH, Faults, World

CAUSE = Cause("test", "simulation")
PARENTS = {"host": "site", "slots": "host", "rate": "host", "both": "site"}
GATES = ("site", "host", "slots", "rate", "both")
"""Those above first."""
QUICK = RecoverySettings(tripped_max_ns=2 * SECOND, ramp_step_ns=SECOND)


def settings_of(rng: random.Random) -> dict[str, GateSettings]:
    """Gates with limits from the seed, three of them below a host and its site in most."""
    burst = rng.choice((1, 2, 5))
    chosen = {
        "site": GateSettings(
            limits=Limits(
                concurrency=rng.choice((4, 8, 64)),
                rates=rng.choice(((), (Rate(30.0, SECOND, 4),), (Rate(100.0, 10 * SECOND, 9),))),
            ),
            recovery=QUICK,
        ),
        "host": GateSettings(
            limits=Limits(
                concurrency=rng.choice((1, 3, 64)),
                rates=rng.choice(((), (Rate(rng.choice((3.0, 15.0)), SECOND, burst),))),
            ),
            recovery=QUICK,
        ),
        "slots": GateSettings(limits=Limits(concurrency=rng.choice((1, 3, 8))), recovery=QUICK),
        "rate": GateSettings(
            limits=Limits(
                concurrency=64, rates=(Rate(rng.choice((2.0, 10.0, 40.0)), SECOND, burst),)
            ),
            recovery=QUICK,
        ),
        "both": GateSettings(
            limits=Limits(
                concurrency=rng.choice((2, 6)),
                rates=(Rate(20.0, SECOND, burst), Rate(60.0, 10 * SECOND, 10)),
            ),
            recovery=QUICK,
        ),
    }
    for name, parent in PARENTS.items():
        if rng.random() < 0.8:
            chosen[name] = replace(chosen[name], parent=GateName(parent))
    return chosen


def run_seed(seed: int, faults: Faults | None = None, *, tasks: int = 24) -> World:
    """Run one seed to its end; raises `Broken` when a promise is."""
    world = World(seed, faults)
    world.checks = [Durability(), Windows(), Lifetimes(), InOrder()]
    rng = random.Random(seed ^ 0xBEEF)
    settings = settings_of(rng)
    plan = _Plan(world, rng, settings, tasks)
    for _ in range(50):
        until = None
        if world.faults.crash_every_ns and len(world.crashes_at) < 6:
            until = world.now_ns + int(rng.expovariate(1) * world.faults.crash_every_ns) + 1
        if rng.random() < 0.5 and world.faults.clock_steps:
            world.step_ns += rng.choice((-5, -1, 1, 90)) * SECOND
        if world.live(plan.live, until_ns=until) and plan.finished:
            break
    else:
        raise Broken("50 lives were not enough")
    check_replay(world)
    return world


class _Plan:
    def __init__(
        self, world: World, rng: random.Random, settings: dict[str, GateSettings], tasks: int
    ) -> None:
        self.world = world
        self.rng = rng
        self.settings = settings
        self.left = tasks
        self.made: set[str] = set()
        self.finished = False

    async def live(self, node: Node) -> None:
        """Submit and command in bursts, then wait until all has ended in calm."""
        world, rng = self.world, self.rng
        await self._make_gates(node)
        if "series" not in self.made:
            await self._create_series(node)
        while self.left > 0:
            await self._submit(node, min(self.left, rng.randrange(1, 9)))
            await self._command(node)
            await asyncio.sleep(rng.expovariate(2))
        world.calm = True
        await self._make_gates(node)
        for name in GATES:
            await self._resume(node, GateName(name))
        loop: Any = asyncio.get_running_loop()
        deadline = loop.now_ns + 600 * SECOND
        while open_tasks(world):
            if loop.now_ns > deadline:
                raise Broken(f"still open after 600 s of calm: {open_tasks(world)[:5]}")
            await asyncio.sleep(0.25)
            check_live(world, node)
        await asyncio.sleep(1)
        for name in GATES:
            while not _is_at_rest(node, GateName(name)):
                if loop.now_ns > deadline:
                    raise Broken(f"gate {name} has attempts open that are nowhere")
                await asyncio.sleep(0.05)
            check_live(world, node)
        self.finished = True

    async def _make_gates(self, node: Node) -> None:
        for name in GATES:
            if name not in self.made:
                done = await node.intake.gate_command(
                    GateName(name), SetGate(self.settings[name], CAUSE)
                )
                if hasattr(done, "gate"):
                    self.made.add(name)

    async def _resume(self, node: Node, name: GateName) -> None:
        """Whatever it met before the calm, also a quarantine."""
        while not isinstance(await node.intake.gate_command(name, ResumeGate(CAUSE)), GateDone):
            await node.intake.gate_command(name, ReleaseGate(CAUSE))
            await asyncio.sleep(0.1)

    async def _create_series(self, node: Node) -> None:
        template = TaskSubmitted(
            at=Wall(0), gate=GateName("slots"), request=Request("http://x/s"), due_at=Wall(0)
        )
        rules = SeriesRules(
            gate=GateName("slots"),
            schedule=Every(self.rng.randrange(1, 4) * SECOND),
            template=template,
            catch_up=self.rng.choice(("one", "none", "all")),
        )
        made = await node.intake.create_series(SeriesName("s"), rules, CAUSE, None)
        if hasattr(made, "rules") or getattr(made, "code", "") == "conflict":
            self.made.add("series")

    async def _submit(self, node: Node, count: int) -> None:
        rng = self.rng
        commands = [
            SubmitTask(
                gate=GateName(rng.choice(GATES)),
                request=Request("http://x/t", method=rng.choice(("POST", "GET"))),
                delay_ns=rng.choice((0, 0, 0, 300, 2_500)) * MILLISECOND,
                retry=Retry(
                    max_attempts=rng.choice((1, 3, 8)),
                    min_backoff_ns=100 * MILLISECOND,
                    max_backoff_ns=2 * SECOND,
                    max_elapsed_ns=DAY,
                ),
                timeout_ns=2 * SECOND,
                expires_at=Wall(EPOCH + self.world.now_ns + 400 * SECOND)
                if rng.random() < 0.1
                else None,
                idempotent=rng.random() < 0.8,
                priority=rng.choice((0, 0, 0, 5, 9)),
                fair_key=rng.choice(("", "", "x", "y")),
                order_key=rng.choice(("", "", "", "k")),
                key=f"key-{rng.randrange(1_000)}" if rng.random() < 0.2 else "",
            )
            for _ in range(count)
        ]
        self.left -= count
        for answer in await node.intake.submit(commands, CAUSE):
            if isinstance(answer, Accepted | Replayed):
                self.world.acknowledged.add(answer.task_id)

    async def _command(self, node: Node) -> None:
        rng = self.rng
        roll = rng.random()
        if roll < 0.1:
            await node.intake.gate_command(GateName(rng.choice(GATES)), PauseGate(CAUSE))
        elif roll < 0.3:
            await node.intake.gate_command(GateName(rng.choice(GATES)), ResumeGate(CAUSE))
        elif roll < 0.6 and self.world.acknowledged:
            task = rng.choice(sorted(self.world.acknowledged))
            now = node.ports.clock.wall()
            command: Any = rng.choice(
                (
                    CancelTask(CAUSE),
                    RunTask(CAUSE),
                    RescheduleTask(Wall(now + rng.randrange(0, 3) * SECOND), CAUSE),
                )
            )
            async with asyncio.timeout(60):
                await node.intake.task_command(task, command)


def open_tasks(world: World) -> list[str]:
    """Acknowledged tasks that have not ended, are not held as uncertain, and do not wait behind
    one of their order key that is."""
    reader = world.store.reader()
    rows = reader.task_rows(TaskFilter(states=("waiting", "in_flight", "uncertain")), limit=1_000)
    held_keys = {(row.gate, row.order_key) for row in rows if row.state == "uncertain"}
    return [
        row.task
        for row in rows
        if row.series is None
        and row.state != "uncertain"
        and not (row.order_key and (row.gate, row.order_key) in held_keys)
    ]


def _is_at_rest(node: Node, name: GateName) -> bool:
    actor, family = node.gates.live(name), node.ports.families.get(name)
    if actor is None or actor.gate is None:
        return True  # it has no live state
    if family is not None and family.in_flight:
        return False
    return not actor.gate.in_flight and actor.is_settled


def check_live(world: World, node: Node) -> None:
    """Live state equals the fold, for every gate with a living actor at rest (conformance row 56:
    also after its actor has crashed)."""
    for name in GATES:
        actor = node.gates.live(GateName(name))
        if actor is None or actor.gate is None or not _is_at_rest(node, GateName(name)):
            continue
        snapshot = world.store.reader().gate_snapshot(GateName(name))
        live, fold = asdict(actor.gate), asdict(folded_gate(snapshot, GateName(name)))
        different = {
            field: (live[field], fold[field]) for field in live if live[field] != fold[field]
        }
        if different:
            raise Broken(f"gate {name}: live and fold differ in {different}")


def check_replay(world: World) -> None:
    """The index equals its rebuild, every acknowledged task is there and has ended."""
    reader = world.store.reader()
    differences = reader.check_index()
    if differences:
        raise Broken(f"index differs from its rebuild: {differences[:3]}")
    for task_id in world.acknowledged:
        task = task_of(task_id, reader.task_events(task_id))
        if task is None:
            raise Broken(f"{task_id} was acknowledged and is not in the log")
        row = reader.task_row(task_id)
        if row is None or (row.state, row.version, row.attempts) != (
            task.state,
            task.version,
            task.sends,
        ):
            raise Broken(f"row {row} and fold {task} differ")
