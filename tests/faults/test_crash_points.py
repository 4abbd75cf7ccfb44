"""A crash before and after commits and sends, by the switch in `actors/crash_switch.py`.

Each is followed by a restart and by the same checks as after `kill -9` (semantics 2.1 to 2.4).
"""

import pytest

from tests.faults.harness.rig import Rig

POINTS = ("before_commit", "after_commit", "before_send", "after_send")
CRASHED = 137


async def _crashes(rig: Rig, at: str) -> None:
    """Start under load and be ended by the switch."""
    if await rig.start(crash_at=at):
        rig.load.begin()
    assert await rig.exit_code() == CRASHED
    rig.dead()


async def _recovers(rig: Rig) -> None:
    assert await rig.start()
    rig.load.begin()
    await rig.sent(30)
    await rig.finish()


@pytest.mark.slow
@pytest.mark.parametrize(
    "n",
    [1, 3, 12, pytest.param(2, marks=pytest.mark.long), pytest.param(40, marks=pytest.mark.long)],
)
@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_a_point_loses_nothing(rig: Rig, point: str, n: int) -> None:
    await _crashes(rig, f"{point}:{n}")

    await _recovers(rig)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_every_early_passing_of_a_point_loses_nothing(
    rig: Rig, point: str
) -> None:
    """One log, crashed again and again: at the first, second, third ... passing of each life."""
    for n in range(1, 41):
        await _crashes(rig, f"{point}:{n}")

    await _recovers(rig)


@pytest.mark.slow
@pytest.mark.parametrize(
    "again",
    ["before_commit:1", "after_commit:1", "before_commit:2", "after_commit:2", "before_send:1"],
)
async def test_a_second_crash_during_recovery_loses_nothing(rig: Rig, again: str) -> None:
    """What was open is ended as interrupted by whichever life comes so far, and once."""
    assert await rig.start()
    rig.load.begin()
    await rig.sent(40)
    await rig.until("attempts are open", lambda: any(not r.over_at for r in rig.endpoint.requests))
    rig.kill()

    for _ in range(2):
        await _crashes(rig, again)

    await _recovers(rig)
