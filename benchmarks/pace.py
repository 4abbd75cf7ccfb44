"""How much of its rate a gate with a backlog uses, and whether any window holds more than allowed.

    python -m benchmarks.pace [--rates 1,10,50,100,500,1000,2000] [--kill 1000] [--seconds 10]

Each rate has the default burst and a node process of its own; an instant is the monotonic clock at
the call into the client. In every window of length T there may be `burst + rate * T`; all windows
are looked at. For one rate the node is ended by `kill -9` in between, and a new one goes on: there
the windows span both lives. The baseline is a loop that sleeps `1 / rate` between two
sends, on asyncio's own loop: uvloop rounds half a millisecond down to nothing.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import BinaryIO

from benchmarks.harness import Row, Target, folder, parser, say, table
from benchmarks.node import node, run, sender
from benchmarks.processes import ROOT, Sink
from benchmarks.stored import fill, gates, limited, opened, waiting
from taskmaster.actors.system import wall_ns
from taskmaster.delivery.sender import Outbound, Sender
from taskmaster.events.types import SECOND, Limits, Rate, Wall
from taskmaster.model.limits import default_burst
from taskmaster.model.retry import Answer

CONCURRENCY = 512
"""So much that the rate alone limits."""
WHOLE = Target("at least", 99)


class Recording:
    """A sender that writes down when it is called, in a way that survives `kill -9`."""

    def __init__(self, by: Sender, file: BinaryIO) -> None:
        self._by = by
        self._file = file

    async def send(self, outbound: Outbound) -> Answer:
        self._file.write(time.monotonic_ns().to_bytes(8, sys.byteorder))
        return await self._by.send(outbound)

    def is_ready(self, outbound: Outbound) -> bool:
        return self._by.is_ready(outbound)

    async def prepare(self, outbound: Outbound) -> None:
        await self._by.prepare(outbound)

    async def close(self) -> None:
        await self._by.close()


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rates", default="1,10,50,100,500,1000,2000")
    arguments.add_argument("--kill", type=int, default=1_000, help="at this rate")
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.child:
        run(serve(Path(args.child[0]), Path(args.child[1])))
        return
    rows: list[Row] = []
    with folder(args.path) as place, Sink(place) as sink:
        for rate in (int(text) for text in args.rates.split(",")):
            say(f"{rate} per s")
            sent = lives(place, f"{sink.url}/hook", rate, args.seconds, count=1)
            base = asyncio.run(slept_share(rate, args.seconds / 2))
            rows.append(Row(f"{rate:,}/s: % of the rate", share(sent, rate), base, WHOLE))
            rows.append(most(f"{rate:,}/s: most in a window beyond r*T", sent, rate))
        say(f"{args.kill} per s, with kill -9")
        sent = lives(place, f"{sink.url}/hook", args.kill, args.seconds, count=2)
        rows.append(most(f"{args.kill:,}/s, kill -9: most in a window beyond r*T", sent, args.kill))
    table(
        f"pace: gates with a backlog, {args.seconds:g} s each; {len(sent):,} sent around the kill",
        rows,
    )


def lives(place: Path, url: str, rate: int, seconds: float, *, count: int) -> list[int]:
    """When each request was sent by node processes one after the other, each ended by kill -9."""
    path, record = place / f"pace-{rate}-{count}.db", place / f"pace-{rate}-{count}.sent"
    gate = gates(1)[0]
    limits = Limits(CONCURRENCY, (Rate(rate, burst=burst_of(rate)),))
    backlog = int(rate * (seconds + 5) * count) + 10
    now = Wall(wall_ns())
    fill(path, [opened(gate, limited(limits))])
    fill(path, (waiting(gate, url, now) for _ in range(backlog)))
    record.touch()
    command = [sys.executable, "-m", "benchmarks.pace", "--child", str(path), str(record)]
    for _ in range(count):
        before = record.stat().st_size
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            while record.stat().st_size == before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(seconds)
            assert process.poll() is None, "the node ended"
        finally:
            process.kill()
            process.wait()
    return list(array("q", record.read_bytes()))


async def serve(path: Path, record: Path) -> None:
    """The node process: it works until it is killed."""
    with record.open("ab", buffering=0) as file:
        async with node(path, Recording(sender(), file)):
            await asyncio.Event().wait()


def burst_of(rate: int) -> int:
    return default_burst(rate, SECOND)


def share(sent: list[int], rate: int) -> float:
    """How much of the rate was used, in %, after the burst that was there at the start."""
    after = sorted(sent)[burst_of(rate) :]
    return 100 * (len(after) - 1) * SECOND / (after[-1] - after[0]) / rate


def most(what: str, sent: list[int], rate: int) -> Row:
    """The largest count less `rate * T` of all windows of length T, beside the burst.

    A window that begins and ends with a send is the tightest; of those that end at one send, the
    worst began where `count before * SECOND - rate * at` was lowest.
    """
    lowest: int | None = None
    worst = 0
    for index, at in enumerate(sorted(sent)):
        behind = index * SECOND - rate * at
        lowest = behind if lowest is None else min(lowest, behind)
        worst = max(worst, behind - lowest + SECOND)
    burst = burst_of(rate)
    return Row(what, worst / SECOND, burst, Target("at most", burst))


async def slept_share(rate: int, seconds: float) -> float:
    """What a plain loop makes of the rate, in %."""
    began = time.monotonic()
    turns = 0
    while time.monotonic() - began < seconds:
        await asyncio.sleep(1 / rate)
        turns += 1
    return 100 * turns / (time.monotonic() - began) / rate


if __name__ == "__main__":
    main()
