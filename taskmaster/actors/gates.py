"""The gates of a shard: units for those with work, a wake-up for those without.

Rules of residence: starts, finds and stops units; decides nothing about a gate. A gate with
nothing to do costs an entry in the timer, no actor. All messages to gates pass here, so that a
gate is put to rest only when none is on its way.
"""

from collections.abc import Callable

from msgspec import Struct

from taskmaster.actors.backlog import Waiting
from taskmaster.actors.gate import GateActor
from taskmaster.actors.line import GateLine, Ports, Woken
from taskmaster.actors.loop import Down, LoopActor, tell, tell_to_stop, watch
from taskmaster.actors.messages import RestAsked, RestRefused, TasksCame
from taskmaster.actors.silence import JUMP_NS, Silence
from taskmaster.actors.supervisor import ChildSpec, Crashed, Incident, Supervisor
from taskmaster.actors.task import TasksActor
from taskmaster.actors.timer import Timer
from taskmaster.events.types import MINUTE, SECOND, GateName, Mono, Position, Wall

NEAR_NS = 2 * SECOND
"""A task due later than this does not wake a gate that rests; the timer does when it is due."""
UNIT_INTENSITY = 5
UNIT_PERIOD_NS = MINUTE
COOL_OFF_NS = 5 * MINUTE
"""A unit that gave up is left alone this long, doubling."""


class ToGate(Struct, frozen=True):
    """Mail for a gate, which is woken for it."""

    gate: GateName
    message: object


class GateWoken(Struct, frozen=True):
    """The timer's word for a gate."""

    gate: GateName


class _UnitDown(Struct, frozen=True):
    gate: GateName
    down: Down


class Unit:
    """A gate's own subtree, and how many messages went there."""

    __slots__ = ("line", "routed", "supervisor")

    def __init__(self, line: GateLine, supervisor: Supervisor) -> None:
        self.line = line
        self.supervisor = supervisor
        self.routed = 0


class GatesActor(LoopActor):
    """Keeps a unit for each gate with work, and the wake-ups of the rest."""

    def __init__(self, ports: Ports, listener: Callable[[Incident], None]) -> None:
        """`listener` hears of crashes, restarts and giving up."""
        super().__init__()
        self._ports = ports
        self._listener = listener
        self._units: dict[GateName, Unit] = {}
        self._silent: dict[GateName, Silence] = {}
        self._due: dict[GateName, Wall] = {}
        self._given_up: dict[GateName, tuple[Mono, int]] = {}
        self.timer = Timer(ports.clock, self._woken, self._clock_was_set)

    def on_stop(self) -> None:
        """Stop the timer and every unit."""
        self.timer.stop()
        for unit in self._units.values():
            tell_to_stop(unit.supervisor.actor_ref)

    def on_receive(self, message: object) -> None:
        """Route mail, wake and rest gates."""
        match message:
            case ToGate(gate=gate, message=mail):
                self._route(gate, mail)
            case GateWoken(gate=gate):
                self._due.pop(gate, None)
                unit = self._units.get(gate)
                if unit is not None:
                    unit.line.wake()
                else:
                    self._wake(gate)
            case RestAsked():
                self._rest(message)
            case _UnitDown(gate=gate, down=down):
                self._unit_down(gate, down)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    # --- what the node tells it ---------------------------------------------------------------

    def begin(self, dues: dict[GateName, Wall], open_at: set[GateName], silent_ns: int) -> None:
        """At the node's start: when each gate has work, and which have attempts open that nobody
        sends any more; `silent_ns` is how long the node was down."""
        now = self._ports.clock.wall()
        missed = {gate for gate, due_at in dues.items() if due_at <= now} | open_at
        for gate in missed:
            self._silent[gate] = Silence(self._ports.clock, max(1, silent_ns))
        for gate, due_at in dues.items():
            self._due[gate] = due_at
            self.timer.wake_when_due(gate, due_at)
        for gate in open_at:
            tell(self.actor_ref, ToGate(gate, Woken()))

    def wake_all(self) -> None:
        """Every gate with work looks again: the store is back, or the clock was set."""
        for unit in self._units.values():
            unit.line.wake()

    def came(self, gate: GateName, items: tuple[tuple[Waiting, Position], ...]) -> None:
        """Tasks began to wait at a gate. On the loop's thread."""
        if gate not in self._units and self._is_far(gate, items):
            return
        tell(self.actor_ref, ToGate(gate, TasksCame(items)))

    def _is_far(self, gate: GateName, items: tuple[tuple[Waiting, Position], ...]) -> bool:
        due_at = min(item.task.due_at for item, _ in items)
        if due_at <= self._ports.clock.wall() + NEAR_NS:
            return False
        known = self._due.get(gate)
        if known is None or due_at < known:
            self._due[gate] = due_at
            self.timer.wake_when_due(gate, due_at)
        return True

    # --- units --------------------------------------------------------------------------------

    def _clock_was_set(self, ahead_ns: int, due: list[GateName]) -> None:
        """Gates with work look again; those at rest whose work it made due are about to."""
        if ahead_ns > JUMP_NS:
            for gate in due:
                self._silent[gate] = Silence(self._ports.clock, ahead_ns, "clock_jump")
        self.wake_all()

    def _woken(self, gate: GateName) -> None:
        tell(self.actor_ref, GateWoken(gate))

    def _route(self, gate: GateName, mail: object) -> None:
        unit = self._units.get(gate) or self._wake(gate)
        if unit is None:
            return
        unit.routed += not isinstance(mail, Woken)
        unit.line.tell(mail)

    def _wake(self, gate: GateName) -> Unit | None:
        """Start a gate's unit; it stays down while it is left alone after giving up."""
        until = self._given_up.get(gate)
        if until is not None and self._ports.clock.mono() < until[0]:
            self.timer.wake_at(gate, until[0])
            return None
        self._due.pop(gate, None)
        self.timer.forget(gate)
        line = GateLine(gate, lambda down: self._task_crashed(gate, down))
        silence = self._silent.pop(gate, None) or Silence(self._ports.clock)

        supervisor = Supervisor(
            f"gates/{gate}",
            (
                ChildSpec("tasks", lambda: TasksActor.start(line, self._ports)),
                ChildSpec(
                    "gate",
                    lambda: GateActor.start(
                        line, self._ports, self.timer, self._rest_asked, silence
                    ),
                ),
            ),
            mono_ns=self._ports.clock.mono,
            listener=self._listener,
            strategy="rest_for_one",
            intensity=UNIT_INTENSITY,
            period_ns=UNIT_PERIOD_NS,
        )
        unit = self._units[gate] = Unit(line, supervisor)
        ref = supervisor.launch()
        own = self.actor_ref

        def told(down: Down) -> None:
            tell(own, _UnitDown(gate, down))

        watch(ref, told)
        return unit

    def _task_crashed(self, gate: GateName, down: Down) -> None:
        assert down.error is not None
        self._listener(Crashed(f"gates/{gate}/tasks/{down.name}", 1, down.message, down.error))

    def _rest_asked(self, asked: RestAsked) -> None:
        tell(self.actor_ref, asked)

    def _rest(self, asked: RestAsked) -> None:
        """Put a gate to rest, unless mail has gone there since it asked."""
        unit = self._units.get(asked.gate)
        if unit is None:
            return
        if unit.routed != asked.heard:
            unit.line.tell(RestRefused(unit.routed))
            return
        del self._units[asked.gate]
        self.timer.forget(asked.gate)
        tell_to_stop(unit.supervisor.actor_ref)
        if asked.next_due_at is not None:
            self._due[asked.gate] = asked.next_due_at
            self.timer.wake_when_due(asked.gate, asked.next_due_at)
        elif asked.next_at is not None:
            self.timer.wake_at(asked.gate, asked.next_at)

    def _unit_down(self, gate: GateName, down: Down) -> None:
        """A unit gave up: the gate is left alone for a while, and no other gate notices."""
        unit = self._units.get(gate)
        if unit is None or unit.supervisor.actor_ref is not down.actor:
            return
        del self._units[gate]
        if self._ports.is_stopping:
            return
        _, before_ns = self._given_up.get(gate, (Mono(0), COOL_OFF_NS // 2))
        cool_off_ns = before_ns * 2
        until = Mono(self._ports.clock.mono() + cool_off_ns)
        self._given_up[gate] = (until, cool_off_ns)
        self.timer.wake_at(gate, until)

    # --- questions ----------------------------------------------------------------------------

    def release(self, gate: GateName) -> None:
        """End the time in which a gate that gave up is left alone."""
        if self._given_up.pop(gate, None) is not None:
            tell(self.actor_ref, GateWoken(gate))

    def live(self, gate: GateName) -> GateActor | None:
        """The actor of a gate with work, for questions on the loop's thread."""
        unit = self._units.get(gate)
        if unit is None or unit.line.ref is None:
            return None
        actor = unit.line.actor
        return actor if isinstance(actor, GateActor) and actor.gate is not None else None

    def quarantined_until(self, gate: GateName) -> Mono | None:
        """Until when a gate that gave up is left alone, or None."""
        until = self._given_up.get(gate)
        return until[0] if until is not None and self._ports.clock.mono() < until[0] else None

    @property
    def units(self) -> dict[GateName, Unit]:
        """The units of gates with work."""
        return self._units
