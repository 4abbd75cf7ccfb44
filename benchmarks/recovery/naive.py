"""No gate: a loop that sends what is due and tries again, as scripts do.

    python -m benchmarks.recovery.naive URL BACK_AT WAITING LOAD UNTIL RECORD

A process of its own that sends each task when it is due, at most 1,000 at once, and again 5 s
after each failure, ten times in all. `WAITING` tasks are due at `BACK_AT` (the wall clock, in
seconds), `LOAD` a second after it. At `UNTIL` it writes what became of them to the file `RECORD`.

On pyreqwest: with httpx the script itself was what limited it, to 36 requests a second on a busy
machine.
"""

import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import uvloop
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, RequestError

from benchmarks.recovery.arms import MAX_ATTEMPTS, TIMEOUT_S
from benchmarks.recovery.measured import Life

TIMEOUT = timedelta(seconds=TIMEOUT_S)
RETRY_S = 5.0
AT_ONCE = 1_000
LOAD_EVERY_S = 0.1


class Script:
    """The loop and its record."""

    def __init__(self, url: str, client: Client) -> None:
        self._url, self._client = url, client
        self._lives: dict[str, Life] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def submit(self, count: int, submitted_at: int = 0) -> None:
        """So many tasks that are due now."""
        for _ in range(count):
            key = f"naive-{len(self._lives)}"
            self._lives[key] = Life(submitted_at or time.time_ns())
            running = asyncio.get_running_loop().create_task(self._try(key))
            self._running.add(running)
            running.add_done_callback(self._running.discard)

    async def _try(self, key: str) -> None:
        life = self._lives[key]
        for _ in range(MAX_ATTEMPTS):
            async with self._slots:
                if await self._is_done(key, life):
                    life.succeeded_at = time.time_ns()
                    return
            await asyncio.sleep(RETRY_S)
        life.died_at = time.time_ns()

    async def _is_done(self, key: str, life: Life) -> bool:
        life.started_at.append(time.time_ns())
        request = self._client.post(self._url).headers({"Idempotency-Key": key}).timeout(TIMEOUT)
        try:
            response = await request.body_text("{}").build().send()
        except ConnectError:
            return False
        except RequestError:
            life.unknown += 1
            return False
        return response.status == 200

    def stop(self) -> None:
        for running in self._running:
            running.cancel()

    async def load(self, per_s: float, seed: int) -> None:
        """Fresh tasks, for ever."""
        rng, next_at = Random(seed), time.time()
        while True:
            await asyncio.sleep(LOAD_EVERY_S)
            count = 0
            while next_at <= time.time():
                next_at += rng.expovariate(per_s)
                count += 1
            self.submit(count)

    def record(self) -> bytes:
        return msgspec.json.encode(self._lives)


async def main(
    url: str, back_at: float, waiting: int, load_per_s: float, until: float, path: Path
) -> None:
    """Run until then, then write the record."""
    began_at = time.time_ns()
    async with ClientBuilder().no_proxy().build() as client:
        script = Script(url, client)
        await asyncio.sleep(back_at - time.time())
        script.submit(waiting, began_at)
        loading = asyncio.get_running_loop().create_task(script.load(load_per_s, waiting))
        await asyncio.sleep(until - time.time())
        loading.cancel()
        script.stop()
        path.write_bytes(script.record())  # noqa: ASYNC240  # nothing else is left to do


if __name__ == "__main__":
    url, back_at, waiting, load, until, record = sys.argv[1:]
    uvloop.run(main(url, float(back_at), int(waiting), float(load), float(until), Path(record)))
    sys.exit(0)
