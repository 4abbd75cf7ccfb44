"""How long after its due time a task arrives, at half of the rate at which this machine drains.

    python -m benchmarks.lateness [--rate 0] [--seconds 20] [--gates 10] [--path DIRECTORY]

The real server process, tasks stored beforehand that fall due at random instants; lateness is read
at the sink: the wall clock at arrival less `due_at`. Without `--rate` it is half of what a drain
before it gives. The baseline is how late `call_later` of an idle uvloop wakes up for the same
instants.
"""

import asyncio
import random
import time

import uvloop

from benchmarks.drain import drain
from benchmarks.harness import Row, Target, folder, parser, percentile, say, table
from benchmarks.processes import Server, Sink
from benchmarks.stored import fill, gates, opened, waiting
from taskmaster.actors.system import wall_ns
from taskmaster.events.types import MILLISECOND, SECOND, Wall

FILL_PER_S = 5_000
"""So fast a log is filled on a slow machine; the first task falls due after that."""
START_S = 5
PROBE = 20_000
TARGETS = {0.5: Target("at most", 5), 0.99: Target("at most", 25)}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rate", type=int, default=0, help="tasks per s")
    arguments.add_argument("--seconds", type=int, default=20)
    arguments.add_argument("--gates", type=int, default=10)
    args = arguments.parse_args()
    with folder(args.path) as place, Sink(place) as sink:
        rate = args.rate or int(
            drain(place / "rate.db", f"{sink.url}/hook", PROBE, args.gates).per_s / 2
        )
        say(f"{rate} tasks per s")
        spread = random.Random(1)
        ahead = sorted(spread.randrange(args.seconds * SECOND) for _ in range(rate * args.seconds))
        base = uvloop.run(woken_late(ahead, args.seconds))
        sink.take()

        path = place / "lateness.db"
        names = gates(args.gates)
        first_at = wall_ns() + (START_S + len(ahead) // FILL_PER_S) * SECOND
        dues = [Wall(first_at + each) for each in ahead]
        fill(path, (opened(name) for name in names))
        fill(
            path,
            (waiting(names[n % len(names)], f"{sink.url}/due/{d}", d) for n, d in enumerate(dues)),
        )
        with Server(place, path) as server:
            spare_s = (first_at - wall_ns()) / SECOND
            assert spare_s > 0, f"the server was ready {-spare_s:.1f} s after the first due time"
            say(f"first due in {spare_s:.1f} s")
            cpu = server.cpu_s()
            late_ns = arrived(sink, len(dues), spare_s + args.seconds)
            cpu_us = 1e6 * (server.cpu_s() - cpu) / len(dues)
    rows = [
        Row(f"ms late, {name}", ours / MILLISECOND, bare / MILLISECOND, target)
        for name, ours, bare, target in (
            *((f"p{share * 100:g}", percentile(late_ns, share), percentile(base, share), target)
              for share, target in TARGETS.items()),
            ("most", max(late_ns), max(base), None),
        )
    ]  # fmt: skip
    before = sum(late < 0 for late in late_ns)
    rows.append(Row("arrived before their due time", before, None, Target("at most", 0)))
    rows.append(Row("server's CPU us per task", cpu_us))
    table(f"lateness: {len(late_ns):,} tasks at {rate:,} per s over {args.seconds} s", rows)


def arrived(sink: Sink, count: int, wait_s: float) -> list[int]:
    """How late each was, once all are there."""
    time.sleep(wait_s)
    late_ns: list[int] = []
    deadline = time.monotonic() + 60
    while len(late_ns) < count and time.monotonic() < deadline:
        late_ns += sink.take().late_ns
        time.sleep(0.2)
    assert len(late_ns) == count, f"{len(late_ns)} of {count} arrived"
    return late_ns


async def woken_late(ahead: list[int], seconds: int) -> list[int]:
    """How late a loop with nothing else to do wakes up for each of these instants."""
    loop = asyncio.get_running_loop()
    late_ns: list[int] = []
    start = time.monotonic_ns() + SECOND // 2

    def woken(due: int) -> None:
        late_ns.append(time.monotonic_ns() - due)

    for each in ahead:
        due = start + each
        loop.call_later((due - time.monotonic_ns()) / SECOND, woken, due)
    await asyncio.sleep(seconds + 2)
    return late_ns


if __name__ == "__main__":
    main()
