"""What all limits together cost a task, a parent among them, where none of them ever binds.

    python -m benchmarks.family [--tasks 6000] [--gates 10] [--rounds 5] [--path DIRECTORY]

A node in this process drains stored tasks as in `drain`, in turns: with plain gates, with gates
that are adaptive, fair and have two rates, and with those below one parent that has two rates too.
CPU is this process's, all threads; each ratio is a median of pairs.
"""

import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks.harness import (
    Row,
    Target,
    alternate,
    folder,
    median,
    median_ratio,
    parser,
    table,
)
from benchmarks.node import all_succeeded, node, resume, run
from benchmarks.processes import Sink
from benchmarks.stored import FULL_SPEED, fill, gates, limited, opened, waiting
from taskmaster.actors.system import wall_ns
from taskmaster.events.types import HOUR, SECOND, Adaptive, GateName, Limits, Rate, Wall

HOST = GateName("host")
RATES = (Rate(500_000.0, SECOND, 10_000), Rate(1e9, HOUR, 1_000_000))
TENANTS = 20
PLAIN = FULL_SPEED
LIMITED = replace(limited(Limits(32, RATES)), adaptive=Adaptive(min=32))
BELOW = replace(LIMITED, parent=HOST)
ARMS = {"plain": PLAIN, "limits": LIMITED, "family": BELOW}
MOST = Target("at most", 5)


class Drained(NamedTuple):
    per_s: float
    cpu_us: float


def main() -> None:
    arguments = parser(__doc__, tasks=6_000)
    arguments.add_argument("--gates", type=int, default=10)
    arguments.add_argument("--rounds", type=int, default=5)
    args = arguments.parse_args()
    with folder(args.path) as place, Sink(place) as sink:
        url = f"{sink.url}/hook"
        works = [partial(drain, place, url, args.tasks, args.gates, arm) for arm in ARMS]
        found = dict(zip(ARMS, alternate(args.rounds, *works), strict=True))
    cpu = {arm: [each.cpu_us for each in each_round] for arm, each_round in found.items()}
    rate = {arm: [each.per_s for each in each_round] for arm, each_round in found.items()}

    def more(arm: str, base: str) -> float:
        return 100 * (median_ratio(cpu[arm], cpu[base]) - 1)

    def less(arm: str, base: str) -> float:
        return 100 * (1 - median_ratio(rate[arm], rate[base]))

    table(
        f"family: {args.tasks:,} stored tasks through {args.gates} gates, medians of {args.rounds}",
        [
            Row(
                "CPU us per task, all limits and a parent",
                median(cpu["family"]),
                median(cpu["plain"]),
            ),
            Row("CPU us per task, all limits", median(cpu["limits"]), median(cpu["plain"])),
            Row("% more CPU, all limits and a parent", more("family", "plain"), None, MOST),
            Row("% of that for the parent", more("family", "limits"), None),
            Row("% fewer tasks per s, all and a parent", less("family", "plain"), None, MOST),
            Row("% fewer for the parent", less("family", "limits"), None),
        ],
    )


def drain(place: Path, url: str, tasks: int, gate_count: int, arm: str) -> Drained:
    """Fill a log, then let its gates go."""
    path = place / f"family-{time.monotonic_ns()}.db"
    names, settings = gates(gate_count), ARMS[arm]
    now = Wall(wall_ns())
    fill(path, [opened(HOST, limited(Limits(1_000, RATES)))])
    fill(path, (opened(name, settings, paused=True) for name in names))
    keys = [""] if arm == "plain" else [f"tenant-{n}" for n in range(TENANTS)]
    fill(
        path,
        (
            waiting(names[n % gate_count], url, now, keys[n // gate_count % len(keys)])
            for n in range(tasks)
        ),
    )

    async def measured() -> Drained:
        async with node(path) as on:
            began, cpu = time.perf_counter(), time.process_time()
            await resume(on, names)
            await all_succeeded(on, tasks)
            spent_us = (time.process_time() - cpu) * 1e6
            return Drained(tasks / (time.perf_counter() - began), spent_us / tasks)

    found = run(measured())
    path.unlink()
    return found


if __name__ == "__main__":
    main()
