"""A process that stands still, as under a debugger, a swapping host or a moved machine.

Semantics 3.8: a grant that was not sent within 1 s of its slot is void, never sent in a bunch.
"""

import signal

import pytest

from tests.faults.harness.rig import SECOND, Rig
from tests.faults.harness.until import until

FROZEN_S = 3


@pytest.mark.slow
async def test_after_a_freeze_old_grants_are_void_and_limits_hold(rig: Rig) -> None:
    await rig.start()
    rig.load.begin()
    await rig.until("much waits", lambda: rig.load.made - rig.endpoint.has_answered() > 300)
    await rig.sent(50)

    rig.signal(signal.SIGSTOP)
    await _frozen(rig)
    before = len(rig.endpoint.requests)
    rig.signal(signal.SIGCONT)

    await rig.sent(100)
    log = await rig.finish()
    attempts = [attempt for story in log.stories.values() for attempt in story.attempts]
    voided = sum(attempt.is_voided for attempt in attempts)
    assert voided > 0, "nothing was granted when it froze: nothing was shown"
    late = 0
    for request in rig.endpoint.requests[before:]:
        started = [a for a in log.stories[request.task].attempts if not a.is_voided]
        slot_at = log.mono(started[request.attempt - 1].slot_at)
        late += request.came_at > slot_at + 1.25 * SECOND
    print(f"{voided} voided, {late} late")
    assert late == 0


async def _frozen(rig: Rig) -> None:
    """Wait until the endpoint has heard nothing for the time of a freeze."""
    last = [len(rig.endpoint.requests), 0]

    def silent() -> bool:
        count = len(rig.endpoint.requests)
        last[1] = last[1] + 1 if count == last[0] else 0
        last[0] = count
        return last[1] * 0.005 >= FROZEN_S

    await until("the server stands still", silent)
