"""A gate as people ask about it: its row, what of it is eligible, and its live state.

Rules of residence: reads rows and live actors, counts nothing itself (semantics 10). A gate at
rest has no actor; where its state is needed, it is folded from the log.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.actors.gate_stream import folded_gate
from taskmaster.actors.node import Node
from taskmaster.events.log import GateRow
from taskmaster.events.types import SECOND, GateName, Mono, Wall
from taskmaster.model.gate import Gate, GateStateName, Ramping, Wait, WaitCause, learned_limit

AT_ONCE = 32
"""Questions to the reader that a list has open at one time."""


class GateView(Struct, frozen=True):
    """A gate now. `eligible` tasks wait and are due; `oldest_due_at` is the due time of the one
    that waits longest. `live` is its folded state where it was needed."""

    row: GateRow
    now: Wall
    eligible: int
    oldest_due_at: Wall | None
    is_quarantined: bool
    waits: Wait | None = None
    is_store_away: bool = False
    live: Gate | None = None

    @property
    def state(self) -> GateStateName:
        """Its control unless that is running, else its mode (semantics 4.1)."""
        if self.is_quarantined:
            return "quarantined"
        return self.row.mode if self.row.control == "running" else self.row.control

    @property
    def oldest_age_s(self) -> float | None:
        """How long the oldest eligible task has been due, in seconds."""
        if self.oldest_due_at is None:
            return None
        return max(0, self.now - self.oldest_due_at) / SECOND

    @property
    def ramp_percent(self) -> int | None:
        """The share of its limits that holds, while it ramps."""
        mode = self.live.mode if self.live else None
        return mode.percent if isinstance(mode, Ramping) else None

    @property
    def learned_limit(self) -> int | None:
        """How many attempts an adaptive gate with work may have open by what it learned."""
        if self.live is None or self.live.settings.adaptive is None:
            return None
        return learned_limit(self.live)

    @property
    def held_by(self) -> WaitCause | Literal["store_away"] | None:
        """The one cause for which all eligible tasks wait, in the order of semantics 10."""
        if not self.eligible:
            return None
        if self.is_quarantined:
            return "quarantined"
        if self.is_store_away:
            return "store_away"
        if self.row.control != "running":
            return "paused"
        return self.waits.cause if self.waits else None

    def wall(self, at: Mono, mono: Mono) -> Wall:
        """An instant of pacing time on the wall's clock, as both stand now."""
        return Wall(self.now + at - mono)


async def view_gate(node: Node, gate: GateName) -> GateView | None:
    """One gate, or None where it was never opened."""
    rows = await node.ports.reader.gate_rows([gate])
    if not rows:
        return None
    view = await _view(node, rows[0])
    if view.live is None and view.row.mode == "ramping":
        return replace(view, live=await fold_gate(node, gate))
    return view


async def view_gates(node: Node, rows: Sequence[GateRow]) -> list[GateView]:
    """Many gates, in the order of their rows."""
    views: list[GateView] = []
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        views += await asyncio.gather(*(_view(node, row) for row in part))
    return views


async def _view(node: Node, row: GateRow) -> GateView:
    now = node.ports.clock.wall()
    eligible, oldest = 0, None
    if row.counts.get("waiting", 0):
        eligible, oldest = await node.ports.reader.eligible(row.gate, now)
    actor = node.gates.live(row.gate)
    return GateView(
        row=row,
        now=now,
        eligible=eligible,
        oldest_due_at=oldest,
        is_quarantined=node.gates.quarantine.get(row.gate) is not None,
        waits=actor.waits if actor else None,
        is_store_away=node.store.is_away,
        live=actor.gate if actor else None,
    )


async def fold_gate(node: Node, gate: GateName) -> Gate:
    """A gate's state from the log, as its actor would restore it."""
    snapshot = await node.ports.reader.gate_snapshot(gate)
    return folded_gate(snapshot, gate)
