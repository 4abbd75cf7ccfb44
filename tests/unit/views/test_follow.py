"""Waiting for the log to go on: told, asked for, bounded."""

import asyncio

from taskmaster.events.types import SECOND, Position
from taskmaster.views.follow import MAX_WAITING, Follow


class Log:
    """A reader that knows a position only."""

    def __init__(self) -> None:
        self.at = 0
        self.asked = 0

    async def position(self) -> Position:
        self.asked += 1
        return Position(self.at)


def following(log: Log) -> Follow:
    return Follow(log)  # pyright: ignore[reportArgumentType]  # all that it asks a reader


async def test_one_who_waits_is_woken_by_what_is_told() -> None:
    follow = following(Log())
    waiting = asyncio.ensure_future(follow.after(Position(4), 10 * SECOND))
    await asyncio.sleep(0)

    follow.committed(Position(4))
    await asyncio.sleep(0)
    early = waiting.done()
    follow.committed(Position(5))

    assert not early
    assert await waiting


async def test_until_somebody_tells_the_position_is_asked_for() -> None:
    log = Log()
    follow = following(log)
    waiting = asyncio.ensure_future(follow.after(Position(4), 10 * SECOND))
    await asyncio.sleep(0.01)
    log.at = 9

    assert await waiting
    assert follow.position == 9
    asked = log.asked
    follow.committed(Position(9))
    assert not await follow.after(Position(9), SECOND // 4)
    assert log.asked == asked


async def test_a_wait_has_an_end_and_nobody_asks_after_it() -> None:
    log = Log()
    follow = following(log)

    assert not await follow.after(Position(0), SECOND // 100)
    await asyncio.sleep(0.25)
    asked = log.asked
    await asyncio.sleep(0.25)

    assert log.asked == asked
    assert follow.waiting == 0


async def test_too_many_who_wait_are_not_kept_waiting() -> None:
    follow = following(Log())
    follow.committed(Position(1))
    waiting = [asyncio.ensure_future(follow.after(Position(1), SECOND)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)

    assert not await follow.after(Position(1), 60 * SECOND)

    follow.committed(Position(2))
    assert all(await asyncio.gather(*waiting))
