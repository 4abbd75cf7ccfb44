"""Whose turn it is at a gate: fresh work, the backlog of an outage, or what was redriven.

Rules of residence: pure. The ranks of those that are first in their groups come in, the group that
starts next goes out; what lies in a group, and which of its lanes has the turn, is the backlog's.
The credit is no part of a gate's state: one that is restored counts anew, which moves one start.

Source: semantics 3.9 and 4.8.
"""

from collections.abc import Mapping

from msgspec import Struct

from taskmaster.events.types import HOUR, Group, Wall
from taskmaster.model.gate import Gate

WHOLE = 1_000_000
"""Shares are counted in millionths: a sum of floats drifts."""
REDRIVEN_NS = HOUR
"""What was redriven ranks as if due so much later: after all that waits, and yet not for ever."""

Rank = tuple[int, int]
"""`due_at - priority * aging`, lower first, then the order of submission (semantics 3.9)."""


class Turn(Struct, frozen=True, gc=False):
    """The group that starts next, and the credit after that start."""

    group: Group
    credit: int


class Order(Struct, frozen=True):
    """How a gate's tasks are ranked and split: `aging_ns` is what a step of priority is worth,
    `share` what work due since `fresh_since` gets of the starts, in millionths."""

    aging_ns: int
    share: int = 0
    fresh_since: Wall | None = None


def order_of(gate: Gate) -> Order:
    """The order that holds at a gate; without a share for fresh work it is that of rank alone."""
    share = round(gate.settings.recovery.fresh_share * WHOLE)
    return Order(gate.settings.aging_ns, share, gate.fresh_since if share else None)


def next_turn(heads: Mapping[Group, Rank], credit: int, share: int) -> Turn | None:
    """The group of which the first starts next; None: there is nothing.

    While fresh work and older work both wait, any n starts in a row have at least
    `floor(n * share)` fresh ones; what one of them has no use for goes to the other. The credit,
    from 0 on, is what fresh work has had beyond its share.
    """
    fresh = heads.get("fresh")
    older = _older(heads, fresh)
    if fresh is None or older is None:
        group: Group | None = "fresh" if fresh is not None else older
        return None if group is None else Turn(group, credit)
    if share > credit:
        return Turn("fresh", credit - share + WHOLE)
    return Turn(older, credit - share)


def _older(heads: Mapping[Group, Rank], fresh: Rank | None) -> Group | None:
    """The backlog, or what was redriven where its turn has come."""
    backlog, redriven = heads.get("backlog"), heads.get("redriven")
    if redriven is not None:
        first = fresh if backlog is None else backlog
        if first is None or (redriven[0] + REDRIVEN_NS, redriven[1]) < first:
            return "redriven"
    return None if backlog is None else "backlog"
