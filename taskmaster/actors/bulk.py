"""Changes many tasks, one by one, through their gates: the life of one bulk.

Rules of residence: writes the bulk's own stream and no other. Which tasks are meant was decided at
one position of the log; they are read from the index page by page, newest first, and each that
had not matched at that position is passed over. How far it has come is an event after each page, so
that a restart goes on there; what was changed since is read from the log, where each such event
carries the bulk's id.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from taskmaster.actors.line import Ports
from taskmaster.actors.messages import CommandAnswer, CommandDone
from taskmaster.events.log import (
    Append,
    Committed,
    Reader,
    Recorded,
    RowState,
    TaskFilter,
    Write,
)
from taskmaster.events.rows import task_of
from taskmaster.events.types import (
    SECOND,
    BulkAnswer,
    BulkCounts,
    BulkEnded,
    BulkEvent,
    BulkFilter,
    BulkId,
    BulkLeft,
    BulkProgressed,
    CancelRequested,
    Cause,
    Position,
    TaskEvent,
    TaskId,
    Version,
    bulk_stream,
)
from taskmaster.model.bulk import Bulk, answer_of, command_of, evolve_bulk, fold_bulk, matches
from taskmaster.model.rejected import Rejected
from taskmaster.model.task import fold
from taskmaster.model.task_control import TaskCommand
from taskmaster.supervision import LoopActor

PAGE = 200
"""Members read and answered between two events."""
LOG_PAGE = 400
AT_ONCE = 64
"""Members that are on their way to their gates side by side."""
PAGE_S = 5
"""A slow bulk writes how far it is about so often."""
TRIES = 3
"""A gate that gives no answer is asked so often."""

Ask = Callable[[TaskId, TaskCommand], Coroutine[Any, Any, CommandAnswer]]


class AbortAsked(Struct, frozen=True):
    """Someone wants a bulk to end where it stands."""

    cause: Cause


async def read_bulk(reader: Reader, bulk_id: BulkId) -> Bulk | None:
    """A bulk from the log: its first event and its last."""
    row = await reader.bulk_row(bulk_id)
    if row is None:
        return None
    stream = bulk_stream(bulk_id)
    first = await reader.stream(stream, limit=1)
    newest = row.version - 1
    last = await reader.stream(stream, after=Version(newest), limit=1) if newest else ()
    bulk = fold_bulk(bulk_id, (_event(first[0]),))
    if not last:
        return bulk
    bulk = Bulk(bulk_id, bulk.started, Version(newest))
    return evolve_bulk(bulk, _event(last[0]))


def _event(record: Recorded) -> BulkEvent:
    assert isinstance(record.event, BulkEvent)
    return record.event


class BulkActor(LoopActor):
    """One bulk that is under way. Restarted, it goes on where its stream says."""

    def __init__(
        self,
        bulk_id: BulkId,
        ports: Ports,
        ask: Ask,
        ended: Callable[[BulkId], None],
    ) -> None:
        """`ask` tells a task's gate; `ended` is called once nothing is left to do."""
        super().__init__(f"bulks/{bulk_id}/bulk")
        self._id = bulk_id
        self._ports = ports
        self._ask = ask
        self._ended = ended
        self._bulk: Bulk | None = None
        self._abort: AbortAsked | None = None
        self._changed: dict[TaskId, None] = {}
        self._left: list[BulkLeft] = []
        self._counts: dict[BulkAnswer, int] = {}

    def on_start(self) -> None:
        """Read how far it is, and go on."""
        self.spawn(self._run())

    def on_receive(self, message: object) -> None:
        """The only message is that it shall end."""
        assert isinstance(message, AbortAsked), f"unknown message {message!r}"
        self._abort = self._abort or message

    @property
    def counts(self) -> BulkCounts:
        """The members answered up to now, those of the page that is under way too."""
        before = self._bulk.counts if self._bulk is not None else BulkCounts()
        return _sum(before, self._counts)

    # --- its life: read, page after page, end -------------------------------------------------

    async def _run(self) -> None:
        await self._ports.journal.settled()  # what a life before had appended
        bulk = await read_bulk(self._ports.reader, self._id)
        assert bulk is not None, f"no bulk {self._id}"
        self._bulk = bulk
        if bulk.ended is None:
            await self._recover()
        while self._live.ended is None and not self._ports.is_stopping:
            cursor, members = await self._page()
            if cursor is None or self._abort is not None:
                if self._counts:  # of a life before, and nothing else is left
                    await self._progress(self._live.cursor)
                await self._end()
            else:
                await self._answer(members)
                await self._progress(cursor)
        if self._live.ended is not None:
            self._ended(self._id)

    async def _recover(self) -> None:
        """Count what a life before had changed of its last page: it may not match any more."""
        reader = self._ports.reader
        newest = Version(self._live.version - 1)
        (last,) = await reader.stream(bulk_stream(self._id), after=newest, limit=1)
        position = last.position
        while records := await reader.events(after=position, limit=LOG_PAGE, streams_like="task-"):
            for record in records:
                if record.event.cause.bulk == self._id:
                    requested = isinstance(record.event, CancelRequested)
                    self._count(task_of(record.stream), "requested" if requested else "changed")
            position = records[-1].position

    @property
    def _live(self) -> Bulk:
        assert self._bulk is not None
        return self._bulk

    async def _page(self) -> tuple[int | None, Sequence[TaskId]]:
        """The next members, and where it goes on behind them; None: there are no more."""
        started, cursor = self._live.started, self._live.cursor
        reader = self._ports.reader
        if started.match is None:
            stream = bulk_stream(started.undoes)
            records = await reader.stream(stream, after=Version(cursor), limit=1)
            if not records:
                return None, ()
            event = records[0].event
            changed = event.changed if isinstance(event, BulkProgressed) else ()
            return records[0].version, changed
        limit = PAGE
        if started.rate:
            limit = max(1, min(PAGE, int(started.rate * PAGE_S)))
        before = Position(cursor or started.position + 1)
        rows = await reader.task_rows(row_filter(started.match), before=before, limit=limit)
        if not rows:
            return None, ()
        return rows[-1].number, [row.task for row in rows]

    async def _answer(self, members: Sequence[TaskId]) -> None:
        """Have each member changed, so many side by side, no faster than the rate."""
        rate = self._live.started.rate
        at_once = max(1, min(AT_ONCE, int(rate / 10))) if rate else AT_ONCE
        clock = self._ports.clock
        for start in range(0, len(members), at_once):
            if self._abort is not None or self._ports.is_stopping:
                return
            part = members[start : start + at_once]
            began = clock.mono()
            await asyncio.gather(*(self._member(task_id) for task_id in part))
            if rate:
                until = began + int(len(part) / rate * SECOND)
                await self._sleep_until(until)

    async def _sleep_until(self, until: int) -> None:
        """In steps, so that an abort and the end of the process are heard in time."""
        while (left_ns := until - self._ports.clock.mono()) > 0:
            if self._abort is not None or self._ports.is_stopping:
                return
            await asyncio.sleep(min(left_ns / SECOND, 0.25))

    async def _progress(self, cursor: int) -> None:
        """Write the page's answers. Of a page that the end of the process broke off the next one
        finds out anew: what was changed says so."""
        if self._ports.is_stopping:
            return
        event = BulkProgressed(
            at=self._ports.clock.wall(),
            cursor=cursor,
            changed=tuple(self._changed),
            left=tuple(self._left),
            counts=self.counts,
        )
        await self._append(event)

    async def _end(self) -> None:
        aborted = self._abort
        event = BulkEnded(
            at=self._ports.clock.wall(),
            cause=aborted.cause if aborted is not None else self._live.started.cause,
            aborted=aborted is not None,
            counts=self._live.counts,
        )
        await self._append(event)

    async def _append(self, event: BulkProgressed | BulkEnded) -> None:
        write = Write(bulk_stream(self._id), self._live.version, (event,))
        result = await self._ports.journal.commit(Append((write,)), "outcome")
        assert isinstance(result, Committed), "another writer of the bulk's stream"
        self._bulk = evolve_bulk(self._live, event)
        self._changed, self._left, self._counts = {}, [], {}

    # --- one member ---------------------------------------------------------------------------

    async def _member(self, task_id: TaskId) -> None:
        """Change one member, unless it is changed already or was not meant."""
        if task_id in self._changed:
            return
        records = await self._ports.reader.task_events(task_id)
        answer, why = self._seen(records)
        if answer is None and not self._is_meant(task_id, records):
            return
        command = command_of(self._live)
        tries = 0
        while answer is None:
            told = await self._ask(task_id, command)
            tries += 1
            answer, why = self._answered(told, command)
            if answer in ("changed", "requested"):
                break
            # a life before this one, or a gate that crashed, may have done it unheard
            seen, _ = self._seen(await self._ports.reader.task_events(task_id))
            if seen is not None:
                answer, why = seen, ""
            elif answer == "unavailable" and tries < TRIES and not self._ports.is_stopping:
                answer = None
        self._count(task_id, answer, why)

    def _count(self, task_id: TaskId, answer: BulkAnswer, why: str = "") -> None:
        self._counts[answer] = self._counts.get(answer, 0) + 1
        if answer in ("changed", "requested"):
            self._changed[task_id] = None
        else:
            self._left.append(BulkLeft(task_id, answer, why))

    def _seen(self, records: Sequence[Recorded]) -> tuple[BulkAnswer | None, str]:
        """What this bulk has done to the task already, by its stream."""
        done = [record.event for record in records if record.event.cause.bulk == self._id]
        if not done:
            return None, ""
        return "requested" if isinstance(done[-1], CancelRequested) else "changed", ""

    def _is_meant(self, task_id: TaskId, records: Sequence[Recorded]) -> bool:
        """Whether it matched where the bulk was decided."""
        started = self._live.started
        if started.match is None:
            return True
        then: list[TaskEvent] = []
        for record in records:
            assert isinstance(record.event, TaskEvent)
            if record.position <= started.position:
                then.append(record.event)
        return bool(then) and matches(fold(task_id, tuple(then)), started.match)

    def _answered(self, told: CommandAnswer, command: TaskCommand) -> tuple[BulkAnswer | None, str]:
        match told:
            case CommandDone(before=before, after=after):
                return answer_of(before, after, command)
            case Rejected(code="unavailable", message=message):
                return "unavailable", message
            case Rejected(message=message):
                return "refused", message
            case _:
                raise AssertionError(f"unknown answer {told!r}")


def row_filter(match: BulkFilter) -> TaskFilter:
    """What the index is asked for: all that may still match."""
    states: dict[RowState, None] = {}
    for state in match.states:
        if state == "uncertain":
            states["awaiting"] = None
        states["waiting" if state == "scheduled" else state] = None
    return TaskFilter(
        gate=match.gate,
        states=tuple(states),
        series=match.series,
        key=match.key,
        labels=match.labels,
        due_before=match.due_before,
        due_after=match.due_after,
        fair_key=match.fair_key,
    )


def _sum(before: BulkCounts, more: dict[BulkAnswer, int]) -> BulkCounts:
    names = BulkCounts.__struct_fields__
    counts = dict(zip(names, astuple(before), strict=True))
    for answer, count in more.items():
        counts[answer] += count
    return BulkCounts(**counts)
