"""A gate as a picture: backlog, rate, in flight, latency and state over the last minutes.

Rules of residence: from the client's structs to lines; no connection.
"""

from collections.abc import Callable, Sequence

from taskmaster.cli.columns import age, limits
from taskmaster.cli.paint import Paint, printable
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
from taskmaster.client import Gate, GateHistory

NARROW, LOW = 40, 14
"""Below so many columns or lines it is drawn for these, and the terminal cuts it."""
WIDE = 120
"""From so many columns on two plots stand side by side."""
FIXED = 5
"""Lines that are no plot: the head, the state, its marks, the time, a line to spare."""


def points(width: int) -> int:
    """How many values a picture of that width shows."""
    width = max(NARROW, width)
    return 2 * ((width // 2 if width >= WIDE else width) - GUTTER)


def picture(gate: Gate, history: GateHistory, paint: Paint, width: int, height: int) -> str:
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
