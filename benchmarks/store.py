"""What a commit costs in the SQLite store, beside a bare multi-row INSERT of the same bytes.

    python -m benchmarks.store [--events 20000] [--path DIRECTORY] [--profile]

CPU is this process's, encoding and index included; the ratio is to the bare INSERT in the same
run, so that it can be compared between machines and days.
"""

import argparse
import cProfile
import pstats
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from taskmaster.events.codec import CODEC
from taskmaster.events.log import Append, Write
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.types import (
    MINUTE,
    NEW,
    SECOND,
    AttemptStarted,
    AttemptSucceeded,
    GateName,
    GateOpened,
    GateSettings,
    Mono,
    Request,
    TaskId,
    TaskSubmitted,
    Version,
    Wall,
    gate_stream,
    task_stream,
)

GATES = [GateName(f"https~service-{n}.example.org~443") for n in range(10)]
NOW = Wall(1_800_000_000 * SECOND)
BODY = b'{"instance":"i-0123456789","action":"hibernate","reason":"unused for 14 days"}'
BATCHES = 8
"""The figure is the median of so many stretches, since the machine is shared."""

_ids = count()


def submission() -> tuple[TaskId, Append]:
    n = next(_ids)
    task = TaskId(f"019a{n:08x}-0000-7000-8000-{n:012x}")
    event = TaskSubmitted(
        at=NOW,
        gate=GATES[n % len(GATES)],
        request=Request(
            f"https://service-{n % 10}.example.org/hooks/hibernate",
            headers=(("content-type", "application/json"),),
            body=BODY,
        ),
        due_at=Wall(NOW + n * 30_000_000),
        traceparent=f"00-{n:032x}-{n:016x}-01",
    )
    return task, Append((Write(task_stream(task), NEW, (event,)),))


def start(task: TaskId, n: int) -> Append:
    event = AttemptStarted(
        at=Wall(NOW + n * 100_000),
        gate=_gate_of(task),
        attempt=1,
        slot_at=Mono(NOW + n * 100_000),
        tats=(Mono(NOW + n * 100_000 + SECOND),),
    )
    return Append((Write(task_stream(task), Version(1), (event,)),))


def success(task: TaskId, n: int) -> Append:
    event = AttemptSucceeded(
        at=Wall(NOW + n * 100_000),
        gate=_gate_of(task),
        attempt=1,
        status=200,
        duration_ns=12_345_678,
        response=b'{"ok":true}',
    )
    return Append((Write(task_stream(task), Version(2), (event,)),))


def _gate_of(task: TaskId) -> GateName:
    return GATES[int(task[4:12], 16) % len(GATES)]


def measure(
    name: str, work: Callable[[Sequence[Append]], object], batches: list[list[Append]]
) -> float:
    """Microseconds of CPU an event, the median of stretches."""
    stretches: list[float] = []
    walls: list[float] = []
    per = max(1, len(batches) // BATCHES)
    for first in range(0, len(batches), per):
        stretch = batches[first : first + per]
        events = sum(len(write.events) for batch in stretch for a in batch for write in a.writes)
        cpu, wall = time.process_time(), time.perf_counter()
        for batch in stretch:
            work(batch)
        stretches.append((time.process_time() - cpu) / events * 1e6)
        walls.append((time.perf_counter() - wall) / events * 1e6)
    stretches.sort()
    walls.sort()
    middle = stretches[len(stretches) // 2]
    print(
        f"{name:34} {middle:7.1f} us CPU/event (least {stretches[0]:5.1f})"
        f"  {1e6 / walls[len(walls) // 2]:9.0f} events/s"
    )
    return middle


class Bare:
    """The same rows into the same table, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            """CREATE TABLE stored_events (position INTEGER PRIMARY KEY AUTOINCREMENT,
            originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB,
            shard INTEGER, epoch INTEGER, UNIQUE (originator_id, originator_version))"""
        )

    def prepare(self, batches: list[list[Append]]) -> None:
        self._rows = iter(
            [
                [
                    value
                    for append in batch
                    for write in append.writes
                    for n, event in enumerate(write.events, write.expected + 1)
                    for value in (write.stream, n, *CODEC.encode(event), 0, 1)
                ]
                for batch in batches
            ]
        )

    def insert(self, batch: Sequence[Append]) -> None:
        values = next(self._rows)
        rows = ",".join(["(?,?,?,?,?,?)"] * (len(values) // 6))
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state, shard,"
            f" epoch) VALUES {rows}",
            values,
        )
        self._connection.execute("COMMIT")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000, help="tasks in all")
    parser.add_argument("--path", default=None, help="directory on the disk to measure")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.path) as folder:
        store = SQLiteStore.open(Path(folder) / "log.db")
        bare = Bare(Path(folder) / "bare.db")
        store.commit([Append((Write(gate_stream(gate), NEW, (_opened(),)),)) for gate in GATES])
        run(store, bare, args.events, profile=args.profile)
        reader = store.reader()
        page = _timed(
            lambda: reader.page(
                GATES[0], Wall(NOW + 600 * SECOND), limit=200, aging_ns=MINUTE, max_bytes=4 << 20
            )
        )
        eligible = _timed(lambda: reader.due([GATES[0]], Wall(NOW + 300 * SECOND)))
        snapshot = _timed(lambda: reader.gate_snapshot(GATES[0]))
        print(f"page of 200: {page:.2f} ms; eligible: {eligible:.2f} ms; gate: {snapshot:.2f} ms")
        begun = time.perf_counter()
        assert reader.check_index() == []
        rate = reader.position() / (time.perf_counter() - begun)
        print(f"the index is what the log gives; folded and compared at {rate:.0f} events/s")
        reader.close()
        store.close()
    print(f"resident at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def run(store: SQLiteStore, bare: Bare, tasks: int, *, profile: bool) -> None:
    pairs = [submission() for _ in range(tasks)]
    ids = [task for task, _ in pairs[: tasks // 2]]  # the other half stays waiting
    kinds = [
        ("submissions, 1,000 a batch", _cut([append for _, append in pairs], 1_000)),
        ("starts and successes, 200 a batch", _lifecycles(ids, 200)),
    ]
    for name, batches in kinds:
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        full = measure(name, store.commit, batches)
        profiler.disable()
        bare.prepare(batches)
        base = measure("  bare INSERT of the same bytes", bare.insert, batches)
        print(f"  ratio {full / base:.1f}")
        if profile:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(22)
    single = [submission()[1] for _ in range(300)]
    measure("submissions, 1 a batch", store.commit, [[append] for append in single])


def _cut(appends: list[Append], size: int) -> list[list[Append]]:
    return [appends[n : n + size] for n in range(0, len(appends), size)]


def _lifecycles(ids: list[TaskId], size: int) -> list[list[Append]]:
    """Each batch is half starts, half the successes of the starts before."""
    half = size // 2
    groups = [ids[n : n + half] for n in range(0, len(ids), half)]
    return [
        [success(task, turn) for task in before] + [start(task, turn) for task in now]
        for turn, (before, now) in enumerate(zip([[], *groups], [*groups, []], strict=True))
    ]


def _opened() -> GateOpened:
    return GateOpened(at=NOW, settings=GateSettings(), mono=Mono(0))


def _timed(ask: Callable[[], object]) -> float:
    """Milliseconds, the median of 21."""
    times: list[float] = []
    for _ in range(21):
        begun = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begun) * 1e3)
    return sorted(times)[10]


if __name__ == "__main__":
    main()
