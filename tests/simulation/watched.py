"""A seed whose checks are heard, wherever they were raised.

A check is called from within a send or a commit, so what it raises is, to the program, an actor's
crash: supervision restarts the actor, and the run goes on as if nothing had been found.
"""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from taskmaster.events.log import Append, BatchResult
from taskmaster.events.types import GateName, TaskId
from tests.simulation import scenario
from tests.simulation.checks import Broken
from tests.simulation.world import Faults, World


class WatchedWorld(World):
    """Keeps what a check found and raises it when the life is over."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        super().__init__(seed, faults)
        self.found: list[Broken] = []

    def sent_now(self, gate: GateName, task: TaskId, at_ns: int) -> None:
        try:
            super().sent_now(gate, task, at_ns)
        except Broken as broken:
            self.found.append(broken)
            raise

    def committed(self, batch: Sequence[Append], result: BatchResult) -> None:
        try:
            super().committed(batch, result)
        except Broken as broken:
            self.found.append(broken)
            raise

    def live(self, script: Any, *, until_ns: int | None = None) -> bool:
        try:
            ended = super().live(script, until_ns=until_ns)
        except Exception:
            if not self.found:
                raise
            ended = False
        if self.found:
            raise self.found[0]
        return ended


def run_watched(seed: int) -> World:
    """As `run_seed`; raises `Broken` when a promise is, at whatever step."""
    with patch.object(scenario, "World", WatchedWorld):
        return scenario.run_seed(seed)
