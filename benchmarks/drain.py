"""How fast stored tasks are sent and recorded by one process, beside the bare client.

    python -m benchmarks.drain [--tasks 20000] [--gates 10] [--rounds 3] [--path DIRECTORY]
        [--store postgresql://...]

The node is in this process, on SQLite with synchronous=FULL; the sink has a process of its own on
the same cores. The baseline is the same client without a node, 64 requests at a time, to the same
sink. With `--store` the same is measured in turn on a database that has no log yet; the one that
is made there is dropped again. CPU is this process's, all threads.
"""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyreqwest.client import ClientBuilder

from benchmarks.harness import Row, Target, alternate, folder, median, median_ratio, parser, table
from benchmarks.node import all_succeeded, node, resume, run
from benchmarks.processes import Sink
from benchmarks.stored import BODY, HEADERS, fill, gates, opened, waiting
from taskmaster.actors.system import wall_ns
from taskmaster.events.postgres_connection import Address
from taskmaster.events.postgres_migrate import inspect
from taskmaster.events.types import Wall

AT_ONCE = 64


class Drained(NamedTuple):
    per_s: float
    cpu_us: float


def main() -> None:
    arguments = parser(__doc__, tasks=20_000)
    arguments.add_argument("--gates", type=int, default=10)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--store", default="")
    args = arguments.parse_args()
    with folder(args.path) as place, Sink(place) as sink:
        url = f"{sink.url}/hook"
        works = [
            partial(drain_file, place, url, args.tasks, args.gates),
            partial(send_bare, url, args.tasks),
        ]
        if args.store:
            works.append(partial(drain_database, args.store, url, args.tasks, args.gates))
        ours, bare, *others = alternate(args.rounds, *works)
    rate, bare_rate = [each.per_s for each in ours], [each.per_s for each in bare]
    cpu, bare_cpu = [each.cpu_us for each in ours], [each.cpu_us for each in bare]
    table(
        f"drain: {args.tasks:,} stored tasks through {args.gates} gates, medians of {args.rounds}",
        [
            Row("tasks sent and recorded per s", median(rate), median(bare_rate), AT_LEAST),
            Row("% of the bare client's rate", 100 * median_ratio(rate, bare_rate), None, SHARE),
            Row("CPU us per task", median(cpu), median(bare_cpu)),
        ],
    )
    for other in others:
        on_database = [each.per_s for each in other]
        table(
            "the same on PostgreSQL, beside SQLite",
            [
                Row("tasks sent and recorded per s", median(on_database), median(rate)),
                Row("% of SQLite's rate", 100 * median_ratio(on_database, rate)),
                Row("CPU us per task", median([each.cpu_us for each in other]), median(cpu)),
            ],
        )


def drain_file(place: Path, url: str, tasks: int, gate_count: int) -> Drained:
    """Drain a new file."""
    path = place / f"drain-{time.monotonic_ns()}.db"
    found = drain(path, url, tasks, gate_count)
    path.unlink()
    return found


def drain_database(store: str, url: str, tasks: int, gate_count: int) -> Drained:
    """Drain a new log in a database, and drop it."""
    address = Address(store)
    assert inspect(store).schema.version == 0, "there is a log already: give an empty database"
    found = drain(store, url, tasks, gate_count)
    with address.connect() as connection:
        connection.execute("DROP SCHEMA taskmaster CASCADE")
    return found


def drain(path: Path | str, url: str, tasks: int, gate_count: int) -> Drained:
    """Fill a log, then let its gates go."""
    names = gates(gate_count)
    now = Wall(wall_ns())
    fill(path, (opened(name, paused=True) for name in names))
    fill(path, (waiting(names[n % gate_count], url, now) for n in range(tasks)))

    async def measured() -> Drained:
        async with node(path) as on:
            began, cpu = time.perf_counter(), time.process_time()
            await resume(on, names)
            await all_succeeded(on, tasks)
            return _drained(tasks, began, cpu)

    return run(measured())


def send_bare(url: str, tasks: int) -> Drained:
    """The same requests with nothing stored and nothing decided."""

    async def measured() -> Drained:
        left = tasks
        headers = dict(HEADERS)
        async with ClientBuilder().build() as client:

            async def caller() -> None:
                nonlocal left
                while left > 0:
                    left -= 1
                    request = client.post(url).headers(headers).body_bytes(BODY)
                    await (await request.build().send()).bytes()

            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
            return _drained(tasks, began, cpu)

    return run(measured())


def _drained(tasks: int, began: float, cpu: float) -> Drained:
    spent_us = (time.process_time() - cpu) * 1e6
    return Drained(tasks / (time.perf_counter() - began), spent_us / tasks)


AT_LEAST = Target("at least", 6_000)
SHARE = Target("at least", 45)

if __name__ == "__main__":
    main()
