"""A gate as a picture: backlog, rate, in flight, latency and state over the last minutes.

Rules of residence: from the client's structs to lines; no connection.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from taskmaster.cli.columns import age, limits
from taskmaster.cli.paint import Column, Paint, pairs, printable, table
from taskmaster.cli.plot import (
    GUTTER,
    SIGNS,
    Curve,
    axis,
    band,
    duration,
    marks,
    number,
    plot,
)
from taskmaster.client import Gate, GateForecast, GateHistory
from taskmaster.client.seen_calls import MadeForecast

NARROW, LOW = 40, 14
"""Below so many columns or lines it is drawn for these, and the terminal cuts it."""
WIDE = 120
"""From so many columns on two plots stand side by side."""
FIXED = 5
"""Lines that are no plot: the head, the state, its marks, the time, the forecast."""
FINE_S = 600
"""What is older is kept in tens of seconds only."""
AGO = timedelta(minutes=5)
"""How old the forecast should be that is shown beside the present one."""


def points(width: int) -> int:
    """How many values a picture of that width shows."""
    width = max(NARROW, width)
    return 2 * ((width // 2 if width >= WIDE else width) - GUTTER)


def reach(span_s: float, shown: int) -> tuple[int, int]:
    """How many seconds back to ask for, and for steps of how many, to fill `shown` values.

    One step less than they are: the server begins where a step begins, up to a step earlier.
    """
    step_s = max(1, round(span_s / shown))
    if span_s > FINE_S:
        step_s = -(-step_s // 10) * 10
    return (shown - 1) * step_s, step_s


def picture(  # what was asked for, and where it is drawn
    gate: Gate,
    history: GateHistory,
    forecast: GateForecast,
    paint: Paint,
    *,
    width: int,
    height: int,
) -> str:
    """All of it in `height` lines of `width` columns."""
    width, height = max(NARROW, width), max(LOW, height)
    sheets = _plots(history)
    across = 2 if width >= WIDE else 1
    rows = -(-len(sheets) // across)
    each = max(2, (height - FIXED) // rows)
    each_width = width // across
    lines = [_head(gate, paint, width)]
    for start in range(0, len(sheets), across):
        beside = [
            plot(paint, curves, each_width, each - 1, text)
            for curves, text in sheets[start : start + across]
        ]
        lines += ["".join(line) for line in zip(*beside, strict=True)]
    lines += _times(history, paint, each_width)
    lines.append(forecast_line(forecast, paint)[:width])
    return "\n".join(lines)


def _plots(history: GateHistory) -> Sequence[tuple[list[Curve], Callable[[float], str]]]:
    seen = history.columns
    troubled = [
        None if failed is None or throttled is None else failed + throttled
        for failed, throttled in zip(seen.failed_per_s, seen.throttled_per_s, strict=True)
    ]
    in_flight = [Curve("in flight", seen.in_flight, "blue"), Curve("limit", seen.limit, "grey")]
    if any(value is not None for value in seen.learned_limit):
        in_flight.insert(1, Curve("learned", seen.learned_limit, "yellow"))
    return (
        ([Curve("backlog", seen.eligible, "blue")], number),
        (
            [
                Curve("submitted/s", seen.submitted_per_s, "grey", whole=False),
                Curve("started/s", seen.started_per_s, "green"),
                Curve("failed/s", troubled, "red"),
            ],
            number,
        ),
        (in_flight, number),
        (
            [
                Curve("latency p50", seen.latency_p50_seconds, "green"),
                Curve("p99", seen.latency_p99_seconds, "yellow"),
            ],
            duration,
        ),
    )


def _head(gate: Gate, paint: Paint, width: int) -> str:
    ramp = f" {gate.ramp_percent} %" if gate.ramp_percent else ""
    waits = f", waits for {gate.waits.cause}" if gate.waits else ""
    rest = (
        f"{ramp}{waits}   {limits(gate.limits)}   oldest"
        f" {age(gate.oldest_eligible_age_seconds)}, {gate.counts.get('dead', 0)} dead"
    )
    name = printable(gate.gate)
    rest = rest[: max(0, width - len(name) - len(gate.state) - 2)]
    return f"{name}  {paint.state(gate.state)}{rest}"


def _times(history: GateHistory, paint: Paint, width: int) -> list[str]:
    begin, end = history.since.timestamp(), history.until.timestamp()
    moments = [
        ((mark.at.timestamp() - begin) / (end - begin), sign)
        for mark in history.marks
        if (sign := str(mark.percent) if mark.percent is not None else SIGNS.get(mark.what))
    ]
    return [
        band(paint, history.columns.state, width),
        marks(paint, moments, width),
        axis(paint, paint.instant(history.since), paint.instant(history.until), width),
    ]


# --- the forecast -----------------------------------------------------------------------------


def forecast_line(forecast: GateForecast, paint: Paint) -> str:
    """When it will be empty, and what was said some minutes ago."""
    if not forecast.eligible:
        return "empty"
    line = f"empty {_by(forecast.empty_at, paint)}"
    if forecast.empty_at is not None:
        line += f" ({_time(forecast.earliest_at, paint)} to {_time(forecast.latest_at, paint)})"
    old = next((one for one in forecast.made if forecast.at - one.made_at >= AGO), None)
    if old is not None:
        minutes = (forecast.at - old.made_at).total_seconds() / 60
        line += f"; said {minutes:.0f} min ago: {_by(old.empty_at, paint)}"
    return line


def forecast_text(forecast: GateForecast, paint: Paint) -> str:
    """The whole of a forecast, with what earlier ones came to."""
    head = pairs(
        paint,
        [
            ("gate", forecast.gate),
            ("eligible", str(forecast.eligible)),
            ("empty", _by(forecast.empty_at, paint, exact=True)),
            ("earliest", _by(forecast.earliest_at, paint, exact=True)),
            ("latest", _by(forecast.latest_at, paint, exact=True)),
            ("assuming", forecast.assumption),
        ],
    )
    columns: tuple[Column[MadeForecast], ...] = (
        Column("MADE", lambda one, paint: paint.instant(one.made_at)),
        Column("SAID", lambda one, paint: _by(one.empty_at, paint, exact=True)),
        Column("CAME", lambda one, paint: paint.instant(one.emptied_at)),
        Column("OFF BY", lambda one, _: _off(one)),
    )
    return f"{head}\n\n{table(paint, columns, forecast.made)}" if forecast.made else head


def _off(one: MadeForecast) -> str:
    if one.emptied_at is None or one.empty_at is None:
        return "-"
    left_s = max(1.0, (one.emptied_at - one.made_at).total_seconds())
    late_s = (one.emptied_at - one.empty_at).total_seconds()
    return f"{late_s:+.0f}s ({100 * abs(late_s) / left_s:.0f} %)"


def _by(at: datetime | None, paint: Paint, *, exact: bool = False) -> str:
    if at is None:
        return "never at this pace"
    return paint.instant(at) if exact else f"at {_time(at, paint)}"


def _time(at: datetime | None, paint: Paint) -> str:
    """The time of day alone, for a line that is about the next minutes."""
    return "never" if at is None else paint.instant(at)[11:19]
