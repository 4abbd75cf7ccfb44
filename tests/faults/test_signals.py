"""Signals: the first SIGTERM drains, the second one ends the process, replay repairs."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from taskmaster.events.types import AttemptFailed, NodeStopped
from tests.faults.harness.load import Submission
from tests.faults.harness.log_checks import check_index, read_log
from tests.faults.harness.rig import Gate, Rig

AT_ONCE = 130
pytestmark = pytest.mark.slow


async def _submit(rig: Rig, count: int, path: str, gate: str) -> None:
    """Some tasks that are all in the same way; acknowledged."""
    for _ in range(count):
        rig.load.ask(Submission(key=f"own{rig.load.made}", gate=gate, path=path))
    rig.load.begin()
    rig.load.rest()
    await rig.until("they are acknowledged", rig.load.is_calm)


def _open(rig: Rig) -> int:
    return sum(not request.over_at for request in rig.endpoint.requests)


async def test_sigterm_lets_attempts_in_flight_end_and_exits_0(rigged: Callable[..., Rig]) -> None:
    """What is in flight ends and is recorded; what waits stays for the next life."""
    rig = rigged(gates=(Gate("slots", 4),))
    await rig.start()
    await _submit(rig, 12, "/800", "slots")
    await rig.until("four are in flight", lambda: _open(rig) == 4)

    rig.signal(signal.SIGTERM)

    assert await rig.exit_code() == 0
    log = rig.check()
    assert isinstance(log.records[-1].event, NodeStopped)
    states = [story.state for story in log.stories.values()]
    assert states.count("in_flight") == 0
    assert states.count("succeeded") == len(rig.endpoint.requests)
    assert states.count("waiting") == 12 - len(rig.endpoint.requests) > 0
    await rig.start()
    log = await rig.finish()
    assert not any(isinstance(record.event, AttemptFailed) for record in log.records)


async def test_a_second_sigterm_exits_at_once_and_replay_repairs(
    rigged: Callable[..., Rig],
) -> None:
    rig = rigged(gates=(Gate("slots", 4),))
    await rig.start()
    await _submit(rig, 4, "/15000", "slots")
    await rig.until("four are in flight", lambda: _open(rig) == 4)
    rig.signal(signal.SIGTERM)
    assert rig.server is not None
    await rig.until("it drains", lambda: rig.server and "node_stopping" in rig.server.said)

    rig.signal(signal.SIGTERM)

    assert await rig.exit_code(deadline_s=2) == AT_ONCE
    rig.dead()
    await rig.start()
    await rig.until(
        "what was open is interrupted",
        lambda: sum(isinstance(r.event, AttemptFailed) for r in read_log(rig.store).records) == 4,
    )
    rig.check()
    check_index(rig.store)


async def test_sigterm_while_it_starts_ends_it_cleanly(rig: Rig) -> None:
    """A deploy that is taken back at once: at whatever point of the start."""
    await rig.start()
    rig.load.begin()
    await rig.sent(30)
    rig.kill()
    for part in range(10):
        starting = asyncio.ensure_future(rig.start())
        await asyncio.sleep(part * 0.06)  # the instant is the point, not a wait
        rig.signal(signal.SIGTERM)
        code = await rig.exit_code()
        await starting
        rig.load.server_is_down()
        assert code in (0, -signal.SIGTERM), code
        assert rig.server is not None
        assert "Traceback" not in rig.server.said, rig.server.said
        rig.dead()

    await rig.start()
    await rig.finish()


async def test_twenty_starts_and_stops_under_load_exit_0(rig: Rig) -> None:
    """Callers meet no answer but 201 and 503; nothing is ever interrupted."""
    for _ in range(20):
        assert await rig.start()
        rig.load.begin()
        await rig.sent(rig.rng.randrange(1, 60))
        rig.signal(signal.SIGTERM)
        assert await rig.exit_code() == 0
        assert rig.server is not None
        assert "Traceback" not in rig.server.said, rig.server.said
        rig.load.server_is_down()
        assert isinstance(rig.check().records[-1].event, NodeStopped)

    assert await rig.start()
    log = await rig.finish()
    ends = [record.event for record in log.records if isinstance(record.event, AttemptFailed)]
    assert [end for end in ends if end.outcome != "server_error"] == []
