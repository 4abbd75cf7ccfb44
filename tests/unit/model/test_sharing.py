"""Whose turn it is among the groups of a gate (semantics 3.9 and 4.8)."""

from math import floor

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, lists, tuples
from msgspec.structs import replace

from taskmaster.events.types import (
    HOUR,
    SECOND,
    GateEvent,
    GateRampStepped,
    GateRecovered,
    Group,
    RampCause,
    RecoverySettings,
)
from taskmaster.model.gate import Mode, Open, Probing, Ramping, Tripped, evolve
from taskmaster.model.sharing import REDRIVEN_NS, WHOLE, Order, Rank, Turn, next_turn, order_of
from tests.unit.model.builders import MONO, NAME, NOW, open_gate, wall

HALF = WHOLE // 2


def heads(**at: float) -> dict[Group, Rank]:
    """The next of each group, due so many seconds from now."""
    return {group: (round(due * SECOND), 1) for group, due in at.items()}  # pyright: ignore[reportReturnType]  # groups by name


@given(lists(tuples(booleans(), booleans()), max_size=200), integers(1, WHOLE))
def test_any_n_starts_in_a_row_with_both_waiting_have_their_share(
    waiting: list[tuple[bool, bool]], share: int
) -> None:
    """Wherever the run begins, and whatever came before it; the backlog has the rest."""
    credit, runs, run = 0, list[list[bool]](), list[bool]()
    for has_fresh, has_backlog in waiting:
        present = {"fresh": 0.0} if has_fresh else {}
        present |= {"backlog": -60.0} if has_backlog else {}
        turn = next_turn(heads(**present), credit, share)
        if turn is not None:
            credit = turn.credit
        if has_fresh and has_backlog:
            assert turn is not None
            run.append(turn.group == "fresh")
        else:
            runs.append(run)
            run = []
    for each in [*runs, run]:
        for first in range(len(each)):
            for last in range(first + 1, len(each) + 1):
                n, fresh = last - first, sum(each[first:last])
                assert fresh >= floor(n * share / WHOLE)
                assert n - fresh >= floor(n * (WHOLE - share) / WHOLE)


@given(booleans(), booleans(), booleans(), integers(0, WHOLE - 1), integers(0, WHOLE))
def test_something_starts_while_anything_waits(
    fresh: bool, backlog: bool, redriven: bool, credit: int, share: int
) -> None:
    """What one group has no use for goes to the others; the credit keeps its bounds."""
    present = {"fresh": 0.0} if fresh else {}
    present |= {"backlog": -60.0} if backlog else {}
    present |= {"redriven": 0.0} if redriven else {}

    turn = next_turn(heads(**present), credit, share)

    assert (turn is None) == (not present)
    if turn is not None:
        assert turn.group in present
        assert 0 <= turn.credit <= WHOLE


def test_fresh_work_has_the_first_turn() -> None:
    assert next_turn(heads(fresh=0, backlog=-60), 0, HALF) == Turn("fresh", HALF)
    assert next_turn(heads(fresh=0, backlog=-60), HALF, HALF) == Turn("backlog", 0)


def test_what_is_alone_uses_up_no_credit() -> None:
    assert next_turn(heads(backlog=-60), 3, HALF) == Turn("backlog", 3)
    assert next_turn(heads(fresh=0), 3, HALF) == Turn("fresh", 3)


def test_what_was_redriven_comes_last() -> None:
    """Though it was due before all others; and alone it goes at once."""
    assert next_turn(heads(fresh=0, redriven=-3_599), 0, HALF) == Turn("fresh", 0)
    assert next_turn(heads(backlog=0, redriven=-3_599), 0, HALF) == Turn("backlog", 0)
    assert next_turn(heads(redriven=0), 0, HALF) == Turn("redriven", 0)


def test_what_was_redriven_waits_an_hour_longer_than_others_and_not_for_ever() -> None:
    assert REDRIVEN_NS == HOUR
    assert next_turn(heads(backlog=0, redriven=-3_601), 0, HALF) == Turn("redriven", 0)
    assert next_turn(heads(fresh=0, redriven=-3_601), HALF, HALF) == Turn("redriven", 0)


def test_what_was_redriven_takes_from_the_backlog_not_from_fresh_work() -> None:
    waiting = heads(fresh=0, backlog=-60, redriven=-3_700)

    assert next_turn(waiting, 0, HALF) == Turn("fresh", HALF)
    assert next_turn(waiting, HALF, HALF) == Turn("redriven", 0)


def test_without_a_share_there_is_no_backlog_to_set_apart() -> None:
    """Semantics 4.8: settable to strict FIFO."""
    strict = open_gate(recovery=RecoverySettings(fresh_share=0.0))

    assert order_of(replace(strict, fresh_since=NOW)) == Order(aging_ns=60 * SECOND)


def test_the_share_of_a_gate_is_counted_in_millionths() -> None:
    gate = open_gate(recovery=RecoverySettings(fresh_share=0.7))

    assert order_of(replace(gate, fresh_since=NOW)) == Order(60 * SECOND, 700_000, NOW)


def stepped(why: RampCause, at_s: int) -> GateRampStepped:
    return GateRampStepped(at=wall(at_s), mono=MONO, step=0, percent=5, until=MONO, why=why)


@pytest.mark.parametrize(
    ("mode", "event"),
    [
        (Probing(1), stepped("probe", 9)),
        (Open(), stepped("paused", 9)),
        (Open(), stepped("limits", 9)),
        (Ramping(2, 25, MONO, 1), stepped("process_down", 9)),
        (Tripped(MONO, 1), GateRecovered(at=wall(9), mono=MONO)),
        (Probing(1), GateRecovered(at=wall(9), mono=MONO)),
    ],
)
def test_work_due_before_a_ramp_or_recovery_began_is_backlog(mode: Mode, event: GateEvent) -> None:
    """Semantics 4.8."""
    assert evolve(open_gate(mode=mode), event, NAME).fresh_since == wall(9)


@pytest.mark.parametrize(
    "event",
    [
        stepped("step", 9),
        stepped("fallback", 9),
        stepped("slow", 9),
        stepped("limits", 9),
        GateRecovered(at=wall(9), mono=MONO),
    ],
)
def test_what_is_fresh_stays_so_until_the_next_outage(event: GateEvent) -> None:
    gate = replace(open_gate(mode=Ramping(1, 10, MONO, 1)), fresh_since=NOW)

    assert evolve(gate, event, NAME).fresh_since == NOW
