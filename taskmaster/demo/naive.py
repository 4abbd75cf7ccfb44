"""The same backlog with the gate off: a loop that retries every second.

Rules of residence: a process of its own. Run: `python -m taskmaster.demo.naive PORT TASKS`; it
writes how many are done, a line a second, and goes on until it is killed.
"""

import asyncio
import sys
from datetime import timedelta

import uvloop
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError

TIMEOUT_S = 2.0
RETRY_S = 1.0
AT_ONCE = 1_000


async def main(port: int, tasks: int) -> None:
    """Send all that is not done yet, again and again."""
    client = ClientBuilder().no_proxy().build()
    waiting = [f"naive-{number}" for number in range(tasks)]
    reporter = asyncio.ensure_future(_report(waiting, tasks))
    while waiting:
        slots = asyncio.Semaphore(AT_ONCE)
        answers = await asyncio.gather(*(_send(client, port, key, slots) for key in waiting))
        for key, is_done in zip(list(waiting), answers, strict=True):
            if is_done:
                waiting.remove(key)
        await asyncio.sleep(RETRY_S)
    await reporter


async def _send(client: Client, port: int, key: str, slots: asyncio.Semaphore) -> bool:
    async with slots:
        request = client.post(f"http://127.0.0.1:{port}/accounts")
        request = request.headers({"Idempotency-Key": key}).timeout(timedelta(seconds=TIMEOUT_S))
        try:
            response = await request.body_text("{}").build().send()
        except RequestError:
            return False
        return response.status == 200


async def _report(waiting: list[str], tasks: int) -> None:
    while True:
        sys.stdout.write(f"{tasks - len(waiting)}\n")
        sys.stdout.flush()
        await asyncio.sleep(RETRY_S)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
