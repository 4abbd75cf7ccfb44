"""The machine's clocks, chance and ids."""

import time
from uuid import UUID

from taskmaster.actors.system import SystemClock, SystemIds, SystemRng, boot_id
from taskmaster.events.types import SECOND, Wall


def test_shard_time_never_goes_back_behind_the_log() -> None:
    """Semantics 3.7: a wall clock behind the newest event stands still until it has caught up."""
    ahead = Wall(time.time_ns() + 3_600 * SECOND)
    clock = SystemClock(0, ahead)

    assert [clock.wall(), clock.wall()] == [ahead, ahead]


def test_shard_time_is_the_wall_clock_otherwise() -> None:
    clock = SystemClock(0, Wall(0))

    before, now, after = time.time_ns(), clock.wall(), time.time_ns()

    assert before <= now <= after


def test_pacing_time_runs_with_the_monotonic_clock_from_its_anchor() -> None:
    """Semantics 3.7."""
    clock = SystemClock(1_000, Wall(0))

    before, now, after = time.monotonic_ns(), clock.mono(), time.monotonic_ns()

    assert before + 1_000 <= now <= after + 1_000


def test_chance_is_from_zero_to_below_one() -> None:
    drawn = [SystemRng().uniform() for _ in range(1_000)]

    assert min(drawn) >= 0
    assert max(drawn) < 1
    assert len(set(drawn)) > 990


def test_ids_are_uuid7_and_follow_one_another() -> None:
    ids = [SystemIds().task_id() for _ in range(1_000)]

    assert {UUID(one).version for one in ids} == {7}
    assert ids == sorted(set(ids))


def test_a_boot_has_one_id() -> None:
    assert boot_id() == boot_id()
