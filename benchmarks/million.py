"""What a million waiting tasks cost the server: memory, and the time until the first one is sent.

    python -m benchmarks.million [--tasks 1000000] [--gates 10] [--starts 3] [--seconds 10]
        [--path DIRECTORY]

All tasks are due. With paused gates the process is looked at after 5 s of rest; then the gates are
resumed and it is looked at after 10 s of sending. Then it is started anew, gates open, and the
time is from before the process exists to the first arrival at the sink. Memory is what was
resident at most, in MB of a million bytes. The baseline is a log without tasks; for the first
send, one with a single task.
"""

import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import Row, Target, alternate, folder, median, parser, say, table
from benchmarks.processes import Server, Sink
from benchmarks.stored import fill, gates, opened, waiting
from taskmaster.actors.system import wall_ns
from taskmaster.events.types import SECOND, Wall

REST_S = 5
FIRST_SEND_S = 120
MEMORY = Target("at most", 250)
FIRST_SEND = Target("at most", 3)


class AtWork(NamedTuple):
    rest_mb: float
    sending_mb: float
    sent_per_s: float


def main() -> None:
    arguments = parser(__doc__, tasks=1_000_000)
    arguments.add_argument("--gates", type=int, default=10)
    arguments.add_argument("--starts", type=int, default=3, help="of which the median counts")
    arguments.add_argument("--seconds", type=float, default=10, help="of sending")
    args = arguments.parse_args()
    with folder(args.path) as place, Sink(place) as sink:
        path = filled(place / "many.db", sink, args.tasks, args.gates, paused=True)
        many = at_work(place, sink, path, args.gates, args.seconds)
        few = [filled(place / f"{n}.db", sink, 1, 1, paused=False) for n in range(args.starts)]
        ours, base = alternate(
            args.starts,
            lambda: first_send_s(place, sink, path),
            lambda: first_send_s(place, sink, few.pop()),
        )
        empty_path = filled(place / "empty.db", sink, 0, args.gates, paused=True)
        empty = at_work(place, sink, empty_path, args.gates, 0)
    rows = [
        Row("MB at rest", many.rest_mb, empty.rest_mb, MEMORY),
        Row("MB while sending", many.sending_mb, empty.sending_mb, MEMORY),
        Row("s from start to first send", median(ours), median(base), FIRST_SEND),
        Row("sent per s, then", many.sent_per_s),
    ]
    table(f"million: {args.tasks:,} waiting tasks in {args.gates} gates", rows)


def filled(path: Path, sink: Sink, tasks: int, gate_count: int, *, paused: bool) -> Path:
    """A log with tasks that are due."""
    say(f"filling a log with {tasks:,} tasks")
    names = gates(gate_count)
    now = Wall(wall_ns())
    fill(path, (opened(name, paused=paused) for name in names))
    fill(path, (waiting(names[n % gate_count], f"{sink.url}/hook", now) for n in range(tasks)))
    return path


def at_work(place: Path, sink: Sink, path: Path, gate_count: int, seconds: float) -> AtWork:
    """The server's memory before and after its gates are resumed."""
    with Server(place, path) as server:
        time.sleep(REST_S if seconds else REST_S / 5)
        rest_mb = server.peak_mb()
        for name in gates(gate_count):
            server.call("POST", f"/v1/gates/{name}:resume", {})
        sink.take()
        time.sleep(seconds)
        sent = sink.take().arrived
        return AtWork(rest_mb, server.peak_mb(), sent / seconds if seconds else 0)


def first_send_s(place: Path, sink: Sink, path: Path) -> float:
    """From before the process exists to the arrival of its first request."""
    sink.take()
    with Server(place, path) as server:
        deadline = time.monotonic() + FIRST_SEND_S
        while not (first_at := sink.take().first_at):
            assert time.monotonic() < deadline, f"nothing was sent in {FIRST_SEND_S} s"
            time.sleep(0.02)
        return (first_at - server.began_at) / SECOND


if __name__ == "__main__":
    main()
