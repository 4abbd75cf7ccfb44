"""Forecasts of when a gate is empty, and what then happened.

Rules of residence: gathers what `model/forecast.py` needs from a gate's history and the index, and
keeps the forecasts that were made; one a minute while there is a backlog.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.actors.node import Node
from taskmaster.events.log import Ahead
from taskmaster.events.types import DAY, MINUTE, SECOND, GateName, Wall
from taskmaster.model.forecast import Forecast, Seen, forecast
from taskmaster.views.gates import GateView, fold_gate
from taskmaster.views.history import STATES, History, Row, mean_s

EVERY_NS = MINUTE
MAX_MADE = 60
INFLOW_S = 300
BIN_S = 5
SETTLED_S = 20
"""How long a gate must have been open with a backlog, for its starts to say what it does."""
AHEAD_MINUTES = DAY // MINUTE
_OPEN = STATES.index("open")


class Made(Struct, frozen=True):
    """A forecast that was made, and when the gate was empty then; None: not yet, or never."""

    made_at: Wall
    empty_at: Wall | None
    emptied_at: Wall | None = None


async def make(node: Node, view: GateView, history: History) -> Forecast:
    """The forecast for a gate as it stands."""
    gate = view.live or await fold_gate(node, view.row.gate)
    ahead = await node.reader.ahead(view.row.gate, view.now, minutes=AHEAD_MINUTES)
    seen = seen_of(history, ahead, view.now)
    left_alone = view.quarantine
    paused_until = left_alone.until if left_alone is not None else view.row.paused_until
    paused_s = None if paused_until is None else max(0, paused_until - view.now) / SECOND
    return forecast(gate, seen, node.ports.clock.mono(), paused_s)


def seen_of(history: History, ahead: Ahead, now: Wall) -> Seen:
    """What a gate's last minutes say of the next ones."""
    second = now // SECOND
    rows = [row for row in history.rows(second - INFLOW_S, 1) if row.at >= second - INFLOW_S]
    bins = _inflow(rows, second)
    settled = _settled(rows)
    ended = sum(row.succeeded + row.failed + row.throttled for row in settled)
    again = sum(row.failed + row.throttled for row in settled)
    recent = [row for row in rows if row.at >= second - 60]
    return Seen(
        eligible=ahead.due.eligible,
        latency_s=mean_s(settled or recent),
        started_per_s=_started(settled),
        again=min(0.99, again / ended) if ended else 0.0,
        came_per_s=_mean(bins),
        came_least=_mean(bins[: len(bins) // 2]),
        came_most=_mean(bins[len(bins) // 2 :]),
        later=tuple(
            (max(0.0, (minute * MINUTE + MINUTE // 2 - now) / SECOND), count)
            for minute, count in ahead.minutes
        ),
    )


def _settled(rows: Sequence[Row]) -> list[Row]:
    """The newest rows in a row in which the gate was open and something waited, up to a minute."""
    found: list[Row] = []
    for row in reversed(rows):
        if row.levels.state != _OPEN or not row.levels.eligible:
            break
        found.append(row)
        if found[0].at - row.at >= 60:
            break
    return found[::-1]


def _started(settled: Sequence[Row]) -> float | None:
    """Starts a second; the first of these seconds may have begun before."""
    if len(settled) < 2 or settled[-1].at - settled[0].at < SETTLED_S:
        return None
    span_s = settled[-1].at - settled[0].at
    return sum(row.started for row in settled[1:]) / span_s


def _inflow(rows: Sequence[Row], second: int) -> list[float]:
    """What came in that was due at once, per second, in stretches of five, lowest first. A
    batch is no inflow: what stands out from the others is left out."""
    if not rows:
        return []
    first = rows[0].at
    bins = [0.0] * max(1, (second - first) // BIN_S)
    for row in rows:
        place = (row.at - first) // BIN_S
        if place < len(bins):
            bins[place] += (row.submitted - row.later) / BIN_S
    most = 4 * sorted(bins)[(len(bins) - 1) // 2] + 2 / BIN_S
    return sorted(one for one in bins if one <= most)


def _mean(bins: Sequence[float]) -> float:
    return sum(bins) / len(bins) if bins else 0.0


class Forecasts:
    """The forecasts that were made for each gate."""

    def __init__(self, node: Node) -> None:
        """None so far."""
        self._node = node
        self._made: dict[GateName, list[Made]] = {}

    def of(self, gate: GateName) -> tuple[Made, ...]:
        """What was forecast for a gate in the last hour of backlogs, oldest first."""
        return tuple(self._made.get(gate, ()))

    async def look(self, view: GateView, history: History) -> None:
        """Make one if it is time; when the gate is empty, say so to those that were made."""
        made = self._made.get(view.row.gate, [])
        if not view.eligible:
            for place, one in enumerate(made):
                if one.emptied_at is None:
                    made[place] = replace(one, emptied_at=view.now)
        elif not made or view.now >= made[-1].made_at + EVERY_NS:
            found = await make(self._node, view, history)
            empty_at = None if found.expected_s is None else after(view.now, found.expected_s)
            kept = [*made, Made(view.now, empty_at)][-MAX_MADE:]
            self._made[view.row.gate] = kept

    def forget(self, gate: GateName) -> None:
        """With its history."""
        self._made.pop(gate, None)


def after(now: Wall, seconds: float) -> Wall:
    """The instant so many seconds ahead."""
    return Wall(now + round(seconds * SECOND))
