"""Everything of one test: a store, an endpoint, servers one after another, a load, the checks."""

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from tests.faults.harness.endpoint import Endpoint
from tests.faults.harness.load import Load
from tests.faults.harness.log_checks import (
    Log,
    check_index,
    check_interruptions,
    check_promises,
    check_slots,
    read_log,
    unfinished,
)
from tests.faults.harness.sent_checks import check_open, check_rates, check_sends
from tests.faults.harness.server import Server
from tests.faults.harness.until import until
from tests.faults.harness.windows import Limit

SECOND = 1_000_000_000
GIVE_UP_S = 5
ROOM = 400
"""Tasks that may wait at once, so that a test ends soon after its last fault."""


class Gate(Struct, frozen=True):
    """A gate and its limits, as a person writes them."""

    name: str
    concurrency: int
    limits: tuple[Limit, ...] = ()

    def document(self) -> dict[str, Any]:
        rates = [
            {"rate": limit.rate, "per": f"{limit.per_ns // SECOND}s", "burst": limit.burst}
            for limit in self.limits
        ]
        return {"limits": {"concurrency": self.concurrency, "rates": rates}}


GATES = (
    Gate("paced", 64, (Limit(150, 3),)),
    Gate("slots", 4),
    Gate("both", 8, (Limit(60, 2), Limit(200, 20, 5 * SECOND))),
)


class Rig:
    """Servers live and die on one store; the endpoint and the callers outlive them."""

    def __init__(self, folder: Path, seed: int, gates: tuple[Gate, ...] = GATES) -> None:
        self.folder = folder
        self.store = folder / "log.db"
        self.address = ""
        """Of a database, where the log is not in a file."""
        self.view: Callable[[], Path | str] = lambda: self.address or self.store
        """Where the log can be read from here."""
        self.rng = random.Random(seed)
        self.gates = gates
        self.endpoint = Endpoint(folder)
        self.load = Load(
            self.endpoint.url,
            self.rng,
            tuple(gate.name for gate in gates),
            lambda: self.load.made - self.endpoint.has_answered() < ROOM,
        )
        self.server: Server | None = None
        self.lives = 0
        self._has_gates = False

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    # --- lives --------------------------------------------------------------------------------

    async def start(self, **options: Any) -> bool:
        """Start a server on the store; False when it ended before it served."""
        self.lives += 1
        self.server = Server(
            self.address or self.store, self.folder / f"server-{self.lives}.stderr", **options
        )
        if not await self.server.listening():
            return False
        if not self._has_gates:
            self._has_gates = await self._make_gates()
        if self._has_gates:
            self.load.server_is_up(self.url)
        return True

    async def _make_gates(self) -> bool:
        try:
            async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
                for gate in self.gates:
                    response = await client.put(f"/v1/gates/{gate.name}", json=gate.document())
                    assert response.status_code in (200, 201), response.text
        except httpx.TransportError as error:
            if await self._living().has_ended(GIVE_UP_S):  # as it was told to
                return False
            raise AssertionError("it said that it listens, and does not") from error
        return True

    def kill(self) -> None:
        """`kill -9`, then hold what is left against what was promised and seen."""
        assert self.server is not None
        self.server.kill()
        self.dead()

    def dead(self) -> Log | None:
        """Check the log of a server that has ended."""
        self.load.server_is_down()
        place = self.view()
        if self.lives == 1 and isinstance(place, Path) and not place.exists():
            return None
        log = self.check()
        check_index(self.view(), log)
        return log

    async def exit_code(self, deadline_s: float = 20) -> int:
        """Wait until the server has ended by itself, as it was told to."""
        process = self._living().process
        await self.until("the server ends", lambda: process.poll() is not None, deadline_s)
        return process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server alone."""
        self._living().signal(number)

    def _living(self) -> Server:
        assert self.server is not None
        return self.server

    async def close(self) -> None:
        """End everything that this test has started."""
        await self.load.end()
        if self.server is not None and self.server.process.poll() is None:
            self.server.kill()
        self.endpoint.close()

    # --- checks -------------------------------------------------------------------------------

    def check(self) -> Log:
        """All that holds at any instant, of a dead log or of a living one."""
        promises = {key: promise.task for key, promise in self.load.promises.items()}
        requests = self.endpoint.requests
        log = read_log(self.view())  # after what it must hold
        check_promises(log, promises)
        check_interruptions(log)
        check_sends(log, requests)
        for gate in self.gates:
            check_slots(log, gate.name, gate.concurrency)
            check_open(requests, gate.name, gate.concurrency)
            check_rates(log, requests, self.endpoint.stalls, gate.name, gate.limits)
        return log

    async def finish(self, deadline_s: float = 60) -> Log:
        """Submit no more; everything promised ends; then the live state, too, is the fold."""
        self.load.rest()
        await self.until("every call is answered", self.load.is_calm, deadline_s)
        tasks = self.load.acknowledged
        await self.until("every acknowledged task ends", lambda: self._all_ended(tasks), deadline_s)
        log = self.check()
        await self._check_live(log)
        check_index(self.view(), log)
        for story in log.stories.values():
            last = story.attempts[-1].end
            assert story.state == "succeeded" or (
                story.state == "uncertain" and not story.submitted.idempotent
            ), f"{story.task} ended as {story.state}: {last}"
        return log

    async def _check_live(self, log: Log) -> None:
        """What the API says of each task and of each gate is what the log gives."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            token: str | None = None
            seen = 0
            while seen == 0 or token is not None:
                query = {"limit": "1000", **({"page_token": token} if token else {})}
                answer = (await client.get("/v1/tasks", params=query)).raise_for_status().json()
                for item in answer["items"]:
                    story = log.stories[item["id"]]
                    assert (item["state"], item["attempts"]) == (story.state, story.sends), item
                seen += len(answer["items"])
                token = answer["next_page_token"]
            assert seen == len(log.stories)
            for gate in self.gates:
                answer = (await client.get(f"/v1/gates/{gate.name}")).raise_for_status().json()
                states = [s.state for s in log.stories.values() if s.submitted.gate == gate.name]
                counts = {state: count for state, count in answer["counts"].items() if count}
                assert counts == {state: states.count(state) for state in set(states)}

    async def sent(self, more: int, deadline_s: float = 20) -> None:
        """Wait until the endpoint has seen so many more requests."""
        wanted = len(self.endpoint.requests) + more
        await self.until(
            f"{more} requests arrive", lambda: len(self.endpoint.requests) >= wanted, deadline_s
        )

    async def until(
        self, what: str, condition: Callable[[], object], deadline_s: float = 20
    ) -> float:
        """Wait for a condition while the callers go on; a failure tells how all stands."""

        def met() -> object:
            self.load.refuse_broken()
            return condition()

        try:
            return await until(what, met, deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self._how_all_stands()}") from error

    def _how_all_stands(self) -> str:
        server = self.server
        load, answered = self.load, self.endpoint.has_answered()
        parts = [f"{load.made} made, {len(load.promises)} promised, {answered} answered"]
        if server is not None and server.url and server.process.poll() is None:
            with httpx.Client(base_url=server.url, trust_env=False) as client:
                parts += [client.get(f"/v1/gates/{gate.name}").text for gate in self.gates]
        if server is not None:
            parts.append(server.said[-1_000:])
        open_ones = [story for story in read_log(self.view()).stories.values() if not story.is_over]
        parts += [f"{s.task} {s.state} {s.attempts[-2:]}" for s in open_ones[:5]]
        return "\n".join(parts)

    def _all_ended(self, tasks: set[str]) -> bool:
        return not unfinished(read_log(self.view()), tasks)
