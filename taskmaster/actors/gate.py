"""Serves one gate: asks the model, starts tasks, sets the timer, answers commands.

Rules of residence: decides nothing itself. Its state is a fold, restored from the log before
anything starts; while it lives it applies the same facts in log order. It is the writer of its own
stream, and of its tasks' streams while they are not in flight (`idle_tasks.py`).
"""

from collections.abc import Callable
from functools import partial
from types import TracebackType

from taskmaster.actors.adopting import adopt, hold_again
from taskmaster.actors.backlog import Backlog
from taskmaster.actors.ending import Successor
from taskmaster.actors.gate_stream import GateStream, folded_gate
from taskmaster.actors.idle_tasks import IdleTasks
from taskmaster.actors.kin import Kin
from taskmaster.actors.lanes import Waiting
from taskmaster.actors.line import Called, GateLine, Ports, Woken
from taskmaster.actors.messages import (
    AttemptEnded,
    CommandGiven,
    GateCommandGiven,
    OwnAppended,
    PageRead,
    RestAsked,
    RestRefused,
    SeriesCommandGiven,
    SeriesDecided,
    SnapshotRead,
    StartLost,
    TaskCrashed,
    TaskDecided,
    TasksCame,
)
from taskmaster.actors.next_start import next_waiting
from taskmaster.actors.pacer import Pacer
from taskmaster.actors.page import Pages, take_page
from taskmaster.actors.silence import Silence
from taskmaster.actors.timer import Timer, Wakes, earliest
from taskmaster.events.log import GateSnapshot
from taskmaster.events.types import (
    AttemptFailed,
    AttemptVoided,
    Mono,
    Position,
    TaskId,
    Wall,
)
from taskmaster.model.family import start_of
from taskmaster.model.gate import (
    Gate,
    Wait,
    allowed,
    evolve_attempt,
    paces,
)
from taskmaster.model.limits import tats_after_crash
from taskmaster.model.recovery import next_reaction_at
from taskmaster.model.sharing import order_of
from taskmaster.model.task import Task, fold
from taskmaster.model.windows import next_change_at, sooner
from taskmaster.supervision import LoopActor, tell

STARTS_A_TURN = 64
"""A gate lets others have the loop after this many starts."""


class GateActor(LoopActor):
    """One gate with work. Every start passes `admit`; every change of state is an event first."""

    def __init__(
        self,
        line: GateLine,
        ports: Ports,
        timer: Timer,
        rest: Callable[[RestAsked], None],
        silence: Silence,
    ) -> None:
        """`rest` is asked when nothing is left to do."""
        super().__init__(f"gates/{line.gate}/gate")
        self._line = line
        self._kin = Kin(ports.families, line)
        self._name = line.gate
        self._ports = ports
        self._timer = timer
        self._rest = rest
        self._silence = silence
        self._knows_backlog = False
        self._stash: list[object] = []
        self._gate: Gate | None = None
        self._position = Position(0)
        self._stream = GateStream(ports, self._own_appended, self.spawn, line.wake)
        self._waits: Wait | None = None
        self._heard = 0
        self._last_error = ""
        self._wakes = Wakes(timer, line.gate)
        self._again = False

    # --- coming to life -----------------------------------------------------------------------

    def on_start(self) -> None:
        """Restore from the log before anything starts; what is told meanwhile waits."""
        self._line.pacer = None
        self._line.actor = self
        is_first, self._line.ref = self._line.ref is None, self.actor_ref
        self.spawn(self._read_snapshot(is_first=is_first))

    def on_stop(self) -> None:
        """Send nothing more."""
        if self._line.pacer is not None:
            self._line.pacer.stop()
        self._ports.slots.leave(self._name)
        self._kin.part()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """A bug: the next incarnation reads the log; committed starts wait for it."""
        self._timer.forget(self._name)
        self._ports.slots.leave(self._name)
        self._kin.part()
        self._line.keep_held()

    async def _read_snapshot(self, *, is_first: bool) -> None:
        if not is_first:  # what the life before it had appended must be in the snapshot
            await self._ports.journal.settled()
        await self._line.rest()
        await self._ports.families.known(self._name)
        snapshot = await self._ports.reader.gate_snapshot(self._name)
        tell(self.actor_ref, SnapshotRead(snapshot))

    def on_receive(self, message: object) -> None:
        """One fact, command or wake-up; then start whatever may start."""
        if isinstance(message, SnapshotRead):
            self._restore(message.snapshot)
            stash, self._stash = self._stash, []
            for stashed in stash:
                self._receive(stashed)
        elif self._gate is None:
            self._stash.append(message)
        else:
            self._receive(message)

    def after_mail(self) -> None:
        """Once for all the news of a turn."""
        if self._gate is not None:
            self._start_eligible()

    def _receive(self, message: object) -> None:
        match message:
            case AttemptEnded():
                self._attempt_ended(message)
            case TasksCame(items=items):
                self._heard += 1
                now = self._ports.clock.wall()
                for item, position in items:
                    self._offer(item, position, now)
            case PageRead():
                self._page_read(message)
            case RestRefused(routed=routed):
                self._heard = routed
                self._wakes.refused()
            case Woken():
                self._again = False
            case Called():
                self._heard += 1
            case OwnAppended(committed=committed):
                self._take_own(committed=committed)
            case TaskDecided():
                self._task_decided(message)
            case CommandGiven():
                self._heard += 1
                self._command(message)
            case SeriesCommandGiven():
                self._heard += 1
                self._idle.series_command(message)
            case SeriesDecided(open_task=open_task):
                if open_task is not None:
                    self._backlog.remove(open_task)
                self._backlog.lose()
            case GateCommandGiven(command=command, answer=answer):
                self._heard += 1
                self._stream.ask(command, answer)
            case StartLost(task=task_id):
                self._start_lost(task_id)
            case TaskCrashed():
                self._task_crashed(message)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    def _restore(self, snapshot: GateSnapshot) -> None:
        """The fold, and a pacer that begins where sending may have stood; adopt what is in
        flight."""
        assert self._line.tasks is not None
        now = self._ports.clock.mono()
        gate = folded_gate(snapshot, self._name)
        self._position = snapshot.position
        sent = tats_after_crash(paces(gate), gate.tats, now)
        self._kin.join(gate)
        pacer = Pacer(self._ports.clock, allowed(gate), sent, self._kin.paces)
        self._backlog = Backlog(order_of(gate))
        own = partial(tell, self.actor_ref)
        self._pages = Pages(self._ports.reader, self._name, partial(tell, self.actor_ref))
        self._idle = IdleTasks(self._line, self._ports, self.spawn, own, self._stopped_ns)
        running = self._line.tasks.running
        adopted = adopt(gate, snapshot, running, pacer)
        self._gate = adopted.gate
        self._kin.restored(adopted.gate)
        self._stream.note_outage(adopted.gate)
        self._line.concurrency = gate.settings.limits.concurrency
        self._line.pacer = pacer
        hold_again(running, pacer)
        for crashed in adopted.crashed:
            self._idle.crashed(crashed)
        for attempt in adopted.interrupted:
            self._idle.interrupted(attempt)

    # --- starting -----------------------------------------------------------------------------

    def _start_eligible(self) -> None:
        """Start what may start; otherwise see to it that something wakes the gate."""
        wall, mono = self._ports.clock.wall(), self._ports.clock.mono()
        self._waits = None
        self._kin.look(self._live_gate())
        if self._silence.notice(wall, mono):
            self._knows_backlog = False
            self._backlog.lose()
        if self._end_silence(wall):
            backlog = self._backlog.peek(wall) is not None or self._kin.has_waiting
            gate, family, error = self._live_gate(), self._kin.family, self._last_error
            self._stream.go_on(gate, wall, backlog=backlog, error=error, family=family)
            if self._stream.is_settled and self._ports.may_start:
                self._start_some(wall, mono)
        is_open = self._silence.is_over and self._stream.is_settled
        self._kin.looked(self._live_gate(), is_open=is_open)
        self._ports.slots.pass_on()
        self._read_page(wall)
        self._rearm(wall)

    def _start_some(self, wall: Wall, mono: Mono) -> None:
        pacer = self._line.pacer
        assert pacer is not None
        for _ in range(STARTS_A_TURN):
            is_free = self._ports.slots.has_room and self._kin.family is None and not pacer.paces
            item = next_waiting(self._live_gate(), self._backlog, wall, is_free=is_free)
            if item is None or not self._start(item, mono, wall):
                return
        if not self._again:
            self._again = True
            tell(self.actor_ref, Woken())

    def _end_silence(self, wall: Wall) -> bool:
        """Whether the gate may go on; after a stop only once its ramp is on its way."""
        if self._silence.is_over:
            return True
        if not self._knows_backlog or not self._stream.is_settled:
            return False
        item = self._backlog.peek_oldest(wall)
        events = self._silence.end(
            self._live_gate(),
            backlog=item is not None or self._idle.has_work or self._kin.has_waiting,
            late_ns=wall - item.task.due_at if item is not None else 0,
        )
        if events:
            self._stream.append(self._live_gate(), events)
        return True

    def _start(self, item: Waiting, mono: Mono, wall: Wall) -> bool:
        """Start one task, or see to its end or catch-up; False when the gate must wait."""
        gate, line = self._live_gate(), self._line
        task = item.task
        assert line.pacer is not None
        assert line.tasks is not None
        if task.id in line.tasks.running or self._idle.is_busy(task.id):
            self._backlog.skip(item)
            return True
        if self._idle.ends_or_catches_up(item, wall):
            self._backlog.remove(task.id)
            return True
        ahead_ns = max(0, task.due_at - wall)
        answer = self._kin.ask(gate, Mono(mono + ahead_ns), line.pacer.projected_tats())
        if isinstance(answer, Wait):
            self._waits = None if ahead_ns else answer
            return False
        if not self._ports.slots.take(self._name, self._line.wake):
            self._waits = Wait("slot")
            return False
        self._backlog.pop(item)
        stopped_ns = self._kin.stopped_ns(gate, mono)
        started = start_of(gate, task.starts + 1, answer, stopped_ns=stopped_ns, wall=wall)
        self._gate = evolve_attempt(gate, started)
        self._kin.started(started, self._gate.in_flight)
        line.pacer.granted()
        line.tasks.start_task(task, item.number, started)
        return True

    def _read_page(self, wall: Wall) -> None:
        backlog = self._backlog
        unknown = not (self._silence.is_over or self._knows_backlog)
        if not (unknown or self._ports.may_start) or not backlog.needs_page(wall):
            return
        assert self._line.tasks is not None
        running = self._line.tasks.running.keys()
        self.spawn(self._pages.read(backlog, wall, running, self._idle.busy))

    def _page_read(self, message: PageRead) -> None:
        take_page(self._backlog, message.page, message.now, message.ahead_ns)
        self._idle.expire(message.page.expired)
        self._knows_backlog = True

    def _rearm(self, wall: Wall) -> None:
        """One wake-up: the earliest of what may change by time alone."""
        if not self._stream.is_settled or not self._ports.may_start:
            return  # a commit, or the store's return, comes back here
        gate, backlog = self._live_gate(), self._backlog
        mono, change_at = self._ports.clock.mono(), next_change_at(gate.paused_until, gate.windows)
        at = earliest(
            (backlog.next_look_at(wall), change_at),
            (self._kin.look_at, next_reaction_at(gate)),
            wall=wall,
            mono=mono,
        )
        assert self._line.tasks is not None
        has_work = (
            bool(self._line.tasks.running)
            or bool(len(backlog))
            or not backlog.complete
            or not self._stream.is_idle
            or self._idle.has_work
        )
        if self._wakes.arm(at, mono, has_work=has_work):
            due_at = sooner(backlog.next_due_at, change_at)
            self._rest(RestAsked(self._name, due_at, at, self._heard))

    # --- facts of its tasks -------------------------------------------------------------------

    def _attempt_ended(self, ended: AttemptEnded) -> None:
        assert self._line.tasks is not None
        self._line.tasks.forget(ended.task.id, ended.event.attempt)
        if isinstance(ended.event, AttemptFailed) and ended.event.fault == "endpoint":
            self._last_error = ended.event.error or ended.event.outcome
        if ended.position > self._position:
            gate = self._live_gate()
            if gate.settings.adaptive is not None and not isinstance(ended.event, AttemptVoided):
                self._stream.saw(gate, ended.event)
            self._gate = evolve_attempt(gate, ended.event)
        self._after(ended.task, ended.number, ended.position, ended.successor)

    def _task_decided(self, decided: TaskDecided) -> None:
        """A decision about a task that was not in flight, or whose actor had crashed."""
        self._idle.heard(decided.task.id)
        if not decided.events:
            self._backlog.lose()  # it waits as before; the index has it
            return
        gate = self._live_gate()
        for event in decided.events:
            # a start is counted since its grant
            if (
                isinstance(event, AttemptFailed | AttemptVoided)
                and decided.position > self._position
            ):
                gate = evolve_attempt(gate, event)
        self._gate = gate
        self._after(decided.task, decided.number, decided.position, decided.successor)

    def _after(
        self, task: Task, number: Position, position: Position, successor: Successor | None
    ) -> None:
        """See to what waits now: the task itself, its successor, the next of its order key."""
        wall = self._ports.clock.wall()
        self._backlog.remove(task.id)  # what is known of it is older
        if task.state == "waiting" and task.gate == self._name:
            self._offer(Waiting(task, number), position, wall)
        elif task.submitted.order_key:
            self._backlog.lose()
        if successor is not None and not successor.held:
            following = fold(successor.task_id, (successor.submitted,))
            self._offer(Waiting(following, position), position, wall)

    def _offer(self, item: Waiting, position: Position, wall: Wall) -> None:
        if item.task.submitted.order_key:
            self._backlog.lose()  # the index knows whether it is the head of its key
        else:
            self._backlog.offer(item, position, wall)

    def _start_lost(self, task_id: TaskId) -> None:
        """Give the slot back. Its token counts as spent until the next start says otherwise."""
        if self._line.lost(task_id):  # else of a life before
            gate = self._live_gate()
            lost = AttemptVoided(at=self._ports.clock.wall(), gate=gate.name, attempt=0)
            self._gate = evolve_attempt(gate, lost)
        self._backlog.remove(task_id)
        self._backlog.lose()

    def _task_crashed(self, crashed: TaskCrashed) -> None:
        """Its end is recorded by the gate, with the start if that was not durable."""
        if self._line.dropped(crashed.task, crashed.started.attempt):
            self._idle.crashed(crashed)  # else of a life before, which was taken over

    # --- commands -----------------------------------------------------------------------------

    def _command(self, given: CommandGiven) -> None:
        if self._line.tell_task(given.task, given):
            return
        self._backlog.remove(given.task)
        self._idle.command(given)

    def _own_appended(self, committed: bool) -> None:
        """Told by the journal, in log order with the ends of attempts."""
        tell(self.actor_ref, OwnAppended(committed))

    def _take_own(self, *, committed: bool) -> None:
        assert committed, "another writer of the gate's stream"
        self._gate = gate = self._stream.after_append(self._live_gate())
        self._line.concurrency = gate.settings.limits.concurrency
        self._backlog.set_order(order_of(gate))
        assert self._line.pacer is not None
        self._line.pacer.change(allowed(gate))
        self._ports.families.link(self._name, gate.settings.parent)

    # --- questions, answered on the loop ------------------------------------------------------

    def _live_gate(self) -> Gate:
        assert self._gate is not None
        self._gate = self._kin.synced(self._gate)
        return self._gate

    def _stopped_ns(self) -> int:
        return self._kin.stopped_ns(self._live_gate(), self._ports.clock.mono())

    @property
    def gate(self) -> Gate | None:
        """The state now; None until it is restored. Frozen, so it may be kept."""
        return self._gate and self._live_gate()

    @property
    def is_settled(self) -> bool:
        """Whether none of the gate's own events is on its way."""
        return self._stream.is_settled

    @property
    def waits(self) -> Wait | None:
        """Why the next eligible task does not start, or None: nothing is held back."""
        return self._waits
