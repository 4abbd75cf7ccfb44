"""Opening a log in a file: whose it is, who has it, and what a crash leaves."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from taskmaster.errors import ForeignFileError, StoreUnavailableError
from taskmaster.events.log import Committed
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.sqlite_read import SQLiteReader
from taskmaster.events.types import Position, TaskId
from tests.suites.facts import of_task, started, submission

ROOT = Path(__file__).parents[2]
NOBODY = 65_534
HOLDER = """
import sys
from taskmaster.events.sqlite import SQLiteStore
from tests.suites.facts import submission
store = SQLiteStore.open(sys.argv[1])
store.commit([submission("a")])
print(store.epoch, flush=True)
sys.stdin.read()
"""

COMMITTER = """
import sys
from itertools import count
from taskmaster.events.sqlite import SQLiteStore
from tests.suites.facts import of_task, started, submission
store = SQLiteStore.open(sys.argv[1])
print(store.epoch, flush=True)
for n in count():
    store.commit([submission(f"{n}-{m}", order_key="k") for m in range(20)])
    store.commit([of_task(f"{n}-{m}", 1, started()) for m in range(20)])
    print(n, flush=True)
"""


@contextmanager
def another_process(path: Path, program: str = HOLDER) -> Generator["subprocess.Popen[str]"]:
    """A process that has the log open; it has committed one task, if it is the holder."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def made(path: Path) -> Path:
    """A log with one task."""
    with SQLiteStore.open(path) as store:
        store.commit([submission("a")])
    return path


# --- making one


def test_a_new_log_is_readable_by_its_owner_alone(path: Path) -> None:
    """Requests may carry credentials."""
    with SQLiteStore.open(path) as store:
        store.commit([submission("a")])
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {0o600}


def test_an_empty_file_becomes_a_log(path: Path) -> None:
    path.touch()

    with SQLiteStore.open(path) as store:
        assert store.commit([submission("a")]) == [Committed(Position(1))]


def test_what_a_crash_left_of_a_log_in_the_making_is_made_anew(path: Path) -> None:
    path.with_name("log.db.new").write_bytes(b"SQLite format 3\x00 and half a page")

    with SQLiteStore.open(path) as store:
        assert store.commit([submission("a")]) == [Committed(Position(1))]
    assert not path.with_name("log.db.new").exists()


def test_a_log_that_is_not_there_is_not_made_unasked(path: Path) -> None:
    with pytest.raises(ForeignFileError, match="there is no log at"):
        SQLiteStore.open(path, create=False)
    with pytest.raises(ForeignFileError, match="there is no log at"):
        SQLiteReader.open(path)

    assert list(path.parent.iterdir()) == []


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="check that the directory is there"):
        SQLiteStore.open(tmp_path / "missing" / "log.db")


# --- whose it is


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!/bin/sh\necho hello\n" * 20, "is not a log of taskmaster"),
        (b"hello", "is not a log of taskmaster"),
        (b"SQLite format 3\x00" + b"\x10\x00", "is cut off after 18 bytes"),
        (b"SQLite format 3\x00" + b"\x00" * 9_000, "is damaged or cut off"),
    ],
    ids=["script", "short", "cut", "zeros"],
)
def test_a_foreign_file_is_refused_and_left_as_it_is(
    path: Path, content: bytes, message: str
) -> None:
    path.write_bytes(content)

    for opening in (SQLiteStore.open, SQLiteReader.open):
        with pytest.raises(ForeignFileError, match=message) as refusal:
            opening(path)
        assert refusal.value.remedy
        assert "\n" not in str(refusal.value)

    assert path.read_bytes() == content


def test_another_program_s_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE stored_events (x)")
    connection.close()
    before = path.read_bytes()

    for opening in (SQLiteStore.open, SQLiteReader.open):
        with pytest.raises(ForeignFileError, match="database of another program"):
            opening(path)

    assert path.read_bytes() == before


def test_a_log_of_a_newer_version_is_refused(path: Path) -> None:
    with sqlite3.connect(made(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()

    for opening in (SQLiteStore.open, SQLiteReader.open):
        with pytest.raises(ForeignFileError, match=r"schema version 2.* up to 1; upgrade"):
            opening(path)


def test_a_log_that_is_cut_off_is_refused(path: Path) -> None:
    size = made(path).stat().st_size
    os.truncate(path, size // 2 // 4096 * 4096)

    for opening in (SQLiteStore.open, SQLiteReader.open):
        with pytest.raises(ForeignFileError, match="is damaged or cut off"):
            opening(path)


# --- who has it


def test_a_second_process_is_refused_and_told_who_has_the_log(path: Path) -> None:
    with another_process(path) as process:
        with pytest.raises(
            StoreUnavailableError, match=f"log.db is in use by process {process.pid}"
        ):
            SQLiteStore.open(path)

        with SQLiteReader.open(path) as reader:
            assert reader.position() == 1


def test_a_second_way_to_the_same_file_is_refused_too(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with SQLiteStore.open(path):
        for way in (path, link):
            with pytest.raises(StoreUnavailableError, match=f"by process {os.getpid()}"):
                SQLiteStore.open(way)


def test_a_refused_opening_leaves_the_epoch_alone(path: Path) -> None:
    with SQLiteStore.open(path) as store:
        with pytest.raises(StoreUnavailableError):
            SQLiteStore.open(path)
        assert store.commit([submission("a")]) == [Committed(Position(1))]


def test_after_a_kill_the_log_is_whole_and_free(path: Path) -> None:
    """Semantics 2.1: what was answered is there after `kill -9`."""
    with another_process(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()

        with SQLiteReader.open(path) as reader:  # before anyone recovers the WAL by writing
            assert reader.task_row(TaskId("a")) is not None
        with SQLiteStore.open(path) as store, store.reader() as reader:
            assert store.epoch == 2
            assert store.commit([of_task("a", 1, started())]) == [Committed(Position(2))]
            assert reader.check_index() == []


def test_what_was_answered_before_a_kill_is_there_and_indexed(path: Path) -> None:
    """Semantics 2.1, killed in the middle of a commit more often than not."""
    with another_process(path, COMMITTER) as process:
        assert process.stdout is not None
        answered = [int(process.stdout.readline()) for _ in range(30)]
        process.kill()
        answered += [int(line) for line in process.stdout.read().split()]

    with SQLiteStore.open(path) as store, store.reader() as reader:
        assert reader.position() >= 40 * len(answered)
        assert reader.position() % 20 == 0
        assert reader.check_index() == []


def test_a_reader_sees_each_commit_and_holds_nobody_up(path: Path) -> None:
    with SQLiteStore.open(path) as store, SQLiteReader.open(path) as reader:
        for count in range(1, 4):
            store.commit([submission(f"{count}")])
            assert reader.position() == count
            assert store.rebuild() is None


@contextmanager
def anybody() -> Generator[None]:
    """Without root's right to write anywhere, where this is root."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_log_that_may_not_be_written_is_refused() -> None:
    with TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o777)
        path = made(folder / "log.db")
        path.chmod(0o444)
        (folder / "log.db.lock").chmod(0o666)

        with anybody(), pytest.raises(StoreUnavailableError, match="cannot be written"):
            SQLiteStore.open(path)


def test_a_path_with_odd_characters_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "what? 50% #1 ü.db"

    with SQLiteStore.open(path) as store, store.reader() as reader:
        store.commit([submission("a")])
        assert reader.position() == 1

    assert path.exists()
