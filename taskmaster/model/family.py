"""Gates above gates: a parent's limits hold for all below it together, in one decision.

Rules of residence: pure. A parent's fold is that of any gate, but for its theoretical arrival
times, which every start of the family moves, and its attempts in flight, which are the family's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import assert_never, get_args

from msgspec import Struct

from taskmaster.events.types import AttemptStarted, GateName, Mono, ParentTats, Wall
from taskmaster.model.gate import (
    Gate,
    Grant,
    Open,
    Probing,
    Ramping,
    Tripped,
    Wait,
    WaitCause,
    paces,
)
from taskmaster.model.limits import (
    LOOKAHEAD_NS,
    Spacing,
    later_tats,
    slots,
    spacings,
    spend,
    token_at,
)
from taskmaster.model.rejected import Rejected, invalid

MOST_LEVELS = 4
"""A gate and those above it: an endpoint, its host, its data centre, and one more."""
ORDER: tuple[WaitCause, ...] = get_args(WaitCause)
"""The order of causes of semantics 10."""


class Parent(Struct, frozen=True, gc=False):
    """A gate with children as a decision below it sees it: with the attempts and the theoretical
    arrival times of its family, the later of what was decided and what was sent."""

    gate: Gate
    in_flight: int
    tats: tuple[Mono, ...] = ()


def ready_at(parent: Parent, now: Mono) -> Mono | Wait:
    """The instant from which a parent lets one attempt of its family start, or why it does not.

    Nothing is reserved. What an endpoint asks for by 429 is not asked here: it stays with the
    child.
    """
    gate = parent.gate
    if gate.quarantined_until is not None:
        return Wait("quarantined", gate=gate.name)
    if gate.control != "running":
        return Wait("paused", gate=gate.name)
    share, mode = 100, gate.mode
    match mode:
        case Open():
            pass
        case Tripped(until=until):
            return Wait("tripped", until, gate.name)
        case Probing():
            return Wait("probing", gate=gate.name)
        case Ramping():
            share = mode.percent
        case _:
            assert_never(mode)
    limits = gate.settings.limits
    if parent.in_flight >= limits.concurrency:
        return Wait("slot", gate=gate.name)
    if parent.in_flight >= slots(limits, share):
        return Wait("ramp", gate=gate.name)
    if not limits.rates:
        return now
    ready = token_at(spacings(limits, share), parent.tats)
    if ready > now + LOOKAHEAD_NS:
        cause: WaitCause = "token" if share == 100 else "ramp"
        return Wait(cause, Mono(ready - LOOKAHEAD_NS), gate.name)
    return ready


def admit_below(
    gate: Gate, own: Grant, above: Sequence[Parent], now: Mono, sent_tats: tuple[Mono, ...] = ()
) -> Grant | Wait:
    """Decide on one attempt that its gate would let start: all above it, nearest first, must agree.

    One slot for all levels, and a token of each spent at it. Of several that hold, the first
    cause in the order of semantics 10 is named, the nearest first. `gate` may be among `above`,
    for tasks of its own.
    """
    slot_at, held = own.slot_at, None
    for parent in above:
        ready = ready_at(parent, now)
        if isinstance(ready, Wait):
            if held is None or ORDER.index(ready.cause) < ORDER.index(held.cause):
                held = ready
        elif ready > slot_at:
            slot_at = ready
    if held is not None:
        return held
    tats = own.tats
    if slot_at > own.slot_at:
        tats = spend(paces(gate), later_tats(gate.tats, sent_tats), slot_at)
    spent: list[ParentTats] = []
    for parent in above:
        rates = _rates(parent.gate)
        if not rates:
            continue
        after = spend(rates, parent.tats, slot_at)
        if parent.gate.name == gate.name:
            tats = after
        else:
            spent.append(ParentTats(parent.gate.name, after))
    return Grant(slot_at, tats, own.probe, tuple(spent))


def _rates(gate: Gate) -> tuple[Spacing, ...]:
    """A parent's rates as they hold now; it has learned none."""
    mode = gate.mode
    return spacings(gate.settings.limits, mode.percent if isinstance(mode, Ramping) else 100)


def start_of(
    gate: Gate, attempt: int, grant: Grant, *, stopped_ns: int, wall: Wall
) -> AttemptStarted:
    """The fact that makes a grant an attempt, the `attempt`th of its task."""
    return AttemptStarted(
        at=wall,
        gate=gate.name,
        attempt=attempt,
        slot_at=grant.slot_at,
        tats=grant.tats,
        stopped_ns=stopped_ns,
        probe=grant.probe,
        above=grant.above,
    )


def first_cause(own: Wait, above: Sequence[Parent], now: Mono) -> Wait:
    """Which of all that holds an attempt back is named; the gate's own before its parents'."""
    named = own
    for parent in above:
        held = ready_at(parent, now)
        if isinstance(held, Wait) and ORDER.index(held.cause) < ORDER.index(named.cause):
            named = held
    return named


# --- who may be whose parent ------------------------------------------------------------------


class Kinship(Struct, frozen=True):
    """All gates that there are, and the parents of those that have one."""

    gates: Collection[GateName]
    parents: Mapping[GateName, GateName]

    def above(self, gate: GateName) -> tuple[GateName, ...]:
        """A gate's parent, its parent's parent, and so on."""
        found: list[GateName] = []
        at = self.parents.get(gate)
        while at is not None and at not in found:
            found.append(at)
            at = self.parents.get(at)
        return tuple(found)

    def below(self, gate: GateName) -> tuple[GateName, ...]:
        """All gates that have `gate` somewhere above them."""
        return tuple(one for one in self.parents if gate in self.above(one))


def refuse_parent(name: GateName, parent: GateName, kinship: Kinship) -> Rejected | None:
    """Why `parent` cannot be the parent of `name`, or None."""
    if parent not in kinship.gates:
        return invalid("parent", f"there is no gate {parent}", "create it with PUT first")
    if parent == name:
        return invalid("parent", "a gate cannot be its own parent", "name another gate")
    above = (parent, *kinship.above(parent))
    if name in above:
        return invalid(
            "parent",
            f"gate {parent} is below {name} already",
            f"take its parent away first, or choose one that is not below {name}",
        )
    height = max((kinship.above(one).index(name) + 1 for one in kinship.below(name)), default=0)
    levels = len(above) + 1 + height
    if levels > MOST_LEVELS:
        return invalid(
            "parent",
            f"that makes {levels} levels of gates, at most {MOST_LEVELS} are allowed",
            "choose a parent nearer to the top",
        )
    return None


def refuse_adaptive(field: str, parent: GateName) -> Rejected:
    """No, for a parent has no endpoint of its own to learn from."""
    return invalid(
        field,
        f"gate {parent} cannot be a parent and adaptive",
        "leave learning to its children (`taskmaster gate set --adaptive off`)",
    )


def refuse_move(name: GateName, busy: GateName) -> Rejected:
    """No, for tasks that are not over count under the parent that they have."""
    at = "it" if busy == name else f"gate {busy} below it"
    return Rejected(
        "conflict",
        "parent",
        f"gate {name} cannot change its parent while {at} has tasks that are not over",
        "pause it and wait, cancel them (`taskmaster gate purge`), or keep the parent",
    )
