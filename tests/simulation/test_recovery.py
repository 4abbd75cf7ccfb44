"""Endpoints that come back cold to a backlog, whatever kind they are: semantics 3.1 and 4.

A failure says which seed, and `python -m tests.simulation.recovery SEED SEED` repeats it.
"""

import pytest

from benchmarks.recovery.metastable import Character
from taskmaster.model import learning
from tests.simulation.checks import Broken
from tests.simulation.recovery import MAY_NOT_CRASH, check, varied
from tests.simulation.returning import Story, run

SEEDS = 24
MORE_SEEDS = 200
FRAGILE = Character(
    slots=8, service_s=0.1, knee=16, queue=500, crashes_at=80, away_s=5, warm_after=800
)
"""The benchmark's endpoint at a quarter of its size."""


def fragile(arm: str, rate: int) -> Story:
    return Story(
        arm,  # pyright: ignore[reportArgumentType]  # one of the arms
        rate,
        character=FRAGILE,
        waiting=800,
        load_per_s=10,
        outage_s=10,
        until_s=90,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_no_endpoint_is_knocked_over_and_every_task_ends(seed: int) -> None:
    """Each seed has its endpoint; the three gates take turns."""
    arm, right = MAY_NOT_CRASH[seed % len(MAY_NOT_CRASH)]
    story = varied(seed, arm, right=right)

    check(story, run(story), may_crash=False)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS + 1, MORE_SEEDS))
def test_no_further_endpoint_is_knocked_over(seed: int) -> None:
    for arm, right in MAY_NOT_CRASH:
        story = varied(seed, arm, right=right)
        check(story, run(story), may_crash=False)


@pytest.mark.slow
def test_without_ramp_and_learning_the_same_endpoint_is_knocked_over() -> None:
    """Else it would be too kind to show anything."""
    fixed, adaptive = run(fragile("fixed", 250)).measured, run(fragile("adaptive", 250)).measured

    assert fixed.crashes > 0
    assert fixed.drained_s is None
    assert adaptive.crashes == 0
    assert adaptive.drained_s is not None


@pytest.mark.slow
def test_a_gate_that_learns_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no test has seen fail proves nothing."""

    def always_spare(*_: object, **__: object) -> tuple[float, str]:
        return 6.0, "spare"

    monkeypatch.setattr(learning, "_step", always_spare)
    story = fragile("adaptive", 250)

    with pytest.raises(Broken):
        check(story, run(story), may_crash=False)
