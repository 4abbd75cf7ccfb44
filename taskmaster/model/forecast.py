"""When a gate will have nothing left that is eligible, if it goes on as it does.

Rules of residence: pure. The backlog is a level that flows out at what the gate may and does start,
and fills at what comes in; phases are what the gate's mode has ahead. It is an extrapolation, and
says of what: whoever shows it shows the assumption too.
"""

from collections.abc import Iterator, Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import SECOND, Mono
from taskmaster.model.gate import (
    Gate,
    Open,
    Probing,
    Ramping,
    Tripped,
    allowed,
    learned_limit,
    percent,
)
from taskmaster.model.limits import slots

HORIZON_S = 7 * 86_400.0
"""What takes longer is not forecast."""
UNKNOWN_LATENCY_S = 0.2
SLOWER, FASTER = 0.8, 1.1
"""The range: a fifth slower, a tenth faster than it goes now."""


class Seen(Struct, frozen=True):
    """What a forecast is made from, beside the gate. Rates are per second.

    `started_per_s`: how many attempts started while something waited all the time and the gate
    was open, else None. `again` is the share of attempts that come back. `came_most` and
    `came_least` are the inflow's range; `later` says how many tasks become due in how many seconds.
    """

    eligible: int
    latency_s: float | None = None
    started_per_s: float | None = None
    again: float = 0.0
    came_per_s: float = 0.0
    came_least: float = 0.0
    came_most: float = 0.0
    later: tuple[tuple[float, int], ...] = ()


class Phase(Struct, frozen=True):
    """So many starts a second for so many seconds; None: from then on."""

    lasts_s: float | None
    per_s: float


class Forecast(Struct, frozen=True):
    """In how many seconds nothing eligible is left: at best, expected, at worst; None: never, or
    beyond a week. `why` is the assumption in words."""

    expected_s: float | None
    least_s: float | None
    most_s: float | None
    why: str


def forecast(gate: Gate, seen: Seen, now: Mono, paused_s: float | None = None) -> Forecast:
    """When the backlog is gone. `paused_s` is how long a pause still lasts."""
    if not seen.eligible:
        return Forecast(0.0, 0.0, 0.0, "nothing is eligible")
    if gate.control != "running" and paused_s is None:
        return Forecast(None, None, None, f"the gate is {gate.control} without an end")
    ahead = tuple(_phases(gate, seen, now, paused_s or 0.0))
    return Forecast(
        expected_s=empty_after(seen, ahead, seen.came_per_s),
        least_s=empty_after(seen, _times(ahead, FASTER), seen.came_least),
        most_s=empty_after(seen, _times(ahead, SLOWER), seen.came_most),
        why=_words(gate, seen, ahead),
    )


def empty_after(seen: Seen, phases: Sequence[Phase], came_per_s: float) -> float | None:
    """When a level of `eligible` first runs dry, in seconds; None: not within the horizon."""
    level, at = float(seen.eligible), 0.0
    later = sorted(seen.later)
    for phase in phases:
        ends = HORIZON_S if phase.lasts_s is None else at + phase.lasts_s
        falls_per_s = phase.per_s * (1 - seen.again) - came_per_s
        while at < ends:
            until = min(ends, later[0][0]) if later else ends
            if falls_per_s > 0 and level <= falls_per_s * (until - at):
                return at + level / falls_per_s
            level = max(0.0, level - falls_per_s * (until - at))
            at = max(at, until)
            while later and later[0][0] <= at:
                level += later.pop(0)[1]
    return None


def _times(phases: Sequence[Phase], factor: float) -> tuple[Phase, ...]:
    return tuple(replace(phase, per_s=phase.per_s * factor) for phase in phases)


def _phases(gate: Gate, seen: Seen, now: Mono, paused_s: float) -> Iterator[Phase]:
    """What the gate may start from now on. What holds it back runs off side by side."""
    mode, steps = gate.mode, gate.settings.recovery.ramp_steps
    held_until = max(gate.throttled_until, mode.until if isinstance(mode, Tripped) else 0)
    held_s = max(paused_s, (held_until - now) / SECOND)
    if held_s > 0:
        yield Phase(held_s, 0.0)
    match mode:
        case Open():
            ahead: tuple[int, ...] = ()
        case Tripped() | Probing():
            yield Phase(_latency_s(seen), 0.0)
            ahead = steps
        case Ramping(until=until, percent=share):
            yield Phase(max(0, until - now) / SECOND, may_start(gate, seen, share))
            ahead = tuple(step for step in steps if step > share)
        case _:
            assert_never(mode)
    for share in ahead:
        lasts_s = gate.settings.recovery.ramp_step_ns / SECOND
        yield Phase(lasts_s, may_start(gate, seen, share))
    yield Phase(None, may_start(gate, seen, 100))


def may_start(gate: Gate, seen: Seen, share: int) -> float:
    """Starts a second at a share of the limits: what the rates, the slots and, at all of them,
    what was seen allow."""
    at_share = replace(allowed(gate), percent=share)
    rates = [SECOND / pace.interval_ns for pace in at_share.paces]
    open_at_once = min(slots(gate.settings.limits, share), learned_limit(gate))
    found = min([*rates, open_at_once / _latency_s(seen)])
    if seen.started_per_s is not None and share == 100:
        return min(found, seen.started_per_s)
    return found


def _latency_s(seen: Seen) -> float:
    return max(0.001, seen.latency_s or UNKNOWN_LATENCY_S)


def _words(gate: Gate, seen: Seen, ahead: Sequence[Phase]) -> str:
    """What is assumed."""
    last = ahead[-1].per_s
    seen_s = "as in the last minute" if seen.started_per_s is not None else "as the limits allow"
    parts = [f"{last:.3g} starts/s {seen_s}"]
    if seen.again > 0.005:
        parts.append(f"{100 * seen.again:.0f} % of them come back")
    parts.append(f"{seen.came_per_s:.3g}/s come in as in the last minutes")
    if not isinstance(gate.mode, Open):
        delay_s = sum(phase.lasts_s or 0 for phase in ahead)
        parts.append(f"the limits hold whole in {delay_s:.0f} s if the ramp climbs")
        parts.append(f"now at {percent(gate) if isinstance(gate.mode, Ramping) else 0} %")
    later = sum(count for _, count in seen.later)
    if later:
        parts.append(f"{later} become due in the next day")
    return ", ".join(parts)
