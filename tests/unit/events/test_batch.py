"""Which appends of a batch can be stored."""

from taskmaster.events.batch import Stored, judge
from taskmaster.events.log import Append, Committed, KeyTaken, VersionConflict, Write
from taskmaster.events.rows import KeyEntry
from taskmaster.events.types import NEW, Position, Stream, TaskId, Version, Wall, task_stream
from tests.suites.facts import GATE, START, of_task, started, submission, submitted, succeeded

A = task_stream(TaskId("a"))


def stored(tails: dict[Stream, Version] | None = None, *keys: KeyEntry) -> Stored:
    return Stored(tails or {}, {(one.gate, one.key): one for one in keys}, {}, Position(10))


def test_facts_get_the_places_after_the_newest_event() -> None:
    verdict = judge([submission("a"), of_task("a", 1, started(), succeeded())], stored())

    assert [(one.position, one.version) for one in verdict.facts] == [(11, 1), (12, 2), (13, 3)]
    assert verdict.results == [Committed(Position(11)), Committed(Position(13))]


def test_an_append_without_events_is_committed_where_the_log_stands() -> None:
    verdict = judge([Append(()), Append((Write(A, Version(4)),))], stored({A: Version(4)}))

    assert verdict.results == [Committed(Position(10)), Committed(Position(10))]
    assert verdict.facts == []


def test_a_loser_leaves_nothing_for_those_after_it() -> None:
    lost = Append((Write(A, NEW, (submitted(key="k"),)), Write(Stream("gate-g"), Version(9))))

    verdict = judge([lost, submission("a", key="k")], stored())

    assert verdict.results == [
        VersionConflict(Stream("gate-g"), NEW),
        Committed(Position(11)),
    ]
    assert len(verdict.facts) == 1


def test_one_append_may_write_a_stream_twice() -> None:
    twice = Append((Write(A, NEW, (submitted(),)), Write(A, Version(1), (started(),))))
    wrong = Append((Write(A, Version(2), (succeeded(),)), Write(A, Version(2), (started(),))))

    verdict = judge([twice, wrong], stored())

    assert verdict.results == [Committed(Position(12)), VersionConflict(A, Version(2))]


def test_two_users_of_a_key_in_one_append_refuse_each_other() -> None:
    both = Append(
        (
            Write(A, NEW, (submitted(key="k"),)),
            Write(task_stream(TaskId("b")), NEW, (submitted(key="k"),)),
        )
    )

    verdict = judge([both], stored())

    assert verdict.results == [KeyTaken(TaskId("a"), same=True)]
    assert verdict.facts == []


def test_a_key_that_has_passed_is_free() -> None:
    passed = KeyEntry(GATE, "k", TaskId("old"), "", dead_at=START)
    open_still = KeyEntry(GATE, "k2", TaskId("old"), "", dead_at=None)

    verdict = judge(
        [
            submission("a", key="k", at=Wall(START - 1)),
            submission("b", key="k"),
            submission("c", key="k2"),
        ],
        stored(None, passed, open_still),
    )

    assert verdict.results == [
        KeyTaken(TaskId("old"), same=True),
        Committed(Position(11)),
        KeyTaken(TaskId("old"), same=True),
    ]
