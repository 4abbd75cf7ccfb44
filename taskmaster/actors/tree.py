"""The supervision tree as data: what runs where, how often it was restarted, what it crashed on.

Rules of residence: reads what supervisors and actors know of themselves, on the loop, where no
handler runs meanwhile; changes nothing. What happened before is in the log.
"""

import traceback
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from pykka import ActorRef

from taskmaster.actors.gates import GatesActor, Unit
from taskmaster.actors.quarantine import Held
from taskmaster.actors.supervisor import Place, Supervisor
from taskmaster.events.types import GateName
from taskmaster.supervision import Crash, handled_by, mail_by_type, mail_of
from taskmaster.supervision.children import Kept
from taskmaster.supervision.specs import ChildSpec


class Detail(Struct, frozen=True):
    """What is known of one place beside that."""

    place: Place
    spec: dict[str, str]
    inbox: dict[str, int]
    traceback: str


def places(root: Supervisor, gates: GatesActor) -> Iterator[Place]:
    """Every place, each before those below it; made one by one, so that whoever shows very many
    may let others have the loop in between."""
    yield _supervisor("node", root)
    yield from root.children()
    for gate in [*gates.units, *gates.quarantine.held]:
        yield from _of_gate(gates, gate)


def detail(root: Supervisor, gates: GatesActor, path: str) -> Detail | None:
    """One place, or None where there is nothing."""
    kind, _, rest = path.partition("/")
    near = (
        _of_gate(gates, GateName(rest.partition("/")[0]))
        if kind == "gates"
        else (_supervisor("node", root), *root.children())
    )
    place = next((one for one in near if one.path == path), None)
    if place is None:
        return None
    kept, ref = _kept(root, gates, path)
    reason = kept.last_reason if kept is not None else None
    return Detail(
        place=place,
        spec=_spec(kept.spec) if kept is not None else _flags(root, gates, path),
        inbox=mail_by_type(ref) if ref is not None else {},
        traceback="".join(traceback.format_exception(reason.error))
        if isinstance(reason, Crash)
        else "",
    )


def supervisor_of(root: Supervisor, gates: GatesActor, path: str) -> Supervisor | None:
    """The supervisor at a path."""
    if path == "node":
        return root
    unit = gates.units.get(GateName(path.removeprefix("gates/")))
    return unit.supervisor if unit is not None and path.startswith("gates/") else None


def _kept(
    root: Supervisor, gates: GatesActor, path: str
) -> "tuple[Kept | None, ActorRef[Any] | None]":
    above, _, name = path.rpartition("/")
    supervisor = supervisor_of(root, gates, above)
    kept = supervisor.kept.get(name) if supervisor is not None else None
    if kept is not None and supervisor is not None:
        return kept, supervisor.child(name)
    return None, None


def _supervisor(path: str, supervisor: Supervisor) -> Place:
    ref = supervisor.actor_ref
    return Place(
        path=path,
        kind="Supervisor",
        state="running" if ref.is_alive() else "stopped",
        in_period=supervisor.restarts_in_period,
        restarts=sum(kept.restarts for kept in supervisor.kept),
        inbox=mail_of(ref),
        handled=handled_by(ref),
    )


def _of_gate(gates: GatesActor, gate: GateName) -> Iterator[Place]:
    """A gate's places; none where it rests."""
    unit, held = gates.units.get(gate), gates.quarantine.get(gate)
    if unit is not None:
        yield _supervisor(f"gates/{gate}", unit.supervisor)
        yield from unit.supervisor.children()
        yield from _tasks(gate, unit)
    elif held is not None:
        yield _quarantined(gate, held)


def _tasks(gate: GateName, unit: Unit) -> list[Place]:
    if unit.line.tasks is None:
        return []
    return [
        Place(
            path=f"gates/{gate}/tasks/{task}",
            kind="TaskActor",
            state="running",
            since_ns=flight.started.slot_at,
            incarnation=flight.started.attempt,
            inbox=mail_of(flight.ref),
            handled=handled_by(flight.ref),
        )
        for task, flight in unit.line.tasks.running.items()
        if flight.ref is not None and not flight.is_over
    ]


def _quarantined(gate: GateName, held: Held) -> Place:
    return Place(
        path=f"gates/{gate}",
        kind="Supervisor",
        state="quarantined",
        last_error=held.error,
        until_ns=held.until,
    )


def _spec(spec: ChildSpec) -> dict[str, str]:
    shutdown = spec.shutdown_time
    return {
        "restart": spec.restart,
        "shutdown": shutdown if isinstance(shutdown, str) else f"{shutdown / 1e9:g}s",
        "type": spec.type,
    }


def _flags(root: Supervisor, gates: GatesActor, path: str) -> dict[str, str]:
    supervisor = supervisor_of(root, gates, path)
    if supervisor is None:
        return {}
    flags = supervisor.flags
    return {
        "strategy": flags.strategy,
        "intensity": str(flags.intensity),
        "period": f"{flags.period_ns / 1e9:g}s",
    }
