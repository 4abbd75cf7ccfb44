"""A gate's numbers over time: rings, widths, columns."""

from hypothesis import given
from hypothesis.strategies import integers, lists

from taskmaster.events.types import MILLISECOND
from taskmaster.views.history import (
    COARSE_ROWS,
    FINE_ROWS,
    History,
    Levels,
    Tally,
    columns,
    quantile_s,
)


def put(history: History, at: int, *, started: int = 0, eligible: int = 0) -> None:
    tally = Tally()
    tally.started = started
    history.put(tally.row(at, 1, Levels(eligible=eligible, state=0)))


def test_flows_are_per_second_and_levels_those_at_the_end() -> None:
    history = History()
    put(history, 100, started=3, eligible=9)
    put(history, 101, started=5, eligible=7)

    found = columns(history.rows(100, 2), 100, 102, 2)

    assert (found.started_per_s, found.eligible) == ([4.0], [7])
    assert found.state == ["open"]


def test_what_lies_before_the_first_row_is_not_known_and_a_gap_is_stillness() -> None:
    history = History()
    put(history, 101, started=2, eligible=4)
    put(history, 103, started=1, eligible=3)

    found = columns(history.rows(100, 1), 100, 105, 1)

    assert found.started_per_s == [None, 2.0, 0.0, 1.0, 0.0]
    assert found.eligible == [None, 4, 4, 3, 3]


@given(lists(integers(0, 50), min_size=1, max_size=100), integers(1, 40))
def test_no_start_is_lost_whatever_the_step(starts: list[int], step: int) -> None:
    history = History()
    for second, count in enumerate(starts):
        put(history, 1_000 + second, started=count)

    begin = 1_000 - 1_000 % step
    found = columns(history.rows(begin, step), begin, 1_000 + len(starts), step)

    ends = [*found.at_unix_seconds[1:], 1_000 + len(starts)]
    counted = sum(
        round(rate * (end - at))
        for at, end, rate in zip(found.at_unix_seconds, ends, found.started_per_s, strict=True)
        if rate is not None
    )
    assert counted == sum(starts)


def test_a_step_that_has_not_ended_looks_like_those_before_it() -> None:
    history = History()
    for second in range(1_000, 1_015):
        put(history, second, started=7)

    assert columns(history.rows(1_000, 10), 1_000, 1_015, 10).started_per_s == [7.0, 7.0]


def test_a_history_is_bounded_and_old_seconds_live_on_as_tens() -> None:
    history = History()
    for second in range(20_003):
        put(history, second, started=1)

    assert history.size == FINE_ROWS + COARSE_ROWS
    found = columns(history.rows(15_000, 1), 15_000, 20_003, 1)
    assert sum(rate or 0 for rate in found.started_per_s) == 5_003


def test_quantiles_are_within_a_tenth() -> None:
    tally = Tally()
    for duration_ms in range(1, 1_001):
        tally.took(duration_ms * MILLISECOND)

    half, most = quantile_s(tally.durations, 0.5), quantile_s(tally.durations, 0.99)

    assert half is not None
    assert most is not None
    assert abs(half - 0.5) <= 0.05
    assert abs(most - 0.99) <= 0.1
    assert quantile_s({}, 0.5) is None
