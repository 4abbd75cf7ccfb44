"""The same backlog with the gate off: a loop that sends what is left, again every few seconds.

Rules of residence: a process of its own, which keeps nothing: the application's record says what
came of it. Run: `python -m taskmaster.demo.naive PORT TASKS`; it goes on until all are done.
"""

import asyncio
import sys
from datetime import timedelta

import uvloop
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError

TIMEOUT = timedelta(seconds=5)
"""The same as behind the gate."""
RETRY_S = 3.0
AT_ONCE = 1_000


async def main(port: int, tasks: int) -> None:
    """Send all that is not done yet, again and again."""
    client = ClientBuilder().no_proxy().build()
    url = f"http://127.0.0.1:{port}/accounts"
    left: list[str] = [f"naive-{number}" for number in range(tasks)]
    while left:
        slots = asyncio.Semaphore(AT_ONCE)
        are_done = await asyncio.gather(*(_send(client, url, key, slots) for key in left))
        left = [key for key, is_done in zip(left, are_done, strict=True) if not is_done]
        await asyncio.sleep(RETRY_S)


async def _send(client: Client, url: str, key: str, slots: asyncio.Semaphore) -> bool:
    async with slots:
        request = client.post(url).headers({"Idempotency-Key": key}).timeout(TIMEOUT)
        try:
            response = await request.body_text("{}").build().send()
        except RequestError:
            return False
        return response.status == 200


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
