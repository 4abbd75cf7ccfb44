"""The story: normal work, the application goes down, the server is killed, both come back.

Rules of residence: what happens in which order, and what is measured; the figures of the summary
come from the application's own record and from the server's log.
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from taskmaster.client import AsyncClient
from taskmaster.demo.processes import Processes, free_port
from taskmaster.demo.screen import Screen, Tick
from taskmaster.errors import TaskMasterError

GATE = "accounts"
RATE = 150
BURST = 3
CONCURRENCY = 48
LOOK_S = 0.5
QUICK = {
    "tripped_min": "500ms",
    "tripped_max": "2s",
    "ramp_steps": [10, 25, 50, 100],
    "ramp_step": "1500ms",
}
"""Recovery as by default takes minutes; for the demonstration it is shortened by the gate's own
settings."""
ARRIVAL_JITTER_S = 0.1
"""What network and a busy machine may bunch between our socket and the application's."""


class Measured(Struct):
    """Every figure of the summary. `allowed` starts a second at our socket; `allowed_arrived`
    with what may be bunched on the way."""

    acknowledged: int = 0
    done: int = 0
    lost: int = 0
    sent_twice: int = 0
    explained: int = 0
    most_in_a_second: int = 0
    allowed: float = 0.0
    allowed_arrived: float = 0.0
    crashes: int = 0
    most_in_flight: int = 0
    drained_s: float = 0.0
    naive_done: int = 0
    naive_crashes: int = 0
    naive_most_in_flight: int = 0
    naive_repeated: int = 0
    whole_s: float = 0.0

    @property
    def held(self) -> bool:
        """Whether every promise was kept."""
        return (
            self.lost == 0
            and self.sent_twice == self.explained
            and self.most_in_a_second <= self.allowed_arrived
            and self.crashes == 0
        )


class Story:
    """One telling."""

    def __init__(self, screen: Screen, tasks: int) -> None:
        """Tell it with so many tasks."""
        self._screen = screen
        self._tasks = tasks
        self._began = time.monotonic()
        self._port, self._with, self._without = free_port(), free_port(), free_port()
        self._client = AsyncClient(url=f"http://127.0.0.1:{self._port}")
        self._server_up = False
        self._naive_done = 0
        self._acknowledged: list[str] = []
        self._is_over = False

    def _say(self, text: str) -> None:
        self._screen.say(time.monotonic() - self._began, text)

    async def tell(self) -> Measured:
        """Tell the story; the figures of the summary."""
        with TemporaryDirectory(prefix="taskmaster-demo-") as folder:
            async with Processes() as processes, asyncio.TaskGroup() as group:
                measured = await self._acts(processes, group, Path(folder) / "demo.db")
                self._is_over = True
        await self._client.close()
        measured.whole_s = time.monotonic() - self._began
        return measured

    async def _acts(self, processes: Processes, group: asyncio.TaskGroup, store: Path) -> Measured:
        await processes.start("with", "taskmaster.demo.application", str(self._with))
        await processes.start("without", "taskmaster.demo.application", str(self._without))
        await processes.serve(store, self._port)
        self._server_up = True
        limits = {"rate": RATE, "burst": BURST, "concurrency": CONCURRENCY}
        await self._client.set_gate(GATE, {"limits": limits, "recovery": QUICK})
        group.create_task(self._watch(processes))
        self._say(f"a server, and an application behind a gate of {RATE}/s, at most {CONCURRENCY}")
        await self._submit(200)
        await asyncio.sleep(2)
        self._say("the application goes down")
        await processes.tell(self._with, "/_down")
        await processes.tell(self._without, "/_down")
        await self._submit(self._tasks - 200)
        self._say(f"{self._tasks:,} tasks acknowledged; the gate trips and probes now and then")
        await asyncio.sleep(3)
        self._say("kill -9 of the server")
        self._server_up = False
        await processes.kill("server")
        await asyncio.sleep(1)
        await processes.serve(store, self._port)
        self._server_up = True
        self._say("the server is back on the same log; nothing of it was in memory only")
        await asyncio.sleep(1)
        return await self._recovery(processes, group)

    async def _recovery(self, processes: Processes, group: asyncio.TaskGroup) -> Measured:
        """Both applications come back cold; one behind the gate, one without."""
        self._say("the application comes back, cold; recovery settings are shortened for you")
        back = time.monotonic()
        await processes.tell(self._with, "/_up")
        await processes.tell(self._without, "/_up")
        naive = await processes.start(
            "naive", "taskmaster.demo.naive", str(self._without), str(self._tasks)
        )
        counting = group.create_task(self._count(naive))
        async with asyncio.timeout(120):
            while (await self._counts()).get("succeeded", 0) < len(self._acknowledged):
                await asyncio.sleep(LOOK_S)
        drained_s = time.monotonic() - back
        self._say(f"the backlog is gone, {drained_s:.0f} s after the application came back")
        counting.cancel()
        measured = await self._measure(processes)
        measured.drained_s = drained_s
        await processes.kill("naive")
        return measured

    async def _submit(self, count: int) -> None:
        url = f"http://127.0.0.1:{self._with}"
        names = ("hibernate", "accounts")
        for first in range(0, count, 500):
            batch = await self._client.submit_batch(
                [
                    {
                        "url": f"{url}/{names[number % 2]}",
                        "gate": GATE,
                        "body": f'{{"number": {number}}}',
                        "timeout": "5s",
                        "retry": {"max_attempts": 20, "max_backoff": "2s"},
                    }
                    for number in range(first, min(count, first + 500))
                ]
            )
            self._acknowledged.extend(item.id for item in batch.items if item.id)

    # --- measuring ----------------------------------------------------------------------------

    async def _counts(self) -> dict[str, int]:
        try:
            return (await self._client.gate(GATE)).counts
        except TaskMasterError:
            return {}

    async def _count(self, naive: asyncio.subprocess.Process) -> None:
        assert naive.stdout is not None
        while line := await naive.stdout.readline():
            self._naive_done = int(line)

    async def _watch(self, processes: Processes) -> None:
        """Look twice a second until the story is over."""
        before, at, last_state = 0, time.monotonic(), ""
        while not self._is_over:
            seen, other = await processes.seen(self._with), await processes.seen(self._without)
            now = time.monotonic()
            state, waiting = "?", 0
            if self._server_up:
                try:
                    gate = await self._client.gate(GATE)
                    share = gate.ramp_percent
                    state = f"ramp {share} %" if share else gate.state
                    waiting = gate.counts.get("waiting", 0) + gate.counts.get("scheduled", 0)
                except TaskMasterError:
                    state = "?"
            if state not in ("?", last_state):
                last_state = state
                self._say(f"gate: {state}")
            arrived = len(seen.arrivals)
            self._screen.tick(
                Tick(
                    at_s=now - self._began,
                    backlog=waiting,
                    done=len(seen.done),
                    arrivals_per_s=(arrived - before) / max(0.1, now - at),
                    in_flight=seen.in_flight,
                    gate=state,
                    naive_done=self._naive_done,
                    naive_crashes=other.crashes,
                    naive_in_flight=other.in_flight,
                    server_up=self._server_up,
                    application_up=seen.is_up,
                )
            )
            before, at = arrived, now
            await asyncio.sleep(LOOK_S)

    async def _measure(self, processes: Processes) -> Measured:
        seen, other = await processes.seen(self._with), await processes.seen(self._without)
        twice = [key for key, count in seen.done.items() if count > 1]
        return Measured(
            acknowledged=len(self._acknowledged),
            done=len(seen.done),
            lost=len(set(self._acknowledged) - set(seen.done)),
            sent_twice=len(twice),
            explained=[await self._is_explained(key) for key in twice].count(True),
            most_in_a_second=most_within(seen.arrivals, 1.0),
            allowed=BURST + RATE,
            allowed_arrived=BURST + RATE * (1 + ARRIVAL_JITTER_S),
            crashes=seen.crashes,
            most_in_flight=seen.most_in_flight,
            naive_done=self._naive_done,
            naive_crashes=other.crashes,
            naive_most_in_flight=other.most_in_flight,
            naive_repeated=sum(other.done.values()) - len(other.done),
        )

    async def _is_explained(self, task_id: str) -> bool:
        """Whether the log shows an attempt of unknown outcome: open at the kill, or timed out."""
        async for entry in self._client.history(task_id):
            if entry.type == "AttemptFailed" and entry.fields.get("delivered") == "unknown":
                return True
        return False


def most_within(arrivals: list[float], length_s: float) -> int:
    """The most arrivals in any interval of that length, wherever it begins."""
    most = first = 0
    ordered = sorted(arrivals)
    for last, at in enumerate(ordered):
        while ordered[first] < at - length_s:
            first += 1
        most = max(most, last - first + 1)
    return most
