"""What the recovery benchmark makes of two records that are known by heart."""

from msgspec.structs import replace

from benchmarks.recovery.measured import Life, Look, Measured, Record, measured
from taskmaster.events.types import SECOND

BACK_AT = 100 * SECOND
RECORD = Record(
    looks=[Look(BACK_AT - 1, 99, is_up=False), Look(BACK_AT + 1, 7, is_up=True)],
    crashes_at=[BACK_AT - 5 * SECOND, BACK_AT + 3 * SECOND],
    done={"quick": 1, "twice": 2, "strange": 2},
    wasted=1,
)
LIVES = {
    "quick": Life(90 * SECOND, [101 * SECOND], succeeded_at=102 * SECOND),
    "twice": Life(91 * SECOND, [101 * SECOND, 104 * SECOND], 1, succeeded_at=105 * SECOND),
    "strange": Life(101 * SECOND, [106 * SECOND], succeeded_at=107 * SECOND),
    "dead": Life(92 * SECOND, [103 * SECOND], died_at=103 * SECOND),
}


def measure(lives: dict[str, Life], record: Record = RECORD) -> Measured:
    return measured(
        lives,
        record,
        began_at=90 * SECOND,
        back_at=BACK_AT,
        ended_at=170 * SECOND,
        load_per_s=0.1,
    )


def test_times_count_from_the_return() -> None:
    found = measure(LIVES)

    assert (found.first_success_s, found.drained_s) == (2, 5)
    assert found.seconds[0].at_s == -10


def test_a_backlog_that_is_there_at_the_return_is_not_drained_at_once() -> None:
    waiting = {"one": Life(90 * SECOND), "other": Life(95 * SECOND)}

    assert measure(waiting).drained_s is None


def test_only_what_happened_after_the_return_counts_as_crash_and_as_in_flight() -> None:
    found = measure(LIVES)

    assert (found.crashes, found.most_in_flight) == (1, 7)
    assert found.crashes_at_s == [-5, 3]


def test_work_done_again_is_explained_by_an_attempt_left_unanswered_only() -> None:
    found = measure(LIVES)

    assert (found.done_twice, found.unexplained) == (2, 1)


def test_fresh_work_is_what_came_after_the_return() -> None:
    late = {"late": replace(LIVES["strange"], succeeded_at=162 * SECOND)}

    assert (measure(LIVES).fresh, measure(LIVES).fresh_in_time) == (1, 1)
    assert (measure(late).fresh, measure(late).fresh_in_time) == (1, 0)


def test_what_has_not_ended_is_open_and_what_has_died_is_not() -> None:
    found = measure({**LIVES, "open": Life(93 * SECOND)})

    assert (found.tasks, found.open, found.dead, found.attempts) == (5, 1, 1, 5)
