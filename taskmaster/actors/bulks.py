"""The bulks of a node: begins them, finds those that are under way, ends them.

Rules of residence: starts and stops `BulkActor`s, each under a supervisor of its own, and decides
nothing about a task. It writes a bulk's first event; the rest is the actor's, or this one's where
an actor gave up.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from taskmaster.actors.bulk import AbortAsked, BulkActor, read_bulk
from taskmaster.actors.intake import Intake
from taskmaster.actors.journal import Refused
from taskmaster.actors.line import Ports
from taskmaster.actors.supervisor import Incident, Supervisor
from taskmaster.events.log import Append, AppendResult, Committed, Write
from taskmaster.events.types import (
    NEW,
    BulkCounts,
    BulkEnded,
    BulkId,
    BulkStarted,
    Cause,
    Version,
    bulk_stream,
)
from taskmaster.model.bulk import Bulk, StartBulk, decide_start, decide_undo
from taskmaster.model.rejected import Rejected
from taskmaster.supervision import SHUTDOWN, ChildSpec, Down, ended, tell, tell_to_stop, watch

MOST_RUNNING = 16
"""Bulks under way at once."""
WAIT_S = 0.2
NOT_FOUND = Rejected("not_found", "id", "there is no such bulk", "see `taskmaster bulk list`")


class Running(Struct):
    """A bulk under way."""

    supervisor: Supervisor
    actor: BulkActor | None = None


class Bulks:
    """On the loop's thread."""

    def __init__(self, ports: Ports, intake: Intake, listener: Callable[[Incident], None]) -> None:
        """Change tasks by way of `intake`; `listener` hears of crashes."""
        self._ports = ports
        self._intake = intake
        self._listener = listener
        self._running: dict[BulkId, Running] = {}

    async def resume(self) -> None:
        """Go on with what was under way when the process ended, also where its actor had given
        up, however many that are."""
        reader, before = self._ports.reader, None
        while rows := await reader.bulk_rows(before=before, limit=MOST_RUNNING, running=True):
            for row in rows:
                self._launch(row.bulk)
            before = rows[-1].number

    async def stop(self) -> None:
        """End every actor; the next start of the process goes on."""
        refs = [running.supervisor.actor_ref for running in self._running.values()]
        for ref in refs:
            tell_to_stop(ref, SHUTDOWN)
        await ended(refs)

    # --- commands -----------------------------------------------------------------------------

    async def start(self, command: StartBulk) -> Bulk | Rejected:
        """Begin a bulk; it is durable when this returns."""
        if command.to is not None and (wrong := self._intake.refuse_move(command.to)) is not None:
            return wrong
        return await self._start(decide_start(command, self._ports.clock.wall()))

    async def undo(self, bulk_id: BulkId, cause: Cause, rate: float = 0) -> Bulk | Rejected:
        """Take a bulk back where nothing has happened since."""
        bulk = await self.read(bulk_id)
        if bulk is None:
            return NOT_FOUND
        position = await self._ports.reader.position()
        return await self._start(decide_undo(bulk, cause, position, self._ports.clock.wall(), rate))

    async def abort(self, bulk_id: BulkId, cause: Cause) -> Bulk | Rejected:
        """End a bulk where it stands; what is done stays done. One that has ended is answered
        as it is."""
        bulk = await self.read(bulk_id)
        if bulk is None:
            return NOT_FOUND
        running = self._running.get(bulk_id)
        if running is not None and running.actor is not None:
            tell(running.actor.actor_ref, AbortAsked(cause))
        elif bulk.ended is None:  # its actor gave up
            at = self._ports.clock.wall()
            event = BulkEnded(at=at, cause=cause, aborted=True, counts=bulk.counts)
            await self._append(bulk_id, bulk.version, event)
        return await self._ended_within(bulk_id, bulk)

    async def _ended_within(self, bulk_id: BulkId, bulk: Bulk) -> Bulk:
        """The bulk once its open members have their answers, or as it is after a while."""
        for _ in range(25):
            found = await self.read(bulk_id)
            bulk = bulk if found is None else found
            if bulk.ended is not None:
                break
            await asyncio.sleep(WAIT_S)
        return bulk

    # --- questions ----------------------------------------------------------------------------

    async def read(self, bulk_id: BulkId) -> Bulk | None:
        """A bulk as the log has it."""
        return await read_bulk(self._ports.reader, bulk_id)

    def counts(self, bulk: Bulk) -> BulkCounts:
        """How far a bulk is now, the page that is under way included."""
        running = self._running.get(bulk.id)
        if bulk.ended is not None or running is None or running.actor is None:
            return bulk.counts
        return running.actor.counts

    # --- their actors -------------------------------------------------------------------------

    async def _start(self, decided: BulkStarted | Rejected) -> Bulk | Rejected:
        if isinstance(decided, Rejected):
            return decided
        if len(self._running) >= MOST_RUNNING:
            message = f"{len(self._running)} bulks are under way"
            return Rejected("overloaded", "", message, "wait for one to end, or abort one")
        bulk_id = BulkId(self._ports.ids.task_id())
        result = await self._append(bulk_id, NEW, decided)
        if isinstance(result, Refused):
            message = f"the store takes nothing: {result.error}"
            return Rejected("unavailable", "", message, "try again")
        self._launch(bulk_id)
        return Bulk(bulk_id, decided)

    def _launch(self, bulk_id: BulkId) -> None:
        def started() -> object:
            actor = BulkActor(bulk_id, self._ports, self._intake.task_command, self._ended)
            running.actor = actor
            return actor.launch()

        supervisor = Supervisor(
            f"bulks/{bulk_id}",
            (ChildSpec("bulk", started, restart="transient"),),
            mono_ns=self._ports.clock.mono,
            listener=self._listener,
        )
        running = self._running[bulk_id] = Running(supervisor)

        def told(_down: Down) -> None:
            del self._running[bulk_id]

        watch(supervisor.launch(), told)

    def _ended(self, bulk_id: BulkId) -> None:
        tell_to_stop(self._running[bulk_id].supervisor.actor_ref, SHUTDOWN)

    async def _append(
        self, bulk_id: BulkId, version: Version, event: BulkStarted | BulkEnded
    ) -> AppendResult | Refused:
        append = Append((Write(bulk_stream(bulk_id), version, (event,)),))
        result = await self._ports.journal.commit(append, "submission")
        assert isinstance(result, Committed | Refused), "another writer of the bulk's stream"
        return result
