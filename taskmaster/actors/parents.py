"""Judges who may be whose parent, before a gate is given one.

Rules of residence: gathers what `model/family.py` decides on: which gates there are, who is below
whom, and what is not over there. One change of parents at a time, so that no two make a ring.
"""

import asyncio
from collections.abc import Collection

from taskmaster.actors.line import Ports
from taskmaster.events.log import GateRow
from taskmaster.events.types import GateName, GateSettings
from taskmaster.model.family import Kinship, refuse_adaptive, refuse_move, refuse_parent
from taskmaster.model.rejected import Rejected

NOT_OVER = ("waiting", "in_flight", "awaiting", "uncertain")


class Parents:
    """Stands before the commands that set gates. On the loop's thread."""

    def __init__(self, ports: Ports, gates: Collection[GateName]) -> None:
        """`gates` are all that there are, at any time."""
        self._ports = ports
        self._gates = gates
        self.lock = asyncio.Lock()
        """Held from the judgement until the change is made."""

    def concerned(self, gate: GateName, settings: GateSettings) -> bool:
        """Whether these settings must be judged here."""
        families = self._ports.families
        return settings.parent != families.parents.get(gate) or (
            settings.adaptive is not None and families.leads(gate)
        )

    async def refuse(self, gate: GateName, settings: GateSettings) -> Rejected | None:
        """Why a gate cannot have these settings, or None."""
        families, parent = self._ports.families, settings.parent
        if settings.adaptive is not None and families.leads(gate):
            return refuse_adaptive("adaptive", gate)
        if parent == families.parents.get(gate):
            return None
        kinship = Kinship(self._gates, families.parents)
        if parent is not None:
            wrong = refuse_parent(gate, parent, kinship)
            if wrong is not None:
                return wrong
            [row] = await self._ports.reader.gate_rows([parent])
            if row.settings.adaptive is not None:
                return refuse_adaptive("parent", parent)
        for row in await self._ports.reader.gate_rows([gate, *kinship.below(gate)]):
            if _is_busy(row):
                return refuse_move(gate, row.gate)
        return None


def _is_busy(row: GateRow) -> bool:
    return any(row.counts.get(state, 0) for state in NOT_OVER)
