"""`kill -9` at random instants under load (semantics 2 and 3, over every restart).

Half of the kills come while callers submit, half while only what waits is sent. A seed draws what
is submitted and when each kill comes; the machine adds its own chance.
"""

import asyncio

import pytest

from tests.faults.harness.rig import Rig

FEWEST_WAITING = 60


async def _live_through(rig: Rig, kills: int) -> None:
    """So many lives under load, each ended by `kill -9`."""
    for life in range(kills):
        assert await rig.start()
        rig.load.begin()
        if life >= kills // 2:
            waiting = rig.load.made - rig.endpoint.has_answered()
            if waiting < FEWEST_WAITING:
                await rig.until("enough waits", lambda: _waiting(rig) >= 2 * FEWEST_WAITING)
            rig.load.rest()
        await asyncio.sleep(rig.rng.uniform(0, 0.8))  # the instant is the point, not a wait
        rig.kill()


def _waiting(rig: Rig) -> int:
    return rig.load.made - rig.endpoint.has_answered()


async def _survives(rig: Rig, kills: int) -> None:
    await _live_through(rig, kills)

    assert await rig.start()
    log = await rig.finish()

    attempts = [attempt for story in log.stories.values() for attempt in story.attempts]
    interrupted = sum(attempt.is_interrupted for attempt in attempts)
    voided = sum(attempt.is_voided for attempt in attempts)
    twice = len(rig.endpoint.requests) - len({r.task for r in rig.endpoint.requests})
    print(
        f"{kills} kills: {len(rig.load.promises)} promises, {len(attempts)} starts,"
        f" {interrupted} interrupted, {voided} voided, {twice} sent again,"
        f" {rig.load.cut_off} calls cut off,"
        f" stall {max((s.late_ns for s in rig.endpoint.stalls), default=0) / 1e6:.0f} ms"
    )
    assert interrupted > 0, "no kill met an open attempt: nothing was shown"


@pytest.mark.slow
async def test_every_promise_survives_eight_kills(rig: Rig) -> None:
    await _survives(rig, 8)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_every_promise_survives_thirty_kills(rig: Rig) -> None:
    """The issue's measure: `kill -9` at 30 random instants."""
    await _survives(rig, 30)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", range(4))
async def test_more_runs_of_thirty_kills(rig: Rig, run: int) -> None:
    del run
    await _survives(rig, 30)
