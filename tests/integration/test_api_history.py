"""A gate's numbers over time, over REST: on a running server, and after a restart of it."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from taskmaster.client import Client, RetryRules, Submission
from tests.integration.server_process import ServerProcess

pytestmark = pytest.mark.slow
REFUSES = "http://127.0.0.1:9/"


def history(server: ServerProcess, gate: str, **query: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/v1/gates/{gate}/history", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def until(answer: Callable[[], dict[str, Any]], holds: Callable[[Any], bool]) -> dict[str, Any]:
    deadline = monotonic() + 30
    while not holds(found := answer()):
        assert monotonic() < deadline, found
    return found


def count(document: dict[str, Any], name: str) -> float:
    steps = document["columns"][f"{name}_per_s"]
    return sum(rate or 0 for rate in steps) * document["step_seconds"]


def test_history_shows_what_flowed_and_lasts_beyond_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    with ServerProcess(store) as server:
        with Client(server.url) as client:
            client.set_gate("seen", {"limits": {"concurrency": 3}})
            for _ in range(4):
                client.submit(Submission(REFUSES, gate="seen", retry=RetryRules(max_attempts=1)))
            client.submit(Submission(REFUSES, gate="seen", delay="1h"))
        until(lambda: history(server, "seen"), lambda seen: count(seen, "failed") == 4)
        httpx.post(f"{server.url}/v1/gates/seen:pause")
        seen = until(
            lambda: history(server, "seen"), lambda seen: seen["columns"]["state"][-1] == "paused"
        )
        server.stop(9)

    columns = seen["columns"]
    assert len({len(column) for column in columns.values()}) == 1
    assert (count(seen, "submitted"), count(seen, "started")) == (5, 4)
    assert (columns["waiting"][-1], columns["eligible"][-1], columns["limit"][-1]) == (1, 0, 3)
    assert [mark["what"] for mark in seen["marks"]] == ["opened", "paused"]

    with ServerProcess(store) as server:
        again = until(lambda: history(server, "seen"), lambda seen: count(seen, "failed") == 4)

    assert (count(again, "submitted"), count(again, "started")) == (5, 4)
    assert again["columns"]["waiting"][-1] == 1
    assert [mark["what"] for mark in again["marks"]] == ["opened", "paused"]


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log.db") as server:
        url = f"{server.url}/v1/gates"
        httpx.put(f"{url}/g")

        assert httpx.get(f"{url}/none/history").status_code == 404
        for query in (
            "step=10ms",
            "step=2h",
            "since=soon",
            "since=1h&until=2h",
            "since=3h&step=1s",
        ):
            assert httpx.get(f"{url}/g/history?{query}").status_code == 422, query
