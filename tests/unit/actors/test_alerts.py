"""Alerts of a node: raised once, told by webhook, kept over a restart."""

import asyncio
import json

import pytest

from taskmaster.actors.alerts import ALERTS_GATE, AlertSettings, raised_by
from taskmaster.actors.node import Node
from taskmaster.delivery.sender import Outbound
from taskmaster.events.types import (
    ALERTS,
    MINUTE,
    AlertCleared,
    AlertRaised,
    AlertRules,
    GateSettings,
    Retry,
)
from taskmaster.model.control import PauseGate, ResumeGate
from taskmaster.model.retry import Answer, Responded
from tests.unit.actors.nodes import World, open_gate, submit
from tests.unit.model.builders import CAUSE, NAME

HOOK = "http://127.0.0.1/alerts"
ONCE = Retry(max_attempts=1)


def told(world: World) -> list[tuple[str, str]]:
    """What is in the stream of alerts."""
    found: list[tuple[str, str]] = []
    for record in world.store.reader().stream(ALERTS):
        event = record.event
        assert isinstance(event, AlertRaised | AlertCleared)
        found.append((type(event).__name__, event.alert))
    return found


class Hooks:
    """Takes webhooks, and answers everything else with 400."""

    def __init__(self, world: World) -> None:
        self.bodies: list[dict[str, object]] = []
        world.endpoint.answer = self.answer

    def answer(self, outbound: Outbound) -> Answer:
        if outbound.gate != ALERTS_GATE:
            return Responded(400, 1)
        self.bodies.append(json.loads(outbound.body))
        return Responded(200, 1)


def test_an_old_task_raises_an_alert_once_and_is_told_by_webhook() -> None:
    world = World(alerts=AlertSettings(HOOK))
    hooks = Hooks(world)

    async def script(node: Node) -> None:
        await open_gate(node, GateSettings())
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        await submit(node)
        await asyncio.sleep(290)
        assert told(world) == []
        await asyncio.sleep(300)
        assert [(gate, alert) for gate, alert, _, _ in raised_by(node.alerts)] == [
            (NAME, "oldest_eligible")
        ]
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        await asyncio.sleep(180)

    world.live(script)

    assert told(world)[:1] == [("AlertRaised", "oldest_eligible")]
    assert told(world).count(("AlertRaised", "oldest_eligible")) == 1
    assert ("AlertCleared", "oldest_eligible") in told(world)
    kinds = [(body["type"], body["gate"], body["alert"]) for body in hooks.bodies]
    assert kinds[0] == ("alert.raised", NAME, "oldest_eligible")
    assert ("alert.cleared", NAME, "oldest_eligible") in kinds
    assert len(hooks.bodies) == len(told(world))


def test_an_alert_lasts_over_a_restart_and_is_not_raised_again() -> None:
    world = World(alerts=AlertSettings())

    async def before(node: Node) -> None:
        await open_gate(node, GateSettings())
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        await submit(node)
        await asyncio.sleep(320)

    async def after(node: Node) -> None:
        await asyncio.sleep(30)
        assert [alert for _, alert, _, _ in raised_by(node.alerts)] == ["oldest_eligible"]

    world.live(before)
    world.live(after, down_s=5)

    assert told(world) == [("AlertRaised", "oldest_eligible")]


@pytest.mark.parametrize("down", [False, True])
def test_dead_letters_are_told_even_if_the_process_died_first(down: bool) -> None:
    """Between a death and the next look lies a `kill -9`."""
    world = World(alerts=AlertSettings(HOOK))
    hooks = Hooks(world)

    async def before(node: Node) -> None:
        await open_gate(node, GateSettings(alerts=AlertRules(dead_letters=2)))
        await asyncio.sleep(12)
        await submit(node, 2, retry=ONCE)
        await asyncio.sleep(1 if down else 30)

    async def after(node: Node) -> None:
        del node
        await asyncio.sleep(30)

    world.live(before)
    assert bool(told(world)) is not down
    world.live(after)

    assert told(world) == [("AlertRaised", "dead_letters")]
    assert [body["detail"] for body in hooks.bodies] == ["2 new dead letters"]


def test_a_webhook_that_was_not_delivered_is_not_lost() -> None:
    """The webhook's task is in the commit of the alert; a crash right after it costs nothing."""
    world = World(alerts=AlertSettings(HOOK))
    hooks = Hooks(world)

    async def before(node: Node) -> None:
        await open_gate(node, GateSettings())
        await asyncio.sleep(6)
        await submit(node, 1, retry=ONCE)
        while not told(world):
            await asyncio.sleep(0.001)

    async def after(node: Node) -> None:
        del node
        await asyncio.sleep(120)

    world.live(before)
    assert hooks.bodies == []
    world.live(after)

    assert [body["alert"] for body in hooks.bodies] == ["dead_letters"]


def test_trouble_of_the_alerts_own_gate_sends_no_webhook() -> None:
    world = World(alerts=AlertSettings(HOOK))
    world.endpoint.answer = Responded(400, 1)

    async def script(node: Node) -> None:
        await open_gate(node, GateSettings())
        await submit(node, 1, retry=ONCE)
        await asyncio.sleep(20 * MINUTE / 1e9)

    world.live(script)

    rows = world.store.reader().gate_rows([ALERTS_GATE])
    told_of_own = [
        record.event
        for record in world.store.reader().stream(ALERTS)
        if isinstance(record.event, AlertRaised) and record.event.gate == ALERTS_GATE
    ]
    assert len(told_of_own) == 1
    assert sum(rows[0].counts.values()) == 2  # of the other gate: raised, and cleared
