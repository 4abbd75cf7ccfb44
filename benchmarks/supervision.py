"""What supervision costs: many dynamic children against bare actors, and a restart.

    python -m benchmarks.supervision [--children 100000] [--rounds 3]

A bare actor is one that nobody supervises: started, told to stop, waited for. A supervised one is
started by `start_dynamic` and stopped with its supervisor, all at once. Both on one loop of the
server's kind and with its collections, in turns, in CPU time: what else the machine does is left
out. The cost is the difference, for a start and a stop together.
"""

import asyncio
import gc
import time
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from pykka import ActorRef

from benchmarks.harness import Row, Target, alternate, median, parser, table
from benchmarks.node import run
from taskmaster.actors.gates import GatesActor, Unit
from taskmaster.actors.line import GateLine
from taskmaster.actors.node import Node
from taskmaster.actors.supervisor import Supervisor as TreeSupervisor
from taskmaster.actors.tree import places
from taskmaster.supervision import ChildSpec, LoopActor, Ok, Supervisor, World, stop, tell
from taskmaster.supervision.refs import ended, tell_to_stop
from taskmaster.views.tree import places_of

BEYOND = Target("at most", 20)
RESTART = Target("at most", 1_000)
LINEAR = Target("at most", 1.5)
TREE = Target("at most", 1.0)
RESTARTS = 200
US = 1_000_000


class Idle(LoopActor):
    """Ends when it is told to crash."""

    def on_receive(self, message: object) -> None:
        raise ValueError(message)


class Cost(NamedTuple):
    """Microseconds for each child."""

    start: float
    stop: float

    @property
    def both(self) -> float:
        return self.start + self.stop


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--children", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=3)
    args = arguments.parse_args()
    many, few = args.children, max(1, args.children // 10)
    bare, supervised, small, restarts = alternate(
        args.rounds,
        lambda: run(_bare(many)),
        lambda: run(_supervised(many)),
        lambda: run(_supervised(few)),
        lambda: Cost(run(_restart(many)), 0),
    )
    base = median([cost.both for cost in bare])
    ours = median([cost.both for cost in supervised])
    less = median([cost.both for cost in small])
    rows = [
        Row("us to start, each", *_medians("start", supervised, bare)),
        Row("us to stop, each", *_medians("stop", supervised, bare)),
        Row("us start and stop, each", ours, base),
        Row("us beyond the bare actor", ours - base, None, BEYOND),
        Row(f"{many:,} against {few:,}, each", ours / less, None, LINEAR),
        Row(f"us for a restart among {many:,}", median([c.start for c in restarts]), None, RESTART),
        Row(f"s to list a tree of {many:,}", run(_tree(many)), None, TREE),
    ]
    table(f"supervision: {many:,} dynamic children", rows)


def _medians(part: str, ours: list[Cost], base: list[Cost]) -> tuple[float, float]:
    return median([getattr(c, part) for c in ours]), median([getattr(c, part) for c in base])


async def _bare(number: int) -> Cost:
    gc.collect()
    began = time.process_time()
    refs = [Idle.start() for _ in range(number)]
    started_at = time.process_time()
    for ref in refs:
        tell_to_stop(ref)
    await ended(refs)
    return Cost(
        (started_at - began) / number * US, (time.process_time() - started_at) / number * US
    )


async def _supervised(number: int) -> Cost:
    gc.collect()
    supervisor = _supervisor()
    began = time.process_time()
    for _ in range(number):
        await supervisor.start_dynamic()
    started_at = time.process_time()
    await stop(supervisor.actor_ref)
    return Cost(
        (started_at - began) / number * US, (time.process_time() - started_at) / number * US
    )


async def _restart(number: int) -> float:
    """From the crash to the next incarnation, one after the other among many."""
    supervisor = _supervisor()
    refs: list[ActorRef[Any]] = []
    for _ in range(number):
        made = await supervisor.start_dynamic()
        assert isinstance(made, Ok)
        refs.append(made.child)
    began = time.process_time()
    for ref in refs[:: max(1, number // RESTARTS)]:
        tell(ref, "crash")
        while supervisor.kept.of_pid(ref) is not None:  # noqa: ASYNC110  # turns are what it costs
            await asyncio.sleep(0)
    took = time.process_time() - began
    counts = await supervisor.count_children()
    assert counts.active == number
    await stop(supervisor.actor_ref)
    return took / len(refs[:: max(1, number // RESTARTS)]) * US


async def _tree(number: int) -> float:
    """All places of as many actors under gates, in turns, as the API lists them."""
    alone = SimpleNamespace(held=(), get=lambda _gate: None)
    gates = SimpleNamespace(units={}, quarantine=alone)
    for index in range(number // 3):
        specs = (ChildSpec("tasks", Idle.start), ChildSpec("gate", Idle.start))
        unit = Unit(
            cast("GateLine", SimpleNamespace(tasks=None)),
            TreeSupervisor(
                f"gates/{index}", specs, mono_ns=time.monotonic_ns, listener=lambda _incident: None
            ),
        )
        unit.supervisor.launch()
        gates.units[str(index)] = unit
    root = TreeSupervisor("node", (), mono_ns=time.monotonic_ns, listener=lambda _incident: None)
    root.launch()
    node = SimpleNamespace(tree=lambda: places(root, cast("GatesActor", gates)))
    began = time.process_time()
    found = [place async for place in places_of(cast("Node", node))]
    found.sort(key=lambda place: place.path)
    assert len(found) >= number - 3
    return time.process_time() - began


def _supervisor() -> Supervisor:
    supervisor = Supervisor(
        [ChildSpec("child", Idle.start)],
        world=World(mono_ns=time.monotonic_ns),
        strategy="simple_one_for_one",
        intensity=10**6,
    )
    supervisor.launch()
    return supervisor


if __name__ == "__main__":
    main()
