"""What PostgreSQL's store promises beyond the suite: one owner, no guess, back by itself."""

import threading
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from urllib.parse import quote

import psycopg
import pytest

from taskmaster.errors import (
    ForeignFileError,
    InvalidFieldError,
    OwnershipLostError,
    StoreUnavailableError,
)
from taskmaster.events.codec import to_stored_event
from taskmaster.events.log import (
    AppendResult,
    Committed,
    NotStored,
    Unknown,
    VersionConflict,
)
from taskmaster.events.postgres import PostgresStore
from taskmaster.events.postgres_connection import Address
from taskmaster.events.postgres_days import first_id
from taskmaster.events.postgres_migrate import inspect, migrate
from taskmaster.events.postgres_read import PostgresReader
from taskmaster.events.postgres_schema import MIGRATIONS, POSITION_BITS
from taskmaster.events.types import (
    GateName,
    Position,
    Stream,
    TaskId,
    TaskRescheduled,
    Version,
)
from tests.cutting_proxy import Cut, CuttingProxy
from tests.postgres_server import Postgres
from tests.suites.facts import GATE, of_gate, of_task, opened, started, submission, submitted, wall

SOON_S = 2.0
"""Within which a caller hears that the store is away (semantics 2)."""


@pytest.fixture
def url(postgres: Postgres) -> Generator[str]:
    with postgres.database() as url:
        yield url


def ask(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = taskmaster")
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def until_stored(store: PostgresStore, task: str) -> list[AppendResult]:
    """What the journal does: the same batch again, until it is stored."""
    deadline = monotonic() + 30
    while isinstance(result := store.commit([submission(task)]), NotStored):
        assert monotonic() < deadline, result
    assert isinstance(result, list)
    return result


# --- one owner


def test_a_commit_of_an_older_epoch_is_refused_and_stores_nothing(url: str) -> None:
    with PostgresStore.open(url) as store:
        store.commit([submission("a")])
        ask(url, "UPDATE shard SET epoch = epoch + 1 WHERE shard = 0")

        with pytest.raises(OwnershipLostError, match="epoch 1 of shard 0 has ended"):
            store.commit([submission("b")])

        with store.reader() as reader:
            assert reader.position() == 1
            assert reader.task_row(TaskId("b")) is None


def test_a_second_process_is_refused_while_the_first_lives(url: str) -> None:
    with PostgresStore.open(url) as store:
        with pytest.raises(StoreUnavailableError, match=r"is in use by process .*:\d+"):
            PostgresStore.open(url)

        assert store.commit([submission("a")]) == [Committed(Position(1))]
    with PostgresStore.open(url) as store:
        assert store.commit([submission("b")]) == [Committed(Position(2))]


def test_of_eight_owners_who_all_live_only_the_last_may_write(url: str) -> None:
    """Each was cut off when the next one came, and connects again believing to be the owner."""
    stores: list[PostgresStore] = []
    for _ in range(8):
        ask(url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        stores.append(PostgresStore.open(url))
    written: list[int] = []

    def write(store: PostgresStore) -> None:
        try:
            until_stored(store, f"{store.epoch}")
            written.append(store.epoch)
        except OwnershipLostError:
            return

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()

    assert written == [8]
    assert ask(url, "SELECT count(*) FROM stored_events") == [(1,)]


def test_the_clock_of_a_shard_never_goes_back(url: str) -> None:
    with PostgresStore.open(url) as store:
        ask(url, "UPDATE shard SET clock = '2100-01-01' WHERE shard = 0")
        store.commit([submission("a")])

        assert ask(url, "SELECT clock > '2100-01-01' FROM shard WHERE shard = 0") == [(True,)]


def test_a_reader_that_follows_four_writers_misses_nothing(url: str) -> None:
    """Each on a shard of its own: commits of one shard are in the order of positions."""
    written: dict[int, int] = {}

    def write(shard: int) -> None:
        with PostgresStore.open(url, shard=shard) as store:
            for batch in range(40):
                gate = GateName(f"g{shard}")
                names = [f"{shard}-{batch}-{n}" for n in range(batch % 5 + 1)]
                results = store.commit([submission(name, gate=gate) for name in names])
                assert isinstance(results, list)
                written[shard] = written.get(shard, 0) + len(results)

    shards = range(1, 5)
    writers = [threading.Thread(target=write, args=(shard,)) for shard in shards]
    readers = {shard: PostgresReader(Address(url), shard) for shard in shards}
    seen: dict[int, list[int]] = {shard: [] for shard in shards}
    for writer in writers:
        writer.start()
    while True:
        alive = any(writer.is_alive() for writer in writers)
        came = 0
        for shard, reader in readers.items():
            after = Position(seen[shard][-1] if seen[shard] else 0)
            events = reader.events(after=after, limit=7)
            seen[shard] += [one.position for one in events]
            came += len(events)
        if not came and not alive:
            break
    for reader in readers.values():
        reader.close()

    for shard in shards:
        first = (shard << POSITION_BITS) + 1
        assert seen[shard] == list(range(first, first + written[shard]))


# --- a COMMIT whose answer is lost


@pytest.fixture
def proxy(postgres: Postgres) -> Generator[CuttingProxy]:
    with (
        TemporaryDirectory(prefix="taskmaster-proxy-") as folder,
        CuttingProxy(Path(folder), Path(postgres.server.pgdata) / ".s.PGSQL.5432") as proxy,
    ):
        yield proxy


def through(proxy: CuttingProxy, url: str) -> str:
    return url.partition("?")[0] + f"?host={quote(str(proxy.folder), safe='')}"


@pytest.mark.parametrize(("cut", "stored"), [("after", True), ("before", False)])
def test_a_commit_whose_answer_is_lost_is_read_back(
    url: str, proxy: CuttingProxy, cut: Cut, stored: bool
) -> None:
    """Semantics 2.1: nobody is told a guess."""
    with PostgresStore.open(through(proxy, url)) as store:
        store.commit([submission("a")])
        proxy.cut = cut
        result = store.commit([submission("b", key="k"), submission("c")])

        assert proxy.cuts == 1
        if stored:
            assert result == [Committed(Position(2)), Committed(Position(3))]
        else:
            assert isinstance(result, NotStored)
        with store.reader() as reader:
            assert reader.position() == (3 if stored else 1)
            assert reader.check_index() == []
        after = store.commit([submission("d")])
        assert after == [Committed(Position(4 if stored else 2))]


def test_a_lost_commit_is_read_back_from_a_server_that_writes_again(
    url: str, proxy: CuttingProxy, postgres: Postgres
) -> None:
    """Semantics 2.1: one that only reads, or denies it, has not said that nothing is stored."""
    name = url.partition("?")[0].rpartition("/")[2]
    reads_only = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    refused = "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction (aborted)'"
    with PostgresStore.open(through(proxy, url)) as store:
        store.commit([submission("a")])
        postgres.admin.execute(reads_only.encode())  # for the connections to come
        proxy.cut = "after"
        ended = threading.Event()

        def let_write() -> None:
            while not ended.is_set() and not postgres.admin.execute(refused).fetchall():
                pass
            writes = f"ALTER DATABASE {name} RESET default_transaction_read_only"
            postgres.admin.execute(writes.encode())

        thread = threading.Thread(target=let_write)
        thread.start()
        result = store.commit([submission("b")])
        ended.set()
        thread.join()

        assert proxy.cuts == 1
        assert result == [Committed(Position(2))]
        assert until_stored(store, "c") == [Committed(Position(3))]


@pytest.mark.slow
def test_a_lost_commit_is_not_judged_while_the_server_may_still_carry_it_out(
    url: str, proxy: CuttingProxy
) -> None:
    with PostgresStore.open(through(proxy, url)) as store:
        store.commit([submission("a")])
        proxy.cut = "held"
        timer = threading.Timer(2.5, proxy.release)  # longer than a lock is waited for
        timer.start()
        began = monotonic()

        result = store.commit([submission("b")])

        assert isinstance(result, NotStored)
        assert monotonic() - began > 2
        assert store.commit([submission("b")]) == [Committed(Position(2))]


@pytest.mark.slow
@pytest.mark.parametrize("ends", [("cancel",), ("terminate", "cancel")])
def test_a_commit_that_was_not_replicated_is_unknown(own: Postgres, ends: tuple[str, ...]) -> None:
    """Semantics 2.1: the standby that was promised did not confirm it, nor, where the answer is
    lost, that it was read back."""
    with own.database() as url, PostgresStore.open(url) as store:
        own.set("synchronous_standby_names", "'nobody'")
        answered = threading.Event()
        ended: list[str] = []

        def end_waits() -> None:
            for end in ends:
                waiting = f"""SELECT pg_{end}_backend(pid) FROM pg_stat_activity
                    WHERE wait_event = 'SyncRep'"""
                while not answered.is_set():
                    if own.admin.execute(waiting.encode()).fetchall():
                        ended.append(end)
                        break

        thread = threading.Thread(target=end_waits)
        thread.start()
        result = store.commit([submission("a")])
        answered.set()
        thread.join()
        own.set("synchronous_standby_names", "''")

        assert tuple(ended) == ends
        assert isinstance(result, Unknown)
        assert isinstance(store.commit([submission("b")]), Unknown)


# --- the server is away


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_is_trouble_that_passes(own: Postgres, mode: str) -> None:
    with own.database() as url, PostgresStore.open(url) as store, store.reader() as reader:
        store.commit([submission("a")])
        reader.position()
        own.control("stop", mode)
        began = monotonic()

        result = store.commit([submission("b")])
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            reader.position()

        assert isinstance(result, NotStored)
        assert monotonic() - began < SOON_S
        own.control("start")
        assert until_stored(store, "b") == [Committed(Position(2))]
        assert reader.position() == 2
        assert reader.check_index() == []


def test_what_a_standby_that_took_over_does_not_have_is_not_remembered(
    url: str, postgres: Postgres
) -> None:
    """One that lagged, by the owner's choice: no stream may get a gap of it."""
    later = TaskRescheduled(at=wall(1), gate=GATE, due_at=wall(5))
    with PostgresStore.open(url) as store, store.reader() as reader:
        store.commit([submission("a")])
        store.commit([of_task("a", 1, later)])
        ask(url, "DELETE FROM stored_events WHERE originator_version = 2")
        ask(url, "UPDATE shard SET position = 1 WHERE shard = 0; UPDATE task SET version = 1")
        killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        postgres.admin.execute(killed, [store.log.connection().info.dbname])

        assert isinstance(store.commit([of_task("a", 2, later)]), NotStored)
        assert store.commit([of_task("a", 2, later)]) == [
            VersionConflict(Stream("task-a"), Version(1))
        ]
        assert store.commit([of_task("a", 1, later)]) == [Committed(Position(2))]
        assert [one.version for one in reader.task_events(TaskId("a"))] == [1, 2]


@pytest.mark.slow
def test_a_server_that_only_reads_takes_nothing(own: Postgres) -> None:
    with own.database() as url, PostgresStore.open(url) as store, store.reader() as reader:
        own.set("default_transaction_read_only", "on")
        deadline = monotonic() + 10
        while isinstance(result := store.commit([submission("a")]), list):
            assert monotonic() < deadline  # the setting has not reached the session yet

        assert "read-only" in result.error
        assert reader.position() <= 1
        own.set("default_transaction_read_only", "off")
        until_stored(store, "b")


def test_a_server_without_room_for_a_connection_is_trouble_that_passes(postgres: Postgres) -> None:
    """By a user without rights beyond a database of its own, for the limit spares others."""
    postgres.admin.execute("CREATE ROLE plain LOGIN")
    postgres.admin.execute("CREATE DATABASE plain OWNER plain")
    url = postgres.url("plain").replace("postgres@", "plain@")
    with PostgresStore.open(url) as store:
        store.commit([submission("a")])
        postgres.admin.execute("ALTER DATABASE plain CONNECTION LIMIT 0")
        killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'plain'"
        postgres.admin.execute(killed.encode())
        first = store.commit([submission("b")])
        began = monotonic()
        second = store.commit([submission("b")])

        assert isinstance(first, NotStored)
        assert isinstance(second, NotStored)
        assert "too many connections" in second.error
        assert monotonic() - began < SOON_S
        postgres.admin.execute("ALTER DATABASE plain CONNECTION LIMIT -1")
        assert until_stored(store, "b") == [Committed(Position(2))]


def test_a_user_who_may_not_read_is_told_so(url: str, postgres: Postgres) -> None:
    postgres.admin.execute("CREATE ROLE stranger LOGIN")

    with pytest.raises(StoreUnavailableError, match="permission denied"):
        PostgresReader.open(url.replace("postgres@", "stranger@"))


def test_a_commit_is_stored_though_the_days_to_come_cannot_be_made(
    url: str, postgres: Postgres
) -> None:
    """The default partition takes what comes; an hour later they are tried again."""
    postgres.admin.execute("CREATE ROLE writer LOGIN")
    ask(url, "GRANT USAGE ON SCHEMA taskmaster TO writer")
    ask(url, "GRANT ALL ON ALL TABLES IN SCHEMA taskmaster TO writer")
    made = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'stored_events'::regclass"
    later = "UPDATE shard SET clock = clock + interval '{}' WHERE shard = 0"
    with PostgresStore.open(url.replace("postgres@", "writer@")) as store:
        store.commit([submission("a")])
        [(before,)] = ask(url, made)
        assert isinstance(before, int)
        ask(url, later.format("30 days"))

        assert store.commit([submission("b")]) == [Committed(Position(2))]
        postgres.admin.execute("ALTER ROLE writer SUPERUSER")
        assert store.commit([submission("c")]) == [Committed(Position(3))]
        assert ask(url, made) == [(before,)]
        ask(url, later.format("1 hour"))
        assert store.commit([submission("d")]) == [Committed(Position(4))]

        assert ask(url, made) == [(before + 8,)]


@pytest.mark.slow
def test_a_row_that_somebody_holds_is_trouble_that_passes(url: str) -> None:
    with PostgresStore.open(url) as store, psycopg.connect(url) as other:
        other.execute("SELECT * FROM taskmaster.shard FOR UPDATE")
        began = monotonic()

        result = store.commit([submission("a")])

        assert isinstance(result, NotStored)
        assert "lock timeout" in result.error
        assert monotonic() - began < SOON_S
        other.rollback()
        assert store.commit([submission("a")]) == [Committed(Position(1))]


# --- secrets


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sesame@127.0.0.1:1/x",
        "postgresql://me:sesame@nowhere.invalid/x",
        "postgresql://127.0.0.1:1/x?password=sesame",
        "postgresql://me:sesame@127.0.0.1:1/x?sesame=1",
        "postgresql://me:sesame@[::1/x",
    ],
)
def test_no_error_repeats_a_password(url: str) -> None:
    for attempt in (PostgresStore.open, PostgresReader.open, inspect):
        with pytest.raises((StoreUnavailableError, InvalidFieldError)) as caught:
            attempt(url)
        assert "sesame" not in str(caught.value)
        assert caught.value.__suppress_context__, "a traceback would show what libpq said"


# --- the schema


def test_of_four_who_migrate_at_once_one_does(postgres: Postgres) -> None:
    with postgres.database(template="template0") as url:
        failed: list[BaseException] = []

        def lead() -> None:
            try:
                migrate(Address(url))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=lead) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failed == []
        assert ask(url, "SELECT version FROM migration") == [(len(MIGRATIONS),)]
        assert inspect(url).schema.pending == 0
        with PostgresStore.open(url) as store:
            assert store.commit([submission("a")]) == [Committed(Position(1))]


def test_a_newer_or_foreign_schema_is_refused(postgres: Postgres, url: str) -> None:
    ask(url, "INSERT INTO migration (version) VALUES (99)")
    with postgres.database(template="template0") as foreign:
        ask(foreign, "CREATE SCHEMA taskmaster; CREATE TABLE taskmaster.stored_events (x int)")

        for opening in (PostgresStore.open, PostgresReader.open):
            with pytest.raises(ForeignFileError, match="schema version 99"):
                opening(url)
            with pytest.raises(ForeignFileError, match="another program's"):
                opening(foreign)


def test_a_database_without_a_log_is_not_made_by_reading(postgres: Postgres) -> None:
    with postgres.database(template="template0") as url:
        with pytest.raises(ForeignFileError, match="there is no log at"):
            PostgresReader.open(url)

        assert inspect(url).schema.version == 0


def test_an_index_of_another_version_is_folded_anew(url: str) -> None:
    with PostgresStore.open(url) as store:
        store.commit([of_gate(GATE, 0, opened()), submission("a"), of_task("a", 1, started())])
    ask(url, "UPDATE meta SET value = 0 WHERE name = 'index_version'; DELETE FROM task")

    with pytest.raises(StoreUnavailableError, match="not of this version"):
        PostgresReader.open(url)
    with PostgresStore.open(url) as store, store.reader() as reader:
        row = reader.task_row(TaskId("a"))
        assert row is not None
        assert row.state == "in_flight"
        assert reader.check_index() == []


def test_an_index_that_is_wrong_is_found(url: str) -> None:
    with PostgresStore.open(url) as store, store.reader() as reader:
        store.commit([submission("a")])
        ask(url, "UPDATE gate SET waiting = 7")

        assert [found.table for found in reader.check_index()] == ["gate"]


def test_a_constraint_that_the_index_did_not_foresee_refuses_one_append(url: str) -> None:
    with PostgresStore.open(url) as store, store.reader() as reader:
        store.commit([submission("a")])
        store.rebuild()  # nothing of it is remembered
        ask(url, "DELETE FROM task")

        results = store.commit([submission("b"), submission("a"), submission("c")])

        conflict = VersionConflict(Stream("task-a"), Version(1))
        assert results == [Committed(Position(2)), conflict, Committed(Position(3))]
        assert reader.position() == 3


def test_events_lie_in_the_day_of_their_task(url: str) -> None:
    [(today,)] = ask(url, "SELECT floor(extract(epoch FROM now()) / 86400)::int")
    assert isinstance(today, int)
    names = [first_id(day).removeprefix("task-") + "-7000-8000" for day in (today, today + 1)]
    with PostgresStore.open(url) as store:
        store.commit([*(submission(name) for name in names), submission("a")])
        store.commit([of_gate(GATE, 0, opened())])

    found = ask(url, "SELECT tableoid::regclass::text FROM stored_events ORDER BY notification_id")
    days = [f"to_char(to_timestamp({day} * 86400), 'YYYYMMDD')" for day in (today, today + 1)]
    expected = [f"stored_events_{ask(url, f'SELECT {day}')[0][0]}" for day in days]
    assert [name for (name,) in found] == [*expected, "stored_events_others", "stored_events_gates"]


# --- the library


def test_the_library_reads_and_writes_the_log_and_the_index_follows(url: str) -> None:
    with PostgresStore.open(url) as store, store.reader() as reader:
        store.commit([submission("a")])

        ids = store.insert_events(
            [
                to_stored_event(Stream("task-b"), Version(1), submitted()),
                to_stored_event(Stream("task-b"), Version(2), started()),
            ]
        )

        assert ids == [2, 3]
        assert store.max_notification_id() == 3
        found = store.select_notifications(start=2, limit=10)
        assert [(one.id, one.originator_id) for one in found] == [(2, "task-b"), (3, "task-b")]
        assert len(store.select_events("task-b")) == 2
        row = reader.task_row(TaskId("b"))
        assert row is not None
        assert row.state == "in_flight"
        assert store.commit([submission("c")]) == [Committed(Position(4))]
        assert reader.check_index() == []
