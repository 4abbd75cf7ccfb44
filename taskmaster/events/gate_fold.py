"""What facts move in a gate's row: counters, its newest attempts, its control and mode.

Rules of residence: pure, the part of the fold that `events/index.py` hands over for each gate.
"""

from collections.abc import Iterable, Mapping
from typing import assert_never

import msgspec
from msgspec.structs import replace

from taskmaster.events.rows import (
    BUCKET_SECONDS,
    CLOSED,
    DRAINING,
    OPEN,
    PAUSED_GATE,
    PROBING,
    RAMPING,
    RUNNING,
    STATES,
    TRIPPED,
    WAITING,
    Changes,
    DuePlace,
    Ends,
    GateEntry,
    LanePlace,
    TaskEntry,
)
from taskmaster.events.types import (
    MINUTE,
    SECOND,
    AttemptFailed,
    AttemptStarted,
    GateClosed,
    GateDrained,
    GateEvent,
    GateLimitLearned,
    GateLimitsChanged,
    GateName,
    GateOpened,
    GatePaused,
    GateProbed,
    GateQuarantined,
    GateRampHeld,
    GateRampStepped,
    GateRateLearned,
    GateRecovered,
    GateReleased,
    GateResumed,
    GateSettings,
    GateTripped,
    MaintenanceBegan,
    MaintenanceCancelled,
    MaintenanceEnded,
    MaintenancePlanned,
    Mono,
    Position,
    RecoveryStarted,
    Version,
    Wall,
    Window,
)

_encoder = msgspec.json.Encoder()


class GateFold:
    """The gates of one batch: what is written lies over what is committed."""

    def __init__(self, committed: Mapping[GateName, GateEntry]) -> None:
        """Start from committed rows."""
        self._committed = committed
        self._gates: dict[GateName, GateEntry] = {}
        self._tats: dict[GateName, tuple[Mono, ...]] = {}
        self._counts: dict[GateName, list[int]] = {}
        self._due: dict[DuePlace, int] = {}
        self._lanes: dict[LanePlace, int] = {}
        self._cleared: set[GateName] = set()
        self._outcomes: dict[tuple[GateName, int], Ends] = {}
        self._forgotten: set[tuple[GateName, int]] = set()

    def move(self, name: GateName, version: Version, event: GateEvent) -> None:
        """Fold an event of the gate's own stream."""
        gate = replace(self._gate(name), version=version)
        match event:
            case GateOpened():  # also a closed gate's, again
                settings = _settings(event.settings)
                gate = replace(
                    gate,
                    settings=settings,
                    control=RUNNING,
                    paused_until=None,
                    implicit=int(event.implicit),
                )
            case GateLimitsChanged():
                gate = replace(gate, settings=_settings(event.settings))
            case GatePaused(until=until):
                control = DRAINING if event.drain else PAUSED_GATE
                gate = replace(gate, control=control, paused_until=until)
            case GateDrained() | GateLimitLearned() | GateRateLearned():
                pass
            case GateRampHeld() | RecoveryStarted():
                pass
            case MaintenancePlanned(window=window):
                gate = replace(gate, windows=_planned((*_planned_of(gate), window)))
            case MaintenanceBegan(number=number):
                windows = (
                    replace(w, begun=True) if w.number == number else w for w in _planned_of(gate)
                )
                gate = replace(gate, windows=_planned(windows))
            case MaintenanceCancelled(number=number) | MaintenanceEnded(number=number):
                left = (window for window in _planned_of(gate) if window.number != number)
                gate = replace(gate, windows=_planned(left))
            case GateResumed():
                gate = replace(gate, control=RUNNING, paused_until=None)
            case GateClosed():
                gate = replace(gate, control=CLOSED, paused_until=None)
            case GateTripped():
                gate = self._in_mode(gate, TRIPPED)
            case GateProbed():
                gate = self._in_mode(gate, PROBING)
            case GateRampStepped():
                gate = self._in_mode(gate, RAMPING)
            case GateRecovered():
                gate = self._in_mode(gate, OPEN)
            case GateQuarantined(until=until):
                gate = replace(gate, quarantined_until=until)
            case GateReleased():
                gate = replace(gate, quarantined_until=None)
            case _:
                assert_never(event)
        self._gates[name] = gate

    def start(self, name: GateName, position: Position, event: AttemptStarted) -> None:
        """An attempt started; its theoretical arrival times are the gate's from now on."""
        gate = self._gate(name)
        self._tats[name] = event.tats
        self._gates[name] = replace(gate, attempts=gate.attempts + 1, last_start=position)
        for parent in event.above:
            self._tats[parent.gate] = parent.tats
            self._gates[parent.gate] = replace(self._gate(parent.gate), last_start=position)

    def void(self, name: GateName) -> None:
        """A start was not sent, so it was no attempt."""
        gate = self._gate(name)
        self._gates[name] = replace(gate, attempts=gate.attempts - 1)

    def fail(self, name: GateName, event: AttemptFailed) -> None:
        """An attempt failed. Where it is nobody's fault, only the throttling counts."""
        if event.fault != "none":
            failed = event.fault == "endpoint"
            self.count(name, event.at, failed=failed, took_ns=0 if failed else event.duration_ns)
            gate = self._gate(name)
            self._gates[name] = replace(gate, failures=gate.failures + 1)
        if event.throttle_until is not None:
            gate = self._gate(name)
            until = max(gate.throttled_until, event.throttle_until)
            self._gates[name] = replace(gate, throttled_until=until)

    def count(self, name: GateName, at: Wall, *, failed: bool, took_ns: int) -> None:
        """Count an ended attempt for the gate's recovery (semantics 4.2).

        One that comes late counts in the newest second, as it does in the gate's own fold.
        """
        gate = self._gate(name)
        newest = gate.newest_second
        second = max(newest, at // SECOND)
        in_row = gate.failures_in_row + 1 if failed else 0
        self._gates[name] = replace(gate, failures_in_row=in_row, newest_second=second)
        ends = self._outcomes.setdefault((name, second), Ends())
        ends.ended += 1
        ends.failed += failed
        ends.took_ns += took_ns
        if newest:
            kept_before, kept_now = newest - BUCKET_SECONDS, second - BUCKET_SECONDS
            self._forgotten.update(
                (name, old) for old in range(kept_before, min(kept_now, newest + 1))
            )

    def tally(self, before: TaskEntry | None, after: TaskEntry) -> None:
        """Move one task in its gate's counts by state, by due minute and by lane."""
        self._count_of(after.gate)[after.state] += 1
        if before is not None:
            self._count_of(before.gate)[before.state] -= 1
            self._add_due(before, -1)
        self._add_due(after, 1)

    def _count_of(self, name: GateName) -> list[int]:
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = [0] * len(STATES)
        return counts

    def changes(self, out: Changes) -> None:
        """Put what is to be written into `out`."""
        for name, counts in self._counts.items():
            gate = self._gate(name)
            sums = {
                state: getattr(gate, state) + count
                for state, count in zip(STATES, counts, strict=True)
            }
            self._gates[name] = replace(gate, **sums)
        for name, tats in self._tats.items():
            times = _encoder.encode(tats).decode()
            self._gates[name] = replace(self._gates[name], tats=times)
        out.gates = list(self._gates.values())
        out.due = {place: count for place, count in self._due.items() if count}
        out.lanes = self._lanes
        out.cleared = self._cleared
        out.outcomes = self._outcomes
        out.forgotten = self._forgotten

    def _gate(self, name: GateName) -> GateEntry:
        return self._gates.get(name) or self._committed.get(name) or GateEntry(name)

    def _in_mode(self, gate: GateEntry, mode: int) -> GateEntry:
        """Outcomes are counted anew in each mode, and in each step of a ramp."""
        name = gate.name
        self._cleared.add(name)
        for place in [place for place in self._outcomes if place[0] == name]:
            del self._outcomes[place]
        self._forgotten = {place for place in self._forgotten if place[0] != name}
        return replace(gate, mode=mode, failures_in_row=0, newest_second=0)

    def _add_due(self, task: TaskEntry, count: int) -> None:
        if task.state == WAITING:
            place = (task.gate, task.held, task.due_at // MINUTE)
            self._due[place] = self._due.get(place, 0) + count
            if task.fair_key:
                lane = (task.gate, task.fair_key, task.band)
                self._lanes[lane] = self._lanes.get(lane, 0) + count


def _settings(settings: GateSettings) -> str:
    return _encoder.encode(settings).decode()


WINDOWS = msgspec.json.Decoder(tuple[Window, ...])


def _planned_of(gate: GateEntry) -> tuple[Window, ...]:
    return WINDOWS.decode(gate.windows)


def _planned(windows: Iterable[Window]) -> str:
    return _encoder.encode(tuple(windows)).decode()
