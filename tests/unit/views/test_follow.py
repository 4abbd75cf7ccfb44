"""Waiting for what is committed next: told, bounded."""

import asyncio

from taskmaster.events.types import SECOND, Position, TaskId, task_stream
from taskmaster.views.follow import MAX_WAITING, Follow
from tests.suites.facts import of_gate, opened, submission

ONE, OTHER = task_stream(TaskId("1")), task_stream(TaskId("2"))


async def test_one_who_waits_is_woken_by_what_is_told() -> None:
    follow = Follow()
    waiting = asyncio.ensure_future(follow.after(Position(4), 10 * SECOND))
    await asyncio.sleep(0)

    follow.committed(Position(4), ())
    await asyncio.sleep(0)
    early = waiting.done()
    follow.committed(Position(5), ())

    assert not early
    assert await waiting


async def test_a_wait_has_an_end() -> None:
    follow = Follow()

    assert not await follow.after(Position(0), SECOND // 100)
    assert follow.waiting == 0


async def test_a_watch_hears_of_its_own_stream_only() -> None:
    follow = Follow()

    with follow.watch(ONE) as first, follow.watch(ONE) as second, follow.watch(OTHER) as other:
        assert first
        assert second
        assert other
        follow.committed(Position(1), (of_gate("g", 0, opened()), submission("1")))
        heard = [moved.is_set() for moved in (first, second, other)]
    waiting = follow.waiting
    follow.committed(Position(2), (submission("2"),))

    assert heard == [True, True, False]
    assert waiting == 0
    assert not other.is_set()


async def test_too_many_who_wait_are_not_kept_waiting() -> None:
    follow = Follow()
    follow.committed(Position(1), ())
    waiting = [asyncio.ensure_future(follow.after(Position(1), SECOND)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)

    assert not await follow.after(Position(1), 60 * SECOND)
    with follow.watch(ONE) as moved:
        assert moved is None

    follow.committed(Position(2), ())
    assert all(await asyncio.gather(*waiting))
