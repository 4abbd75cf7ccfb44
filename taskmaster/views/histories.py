"""The history of every gate that does something: counted from commits, looked at each second.

Rules of residence: on the loop's thread, a projection of commits (semantics 10); levels are read
from the rows that the index keeps, of at most `LOOKS` gates a second, in turn. Bounded: with more
than `MAX_ROWS` the history of the gate that has been still for longest is forgotten. What a
restart takes away is counted again from the newest events of the log; only what was eligible then
is not known any more.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from taskmaster.actors.journal import Commit
from taskmaster.actors.node import Node
from taskmaster.errors import StoreUnavailableError
from taskmaster.events.log import GateRow, Recorded
from taskmaster.events.types import (
    HOUR,
    SECOND,
    AnyEvent,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    GateClosed,
    GateDrained,
    GateEvent,
    GateLimitsChanged,
    GateName,
    GateOpened,
    GatePaused,
    GateProbed,
    GateQuarantined,
    GateRampHeld,
    GateRampStepped,
    GateRecovered,
    GateReleased,
    GateResumed,
    GateTripped,
    Position,
    Stream,
    TaskCancelled,
    TaskDied,
    TaskEvent,
    TaskExpired,
    TaskRevived,
    TaskSubmitted,
)
from taskmaster.model.gate import Gate, percent
from taskmaster.model.limits import slots
from taskmaster.views.forecasts import Forecasts
from taskmaster.views.gates import GateView, view_gates
from taskmaster.views.history import (
    STATES,
    UNKNOWN,
    History,
    Levels,
    Mark,
    Tally,
)

LOOKS = 100
MAX_ROWS = 300_000
"""About 45 MB: 10,000 gates with 30 active times each, or 178 that never rested."""
RESTORED_NS = HOUR
RESTORED_EVENTS = 50_000
"""A restart counts again the last hour, or as much of it as so many events tell of."""
PAGE = 1_000
_GATE = "gate-"


class Histories:
    """The histories of one node's gates."""

    def __init__(self, node: Node) -> None:
        """Know nothing yet; `run` counts and looks."""
        self._node = node
        self._histories: dict[GateName, History] = {}  # the one that moved last is last
        self._tallies: dict[GateName, Tally] = {}
        self._turn: list[GateName] = []
        self.forecasts = Forecasts(node)
        self._rows = 0
        self._since = 0
        self._before: Position | None = None
        self.seconds = 0
        """How many seconds were looked at."""

    def of(self, gate: GateName) -> History:
        """A gate's history; empty where nothing is known."""
        return self._histories.get(gate) or History()

    @property
    def known(self) -> Sequence[GateName]:
        """The gates with a history."""
        return tuple(self._histories)

    # --- what flows ---------------------------------------------------------------------------

    def committed(self, commit: Commit) -> None:
        """Count events that have become durable."""
        if self._before is None:
            events = sum(len(write.events) for one in commit.appends for write in one.writes)
            self._before = Position(commit.position - events)
        for append in commit.appends:
            for write in append.writes:
                for event in write.events:
                    count(self._tallies, event)
                    if isinstance(event, GateEvent):
                        self._mark(write.stream, event)

    def _mark(self, stream: Stream, event: GateEvent) -> None:
        gate = GateName(stream.removeprefix(_GATE))
        self._tallies.setdefault(gate, Tally())  # so that it is looked at
        if type(event) in _WORDS:
            self._moved(gate).marks.append(_mark_of(event))

    def _moved(self, gate: GateName) -> History:
        history = self._histories.pop(gate, None) or History()
        self._histories[gate] = history
        return history

    # --- each second --------------------------------------------------------------------------

    async def run(self) -> None:
        """Restore what the log tells, then look each second, until cancelled."""
        clock = self._node.ports.clock
        self._since = clock.wall() // SECOND
        step = self._restore
        while True:
            with suppress(StoreUnavailableError):  # what was counted is the next second's
                await step()
                step = self.look
            now = clock.wall()
            await asyncio.sleep((SECOND - now % SECOND) / SECOND)

    async def look(self) -> None:
        """Close the second that is over. Nothing when the clock has not gone on."""
        second = self._node.ports.clock.wall() // SECOND - 1
        if second < self._since:
            return
        views = await self._views()
        tallies, self._tallies = self._tallies, {}
        self._since = second + 1
        for gate in {**tallies, **views}:
            tally = tallies.get(gate) or Tally()
            history = self._moved(gate)
            before = history.size
            view = views.get(gate)
            levels = _moved_levels(history.levels, tally) if view is None else levels_of(view)
            history.put(tally.row(second, 1, levels))
            self._rows += history.size - before
        for gate, view in views.items():
            await self.forecasts.look(view, self._histories[gate])
        self._forget()
        self.seconds += 1

    async def _views(self) -> dict[GateName, GateView]:
        """The gates that move, `LOOKS` of them; the others have their turn in the next seconds."""
        node = self._node
        moving = dict.fromkeys([*self._tallies, *node.gates.units])
        busy = (gate for gate, one in self._histories.items() if one.levels.in_flight)
        moving.update(dict.fromkeys(busy))
        waiting = (gate for gate, one in self._histories.items() if one.levels.eligible)
        moving.update(dict.fromkeys(waiting))
        self._turn = [gate for gate in self._turn if gate in moving]
        known = set(self._turn)
        self._turn += [gate for gate in moving if gate not in known]
        chosen, self._turn = self._turn[:LOOKS], self._turn[LOOKS:]
        self._turn += chosen
        if not chosen:
            return {}
        rows = await node.reader.gate_rows(chosen)
        return {view.row.gate: view for view in await view_gates(node, rows)}

    def _forget(self) -> None:
        while self._rows > MAX_ROWS:
            gate = next(iter(self._histories))
            self._rows -= self._histories.pop(gate).size
            self.forecasts.forget(gate)

    # --- after a restart ----------------------------------------------------------------------

    async def _restore(self) -> None:
        """Count again what happened before this process, from the newest events backwards."""
        reader, ports = self._node.reader, self._node.ports
        since = ports.clock.wall() - RESTORED_NS
        newest = await reader.position()
        end = newest if self._before is None else min(newest, self._before)
        records: list[Recorded] = []
        for _ in range(RESTORED_EVENTS // PAGE):
            if end <= 0 or (records and records[0].event.at < since):
                break
            begin = Position(max(0, end - PAGE))
            chunk: list[Recorded] = []
            at = begin
            while at < end and (page := await reader.events(after=at, limit=end - at)):
                chunk += page
                at = page[-1].position
            records = chunk + records
            end = begin
        seconds, marks = _counted([one for one in records if one.event.at >= since])
        gates = [*seconds]
        rows: list[GateRow] = []
        for start in range(0, len(gates), PAGE):
            rows += await reader.gate_rows(gates[start : start + PAGE])
        for row in rows:  # all of them or none: a store that went away meanwhile is asked again
            history = self._histories.setdefault(row.gate, History())
            history.marks.extendleft(reversed(marks.get(row.gate, [])))
            now = Levels(row.counts.get("waiting", 0), row.counts.get("in_flight", 0))
            before = history.size
            _put_back(history, seconds[row.gate], now)
            self._rows += history.size - before
        self._forget()


def count(tallies: dict[GateName, Tally], event: AnyEvent) -> None:
    """Count one event for its gate."""
    match event:
        case TaskSubmitted(gate=gate):
            tally = _of(tallies, gate)
            tally.submitted += 1
            tally.later += event.due_at > event.at
            tally.waiting_moved += 1
        case AttemptStarted(gate=gate):
            tally = _of(tallies, gate)
            tally.started += 1
            tally.waiting_moved -= 1
            tally.in_flight_moved += 1
        case AttemptSucceeded(gate=gate, duration_ns=duration_ns):
            tally = _of(tallies, gate)
            tally.succeeded += 1
            tally.in_flight_moved -= 1
            tally.took(duration_ns)
        case AttemptFailed(gate=gate, outcome=outcome, duration_ns=duration_ns):
            tally = _of(tallies, gate)
            if outcome == "throttled":
                tally.throttled += 1
            else:
                tally.failed += 1
            tally.in_flight_moved -= 1
            tally.waiting_moved += event.next == "retry"
            tally.took(duration_ns)
        case AttemptVoided(gate=gate):
            tally = _of(tallies, gate)
            tally.started -= 1
            tally.waiting_moved += 1
            tally.in_flight_moved -= 1
        case TaskCancelled(gate=gate) | TaskExpired(gate=gate) | TaskDied(gate=gate):
            _of(tallies, gate).waiting_moved -= 1
        case TaskRevived(gate=gate):
            _of(tallies, gate).waiting_moved += 1
        case _:
            pass


def _of(tallies: dict[GateName, Tally], gate: GateName) -> Tally:
    tally = tallies.get(gate)
    if tally is None:
        tally = tallies[gate] = Tally()
    return tally


def _mark_of(event: GateEvent) -> Mark:
    share = event.percent if isinstance(event, GateRampStepped) else None
    return Mark(event.at, _WORDS[type(event)], share)


_WORDS: dict[type[GateEvent], str] = {  # what is learned comes too often to be marked
    GateOpened: "opened",
    GateLimitsChanged: "limits",
    GatePaused: "paused",
    GateDrained: "drained",
    GateResumed: "resumed",
    GateClosed: "closed",
    GateTripped: "tripped",
    GateProbed: "probing",
    GateRampStepped: "step",
    GateRampHeld: "held",
    GateRecovered: "recovered",
    GateQuarantined: "quarantined",
    GateReleased: "released",
}


def levels_of(view: GateView) -> Levels:
    """A gate's levels as it stands."""
    gate, limits = view.live, view.row.settings.limits
    share = percent(gate) if isinstance(gate, Gate) else 100
    rates = [rate.rate * SECOND / rate.per_ns * share / 100 for rate in limits.rates]
    return Levels(
        waiting=view.row.counts.get("waiting", 0),
        in_flight=view.row.counts.get("in_flight", 0),
        eligible=view.eligible,
        oldest_age_s=view.oldest_age_s,
        limit=slots(limits, share),
        learned_limit=view.learned_limit,
        limit_per_s=min(rates, default=None),
        state=STATES.index(view.state),
    )


def _moved_levels(before: Levels, tally: Tally) -> Levels:
    """What the levels are by what flowed, of a gate whose turn it was not."""
    if before.waiting is None or before.in_flight is None:
        return UNKNOWN
    waiting = max(0, before.waiting + tally.waiting_moved)
    in_flight = max(0, before.in_flight + tally.in_flight_moved)
    fields = {name: getattr(before, name) for name in Levels.__struct_fields__}
    return Levels(**{**fields, "waiting": waiting, "in_flight": in_flight})


def _counted(
    records: Iterable[Recorded],
) -> tuple[dict[GateName, dict[int, Tally]], dict[GateName, list[Mark]]]:
    """Events by gate and second, and the marks of gates."""
    seconds: dict[GateName, dict[int, Tally]] = {}
    marks: dict[GateName, list[Mark]] = {}
    for record in records:
        event = record.event
        if isinstance(event, GateEvent) and type(event) in _WORDS:
            gate = GateName(record.stream.removeprefix(_GATE))
            marks.setdefault(gate, []).append(_mark_of(event))
        if isinstance(event, TaskEvent):
            of_gate = seconds.setdefault(event.gate, {})
            tally = of_gate.setdefault(event.at // SECOND, Tally())
            count({event.gate: tally}, event)
    return seconds, marks


def _put_back(history: History, seconds: dict[int, Tally], now: Levels) -> None:
    """The seconds of a gate, with the levels that lead to those of now."""
    assert now.waiting is not None
    assert now.in_flight is not None
    waiting, in_flight = now.waiting, now.in_flight
    rows: list[tuple[int, Tally, Levels]] = []
    for second in sorted(seconds, reverse=True):
        tally = seconds[second]
        rows.append((second, tally, Levels(max(0, waiting), max(0, in_flight))))
        waiting -= tally.waiting_moved
        in_flight -= tally.in_flight_moved
    for second, tally, levels in reversed(rows):
        history.put(tally.row(second, 1, levels))
