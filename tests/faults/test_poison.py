"""A task that ends the whole process uses up its own attempts (semantics 2.2, 2.4)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskmaster.events.types import AttemptFailed
from tests.faults.harness.endpoint import Endpoint
from tests.faults.harness.log_checks import check_index, read_log
from tests.faults.harness.server import Server
from tests.faults.harness.until import until

KILLED = 137
TRIES = 3


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    made = Endpoint(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
async def test_a_task_that_ends_the_process_is_dead_after_its_attempts(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    """Each start was counted before it was sent, and the process that comes next records its end;
    that it was interrupted says nothing about whose fault it was, so its reason is `attempts`."""

    def task(path: str) -> dict[str, Any]:
        retry = {"max_attempts": TRIES, "min_backoff": "100ms", "jitter": "none"}
        return {"url": f"{endpoint.url}{path}", "retry": retry, "delay": "300ms"}

    store = tmp_path / "log.db"
    poison = neighbour = ""
    exits: list[int | None] = []
    for life in range(TRIES + 1):
        server = Server(store, tmp_path / f"{life}.stderr", poison="exit:/1/exit")
        try:
            assert await server.listening(), server.said
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                if life == 0:
                    poison = (await client.post("/v1/tasks", json=task("/1/exit"))).json()["id"]
                if life < TRIES:
                    exits.append(await server.exit_code())
                    continue
                neighbour = (await client.post("/v1/tasks", json=task("/1"))).json()["id"]
                await until("the neighbour is sent", endpoint.has_answered)
                answer = (await client.get(f"/v1/tasks/{poison}")).json()
                assert (answer["state"], answer["attempts"]) == ("dead", TRIES)
        finally:
            if server.process.poll() is None:
                server.kill()

    assert exits == [KILLED] * TRIES
    log = read_log(store)
    ends = [attempt.end for attempt in log.stories[poison].attempts]
    failed = [end for end in ends if isinstance(end, AttemptFailed)]
    assert [(end.outcome, end.used) for end in failed] == [("interrupted", True)] * TRIES
    assert [(end.next, end.reason) for end in failed[-2:]] == [("retry", ""), ("dead", "attempts")]
    assert {request.task for request in endpoint.requests} == {neighbour}
    check_index(store)
