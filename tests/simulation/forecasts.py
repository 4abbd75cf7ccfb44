"""Forecasts of when a gate is empty, against what then happens, on a node in virtual time.

    python -m tests.simulation.forecasts [FIRST LAST]

Each seed draws limits, an endpoint, a backlog, load beside it and perhaps an outage. A forecast is
made every ten seconds while there is a backlog; its error is a share of the time that was left.
"""

import asyncio
import sys
from collections.abc import Sequence
from random import Random
from statistics import median

from msgspec import Struct

from taskmaster.actors.node import Node
from taskmaster.delivery.sender import Outbound
from taskmaster.events.types import SECOND, GateSettings, Limits, Rate, RecoverySettings, Retry
from taskmaster.model.retry import Answer, Responded
from taskmaster.views.forecasts import make
from taskmaster.views.gates import view_gate
from taskmaster.views.histories import Histories
from tests.unit.actors.nodes import Endpoint, World, open_gate, submit
from tests.unit.model.builders import NAME

FIRST_S = 15.0
EVERY_S = 10.0
LEAST_LEFT_S = 5.0
"""A backlog that is all but gone needs no forecast."""
LONGEST_S = 1_800.0


class Error(Struct, frozen=True):
    """One forecast: when, in what state, how far off as a share of what was left. `inside`: what
    happened lay in the range that was told."""

    seed: int
    state: str
    left_s: float
    share: float
    inside: bool


class _Varied(Endpoint):
    """Takes now this, now that long; fails now and then, and all the time in an outage."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self.usual_s = rng.choice((0.02, 0.1, 0.5))
        self.fails = rng.choice((0.0, 0.0, 0.05))
        self.is_out = False

    async def send(self, outbound: Outbound) -> Answer:
        self.takes_s = self.usual_s * self._rng.uniform(0.5, 2.0)
        return await super().send(outbound)

    def respond(self, outbound: Outbound) -> Answer:
        del outbound
        bad = self.is_out or self._rng.random() < self.fails
        return Responded(503 if bad else 200, round(self.takes_s * SECOND))


def run_seed(seed: int) -> list[Error]:
    """The errors of one seed's forecasts."""
    rng = Random(seed * 7_919)
    world = World(seed=seed)
    endpoint = world.endpoint = _Varied(rng)
    endpoint.answer = endpoint.respond
    slots = rng.choice((2, 8, 32))
    capacity = slots / (endpoint.usual_s * 1.25)
    rate = rng.choice((None, 5.0, 20.0, 50.0))
    per_s = min(capacity, rate or capacity, 200.0)
    rates = () if rate is None and capacity <= 200 else (Rate(per_s, SECOND, 1),)
    settings = GateSettings(
        limits=Limits(concurrency=slots, rates=rates),
        recovery=RecoverySettings(ramp_step_ns=rng.choice((2, 5, 10)) * SECOND),
    )
    backlog = round(per_s * rng.uniform(40, 200))
    load_per_s = per_s * rng.choice((0.0, 0.2, 0.5))
    has_outage = rng.random() < 0.4

    async def script(node: Node) -> tuple[list[tuple[float, str, Foretold]], float]:
        histories = Histories(node)
        node.follow(histories.committed)
        looking = asyncio.ensure_future(histories.run())
        await open_gate(node, settings)
        endpoint.is_out = has_outage
        for begin in range(0, backlog, 500):
            await submit(node, min(500, backlog - begin), retry=Retry(max_attempts=20))
        load = asyncio.ensure_future(_load(node, load_per_s, Random(seed)))
        loop = asyncio.get_running_loop()
        if has_outage:
            await asyncio.sleep(8)
            endpoint.is_out = False
        began, next_s = loop.time(), FIRST_S
        made: list[tuple[float, str, Foretold]] = []
        while loop.time() < began + LONGEST_S:
            await asyncio.sleep(1)
            view = await view_gate(node, NAME)
            assert view is not None
            if not view.eligible:
                break
            if loop.time() - began >= next_s:
                next_s += EVERY_S
                told = await make(node, view, histories.of(NAME))
                seconds = (told.least_s, told.expected_s, told.most_s)
                made.append((loop.time(), view.state, seconds))
        load.cancel()
        looking.cancel()
        return made, loop.time()

    made, empty_at = world.live(script)
    found: list[Error] = []
    for at, state, (least_s, expected_s, most_s) in made:
        left_s = empty_at - at
        if left_s < LEAST_LEFT_S:
            continue
        share = 1.0 if expected_s is None else abs(expected_s - left_s) / left_s
        # the test itself looks once a second
        inside = (least_s or 0) - 1 <= left_s and (most_s is None or left_s <= most_s + 1)
        found.append(Error(seed, state, left_s, share, inside))
    return found


Foretold = tuple[float | None, float | None, float | None]


async def _load(node: Node, per_s: float, rng: Random) -> None:
    while per_s:
        await asyncio.sleep(rng.expovariate(per_s))
        await submit(node, 1, retry=Retry(max_attempts=20))


def told(errors: Sequence[Error]) -> str:
    """A line for each state: how many, median, nine tenths, worst, inside the range."""
    lines = ["state      forecasts  median     p90   worst  inside"]
    for state in ("all", *sorted({error.state for error in errors})):
        mine = [error for error in errors if state in ("all", error.state)]
        shares = sorted(error.share for error in mine)
        inside = sum(error.inside for error in mine) / len(mine)
        lines.append(
            f"{state:<10} {len(mine):>9} {median(shares):>7.1%}"
            f" {shares[len(shares) * 9 // 10]:>7.1%} {shares[-1]:>7.1%} {inside:>7.1%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    first, last = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (1, 30)
    errors: list[Error] = []
    for seed in range(first, last + 1):
        mine = run_seed(seed)
        errors += mine
        worst = max((error.share for error in mine), default=0.0)
        print(f"seed {seed}: {len(mine)} forecasts, worst {worst:.1%}", flush=True)
    print(told(errors))
