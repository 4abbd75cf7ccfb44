"""A gate as people ask about it: its row, what of it is eligible, and its live state.

Rules of residence: reads rows and live actors, counts nothing itself (semantics 10). A gate at
rest has no actor; where its state is needed, it is folded from the log.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.actors.gate_stream import folded_gate
from taskmaster.actors.node import Node
from taskmaster.actors.quarantine import Held
from taskmaster.events.log import Due, GateRow
from taskmaster.events.types import SECOND, GateName, Mono, Wall
from taskmaster.model.gate import Gate, GateStateName, Ramping, Wait, WaitCause, learned_limit

HeldBy = WaitCause | Literal["store_away"]
FOR_ALL: tuple[HeldBy, ...] = (
    "quarantined", "store_away", "paused", "throttled", "tripped", "probing",
)  # fmt: skip
"""What comes before the order key in semantics 10, and so holds everything that is due."""
WaitingCause = HeldBy | Literal["not_due", "order_key", "series_paused", "behind_others"]


class GateView(Struct, frozen=True):
    """A gate now. `due` is what waits there and is due. `live` is its folded state where it was
    needed, `above` that of the parent which holds it back."""

    row: GateRow
    now: Wall
    due: Due = Due()
    quarantine: Held | None = None
    waits: Wait | None = None
    is_store_away: bool = False
    live: Gate | None = None
    above: Gate | None = None

    @property
    def state(self) -> GateStateName:
        """Its control unless that is running, else its mode (semantics 4.1)."""
        if self.quarantine is not None:
            return "quarantined"
        return self.row.mode if self.row.control == "running" else self.row.control

    @property
    def eligible(self) -> int:
        """How many tasks wait, are due and are held by nothing but the gate."""
        return self.due.eligible

    @property
    def scheduled(self) -> int:
        """How many tasks wait and are not due; held ones that are due are not among them."""
        due = self.due.eligible + self.due.by_order + self.due.by_series
        return self.row.counts.get("waiting", 0) - due

    @property
    def oldest_age_s(self) -> float | None:
        """How long the oldest eligible task has been due, in seconds."""
        if self.due.oldest_at is None:
            return None
        return max(0, self.now - self.due.oldest_at) / SECOND

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
    def learned_rate(self) -> float | None:
        """How many attempts an adaptive gate with work may start a second by what it learned from
        being throttled; None: it learned of no such bound."""
        return self.live.quota.rate or None if self.live else None

    @property
    def held_by(self) -> HeldBy | None:
        """The one cause for which all eligible tasks wait, in the order of semantics 10."""
        if self.quarantine is not None:
            return "quarantined"
        if self.is_store_away:
            return "store_away"
        if self.row.control != "running":
            return "paused"
        return self.waits.cause if self.waits and self.eligible else None

    @property
    def holder(self) -> GateName | None:
        """The parent for which all eligible tasks wait; None: the gate itself holds them."""
        of_its_own = self.quarantine is not None or self.row.control != "running"
        if of_its_own or self.is_store_away or self.waits is None or not self.eligible:
            return None
        return self.waits.gate

    def held_until(self, mono: Mono) -> Wall | None:
        """When that cause ends by itself; None: an event ends it."""
        match self.held_by:
            case None | "store_away":
                return None
            case "quarantined":
                return self.quarantine.until if self.quarantine else None
            case "paused":
                holder = self.above if self.holder is not None else None
                return holder.paused_until if holder else self.row.paused_until
            case _:
                until = self.waits.until if self.waits else None
                return None if until is None else Wall(self.now + until - mono)

    @property
    def causes(self) -> dict[WaitingCause, int]:
        """All that waits, each task under the first cause that holds (semantics 10)."""
        due, by = self.due, self.held_by
        if by in FOR_ALL:
            all_due = due.eligible + due.by_order + due.by_series
            counts: dict[WaitingCause, int] = {"not_due": self.scheduled, by: all_due}
        else:
            counts = {
                "not_due": self.scheduled,
                "order_key": due.by_order,
                "series_paused": due.by_series,
                by or "behind_others": due.eligible,
            }
        return {cause: count for cause, count in counts.items() if count}


async def view_gate(node: Node, gate: GateName) -> GateView | None:
    """One gate, or None where it was never opened."""
    rows = await node.reader.gate_rows([gate])
    if not rows:
        return None
    [view] = await view_gates(node, rows)
    if view.live is None and view.row.mode == "ramping":
        return replace(view, live=await fold_gate(node, gate))
    return view


async def view_gates(node: Node, rows: Sequence[GateRow]) -> list[GateView]:
    """Many gates, in the order of their rows: one question to the reader."""
    now = node.ports.clock.wall()
    waiting = [row.gate for row in rows if row.counts.get("waiting", 0)]
    due = await node.reader.due(waiting, now) if waiting else {}
    return [_view(node, row, due.get(row.gate, Due()), now) for row in rows]


def _view(node: Node, row: GateRow, due: Due, now: Wall) -> GateView:
    actor = node.gates.live(row.gate)
    waits = actor.waits if actor else None
    holder = node.ports.families.get(waits.gate) if waits and waits.gate else None
    return GateView(
        row=row,
        now=now,
        due=_within(due, row.counts.get("waiting", 0)),
        quarantine=node.gates.quarantine.get(row.gate),
        waits=holder.holds() if holder else waits,
        is_store_away=node.store.is_away,
        live=actor.gate if actor else None,
        above=holder.gate if holder else None,
    )


def _within(due: Due, waiting: int) -> Due:
    """No more than the row counts, which was read a moment before."""
    eligible = min(due.eligible, waiting)
    by_order = min(due.by_order, waiting - eligible)
    by_series = min(due.by_series, waiting - eligible - by_order)
    return Due(eligible, due.oldest_at, by_order, by_series)


async def fold_gate(node: Node, gate: GateName) -> Gate:
    """A gate's state from the log, as its actor would restore it."""
    snapshot = await node.reader.gate_snapshot(gate)
    return folded_gate(snapshot, gate)
