"""Whether an endpoint recovers from an outage with a backlog, by what stands before it.

    python -m benchmarks.recovery [--arm ARM] [--rate N] [--kind KIND] [--seeds N] [--quick]
                                  [--draw DIRECTORY] [--path DIRECTORY]

Real processes and sockets: the server on SQLite, an endpoint that is metastable (`metastable.py`),
or `slow`, or `throttling`. In full, 30,000 tasks wait and a run has 900 s, so that all of it takes
an hour; `--quick` is 10,000 and 180 s. `--draw` draws the figures, and keeps there what it found,
so that arms can be run one at a time.
"""

import argparse
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.harness import folder
from benchmarks.recovery.arms import GATED, RIGHT, WRONG, Arm
from benchmarks.recovery.charts import draw
from benchmarks.recovery.endpoint import KINDS
from benchmarks.recovery.measured import FRESH_S, Measured
from benchmarks.recovery.story import Story, live

LOAD_PER_S = 100.0
HEAD = (
    "endpoint",
    "before it",
    "rate/s",
    "seed",
    "drained s",
    "crashes",
    "dead",
    "done twice",
    "unexplained",
    "in flight",
    "attempts/task",
    "keeps up s",
    "fresh too s",
    f"fresh in {FRESH_S} s",
)


class Run(Struct, frozen=True):
    """A story and what it amounted to."""

    story: Story
    measured: Measured

    @property
    def title(self) -> tuple[str, int]:
        return self.story.name, self.story.seed


def main() -> int:
    """0 when every run came to its end."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--arm", choices=("naive", *GATED), help="only this one")
    made.add_argument("--rate", type=int, choices=(RIGHT, WRONG), help="only this rate")
    made.add_argument("--kind", choices=tuple(KINDS), default="metastable")
    made.add_argument("--seeds", type=int, default=1, help="default 1")
    made.add_argument("--quick", action="store_true", help="10,000 tasks instead of 30,000")
    made.add_argument("--draw", type=Path, help="draw the figures there")
    made.add_argument("--path", default=None, help="directory on the disk to use")
    args = made.parse_args()
    runs: list[Run] = []
    with folder(args.path) as place:
        for story in stories(args):
            runs.append(Run(story, live(story, place)))
            print_table(runs[-1:], head=len(runs) == 1)
            if args.draw is not None:
                keep(args.draw, runs[-1])
    return 0


def stories(args: argparse.Namespace) -> list[Story]:
    """What is asked for: every arm at every rate, for each seed."""
    gated: list[tuple[Arm, int]] = [(arm, rate) for arm in GATED for rate in (RIGHT, WRONG)]
    arms: list[tuple[Arm, int]] = [("naive", 0), *gated]
    waiting, outage_s, until_s = (10_000, 40.0, 180.0) if args.quick else (30_000, 120.0, 900.0)
    return [
        Story(args.kind, arm, rate, seed, waiting, LOAD_PER_S, outage_s, until_s)
        for seed in range(1, args.seeds + 1)
        for arm, rate in arms
        if args.arm in {None, arm} and (args.rate in {None, rate} or not rate)
    ]


def keep(directory: Path, run: Run) -> None:
    """Put a run beside the others there, in place of the one before, and draw them."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "runs.json"
    runs = msgspec.json.decode(file.read_bytes(), type=list[Run]) if file.exists() else []
    runs = [
        one for one in runs if (one.story.name, one.story.seed) != (run.story.name, run.story.seed)
    ]
    runs.append(run)
    arms = ("naive", *GATED)
    runs.sort(key=lambda one: (one.story.kind, arms.index(one.story.arm), one.story.rate))
    file.write_bytes(msgspec.json.encode(runs))
    first = {
        one.story.name: one.measured
        for one in runs
        if one.story.kind == "metastable" and one.story.seed == 1
    }
    if first:
        draw(directory, first)


def print_table(runs: list[Run], *, head: bool) -> None:
    widths = [max(len(name), 8) for name in HEAD]
    rows = [HEAD] if head else []
    rows += [cells(run) for run in runs]
    for row in rows:
        line = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(line), flush=True)


def cells(run: Run) -> tuple[str, ...]:
    """A row of the table."""
    story, found = run.story, run.measured
    return (
        story.kind[:8],
        story.arm,
        str(story.rate or ""),
        str(story.seed),
        "never" if found.drained_s is None else f"{found.drained_s:.0f}",
        str(found.crashes),
        f"{found.dead:,}",
        f"{found.done_twice:,}",
        str(found.unexplained),
        f"{found.most_in_flight:,}",
        f"{found.attempts / found.tasks:.2f}",
        "never" if found.keeps_up_s is None else str(found.keeps_up_s),
        "never" if found.fresh_keeps_up_s is None else str(found.fresh_keeps_up_s),
        f"{found.fresh_in_time / found.fresh:.0%}" if found.fresh else "",
    )


if __name__ == "__main__":
    sys.exit(main())
