"""What it costs to share a gate between many tenants, beside having one.

    python -m benchmarks.fairness [--tasks 100000] [--keys 10000] [--starts 2000] [--rounds 5]

The store and the gate's memory, without a node: in turns, on logs that differ in their fair keys
alone, the next tasks are decided and their starts committed, 100 a commit. A decision is its part
of the pages that are read and folded, and of choosing; the index pays at the commit. The baseline
is a log with one key; one without any shows what keys cost where nobody shares.
"""

import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

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
from benchmarks.stored import fill, gates, opened, waiting
from taskmaster.actors.backlog import Backlog
from taskmaster.actors.page import PAGE_BYTES, PAGE_TASKS, take_page
from taskmaster.actors.system import wall_ns
from taskmaster.events.log import Append, Committed, Write
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.sqlite_read import SQLiteReader
from taskmaster.events.types import (
    MINUTE,
    SECOND,
    AttemptStarted,
    Mono,
    TaskId,
    Version,
    Wall,
    task_stream,
)
from taskmaster.model.sharing import Order

(GATE,) = gates(1)
COMMIT_TASKS = 100
AS_ONE = Target("at most", 25)


class Cost(NamedTuple):
    decision_us: float
    commit_us: float


def main() -> None:
    arguments = parser(__doc__, tasks=100_000)
    arguments.add_argument("--keys", type=int, default=10_000)
    arguments.add_argument("--starts", type=int, default=2_000, help="a round")
    arguments.add_argument("--rounds", type=int, default=5)
    args = arguments.parse_args()
    with folder(args.path) as place:
        counts = (args.keys, 1, 0)
        for keys in counts:
            filled(place / f"{keys}.db", args.tasks, keys)
        works = [partial(cost, place / f"{keys}.db", args.starts) for keys in counts]
        many, one, none = alternate(args.rounds, *works)
    decisions = [[cost.decision_us for cost in costs] for costs in (many, one, none)]
    commits = [[cost.commit_us for cost in costs] for costs in (many, one, none)]
    more = 100 * (median_ratio(decisions[0], decisions[1]) - 1)
    rows = [
        Row(f"us per decision, {args.keys:,} keys", median(decisions[0]), median(decisions[1])),
        Row("  % more than with one, median of pairs", more, None, AS_ONE),
        Row("us per decision, no key", median(decisions[2]), median(decisions[1])),
        Row(f"us per start committed, {args.keys:,} keys", median(commits[0]), median(commits[1])),
        Row("us per start committed, no key", median(commits[2]), median(commits[1])),
    ]
    table(f"fairness: {args.tasks:,} waiting tasks, medians of {args.rounds}", rows)


def filled(path: Path, tasks: int, keys: int) -> None:
    """A log with tasks that are all due."""
    say(f"filling a log with {tasks:,} tasks of {keys:,} keys")
    now = Wall(wall_ns())
    fill(path, [opened(GATE)])
    names = [f"tenant-{n:06}" for n in range(keys)] or [""]
    fill(path, (waiting(GATE, "http://x/", now, names[n % len(names)]) for n in range(tasks)))


def cost(path: Path, starts: int) -> Cost:
    """What a decision and the commit of its start took, the page of each reading included."""
    deciding = committing = 0
    with SQLiteStore.open(path) as store, store.reader() as reader:
        backlog, now = Backlog(Order(MINUTE)), Wall(wall_ns() + SECOND)
        for _ in range(0, starts, COMMIT_TASKS):
            begun = time.perf_counter_ns()
            chosen: list[TaskId] = []
            while len(chosen) < COMMIT_TASKS:
                chosen.append(_next(backlog, reader, now, chosen))
            decided = time.perf_counter_ns()
            results = store.commit([_start(task, now) for task in chosen])
            assert isinstance(results, list)
            assert all(isinstance(result, Committed) for result in results)
            deciding += decided - begun
            committing += time.perf_counter_ns() - decided
    done = -(-starts // COMMIT_TASKS) * COMMIT_TASKS
    return Cost(deciding / done / 1e3, committing / done / 1e3)


def _next(backlog: Backlog, reader: SQLiteReader, now: Wall, away: list[TaskId]) -> TaskId:
    if backlog.needs_page(now):
        split = backlog.begin_read(away)
        page = reader.page(
            GATE,
            now,
            limit=PAGE_TASKS + len(away),
            aging_ns=MINUTE,
            max_bytes=PAGE_BYTES,
            split=split,
        )
        take_page(backlog, page, now, 0)
    best = backlog.peek(now)
    assert best is not None, "more starts than tasks"
    backlog.pop(best)
    return best.task.id


def _start(task: TaskId, now: Wall) -> Append:
    started = AttemptStarted(at=now, gate=GATE, attempt=1, slot_at=Mono(now))
    return Append((Write(task_stream(task), Version(1), (started,)),))


if __name__ == "__main__":
    main()
