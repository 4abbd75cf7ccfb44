"""Alerts of a server process: over REST, as a metric, as a command, as a signed webhook."""

import json
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from taskmaster.client import Client, RetryRules, Submission
from tests.integration.server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.slow
REFUSES = "http://127.0.0.1:9/"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU"


class Hooks(ThreadingHTTPServer):
    """Takes webhooks."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], str]] = []
        taken = self.taken

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its base's
                pass

        super().__init__(("127.0.0.1", 0), Take)


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    server = Hooks()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def until(answer: Callable[[], Any]) -> Any:
    deadline = monotonic() + 40
    while not (found := answer()):
        assert monotonic() < deadline
    return found


def test_a_dead_letter_is_told_everywhere(
    tmp_path: Path, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "taskmaster.toml"
    config.write_text(
        f'[alerts]\nwebhook_url = "http://127.0.0.1:{hooks.server_port}/hook"\n'
        f'[signing]\ntaskmaster-alerts = "{SECRET}"\n'
    )
    monkeypatch.chdir(tmp_path)
    with ServerProcess(tmp_path / "log.db") as server:
        with Client(server.url) as client:
            client.set_gate("dying", {"alerts": {"dead_letters": 2}})
            for _ in range(2):
                client.submit(Submission(REFUSES, gate="dying", retry=RetryRules(max_attempts=1)))
        headers, body = until(lambda: hooks.taken and hooks.taken[0])
        alerts = httpx.get(f"{server.url}/v1/alerts", timeout=30).json()
        metrics = httpx.get(f"{server.url}/metrics", timeout=30).text
        listed = subprocess.run(
            [*COMMAND, "alert", "list"],
            env=environment(TASKMASTER_URL=server.url),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    verified = Webhook(SECRET).verify(body, headers)
    assert verified == json.loads(body)
    assert (verified["type"], verified["gate"]) == ("alert.raised", "dying")
    assert (verified["alert"], verified["detail"]) == ("dead_letters", "2 new dead letters")
    assert [(one["gate"], one["alert"]) for one in alerts["items"]] == [("dying", "dead_letters")]
    assert alerts["items"][0]["id"] == verified["alert_id"]
    assert [one["what"] for one in alerts["recent"]] == ["raised"]
    assert 'taskmaster_alert{alert="dead_letters",gate="dying"} 1.0' in metrics
    assert "dead_letters" in listed


def test_thresholds_are_set_for_each_gate_and_kept(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "log.db") as server:
        url = f"{server.url}/v1/gates/g"
        made = httpx.put(url, json={"alerts": {"tripped": "2m", "dead_letters": 0}}).json()
        changed = httpx.patch(url, json={"alerts": {"window": "1h", "tripped": None}}).json()
        refused = httpx.patch(url, json={"alerts": {"window": "0s"}})

    assert made["alerts"] == {
        "oldest_eligible": "5m",
        "tripped": "2m",
        "ramp_failures": 3,
        "dead_letters": 0,
        "window": "10m",
        "unattended": "24h",
    }
    assert changed["alerts"] == made["alerts"] | {"window": "1h", "tripped": "5m"}
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/alerts/window")


def test_a_webhook_that_may_not_be_called_stops_the_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "serve", "--store", str(tmp_path / "log.db"), "--port", "0"],
        env=environment(TASKMASTER_ALERTS__WEBHOOK_URL="http://169.254.169.254/hook"),
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode != 0
    assert "alerts.webhook_url" in done.stderr
