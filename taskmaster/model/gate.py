"""A gate's life: what it allows now, and what its events and its tasks' attempts make of it.

Rules of residence: `admit` says whether one attempt may start; `evolve` folds the gate's own
events and the attempts of its tasks, in log order; live code and replay share both. What a
command may do to a gate is in `control.py`, how a gate trips and comes back in `recovery.py`.
"""

from typing import Literal, assert_never, get_args

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import (
    NEW,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
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
    OutageCause,
    ParentTats,
    RampCause,
    RecoveryStarted,
    Version,
    Wall,
    Window,
)
from taskmaster.model.learning import Learned, learned_of, open_at_once, reopened
from taskmaster.model.limits import (
    LOOKAHEAD_NS,
    Allowed,
    Spacing,
    carried_tats,
    fresh_tats,
    later_tats,
    learned_spacing,
    slots,
    spacings,
    spend,
    token_at,
)
from taskmaster.model.outcomes import Bucket, counted, failed_by
from taskmaster.model.quota import Quota, quota_of
from taskmaster.model.windows import windows_after

OUTAGES: dict[RampCause, OutageCause] = {why: why for why in get_args(OutageCause)}
"""A ramp that begins for one of these is an outage of that cause; any other follows a probe."""

FALLS: frozenset[RampCause] = frozenset(("fallback", "slow"))
WITHIN_RAMP = FALLS | frozenset[RampCause](("step", "limits"))
"""Steps for one of these go on with the ramp that a gate is on."""


class Open(Struct, frozen=True, gc=False):
    """The whole of the limits holds."""


class Tripped(Struct, frozen=True, gc=False):
    """Nothing starts before `until`; `trips` counts those without a recovery in between."""

    until: Mono
    trips: int


class Probing(Struct, frozen=True, gc=False):
    """One attempt at a time."""

    trips: int


class Ramping(Struct, frozen=True, gc=False):
    """A share of the limits holds at least until `until`, and while it is `held`. In the quickest
    step of the ramp so far an attempt took `base_ns`, 0: unknown; it fell back `slow_falls` times
    because others took far longer."""

    step: int
    percent: int
    until: Mono
    trips: int
    held: bool = False
    base_ns: int = 0
    slow_falls: int = 0


Mode = Open | Tripped | Probing | Ramping
Control = Literal["running", "paused", "draining", "closed"]
GateStateName = Literal[
    "open", "tripped", "probing", "ramping", "paused", "draining", "closed", "quarantined"
]
WaitCause = Literal[
    "quarantined", "paused", "throttled", "tripped", "probing", "slot", "ramp", "token"
]


class Gate(Struct, frozen=True):
    """A gate's state. `in_flight` is starts less ends, never a stored counter.

    `windows` are the downtimes to come and the present one, `plans` how many were ever planned.
    `failed` sums up `buckets`. `recoveries` counts the outages that were recorded; `has_recovery`
    says that the present one is among them. What was due before `fresh_since`, when the newest ramp
    or recovery began, is the backlog of an outage. `stopped_ns` is the whole time in which the gate
    was paused, tripped or probing, up to `stopped_since` when that is set.
    """

    name: GateName
    settings: GateSettings
    version: Version = NEW
    mode: Mode = Open()
    control: Control = "running"
    paused_until: Wall | None = None
    windows: tuple[Window, ...] = ()
    plans: int = 0
    drained: bool = False
    quarantined_until: Wall | None = None
    implicit: bool = False
    in_flight: int = 0
    tats: tuple[Mono, ...] = ()
    learned: Learned = Learned()
    quota: Quota = Quota()
    recoveries: int = 0
    has_recovery: bool = False
    outage: OutageCause | None = None
    fresh_since: Wall | None = None
    throttled_until: Mono = Mono(0)
    failures_in_row: int = 0
    buckets: tuple[Bucket, ...] = ()
    failed: int = 0
    stopped_ns: int = 0
    stopped_since: Mono | None = None


class Grant(Struct, frozen=True, gc=False):
    """Yes: from `slot_at` on, with these tats after it; `above` are its parents'."""

    slot_at: Mono
    tats: tuple[Mono, ...]
    probe: bool = False
    above: tuple[ParentTats, ...] = ()


class Wait(Struct, frozen=True, gc=False):
    """No, why (the words of semantics 10), and until when; `None`: an end or a command wakes it.
    `gate` is the parent that holds, or None: the gate itself does."""

    cause: WaitCause
    until: Mono | None = None
    gate: GateName | None = None


def percent(gate: Gate) -> int:
    """The share of its limits that a gate may use now."""
    return gate.mode.percent if isinstance(gate.mode, Ramping) else 100


def allowed(gate: Gate) -> Allowed:
    """What the gate's settings and its mode allow now."""
    return Allowed(gate.settings.limits, percent(gate), gate.quota.rate)


def learned_limit(gate: Gate) -> int:
    """How many attempts may be open apart from any ramp: what was learned, or what is set."""
    adaptive, concurrency = gate.settings.adaptive, gate.settings.limits.concurrency
    if adaptive is None:
        return concurrency
    return open_at_once(adaptive, gate.learned, concurrency)


def paces(gate: Gate) -> tuple[Spacing, ...]:
    """The gate's rates as they hold now."""
    return allowed(gate).paces


def admit(gate: Gate, now: Mono, sent_tats: tuple[Mono, ...] = ()) -> Grant | Wait:
    """Decide whether one attempt may start now. Waiting reserves nothing.

    `sent_tats` is where the pacer stands with what was really sent: a late commit moves it past
    the gate's own tats. Decides up to `LOOKAHEAD_NS` ahead.

    Source: semantics 3.1 to 3.4, 4.1 to 4.6; the order of causes is that of semantics 10.
    """
    if gate.quarantined_until is not None:
        return Wait("quarantined")
    if gate.control != "running":
        return Wait("paused")
    horizon = now + LOOKAHEAD_NS
    if gate.throttled_until > horizon:
        return Wait("throttled", Mono(gate.throttled_until - LOOKAHEAD_NS))
    mode = gate.mode
    share = 100
    match mode:
        case Open():
            pass
        case Tripped(until=until):
            return Wait("tripped", until)
        case Probing():
            if gate.in_flight:
                return Wait("probing")
        case Ramping():
            share = mode.percent
        case _:
            assert_never(mode)
    limits = gate.settings.limits
    if gate.in_flight >= learned_limit(gate):
        return Wait("slot")
    if gate.in_flight >= slots(limits, share):
        return Wait("ramp")
    rates = spacings(limits, share) + learned_spacing(gate.quota.rate)
    tats = later_tats(gate.tats, sent_tats)
    ready = token_at(rates, tats)
    if ready > horizon:
        return Wait("token" if share == 100 else "ramp", Mono(ready - LOOKAHEAD_NS))
    slot_at = Mono(max(ready, now, gate.throttled_until))
    return Grant(slot_at, spend(rates, tats, slot_at), isinstance(mode, Probing))


def state_name(gate: Gate) -> GateStateName:
    """What API and CLI call the gate's state: its control unless it is running, else its mode."""
    if gate.quarantined_until is not None:
        return "quarantined"
    if gate.control != "running":
        return gate.control
    match gate.mode:
        case Open():
            return "open"
        case Tripped():
            return "tripped"
        case Probing():
            return "probing"
        case Ramping():
            return "ramping"
        case _:
            assert_never(gate.mode)


AttemptFact = AttemptStarted | AttemptVoided | AttemptSucceeded | AttemptFailed


def evolve_attempt(gate: Gate, event: AttemptFact) -> Gate:
    """The gate after one fact of one of its tasks."""
    match event:
        case AttemptStarted(tats=tats):
            return replace(gate, in_flight=gate.in_flight + 1, tats=tats)
        case AttemptVoided():
            return replace(gate, in_flight=gate.in_flight - 1)
        case AttemptSucceeded():
            return replace(
                gate,
                in_flight=gate.in_flight - 1,
                failures_in_row=0,
                buckets=counted(gate.buckets, event.at, took_ns=event.duration_ns),
                failed=failed_by(gate.buckets, gate.failed, event.at),
            )
        case AttemptFailed(fault="endpoint"):
            return replace(
                gate,
                in_flight=gate.in_flight - 1,
                failures_in_row=gate.failures_in_row + 1,
                buckets=counted(gate.buckets, event.at, failed=1),
                failed=failed_by(gate.buckets, gate.failed, event.at) + 1,
            )
        case AttemptFailed(fault="task"):
            return replace(
                gate,
                in_flight=gate.in_flight - 1,
                failures_in_row=0,
                buckets=counted(gate.buckets, event.at, took_ns=event.duration_ns),
                failed=failed_by(gate.buckets, gate.failed, event.at),
            )
        case AttemptFailed():
            later = max(gate.throttled_until, event.throttle_until or 0)
            return replace(gate, in_flight=gate.in_flight - 1, throttled_until=Mono(later))
        case _:
            assert_never(event)


def evolve(gate: Gate | None, event: GateEvent, name: GateName) -> Gate:
    """The gate after one event of its own stream."""
    if gate is None:
        assert isinstance(event, GateOpened)
        opened = Gate(name=name, settings=event.settings, version=Version(1))
        tats = fresh_tats(paces(opened), event.mono)
        return replace(opened, tats=tats, implicit=event.implicit)
    changed = _changed(gate, event)
    return _stop_counted(gate, replace(changed, version=Version(gate.version + 1)), event.mono)


def _changed(gate: Gate, event: GateEvent) -> Gate:
    match event:
        case GateOpened():  # a closed gate is opened again, with its new settings
            opened = replace(gate, control="running", drained=False, implicit=event.implicit)
            return _with_limits(opened, event.settings, event.mono)
        case GateLimitsChanged():
            return _with_limits(gate, event.settings, event.mono)
        case GatePaused():
            control = "draining" if event.drain else "paused"
            return replace(gate, control=control, paused_until=event.until, drained=False)
        case GateDrained():
            return replace(gate, drained=True)
        case GateResumed():
            return replace(gate, control="running", paused_until=None, drained=False)
        case GateClosed():
            return replace(gate, control="closed", paused_until=None)
        case GateTripped():
            adaptive = gate.settings.adaptive
            learned = gate.learned if adaptive is None else reopened(adaptive)
            gate = replace(gate, learned=learned)
            return _in_mode(gate, Tripped(event.until, event.trips), event.mono)
        case GateProbed():
            trips = gate.mode.trips if not isinstance(gate.mode, Open) else 0
            return _in_mode(gate, Probing(trips), event.mono)
        case GateRampStepped():
            trips = gate.mode.trips if not isinstance(gate.mode, Open) else 0
            mode = Ramping(
                event.step,
                event.percent,
                event.until,
                trips,
                base_ns=event.base_ns,
                slow_falls=event.slow_falls,
            )
            if not isinstance(gate.mode, Ramping) or event.why not in WITHIN_RAMP:
                gate = replace(gate, fresh_since=event.at)
            return _in_mode(gate, mode, event.mono, OUTAGES.get(event.why, "endpoint"))
        case GateRampHeld(held=held):
            assert isinstance(gate.mode, Ramping)
            return replace(gate, mode=replace(gate.mode, held=held))
        case GateRecovered():
            began = gate.fresh_since if isinstance(gate.mode, Ramping) else event.at
            gate = replace(gate, has_recovery=False, fresh_since=began)
            return _in_mode(gate, Open(), event.mono)
        case MaintenancePlanned(window=window):
            windows = windows_after(gate.windows, event)
            return replace(gate, windows=windows, plans=window.number)
        case MaintenanceCancelled() | MaintenanceBegan() | MaintenanceEnded():
            return replace(gate, windows=windows_after(gate.windows, event))
        case RecoveryStarted(number=number):
            return replace(gate, recoveries=number, has_recovery=True)
        case GateLimitLearned():
            return replace(gate, learned=learned_of(event))
        case GateRateLearned():
            return _paced_anew(gate, replace(gate, quota=quota_of(event)), event.mono)
        case GateQuarantined():
            return replace(gate, quarantined_until=event.until)
        case GateReleased():
            return replace(gate, quarantined_until=None)
        case _:
            assert_never(event)


def _in_mode(gate: Gate, mode: Mode, at: Mono, why: OutageCause = "endpoint") -> Gate:
    """Outcomes are counted anew in each mode; what was spent stays spent at the new share. An
    outage keeps the cause for which the gate left `open`."""
    outage = None if isinstance(mode, Open) else gate.outage or why
    moved = replace(gate, mode=mode, failures_in_row=0, buckets=(), failed=0, outage=outage)
    return _paced_anew(gate, moved, at)


def _with_limits(gate: Gate, settings: GateSettings, at: Mono) -> Gate:
    same = settings.adaptive == gate.settings.adaptive
    learned = gate.learned if same else Learned()
    quota = gate.quota if same and settings.limits == gate.settings.limits else Quota()
    moved = replace(gate, settings=settings, learned=learned, quota=quota)
    return _paced_anew(gate, moved, at)


def _paced_anew(before: Gate, after: Gate, at: Mono) -> Gate:
    """What was spent stays spent at the other rates."""
    return replace(after, tats=carried_tats(allowed(before), after.tats, allowed(after), at))


def is_calm(gate: Gate) -> bool:
    """Whether nothing can follow by rule alone: open, running, and no failure remembered."""
    return (
        not gate.failed
        and gate.control == "running"
        and isinstance(gate.mode, Open)
        and gate.paused_until is None
        and not gate.windows
    )


def is_stopped(gate: Gate) -> bool:
    """Whether time passes that no task's `max_elapsed` should be charged with."""
    return gate.control != "running" or isinstance(gate.mode, Tripped | Probing)


def _stop_counted(before: Gate, after: Gate, at: Mono) -> Gate:
    match before.stopped_since, is_stopped(after):
        case None, True:
            return replace(after, stopped_since=at)
        case int(since), False:
            spent = max(0, at - since)
            return replace(after, stopped_ns=after.stopped_ns + spent, stopped_since=None)
        case _:
            return after


def stopped_ns(gate: Gate, now: Mono) -> int:
    """How long the gate has been stopped in its life, up to now."""
    running = gate.stopped_since is None
    return gate.stopped_ns + (0 if running else max(0, now - (gate.stopped_since or 0)))
