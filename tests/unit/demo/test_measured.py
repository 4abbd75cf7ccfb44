"""The demonstration's own yardstick: it must find what is broken, or its promises prove nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from taskmaster.client import Entry
from taskmaster.demo.application import Counts, Record
from taskmaster.demo.measured import Behind, Limits, above, behind, fold_log, most_within, without

LIMITS = Limits(per_s=10, burst=2, concurrency=3)
BEGAN = datetime(2026, 11, 24, 9, tzinfo=UTC)
STARTED = "AttemptStarted"
SUCCEEDED = "AttemptSucceeded"


def entry(kind: str, task: str, at_s: float = 0.0, **fields: object) -> Entry:
    """One event of a task; a start has its slot at its own time."""
    at = BEGAN + timedelta(seconds=at_s)
    if kind == STARTED:
        fields["slot_at"] = at.isoformat()
    return Entry(1, 1, kind, at, f"task-{task}", {}, fields)


def failed(task: str, *, outcome: str, delivered: str) -> Entry:
    """An attempt's end without success."""
    return entry("AttemptFailed", task, outcome=outcome, delivered=delivered)


def arrived(**arrivals: Sequence[float]) -> Record:
    """What an application saw; each key's work was done once."""
    return Record({key: list(times) for key, times in arrivals.items()}, dict.fromkeys(arrivals, 1))


def compared(entries: Sequence[Entry], record: Record, *, acknowledged: Sequence[str]) -> Behind:
    return behind(acknowledged, fold_log(entries), record, Counts(most_in_flight=1), LIMITS)


def test_a_log_and_a_record_that_agree_break_nothing() -> None:
    entries = [
        entry(STARTED, "a"),
        entry(SUCCEEDED, "a"),
        entry(STARTED, "b"),
        entry(SUCCEEDED, "b"),
    ]

    measured = compared(entries, arrived(a=[1.0], b=[1.1]), acknowledged=["a", "b"])

    assert measured.broken(LIMITS) == []
    assert (measured.done, measured.lost, measured.arrived, measured.most_open) == (2, 0, 2, 1)


def test_a_task_that_never_arrived_is_lost_whatever_the_log_says() -> None:
    entries = [entry(STARTED, "a"), entry(SUCCEEDED, "a")]

    measured = compared(entries, arrived(), acknowledged=["a"])

    assert measured.broken(LIMITS) == ["an acknowledged task was lost"]


def test_a_task_whose_success_is_not_in_the_log_is_lost_too() -> None:
    measured = compared([entry(STARTED, "a")], arrived(a=[1.0]), acknowledged=["a"])

    assert measured.broken(LIMITS) == ["an acknowledged task was lost"]


def test_a_repeat_of_what_was_open_at_a_kill_is_counted_and_breaks_nothing() -> None:
    entries = [
        entry(STARTED, "a"),
        failed("a", outcome="interrupted", delivered="unknown"),
        entry(STARTED, "a", 1.0),
        entry(SUCCEEDED, "a"),
    ]

    measured = compared(entries, arrived(a=[1.0, 2.0]), acknowledged=["a"])

    assert measured.broken(LIMITS) == []
    assert (measured.repeats_after_kill, measured.open_at_kills) == (1, 1)


def test_a_repeat_after_an_attempt_that_never_left_is_without_a_reason() -> None:
    entries = [
        entry(STARTED, "a"),
        failed("a", outcome="refused", delivered="no"),
        entry(STARTED, "a", 1.0),
        entry(SUCCEEDED, "a"),
    ]

    measured = compared(entries, arrived(a=[1.0, 2.0]), acknowledged=["a"])

    assert measured.broken(LIMITS) == ["something was sent again without a reason"]


def test_more_open_than_the_gate_allows_is_seen_in_the_log() -> None:
    entries = [entry(STARTED, f"t{n}", n * 0.2) for n in range(4)]
    entries += [entry(SUCCEEDED, f"t{n}") for n in range(4)]
    record = arrived(t0=[0.0], t1=[0.2], t2=[0.4], t3=[0.6])

    measured = compared(entries, record, acknowledged=["t0", "t1", "t2", "t3"])

    assert measured.broken(LIMITS) == ["more was in flight than the gate allows"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("above_limit", 9.0, "more arrived than the rate allows"),
        ("most_started_in_a_second", 13, "more was started in a second than the rate allows"),
        ("crashes", 1, "the application crashed behind its gate"),
        ("most_in_flight", 4, "more was in flight at the application than gate and kill explain"),
    ],
)
def test_each_figure_beyond_its_bound_is_a_broken_promise(
    field: str, value: float, words: str
) -> None:
    entries = [entry(STARTED, "a"), entry(SUCCEEDED, "a")]
    kept = compared(entries, arrived(a=[1.0]), acknowledged=["a"])

    assert replace(kept, **{field: value}).broken(LIMITS) == [words]


def test_the_worst_window_is_found_wherever_it_begins_and_however_long_it_is() -> None:
    assert above([0.0, 0.0, 0.1, 0.2, 0.3], LIMITS) == 0.0
    assert above([0.0, 0.1, 0.2, 0.2, 0.2, 0.3], LIMITS) == pytest.approx(1.0)
    assert above([5.0, 0.0, 0.0, 0.0], LIMITS) == pytest.approx(1.0)


def test_the_fullest_interval_is_found_wherever_it_begins() -> None:
    assert most_within([0.0, 0.9, 1.0, 1.8, 1.9, 3.0], 1.0) == 4
    assert most_within([], 1.0) == 0


def test_the_other_arm_is_counted_by_the_same_rule() -> None:
    record = Record({"a": [1.0, 2.0], "b": [2.5]}, {"a": 1})

    measured = without(2, record, Counts(crashes=3, most_in_flight=401))

    assert (measured.done, measured.arrived, measured.repeats) == (1, 3, 1)
    assert (measured.crashes, measured.most_in_flight) == (3, 401)
