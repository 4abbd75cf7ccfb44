"""The gates of a shard: units for those with work, a wake-up for those without.

Rules of residence: starts, finds and stops units; decides nothing about a gate. A gate with
nothing to do costs an entry in the timer, no actor. All messages to gates pass here, so that a
gate is put to rest only when none is on its way.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from pykka import ActorRef

from taskmaster.actors.gate import GateActor
from taskmaster.actors.lanes import Waiting
from taskmaster.actors.line import Called, GateLine, Ports, Woken
from taskmaster.actors.messages import GateCommandGiven, RestAsked, RestRefused, TasksCame
from taskmaster.actors.quarantine import Quarantine
from taskmaster.actors.silence import JUMP_NS, Silence
from taskmaster.actors.supervisor import Crashed, Incident, Supervisor
from taskmaster.actors.task import TasksActor
from taskmaster.actors.timer import Timer
from taskmaster.events.types import (
    BY_RULE,
    MINUTE,
    SECOND,
    Cause,
    GateName,
    Position,
    TaskId,
    Wall,
)
from taskmaster.model.control import ReleaseGate
from taskmaster.supervision import (
    SHUTDOWN,
    ChildSpec,
    Down,
    Hook,
    LoopActor,
    ended,
    tell,
    tell_to_stop,
    watch,
)
from taskmaster.supervision.watchdog import Hung

NEAR_NS = 2 * SECOND
"""A task due later than this does not wake a gate that rests; the timer does when it is due."""
UNIT_INTENSITY = 5
UNIT_PERIOD_NS = MINUTE


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

    __slots__ = ("last_error", "line", "routed", "supervisor")

    def __init__(self, line: GateLine, supervisor: Supervisor) -> None:
        self.line = line
        self.supervisor = supervisor
        self.routed = 0
        self.last_error = ""


class GatesActor(LoopActor):
    """Keeps a unit for each gate with work, and the wake-ups of the rest."""

    def __init__(self, ports: Ports, listener: Callable[[Incident], None]) -> None:
        """`listener` hears of crashes, restarts and giving up."""
        super().__init__("node/gates")
        self._ports = ports
        self._listener = listener
        self._units: dict[GateName, Unit] = {}
        self._silent: dict[GateName, Silence] = {}
        self._due: dict[GateName, Wall] = {}
        self.quarantine = Quarantine(ports)
        ports.families.wake = self._look
        self.timer = Timer(ports.clock, self._woken, self._clock_was_set)

    def on_stop(self) -> Hook:
        """Stop the timer and every unit, all at once, and wait for them."""
        self.timer.stop()
        units = [unit.supervisor.actor_ref for unit in self._units.values()]
        for unit in units:
            tell_to_stop(unit, SHUTDOWN)
        return ended(units)

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
                elif not self._is_held(gate):
                    self._wake(gate)
            case RestAsked():
                self._rest(message)
            case _UnitDown(gate=gate, down=down):
                self._unit_down(gate, down)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    # --- what the node tells it ---------------------------------------------------------------

    def begin(
        self,
        dues: dict[GateName, Wall],
        open_at: set[GateName],
        silent_ns: int,
        changes: dict[GateName, Wall | None],
    ) -> None:
        """At the node's start, once `quarantine` knows: when each gate has work, and which have
        attempts open that nobody sends any more; `silent_ns` is how long the node was down,
        `changes` when a pause ends next, or a planned downtime begins or ends."""
        now = self._ports.clock.wall()
        dues = {**dues, **self.quarantine.ends}
        missed = {gate for gate, due_at in dues.items() if due_at <= now} | open_at
        for gate in missed:
            for family in self._ports.families.above(gate):
                name, clock = family.name, self._ports.clock
                self._silent[name] = Silence(clock, max(1, silent_ns), below=True)
        for gate in missed:
            self._silent[gate] = Silence(self._ports.clock, max(1, silent_ns))
        for gate, at in changes.items():
            if at is not None:
                dues[gate] = min(at, dues.get(gate, at))
        for gate, due_at in dues.items():
            self._due[gate] = due_at
            self.timer.wake_when_due(gate, due_at)
        for gate in open_at - self.quarantine.held:
            tell(self.actor_ref, ToGate(gate, Woken()))

    def _look(self, gate: GateName) -> None:
        """Have a gate's actor look, or come to life."""
        tell(self.actor_ref, ToGate(gate, Called()))

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
            clock, families = self._ports.clock, self._ports.families
            for gate in (*due, *self._units):
                for family in families.above(gate):
                    if family.name not in self._units:
                        family.shut()
                        silence = Silence(clock, ahead_ns, "clock_jump", below=True)
                        self._silent[family.name] = silence
            for gate in due:
                self._silent[gate] = Silence(clock, ahead_ns, "clock_jump")
        self.wake_all()

    def _woken(self, gate: GateName) -> None:
        tell(self.actor_ref, GateWoken(gate))

    def _route(self, gate: GateName, mail: object) -> None:
        if self.quarantine.get(gate) is not None:
            self._refuse(gate, mail)
            return
        unit = self._units.get(gate) or self._wake(gate)
        unit.routed += not isinstance(mail, Woken)
        unit.line.tell(mail)

    def _wake(self, gate: GateName) -> Unit:
        """Start a gate's unit."""
        self._due.pop(gate, None)
        self.timer.forget(gate)
        line = GateLine(gate, lambda down: self._task_crashed(gate, down), self.came)

        def heard(incident: Incident) -> None:
            if isinstance(incident, Crashed):
                line.was_hung = isinstance(incident.error, Hung)
                unit.last_error = f"{type(incident.error).__name__}: {incident.error}"[:1_000]
            self._listener(incident)

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
            listener=heard,
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
        tell_to_stop(unit.supervisor.actor_ref, SHUTDOWN)
        if asked.next_due_at is not None:
            self._due[asked.gate] = asked.next_due_at
            self.timer.wake_when_due(asked.gate, asked.next_due_at)
        elif asked.next_at is not None:
            self.timer.wake_at(asked.gate, asked.next_at)

    def _unit_down(self, gate: GateName, down: Down) -> None:
        """A unit gave up: its gate is quarantined, and no other gate notices."""
        unit = self._units.get(gate)
        if unit is None or unit.supervisor.actor_ref is not down.ref:
            return
        del self._units[gate]
        if down.error is not None:  # it could not be started
            self._listener(Crashed(f"gates/{gate}", down.incarnation, down.message, down.error))
        if self._ports.is_stopping:
            return
        self._hold(gate, unit.last_error)

    def _hold(self, gate: GateName, error: str, cause: Cause = BY_RULE) -> None:
        """Leave a gate alone; those below it wait, and for those above nothing is open there."""
        until = self.quarantine.hold(gate, error)
        self.timer.wake_when_due(gate, until)
        family = self._ports.families.get(gate)
        if family is not None:
            family.hold()
        self.spawn(self._record(gate, cause))

    async def _record(self, gate: GateName, cause: Cause) -> None:
        await self.quarantine.record(gate, cause)
        self._ports.families.count(gate, 0)

    # --- quarantine ---------------------------------------------------------------------------

    def _is_held(self, gate: GateName) -> bool:
        """Whether a gate that is woken is in quarantine; it is released when that is over."""
        held = self.quarantine.get(gate)
        if held is None:
            return False
        if self._ports.clock.wall() < held.until:
            self.timer.wake_when_due(gate, held.until)
        else:
            self.spawn(self._release(gate, BY_RULE, Woken()))
        return True

    def _refuse(self, gate: GateName, mail: object) -> None:
        if isinstance(mail, GateCommandGiven) and isinstance(mail.command, ReleaseGate):
            self.spawn(self._release(gate, mail.command.cause, mail))
        else:
            self.quarantine.refuse(gate, mail)

    async def _release(self, gate: GateName, cause: Cause, mail: object) -> None:
        """End a quarantine; the gate begins on the ramp and answers `mail`."""
        lasted_ns = await self.quarantine.release(gate, cause)
        family = self._ports.families.get(gate)
        if family is not None:
            family.release()
        if lasted_ns:
            self._silent[gate] = Silence(self._ports.clock, lasted_ns, "quarantined")
        tell(self.actor_ref, ToGate(gate, mail))

    # --- commands -----------------------------------------------------------------------------

    def leave_alone(self, gate: GateName, cause: Cause) -> bool:
        """Quarantine a gate by command; False where it is already."""
        if self.quarantine.get(gate) is not None:
            return False
        unit = self._units.pop(gate, None)
        self.timer.forget(gate)
        if unit is not None:
            tell_to_stop(unit.supervisor.actor_ref, SHUTDOWN)
        self._hold(gate, f"by command: {cause.reason or cause.author}", cause)
        return True

    def actor_at(self, path: str) -> "ActorRef[Any] | None":
        """The actor at a path below a gate: its gate actor, its tasks, or one task."""
        parts = path.split("/")
        unit = self._units.get(GateName(parts[1])) if len(parts) > 2 else None
        if unit is None or parts[0] != "gates":
            return None
        match parts[2:]:
            case [child]:
                return unit.supervisor.child(child)
            case ["tasks", task] if unit.line.tasks is not None:
                flight = unit.line.tasks.running.get(TaskId(task))
                return flight.ref if flight is not None else None
            case _:
                return None

    # --- questions ----------------------------------------------------------------------------

    def live(self, gate: GateName) -> GateActor | None:
        """The actor of a gate with work, for questions on the loop's thread."""
        unit = self._units.get(gate)
        if unit is None or unit.line.ref is None:
            return None
        actor = unit.line.actor
        return actor if isinstance(actor, GateActor) and actor.gate is not None else None

    @property
    def units(self) -> dict[GateName, Unit]:
        """The units of gates with work."""
        return self._units
