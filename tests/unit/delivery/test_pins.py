"""Which address of a name is used, over time. Time is a number that the tests pass in."""

import asyncio

from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Target, Unresolved
from taskmaster.delivery.pins import Pins
from taskmaster.delivery.refusal import Refusal
from taskmaster.events.types import MINUTE, SECOND

HOOK = Target("https", "hook.test", 443, is_literal=False)


class Resolver:
    """Answers what the test set last; an empty answer is a resolver in trouble."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, target: Target) -> list[str]:
        self.asked += 1
        await self.may_answer.wait()
        if not self.answers:
            raise OSError("server failure")
        return self.answers


async def settled() -> None:
    """Let the look-up beside the requests come to its end."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_name_is_resolved_once_for_30_s() -> None:
    resolver = Resolver("1.1.1.1", "1.0.0.1")
    pins = Pins(EgressRules(), resolver)

    assert pins.address(HOOK, 0) is None
    assert await pins.resolved(HOOK, 0) == "1.1.1.1"
    assert pins.address(HOOK, 30 * SECOND - 1) == "1.1.1.1"

    await settled()
    assert resolver.asked == 1


async def test_requests_do_not_wait_while_a_name_is_resolved_again() -> None:
    resolver = Resolver("1.1.1.1")
    pins = Pins(EgressRules(), resolver)
    await pins.resolved(HOOK, 0)
    resolver.answers = ["1.0.0.1"]

    assert pins.address(HOOK, 30 * SECOND) == "1.1.1.1"
    assert pins.address(HOOK, 30 * SECOND) == "1.1.1.1"

    await settled()
    assert resolver.asked == 2
    assert pins.address(HOOK, 31 * SECOND) == "1.0.0.1"


async def test_an_address_stays_while_it_is_among_the_answers() -> None:
    resolver = Resolver("1.1.1.1")
    pins = Pins(EgressRules(), resolver)
    await pins.resolved(HOOK, 0)
    resolver.answers = ["9.9.9.9", "1.1.1.1"]

    pins.address(HOOK, 30 * SECOND)
    await settled()

    assert pins.address(HOOK, 31 * SECOND) == "1.1.1.1"


async def test_a_resolver_in_trouble_stops_nobody_for_5_min() -> None:
    resolver = Resolver("1.1.1.1")
    pins = Pins(EgressRules(), resolver)
    await pins.resolved(HOOK, 0)
    resolver.answers = []

    for now in range(30 * SECOND, 5 * MINUTE, 30 * SECOND):
        assert pins.address(HOOK, now) == "1.1.1.1"
        await settled()

    assert pins.address(HOOK, 5 * MINUTE) is None
    assert await pins.resolved(HOOK, 5 * MINUTE) == Unresolved("server failure")


async def test_a_name_that_turns_to_a_forbidden_address_is_given_up_at_once() -> None:
    resolver = Resolver("1.1.1.1")
    pins = Pins(EgressRules(), resolver)
    await pins.resolved(HOOK, 0)
    resolver.answers = ["1.1.1.1", "127.0.0.1"]

    pins.address(HOOK, 30 * SECOND)
    await settled()

    assert pins.address(HOOK, 31 * SECOND) is None
    assert isinstance(await pins.resolved(HOOK, 31 * SECOND), Refusal)


async def test_a_dead_address_makes_way_for_the_next_one() -> None:
    pins = Pins(EgressRules(), Resolver("1.1.1.1", "1.0.0.1"))
    await pins.resolved(HOOK, 0)

    pins.give_up("hook.test", "1.1.1.1")
    pins.give_up("hook.test", "1.1.1.1")  # a second request that had met the same one

    assert pins.address(HOOK, 1) == "1.0.0.1"
    pins.give_up("hook.test", "1.0.0.1")
    assert pins.address(HOOK, 1) == "1.1.1.1"


async def test_one_look_up_serves_all_who_wait() -> None:
    resolver = Resolver("1.1.1.1")
    resolver.may_answer.clear()
    pins = Pins(EgressRules(), resolver)
    waiting = [asyncio.create_task(pins.resolved(HOOK, 0)) for _ in range(50)]
    await settled()
    waiting[0].cancel()  # its attempt has run out of time; the others still wait

    resolver.may_answer.set()

    assert await asyncio.gather(*waiting[1:]) == ["1.1.1.1"] * 49
    assert resolver.asked == 1


async def test_a_resolver_in_trouble_is_asked_every_30_s() -> None:
    resolver = Resolver("1.1.1.1")
    pins = Pins(EgressRules(), resolver)
    await pins.resolved(HOOK, 0)
    resolver.answers = []

    for now in range(30 * SECOND, 90 * SECOND, SECOND):
        pins.address(HOOK, now)
        await settled()

    assert resolver.asked == 3


async def test_closing_answers_those_who_wait() -> None:
    resolver = Resolver("1.1.1.1")
    resolver.may_answer.clear()
    pins = Pins(EgressRules(), resolver)
    waiting = asyncio.create_task(pins.resolved(HOOK, 0))
    await settled()

    await pins.close()

    assert await waiting == Unresolved("the sender is closed")


async def test_an_address_needs_no_pin() -> None:
    resolver = Resolver()
    literal = Target("http", "1.1.1.1", 80, is_literal=True)

    assert Pins(EgressRules(), resolver).address(literal, 0) == "1.1.1.1"
    assert resolver.asked == 0
