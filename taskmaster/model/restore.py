"""A gate from what is stored of it: its own stream, and what the index knows of its attempts.

Rules of residence: pure; the folds themselves are `gate.py`'s, so that live code and replay agree.
"""

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import GateEvent, GateName, Mono
from taskmaster.model.gate import Gate, evolve
from taskmaster.model.outcomes import Bucket


class Traffic(Struct, frozen=True):
    """What the index knows of a gate's attempts; the rest of its state is its own stream.

    `tats` belong to the newest start, which lies at `tats_position`; gate events after that
    position are folded on top of them.
    """

    in_flight: int = 0
    tats: tuple[Mono, ...] = ()
    tats_position: int = 0
    failures_in_row: int = 0
    buckets: tuple[Bucket, ...] = ()
    throttled_until: Mono = Mono(0)


def restore(name: GateName, events: tuple[tuple[int, GateEvent], ...], traffic: Traffic) -> Gate:
    """The gate as live code has it, from its stream (with log positions) and its traffic."""
    assert events, "a gate without GateOpened"
    gate: Gate | None = None
    pending = traffic.tats_position > 0
    for position, event in events:
        if pending and gate is not None and position > traffic.tats_position:
            gate, pending = _at_newest_start(gate, traffic.tats), False
        gate = evolve(gate, event, name)
    assert gate is not None
    if pending:
        gate = _at_newest_start(gate, traffic.tats)
    return replace(
        gate,
        in_flight=traffic.in_flight,
        failures_in_row=traffic.failures_in_row,
        buckets=traffic.buckets,
        failed=sum(bucket.failed for bucket in traffic.buckets),
        throttled_until=traffic.throttled_until,
    )


def _at_newest_start(gate: Gate, tats: tuple[Mono, ...]) -> Gate:
    """A start whose actor crashed first is written with its end, maybe under other rates than it
    was granted at. It was never sent, so what was spent until then holds."""
    return replace(gate, tats=tats) if len(tats) == len(gate.tats) else gate
