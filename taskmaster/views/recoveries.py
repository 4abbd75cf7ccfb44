"""A gate's outages, each with its recovery: cause, depth, steps with their evidence, end.

Rules of residence: folded from the gate's own stream; nothing is kept beside the log.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from taskmaster.events.log import Recorded
from taskmaster.events.types import (
    Cause,
    GateProbed,
    GateRampHeld,
    GateRampStepped,
    GateRecovered,
    GateTripped,
    OutageCause,
    RecoveryStarted,
    Wall,
)
from taskmaster.model.gate import OUTAGES

StepKind = Literal["tripped", "probing", "step", "held", "released", "recovered"]


class Step(Struct, frozen=True):
    """One event of a recovery, in words: what, why, and the numbers that led to it."""

    at: Wall
    kind: StepKind
    why: str
    cause: Cause
    percent: int | None = None
    failures: int | None = None
    attempts: int | None = None


class Recovery(Struct, frozen=True):
    """An outage and how it ended. `number` is 0 and `depth` None until both are recorded."""

    number: int
    outage: OutageCause
    started_at: Wall
    depth: int | None
    trips: int
    steps: tuple[Step, ...]
    ended_at: Wall | None
    ended_by: str


def recoveries(records: Sequence[Recorded]) -> list[Recovery]:
    """All outages in a gate's stream, oldest first; the last may not have ended."""
    found: list[Recovery] = []
    open_one = _Open()
    for record in records:
        event = record.event
        if isinstance(event, RecoveryStarted):
            open_one.number, open_one.depth = event.number, event.depth
            open_one.outage = event.outage
        elif (step := _step(event)) is not None:
            open_one.add(step, event)
            if isinstance(event, GateRecovered):
                found.append(open_one.shown(event.cause))
                open_one = _Open()
    if open_one.steps:
        found.append(open_one.shown(None))
    return found


class _Open(Struct):
    """An outage whose end has not been read yet."""

    number: int = 0
    depth: int | None = None
    outage: OutageCause | None = None
    steps: list[Step] = []

    def add(self, step: Step, event: object) -> None:
        if self.outage is None:
            ramp = isinstance(event, GateRampStepped)
            self.outage = OUTAGES.get(event.why, "endpoint") if ramp else "endpoint"
        self.steps.append(step)

    def shown(self, ended: Cause | None) -> Recovery:
        assert self.outage is not None
        return Recovery(
            number=self.number,
            outage=self.outage,
            started_at=self.steps[0].at,
            depth=self.depth,
            trips=sum(step.kind == "tripped" for step in self.steps),
            steps=tuple(self.steps),
            ended_at=self.steps[-1].at if ended is not None else None,
            ended_by="" if ended is None else ended.author or "rule",
        )


def _step(event: object) -> Step | None:
    match event:
        case GateTripped(at=at, cause=cause, error=error, failures=failures, attempts=attempts):
            return Step(at, "tripped", error, cause, failures=failures, attempts=attempts)
        case GateProbed(at=at, cause=cause):
            return Step(at, "probing", "", cause)
        case GateRampStepped(at=at, cause=cause, why=why, percent=percent):
            return Step(at, "step", why, cause, percent=percent)
        case GateRampHeld(at=at, cause=cause, held=held):
            return Step(at, "held" if held else "released", cause.reason, cause)
        case GateRecovered(at=at, cause=cause):
            return Step(at, "recovered", cause.reason, cause, percent=100)
        case _:
            return None
