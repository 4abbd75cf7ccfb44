"""How a gate trips, probes and ramps up again (semantics 4).

Rules of residence: pure decisions over a gate's folded state. `react` is asked after every
outcome and at every wake-up, and says which events follow by rule alone.
"""

from math import inf, sqrt
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    BY_RULE,
    SECOND,
    Cause,
    GateDrained,
    GateEvent,
    GateProbed,
    GateRampStepped,
    GateRecovered,
    GateResumed,
    GateSettings,
    GateTripped,
    Limits,
    Mono,
    RampCause,
    Wall,
)
from taskmaster.model.gate import Gate, Open, Probing, Ramping, Tripped

FALLBACK_MIN_ATTEMPTS = 5
FALLBACK_RATIO = 0.2
"""A step of the ramp with at least 5 ended attempts of which a fifth failed falls back a step.

A step is left upwards only when fewer failed, and as many ended well in it as are open now: an
endpoint that hangs gives no evidence that it could take more.
"""
SLOW_STAYS, SLOW_FALLS = 2, 4
"""So many times as long as in the quickest step, and the ramp stays where it is, or falls back."""
PATIENCE_STEPS = 6
"""For so many steps' time it stays: tasks that now take longer must not keep it there for ever."""


class Seen(Struct, frozen=True):
    """What a reaction needs beside the gate: whether eligible work waits, the newest failure in
    words, and a random number from [0, 1) that spreads the tripped time. `family` is how many
    attempts are open at it and below, None where it has no children."""

    backlog: bool
    error: str
    u: float
    family: int | None = None


def react(gate: Gate, now: Mono, wall: Wall, seen: Seen) -> tuple[GateEvent, ...]:
    """What follows by rule alone, now. At most one change of control and one of mode."""
    events: list[GateEvent] = []
    in_flight = gate.in_flight if seen.family is None else seen.family
    if gate.control == "draining" and in_flight == 0 and not gate.drained:
        events.append(GateDrained(at=wall, mono=now))
    if gate.paused_until is not None and wall >= gate.paused_until:
        events.append(GateResumed(at=wall, mono=now))
        events.extend(ramp_after_stop(gate, now, wall, backlog=seen.backlog, why="paused"))
        return tuple(events)
    if gate.control == "running":
        if seen.family is None:
            changed = _mode_change(gate, now, wall, seen)
        else:
            changed = _parents_change(gate, now, wall)
        if changed is not None:
            events.append(changed)
    return tuple(events)


def next_reaction_at(gate: Gate) -> Mono | None:
    """When `react` must be asked again though nothing happened; None: an event will come."""
    match gate.mode:
        case Tripped(until=until):
            return until
        case Ramping(until=until, held=held):
            return None if held else until
        case Open() | Probing():
            return None
        case _:
            assert_never(gate.mode)


def _mode_change(gate: Gate, now: Mono, wall: Wall, seen: Seen) -> GateEvent | None:
    mode = gate.mode
    match mode:
        case Open():
            return _trip(gate, now, wall, seen, trips=1) if is_failing(gate, wall) else None
        case Tripped(until=until):
            if now >= until and seen.backlog and gate.in_flight == 0:
                return GateProbed(at=wall, mono=now)
            return None
        case Probing(trips=trips):
            if gate.failures_in_row:
                return _trip(gate, now, wall, seen, trips=trips + 1)
            if any(bucket.ended > bucket.failed for bucket in gate.buckets):
                return _step(gate, now, wall, step=0, why="probe")
            return None
        case Ramping():
            return _ramp_change(gate, mode, now, wall, seen)
        case _:
            assert_never(mode)


def _parents_change(gate: Gate, now: Mono, wall: Wall) -> GateEvent | None:
    """A gate with children trips by hand alone, for each child does so by itself. It climbs by
    time: what is sent in its name says nothing of one endpoint."""
    mode = gate.mode
    match mode:
        case Open():
            return None
        case Tripped(until=until):
            return first_step(gate, now, wall, why="tripped") if now >= until else None
        case Probing():
            return first_step(gate, now, wall, why="tripped")
        case Ramping():
            if mode.held or now < mode.until:
                return None
            return _step(gate, now, wall, step=_share_above(gate, mode.percent), why="step")
        case _:
            assert_never(mode)


def first_step(
    gate: Gate, now: Mono, wall: Wall, *, why: RampCause, cause: Cause = BY_RULE
) -> GateEvent:
    """The first step of the ramp, or recovered where there is none."""
    return _step(gate, now, wall, step=0, why=why, cause=cause)


def _ramp_change(gate: Gate, mode: Ramping, now: Mono, wall: Wall, seen: Seen) -> GateEvent | None:
    if is_failing(gate, wall):
        return _trip(gate, now, wall, seen, trips=mode.trips + 1)
    ended = sum(bucket.ended for bucket in gate.buckets)
    failed = sum(bucket.failed for bucket in gate.buckets)
    ailing = failed > 0 and failed >= FALLBACK_RATIO * ended
    times = _times_as_long(gate, mode)
    falls: RampCause | None = None
    if ended >= FALLBACK_MIN_ATTEMPTS and ailing:
        falls = "fallback"
    elif times > SLOW_FALLS:
        falls = "slow"
    lower = _share_below(gate, mode.percent)
    if falls is not None and lower is not None:
        return _step(gate, now, wall, step=lower, why=falls)
    if mode.held or now < mode.until or ailing or ended - failed < gate.in_flight:
        return None
    patience_ns = (PATIENCE_STEPS - 1) * gate.settings.recovery.ramp_step_ns
    if times > SLOW_STAYS and now < mode.until + patience_ns:
        return None
    return _step(gate, now, wall, step=_share_above(gate, mode.percent), why="step")


def _took(gate: Gate) -> tuple[int, int]:
    """How many attempts of this step did not fail, and how long each took on average."""
    count = sum(bucket.ended - bucket.failed for bucket in gate.buckets)
    took_ns = sum(bucket.took_ns for bucket in gate.buckets)
    return count, took_ns // count if count else 0


def _times_as_long(gate: Gate, mode: Ramping) -> float:
    """How many times as long as in the quickest step an attempt takes for certain: the average of
    n may be off by about `1/sqrt(n)` of itself. Each fall makes twice as long good enough: with
    all of its work an endpoint may always take longer."""
    count, took_ns = _took(gate)
    if count < FALLBACK_MIN_ATTEMPTS or not mode.base_ns:
        return 0.0
    good_ns = mode.base_ns * 2**mode.slow_falls
    return took_ns * (1 - 1 / sqrt(count)) / good_ns


def _quickest_ns(gate: Gate, why: RampCause) -> int:
    """What the next step is compared with: never with less than an average may be in truth. A
    step that was left upwards though it was slow is the new measure."""
    mode = gate.mode
    if not isinstance(mode, Ramping):
        return 0
    count, took_ns = _took(gate)
    if count < FALLBACK_MIN_ATTEMPTS:
        return mode.base_ns
    at_most_ns = int(took_ns * (1 + 1 / sqrt(count)))
    is_slow = why == "step" and _times_as_long(gate, mode) > SLOW_STAYS
    return at_most_ns if is_slow or not mode.base_ns else min(mode.base_ns, at_most_ns)


def _share_below(gate: Gate, percent: int) -> int | None:
    """The last step under a share; the settings may have other steps by now."""
    steps = gate.settings.recovery.ramp_steps
    return max((i for i, share in enumerate(steps) if share < percent), default=None)


def _share_above(gate: Gate, percent: int) -> int:
    """The first step over a share, or the number of steps when there is none."""
    steps = gate.settings.recovery.ramp_steps
    return next((i for i, share in enumerate(steps) if share > percent), len(steps))


def is_failing(gate: Gate, wall: Wall) -> bool:
    """Whether the endpoint's failures reach a threshold (semantics 4.2)."""
    rules = gate.settings.recovery
    if gate.failures_in_row >= rules.trip_failures:
        return True
    since = (wall - rules.trip_window_ns) // SECOND
    ended = failed = 0
    for bucket in gate.buckets:
        if bucket.second > since:
            ended += bucket.ended
            failed += bucket.failed
    return ended >= rules.trip_min_attempts and failed >= rules.trip_ratio * ended


def away_ns(gate: Gate, trips: int) -> int:
    """How long a gate stays away at most after so many trips in a row."""
    rules = gate.settings.recovery
    return min(rules.tripped_max_ns, rules.tripped_min_ns << min(trips - 1, 40))


def _trip(gate: Gate, now: Mono, wall: Wall, seen: Seen, *, trips: int) -> GateTripped:
    """Away for 1, 2, 4 ... 30 s by default, jittered downwards by up to a quarter."""
    longest_ns = away_ns(gate, trips)
    return GateTripped(
        at=wall,
        mono=now,
        until=Mono(now + longest_ns - int(longest_ns * seen.u / 4)),
        trips=trips,
        failures=sum(bucket.failed for bucket in gate.buckets),
        attempts=sum(bucket.ended for bucket in gate.buckets),
        error=seen.error,
    )


def _step(
    gate: Gate, now: Mono, wall: Wall, *, step: int, why: RampCause, cause: Cause = BY_RULE
) -> GateEvent:
    """That step of the ramp, or recovered when it lies past the last."""
    rules, mode = gate.settings.recovery, gate.mode
    if step >= len(rules.ramp_steps):
        return GateRecovered(at=wall, mono=now, cause=cause)
    return GateRampStepped(
        at=wall,
        mono=now,
        cause=cause,
        step=step,
        percent=rules.ramp_steps[step],
        until=Mono(now + rules.ramp_step_ns),
        why=why,
        base_ns=_quickest_ns(gate, why),
        took_ns=_took(gate)[1] if isinstance(mode, Ramping) else 0,
        slow_falls=(mode.slow_falls if isinstance(mode, Ramping) else 0) + (why == "slow"),
    )


def ramp_after_stop(
    gate: Gate,
    now: Mono,
    wall: Wall,
    *,
    backlog: bool,
    why: RampCause,
    stopped_ns: int | None = None,
    cause: Cause = BY_RULE,
) -> tuple[GateEvent, ...]:
    """The ramp with which a gate begins again after a stop of more than a minute (semantics 4.5).

    `stopped_ns` is the length of the stop; None takes the gate's own reckoning of its pause.
    """
    if stopped_ns is None:
        stopped_ns = now - gate.stopped_since if gate.stopped_since is not None else 0
    rules = gate.settings.recovery
    if not backlog or not rules.ramp_steps or stopped_ns <= rules.ramp_after_ns:
        return ()
    if isinstance(gate.mode, Tripped | Probing):
        return ()
    return (_step(gate, now, wall, step=0, why=why, cause=cause),)


def ramp_after_raise(
    gate: Gate, settings: GateSettings, now: Mono, wall: Wall, cause: Cause
) -> tuple[GateEvent, ...]:
    """The ramp after limits were raised more than twofold, from the step nearest to what was
    allowed before; a gate on the ramp climbs no step by it."""
    steps = settings.recovery.ramp_steps
    raised = _raise_ratio(gate.settings.limits, settings.limits)
    if raised <= 2 or not steps or not isinstance(gate.mode, Open | Ramping):
        return ()
    share_now = gate.mode.percent if isinstance(gate.mode, Ramping) else 100
    enough = (i for i, share in enumerate(steps) if share * raised >= share_now)
    step = next(enough, len(steps) - 1)
    if steps[step] >= 100:
        return ()
    ahead = replace(gate, settings=settings)
    return (_step(ahead, now, wall, step=step, why="limits", cause=cause),)


def _raise_ratio(old: Limits, new: Limits) -> float:
    """How many times as much may start; a rate that is taken away bounds nothing any more."""
    if len(new.rates) < len(old.rates):
        return inf
    ratios = [new.concurrency / old.concurrency]
    for before, after in zip(old.rates, new.rates, strict=False):
        ratios.append((after.rate / after.per_ns) / (before.rate / before.per_ns))
    return max(ratios)
