"""The demonstration's application is as easily overrun as it says, or the demonstration is kind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from taskmaster.demo.application import CRASHES_AT, Application
from taskmaster.demo.http1 import Exchange
from taskmaster.demo.processes import free_port


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    one = Application(free_port())
    await one.up()
    yield one
    one.down()


def asked(key: str) -> Exchange:
    return Exchange("/accounts", key)


@pytest.mark.slow
async def test_what_is_asked_twice_is_done_once(application: Application) -> None:
    at_once = await asyncio.gather(*(application.answer(asked("ada")) for _ in range(3)))
    later = await application.answer(asked("ada"))

    assert [*at_once, later] == [b"{}"] * 4
    assert (application.counts.arrived, application.counts.done) == (4, 1)


async def test_too_much_in_flight_takes_it_down_and_nobody_is_answered(
    application: Application,
) -> None:
    asking = [
        asyncio.ensure_future(application.answer(asked(str(number))))
        for number in range(CRASHES_AT + 1)
    ]
    await asyncio.sleep(0)

    assert application.counts.crashes == 1
    assert not application.counts.is_up
    assert application.counts.in_flight == 0
    for one in asking:
        one.cancel()


@pytest.mark.slow
async def test_after_a_start_it_is_cold(application: Application) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await application.answer(asked("warm"))
    warm_s = loop.time() - began
    application.down()
    await application.up()
    began = loop.time()
    await application.answer(asked("cold"))

    assert loop.time() - began > 2 * warm_s
