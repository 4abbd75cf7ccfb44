"""What every store must do, whatever it stands on: one writer, one reader, one log.

A store's tests subclass `EventLogSuite` and say how a log is made.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, tuples

from taskmaster.events.log import (
    Append,
    BatchResult,
    Committed,
    Due,
    GateFilter,
    GateSnapshot,
    KeyTaken,
    OutcomeBucket,
    Page,
    RowGateState,
    SeriesRow,
    TaskFilter,
    TaskRow,
    VersionConflict,
    Write,
)
from taskmaster.events.split import Missing, Split
from taskmaster.events.types import (
    DAY,
    MINUTE,
    NEW,
    SECOND,
    AttemptVoided,
    GateClosed,
    GateLimitsChanged,
    GateName,
    GatePaused,
    GateProbed,
    GateQuarantined,
    GateRecovered,
    GateResumed,
    GateSettings,
    GateTripped,
    Limits,
    Mono,
    Position,
    Request,
    SeriesEnded,
    SeriesName,
    SeriesPaused,
    SeriesResumed,
    Stream,
    TaskCancelled,
    TaskDied,
    TaskExpired,
    TaskId,
    TaskRescheduled,
    TaskRevived,
    Version,
    Wall,
    gate_stream,
    task_stream,
)
from tests.suites.facts import (
    GATE,
    START,
    URL,
    created,
    failed,
    occurrence,
    of_gate,
    of_series,
    of_task,
    opened,
    started,
    submission,
    submitted,
    succeeded,
    wall,
)
from tests.suites.histories import History, actions, play

DAILY = SeriesName("daily")


class Writer(Protocol):
    """The writing half of a store, synchronous."""

    def commit(self, batch: Sequence[Append]) -> BatchResult: ...


class Log(NamedTuple):
    """One log: its writer, and a reader, which is the synchronous twin of the port."""

    writer: Writer
    reader: Any


class EventLogSuite:
    """Subclasses give `new_log`."""

    examples = 60
    """Of each property; fewer where every one of them pays for the disk."""
    odd = 'quote " back\\slash \x00 \x1f ü 漢 🦆 </script>'
    """Text as bad as the store takes it; what the API takes is printable."""

    def new_log(self) -> AbstractContextManager[Log]:
        """An empty log, gone at the end of the block."""
        raise NotImplementedError

    @pytest.fixture
    def log(self) -> Any:
        with self.new_log() as log:
            yield log

    # --- versions

    def test_a_batch_gets_positions_in_order_and_versions_without_gaps(self, log: Log) -> None:
        results = log.writer.commit(
            [of_gate(GATE, 0, opened()), submission("a"), of_task("a", 1, started(), succeeded())]
        )

        assert results == [Committed(Position(1)), Committed(Position(2)), Committed(Position(4))]
        recorded = log.reader.events(after=Position(0))
        assert [(one.position, one.stream, one.version) for one in recorded] == [
            (1, "gate-orders", 1),
            (2, "task-a", 1),
            (3, "task-a", 2),
            (4, "task-a", 3),
        ]
        assert recorded[1].event == submitted()

    def test_only_the_append_that_lost_is_refused(self, log: Log) -> None:
        """Hard spot 3: the library refuses the whole batch."""
        log.writer.commit([submission("a"), submission("b")])

        results = log.writer.commit(
            [
                of_task("a", 1, TaskCancelled(at=START, gate=GATE)),
                of_task("a", 1, started()),
                of_task("b", 0, submitted()),
                of_task("b", 1, started()),
                of_task("c", 3, started()),
            ]
        )

        assert results == [
            Committed(Position(3)),
            VersionConflict(Stream("task-a"), Version(2)),
            VersionConflict(Stream("task-b"), Version(1)),
            Committed(Position(4)),
            VersionConflict(Stream("task-c"), Version(0)),
        ]
        assert [row.state for row in _rows(log, "a", "b")] == ["cancelled", "in_flight"]
        assert log.reader.position() == 4
        assert log.reader.task_row(TaskId("c")) is None

    def test_an_append_over_several_streams_is_all_or_nothing(self, log: Log) -> None:
        log.writer.commit([of_gate(GATE, 0, opened()), submission("a")])
        cancel = Write(task_stream(TaskId("a")), Version(1), (TaskCancelled(at=START, gate=GATE),))
        close = Write(gate_stream(GATE), Version(0), (GateClosed(at=START, mono=Mono(1)),))

        results = log.writer.commit([Append((cancel, close))])

        assert results == [VersionConflict(gate_stream(GATE), Version(1))]
        assert _row(log, "a").state == "waiting"
        assert log.reader.position() == 2

    def test_a_write_without_events_only_checks(self, log: Log) -> None:
        log.writer.commit([of_gate(GATE, 0, opened())])
        new = Write(task_stream(TaskId("a")), NEW, (submitted(),))

        results = log.writer.commit(
            [
                Append((Write(gate_stream(GATE), Version(1)), new)),
                Append((Write(gate_stream(GATE), Version(7)), new)),
            ]
        )

        assert results == [Committed(Position(2)), VersionConflict(gate_stream(GATE), Version(1))]

    def test_versions_are_judged_over_the_batch_for_every_kind_of_stream(self, log: Log) -> None:
        results = log.writer.commit(
            [
                of_gate(GATE, 0, opened()),
                of_gate(GATE, 1, GateClosed(at=START, mono=Mono(1))),
                of_gate(GATE, 1, GateResumed(at=START, mono=Mono(1))),
                of_series(DAILY, 0, created()),
                of_series(DAILY, 1, SeriesPaused(at=START, gate=GATE)),
                of_series(DAILY, 0, created()),
            ]
        )

        assert results == [
            Committed(Position(1)),
            Committed(Position(2)),
            VersionConflict(gate_stream(GATE), Version(2)),
            Committed(Position(3)),
            Committed(Position(4)),
            VersionConflict(Stream("series-daily"), Version(2)),
        ]

    def test_a_large_batch_goes_beyond_one_statement(self, log: Log) -> None:
        count = 6_000  # 7 variables an event and 19 a row: beyond SQLite's bound of 32,766

        results = log.writer.commit([submission(f"{n:05}") for n in range(count)])

        assert results == [Committed(Position(n + 1)) for n in range(count)]
        assert log.reader.gate_rows()[0].counts["waiting"] == count

    # --- idempotency keys

    def test_a_key_belongs_to_its_first_task_in_the_same_batch_too(self, log: Log) -> None:
        """Semantics 2.6."""
        results = log.writer.commit(
            [
                submission("a", key="k", fingerprint="f"),
                submission("b", key="k", fingerprint="f"),
                submission("c", key="k", fingerprint="other"),
                submission("d", key="k", fingerprint="f", gate=GateName("elsewhere")),
                submission("e", key="k2", fingerprint="f"),
            ]
        )

        assert results == [
            Committed(Position(1)),
            KeyTaken(TaskId("a"), same=True),
            KeyTaken(TaskId("a"), same=False),
            Committed(Position(2)),
            Committed(Position(3)),
        ]
        later = log.writer.commit([submission("f", key="k", fingerprint="f")])
        assert later == [KeyTaken(TaskId("a"), same=True)]
        assert log.reader.position() == 3

    def test_a_key_whose_first_user_lost_is_free(self, log: Log) -> None:
        log.writer.commit([submission("a")])

        results = log.writer.commit([submission("a", key="k"), submission("b", key="k")])

        assert results == [VersionConflict(Stream("task-a"), Version(1)), Committed(Position(2))]

    def test_a_key_lives_seven_days_longer_than_its_task(self, log: Log) -> None:
        """Semantics 2.6."""
        log.writer.commit([submission("a", key="k")])
        log.writer.commit([of_task("a", 1, TaskCancelled(at=wall(10), gate=GATE))])
        end = wall(10 + 7 * 86_400)

        before = log.writer.commit([submission("b", key="k", at=Wall(end - 1))])
        after = log.writer.commit([submission("c", key="k", at=end)])

        assert before == [KeyTaken(TaskId("a"), same=True)]
        assert after == [Committed(Position(3))]
        assert [row.task for row in log.reader.task_rows(TaskFilter(key="k"))] == ["c"]

    def test_a_key_does_not_pass_while_its_task_is_open(self, log: Log) -> None:
        log.writer.commit([submission("a", key="k")])

        late = log.writer.commit([submission("b", key="k", at=Wall(START + 400 * DAY))])

        assert late == [KeyTaken(TaskId("a"), same=True)]

    @pytest.mark.parametrize("together", [True, False])
    def test_a_revived_task_has_its_key_again(self, log: Log, together: bool) -> None:
        log.writer.commit([submission("a", key="k")])
        log.writer.commit([of_task("a", 1, TaskDied(at=START, gate=GATE, reason="elapsed"))])
        late = Wall(START + 8 * DAY)
        revival = of_task("a", 2, TaskRevived(at=late, gate=GATE, due_at=late))
        second = submission("b", key="k", at=Wall(late + 1))

        batches = [[revival, second]] if together else [[revival], [second]]
        results = [log.writer.commit(batch) for batch in batches]

        expected = [Committed(Position(3)), KeyTaken(TaskId("a"), same=True)]
        assert results == ([expected] if together else [expected[:1], expected[1:]])

    def test_what_becomes_of_an_old_task_leaves_a_key_with_its_new_owner(self, log: Log) -> None:
        log.writer.commit([submission("a", key="k")])
        log.writer.commit([of_task("a", 1, TaskDied(at=START, gate=GATE, reason="elapsed"))])
        late = Wall(START + 8 * DAY)
        log.writer.commit([submission("b", key="k", at=late)])

        log.writer.commit([of_task("a", 2, TaskRevived(at=late, gate=GATE, due_at=late))])
        log.writer.commit([of_task("a", 3, TaskCancelled(at=late, gate=GATE))])

        later = log.writer.commit([submission("c", key="k", at=Wall(late + 30 * DAY))])
        assert later == [KeyTaken(TaskId("b"), same=True)]

    # --- pages

    def test_a_page_is_ranked_by_due_time_and_priority(self, log: Log) -> None:
        """Semantics 3.9: due_at - priority * aging, then the order of submission."""
        log.writer.commit(
            [
                submission("due-2", due_at=wall(2)),
                submission("due-3-priority-9", due_at=wall(3), priority=9),
                submission("due-2-later", due_at=wall(2)),
                submission("due-1", due_at=wall(1)),
                submission("not-due", due_at=wall(61)),
            ]
        )

        page = self._page(log, now=wall(60))

        assert [one.task for one in page.tasks] == [
            "due-3-priority-9",
            "due-1",
            "due-2",
            "due-2-later",
        ]
        assert page.complete
        assert page.next_due_at == wall(61)
        assert page.position == 5
        assert page.tasks[1].events == (submitted(due_at=wall(1)),)

    @pytest.mark.parametrize(("redriven", "order"), [(True, "ba"), (False, "ab")])
    def test_a_page_sets_apart_what_was_redriven(
        self, log: Log, redriven: bool, order: str
    ) -> None:
        """Semantics 4.8. A cancellation that was taken back is no redrive."""
        log.writer.commit([submission("a", due_at=wall(1)), submission("b", due_at=wall(2))])
        end = TaskDied(at=START, gate=GATE, reason="elapsed")
        again = TaskRevived(at=START, gate=GATE, due_at=wall(1), redriven=redriven)

        log.writer.commit([of_task("a", 1, end), of_task("a", 2, again)])

        assert [one.task for one in self._page(log, now=wall(3)).tasks] == list(order)

    def test_a_page_is_the_beginning_of_a_naive_sort(self) -> None:
        @settings(max_examples=self.examples)
        @given(
            tasks=lists(
                tuples(sampled_from((0, 0, 9)), integers(0, 600), integers(0, 3)),
                min_size=12,
                max_size=30,
            ),
            limit=integers(1, 5),
            aging=integers(0, 90),
            now=integers(200, 600),
        )
        def holds(tasks: list[tuple[int, int, int]], limit: int, aging: int, now: int) -> None:
            with self.new_log() as log:
                log.writer.commit(
                    [
                        submission(
                            f"{n}",
                            priority=priority,
                            due_at=wall(due),
                            gate=GateName(f"g{gate // 3}"),
                        )
                        for n, (priority, due, gate) in enumerate(tasks)
                    ]
                )

                page = log.reader.page(
                    GateName("g0"),
                    wall(now),
                    limit=limit,
                    aging_ns=aging * SECOND,
                    max_bytes=10**6,
                )

            mine = [(p, due, n) for n, (p, due, gate) in enumerate(tasks) if gate < 3]
            ready = sorted((due - p * aging, n) for p, due, n in mine if due <= now)
            assert [one.task for one in page.tasks] == [f"{n}" for _, n in ready[:limit]]
            assert page.complete == (len(ready) <= limit)
            assert page.next_due_at == min((wall(d) for _, d, _ in mine if d > now), default=None)

        holds()

    def test_lanes_give_their_best_in_turn(self, log: Log) -> None:
        """Semantics 3.9: rank decides within a lane, one large lane crowds out nobody."""
        log.writer.commit(
            [
                *(submission(f"big-{n}", fair_key="big", due_at=wall(-n)) for n in range(9)),
                submission("a-late", fair_key="a", due_at=wall(0)),
                submission("a-urgent", fair_key="a", due_at=wall(0), priority=9),
                submission("keyless"),
                submission("not-due", fair_key="z", due_at=wall(1)),
            ]
        )

        page = self._page(log, limit=6)

        assert [one.task for one in page.tasks] == [
            *("a-urgent", "big-8", "keyless"),
            *("a-late", "big-7"),
        ]
        assert (page.missing, page.complete) == ({"fresh": Missing(("big",))}, False)
        assert page.next_due_at == wall(1)

    def test_a_page_goes_round_the_lanes_that_it_has_no_room_for(self, log: Log) -> None:
        log.writer.commit([submission(f"{n:03}", fair_key=f"{n:03}") for n in range(450)])
        log.writer.commit([submission("keyless")])

        first = self._page(log, limit=400)
        second = self._page(log, limit=400, split=Split(last={"fresh": "399"}))

        assert [one.task for one in first.tasks] == [f"{n:03}" for n in range(400)]
        assert [one.task for one in second.tasks] == [
            *(f"{n:03}" for n in range(400, 450)),
            "keyless",
            *(f"{n:03}" for n in range(349)),
        ]
        assert [page.missing["fresh"].more_lanes for page in (first, second)] == [True, True]
        assert not first.complete

    def test_of_many_lanes_one_with_an_expired_head_is_passed_over_until_that_is_written(
        self, log: Log
    ) -> None:
        log.writer.commit([submission(f"{n:03}", fair_key=f"{n:03}") for n in range(450)])
        log.writer.commit(
            [
                submission("old", fair_key="!", due_at=wall(-1), expires_at=wall(1)),
                submission("behind", fair_key="!"),
            ]
        )

        before = self._page(log, now=wall(2))
        log.writer.commit([of_task("old", 1, TaskExpired(at=wall(2), gate=GATE))])
        after = self._page(log, now=wall(2))

        assert (before.tasks[0].task, before.expired) == ("000", (TaskId("old"),))
        assert "!" in before.missing["fresh"].cut
        assert after.tasks[0].task == "behind"

    def test_a_lane_whose_tasks_are_held_or_expired_takes_no_place(self, log: Log) -> None:
        log.writer.commit(
            [
                submission("head", fair_key="a", order_key="k", due_at=wall(50)),
                submission("held", fair_key="b", order_key="k"),
                submission("old", fair_key="c", expires_at=wall(1)),
                *(submission(f"{n}", fair_key="d") for n in range(3)),
            ]
        )

        page = self._page(log, now=wall(2))

        assert [one.task for one in page.tasks] == ["0", "1", "2"]
        assert page.expired == (TaskId("old"),)
        assert page.complete

    def test_a_page_that_bytes_end_says_which_lanes_it_cut(self, log: Log) -> None:
        big = Request(URL, body=b"x" * 30_000)
        log.writer.commit([submission(f"{n}", fair_key=f"{n % 2}", request=big) for n in range(4)])

        page = self._page(log, max_bytes=100_000)

        assert [one.task for one in page.tasks] == ["0", "1"]
        assert page.missing == {"fresh": Missing(("0", "1"))}

    def test_a_page_can_look_ahead(self, log: Log) -> None:
        log.writer.commit(
            [
                submission("now", due_at=wall(1)),
                submission("soon", due_at=wall(2)),
                submission("late", due_at=wall(3)),
            ]
        )

        page = self._page(log, now=wall(1), ahead_ns=SECOND)

        assert [one.task for one in page.tasks] == ["now", "soon"]
        assert page.next_due_at == wall(3)

    def test_a_page_is_bounded_by_count_and_by_bytes(self, log: Log) -> None:
        big = Request(URL, body=b"x" * 30_000)
        log.writer.commit([submission(f"{n}", request=big) for n in range(5)])

        by_count = self._page(log, limit=2)
        by_bytes = self._page(log, max_bytes=100_000)
        smaller_than_one = self._page(log, max_bytes=10)
        all_of_them = self._page(log, limit=5)

        pages = (by_count, by_bytes, smaller_than_one, all_of_them)
        assert [len(page.tasks) for page in pages] == [2, 2, 1, 5]
        assert [page.complete for page in pages] == [False, False, False, True]

    def test_a_page_holds_whole_streams(self, log: Log) -> None:
        retry = failed(next="retry", retry_at=wall(1))
        log.writer.commit([submission("a"), of_task("a", 1, started(), retry)])

        page = self._page(log, now=wall(1))

        assert page.tasks[0].events == (submitted(), started(), retry)

    def test_expired_tasks_are_told_apart(self, log: Log) -> None:
        log.writer.commit(
            [
                submission("passed", expires_at=wall(5)),
                submission("coming", expires_at=wall(7)),
                submission("never"),
                submission("not-due-and-passed", due_at=wall(50), expires_at=wall(6)),
            ]
        )

        page = self._page(log, now=wall(6))

        assert [one.task for one in page.tasks] == ["coming", "never"]
        assert page.expired == (TaskId("passed"), TaskId("not-due-and-passed"))
        assert page.next_expiry_at == wall(7)
        assert page.complete

        log.writer.commit([of_task("passed", 1, TaskExpired(at=wall(6), gate=GATE))])
        assert self._page(log, now=wall(6)).expired == (TaskId("not-due-and-passed"),)
        assert _row(log, "passed").state == "expired"

    def test_a_task_that_is_moved_with_its_expiry_does_not_expire_by_the_old_one(
        self, log: Log
    ) -> None:
        log.writer.commit([submission("a", due_at=wall(1), expires_at=wall(5))])
        later = TaskRescheduled(at=wall(6), gate=GATE, due_at=wall(6), expires_at=wall(10))

        log.writer.commit([of_task("a", 1, later)])

        page = self._page(log, now=wall(6))
        assert [one.task for one in page.tasks] == ["a"]
        assert page.expired == ()
        assert page.next_expiry_at == wall(10)

    def test_expired_tasks_do_not_shorten_a_page(self, log: Log) -> None:
        log.writer.commit([submission(f"old-{n}", expires_at=wall(1)) for n in range(10)])
        log.writer.commit([submission(f"new-{n}", due_at=wall(2)) for n in range(5)])

        page = self._page(log, now=wall(9), limit=4)

        assert [one.task for one in page.tasks] == ["new-0", "new-1", "new-2", "new-3"]
        assert not page.complete
        assert len(page.expired) == 10

    def test_a_page_with_more_expired_tasks_than_it_tells_is_not_complete(self, log: Log) -> None:
        log.writer.commit([submission(f"{n}", expires_at=wall(1)) for n in range(600)])
        log.writer.commit([submission("alive", due_at=wall(2))])

        page = self._page(log, now=wall(9), limit=4)

        assert page.tasks == ()
        assert len(page.expired) == 500
        assert not page.complete

    def test_an_empty_gate_has_an_empty_page(self, log: Log) -> None:
        page = self._page(log)

        assert page == Page(Position(0), complete=True, tasks=(), next_due_at=None)

    # --- held tasks

    def test_of_one_order_key_only_the_first_open_task_starts(self, log: Log) -> None:
        """Semantics 3.9: the next starts when the one before is final, dead included."""
        log.writer.commit(
            [
                submission("a", order_key="account-7", due_at=wall(9)),
                submission("b", order_key="account-7"),
                submission("c", order_key="account-7"),
                submission("d", order_key="account-8"),
                submission("e", order_key="account-7", gate=GateName("elsewhere")),
            ]
        )
        assert self._ready(log) == ["d", "a"]
        assert [row.held for row in _rows(log, "a", "b", "c", "d", "e")] == [0, 1, 1, 0, 0]

        log.writer.commit([of_task("a", 1, started())])
        assert self._ready(log) == ["d"]
        log.writer.commit([of_task("a", 2, failed(next="retry", retry_at=wall(9)))])
        assert self._ready(log) == ["d", "a"]
        log.writer.commit([of_task("a", 3, started(), failed())])
        assert self._ready(log) == ["b", "d"]
        log.writer.commit([of_task("c", 1, TaskCancelled(at=START, gate=GATE))])
        log.writer.commit([of_task("b", 1, started()), of_task("b", 2, succeeded())])
        assert self._ready(log) == ["d"]
        log.writer.commit([of_task("a", 5, TaskRevived(at=wall(1), gate=GATE, due_at=wall(1)))])
        assert self._ready(log) == ["d", "a"]

    def test_a_revived_task_takes_the_head_of_its_line_back(self, log: Log) -> None:
        log.writer.commit([submission(name, order_key="k") for name in "abc"])
        log.writer.commit([of_task("a", 1, started(), failed())])
        assert self._ready(log) == ["b"]

        log.writer.commit([of_task("a", 3, TaskRevived(at=wall(1), gate=GATE, due_at=wall(1)))])

        assert self._ready(log) == ["a"]

    def test_a_whole_line_ends_in_one_batch(self, log: Log) -> None:
        log.writer.commit([submission(f"{n}", order_key="k") for n in range(7)])

        log.writer.commit(
            [of_task(f"{n}", 1, TaskCancelled(at=START, gate=GATE)) for n in (0, 2, 3, 1)]
        )

        assert self._ready(log) == ["4"]

    def test_the_open_task_of_a_paused_series_is_held(self, log: Log) -> None:
        first = submitted(occurrence=occurrence(DAILY))
        log.writer.commit([of_series(DAILY, 0, created()), of_task("a", 0, first)])
        assert log.reader.series_row(DAILY) == SeriesRow(
            DAILY, GATE, Version(1), "active", TaskId("a")
        )
        assert self._ready(log) == ["a"]

        log.writer.commit([of_series(DAILY, 1, SeriesPaused(at=START, gate=GATE))])
        assert self._ready(log) == []
        assert _row(log, "a").held
        assert log.reader.next_dues() == {}
        log.writer.commit([of_series(DAILY, 2, SeriesResumed(at=START, gate=GATE))])
        assert self._ready(log) == ["a"]

    def test_the_successor_written_while_a_series_is_paused_is_held(self, log: Log) -> None:
        first = submitted(occurrence=occurrence(DAILY))
        log.writer.commit([of_series(DAILY, 0, created()), of_task("a", 0, first)])
        log.writer.commit([of_task("a", 1, started())])
        log.writer.commit([of_series(DAILY, 1, SeriesPaused(at=START, gate=GATE))])

        end = Write(task_stream(TaskId("a")), Version(2), (succeeded(),))
        second = submitted(occurrence=occurrence(DAILY, 2))
        log.writer.commit([Append((end, Write(task_stream(TaskId("b")), NEW, (second,))))])

        assert log.reader.series_row(DAILY).open_task == "b"
        assert self._ready(log) == []
        log.writer.commit([of_series(DAILY, 2, SeriesEnded(at=START, gate=GATE))])
        assert self._ready(log) == ["b"]
        assert log.reader.series_row(DAILY).state == "ended"
        log.writer.commit([of_task("b", 1, TaskCancelled(at=START, gate=GATE))])
        assert log.reader.series_row(DAILY).open_task is None

    def test_a_task_is_held_as_long_as_either_reason_holds(self, log: Log) -> None:
        log.writer.commit(
            [
                submission("before", order_key="k"),
                of_series(DAILY, 0, created()),
                submission("a", order_key="k", occurrence=occurrence(DAILY)),
                of_series(DAILY, 1, SeriesPaused(at=START, gate=GATE)),
            ]
        )

        log.writer.commit([of_task("before", 1, TaskCancelled(at=START, gate=GATE))])
        assert self._ready(log) == []
        log.writer.commit([of_series(DAILY, 2, SeriesResumed(at=START, gate=GATE))])
        assert self._ready(log) == ["a"]

    def test_resuming_a_series_does_not_free_a_task_behind_its_order_key(self, log: Log) -> None:
        log.writer.commit(
            [
                submission("before", order_key="k"),
                of_series(DAILY, 0, created()),
                submission("a", order_key="k", occurrence=occurrence(DAILY)),
                of_series(DAILY, 1, SeriesPaused(at=START, gate=GATE)),
            ]
        )

        log.writer.commit([of_series(DAILY, 2, SeriesResumed(at=START, gate=GATE))])

        assert self._ready(log) == ["before"]

    # --- a task's row

    def test_a_row_follows_its_task(self, log: Log) -> None:
        log.writer.commit([submission("a", labels=(("team", "x"),), fair_key="t", priority=3)])
        assert _row(log, "a") == TaskRow(
            task=TaskId("a"),
            number=Position(1),
            gate=GATE,
            state="waiting",
            version=Version(1),
            priority=3,
            due_at=START,
            submitted_at=START,
            changed_at=START,
            attempts=0,
            url=URL,
            fair_key="t",
        )

        log.writer.commit([of_task("a", 1, started(at=wall(1)))])
        assert (_row(log, "a").state, _row(log, "a").attempts) == ("in_flight", 1)
        log.writer.commit([of_task("a", 2, AttemptVoided(at=wall(2), gate=GATE, attempt=1))])
        assert (_row(log, "a").state, _row(log, "a").attempts) == ("waiting", 0)
        assert _row(log, "a").due_at == START
        log.writer.commit([of_task("a", 3, TaskRescheduled(at=wall(3), gate=GATE, due_at=wall(9)))])
        assert (_row(log, "a").due_at, _row(log, "a").changed_at) == (wall(9), wall(3))
        log.writer.commit([of_task("a", 4, started(), failed(next="uncertain"))])
        assert (_row(log, "a").state, _row(log, "a").version) == ("uncertain", 6)
        assert log.reader.open_attempts() == ()

    # --- a gate's traffic and counters

    def test_a_gate_is_restored_from_its_stream_and_its_attempts(self, log: Log) -> None:
        throttle = failed(
            at=wall(3), fault="none", outcome="throttled", next="retry", throttle_until=Mono(77)
        )
        log.writer.commit(
            [
                of_gate(GATE, 0, opened()),
                *(submission(name) for name in "abcd"),
                of_task("a", 1, started(slot_at=Mono(5), tats=(Mono(6),)), succeeded(at=wall(1))),
                of_task("b", 1, started(slot_at=Mono(7), tats=(Mono(8),)), failed(at=wall(1.5))),
                of_task("c", 1, started(slot_at=Mono(8), tats=(Mono(9),)), throttle),
                of_task("d", 1, started(slot_at=Mono(9), tats=(Mono(10), Mono(11)))),
            ]
        )

        snapshot: GateSnapshot = log.reader.gate_snapshot(GATE)

        traffic = snapshot.traffic
        assert snapshot.position == 12
        assert [one.event for one in snapshot.events] == [opened()]
        assert [(one.task, one.attempt, one.slot_at) for one in traffic.open] == [("d", 1, 9)]
        assert traffic.open[0].position == 12
        assert traffic.buckets == (
            OutcomeBucket(START // SECOND + 1, ended=2, failed=1, took_ns=1),
        )
        assert traffic.failures_in_row == 1
        assert (traffic.last_tats, traffic.last_start_position) == ((Mono(10), Mono(11)), 12)
        assert traffic.throttled_until == 77
        assert log.reader.open_attempts() == traffic.open

    def test_a_change_of_mode_counts_outcomes_anew(self, log: Log) -> None:
        log.writer.commit([of_gate(GATE, 0, opened()), *(submission(name) for name in "abc")])
        log.writer.commit([of_task("a", 1, started(), failed(at=wall(1)))])
        trip = GateTripped(at=wall(2), mono=Mono(2), until=Mono(3), trips=1)

        log.writer.commit([of_gate(GATE, 1, trip)])

        traffic = log.reader.gate_snapshot(GATE).traffic
        assert (traffic.buckets, traffic.failures_in_row) == ((), 0)

        probe = GateProbed(at=wall(4), mono=Mono(4))
        log.writer.commit(
            [
                of_task("b", 1, started(), failed(at=wall(3))),
                of_gate(GATE, 2, probe),
                of_task("c", 1, started(), failed(at=wall(4))),
            ]
        )
        traffic = log.reader.gate_snapshot(GATE).traffic
        assert traffic.buckets == (
            OutcomeBucket(START // SECOND + 4, ended=1, failed=1, took_ns=0),
        )
        assert traffic.failures_in_row == 1

    def test_old_outcomes_are_forgotten_as_newer_ones_come(self, log: Log) -> None:
        log.writer.commit([submission(f"{n}") for n in range(5)])
        for n, second in enumerate((0, 1, 120, 121, 400)):
            log.writer.commit([of_task(f"{n}", 1, started(), succeeded(at=wall(second)))])
            kept = [
                bucket.second - START // SECOND
                for bucket in log.reader.gate_snapshot(GATE).traffic.buckets
            ]
            assert kept == [[0], [0, 1], [0, 1, 120], [1, 120, 121], [400]][n]

    def test_an_outcome_that_comes_late_counts_in_the_newest_second(self, log: Log) -> None:
        log.writer.commit([submission("a"), submission("b")])
        log.writer.commit([of_task("a", 1, started(), succeeded(at=wall(9)))])

        log.writer.commit([of_task("b", 1, started(), failed(at=wall(3)))])

        buckets = log.reader.gate_snapshot(GATE).traffic.buckets
        assert buckets == (OutcomeBucket(START // SECOND + 9, ended=2, failed=1, took_ns=1),)

    def test_a_gate_stays_throttled_until_the_latest_that_was_asked_for(self, log: Log) -> None:
        log.writer.commit([submission("a"), submission("b")])
        for task, until in (("a", 9), ("b", 5)):
            throttled = failed(fault="none", next="retry", throttle_until=Mono(until))
            log.writer.commit([of_task(task, 1, started(), throttled)])

        assert log.reader.gate_snapshot(GATE).traffic.throttled_until == 9

    def test_a_fault_of_the_task_ends_a_row_of_failures(self, log: Log) -> None:
        log.writer.commit([submission(f"{n}") for n in range(4)])
        log.writer.commit([of_task("0", 1, started(), failed())])
        log.writer.commit([of_task("1", 1, started(), failed())])
        assert log.reader.gate_snapshot(GATE).traffic.failures_in_row == 2
        log.writer.commit([of_task("2", 1, started(), failed(fault="none", next="retry"))])
        assert log.reader.gate_snapshot(GATE).traffic.failures_in_row == 2

        log.writer.commit([of_task("3", 1, started(), failed(fault="task"))])

        traffic = log.reader.gate_snapshot(GATE).traffic
        assert traffic.failures_in_row == 0
        assert [(one.ended, one.failed) for one in traffic.buckets] == [(3, 2)]

    def test_a_gate_row_counts_and_says_where_the_gate_stands(self, log: Log) -> None:
        limits = GateSettings(limits=Limits(concurrency=3))
        log.writer.commit(
            [
                of_gate(GATE, 0, opened(implicit=True)),
                *(submission(name) for name in "abcd"),
                of_task("a", 1, started()),
                of_task("b", 1, started(), succeeded()),
                of_task("c", 1, started(), failed()),
                of_gate(GATE, 1, GateLimitsChanged(at=START, settings=limits, mono=Mono(1))),
                of_gate(GATE, 2, GatePaused(at=START, mono=Mono(1), drain=True)),
                of_gate(GATE, 3, GateTripped(at=START, mono=Mono(1), until=Mono(2), trips=1)),
                of_gate(GATE, 4, GateQuarantined(at=START, mono=Mono(1), until=START)),
            ]
        )

        (row,) = log.reader.gate_rows([GATE])

        counts = {state: count for state, count in row.counts.items() if count}
        assert counts == {"waiting": 1, "in_flight": 1, "succeeded": 1, "dead": 1}
        assert (row.attempts, row.failures, row.version) == (3, 1, 5)
        assert (row.control, row.mode, row.quarantined_until) == ("draining", "tripped", START)
        assert (row.settings, row.implicit) == (limits, True)

        log.writer.commit(
            [
                of_gate(GATE, 5, GateRecovered(at=START, mono=Mono(1))),
                of_gate(GATE, 6, GateClosed(at=START, mono=Mono(1))),
                of_gate(GATE, 7, opened()),
            ]
        )
        (row,) = log.reader.gate_rows()
        assert (row.control, row.mode, row.implicit) == ("running", "open", False)

    def test_eligible_and_next_dues_are_sums_that_agree_with_the_rows(self, log: Log) -> None:
        minute = MINUTE / SECOND
        dues = [0, 10, minute + 1, 2 * minute, 3 * minute, 3 * minute + 5, 3 * minute + 6]
        log.writer.commit(
            [submission(f"{n}", due_at=wall(due), priority=n) for n, due in enumerate(dues)]
        )

        assert _due(log, wall(-1)) == Due()
        assert _due(log, wall(3 * minute + 5)) == Due(6, wall(0))
        assert log.reader.next_dues() == {GATE: wall(0)}
        log.writer.commit([of_task("0", 1, started())])
        assert _due(log, wall(3 * minute + 5)) == Due(5, wall(10))
        assert log.reader.next_dues() == {GATE: wall(10)}

    def test_what_lies_ahead_is_counted_by_the_minute_at_one_position(self, log: Log) -> None:
        minute = MINUTE // SECOND
        dues = [0, 10, 20, minute, minute + 1, 3 * minute, 9 * minute]
        log.writer.commit([submission(f"{n}", due_at=wall(due)) for n, due in enumerate(dues)])
        log.writer.commit([submission("key", due_at=wall(15), fair_key="a")])
        log.writer.commit([submission("held", due_at=wall(30), order_key="one")])
        log.writer.commit([submission("next", due_at=wall(30), order_key="one")])

        ahead = log.reader.ahead(GATE, wall(10), minutes=5)

        first = wall(0) // MINUTE
        assert ahead.due == Due(2, wall(0))
        assert ahead.minutes == ((first, 3), (first + 1, 2), (first + 3, 1))
        assert ahead.position == log.reader.position()

    def test_what_is_due_and_held_is_counted_by_what_holds_it(self, log: Log) -> None:
        """Semantics 10: in whole minutes and in the one that has begun; early ones are not."""
        minute = MINUTE // SECOND
        log.writer.commit(
            [
                submission(f"{n}", due_at=wall(due), order_key="one")
                for n, due in enumerate([minute, 0, 2 * minute + 1, 2 * minute + 9])
            ]
        )

        assert _due(log, wall(2 * minute + 5)) == Due(1, wall(minute), by_order=2)
        log.writer.commit(
            [of_task("0", 1, started()), of_task("1", 1, TaskCancelled(at=START, gate=GATE))]
        )
        assert _due(log, wall(2 * minute + 5)) == Due(by_order=1)

    def test_gates_are_paged_by_name_and_state(self, log: Log) -> None:
        log.writer.commit(
            [
                *(of_gate(name, 0, opened()) for name in "dcba"),
                of_gate("b", 1, GatePaused(at=START, mono=Mono(1), until=wall(9))),
            ]
        )

        def page(*states: RowGateState, after: str = "", limit: int = 9) -> str:
            match = GateFilter(states, quarantined=(GateName("d"),))
            rows = log.reader.gate_page(match, after=after, limit=limit)
            return "".join(row.gate for row in rows)

        assert page() == "abcd"
        assert page(after="a", limit=2) == "bc"
        assert page("open") == "ac"
        assert page("paused", "quarantined") == "bd"
        assert page("tripped") == ""
        (row,) = log.reader.gate_rows([GateName("b")])
        assert (row.control, row.paused_until) == ("paused", wall(9))
        log.writer.commit([of_gate("b", 2, GateResumed(at=START, mono=Mono(2)))])
        (row,) = log.reader.gate_rows([GateName("b")])
        assert (row.control, row.paused_until) == ("running", None)

    def test_the_busiest_gates_are_named_and_the_others_summed(self, log: Log) -> None:
        busy = {"a": 1, "b": 3, "c": 2}
        log.writer.commit([of_gate(name, 0, opened()) for name in busy])
        log.writer.commit(
            [
                submission(f"{name}{n}", gate=GateName(name))
                for name, count in busy.items()
                for n in range(count)
            ]
        )

        found = log.reader.busiest_gates(limit=2)

        assert [row.gate for row in found.rows] == ["b", "c"]
        assert {state: count for state, count in found.others.items() if count} == {"waiting": 1}

    # --- lists and reading

    def test_lists_are_filtered_newest_first_and_paged(self, log: Log) -> None:
        other = GateName("other")
        log.writer.commit(
            [
                of_series(DAILY, 0, created()),
                submission("a", labels=(("team", "x"), ("env", "prod"))),
                submission("b", labels=(("team", "x"),), gate=other, key="k"),
                submission("c", occurrence=occurrence(DAILY), due_at=wall(60)),
                submission("d", labels=(("team", "x"), ("env", "prod"), ("team", "x"))),
                of_task("d", 1, started(), succeeded()),
                of_task("b", 1, started(), failed()),
            ]
        )

        def listed(match: TaskFilter, **page: Any) -> str:
            return "".join(row.task for row in log.reader.task_rows(match, **page))

        assert listed(TaskFilter()) == "dcba"
        assert listed(TaskFilter(), limit=2) == "dc"
        before = _row(log, "c").number
        assert listed(TaskFilter(), before=before) == "ba"
        assert listed(TaskFilter(gate=GATE)) == "dca"
        assert listed(TaskFilter(gate=GATE), before=before) == "a"
        assert listed(TaskFilter(gate=GATE, states=("succeeded",))) == "d"
        assert listed(TaskFilter(states=("dead", "succeeded"))) == "db"
        assert listed(TaskFilter(states=("dead", "succeeded")), limit=1) == "d"
        assert listed(TaskFilter(gate=GATE, states=("waiting", "succeeded")), limit=2) == "dc"
        log.writer.commit([of_task("a", 1, started())])
        assert listed(TaskFilter(states=("in_flight",))) == "a"
        assert listed(TaskFilter(gate=GATE, states=("in_flight", "waiting"))) == "ca"
        log.writer.commit([of_task("a", 2, AttemptVoided(at=START, gate=GATE, attempt=1))])
        assert listed(TaskFilter(labels=(("team", "x"),))) == "dba"
        assert listed(TaskFilter(labels=(("team", "x"), ("env", "prod")))) == "da"
        assert listed(TaskFilter(labels=(("team", "x"),), states=("waiting",))) == "a"
        assert listed(TaskFilter(labels=(("team", "y"),))) == ""
        assert listed(TaskFilter(key="k")) == "b"
        assert listed(TaskFilter(key="k", gate=GATE)) == ""
        assert listed(TaskFilter(series=DAILY)) == "c"
        assert listed(TaskFilter(due_after=wall(1))) == "c"
        assert listed(TaskFilter(gate=GATE, due_before=wall(1))) == "da"
        assert listed(TaskFilter(states=("cancelled",))) == ""

    def test_the_log_is_followed_by_position(self, log: Log) -> None:
        log.writer.commit([of_gate(GATE, 0, opened()), submission("a"), submission("b")])
        log.writer.commit([of_task("a", 1, started())])

        first = log.reader.events(after=Position(0), limit=3)
        rest = log.reader.events(after=first[-1].position, limit=3)
        of_gates = log.reader.events(after=Position(0), streams_like="gate-")
        of_tasks = log.reader.events(after=Position(2), streams_like="task-")

        assert [one.position for one in first + rest] == [1, 2, 3, 4]
        assert [one.position for one in of_gates] == [1]
        assert [one.position for one in of_tasks] == [3, 4]
        assert log.reader.events(after=Position(4)) == ()
        assert log.reader.position() == 4

    def test_a_stream_is_read_from_after_a_version(self, log: Log) -> None:
        log.writer.commit([submission("a"), of_task("a", 1, started(), succeeded())])

        tail = log.reader.stream(Stream("task-a"), after=Version(1), limit=1)

        assert [(one.version, one.event) for one in tail] == [(2, started())]
        assert [one.event for one in log.reader.task_events(TaskId("a"))] == [
            submitted(),
            started(),
            succeeded(),
        ]
        assert log.reader.task_events(TaskId("nobody")) == ()

    def test_a_task_that_was_throttled_a_thousand_times_is_read_whole(self, log: Log) -> None:
        throttled = failed(fault="none", outcome="throttled", next="retry", used=False)
        turns = 1_100
        log.writer.commit([submission("a")])
        log.writer.commit([of_task("a", 1, *[started(), throttled] * turns)])

        events = log.reader.task_events(TaskId("a"))

        assert [one.version for one in events] == list(range(1, 2 * turns + 2))
        assert len(self._page(log).tasks[0].events) == 2 * turns + 1

    def test_an_answer_of_events_is_bounded_by_bytes(self, log: Log) -> None:
        big = Request(URL, body=b"x" * 1_000_000)
        log.writer.commit([submission(f"{n}", request=big) for n in range(20)])

        read: list[Position] = []
        while events := log.reader.events(after=read[-1] if read else Position(0)):
            assert len(events) <= 12
            read.extend(one.position for one in events)

        assert read == list(range(1, 21))

    def test_text_and_bytes_come_back_as_they_were(self, log: Log) -> None:
        odd = self.odd
        event = submitted(
            request=Request(odd, "PUT", headers=(("x", odd),), body=bytes(range(256))),
            fair_key=odd,
            order_key=odd,
            key=odd,
            labels=((odd, odd),),
        )

        log.writer.commit([of_task(odd, 0, event)])

        assert log.reader.task_events(TaskId(odd))[0].event == event
        row = log.reader.task_row(TaskId(odd))
        assert (row.url, row.fair_key, row.order_key) == (odd, odd, odd)
        assert self._page(log).tasks[0].events == (event,)
        assert log.reader.task_rows(TaskFilter(key=odd)) == (row,)
        assert log.reader.task_rows(TaskFilter(labels=((odd, odd),))) == (row,)

    def test_a_question_with_a_character_that_nothing_holds_finds_nothing(self, log: Log) -> None:
        log.writer.commit([of_gate(GATE, 0, opened()), submission("a", key="k")])
        reader = log.reader

        for match in (TaskFilter(key="k\x00"), TaskFilter(labels=(("\x00", "\x00"),))):
            assert reader.task_rows(match) == ()
        assert reader.task_row(TaskId("a\x00")) is None
        assert reader.stream(Stream("task-a\x00")) == ()
        assert [row.gate for row in reader.gate_page(GateFilter(), after="\x00")] == [GATE]

    def test_series_are_listed_by_name(self, log: Log) -> None:
        log.writer.commit([of_series(name, 0, created()) for name in ("c", "a", "b")])

        assert [row.series for row in log.reader.series_rows(limit=2)] == ["a", "b"]
        assert [row.series for row in log.reader.series_rows(after="b")] == ["c"]

    # --- histories

    def test_the_index_is_what_the_log_gives_after_any_history(self) -> None:
        """Live rows against a naive fold in Python, then against a rebuild."""

        @settings(max_examples=self.examples)
        @given(actions())
        def holds(history: History) -> None:
            with self.new_log() as log:
                play(history, log.writer, log.reader)

                assert log.reader.check_index() == []

        holds()

    def _page(self, log: Log, now: Wall = START, limit: int = 100, **bounds: Any) -> Page:
        bounds = {"aging_ns": MINUTE, "max_bytes": 10**6} | bounds
        return log.reader.page(GATE, now, limit=limit, **bounds)

    def _ready(self, log: Log) -> list[str]:
        page = self._page(log, now=wall(3600))
        assert _due(log, wall(3600)).eligible == len(page.tasks)
        return [one.task for one in page.tasks]


def _due(log: Log, now: Wall) -> Due:
    return log.reader.due([GATE], now)[GATE]


def _row(log: Log, task_id: str) -> TaskRow:
    row = log.reader.task_row(TaskId(task_id))
    assert row is not None
    return row


def _rows(log: Log, *task_ids: str) -> list[TaskRow]:
    return [_row(log, task_id) for task_id in task_ids]
