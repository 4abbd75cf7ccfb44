"""Why a task has not run yet: its time since submission, split by cause, adding up exactly.

Rules of residence: pure; a task's own facts and the streams of its gates come in. Every instant of
its life belongs to exactly one part, so the sum is exact by construction. What is left of the time
in which it was due and its gate was open is *capacity*: a token where the gate has a rate, else a
slot; the two flip thousands of times a second and leave no facts (hard-spots 8).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, assert_never, get_args

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    CancelRequested,
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
    GateTripped,
    MaintenanceBegan,
    MaintenanceCancelled,
    MaintenanceEnded,
    MaintenancePlanned,
    RecoveryStarted,
    TaskCancelled,
    TaskDied,
    TaskEdited,
    TaskEvent,
    TaskExpired,
    TaskMoved,
    TaskRescheduled,
    TaskRevived,
    TaskSubmitted,
    Wall,
)

SplitCause = Literal[
    "not_due",
    "back_off",
    "quarantined",
    "paused",
    "throttled",
    "tripped",
    "probing",
    "slot",
    "ramp",
    "token",
    "in_flight",
    "uncertain",
    "ended",
]
"""In the order in which they are shown. `ended`: between an end and a redrive."""
ModeName = Literal["open", "tripped", "probing", "ramping"]
ORDER: tuple[SplitCause, ...] = get_args(SplitCause)


class Part(Struct, frozen=True):
    """How long one cause held, all its stretches together."""

    cause: SplitCause
    ns: int


class Standing(Struct, frozen=True):
    """What a gate allowed from an instant on."""

    since: Wall
    quarantined: bool = False
    stopped: bool = False
    mode: ModeName = "open"
    has_rate: bool = False

    @property
    def cause(self) -> SplitCause:
        """What holds a due task back, in the order of semantics 10."""
        if self.quarantined:
            return "quarantined"
        if self.stopped:
            return "paused"
        match self.mode:
            case "tripped":
                return "tripped"
            case "probing":
                return "probing"
            case "ramping":
                return "ramp"
            case "open":
                return "token" if self.has_rate else "slot"
            case _:
                assert_never(self.mode)


def standings(events: Sequence[GateEvent]) -> tuple[Standing, ...]:
    """A gate's life as stretches, oldest first; each lasts until the next begins."""
    found: list[Standing] = []
    now = Standing(Wall(0))
    for event in events:
        now = replace(_after(now, event), since=event.at)
        found.append(now)
    return tuple(found)


MODES: tuple[ModeName, ...] = ("open", "ramping", "probing", "tripped")
"""The later hides the earlier, in the order of semantics 10."""


def together(lines: Sequence[Sequence[Standing]]) -> tuple[Standing, ...]:
    """What a gate and those above it allowed together: what one forbids is forbidden."""
    found: list[Standing] = []
    at = [Standing(Wall(0)) for _ in lines]
    changes = sorted(
        (
            (standing.since, number, standing)
            for number, line in enumerate(lines)
            for standing in line
        ),
        key=lambda change: change[0],
    )
    for since, number, standing in changes:
        at[number] = standing
        mode = MODES[max(MODES.index(one.mode) for one in at)]
        found.append(
            Standing(
                since,
                quarantined=any(one.quarantined for one in at),
                stopped=any(one.stopped for one in at),
                mode=mode,
                has_rate=any(one.has_rate for one in at),
            )
        )
    return tuple(found)


def _after(standing: Standing, event: GateEvent) -> Standing:
    match event:
        case GateOpened(settings=settings):
            return replace(standing, stopped=False, has_rate=bool(settings.limits.rates))
        case GateLimitsChanged(settings=settings):
            return replace(standing, has_rate=bool(settings.limits.rates))
        case GatePaused() | GateClosed():
            return replace(standing, stopped=True)
        case GateResumed():
            return replace(standing, stopped=False)
        case (
            GateDrained()
            | GateLimitLearned()
            | GateRateLearned()
            | GateRampHeld()
            | MaintenancePlanned()
            | MaintenanceCancelled()
            | MaintenanceBegan()
            | MaintenanceEnded()
            | RecoveryStarted()
        ):
            return standing
        case GateTripped():
            return replace(standing, mode="tripped")
        case GateProbed():
            return replace(standing, mode="probing")
        case GateRampStepped():
            return replace(standing, mode="ramping")
        case GateRecovered():
            return replace(standing, mode="open")
        case GateQuarantined():
            return replace(standing, quarantined=True)
        case GateReleased():
            return replace(standing, quarantined=False)
        case _:
            assert_never(event)


# --- a task's life ----------------------------------------------------------------------------


class Stretch(Struct, frozen=True):
    """A part of a task's life, at one gate. `cause` None: it was due, and that gate decided."""

    since: Wall
    until: Wall
    cause: SplitCause | None
    gate: GateName


class _Standing(Struct, frozen=True):
    """What a task's facts say from one of them on."""

    gate: GateName
    phase: Literal["waiting", "in_flight", "uncertain", "ended"]
    due_at: Wall
    retrying: bool = False
    throttled_until: Wall = Wall(0)


def split(
    task: Sequence[TaskEvent],
    gates: Mapping[GateName, Sequence[Standing]],
    now: Wall,
    *,
    mono_ahead_ns: int = 0,
) -> tuple[Part, ...]:
    """Where the time from a task's submission to its end, or to `now`, went.

    `gates` are those of `gates_of`. The parts add up to that time to the nanosecond.
    `mono_ahead_ns` is how far pacing time is ahead of the wall clock; the throttling of a gate is
    known in pacing time only.
    """
    parts: dict[SplitCause, int] = {}
    for stretch in stretches(task, now, mono_ahead_ns):
        for cause, ns in _causes(stretch, gates):
            parts[cause] = parts.get(cause, 0) + ns
    return tuple(Part(cause, parts[cause]) for cause in ORDER if parts.get(cause))


def gates_of(task: Sequence[TaskEvent]) -> tuple[GateName, ...]:
    """The gates at which a task was, each once, the first first."""
    moves = (event.to for event in task if isinstance(event, TaskMoved))
    return tuple(dict.fromkeys((task[0].gate, *moves)))


def life_ns(task: Sequence[TaskEvent], now: Wall) -> int:
    """From a task's submission to its end, or to `now`."""
    return max(task[0].at, _end(task, now)) - task[0].at


def _end(task: Sequence[TaskEvent], now: Wall) -> Wall:
    phase = next(phase for event in reversed(task) if (phase := _phase_after(event)))
    return task[-1].at if phase == "ended" else max(now, task[-1].at)


def _phase_after(event: TaskEvent) -> Literal["waiting", "in_flight", "uncertain", "ended", ""]:
    """The phase that an event begins; empty: it goes on."""
    match event:
        case TaskSubmitted() | AttemptVoided() | TaskRevived():
            return "waiting"
        case AttemptStarted():
            return "in_flight"
        case AttemptFailed(next="retry"):
            return "waiting"
        case AttemptFailed(next="uncertain"):
            return "uncertain"
        case AttemptSucceeded() | AttemptFailed() | TaskCancelled() | TaskExpired() | TaskDied():
            return "ended"
        case TaskRescheduled() | CancelRequested() | TaskEdited() | TaskMoved():
            return ""
        case _:
            assert_never(event)


def stretches(task: Sequence[TaskEvent], now: Wall, mono_ahead_ns: int) -> list[Stretch]:
    """A task's life without gaps and overlaps."""
    first = task[0]
    assert isinstance(first, TaskSubmitted), "a task without TaskSubmitted"
    found: list[Stretch] = []
    standing = _Standing(first.gate, "waiting", first.due_at)
    at = first.at
    for event in task[1:]:
        until = max(at, event.at)
        found += _lasting(standing, at, until)
        standing, at = _standing_after(standing, event, mono_ahead_ns), until
    end = max(at, _end(task, now))
    return found + (_lasting(standing, at, end) if end > at else [])


def _standing_after(before: _Standing, event: TaskEvent, mono_ahead_ns: int) -> _Standing:
    phase = _phase_after(event) or before.phase
    match event:
        case AttemptFailed(next="retry", retry_at=retry_at):
            throttled_until = before.throttled_until
            if event.throttle_until is not None:
                throttled_until = Wall(event.throttle_until - mono_ahead_ns)
            assert retry_at is not None
            return replace(
                before,
                phase=phase,
                due_at=retry_at,
                retrying=True,
                throttled_until=throttled_until,
            )
        case TaskMoved(to=to):
            return replace(before, gate=to, throttled_until=Wall(0))
        case TaskRescheduled(due_at=due_at) | TaskRevived(due_at=due_at):
            return replace(before, phase=phase, due_at=due_at, retrying=False)
        case _:
            return replace(before, phase=phase)


def _lasting(standing: _Standing, since: Wall, until: Wall) -> list[Stretch]:
    """What a standing means from one instant to another."""
    if standing.phase != "waiting":
        return [Stretch(since, until, standing.phase, standing.gate)]
    due = min(max(standing.due_at, since), until)
    free = min(max(standing.throttled_until, due), until)
    early: SplitCause = "back_off" if standing.retrying else "not_due"
    return [
        Stretch(since, due, early, standing.gate),
        Stretch(due, free, "throttled", standing.gate),
        Stretch(free, until, None, standing.gate),
    ]


def _causes(
    stretch: Stretch, gates: Mapping[GateName, Sequence[Standing]]
) -> list[tuple[SplitCause, int]]:
    """A stretch's causes: one, or those of its gate, cut where that changed."""
    if stretch.cause is not None:
        return [(stretch.cause, stretch.until - stretch.since)]
    found: list[tuple[SplitCause, int]] = []
    cause: SplitCause = "slot"
    at = stretch.since
    for standing in gates[stretch.gate]:
        if standing.since >= stretch.until:
            break
        if standing.since > at:
            found.append((cause, standing.since - at))
            at = standing.since
        cause = standing.cause
    found.append((cause, stretch.until - at))
    return found
