"""The node's slots: no gate waits for ever while one is free."""

import random

from taskmaster.actors.line import Slots
from taskmaster.events.types import GateName

NAMES = [GateName(name) for name in "abc"]


class Gates:
    """Gates that want slots, look when they are woken, and sometimes end before they do."""

    def __init__(self, limit: int) -> None:
        self.slots = Slots(limit)
        self.wanted = dict.fromkeys(NAMES, 0)
        self.woken: list[GateName] = []

    def submit(self, gate: GateName) -> None:
        self.wanted[gate] += 1
        self.woken.append(gate)

    def cancel(self, gate: GateName) -> None:
        self.wanted[gate] = 0

    def end(self, _gate: GateName) -> None:
        if self.slots.taken:
            self.slots.give_back()

    def look(self, _gate: GateName) -> None:
        """The first that was woken."""
        if self.woken:
            gate = self.woken.pop(0)
            while self.wanted[gate] and self.slots.take(gate, lambda: self.woken.append(gate)):
                self.wanted[gate] -= 1
            self.slots.pass_on()

    def crash(self, gate: GateName) -> None:
        """What was told is lost; the next incarnation looks when it is restored."""
        self.woken = [name for name in self.woken if name != gate]
        self.slots.leave(gate)
        self.woken.append(gate)

    def rest(self, gate: GateName) -> None:
        """It asked when it wanted nothing, and was woken before its end."""
        if not self.wanted[gate]:
            self.woken = [name for name in self.woken if name != gate]
            self.slots.leave(gate)


STEPS = (Gates.submit, Gates.cancel, Gates.end, Gates.look, Gates.rest, Gates.crash)
WEIGHTS = (20, 10, 10, 45, 12, 3)


def test_no_slot_is_free_that_a_gate_waits_for_while_none_is_about_to_look() -> None:
    """After each step of any history."""
    for seed in range(1_000):
        rng = random.Random(seed)
        gates = Gates(rng.choice((1, 1, 2)))
        for step in rng.choices(STEPS, WEIGHTS, k=60):
            step(gates, rng.choice(NAMES))

            free = gates.slots.limit - gates.slots.taken
            assert free >= 0
            assert gates.woken or not free or not any(gates.wanted.values()), f"seed {seed}"
