"""What gates that have nothing to do cost the server, in CPU and memory.

    python -m benchmarks.idle_gates [--gates 10000] [--seconds 20] [--path DIRECTORY]

Each gate has one task that is due tomorrow, so that each has something to wait for. CPU is that of
the server process over the seconds, as a share of one core. The baseline is a server without gates,
over the same seconds, beside it.
"""

import time

from benchmarks.harness import Row, Target, folder, parser, say, table
from benchmarks.processes import Server
from benchmarks.stored import fill, gates, opened, waiting
from taskmaster.actors.system import wall_ns
from taskmaster.events.types import DAY, Wall

SETTLE_S = 3
SHARE = Target("at most", 2)
URL = "http://127.0.0.1:9/hook"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--gates", type=int, default=10_000)
    arguments.add_argument("--seconds", type=float, default=20)
    args = arguments.parse_args()
    names = gates(args.gates)
    tomorrow = Wall(wall_ns() + DAY)
    with folder(args.path) as place:
        path = place / "idle.db"
        say(f"filling a log with {args.gates:,} gates")
        fill(path, (opened(name) for name in names))
        fill(path, (waiting(name, URL, tomorrow) for name in names))
        with Server(place, path) as server, Server(place, place / "empty.db") as empty:
            time.sleep(SETTLE_S)
            say(f"looking for {args.seconds:g} s")
            both = (server, empty)
            before = [each.cpu_s() for each in both]
            time.sleep(args.seconds)
            ours, base = (
                100 * (each.cpu_s() - spent) / args.seconds
                for each, spent in zip(both, before, strict=True)
            )
            memory, base_memory = (each.memory_mb() for each in both)
    rows = [
        Row("% of a core", ours, base, SHARE),
        Row("MB resident", memory, base_memory),
    ]
    table(f"idle_gates: {args.gates:,} gates over {args.seconds:g} s", rows)


if __name__ == "__main__":
    main()
