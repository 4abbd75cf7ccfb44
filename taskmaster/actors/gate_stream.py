"""A gate's own stream: read it with its traffic, and write it, one append at a time.

Rules of residence: what follows by rule and what a person asked for is decided by the model; here
is only that both are appended in turn, and that nothing starts before they are durable.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from taskmaster.actors.journal import Entry, Refused
from taskmaster.actors.line import Ports
from taskmaster.actors.messages import AnswerTo, GateDone
from taskmaster.events.log import Append, AppendResult, Committed, GateSnapshot, GateTraffic, Write
from taskmaster.events.types import (
    AttemptFailed,
    AttemptSucceeded,
    GateEvent,
    GateName,
    Mono,
    Wall,
    gate_stream,
)
from taskmaster.model.control import GateCommand, decide
from taskmaster.model.gate import Gate, Open, Ramping, evolve, is_calm
from taskmaster.model.learning import Window, learn
from taskmaster.model.maintenance import maintain
from taskmaster.model.outcomes import Bucket
from taskmaster.model.quota import is_used, learn_rate
from taskmaster.model.recovery import Seen, react
from taskmaster.model.rejected import Rejected
from taskmaster.model.restore import Traffic, restore
from taskmaster.model.steering import NoteRecovery


def folded_gate(snapshot: GateSnapshot, name: GateName) -> Gate:
    """The gate as the log has it."""
    events: list[tuple[int, GateEvent]] = []
    for record in snapshot.events:
        assert isinstance(record.event, GateEvent)
        events.append((record.position, record.event))
    return restore(name, tuple(events), _traffic(snapshot.traffic))


def _traffic(traffic: GateTraffic) -> Traffic:
    return Traffic(
        in_flight=len(traffic.open),
        tats=traffic.last_tats,
        tats_position=traffic.last_start_position,
        failures_in_row=traffic.failures_in_row,
        buckets=tuple(Bucket(b.second, b.ended, b.failed, b.took_ns) for b in traffic.buckets),
        throttled_until=traffic.throttled_until,
    )


class GateStream:
    """Belongs to one gate actor, the one writer of the stream."""

    def __init__(
        self,
        ports: Ports,
        appended: Callable[[bool], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        wake: Callable[[], None],
    ) -> None:
        """`appended` tells the gate's actor, in log order, whether its events are durable;
        `wake` has it look again."""
        self._ports = ports
        self._appended = appended
        self._spawn = spawn
        self._wake = wake
        self._is_noting = False
        self._window = Window()
        self._commands: deque[tuple[GateCommand, AnswerTo]] = deque()
        self._pending: tuple[tuple[GateEvent, ...], AnswerTo | None] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way to the log."""
        return self._pending is None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way and nobody waits."""
        return self._pending is None and not self._commands

    def ask(self, command: GateCommand, answer: AnswerTo) -> None:
        """Decide a command in its turn."""
        self._commands.append((command, answer))

    def saw(self, gate: Gate, event: AttemptSucceeded | AttemptFailed) -> None:
        """Learn from an attempt of an adaptive gate, which `gate` still has open."""
        if isinstance(gate.mode, Open | Ramping):
            self._window.add(event, gate.in_flight, self._ports.clock.mono())
        else:
            self._window.clear()  # what is left of the time before the trip

    def go_on(
        self, gate: Gate, wall: Wall, *, backlog: bool, error: str, family: int | None
    ) -> None:
        """Append what follows by rule, else what the next command decides. `family` is how many
        attempts are open at it and below, None where it has no children."""
        if self._pending is not None:
            return
        learns = gate.settings.adaptive is not None and self._window.opened_at is not None
        if not learns and not self._commands and is_calm(gate):
            return
        mono = self._ports.clock.mono()
        u = self._ports.rng.uniform()
        events = maintain(gate, mono, wall) or react(
            gate, mono, wall, Seen(backlog, error, u, family)
        )
        if learns and not events:
            events = self._learn(gate, mono, wall, u)
        if events:
            self.append(gate, events)
            return
        while self._commands and self._pending is None:
            command, answer = self._commands.popleft()
            decided = decide(gate, command, mono, wall, backlog=backlog, family=family)
            if isinstance(decided, Rejected):
                answer(decided)
            elif not decided:
                answer(GateDone(gate))
            else:
                self.append(gate, decided, answer)

    def _learn(self, gate: Gate, mono: Mono, wall: Wall, u: float) -> tuple[GateEvent, ...]:
        adaptive, window = gate.settings.adaptive, self._window
        if adaptive is None or not window.is_complete(gate.learned.limit, mono):
            return ()
        concurrency = gate.settings.limits.concurrency
        step = learn(adaptive, concurrency, gate.learned, window, now=mono, wall=wall, u=u)
        rate = learn_rate(gate.settings.limits, gate.quota, window, now=mono, wall=wall)
        window.go_on(mono, used=rate is None and is_used(gate.quota, window, mono))
        if rate is not None:
            window.used_ns = 0
        return tuple(event for event in (step, rate) if event is not None)

    def append(
        self, gate: Gate, events: tuple[GateEvent, ...], answer: AnswerTo | None = None
    ) -> None:
        """Append events decided on `gate`."""
        self._pending = (events, answer)
        write = Write(gate_stream(gate.name), gate.version, events)

        def replied(result: AppendResult | Refused) -> None:
            self._appended(isinstance(result, Committed))

        self._ports.journal.append(Entry(Append((write,)), "control", replied))

    def after_append(self, gate: Gate) -> Gate:
        """The gate after its events became durable; whoever asked for them is answered."""
        assert self._pending is not None
        events, answer = self._pending
        self._pending = None
        for event in events:
            gate = evolve(gate, event, gate.name)
        if answer is not None:
            answer(GateDone(gate))
        self.note_outage(gate)
        return gate

    def note_outage(self, gate: Gate) -> None:
        """Have an outage recorded that is not yet, once it is known how deep it began."""
        if gate.outage is None or gate.has_recovery or self._is_noting:
            return
        self._is_noting = True
        self._spawn(self._note_outage(gate.name))

    async def _note_outage(self, name: GateName) -> None:
        due = await self._ports.reader.due([name], self._ports.clock.wall())
        self._is_noting = False
        self.ask(NoteRecovery(due[name].eligible if name in due else 0), lambda _answer: None)
        self._wake()
