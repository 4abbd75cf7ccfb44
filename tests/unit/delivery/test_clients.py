"""How long a client lives: shared, bounded, and never closed under a request."""

import asyncio
import threading

import pytest

from taskmaster.delivery.clients import Clients, Held, Line, connect_ns
from taskmaster.events.types import MILLISECOND, MINUTE, SECOND


class Factory:
    """Makes clients that are their line's host, and remembers what became of them."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.closed: list[str] = []
        self.threads: set[str] = set()

    def make(self, line: Line) -> str:
        self.threads.add(threading.current_thread().name)
        self.made.append(line.host)
        return line.host

    async def close(self, client: str) -> None:
        self.closed.append(client)

    def clients(self, limit: int = 256) -> Clients[str]:
        return Clients(self.make, self.close, limit)


def line(host: str) -> Line:
    return Line(host, "1.1.1.1", SECOND)


async def used(clients: Clients[str], host: str, now: int) -> Held[str]:
    held = clients.get(line(host)) or await clients.made(line(host), now)
    held.used_at = now
    held.in_flight += 1
    return held


async def test_a_line_has_one_client_made_off_the_loop() -> None:
    factory = Factory()
    clients = factory.clients()

    held = await asyncio.gather(*(clients.made(line("a"), 0) for _ in range(20)))

    assert factory.made == ["a"]
    assert len({id(one) for one in held}) == 1
    assert clients.get(line("a")) is held[0]
    assert threading.main_thread().name not in factory.threads


async def test_the_one_unused_for_longest_makes_room() -> None:
    factory = Factory()
    clients = factory.clients(limit=2)
    for now, host in enumerate(("a", "b", "a", "c")):
        clients.release(await used(clients, host, now))

    await asyncio.sleep(0)

    assert factory.closed == ["b"]
    assert clients.get(line("a"))
    assert clients.get(line("c"))


async def test_a_client_in_use_is_closed_after_its_last_request() -> None:
    factory = Factory()
    clients = factory.clients(limit=1)
    first = await used(clients, "a", 0)
    second = await used(clients, "a", 1)

    await used(clients, "b", 2)
    await asyncio.sleep(0)
    assert clients.get(line("a")) is None
    clients.release(first)
    await asyncio.sleep(0)
    assert factory.closed == []
    clients.release(second)
    await asyncio.sleep(0)

    assert factory.closed == ["a"]


async def test_an_idle_client_is_closed_after_5_min() -> None:
    factory = Factory()
    clients = factory.clients()
    clients.release(await used(clients, "a", 0))
    clients.release(await used(clients, "b", MINUTE))
    await used(clients, "in use", 0)

    await clients.made(line("c"), 5 * MINUTE)
    await asyncio.sleep(0)

    assert factory.closed == ["a"]


async def test_closing_closes_each_once_those_in_use_too() -> None:
    factory = Factory()
    clients = factory.clients()
    held = await used(clients, "a", 0)
    clients.release(await used(clients, "b", 0))

    await clients.close()
    clients.release(held)
    await asyncio.sleep(0)

    assert sorted(factory.closed) == ["a", "b"]


async def test_closing_waits_for_a_client_that_is_being_made() -> None:
    factory = Factory()
    clients = factory.clients()
    making = asyncio.create_task(clients.made(line("a"), 0))
    await asyncio.sleep(0)

    await clients.close()

    assert factory.closed == ["a"]
    await making


@pytest.mark.parametrize(
    ("timeout_ns", "connect"),
    [
        (30 * SECOND, 10 * SECOND),
        (20 * SECOND, 10 * SECOND),
        (19 * SECOND, 5 * SECOND),
        (5 * SECOND, 2500 * MILLISECOND),
        (SECOND, 500 * MILLISECOND),
        (600 * MILLISECOND, 250 * MILLISECOND),
        (100 * MILLISECOND, 50 * MILLISECOND),
        (10 * MILLISECOND, 50 * MILLISECOND),
    ],
)
def test_connecting_takes_half_of_the_attempt_at_most(timeout_ns: int, connect: int) -> None:
    assert connect_ns(timeout_ns) == connect
