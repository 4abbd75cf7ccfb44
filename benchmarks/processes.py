"""The processes beside a benchmark: the sink, the real server, the bare one; what they use.

Rules of residence: starts and ends processes and reads /proc; measures nothing itself.
"""

import os
import re
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import httpx

ROOT = Path(__file__).resolve().parents[1]
LISTENING = re.compile(r"listening on (http://\S+)")
START_S = 120
END_S = 60
MB = 1_000_000


class Process:
    """A process that says `listening on URL` on stderr, until the end of a `with`."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self._stderr = folder / f"{time.monotonic_ns()}.stderr"
        self.began_at = time.time_ns()
        with self._stderr.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                stdout=subprocess.DEVNULL,
                stderr=file,
                cwd=folder,  # no taskmaster.toml there
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        try:
            self.url = self._listening()
        except BaseException:
            self.process.kill()
            raise

    def _listening(self) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            said = self._stderr.read_text("utf-8", "replace")
            found = LISTENING.search(said)
            if found is not None:
                return found[1]
            if self.process.poll() is not None:
                raise SystemExit(f"{self.process.args} ended: {said}")
            time.sleep(0.005)
        raise SystemExit(f"{self.process.args} does not listen after {START_S} s")

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Resident now."""
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        """Resident at most so far."""
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024 / MB

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Arrivals(NamedTuple):
    """What came to the sink since it was last asked; `first_at` is 0 when nothing did."""

    arrived: int
    first_at: int
    late_ns: Sequence[int]


class Sink(Process):
    """An endpoint that answers everything with 200."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ["-c", "from benchmarks.sink import serve; serve()"])

    def take(self) -> Arrivals:
        """What came since the last time; see `sink.py` for the paths that it looks at."""
        numbers = array("q", httpx.get(f"{self.url}/take", timeout=30).content)
        return Arrivals(numbers[0], numbers[1], numbers[2:])


class Server(Process):
    """The real one, as the command line starts it."""

    def __init__(self, folder: Path, store: Path) -> None:
        serve = ["-m", "taskmaster.cli.main", "serve", "--store", str(store)]
        super().__init__(folder, [*serve, "--host", "127.0.0.1", "--port", "0"])

    def call(self, method: str, path: str, json: object = None) -> None:
        """A request that must be granted."""
        httpx.request(method, self.url + path, json=json, timeout=60).raise_for_status()
