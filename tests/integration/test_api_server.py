"""A server process over a socket: what only raw bytes can say, streams both ways, its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

SERVE = """
import sys
from taskmaster.api.server import serve
from taskmaster.settings import load
sys.exit(serve(load(dict(a.split("=") for a in sys.argv[1:])).settings))
"""
LINE = re.compile(r"listening on http://[^:]+:(\d+)")
START_S = 30.0


class Process:
    """A server of its own."""

    def __init__(self, store: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, f"store={store}", "http.port=0"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert self.process.stderr is not None
        found = LINE.search(self.process.stderr.readline())
        assert found is not None
        self.port = int(found[1])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        """The line is written when the address is bound, a moment before it is listened to."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                self.client.get("/healthz")
            except httpx.ConnectError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("the server does not answer")

    def raw(self, request: bytes, *, then: bytes = b"") -> bytes:
        """Everything that is answered to some bytes, up to the connection's end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            answer = b""
            try:
                if then:
                    connection.sendall(then)
                while chunk := connection.recv(65_536):
                    answer += chunk
            except ConnectionError:
                pass  # closed while we were still sending: what was answered counts
            return answer

    def position(self) -> int:
        """Where the log stands."""
        text = self.client.get("/v1/events?limit=1000").json()
        return int(text["items"][-1]["position"])

    def stop(self) -> int:
        """The exit code after SIGTERM; a process that does not obey is killed."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for the tests that leave it as it was."""
    process = Process(tmp_path_factory.mktemp("server") / "t.db")
    process.client.put("/v1/gates/g", json={})
    yield process
    assert process.stop() == 0


HEAD = b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY = b'{"url":"http://127.0.0.1:9/","delay":"1h","gate":"g"}'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "then", "status"),
    [
        (HEAD + JSON + b"Content-Length: 99999999999\r\n\r\n", b"", 413),
        (HEAD + JSON + b"Content-Length: -1\r\n\r\n", b"", 400),
        (HEAD + JSON + b"Content-Length: x\r\n\r\n", b"", 400),
        (
            HEAD + JSON + b"Transfer-Encoding: chunked\r\n\r\n",
            b"100000\r\n" + b" " * 0x100000 + b"\r\n" + b"100001\r\n" + b" " * 0x100001 + b"\r\n",
            413,
        ),
        (HEAD + b"X: " + b"y" * 40_000 + b"\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}", b"", 431),
        (HEAD + b"X-Y: a\x00b\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}", b"", 400),
        (b"\x16\x03\x01\x02\x00garbage\r\n\r\n", b"", 400),
        (b"POST /v1/tasks HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", b"", 421),
        (HEAD.replace(b"localhost", b"evil.example") + b"Content-Length: 2\r\n\r\n{}", b"", 421),
        (HEAD + b"Origin: https://evil.example\r\nContent-Length: 2\r\n\r\n{}", b"", 403),
    ],
)
def test_hostile_bytes_are_refused_and_nothing_is_stored(
    server: Process, request_: bytes, then: bytes, status: int
) -> None:
    position = server.position()

    answer = server.raw(request_, then=then)

    assert answer.split(b" ", 2)[1] == str(status).encode()
    assert b"Traceback" not in answer
    assert server.position() == position


@pytest.mark.slow
def test_a_refused_large_body_is_not_waited_for(server: Process) -> None:
    """413 comes from the length that is declared, before the body does."""
    began = time.monotonic()

    answer = server.raw(HEAD + JSON + b"Content-Length: 40000000\r\n\r\n" + b" " * 1_000)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"request_id" in answer
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_caller_that_sends_on_sees_why_it_was_refused(server: Process) -> None:
    """33 MiB where 32 are taken, and 9 MiB where 2 are: the answer arrives, not a reset."""
    batch = server.client.post(
        "/v1/tasks:batchCreate",
        content=b"[" + b" " * (33 * 1024 * 1024) + b"]",
        headers={"Content-Type": "application/json"},
    )
    single = server.client.post(
        "/v1/tasks",
        content=(b" " * 1_000_000 for _ in range(9)),
        headers={"Content-Type": "application/json"},
    )

    assert (batch.status_code, single.status_code) == (413, 413)


@pytest.mark.slow
def test_a_response_to_head_has_no_body(server: Process) -> None:
    response = server.client.head("/v1/gates/g")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["etag"]


@pytest.mark.slow
def test_lines_stream_both_ways_over_one_connection(server: Process) -> None:
    """Each line is answered before the next is sent."""
    line = json.dumps(json.loads(BODY)).encode() + b"\n"
    head = (
        b"POST /v1/tasks:batchCreate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        answer = b""
        for index in range(3):
            connection.sendall(b"%x\r\n%b\r\n" % (len(line), line))
            while b'"index":%d,' % index not in answer:
                answer += connection.recv(65_536)
        connection.sendall(b"0\r\n\r\n")
        while chunk := connection.recv(65_536):
            answer += chunk

    assert answer.count(b'"status":201') == 3
    assert answer.endswith(b"0\r\n\r\n")


@pytest.mark.slow
def test_a_caller_that_sends_all_before_reading_is_served(server: Process) -> None:
    line = json.dumps({"url": "http://127.0.0.1:9/", "delay": "1h", "gate": "g"})
    lines = "\n".join([line] * 20_000)

    response = server.client.post(
        "/v1/tasks:batchCreate", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )

    assert response.text.count('"status":201') == 20_000


@pytest.mark.slow
def test_a_server_with_open_streams_ends_by_itself(tmp_path: Path) -> None:
    """An SSE reader does not keep the process alive; the exit code is 0."""
    process = Process(tmp_path / "t.db")
    try:
        with process.client.stream("GET", "/v1/events:stream?after=0") as response:
            lines = response.iter_lines()
            first = next(lines)
            process.process.send_signal(signal.SIGTERM)
            rest = list(lines)
        code = process.process.wait(30)
    finally:
        process.stop()

    assert (first, code) == ("id: 1", 0)
    assert all("error" not in line for line in rest)


@pytest.mark.slow
def test_a_server_refuses_to_listen_beyond_this_machine_without_a_key(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE, f"store={tmp_path / 't.db'}", "http.host=0.0.0.0"],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert done.returncode != 0
    assert "taskmaster key create" in done.stderr
    assert not (tmp_path / "t.db").exists()
