"""The test's side of the model endpoint: its process, and what it has recorded."""

import subprocess
import sys
from pathlib import Path

from msgspec import Struct

from tests.faults.harness.until import ROOT, ended


class Request(Struct):
    """One request as the endpoint saw it; instants are of the machine's monotonic clock."""

    came_at: int
    task: str
    attempt: int
    gate: str
    key: str
    answered_at: int = 0
    status: int = 0
    lost_at: int = 0

    @property
    def over_at(self) -> int:
        """When it was answered or given up; 0 while it is open."""
        return self.answered_at or self.lost_at


class Stall(Struct, frozen=True):
    """The machine kept the endpoint itself waiting."""

    at: int
    late_ns: int


class Endpoint:
    """A process on loopback; its record grows while it lives."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "endpoint.record"
        self._record.touch()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness.endpoint_process", str(self._record)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._read_bytes = 0
        self._by_number: dict[str, Request] = {}
        self.stalls: list[Stall] = []
        self.succeeded: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """All so far, in the order in which they came."""
        self._read()
        return list(self._by_number.values())

    def has_answered(self) -> int:
        """How many tasks got a 200 so far."""
        self._read()
        return len(self.succeeded)

    def _read(self) -> None:
        with self._record.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self._read_bytes += whole
        for line in data[:whole].decode().splitlines():
            self._fold(line.split(" "))

    def _fold(self, fields: list[str]) -> None:
        match fields:
            case ["A", at, number, task, attempt, gate, key]:
                self._by_number[number] = Request(int(at), task, int(attempt), gate, key)
            case ["D", at, number, status]:
                request = self._by_number[number]
                request.answered_at, request.status = int(at), int(status)
                if request.status == 200:
                    self.succeeded.add(request.task)
            case ["L", at, number]:
                self._by_number[number].lost_at = int(at)
            case ["W", at, late_ns]:
                self.stalls.append(Stall(int(at), int(late_ns)))
            case _:
                raise AssertionError(f"unknown record {fields}")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        ended(self._process)
        self._process.stdout.close()
