"""Logs that are there before a benchmark begins, written in bulk by the store alone.

Rules of residence: makes appends and commits them; what the edges would refuse is not looked at.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from benchmarks.harness import say
from taskmaster.actors.system import SystemIds, wall_ns
from taskmaster.events.log import Append, Committed, Write
from taskmaster.events.store import open_store
from taskmaster.events.types import (
    NEW,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    GateName,
    GateOpened,
    GatePaused,
    GateSettings,
    Limits,
    Mono,
    RecoverySettings,
    Request,
    TaskSubmitted,
    Wall,
    gate_stream,
    task_stream,
)

HEADERS = (("content-type", "application/json"),)
BODY = b'{"a":1,"b":"hello"}' * 10
BATCH = 1_000
SAY_EVERY = 100_000
FULL_SPEED = GateSettings(recovery=RecoverySettings(ramp_steps=()))
"""Filling a large log takes longer than the silence after which a gate would ramp up."""


def gates(count: int) -> list[GateName]:
    return [GateName(f"g{n}") for n in range(count)]


def limited(limits: Limits) -> GateSettings:
    """`FULL_SPEED` with limits."""
    return GateSettings(limits=limits, recovery=FULL_SPEED.recovery)


def opened(gate: GateName, settings: GateSettings = FULL_SPEED, *, paused: bool = False) -> Append:
    """A gate, which may be paused from the start."""
    at, mono = Wall(wall_ns()), Mono(wall_ns())
    gate_opened = GateOpened(at=at, settings=settings, mono=mono)
    events = (gate_opened, GatePaused(at=at, mono=mono)) if paused else (gate_opened,)
    return Append((Write(gate_stream(gate), NEW, events),))


def waiting(gate: GateName, url: str, due_at: Wall, fair_key: str = "") -> Append:
    """A task that was submitted just now."""
    return _task(replace(submitted(gate, url, due_at), fair_key=fair_key))


def finished(gate: GateName, url: str) -> Append:
    """A task with all of its three events."""
    at = Wall(wall_ns())
    slot_at = Mono(at)
    return _task(
        submitted(gate, url, at),
        AttemptStarted(at=at, gate=gate, attempt=1, slot_at=slot_at),
        AttemptSucceeded(at=at, gate=gate, attempt=1, status=200, duration_ns=1, response=b"ok"),
    )


def submitted(gate: GateName, url: str, due_at: Wall) -> TaskSubmitted:
    request = Request(url, headers=HEADERS, body=BODY)
    return TaskSubmitted(at=Wall(wall_ns()), gate=gate, request=request, due_at=due_at)


def fill(path: Path | str, appends: Iterable[Append]) -> None:
    """Commit them all to the log there: a file, or an address of PostgreSQL."""
    store = open_store(str(path))
    source, done = iter(appends), 0
    while batch := list(islice(source, BATCH)):
        results = store.commit(batch)
        assert isinstance(results, list)
        assert all(isinstance(result, Committed) for result in results)
        done += len(batch)
        if done % SAY_EVERY == 0:
            say(f"{done:,} streams stored")
    store.close()


def _task(*events: Event) -> Append:
    return Append((Write(task_stream(SystemIds().task_id()), NEW, events),))  # pyright: ignore[reportArgumentType]
