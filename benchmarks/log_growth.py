"""Whether one task costs more when the log has grown.

    python -m benchmarks.log_growth [--sizes 10000,100000,1000000] [--tasks 2000] [--rounds 5]

A log of each size is made of tasks that have ended; then, in turns, a node in this process takes,
sends and records `--tasks` more on each. CPU is this process's, all threads, from submission to
the last record. The baseline is the smallest log.
"""

import time
from functools import partial
from pathlib import Path

from benchmarks.harness import (
    Row,
    Target,
    alternate,
    folder,
    median,
    median_ratio,
    parser,
    say,
    table,
)
from benchmarks.node import BENCH, all_succeeded, node, run
from benchmarks.processes import Sink
from benchmarks.stored import BODY, HEADERS, fill, finished, gates, opened
from taskmaster.events.types import Request
from taskmaster.model.submission import SubmitTask

GATES = 10
AT_ONCE = 500
EVENTS_OF_A_TASK = 3


def main() -> None:
    arguments = parser(__doc__, tasks=2_000)
    arguments.add_argument("--sizes", default="10000,100000,1000000", help="events")
    arguments.add_argument("--rounds", type=int, default=5)
    args = arguments.parse_args()
    sizes = [int(text) for text in args.sizes.split(",")]
    names = gates(GATES)
    with folder(args.path) as place, Sink(place) as sink:
        url = f"{sink.url}/hook"
        for size in sizes:
            say(f"filling a log of {size:,} events")
            path = place / f"{size}.db"
            tasks = size // EVENTS_OF_A_TASK
            fill(path, (opened(name) for name in names))
            fill(path, (finished(names[n % GATES], url) for n in range(tasks)))
        works = [partial(cost_us, place / f"{size}.db", url, args.tasks) for size in sizes]
        costs = alternate(args.rounds, *works)
    base = costs[0]
    rows = [Row(f"CPU us per task, {sizes[0]:,} events", median(base))]
    for size, cost in zip(sizes[1:], costs[1:], strict=True):
        rows.append(Row(f"CPU us per task, {size:,} events", median(cost), median(base)))
        grown = 100 * (median_ratio(cost, base) - 1)
        rows.append(Row("  % more than the smallest, median of pairs", grown, None, FLAT))
    table(f"log_growth: {args.tasks:,} tasks a turn, medians of {args.rounds}", rows)


def cost_us(path: Path, url: str, tasks: int) -> float:
    """What one more task costs on this log."""
    names = gates(GATES)
    request = Request(url, headers=HEADERS, body=BODY)

    async def measured() -> float:
        async with node(path) as on:
            rows = await on.ports.reader.gate_rows()
            before = sum(row.counts.get("succeeded", 0) for row in rows)
            began = time.process_time()
            for first in range(0, tasks, AT_ONCE):
                some = range(first, min(first + AT_ONCE, tasks))
                wishes = [SubmitTask(gate=names[n % GATES], request=request) for n in some]
                await on.intake.submit(wishes, BENCH)
            await all_succeeded(on, before + tasks)
            return (time.process_time() - began) / tasks * 1e6

    return run(measured())


FLAT = Target("at most", 25)

if __name__ == "__main__":
    main()
