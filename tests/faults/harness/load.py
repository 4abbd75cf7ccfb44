"""Submits tasks over HTTP, one by one and many at once, and writes down every promise it is given.

What is not answered is submitted again under the same key, as the API asks of a caller, until it
is. So each submission is made at least once and must be stored exactly once.
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx
from msgspec import Struct

CALLERS = 4
BATCH = 40
CALL_S = 15


class Submission(Struct):
    """A task as it is asked for."""

    key: str
    gate: str
    path: str
    idempotent: bool = True
    delay_ms: int = 0

    def document(self, endpoint: str) -> dict[str, Any]:
        return {
            "url": f"{endpoint}{self.path}",
            "gate": self.gate,
            "key": self.key,
            "body": self.key,
            "delay": f"{self.delay_ms}ms",
            "timeout": "20s",
            "idempotent": self.idempotent,
            "retry": {"max_attempts": 40, "min_backoff": "50ms", "max_backoff": "300ms"},
        }


class Promise(Struct, frozen=True):
    """What an acknowledgement said."""

    submission: Submission
    task: str


class Load:
    """Callers that go on through every crash. `room` says whether more may be submitted."""

    def __init__(
        self, endpoint: str, rng: random.Random, gates: tuple[str, ...], room: Callable[[], bool]
    ) -> None:
        self._endpoint = endpoint
        self._rng = rng
        self._gates = gates
        self._room = room
        self._again: deque[Submission] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._url = ""
        self._up = asyncio.Event()
        self._going = asyncio.Event()
        self._client: httpx.AsyncClient | None = None
        self.made = 0
        self.unanswered: dict[str, Submission] = {}
        self.promises: dict[str, Promise] = {}
        self.refused = 0
        self.cut_off = 0

    @property
    def acknowledged(self) -> set[str]:
        return {promise.task for promise in self.promises.values()}

    def server_is_up(self, url: str) -> None:
        """Call this server from now on."""
        self._url = url
        self._up.set()

    def server_is_down(self) -> None:
        """Nobody to call."""
        self._up.clear()

    def begin(self) -> None:
        """Submit whenever there is room."""
        self._going.set()
        if not self._tasks:
            self._client = httpx.AsyncClient(timeout=CALL_S, trust_env=False)
            callers = [self._single() for _ in range(CALLERS)] + [self._batches()]
            self._tasks = [asyncio.ensure_future(caller) for caller in callers]

    def rest(self) -> None:
        """Submit nothing new; what was never answered is still asked for again."""
        self._going.clear()

    def ask(self, submission: Submission) -> None:
        """Submit this one, besides what is drawn."""
        self.made += 1
        self.unanswered[submission.key] = submission
        self._again.append(submission)

    async def end(self) -> None:
        """Cancel the callers. A caller that broke breaks the test."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        self._tasks.clear()
        if self._client is not None:
            await self._client.aclose()

    def is_calm(self) -> bool:
        """Whether everything that was asked for was promised."""
        return not self.unanswered

    def refuse_broken(self) -> None:
        """Raise what a caller raised: an answer that it did not expect."""
        for task in self._tasks:
            if task.done():
                task.result()

    # --- what is asked for --------------------------------------------------------------------

    async def _next(self, count: int) -> list[Submission]:
        """What to submit now: first what was not answered."""
        while True:
            await self._up.wait()
            found = [self._again.popleft() for _ in range(min(count, len(self._again)))]
            if found:
                return found
            if self._going.is_set() and self._room():
                return [self._make() for _ in range(count)]
            await asyncio.sleep(0.01)

    def _make(self) -> Submission:
        rng = self._rng
        self.made += 1
        made = Submission(
            key=f"k{self.made}",
            gate=rng.choice(self._gates),
            path=f"/{rng.choice((0, 5, 20, 60))}" + ("/flaky" if rng.random() < 0.04 else ""),
            idempotent=rng.random() < 0.95,
            delay_ms=rng.choice((0, 0, 0, 200)),
        )
        self.unanswered[made.key] = made
        return made

    def _promised(self, submission: Submission, task: str) -> None:
        self.unanswered.pop(submission.key, None)
        before = self.promises.get(submission.key)
        assert before is None or before.task == task, f"{submission.key}: two tasks promised"
        self.promises[submission.key] = Promise(submission, task)

    # --- one by one ---------------------------------------------------------------------------

    async def _single(self) -> None:
        while True:
            [submission] = await self._next(1)
            if not await self._submit(submission):
                self._again.append(submission)
                await asyncio.sleep(0.02)

    async def _submit(self, submission: Submission) -> bool:
        assert self._client is not None
        document = submission.document(self._endpoint)
        try:
            response = await self._client.post(f"{self._url}/v1/tasks", json=document)
        except httpx.TransportError:
            self.cut_off += 1
            return False
        if response.status_code == 503:
            self._refused(response.headers)
            return False
        assert response.status_code in (200, 201), response.text
        self._promised(submission, response.json()["id"])
        return True

    def _refused(self, headers: httpx.Headers) -> None:
        assert int(headers["Retry-After"]) >= 1, "503 without Retry-After"
        self.refused += 1

    # --- many at once -------------------------------------------------------------------------

    async def _batches(self) -> None:
        lines = False
        while True:
            batch = await self._next(BATCH)
            lines = not lines
            waiting = {s.key: s for s in batch}
            try:
                await (self._in_lines if lines else self._as_list)(batch, waiting)
            except httpx.TransportError:
                self.cut_off += 1
            if waiting:
                self._again.extend(waiting.values())
                await asyncio.sleep(0.02)

    async def _as_list(self, batch: list[Submission], waiting: dict[str, Submission]) -> None:
        assert self._client is not None
        documents = [submission.document(self._endpoint) for submission in batch]
        response = await self._client.post(f"{self._url}/v1/tasks:batchCreate", json=documents)
        if response.status_code == 503:
            self._refused(response.headers)
            return
        assert response.status_code == 200, response.text
        for item in response.json()["items"]:
            self._item(batch, item, waiting)

    async def _in_lines(self, batch: list[Submission], waiting: dict[str, Submission]) -> None:
        """Each line is a promise of its own, however the call ends."""
        assert self._client is not None
        content = "".join(json.dumps(s.document(self._endpoint)) + "\n" for s in batch)
        headers = {"Content-Type": "application/x-ndjson"}
        url = f"{self._url}/v1/tasks:batchCreate"
        async with self._client.stream("POST", url, content=content, headers=headers) as response:
            if response.status_code == 503:
                self._refused(response.headers)
                return
            assert response.status_code == 200, await response.aread()
            async for line in response.aiter_lines():
                if line:
                    self._item(batch, json.loads(line), waiting)

    def _item(
        self, batch: list[Submission], item: dict[str, Any], waiting: dict[str, Submission]
    ) -> None:
        if item["status"] == 503:
            self.refused += 1
            return
        assert item["status"] in (200, 201), item
        index: int = item["index"]
        submission = batch[index]
        self._promised(submission, item["id"])
        del waiting[submission.key]
