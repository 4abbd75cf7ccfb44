"""One arm's story with real processes: an outage with a backlog, the return, load all the while.

Rules of residence: starts, tells and asks; what it amounted to is `measured`'s.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import msgspec
from msgspec import Struct

from benchmarks.harness import say
from benchmarks.processes import ROOT, Process, Server
from benchmarks.recovery.arms import RETRY, TIMEOUT_S, Arm, gate
from benchmarks.recovery.measured import Life, Measured, Record, lives_of, measured
from taskmaster.events.log import Recorded
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.types import SECOND, Position

GATE = "recovering"
BATCH = 1_000
LOAD_EVERY_S = 0.1
LOOK_S = 1.0
SAY_EVERY_S = 10
END_S = 120
QUIET_S = 5.0
"""For what is in flight at the end."""


class Story(Struct, frozen=True):
    """What happens to which endpoint, and for how long."""

    kind: str
    arm: Arm
    rate: int
    seed: int
    waiting: int
    load_per_s: float
    outage_s: float
    until_s: float

    @property
    def name(self) -> str:
        return f"{self.kind} {self.arm}" + (f" {self.rate}/s" if self.arm != "naive" else "")


class Endpoint(Process):
    """The endpoint's process."""

    def __init__(self, folder: Path, kind: str, seed: int) -> None:
        super().__init__(folder, ["-m", "benchmarks.recovery.endpoint", kind, str(seed)])
        said = self._stderr.read_text("utf-8").split()
        self._control = said[-1]

    def ask(self, path: str) -> bytes:
        return httpx.get(self._control + path, timeout=60).raise_for_status().content


def live(story: Story, folder: Path) -> Measured:
    """Live it, and measure it."""
    say(f"{story.name}, seed {story.seed}")
    with Endpoint(folder, story.kind, story.seed) as endpoint:
        began_at = time.time_ns()
        endpoint.ask("/down")
        if story.arm == "naive":
            back_at, ended_at, lives = _naive(story, folder, endpoint)
        else:
            back_at, ended_at, lives = asyncio.run(_gated(story, folder, endpoint))
        record = msgspec.json.decode(endpoint.ask("/record"), type=Record)
    return measured(
        lives,
        record,
        began_at=began_at,
        back_at=back_at,
        ended_at=ended_at,
        load_per_s=story.load_per_s,
    )


Lived = tuple[int, int, dict[str, Life]]


def _naive(story: Story, folder: Path, endpoint: Endpoint) -> Lived:
    """The script has as long as any gate; it does not say when it is done."""
    record = folder / "naive.json"
    back_s = time.time() + story.outage_s
    until_s = back_s + story.until_s
    numbers = (back_s, story.waiting, story.load_per_s, until_s)
    arguments = [f"{endpoint.url}/hook", *map(str, numbers), str(record)]
    script = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.recovery.naive", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        time.sleep(max(0.0, back_s - time.time()))
        endpoint.ask("/up")
        script.wait(story.until_s + END_S)
    finally:
        script.kill()
        script.wait()
    lives = msgspec.json.decode(record.read_bytes(), type=dict[str, Life])
    record.unlink()
    return int(back_s * SECOND), int(until_s * SECOND), lives


async def _gated(story: Story, folder: Path, endpoint: Endpoint) -> Lived:
    store = folder / f"{time.monotonic_ns()}.db"
    back_s = time.time() + story.outage_s
    with Server(folder, store) as server:
        server.call("PUT", f"/v1/gates/{GATE}", gate(story.arm, story.rate))
        async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:
            url = f"{endpoint.url}/hook"
            for begin in range(0, story.waiting, BATCH):
                await _submit(client, url, min(BATCH, story.waiting - begin))
            late_s = time.time() - back_s
            if late_s > 0:
                say(f"the backlog took {late_s:.0f} s longer than the outage")
            await asyncio.sleep(-late_s)
            endpoint.ask("/up")
            back_at = time.time_ns()
            loading = asyncio.ensure_future(_load(client, url, story))
            await _until_drained(client, story, back_at)
            ended_at = time.time_ns()
            loading.cancel()
            await asyncio.sleep(QUIET_S)
    log = SQLiteStore.open(store)
    lives = lives_of((one.stream, one.event) for one in _events(log))
    log.close()
    store.unlink()
    return back_at, ended_at, lives


def _events(log: SQLiteStore) -> Iterator[Recorded]:
    reader, after = log.reader(), Position(0)
    while page := reader.events(after=after, limit=5_000):
        yield from page
        after = page[-1].position


async def _until_drained(client: httpx.AsyncClient, story: Story, back_at: int) -> None:
    said_s = 0.0
    while (at_s := (time.time_ns() - back_at) / SECOND) < story.until_s:
        await asyncio.sleep(LOOK_S)
        document = (await client.get(f"/v1/gates/{GATE}")).raise_for_status().json()
        counts = document["counts"]
        left = sum(counts.get(state, 0) for state in ("scheduled", "waiting", "in_flight"))
        if at_s >= said_s:
            said_s += SAY_EVERY_S
            say(f"{at_s:4.0f} s after the return: {document['state']}, {left:,} left")
        if left <= max(1.0, story.load_per_s):
            return


async def _load(client: httpx.AsyncClient, url: str, story: Story) -> None:
    """Fresh work that comes by chance, a tenth of a second's together."""
    rng, next_s = Random(story.seed), time.time()
    while True:
        await asyncio.sleep(LOAD_EVERY_S)
        count = 0
        while next_s <= time.time():
            next_s += rng.expovariate(story.load_per_s)
            count += 1
        if count:
            await _submit(client, url, count)


async def _submit(client: httpx.AsyncClient, url: str, count: int) -> None:
    task = {"url": url, "gate": GATE, "timeout": f"{TIMEOUT_S}s", "retry": RETRY}
    answer = await client.post("/v1/tasks:batchCreate", json=[task] * count)
    document = answer.raise_for_status().json()
    assert document["created"] == count, document
