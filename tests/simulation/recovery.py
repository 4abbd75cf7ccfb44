"""Endpoints of every kind come back to a backlog.

    python -m tests.simulation.recovery [FIRST LAST]

Without seeds: the endpoint of `python -m benchmarks.recovery` before every gate, in virtual time.
With seeds: another endpoint for each, the last one included; it says what was worst of all.
"""

import gc
import sys
import time
from collections.abc import Sequence
from math import exp, inf, log
from random import Random

from msgspec import Struct

from benchmarks.recovery.arms import GATED, RIGHT, WRONG, Arm
from benchmarks.recovery.metastable import METASTABLE, Character
from tests.simulation.checks import Broken
from tests.simulation.returning import Story, Told, run

ROUNDING = 1e-6
Case = tuple[Arm, bool]
MAY_NOT_CRASH: tuple[Case, ...] = (("ramped", True), ("adaptive", True), ("adaptive", False))
"""The arms that are held to it: with the right rate, or a wrong one."""


def varied(seed: int, arm: Arm, *, right: bool) -> Story:
    """Small endpoints, so that many can be tried: 10 to 120 requests a second."""
    rng = Random(seed * 6_007)
    slots = rng.randrange(4, 13)
    service_s = exp(rng.uniform(log(0.1), log(0.4)))
    per_s = slots / service_s
    character = Character(
        slots=slots,
        service_s=service_s,
        jitter=rng.choice((1, 2, 4, 16)),
        knee=max(2, round(slots * rng.uniform(1.5, 3))),
        queue=round(slots * rng.uniform(20, 60)),
        crashes_at=round(slots * rng.uniform(8, 20)),
        away_s=rng.uniform(3, 20),
        cold_share=rng.uniform(0.3, 0.6),
        warm_after=round(per_s * rng.uniform(2, 10)),
    )
    return Story(
        arm=arm,
        rate=max(1, round(per_s * (RIGHT if right else WRONG) / METASTABLE.per_s)),
        seed=seed,
        character=character,
        waiting=round(per_s * 10),
        load_per_s=per_s * 0.3,
        outage_s=rng.uniform(5, 30),
        until_s=600,
    )


def shortest_s(story: Story) -> float:
    """In what time the backlog can be drained at best."""
    spare = min(story.rate, story.character.per_s) - story.load_per_s
    return story.waiting / spare


def took_s(told: Told) -> float:
    """The time from the first success on."""
    found = told.measured
    if found.drained_s is None or found.first_success_s is None:
        return inf
    return found.drained_s - found.first_success_s


def check(story: Story, told: Told, *, may_crash: bool) -> None:
    """Raise `Broken` for what must hold of every endpoint."""
    found = told.measured
    faults = {
        f"{told.above_limit:.3f} starts above the rate": told.above_limit > ROUNDING,
        f"{told.most_open} open of {story.settings.limits.concurrency}": (
            told.most_open > story.settings.limits.concurrency
        ),
        f"{found.open} of {found.tasks} tasks have not ended": found.open > 0,
        "the backlog was never gone": found.drained_s is None,
        f"{found.unexplained} tasks sent again without a reason": found.unexplained > 0,
        f"it crashed {found.crashes} times": found.crashes > 0 and not may_crash,
    }
    for words, is_so in faults.items():
        if is_so:
            raise Broken(f"seed {story.seed}, {story.arm} at {story.rate}/s: {words}")


class Worst(Struct):
    """The worst of many, each with the seed that it came from."""

    crashes: tuple[int, int] = (0, 0)
    dead: tuple[int, int] = (0, 0)
    late_s: tuple[float, int] = (0.0, 0)
    """Beyond the shortest time in which it can be drained."""
    most_in_flight: tuple[float, int] = (0.0, 0)
    """As a multiple of the endpoint's knee."""

    def note(self, story: Story, told: Told) -> None:
        found, seed = told.measured, story.seed
        self.crashes = max(self.crashes, (found.crashes, seed))
        self.dead = max(self.dead, (found.dead, seed))
        self.late_s = max(self.late_s, (took_s(told) - shortest_s(story), seed))
        knees = found.most_in_flight / story.character.knee
        self.most_in_flight = max(self.most_in_flight, (knees, seed))

    def __str__(self) -> str:
        return (
            f"crashes {self.crashes[0]} (seed {self.crashes[1]}),"
            f" dead letters {self.dead[0]} ({self.dead[1]}),"
            f" drained {self.late_s[0]:.0f} s later than at best ({self.late_s[1]}),"
            f" in flight {self.most_in_flight[0]:.1f} times the knee ({self.most_in_flight[1]})"
        )


def run_seeds(seeds: Sequence[int]) -> int:
    """Run them before every gate that is held to it; 1 when a promise was broken."""
    worst = {case: Worst() for case in MAY_NOT_CRASH}
    broken: list[str] = []
    began = shown = time.monotonic()
    for number, seed in enumerate(seeds, 1):
        for case in MAY_NOT_CRASH:
            story = varied(seed, case[0], right=case[1])
            told = run(story)
            worst[case].note(story, told)
            try:
                check(story, told, may_crash=False)
            except Broken as found:
                print(f"{found}; repeat: python -m tests.simulation.recovery {seed} {seed}")
                broken.append(str(found))
        now = time.monotonic()
        if now - shown > 5 or number == len(seeds):
            shown = now
            print(f"{number} of {len(seeds)} seeds, {len(broken)} broken", flush=True)
    for (arm, right), each in worst.items():
        print(f"{arm}, {'right' if right else 'wrong'} rate: at worst {each}")
    print(f"{(time.monotonic() - began) / len(seeds):.1f} s a seed")
    return 1 if broken else 0


def print_table() -> int:
    """Every gate at both rates before the benchmark's endpoint."""
    print(
        f"{'gate':9}{'rate/s':>7}{'drained s':>11}{'times':>7}{'crashes':>9}{'dead':>7}"
        f"{'done twice':>12}{'in flight':>11}{'keeps up s':>12}"
        f"{'fresh too s':>13}{'fresh in 60 s':>15}"
    )
    for arm in GATED:
        for rate in (RIGHT, WRONG):
            story = Story(arm, rate)
            told = run(story)
            found = told.measured
            drained = "never" if found.drained_s is None else f"{found.drained_s:.0f}"
            times = took_s(told) / shortest_s(story)
            fresh = f"{found.fresh_in_time / max(1, found.fresh):.0%}"
            print(
                f"{arm:9}{rate:7}{drained:>11}{times:7.2f}{found.crashes:9}"
                f"{found.dead:7}{found.done_twice:12}{found.most_in_flight:11}"
                f"{found.keeps_up_s!s:>12}{found.fresh_keeps_up_s!s:>13}{fresh:>15}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 100)
    if len(sys.argv) == 1:
        sys.exit(print_table())
    if len(sys.argv) != 3 or not all(text.isdecimal() for text in sys.argv[1:]):
        sys.exit("usage: python -m tests.simulation.recovery [FIRST LAST]")
    sys.exit(run_seeds(range(int(sys.argv[1]), int(sys.argv[2]) + 1)))
