"""The story: normal work, the application goes down, the server is killed, both come back.

Rules of residence: what happens in which order. What is shown is `screen`'s, what it amounted to
`measured`'s.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from msgspec import Struct

from taskmaster.client import AsyncClient, Entry, Gate, calls
from taskmaster.demo.measured import Behind, Limits, Without, behind, fold_log, without
from taskmaster.demo.processes import Processes, free_port
from taskmaster.demo.screen import Screen, Tick
from taskmaster.errors import TaskMasterError

GATE = "accounts"
LIMITS = Limits(per_s=150, burst=3, concurrency=48)
QUICK = {
    "tripped_min": "500ms",
    "tripped_max": "2s",
    "ramp_steps": [10, 25, 50, 100],
    "ramp_step": "1500ms",
}
"""Recovery as by default takes a minute; the gate's own settings shorten it here, and the screen
says so."""
BEFORE = 200
"""Tasks of the time before the outage."""
BATCH = 500
PAGE = 1_000
LOOK_S = 0.25
ACT_S = 30.0
"""The longest that anything may take beside the sending itself."""


class Outcome(Struct, frozen=True):
    """Both arms, and how long it took."""

    behind: Behind
    without: Without
    drained_s: float
    whole_s: float


class Story:
    """One telling."""

    def __init__(self, screen: Screen, folder: Path, tasks: int) -> None:
        """Tell it with so many tasks; the processes live in `folder`."""
        self._screen, self._tasks = screen, tasks
        self._began = time.monotonic()
        self._port, self._with, self._without = free_port(), free_port(), free_port()
        self._with_control, self._without_control = free_port(), free_port()
        url = f"http://127.0.0.1:{self._port}"
        self._client = AsyncClient(url, patience_s=ACT_S)
        self._glance = AsyncClient(url, patience_s=0.0, timeout_s=2.0)
        self._processes = Processes(folder)
        self._acknowledged: list[str] = []
        self._mode = ""
        self._last: Tick | None = None

    def _say(self, text: str) -> None:
        self._screen.say(time.monotonic() - self._began, text)

    async def tell(self) -> Outcome:
        """Tell the story, and measure it."""
        async with self._client, self._glance, self._processes:
            await self._begin()
            watching = asyncio.ensure_future(self._watch())
            try:
                await self._outage()
                await self._kill("the server is back on the same log, with all that it had taken")
                drained_s = await self._recovery()
            finally:
                watching.cancel()
            return await self._measure(drained_s)

    async def _begin(self) -> None:
        processes = self._processes
        await processes.application("application", self._with, self._with_control)
        await processes.application("other", self._without, self._without_control)
        await processes.serve(self._port)
        limits = {
            "rate": LIMITS.per_s,
            "burst": LIMITS.burst,
            "concurrency": LIMITS.concurrency,
        }
        await self._client.set_gate(GATE, {"limits": limits, "recovery": QUICK})
        self._say(
            f"a server, and an application behind its gate: {LIMITS.per_s}/s,"
            f" {LIMITS.concurrency} in flight"
        )
        self._say("the gate's recovery settings are shortened: steps of 1.5 s instead of 10 s")

    async def _outage(self) -> None:
        await self._submit(BEFORE)
        await self._until_done(BEFORE, ACT_S)
        self._say("the application goes down")
        await self._processes.tell(self._with_control, "/down")
        await self._processes.tell(self._without_control, "/down")
        await self._submit(self._tasks - BEFORE)
        self._say(f"{self._tasks:,} tasks are acknowledged while nobody answers")
        await asyncio.sleep(2)

    async def _kill(self, then: str) -> None:
        self._say("kill -9 of the server")
        self._processes.kill("server")
        await asyncio.sleep(0.5)
        await self._processes.serve(self._port)
        self._say(then)

    async def _recovery(self) -> float:
        """Both applications come back cold; one behind the gate, one without."""
        await asyncio.sleep(1)
        self._say("the application comes back, cold: a quarter of its capacity")
        back = time.monotonic()
        await self._processes.tell(self._with_control, "/up")
        await self._processes.tell(self._without_control, "/up")
        naive = ("taskmaster.demo.naive", str(self._without), str(self._tasks))
        self._processes.start("naive", *naive)
        sending_s = self._tasks / LIMITS.per_s
        await self._until_done(BEFORE + (self._tasks - BEFORE) // 2, ACT_S + sending_s)
        await self._kill("the server is back; what was open at the kill is sent again")
        await self._until_done(self._tasks, ACT_S + 2 * sending_s)
        drained_s = time.monotonic() - back
        await self._look()
        self._say(f"the backlog is gone, {drained_s:.0f} s after the application came back")
        return drained_s

    async def _submit(self, count: int) -> None:
        """Submit so many; half of them hibernate an app, half provision an account."""
        first = len(self._acknowledged)
        for begin in range(first, first + count, BATCH):
            numbers = range(begin, min(begin + BATCH, first + count))
            batch = await self._client.submit_batch([self._task(number) for number in numbers])
            self._acknowledged.extend(item.id for item in batch.items if item.id)

    def _task(self, number: int) -> dict[str, object]:
        path, body = (
            ("hibernate", f'{{"app": "app-{number}"}}')
            if number % 2
            else ("accounts", f'{{"user": "user-{number}"}}')
        )
        return {
            "url": f"http://127.0.0.1:{self._with}/{path}",
            "gate": GATE,
            "body": body,
            "timeout": "5s",
            "retry": {"max_backoff": "2s"},
        }

    async def _until_done(self, count: int, patience_s: float) -> None:
        """Wait until the server counts so many ended well. A promise that is broken meanwhile is
        the summary's affair, so patience that ends is no error."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while (await self._client.gate(GATE)).counts.get("succeeded", 0) < count:
                    await asyncio.sleep(LOOK_S)

    # --- watching and measuring ---------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await self._look()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        one = await self._processes.counts(self._with_control)
        other = await self._processes.counts(self._without_control)
        gate: Gate | None = None
        with contextlib.suppress(TaskMasterError):
            gate = await self._glance.gate(GATE)
        last = self._last
        counts = gate.counts if gate else {}
        waiting = counts.get("waiting", 0) + counts.get("scheduled", 0)
        tick = Tick(
            at_s=time.monotonic() - self._began,
            gate=gate.state if gate else "",
            ramp_percent=gate.ramp_percent if gate else None,
            acknowledged=len(self._acknowledged),
            backlog=waiting if gate or not last else last.backlog,
            behind=one,
            without=other,
        )
        mode = f"{tick.gate} {tick.ramp_percent} %" if tick.ramp_percent else tick.gate
        if mode and mode != self._mode:
            self._mode = mode
            self._say(f"gate: {mode}")
        if other.crashes and not (last and last.without.crashes):
            self._say("gate off: the other application falls over, and will again")
        self._last = tick
        self._screen.tick(tick)

    async def _measure(self, drained_s: float) -> Outcome:
        entries = await self._log()
        record = await self._processes.record(self._with_control)
        counts = await self._processes.counts(self._with_control)
        other = await self._processes.record(self._without_control)
        other_counts = await self._processes.counts(self._without_control)
        return Outcome(
            behind(self._acknowledged, fold_log(entries), record, counts, LIMITS),
            without(self._tasks, other, other_counts),
            drained_s,
            time.monotonic() - self._began,
        )

    async def _log(self) -> list[Entry]:
        """All of the log, in big pages."""
        entries: list[Entry] = []
        token: str | None = ""
        while token is not None:
            page = await self._client.send(calls.read_log(limit=PAGE, page_token=token))
            entries.extend(page.items)
            token = page.next_page_token
        return entries


async def tell(screen: Screen, tasks: int) -> Outcome:
    """Tell the story in a temporary folder."""
    with TemporaryDirectory(prefix="taskmaster-demo-") as folder:
        return await Story(screen, Path(folder), tasks).tell()
