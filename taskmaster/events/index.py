"""The task index: where each task stands, what is due, what a gate's attempts came to.

A projection of the facts alone, folded in the log's own transaction, so that it never lags and
can be dropped and folded anew.

Rules of residence: pure. Rows as committed and facts in, changed rows out; no SQL, so that every
database shares it. What the fold gives may not depend on where the log is cut into batches: live
commits and a rebuild must agree to the last row. Imports the facts and the log's value types only.
"""

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

from taskmaster.events.gate_fold import GateFold
from taskmaster.events.log import Recorded
from taskmaster.events.rows import (
    ACTIVE,
    CANCELLED,
    DEAD,
    ENDED,
    EXPIRED,
    HELD_BY_ORDER,
    HELD_BY_SERIES,
    IN_FLIGHT,
    KEY_LIFE_NS,
    LAST_OPEN,
    PAUSED,
    PRIORITIES,
    SUCCEEDED,
    UNCERTAIN,
    WAITING,
    AttemptEntry,
    BulkEntry,
    Changes,
    KeyEntry,
    LabelEntry,
    Line,
    Rows,
    SeriesEntry,
    TaskEntry,
    bulk_of,
    gate_of,
    series_of,
    task_of,
)
from taskmaster.events.task_columns import revived, sort_task
from taskmaster.events.types import (
    NEW,
    ActorCrashed,
    ActorRestartAsked,
    ActorRestarted,
    AlertCleared,
    AlertEvent,
    AlertRaised,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    BulkEnded,
    BulkEvent,
    BulkId,
    BulkProgressed,
    BulkStarted,
    CancelRequested,
    GateEvent,
    GateName,
    Mono,
    NodeEvent,
    NodeStarted,
    NodeStopped,
    Occurrence,
    OccurrenceSkipped,
    Position,
    SeriesChanged,
    SeriesCreated,
    SeriesEnded,
    SeriesEvent,
    SeriesName,
    SeriesPaused,
    SeriesResumed,
    SupervisorGaveUp,
    TaskCancelled,
    TaskDied,
    TaskEdited,
    TaskExpired,
    TaskId,
    TaskMoved,
    TaskRescheduled,
    TaskRevived,
    TaskSubmitted,
    Wall,
)


def fold(rows: Rows, facts: Iterable[Recorded]) -> Changes:
    """Fold facts in log order over the rows they touch."""
    batch = _Batch(rows)
    for fact in facts:
        batch.add(fact)
    return batch.changes()


class _Batch:
    """The rows of one batch while it is folded: what is written lies over what is committed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._tasks: dict[TaskId, TaskEntry] = {}
        self._gates = GateFold(rows.gates)
        self._series: dict[SeriesName, SeriesEntry] = {}
        self._keys: dict[Line, KeyEntry] = {}
        self._key_ends: dict[tuple[Line, TaskId], KeyEntry] = {}
        self._starts: dict[Position, AttemptEntry] = {}
        self._ends: dict[Position, AttemptEntry] = {}
        self._bulks: dict[BulkId, BulkEntry] = {}
        self._bulk_moves: dict[BulkId, BulkEntry] = {}
        self._left: dict[TaskId, set[GateName]] = {}
        self._out = Changes()

    def add(self, fact: Recorded) -> None:  # one line for each event, the frequent ones first
        """Fold one fact."""
        event = fact.event
        match event:
            case TaskSubmitted():
                self._submitted(fact, event)
            case AttemptStarted():
                self._started(fact, event)
            case AttemptSucceeded():
                self._succeeded(fact, event)
            case AttemptFailed():
                self._failed(fact, event)
            case AttemptVoided():
                self._voided(fact, event)
            case TaskRescheduled():
                self._rescheduled(fact, event)
            case CancelRequested():
                self._put(self._moved(fact, event.at))
            case TaskCancelled():
                self._end(self._moved(fact, event.at), CANCELLED)
            case TaskExpired():
                self._end(self._moved(fact, event.at), EXPIRED)
            case TaskDied():
                self._end(self._moved(fact, event.at), DEAD)
            case TaskRevived():
                self._revived(fact, event)
            case TaskEdited():
                self._edited(fact, event)
            case TaskMoved():
                self._moved_gate(fact, event)
            case _:
                self._add_rare(fact, event)

    def _add_rare(
        self, fact: Recorded, event: GateEvent | SeriesEvent | BulkEvent | NodeEvent | AlertEvent
    ) -> None:
        if isinstance(event, GateEvent):
            self._gates.move(gate_of(fact.stream), fact.version, event)
            return
        match event:
            case SeriesCreated():
                self._series_ruled(fact, event)
                self._series_moved(fact, ACTIVE)
            case SeriesChanged():
                self._series_ruled(fact, event)
            case SeriesPaused():
                self._series_moved(fact, PAUSED)
            case SeriesResumed():
                self._series_moved(fact, ACTIVE)
            case SeriesEnded():
                self._series_moved(fact, ENDED)
            case OccurrenceSkipped():
                self._series_moved(fact, None)
            case BulkStarted() | BulkProgressed():
                self._bulk_moved(fact, ended=False)
            case BulkEnded():
                self._bulk_moved(fact, ended=True)
            case (
                NodeStarted()
                | NodeStopped()
                | ActorCrashed()
                | ActorRestartAsked()
                | ActorRestarted()
                | SupervisorGaveUp()
                | AlertRaised()
                | AlertCleared()
            ):
                pass
            case _:
                assert_never(event)

    # --- a task's life

    def _submitted(self, fact: Recorded, event: TaskSubmitted) -> None:
        assert event.priority in PRIORITIES, f"priority {event.priority} has no range to be read"
        occurrence = event.occurrence
        task = TaskEntry(
            number=fact.position,
            id=task_of(fact.stream),
            gate=event.gate,
            state=WAITING,
            version=fact.version,
            priority=event.priority,
            band=event.priority,
            due_at=event.due_at,
            submitted_at=event.at,
            changed_at=event.at,
            attempts=0,
            url=event.request.url,
            expires_at=event.expires_at,
            fair_key=event.fair_key,
            order_key=event.order_key,
            series=None if occurrence is None else occurrence.series,
            nominal_at=None if occurrence is None else occurrence.nominal_at,
            held=0,
            key=event.key,
            started=Position(0),
        )
        self._put(task)
        for key, value in event.labels:
            self._out.labels.append(LabelEntry(key, value, task.number))
        if event.key:
            line = (event.gate, event.key)
            self._keys[line] = KeyEntry(event.gate, event.key, task.id, event.fingerprint)
        if occurrence is not None:
            self._occurrence_submitted(occurrence, task)

    def _started(self, fact: Recorded, event: AttemptStarted) -> None:
        task = self._stored(fact)
        self._put(
            replace(
                task,
                state=IN_FLIGHT,
                version=fact.version,
                changed_at=event.at,
                attempts=task.attempts + 1,
                started=fact.position,
            )
        )
        self._starts[fact.position] = AttemptEntry(
            fact.position, task.gate, task.id, event.attempt, event.slot_at
        )
        self._gates.start(task.gate, fact.position, event)

    def _voided(self, fact: Recorded, event: AttemptVoided) -> None:
        task = self._attempt_ended(fact, event.at, "voided")
        self._put(replace(task, state=WAITING, attempts=task.attempts - 1))
        self._gates.void(task.gate)

    def _succeeded(self, fact: Recorded, event: AttemptSucceeded) -> None:
        task = self._attempt_ended(fact, event.at, "succeeded", SUCCEEDED)
        self._ended(task)
        self._gates.count(task.gate, event.at, failed=False, took_ns=event.duration_ns)

    def _failed(self, fact: Recorded, event: AttemptFailed) -> None:
        task = self._attempt_ended(fact, event.at, event.outcome)
        match event.next:
            case "retry":
                due_at = task.due_at if event.retry_at is None else event.retry_at
                self._put(replace(task, state=WAITING, due_at=due_at))
            case "uncertain":
                self._put(replace(task, state=UNCERTAIN))
            case "dead":
                self._end(task, DEAD)
            case "cancelled":
                self._end(task, CANCELLED)
            case "expired":
                self._end(task, EXPIRED)
            case _:
                assert_never(event.next)
        self._gates.fail(task.gate, event)

    def _rescheduled(self, fact: Recorded, event: TaskRescheduled) -> None:
        task = self._moved(fact, event.at)
        nominal_at = task.nominal_at if event.occurrence is None else event.occurrence.nominal_at
        expires_at = event.expires_at if event.expires_at is not None else task.expires_at
        moved = replace(task, due_at=event.due_at, nominal_at=nominal_at, expires_at=expires_at)
        self._put(moved)

    def _revived(self, fact: Recorded, event: TaskRevived) -> None:
        task = self._moved(fact, event.at)
        band = revived(task.band, redriven=event.redriven)
        self._put(replace(task, state=WAITING, due_at=event.due_at, band=band))
        self._key_lives_until(task, None)
        self._occurrence_opened(task, opened=True)

    def _edited(self, fact: Recorded, event: TaskEdited) -> None:
        task = self._moved(fact, event.at)
        url = task.url if event.request is None else event.request.url
        priority, expires_at = event.priority, event.expires_at
        band = task.band - task.priority + priority
        self._put(replace(task, url=url, priority=priority, band=band, expires_at=expires_at))

    def _moved_gate(self, fact: Recorded, event: TaskMoved) -> None:
        """A key that it leaves behind lives on for a while and answers who submits it again."""
        task = self._moved(fact, event.at)
        self._key_lives_until(task, Wall(event.at + KEY_LIFE_NS))
        self._left.setdefault(task.id, set()).add(task.gate)
        task = replace(task, gate=event.to)
        self._put(task)
        if event.key:
            dead_at = None if task.state <= LAST_OPEN else Wall(event.at + KEY_LIFE_NS)
            entry = KeyEntry(event.to, event.key, task.id, event.fingerprint, dead_at)
            self._keys[event.to, event.key] = entry
            self._key_ends.pop(((event.to, event.key), task.id), None)

    def _stored(self, fact: Recorded) -> TaskEntry:
        task_id = task_of(fact.stream)
        task = self._tasks.get(task_id) or self._rows.tasks.get(task_id)
        assert task is not None, f"{fact.stream} begins with {type(fact.event).__name__}"
        return task

    def _moved(self, fact: Recorded, at: Wall) -> TaskEntry:
        return replace(self._stored(fact), version=fact.version, changed_at=at)

    def _put(self, task: TaskEntry) -> None:
        self._tasks[task.id] = task

    def _end(self, task: TaskEntry, state: int) -> None:
        self._ended(replace(task, state=state))

    def _ended(self, task: TaskEntry) -> None:
        self._put(task)
        self._key_lives_until(task, Wall(task.changed_at + KEY_LIFE_NS))
        self._occurrence_opened(task, opened=False)

    def _key_lives_until(self, task: TaskEntry, dead_at: Wall | None) -> None:
        if task.key:
            line = (task.gate, task.key)
            self._key_ends[line, task.id] = KeyEntry(task.gate, task.key, task.id, "", dead_at)

    def _attempt_ended(
        self, fact: Recorded, at: Wall, outcome: str, state: int = IN_FLIGHT
    ) -> TaskEntry:
        """The task without its open attempt; the attempt's row gets its end."""
        task = self._stored(fact)
        if task.started:
            start = self._starts.get(task.started)
            ends = self._ends if start is None else self._starts
            ends[task.started] = AttemptEntry(
                task.started,
                task.gate,
                task.id,
                0 if start is None else start.attempt,
                Mono(0) if start is None else start.slot_at,
                fact.position,
                at,
                outcome,
            )
        return replace(task, state=state, version=fact.version, changed_at=at, started=Position(0))

    def _bulk_moved(self, fact: Recorded, *, ended: bool) -> None:
        bulk = bulk_of(fact.stream)
        if fact.version == NEW + 1:
            self._bulks[bulk] = BulkEntry(bulk, fact.position, fact.version, ended)
        elif bulk in self._bulks:
            self._bulks[bulk] = replace(self._bulks[bulk], version=fact.version, ended=ended)
        else:
            self._bulk_moves[bulk] = BulkEntry(bulk, Position(0), fact.version, ended)

    def _series_ruled(self, fact: Recorded, event: SeriesCreated | SeriesChanged) -> None:
        name = series_of(fact.stream)
        series = self._series.get(name) or self._rows.series.get(name)
        gate = event.rules.gate
        self._series[name] = (
            SeriesEntry(name, gate, fact.version, ACTIVE)
            if series is None
            else replace(series, gate=gate, version=fact.version)
        )

    def _series_moved(self, fact: Recorded, state: int | None) -> None:
        series = self._one_series(series_of(fact.stream))
        self._series[series.name] = replace(
            series, version=fact.version, state=series.state if state is None else state
        )

    def _one_series(self, name: SeriesName) -> SeriesEntry:
        series = self._series.get(name) or self._rows.series.get(name)
        assert series is not None, f"series-{name} has no SeriesCreated"
        return series

    def _occurrence_submitted(self, occurrence: Occurrence, task: TaskEntry) -> None:
        name = occurrence.series
        series = self._series.get(name) or self._rows.series.get(name)
        if series is None:  # its SeriesCreated comes later in this commit
            series = SeriesEntry(name, task.gate, NEW, ACTIVE)
        self._series[name] = replace(series, latest=task.id, open=True)

    def _occurrence_opened(self, task: TaskEntry, *, opened: bool) -> None:
        if task.series is None:
            return
        series = self._one_series(task.series)
        if series.latest == task.id:
            self._series[series.name] = replace(series, open=opened)

    # --- the end of a batch: what follows from several rows

    def changes(self) -> Changes:
        """What is to be written."""
        out = self._out
        self._hold_series()
        self._hold_lines()
        for task in self._tasks.values():
            before = self._rows.tasks.get(task.id)
            sort_task(before, task, out)
            self._gates.tally(before, task)
        out.keys.extend(self._keys.values())
        out.key_ends.extend(self._key_ends.values())
        out.starts.extend(self._starts.values())
        out.ends.extend(self._ends.values())
        out.series.extend(self._series.values())
        out.bulks.extend(self._bulks.values())
        out.bulk_moves.extend(self._bulk_moves.values())
        self._gates.changes(out)
        return out

    def _hold_series(self) -> None:
        """The open task of a paused series is held, whatever its state: it may come back."""
        for series in self._series.values():
            if series.latest is not None and series.open and series.latest not in self._tasks:
                self._tasks[series.latest] = self._rows.tasks[series.latest]
        for task in list(self._tasks.values()):
            if task.series is not None:
                series = self._one_series(task.series)
                held = series.state == PAUSED and series.open and series.latest == task.id
                self._hold(task, HELD_BY_SERIES, held=held)

    def _hold_lines(self) -> None:
        """Of the open tasks of a line, only the one submitted first is not held (3.9)."""
        lines: dict[Line, set[TaskId]] = {}
        for task in self._tasks.values():
            if task.order_key:
                lines.setdefault((task.gate, task.order_key), set()).add(task.id)
                for gate in self._left.get(task.id, ()):
                    lines.setdefault((gate, task.order_key), set())
        for line, ids in lines.items():
            ids.update(self._rows.lines.get(line, ()))
            tasks = [self._tasks.get(id_) or self._rows.tasks[id_] for id_ in ids]
            tasks = [task for task in tasks if task.gate == line[0]]
            head = min((task.number for task in tasks if task.state <= LAST_OPEN), default=None)
            for task in tasks:
                held = task.state <= LAST_OPEN and task.number != head
                self._hold(task, HELD_BY_ORDER, held=held)

    def _hold(self, task: TaskEntry, reason: int, *, held: bool) -> None:
        bits = task.held | reason if held else task.held & ~reason
        if bits != task.held:
            self._put(replace(task, held=bits))
