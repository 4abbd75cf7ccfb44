"""The SQLite store passes the suite of every store, in memory and in a file."""

import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError

from taskmaster.errors import (
    OwnershipLostError,
    StoreUnavailableError,
    UnknownTopicError,
    UnreadableEventError,
)
from taskmaster.events.codec import CODEC, to_stored_event
from taskmaster.events.log import Committed, NotStored, TaskFilter, Unknown, VersionConflict
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.sqlite_read import SQLiteReader
from taskmaster.events.types import (
    Mono,
    NodeId,
    NodeStarted,
    NodeStopped,
    Position,
    Request,
    Stream,
    TaskId,
    Version,
    node_stream,
)
from tests.suites.event_log import EventLogSuite, Log
from tests.suites.facts import (
    GATE,
    URL,
    append,
    of_gate,
    of_task,
    opened,
    started,
    submission,
    submitted,
    succeeded,
    wall,
)

ALL = TaskFilter()


class TestMemory(EventLogSuite):
    @contextmanager
    def new_log(self) -> Generator[Log]:
        with SQLiteStore.open(":memory:") as store:
            yield Log(store, store.reader())


class TestFile(EventLogSuite):
    examples = 8

    @contextmanager
    def new_log(self) -> Generator[Log]:
        with (
            TemporaryDirectory() as folder,
            SQLiteStore.open(Path(folder) / "log.db") as store,
            store.reader() as reader,
        ):
            yield Log(store, reader)


@pytest.fixture
def store(tmp_path: Path) -> Generator[SQLiteStore]:
    with SQLiteStore.open(tmp_path / "log.db") as store:
        yield store


def ask(store: SQLiteStore, sql: str) -> Any:
    """One value from the writer's own connection."""
    with store.datastore.connection(write=True) as connection:
        row = connection.execute(sql).fetchone()
    return None if row is None else row[0]


# --- durability


def test_a_commit_is_synced_before_it_is_answered(store: SQLiteStore) -> None:
    """Semantics 2.1: WAL with synchronous=FULL (2); memory stays bounded."""
    assert ask(store, "PRAGMA journal_mode") == "wal"
    assert ask(store, "PRAGMA synchronous") == 2
    assert ask(store, "PRAGMA mmap_size") == 0
    assert ask(store, "PRAGMA cache_size") == -32 * 1024
    with store.reader() as reader, reader.datastore.connection(write=False) as connection:
        assert connection.execute("PRAGMA cache_size").fetchone()[0] == -16 * 1024


def test_a_reader_cannot_write(store: SQLiteStore) -> None:
    with (
        store.reader() as reader,
        reader.datastore.connection(write=False) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM stored_events")


def test_a_position_is_never_used_again(store: SQLiteStore) -> None:
    store.commit([submission("a"), submission("b")])
    with store.datastore.connection(write=True) as connection:
        connection.execute("DELETE FROM stored_events WHERE position = 2")

    assert store.commit([submission("c")]) == [Committed(Position(3))]


def test_an_event_says_in_which_epoch_it_was_written(tmp_path: Path) -> None:
    for task_id in ("a", "b"):
        with SQLiteStore.open(tmp_path / "log.db") as store:
            store.commit([submission(task_id)])

    with sqlite3.connect(tmp_path / "log.db") as connection:
        rows = connection.execute("SELECT originator_id, shard, epoch FROM stored_events")
        assert rows.fetchall() == [("task-a", 0, 1), ("task-b", 0, 2)]


def test_a_commit_of_an_older_epoch_is_refused(store: SQLiteStore) -> None:
    """The lock file was taken away, and another process opened the log."""
    with store.datastore.connection(write=True) as connection:
        connection.execute("UPDATE owner SET epoch = epoch + 1")

    with pytest.raises(OwnershipLostError, match="epoch 1 of the log has ended; it is 2 now"):
        store.commit([submission("a")])

    assert ask(store, "SELECT count(*) FROM stored_events") == 0


# --- a store that says no


def test_of_a_batch_that_finds_no_room_nothing_is_stored(store: SQLiteStore) -> None:
    """Hard spot 3: known not stored, and work goes on when there is room again."""
    store.commit([of_gate(GATE, 0, opened())])
    pages = ask(store, "PRAGMA page_count")
    ask(store, f"PRAGMA max_page_count = {pages + 2}")
    big = Request(URL, body=b"x" * 100_000)

    refused = store.commit([submission("a"), submission("b", request=big)])

    assert refused == NotStored("database or disk is full")
    with store.reader() as reader:
        assert reader.position() == 1
        assert reader.check_index() == []
    ask(store, "PRAGMA max_page_count = 1000000")
    accepted = store.commit([submission("a"), submission("b", request=big)])
    assert accepted == [Committed(Position(2)), Committed(Position(3))]


@pytest.mark.slow
def test_a_batch_that_finds_the_log_locked_is_not_stored(
    store: SQLiteStore, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    refused = store.commit([submission("a")])

    assert refused == NotStored("database is locked")
    other.execute("ROLLBACK")
    other.close()
    assert store.commit([submission("a")]) == [Committed(Position(1))]


class FailingCommit:
    """A connection whose COMMIT fails as SQLite's does when a sync fails."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self._connection = connection
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, params: Any = ()) -> Any:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, params)


@contextmanager
def failing_commit(store: SQLiteStore, code: int) -> Generator[None]:
    """Every COMMIT of the store fails with SQLite's `code`."""
    pool = store.datastore.pool
    connection: Any = pool.get_connection()
    bare = connection.bare
    connection.bare = FailingCommit(bare, code)
    pool.put_connection(connection)
    yield
    connection.bare = bare


@pytest.mark.parametrize(
    ("code", "known"),
    [(sqlite3.SQLITE_IOERR_FSYNC, False), (sqlite3.SQLITE_FULL, True), (sqlite3.SQLITE_BUSY, True)],
)
def test_only_an_io_error_at_commit_leaves_open_what_is_stored(
    store: SQLiteStore, code: int, known: bool
) -> None:
    """Hard spot 3. After an unknown outcome the store takes nothing more."""
    with failing_commit(store, code):
        result = store.commit([submission("a")])

    after = store.commit([submission("b")])
    if known:
        assert result == NotStored("disk I/O error")
        assert after == [Committed(Position(1))]
    else:
        assert result == Unknown("disk I/O error")
        assert isinstance(after, Unknown)


def test_a_batch_that_was_not_stored_leaves_no_trace_in_the_cache(store: SQLiteStore) -> None:
    store.commit([of_gate(GATE, 0, opened()), submission("a")])
    with failing_commit(store, sqlite3.SQLITE_FULL):
        refused = store.commit([of_task("a", 1, started(tats=(Mono(5),)))])

    assert isinstance(refused, NotStored)
    ahead = store.commit([of_task("a", 2, succeeded())])
    assert ahead == [VersionConflict(Stream("task-a"), Version(1))]
    assert store.commit([of_task("a", 1, started())]) == [Committed(Position(3))]
    with store.reader() as reader:
        assert reader.check_index() == []


def test_a_constraint_that_the_index_did_not_foresee_refuses_one_append(
    store: SQLiteStore,
) -> None:
    """The log knows a stream that the index does not: the log decides."""
    store.commit([submission("a"), submission("b")])
    with store.datastore.connection(write=True) as connection:
        connection.execute("DELETE FROM task WHERE id = 'a'")
    store._tables.forget()  # pyright: ignore[reportPrivateUsage]  # as after a restart

    results = store.commit([submission("c"), submission("a"), of_task("b", 1, started())])

    assert results == [
        Committed(Position(3)),
        VersionConflict(Stream("task-a"), Version(1)),
        Committed(Position(4)),
    ]
    with store.reader() as reader:
        assert reader.position() == 4
        row = reader.task_row(TaskId("b"))
        assert row is not None
        assert row.state == "in_flight"


# --- events that cannot be read


def poison(store: SQLiteStore, topic: str, state: bytes) -> None:
    with store.datastore.connection(write=True) as connection:
        connection.execute(
            "INSERT INTO stored_events VALUES (NULL, 'task-z', 1, ?, ?, 0, 1)", (topic, state)
        )


def test_a_topic_that_is_a_path_imports_nothing(
    store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own resolver would import it."""
    mark = tmp_path / "imported"
    (tmp_path / "poisoned_module.py").write_text(f"open({str(mark)!r}, 'w')\nclass Event: ...")
    poison(store, "poisoned_module:Event", b"{}")

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    with (
        store.reader() as reader,
        pytest.raises(UnknownTopicError, match=r"poisoned_module:Event.*position 1"),
    ):
        reader.events(after=Position(0))

    assert not mark.exists()


@pytest.mark.parametrize(
    "state",
    [b"", b"{", b"[]", b'{"at":1}', b"\xff\xfe", CODEC.encode(submitted())[1] + b",1", b"null"],
    ids=["empty", "cut", "array", "fields", "utf-8", "two", "null"],
)
def test_an_event_that_does_not_decode_is_named(store: SQLiteStore, state: bytes) -> None:
    store.commit([submission("a")])
    poison(store, "TaskSubmitted:1", state)

    with store.reader() as reader:
        with pytest.raises(UnreadableEventError, match="position 2 of the log, stream task-z"):
            reader.events(after=Position(0))
        assert reader.task_events(TaskId("a"))[0].event == submitted()


# --- the library's own ways


def test_the_library_reads_the_log(store: SQLiteStore) -> None:
    store.commit([submission("a"), of_task("a", 1, started()), submission("b")])

    with store.reader() as reader:
        events = reader.select_events("task-a", gt=1)
        notifications = reader.select_notifications(start=2, limit=10)
        filtered = reader.select_notifications(start=None, limit=10, topics=["AttemptStarted:1"])

        assert [event.topic for event in events] == ["AttemptStarted:1"]
        assert [one.id for one in notifications] == [2, 3]
        assert notifications[1].originator_id == "task-b"
        assert [one.id for one in filtered] == [2]
        assert reader.max_notification_id() == 3


def test_the_library_writes_to_the_log_and_the_index_follows(store: SQLiteStore) -> None:
    store.commit([submission("a")])
    events = [
        to_stored_event(Stream("task-a"), Version(2), started()),
        to_stored_event(Stream("task-b"), Version(1), submitted()),
    ]

    assert store.insert_events(events) == [2, 3]

    with store.reader() as reader:
        assert reader.check_index() == []
        assert [row.state for row in reader.task_rows(ALL)] == ["waiting", "in_flight"]
    with pytest.raises(IntegrityError):
        store.insert_events(events)
    assert store.commit([of_task("a", 2, succeeded())]) == [Committed(Position(4))]


# --- the index


def test_a_rebuild_gives_the_same_index_and_says_how_far_it_is(store: SQLiteStore) -> None:
    store.commit([of_gate(GATE, 0, opened()), submission("a", key="k", labels=(("x", "y"),))])
    store.commit([of_task("a", 1, started(tats=(Mono(7),)))])
    seen: list[tuple[Position, Position]] = []

    store.rebuild(lambda position, newest: seen.append((position, newest)))

    assert seen == [(3, 3)]
    with store.reader() as reader:
        assert reader.check_index() == []
    assert store.commit([of_task("a", 2, succeeded())]) == [Committed(Position(4))]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE task SET due_at = due_at + 1",
        "DELETE FROM task",
        "UPDATE gate SET waiting = 7",
        "INSERT INTO due_bucket VALUES ('ghost', 0, 1, 1)",
        "DELETE FROM key",
    ],
)
def test_a_check_finds_an_index_that_is_not_what_the_log_gives(
    store: SQLiteStore, damage: str
) -> None:
    store.commit([submission("a", key="k"), submission("b")])
    with store.datastore.connection(write=True) as connection:
        connection.execute(damage)

    with store.reader() as reader:
        (difference,) = reader.check_index()

    assert difference.table in damage
    assert difference.stored != difference.folded


def test_an_index_left_half_folded_is_folded_anew_at_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with SQLiteStore.open(path) as store:
        store.commit([submission(f"{n}") for n in range(5)])
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM task WHERE number > 2")
        connection.execute("INSERT INTO meta VALUES ('rebuilding', 1)")
    connection.close()

    with SQLiteStore.open(path) as store, store.reader() as reader:
        assert reader.check_index() == []
        assert len(reader.task_rows(ALL)) == 5


def test_an_index_of_another_version_is_folded_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with SQLiteStore.open(path) as store:
        store.commit([submission("a")])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 0 WHERE name = 'index_version'")
        connection.execute("DROP TABLE task")
    connection.close()

    with pytest.raises(StoreUnavailableError, match=r"index of .* is not of this version"):
        SQLiteReader.open(path)
    with SQLiteStore.open(path) as store, store.reader() as reader:
        assert reader.check_index() == []


# --- what a process asks when it opens the log


def test_a_new_process_learns_of_the_one_before(store: SQLiteStore) -> None:
    with store.reader() as reader:
        assert reader.newest_start() is None
        assert reader.newest_times() == (0, 0)
        before, after = (
            NodeStarted(
                at=wall(n), boot_id="b", anchor_ns=n, epoch=store.epoch, pid=n, software="1"
            )
            for n in (1, 2)
        )
        store.commit(
            [
                append(node_stream(NodeId("019a-1")), 0, before),
                append(node_stream(NodeId("019a-2")), 0, after, NodeStopped(at=wall(3))),
                submission("a"),
                of_task("a", 1, started(at=wall(4), slot_at=Mono(7)), succeeded(at=wall(5))),
            ]
        )

        assert reader.newest_start() == after
        assert reader.newest_times() == (wall(5), 7)
