"""What a server process counts of what it commits, scraped over a socket."""

from collections.abc import Iterator

import httpx
import pytest

from taskmaster.client import Client, RetryRules, Submission
from tests.integration.server_process import ServerProcess

pytestmark = pytest.mark.slow
REFUSES = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("metrics") / "log.db") as running:
        yield running


def scraped(server: ServerProcess) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_attempts_and_commits_are_counted(server: ServerProcess) -> None:
    with Client(server.url) as client:
        client.set_gate("counted", {})
        tasks = [
            client.submit(Submission(REFUSES, gate="counted", retry=RetryRules(max_attempts=1)))
            for _ in range(3)
        ]
        ends = [client.wait(one.task.id, timeout_s=20).state for one in tasks]

    seen = scraped(server)

    assert ends == ["dead"] * 3
    assert seen['taskmaster_attempts_total{gate="counted",outcome="refused"}'] == 3
    assert seen['taskmaster_attempt_duration_seconds_count{gate="counted"}'] == 3
    commits = seen["taskmaster_journal_commit_seconds_count"]
    assert 0 < commits <= seen["taskmaster_journal_batch_events_sum"]
    assert seen["taskmaster_journal_batch_events_count"] == commits
    assert seen["taskmaster_log_position"] == seen["taskmaster_journal_batch_events_sum"] + 1
