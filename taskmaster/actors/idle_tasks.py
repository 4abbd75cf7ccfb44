"""Decisions about a gate's tasks that are not in flight: commands, expiry, catch-up, crashes.

Rules of residence: reads a stream, asks the model, appends, and tells the gate what was committed.
The gate is the one writer of these streams; where another was faster the decision is made again on
what is there now. One decision for a task at a time.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from msgspec import Struct

from taskmaster.actors.ending import Ending, ending, read_series, read_task
from taskmaster.actors.journal import Entry, Refused
from taskmaster.actors.lanes import Waiting
from taskmaster.actors.line import GateLine, Ports
from taskmaster.actors.messages import (
    CommandDone,
    CommandGiven,
    SeriesCommandGiven,
    SeriesDecided,
    TaskCrashed,
    TaskDecided,
)
from taskmaster.events.log import (
    Append,
    AppendResult,
    Committed,
    KeyTaken,
    OpenAttempt,
    VersionConflict,
    Write,
)
from taskmaster.events.types import (
    Position,
    SeriesName,
    TaskEvent,
    TaskId,
    Wall,
    series_stream,
)
from taskmaster.model.rejected import Rejected
from taskmaster.model.series import Series, catch_up, decide_series
from taskmaster.model.task import Moment, Task, crashed, end_before_start, evolve, interrupted
from taskmaster.model.task_control import CancelTask, decide

NOT_FOUND = Rejected("not_found", "id", "there is no such task", "look it up with `task list`")
MOVED = Rejected("conflict", "id", "the task has just moved to another gate", "try again")
NO_SERIES = Rejected("not_found", "series", "there is no such series", "see `series list`")


class Decision(Struct, frozen=True):
    """What a decider made of the task it was shown; `events` may be none."""

    events: tuple[TaskEvent, ...]
    series_events: tuple[Any, ...] = ()


Decider = Callable[[Task, Series | None], Decision | Rejected]
Told = Callable[[Task, Task | Rejected], None]


def _nobody(_before: Task, _after: Task | Rejected) -> None:
    """Nobody waits for the answer."""


class IdleTasks:
    """Belongs to one gate actor, on whose behalf it writes."""

    def __init__(
        self,
        line: GateLine,
        ports: Ports,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
        decided: Callable[[TaskDecided | SeriesDecided], object],
        stopped_ns: Callable[[], int],
    ) -> None:
        """`spawn` runs a coroutine of the gate actor; `decided` tells it of each commit;
        `stopped_ns` is how long the gate has stood paused or tripped in its life."""
        self._line = line
        self._ports = ports
        self._spawn = spawn
        self._decided = decided
        self._stopped_ns = stopped_ns
        self._busy: dict[TaskId, deque[tuple[Decider, Told]]] = {}
        self._current: set[TaskId] = set()
        self._series_busy: dict[SeriesName, deque[SeriesCommandGiven]] = {}

    @property
    def has_work(self) -> bool:
        """Whether a decision is on its way."""
        return bool(self._busy) or bool(self._series_busy)

    @property
    def busy(self) -> Iterable[TaskId]:
        """The tasks about which a decision is on its way."""
        return self._busy.keys()

    def is_busy(self, task_id: TaskId) -> bool:
        """Whether a decision about this task is on its way."""
        return task_id in self._busy

    # --- what asks for decisions --------------------------------------------------------------

    def ends_or_catches_up(self, item: Waiting, wall: Wall) -> bool:
        """Whether a task must be ended or moved instead of started; then that is on its way."""
        task = item.task
        if end_before_start(task, wall, self._stopped_ns()) is not None:
            self._decide(task.id, self._timed_out)
            return True
        occurrence = task.occurrence
        if occurrence is None or task.sends or task.followed or occurrence.next_at is None:
            return False
        if task.due_at != occurrence.nominal_at:
            return False  # a person has said when it runs
        if wall < occurrence.next_at or task.id in self._current:
            self._current.discard(task.id)
            return False
        self._decide(task.id, self._catch_up)
        return True

    def expire(self, task_ids: tuple[TaskId, ...]) -> None:
        """Write the end of tasks whose time has passed."""
        for task_id in task_ids:
            if task_id not in self._busy:
                self._decide(task_id, self._timed_out)

    def command(self, given: CommandGiven) -> None:
        """A person's wish about a task that is not in flight."""

        def told(before: Task, after: Task | Rejected) -> None:
            given.answer(after if isinstance(after, Rejected) else CommandDone(before, after))

        def decider(task: Task, _series: Series | None) -> Decision | Rejected:
            decided = decide(task, given.command, self._now())
            return decided if isinstance(decided, Rejected) else Decision(decided)

        self._decide(given.task, decider, told, lambda: given.answer(NOT_FOUND))

    def crashed(self, report: TaskCrashed) -> None:
        """Record the end of an attempt whose actor met a bug, with its start if that was lost."""

        def decider(task: Task, _series: Series | None) -> Decision:
            events: tuple[TaskEvent, ...] = ()
            if task.starts < report.started.attempt:
                assert task.state == "waiting", "another writer of a task in flight"
                events = (report.started,)
                task = evolve(task, report.started)
            elif task.state != "in_flight" or task.starts != report.started.attempt:
                return Decision(())
            return Decision((*events, crashed(task, self._moment(), report.error)))

        self._decide(report.task, decider, settled=True)

    def interrupted(self, attempt: OpenAttempt) -> None:
        """End an attempt that nobody carries any more: its process or its unit is gone."""

        def decider(task: Task, _series: Series | None) -> Decision:
            if task.state != "in_flight" or task.starts != attempt.attempt:
                return Decision(())
            return Decision((interrupted(task, self._moment()),))

        self._decide(attempt.task, decider)

    def _moment(self) -> Moment:
        ports = self._ports
        return Moment(
            wall=ports.clock.wall(),
            mono=ports.clock.mono(),
            stopped_ns=self._stopped_ns(),
            u=ports.rng.uniform(),
            u_gate=ports.rng.uniform(),
        )

    def _timed_out(self, task: Task, _series: Series | None) -> Decision:
        if task.state != "waiting":
            return Decision(())
        event = end_before_start(task, self._now(), self._stopped_ns())
        return Decision(()) if event is None else Decision((event,))

    def _catch_up(self, task: Task, series: Series | None) -> Decision:
        occurrence = task.occurrence
        if series is None or occurrence is None or task.state != "waiting":
            return Decision(())
        decided = catch_up(series, occurrence, self._now())
        if decided is None:
            self._current.add(task.id)  # late, and to run all the same
            return Decision(())
        return Decision(decided.task_events, decided.series_events)

    def _now(self) -> Wall:
        return self._ports.clock.wall()

    # --- deciding one task --------------------------------------------------------------------

    def _decide(
        self,
        task_id: TaskId,
        decider: Decider,
        told: Told = _nobody,
        missing: Callable[[], None] = lambda: None,
        *,
        settled: bool = False,
    ) -> None:
        waiting = self._busy.get(task_id)
        if waiting is not None:
            waiting.append((decider, told))
            return
        self._busy[task_id] = deque()
        self._spawn(self._run(task_id, decider, told, missing, settled=settled))

    async def _run(
        self,
        task_id: TaskId,
        decider: Decider,
        told: Told,
        missing: Callable[[], None],
        *,
        settled: bool = False,
    ) -> None:
        """Read, decide, append; again when another writer was faster. `settled`: first let become
        durable what an actor that is gone had handed to the journal."""
        if settled:
            await self._ports.journal.settled()
        reader = self._ports.reader
        task = await read_task(reader, task_id)
        if task is None:
            del self._busy[task_id]
            missing()
            return
        occurrence = task.occurrence
        series = await read_series(reader, occurrence.series) if occurrence is not None else None
        decided = decider(task, series) if task.gate == self._line.gate else MOVED
        if isinstance(decided, Rejected) or not decided.events:
            row = await reader.task_row(task_id)
            told(task, decided if isinstance(decided, Rejected) else task)
            position = await reader.position()
            number = row.number if row is not None else position
            self._decided(TaskDecided(task, number, position, ()))
            return
        row = await reader.task_row(task_id)
        assert row is not None
        ended = ending(
            task, decided.events, series, self._ports.ids, self._now(), decided.series_events
        )
        number = row.number

        def replied(result: AppendResult | Refused) -> None:
            if isinstance(result, Committed):
                told(task, ended.task)
                if ended.task.gate != task.gate:
                    self._moved(ended.task, number, result.position)
                self._decided(_done(ended, number, result.position))
            elif isinstance(result, KeyTaken):
                told(task, _key_taken(result))
                self._decided(TaskDecided(task, number, row.number, ()))
            else:
                assert isinstance(result, VersionConflict)
                self._spawn(self._run(task_id, decider, told, missing))

        self._ports.journal.append(Entry(ended.append, "outcome", replied))

    def _moved(self, task: Task, number: Position, position: Position) -> None:
        """The task is another gate's from this commit on."""
        if task.state == "waiting":
            self._line.came(task.gate, ((Waiting(task, number), position),))

    def heard(self, task_id: TaskId) -> None:
        """The gate has heard of a decision; until then the task is not at its disposal."""
        waiting = self._busy.pop(task_id)
        if waiting:
            decider, told = waiting.popleft()
            self._busy[task_id] = waiting
            self._spawn(self._run(task_id, decider, told, lambda: None))

    # --- deciding one series ------------------------------------------------------------------

    def series_command(self, given: SeriesCommandGiven) -> None:
        """A person's wish about a series; one at a time for each."""
        waiting = self._series_busy.get(given.series)
        if waiting is not None:
            waiting.append(given)
            return
        self._series_busy[given.series] = deque()
        self._spawn(self._run_series(given))

    async def _run_series(self, given: SeriesCommandGiven) -> None:
        series = await read_series(self._ports.reader, given.series)
        row = await self._ports.reader.series_row(given.series)
        if series is None or row is None:
            given.answer(NO_SERIES)
            self._finish_series(given, None)
            return
        decided = decide_series(series, given.command, self._now())
        if isinstance(decided, Rejected) or not decided:
            given.answer(decided if isinstance(decided, Rejected) else series)
            self._finish_series(given, None)
            return
        write = Write(series_stream(given.series), series.version, decided)

        def replied(result: AppendResult | Refused) -> None:
            if not isinstance(result, Committed):
                self._spawn(self._run_series(given))
                return
            after = series.after(decided)
            self._finish_series(given, row.open_task)
            if after.ended and row.open_task is not None:
                # the open occurrence ends with its series
                cancel = CancelTask(given.command.cause)
                self.command(CommandGiven(row.open_task, cancel, lambda _answer: None))
            given.answer(after)

        self._ports.journal.append(Entry(Append((write,)), "outcome", replied))

    def _finish_series(self, given: SeriesCommandGiven, open_task: TaskId | None) -> None:
        waiting = self._series_busy.pop(given.series)
        self._decided(SeriesDecided(open_task))
        if waiting:
            self._series_busy[given.series] = waiting
            self._spawn(self._run_series(waiting.popleft()))


def _key_taken(taken: KeyTaken) -> Rejected:
    return Rejected(
        "conflict", "to", f"its key belongs to task {taken.task} there", "leave it where it is"
    )


def _done(ended: Ending, number: Position, position: Position) -> TaskDecided:
    return TaskDecided(ended.task, number, position, ended.events, ended.successor)
