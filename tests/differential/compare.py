"""Where OTP's supervisor and ours part."""

import traceback
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from taskmaster.supervision.machine import Machine
from tests.differential import machine_world
from tests.differential.generator import scenario
from tests.differential.otp import Reference
from tests.differential.scenarios import Scenario, as_erlang
from tests.differential.traces import comparable, side_by_side

Play = Callable[[Scenario], list[str]]


class Difference(Struct, frozen=True):
    """A scenario that came out differently."""

    scenario: Scenario
    theirs: list[str]
    ours: list[str]

    def __str__(self) -> str:
        return f"{as_erlang(self.scenario)}\n{side_by_side(self.scenario, self.theirs, self.ours)}"


def differences(seeds: Iterable[int], reference: Reference, play: Play) -> Iterator[Difference]:
    """Play these scenarios and compare."""
    for seed in seeds:
        one = scenario(seed)
        try:
            ours = comparable(play(one))
        except Exception:
            ours = traceback.format_exc().splitlines()
        if ours != reference.traces[seed]:
            yield Difference(one, reference.traces[seed], ours)


def caught_after(mutant: type[Machine], reference: Reference) -> int | None:
    """How many scenarios it takes to see that this machine is wrong; None when none shows it."""

    def play(one: Scenario) -> list[str]:
        return machine_world.play(one, mutant)

    for number, seed in enumerate(sorted(reference.traces), start=1):
        if any(differences([seed], reference, play)):
            return number
    return None
