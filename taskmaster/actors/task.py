"""One task in flight: start it durably, send it, record what came of it.

Rules of residence: the life of one attempt, as steps in the order in which they happen; decides
nothing (`model.task` does). While it lives it is the one writer of its task's stream.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

from pykka import ActorRef

from taskmaster.actors.ending import Ending, as_last, ending, is_final, read_series
from taskmaster.actors.journal import Entry, Lane, Refused, Reply
from taskmaster.actors.line import Flight, GateLine, Ports
from taskmaster.actors.messages import (
    AnswerTo,
    AttemptEnded,
    CommandDone,
    CommandGiven,
    StartLost,
    TaskCrashed,
)
from taskmaster.actors.pacer import Held
from taskmaster.delivery.headers import attempt_headers, attempt_traceparent, signature_headers
from taskmaster.delivery.sender import Outbound
from taskmaster.events.log import Append, AppendResult, Committed, VersionConflict, Write
from taskmaster.events.types import (
    MILLISECOND,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    Mono,
    Position,
    TaskCancelled,
    TaskId,
    task_stream,
)
from taskmaster.model.limits import GRANT_LIFETIME_NS
from taskmaster.model.retry import Answer
from taskmaster.model.series import Series
from taskmaster.model.task import Moment, Task, evolve, settle
from taskmaster.model.task_control import CancelTask, decide
from taskmaster.supervision import SHUTDOWN, Down, Hook, LoopActor, ended, tell_to_stop


class TaskActor(LoopActor):
    """Carries one attempt from its grant to its recorded end, then ends itself."""

    def __init__(self, task: Task, flight: Flight, line: GateLine, ports: Ports) -> None:
        """`flight` is shared with the gate: what was granted and how far it has come."""
        super().__init__(task.id)
        self._task = task
        self._flight = flight
        self._started = flight.started
        self._line = line
        self._ports = ports
        self._unsent = True
        self._appending = False
        self._result: AttemptSucceeded | AttemptFailed | AttemptVoided | None = None
        self._later: list[CommandGiven] = []

    def on_stop(self) -> None:
        """Commands that came too late for this attempt are the gate's."""
        waiting = [envelope.message for envelope in self.inbox.mail]
        for given in (*self._later, *waiting):
            if isinstance(given, CommandGiven):
                self._line.tell(given)
        self._later.clear()

    # --- the steps, in order ------------------------------------------------------------------

    def on_start(self) -> None:
        """Make the start durable before anything leaves."""
        task = self._task
        self._append(
            Append((Write(task_stream(task.id), task.version, (self._started,)),)),
            "start",
            self._start_replied,
        )

    def on_receive(self, message: object) -> None:
        """A command, between the steps."""
        assert isinstance(message, CommandGiven), f"unknown message {message!r}"
        self._command(message)

    def _start_appended(self, result: AppendResult) -> None:
        self._appending = False
        if not isinstance(result, Committed):
            assert isinstance(result, VersionConflict)
            self._flight.is_over = True
            self._line.tell(StartLost(self._task.id))
            self._stop()
            return
        self._task = evolve(self._task, self._started)
        self._flight.committed_at = result.position
        self._serve_later()
        if self._result is not None:
            return  # cancelled before it could leave
        pacer, sender = self._line.pacer, self._ports.sender
        if pacer is not None and pacer.spaces:
            outbound = self._outbound((), b"")
            if not sender.is_ready(outbound):
                self.spawn(self._prepare(outbound))
                return
        self._hold()

    async def _prepare(self, outbound: Outbound) -> None:
        """Starts that wait for a client together would leave together, whatever their slots."""
        await self._ports.sender.prepare(outbound)
        self._hold()

    def _hold(self) -> None:
        """Have the pacer let it go, unless it was cancelled meanwhile."""
        if self._unsent and self._result is None and not self._is_early():
            held = Held(self._task.id, self._started.slot_at, self._go, self._void)
            self._line.pace(self._flight, held)

    def _is_early(self) -> bool:
        """Whether it was granted ahead and its time is still to come; then it is held again."""
        pacer, clock, slot_at = self._line.pacer, self._ports.clock, self._started.slot_at
        if pacer is not None and pacer.spaces:
            return False  # which keep to its slot themselves
        now = clock.mono()
        early_ns = slot_at - now
        if self._task.due_at > self._started.at:  # that clock may have been set since
            early_ns = max(early_ns, self._task.due_at - clock.wall())
        if early_ns <= 0 or now > slot_at + GRANT_LIFETIME_NS:
            return False
        delay_ms = -(-min(early_ns, GRANT_LIFETIME_NS) // MILLISECOND)
        loop = asyncio.get_running_loop()
        loop.call_later(delay_ms / 1_000, self.now, self._slot_came, None)
        return True

    def _slot_came(self, _news: None) -> None:
        self._hold()

    def _go(self, decided_at: Mono) -> None:
        """Send now; a start that lay too long is given up instead (semantics 3.8)."""
        if self.life.is_over or not self._unsent or self._result is not None:
            if self._line.pacer is not None:
                self._line.pacer.stayed(self._task.id)
            return
        if decided_at > self._started.slot_at + GRANT_LIFETIME_NS:
            self._void()
            return
        self._unsent = False
        self.spawn(self._attempt())

    async def _attempt(self) -> None:
        self.now(self._settle, await self._send())

    def _send(self) -> Coroutine[Any, Any, Answer]:
        ports, task = self._ports, self._task
        request = task.submitted.request
        headers = attempt_headers(
            request.headers,
            task_id=task.id,
            gate=task.gate,
            attempt=task.sends,
            due_at=task.due_at,
            traceparent=attempt_traceparent(task.id, task.starts, task.submitted.traceparent),
        )
        signers = ports.signers(task.gate)
        if signers:
            now = ports.clock.wall()
            headers += signature_headers(signers, task_id=task.id, body=request.body, now=now)
        outbound = self._outbound(headers, request.body)
        if self._line.pacer is not None:
            self._line.pacer.departed(task.id)  # the last thing before the client
        return ports.sender.send(outbound)

    def _outbound(self, headers: tuple[tuple[str, str], ...], body: bytes) -> Outbound:
        task = self._task
        request = task.submitted.request
        return Outbound(
            gate=task.gate,
            url=request.url,
            method=request.method,
            headers=headers,
            body=body,
            timeout_ns=task.submitted.timeout_ns,
            concurrency=self._line.concurrency,
        )

    def _void(self) -> None:
        if self.life.is_over or not self._unsent or self._result is not None:
            return
        self._unsent = False
        if self._line.pacer is not None:
            self._line.pacer.stayed(self._task.id)
        self._result = AttemptVoided(
            at=self._ports.clock.wall(), gate=self._task.gate, attempt=self._task.starts
        )
        self._end()

    def _settle(self, answer: Answer) -> None:
        self._result = settle(self._task, answer, self._moment())
        self._end()

    def _moment(self) -> Moment:
        ports = self._ports
        return Moment(
            wall=ports.clock.wall(),
            mono=ports.clock.mono(),
            stopped_ns=self._started.stopped_ns,
            u=ports.rng.uniform(),
            u_gate=ports.rng.uniform(),
        )

    def _end(self) -> None:
        """Append the end; for an occurrence, once its series has been read."""
        if self._appending or self._result is None:
            return
        if self._task.occurrence is not None and is_final(self._result):
            self._appending = True
            self.spawn(self._read_series())
        else:
            self._append_end(None)

    async def _read_series(self) -> None:
        occurrence = self._task.occurrence
        assert occurrence is not None
        series = await read_series(self._ports.reader, occurrence.series)
        self.now(self._append_end, series)

    def _append_end(self, series: Series | None) -> None:
        assert self._result is not None
        clock = self._ports.clock
        ended = ending(self._task, (self._result,), series, self._ports.ids, clock.wall())
        self._append(ended.append, "outcome", partial(self._end_replied, ended))

    def _end_appended(self, ended: Ending, result: AppendResult) -> None:
        self._appending = False
        if isinstance(result, VersionConflict):
            # the series changed in between: only the successor is decided again
            assert result.stream != task_stream(self._task.id), "another writer of a task in flight"
            self._end()
            return
        self._task = ended.task
        self._stop()

    # --- commands while it is in flight -------------------------------------------------------

    def _command(self, given: CommandGiven) -> None:
        if self._appending:
            self._later.append(given)
            return
        before, now = self._task, self._ports.clock.wall()
        if isinstance(given.command, CancelTask) and self._unsent and self._result is None:
            self._take_back()
            voided = AttemptVoided(at=now, gate=before.gate, attempt=before.starts)
            cause = given.command.cause
            cancelled = TaskCancelled(at=now, gate=before.gate, cause=cause)
            self._result = voided
            self._end_cancelled(voided, cancelled, given.answer)
            return
        decided = decide(before, given.command, now)
        if not isinstance(decided, tuple):
            given.answer(decided)
            return
        if not decided:
            given.answer(CommandDone(before, before))
            return
        after = before
        for event in decided:
            after = evolve(after, event)
        write = Write(task_stream(before.id), before.version, decided)
        answer = given.answer
        self._append(
            Append((write,)),
            "outcome",
            lambda result: self.now(partial(self._cancel_appended, after, answer), result),
        )

    def _take_back(self) -> None:
        """Committed and certainly not sent: see to it that it never is, wherever it waits."""
        self._unsent = False
        flight, pacer = self._flight, self._line.pacer
        was_paced, flight.is_paced, flight.held = flight.is_paced, True, None
        if pacer is None:
            return  # the gate is being restarted, and counts it no more
        if was_paced:
            pacer.drop(self._task.id)
        else:
            pacer.lost()

    def _end_cancelled(
        self, voided: AttemptVoided, cancelled: TaskCancelled, answer: AnswerTo
    ) -> None:
        """Void and cancel in one commit: it was never sent (hard spot of cancel on a start)."""
        before = self._task

        async def read_and_append() -> None:
            occurrence = before.occurrence
            reader = self._ports.reader
            series = await read_series(reader, occurrence.series) if occurrence else None
            clock = self._ports.clock
            ended = ending(before, (voided, cancelled), series, self._ports.ids, clock.wall())

            def replied(result: AppendResult | Refused) -> None:
                assert not isinstance(result, Refused)
                if isinstance(result, VersionConflict):
                    self.spawn(read_and_append())
                    return
                answer(CommandDone(before, ended.task))
                self._tell_ended(voided, ended, result)
                self.stop()

            self._ports.journal.append(Entry(ended.append, "outcome", replied))

        self._appending = True
        self.spawn(read_and_append())

    def _cancel_appended(self, after: Task, answer: AnswerTo, result: AppendResult) -> None:
        self._appending = False
        assert isinstance(result, Committed), "another writer of a task in flight"
        answer(CommandDone(self._task, after))
        self._task = after
        if self._result is not None and isinstance(self._result, AttemptFailed):
            self._result = as_last(self._result)
        self._serve_later()
        self._end()

    def _serve_later(self) -> None:
        later, self._later = self._later, []
        for given in later:
            self._command(given)

    # --- appending ----------------------------------------------------------------------------

    def _append(self, append: Append, lane: Lane, reply: Callable[[AppendResult], None]) -> None:
        self._appending = True
        self._ports.journal.append(Entry(append, lane, cast("Reply", reply)))

    def _start_replied(self, result: AppendResult) -> None:
        self.now(self._start_appended, result)

    def _end_replied(self, ended: Ending, result: AppendResult) -> None:
        if isinstance(result, Committed):
            # the gate hears of ends from the journal itself, hence in log order, and also where
            # the actor has crashed meanwhile
            assert self._result is not None
            self._tell_ended(self._result, ended, result)
        self.now(partial(self._end_appended, ended), result)

    def _tell_ended(
        self,
        event: AttemptSucceeded | AttemptFailed | AttemptVoided,
        ended: Ending,
        result: AppendResult,
    ) -> None:
        assert isinstance(result, Committed)
        self._flight.is_over = True
        self._line.tell(
            AttemptEnded(
                event=event,
                task=ended.task,
                number=self._flight.number,
                position=result.position,
                successor=ended.successor,
            )
        )


class TasksActor(LoopActor):
    """Supervises the tasks in flight of one gate: temporary children, each told of when it
    crashes."""

    def __init__(self, line: GateLine, ports: Ports) -> None:
        """`line` leads to the gate actor, whichever incarnation it has."""
        super().__init__()
        self._line = line
        self._ports = ports
        self._running: dict[TaskId, Flight] = {}

    def on_start(self) -> None:
        """Be where the gate finds it."""
        self._line.tasks = self

    def on_stop(self) -> Hook:
        """Stop all that is in flight and wait for it; what was open is uncertain, as the log
        says."""
        return ended(self._stop_all())

    def let_go(self) -> None:
        """No attempt outlives this actor, should it crash."""
        self._stop_all()

    def _stop_all(self) -> "list[ActorRef[Any]]":
        flights = [one.ref for one in self._running.values() if one.ref and not one.is_over]
        for ref in flights:
            tell_to_stop(ref, SHUTDOWN)
        return flights

    def on_receive(self, message: object) -> None:
        """Nobody tells it anything: starts are calls, ends are watched."""
        raise AssertionError(f"unknown message {message!r}")

    @property
    def running(self) -> dict[TaskId, Flight]:
        """The tasks in flight, until the gate has heard of their end."""
        return self._running

    def forget(self, task: TaskId, attempt: int) -> Flight | None:
        """The gate has heard of this attempt's end; None where another life of it has."""
        flight = self._running.get(task)
        if flight is None or flight.started.attempt != attempt:
            return None
        return self._running.pop(task)

    def start_task(self, task: Task, number: Position, started: AttemptStarted) -> None:
        """Start the actor of a granted attempt."""
        flight = Flight(number, started)
        actor = TaskActor(task, flight, self._line, self._ports)
        actor.life.owner = partial(self._ended, flight)
        self._running[task.id] = flight
        flight.ref = actor.launch()

    def _ended(self, flight: Flight, down: Down) -> None:
        """Its gate forgets the flight once it has heard of the end, in log order; an actor that
        crashes after that has harmed nobody."""
        self._ports.slots.give_back()
        task_id = TaskId(down.name)
        if self._line.pacer is not None:
            # ended between being let go and leaving: taken as sent, for nobody knows
            self._line.pacer.departed(task_id)
        was_over, flight.is_over = flight.is_over, True
        if down.error is None:
            return
        self._line.crashed(down)
        if not was_over:
            flight.error = repr(down.error)[:500]
            self._line.tell(TaskCrashed(task_id, flight.started, flight.number, flight.error))
