"""The store takes nothing for a while: disk full, database locked.

Submissions get 503 with Retry-After within 2 s, nothing is lost, nothing is sent without its
durable start, and work resumes by itself (issue: bad input and faults; semantics 2.1, 2.2).
"""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.harness.load import Submission
from tests.faults.harness.rig import Rig

ANSWER_S = 2
DISK_BYTES = 8 * 1024 * 1024
pytestmark = pytest.mark.slow


async def _is_refused(rig: Rig, deadline_s: float = 30) -> None:
    """Wait for the store to be away; then each answer is a prompt 503."""

    def is_refused() -> bool:
        if not rig.load.unanswered:
            rig.load.ask(Submission(f"ask{rig.load.made}", rig.gates[0].name, "/0"))
        return rig.load.refused > 0

    await rig.until("a submission is refused", is_refused, deadline_s)
    document = {"url": f"{rig.endpoint.url}/0", "gate": rig.gates[0].name, "key": "asked-alone"}
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=rig.url, trust_env=False) as client:
        response = await client.post("/v1/tasks", json=document)
    took = time.monotonic() - began
    assert response.status_code == 503, response.text
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert took < ANSWER_S, f"answered after {took:.1f} s"


def _stays_quiet(rig: Rig) -> None:
    assert rig.server is not None
    assert rig.server.process.poll() is None, rig.server.said
    assert "Traceback" not in rig.server.said, rig.server.said


async def test_a_locked_database_is_waited_for(rig: Rig) -> None:
    """As a backup by another program locks it: for 4 s."""
    await rig.start()
    rig.load.begin()
    await rig.sent(50)
    other = sqlite3.connect(rig.store, isolation_level=None, timeout=5)
    other.execute("BEGIN EXCLUSIVE")
    locked_at = time.monotonic()

    await _is_refused(rig)
    await rig.until("4 s have passed", lambda: time.monotonic() - locked_at > 4)
    other.execute("ROLLBACK")
    other.close()

    await rig.sent(50, deadline_s=5)
    await rig.finish()
    _stays_quiet(rig)


class Disk:
    """A small disk in a mount namespace of its own, which goes with the process that holds it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.store = folder / "log.db"
        mount = f"mount -t tmpfs -o size={DISK_BYTES} tmpfs '{folder}' && echo mounted && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mount],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"mounted\n":
            self.close()
            pytest.skip("this machine allows no mount of a small disk")
        self.prefix = ["nsenter", "--mount", f"--target={self._holder.pid}"]
        self._filler = Path(f"/proc/{self._holder.pid}/root{folder}/filler")
        self._copy = folder.parent / "copy.db"

    def fill(self) -> None:
        """Take all the space there is, to the last byte."""
        with self._filler.open("wb", buffering=0) as out:
            for size in (65_536, 4_096, 1):
                try:
                    while out.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()

    def copy(self) -> Path:
        """The log as it stands, copied out to where it can be read: SQLite finds no way through
        /proc/PID/root."""
        self._copy.unlink(missing_ok=True)
        program = (
            "import sqlite3, sys\n"
            "source = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n"
            "source.backup(sqlite3.connect(sys.argv[2]))"
        )
        copying = [*self.prefix, sys.executable, "-c", program, self.store, self._copy]
        subprocess.run(copying, check=True, timeout=30)
        return self._copy

    def close(self) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait(10)
        self._holder.stdout.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("there is no unshare and nsenter here")
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


async def _start_on(rig: Rig, disk: Disk) -> None:
    rig.store, rig.view = disk.store, disk.copy
    assert await rig.start(prefix=disk.prefix)


async def test_a_full_disk_refuses_and_resumes_when_there_is_space(rig: Rig, disk: Disk) -> None:
    await _start_on(rig, disk)
    rig.load.begin()
    await rig.sent(100)

    disk.fill()
    await _is_refused(rig)
    await rig.until("the endpoint hears nothing more", _quiet(rig))
    rig.check()
    _stays_quiet(rig)
    disk.free()

    await rig.sent(100)
    await rig.finish()
    _stays_quiet(rig)
    await rig.close()


async def test_a_kill_on_a_full_disk_loses_nothing(rig: Rig, disk: Disk) -> None:
    """Nor does a start while it is still full, which may fail but not with a traceback."""
    await _start_on(rig, disk)
    rig.load.begin()
    await rig.sent(100)
    disk.fill()
    await _is_refused(rig)
    rig.kill()

    await rig.start(prefix=disk.prefix)
    assert rig.server is not None
    assert "Traceback" not in rig.server.said, rig.server.said
    rig.kill()
    disk.free()

    await _start_on(rig, disk)
    await rig.sent(50)
    await rig.finish()
    await rig.close()


async def test_a_program_that_opens_and_closes_the_log_takes_nothing_away(rig: Rig) -> None:
    """SQLite deletes the WAL with the last connection to a log; a living server must count as
    one, or what it acknowledges from then on goes to a file without a name."""
    await rig.start()
    rig.load.begin()
    await rig.sent(20)
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('SELECT count(*) FROM stored_events').fetchone()\n"
        "connection.close()"
    )

    subprocess.run([sys.executable, "-c", program, rig.store], check=True, timeout=30)

    await rig.sent(20)
    rig.kill()
    await rig.start()
    await rig.finish()


def _quiet(rig: Rig) -> Callable[[], bool]:
    """Whether nothing has come for a second: what was started durably is sent, nothing else."""
    last = [len(rig.endpoint.requests), time.monotonic()]

    def quiet() -> bool:
        count = len(rig.endpoint.requests)
        if count != last[0]:
            last[0], last[1] = count, time.monotonic()
        return time.monotonic() - last[1] > 1

    return quiet
