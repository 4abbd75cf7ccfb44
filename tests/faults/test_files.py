"""Files that are not for us: one line that says what, where and what to do; never a traceback.

And the file is left as it was found.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

from tests.faults.harness.rig import Rig
from tests.faults.harness.server import Server

REFUSED = 1
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Root without the right to pass over permissions."""
pytestmark = pytest.mark.slow


async def _refusal(store: Path, folder: Path, prefix: Sequence[str] = ()) -> str:
    """What a server says that cannot use a file: one line, exit code 1."""
    server = Server(store, folder / "refused.stderr", prefix=prefix)
    code = await server.exit_code()
    assert code == REFUSED, server.said
    lines = server.said.splitlines()
    assert len(lines) == 1, server.said
    assert lines[0].startswith("error: "), lines
    return lines[0]


async def _made(rig: Rig) -> Path:
    """A log with some events, closed by a kill: its WAL lies beside it."""
    await rig.start()
    rig.load.begin()
    await rig.sent(50)
    assert rig.server is not None
    rig.server.kill()
    rig.load.server_is_down()
    return rig.store


async def test_a_second_process_is_refused_and_the_first_goes_on(rig: Rig) -> None:
    await rig.start()
    rig.load.begin()
    await rig.sent(20)
    assert rig.server is not None

    said = await _refusal(rig.store, rig.folder)

    assert f"is in use by process {rig.server.pid}" in said
    assert httpx.get(f"{rig.url}/healthz", trust_env=False).status_code == 200
    await rig.sent(20)
    await rig.finish()
    assert "Traceback" not in rig.server.said


def _text(path: Path) -> None:
    path.write_text("this is a diary, not a log\n" * 400)


def _short_text(path: Path) -> None:
    path.write_text("x")


def _other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name)")
        connection.execute("INSERT INTO customers VALUES ('someone')")
    connection.close()


def _header_only(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\x10\x00\x01\x01")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_text, "is not a log of taskmaster"),
        (_short_text, "is not a log of taskmaster"),
        (_other_program, "a database of another program"),
        (_header_only, "is cut off after 20 bytes"),
    ],
)
async def test_a_foreign_file_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "foreign.db"
    make(path)
    before = hashlib.sha256(path.read_bytes()).digest()

    said = await _refusal(path, tmp_path)

    assert words in said
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "refused.stderr") in (
        ["foreign.db"],
        ["foreign.db", "foreign.db.lock"],
    )


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
async def test_a_log_that_is_cut_off_is_refused(rig: Rig, share: float) -> None:
    """As after a copy that ran out of space. Cut to whole pages or not, it is never half used."""
    store = await _made(rig)
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    os.truncate(store, int(store.stat().st_size * share))

    said = await _refusal(store, rig.folder)

    assert str(store) in said


async def test_a_log_of_a_newer_version_is_refused(rig: Rig) -> None:
    store = await _made(rig)
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()

    said = await _refusal(store, rig.folder)

    assert "has schema version 999" in said
    assert "upgrade taskmaster" in said


async def test_a_directory_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    said = await _refusal(folder, tmp_path)

    assert str(folder) in said


async def test_a_file_in_no_directory_is_refused(tmp_path: Path) -> None:
    said = await _refusal(tmp_path / "nowhere" / "log.db", tmp_path)

    assert "nowhere" in said


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_a_file_that_may_not_be_written_is_refused(rig: Rig, what: str) -> None:
    made = await _made(rig)
    folder = rig.folder / "sealed"
    folder.mkdir()
    store = made.rename(folder / made.name)
    for part in rig.folder.glob("log.db-*"):
        part.rename(folder / part.name)
    if what == "file":
        store.chmod(0o444)
    else:
        folder.chmod(0o555)

    said = await _refusal(store, rig.folder, AS_OTHERS if os.getuid() == 0 else ())

    folder.chmod(0o755)
    assert str(store) in said
