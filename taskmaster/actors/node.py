"""The tree of one process, from the root down: journal, gates, intake.

Rules of residence: what is started in which order, and what the end of a part means. Made of
ports, so that the same node runs on threads and sockets, and in simulation.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pykka
from msgspec import Struct

from taskmaster.actors.alerts import ALERTS_GATE, BECAUSE, AlertsActor, AlertSettings
from taskmaster.actors.bulks import Bulks
from taskmaster.actors.gates import GatesActor
from taskmaster.actors.intake import Intake
from taskmaster.actors.journal import Commit, Entry, JournalActor, StoreState
from taskmaster.actors.line import JournalLine, Ports, Slots
from taskmaster.actors.messages import GateDone
from taskmaster.actors.ports import Clock, Ids, Rng
from taskmaster.actors.supervisor import (
    Crashed,
    GaveUp,
    Incident,
    Restarted,
    Supervisor,
)
from taskmaster.actors.tree import Detail, Place, detail, places
from taskmaster.delivery.headers import Signer
from taskmaster.delivery.sender import Sender
from taskmaster.errors import StoreUnavailableError
from taskmaster.events.log import Append, Committed, Committer, Reader, Write
from taskmaster.events.types import (
    NEW,
    ActorCrashed,
    ActorRestartAsked,
    ActorRestarted,
    Cause,
    Epoch,
    Event,
    GateName,
    GateSettings,
    NodeEvent,
    NodeId,
    NodeStarted,
    NodeStopped,
    SupervisorGaveUp,
    Version,
    node_stream,
)
from taskmaster.model.control import SetGate
from taskmaster.model.windows import next_change_at
from taskmaster.supervision import ChildSpec, Down, kill, stop, watch

IN_FLIGHT = 512
"""Attempts in flight of the whole node, by default."""
RECORD_S = 10
"""A process that cannot write that it opened the log for so many seconds does not serve."""


class NodeSettings(Struct, frozen=True):
    """Who this process is. `silent_ns` is how long the log had no owner that was alive."""

    node: NodeId
    boot_id: str
    anchor_ns: int
    epoch: Epoch
    pid: int
    software: str
    silent_ns: int = 0
    in_flight: int = IN_FLIGHT


class Node:
    """One process of TaskMaster. On the loop's thread."""

    def __init__(  # noqa: PLR0913  # one for each port
        self,
        settings: NodeSettings,
        *,
        committer: Committer,
        reader: Reader,
        questions: Reader | None = None,
        clock: Clock,
        rng: Rng,
        ids: Ids,
        sender: Sender,
        fatal: Callable[[str], None],
        signers: Callable[[GateName], tuple[Signer, ...]] = lambda _gate: (),
        incident: Callable[[Incident], None] = lambda _incident: None,
        alerts: AlertSettings | None = None,
    ) -> None:
        """`fatal` ends the process at once; replay decides what became of it. `incident` hears
        of every crash, restart and giving up. Without `alerts` nobody looks for any."""
        self.settings = settings
        self.store = StoreState()
        self.journal_line = JournalLine()
        self.slots = Slots(settings.in_flight)
        self.ports = Ports(
            clock=clock,
            rng=rng,
            ids=ids,
            sender=sender,
            reader=reader,
            journal=self.journal_line,
            store=self.store,
            slots=self.slots,
            signers=signers,
        )
        self.reader = reader if questions is None else questions
        """For questions from outside: it says at once when the store is away."""
        self._committer = committer
        self._fatal = fatal
        self._incident = incident
        self._alert_settings = alerts
        self.alerts: AlertsActor | None = None
        self._version = NEW
        self.hangs = 0
        """How often a handler held the loop for too long."""
        self._followers: list[Callable[[Commit], None]] = []
        self._root: Supervisor | None = None
        self._gates: GatesActor | None = None
        self._intake: Intake | None = None
        self._bulks: Bulks | None = None

    @property
    def bulks(self) -> Bulks:
        """What changes many tasks at once; there once `start` has returned."""
        assert self._bulks is not None
        return self._bulks

    @property
    def intake(self) -> Intake:
        """The way in; there once `start` has returned."""
        assert self._intake is not None
        return self._intake

    @property
    def gates(self) -> GatesActor:
        """The gates of this node's shard."""
        assert self._gates is not None
        return self._gates

    def follow(self, follower: Callable[[Commit], None]) -> None:
        """Have `follower` called on the loop after each commit, in log order; it is short."""
        self._followers.append(follower)

    async def start(self) -> None:
        """Open the log for work: nothing here is proportional to what waits."""
        clock, reader = self.ports.clock, self.ports.reader
        children = [
            ChildSpec("journal", self._start_journal),
            ChildSpec("gates", self._start_gates),
        ]
        if self._alert_settings is not None:  # if it gives up, the rest goes on without it
            children.append(
                ChildSpec("alerts", self._start_alerts, restart="transient", type="supervisor")
            )
        self._root = Supervisor(
            "node",
            tuple(children),
            mono_ns=clock.mono,
            listener=self._heard,
            strategy="rest_for_one",
            intensity=0,
        )
        watch(self._root.launch(), self._root_down)
        settings = self.settings
        await self._record(
            NodeStarted(
                at=clock.wall(),
                boot_id=settings.boot_id,
                anchor_ns=settings.anchor_ns,
                epoch=settings.epoch,
                pid=settings.pid,
                software=settings.software,
            )
        )
        rows = await reader.gate_rows()
        self.intake.know(rows)
        await self.gates.quarantine.know(rows)
        self.ports.families.begin(rows)
        # whoever has an attempt open ends it as interrupted as soon as it is restored
        open_at = {attempt.gate for attempt in await reader.open_attempts(limit=1_000_000)}
        changes = {row.gate: next_change_at(row.paused_until, row.windows) for row in rows}
        self.gates.begin(await reader.next_dues(), open_at, settings.silent_ns, changes)
        await self.bulks.resume()

    async def stop(self, grace_s: float) -> None:
        """Start nothing more, let what is in flight end, then close the log in good order."""
        self.ports.is_stopping = True
        try:
            async with asyncio.timeout(grace_s):
                await self.slots.empty()
        except TimeoutError:
            pass  # what is still open is ended as interrupted at the next start
        with contextlib.suppress(StoreUnavailableError):  # the next start sees that it is missing
            await self._record(NodeStopped(at=self.ports.clock.wall()))
        await self.bulks.stop()
        assert self._root is not None
        root, self._root = self._root, None
        await stop(root.actor_ref)

    def tree(self) -> Iterator[Place]:
        """The supervision tree as it stands: each part before those below it."""
        assert self._root is not None
        return places(self._root, self.gates)

    def detail(self, path: str) -> Detail | None:
        """All that is known of one place, or None where there is nothing."""
        assert self._root is not None
        return detail(self._root, self.gates, path)

    def restart(self, path: str, cause: Cause) -> bool:
        """End one actor of a gate, so that its supervisor starts it again; False where there is
        none."""
        ref = self.gates.actor_at(path)
        if ref is None:
            return False
        at = self.ports.clock.wall()
        self._note(ActorRestartAsked(at=at, cause=cause, path=path))
        kill(ref)
        return True

    def _start_journal(self) -> "pykka.ActorRef[Any]":
        journal = self.journal_line.journal = JournalActor(
            self._committer,
            self.ports.clock,
            self.store,
            on_unknown=self._fatal,
            on_back=lambda: self.gates.wake_all(),
            on_commit=self._committed,
        )
        return journal.launch()

    def _committed(self, commit: Commit) -> None:
        for follower in self._followers:
            follower(commit)

    def _start_gates(self) -> "pykka.ActorRef[Any]":
        actor = GatesActor(self.ports, self._heard)
        actor.launch()
        self._gates = actor
        self._intake = Intake(self.ports, actor)
        self._bulks = Bulks(self.ports, self._intake, self._heard)
        return actor.actor_ref

    def _start_alerts(self) -> "pykka.ActorRef[Any]":
        supervisor = Supervisor(
            "node/alerts",
            (ChildSpec("look", self._start_looking),),
            mono_ns=self.ports.clock.mono,
            listener=self._heard,
        )
        return supervisor.launch()

    def _start_looking(self) -> "pykka.ActorRef[Any]":
        assert self._alert_settings is not None
        self.alerts = AlertsActor(self.ports, self.gates, self._alert_settings, self._open_alerts)
        return self.alerts.launch()

    async def _open_alerts(self) -> bool:
        """Open the gate for webhooks about alerts, unless it is there."""
        if await self.ports.reader.gate_rows([ALERTS_GATE]):
            return True
        opened = await self.intake.gate_command(ALERTS_GATE, SetGate(GateSettings(), BECAUSE))
        return isinstance(opened, GateDone)

    def _root_down(self, down: Down) -> None:
        if self._root is not None:
            self._fatal(f"the root supervisor gave up: {down.error!r}")

    # --- the node's own stream ----------------------------------------------------------------

    def _heard(self, incident: Incident) -> None:
        """Every crash, restart and giving up is an event."""
        self._incident(incident)
        at = self.ports.clock.wall()
        match incident:
            case Crashed(path=path, incarnation=incarnation, message=message, error=error):
                text = f"{type(error).__name__}: {error}"[:1_000]
                self._note(
                    ActorCrashed(
                        at=at, path=path, incarnation=incarnation, message=message, error=text
                    )
                )
            case Restarted(path=path, incarnation=incarnation):
                self._note(ActorRestarted(at=at, path=path, incarnation=incarnation))
            case GaveUp(path=path, restarts=restarts):
                self._note(SupervisorGaveUp(at=at, path=path, restarts=restarts))

    def _note(self, event: NodeEvent) -> None:
        self.journal_line.append(Entry(self._next(event), "control", lambda _result: None))

    def _next(self, event: NodeEvent) -> Append:
        """The next of the node's stream, whose one writer this is."""
        write = Write(node_stream(self.settings.node), self._version, (event,))
        self._version = Version(self._version + 1)
        return Append((write,))

    async def _record(self, event: Event) -> None:
        assert isinstance(event, NodeEvent)
        try:
            async with asyncio.timeout(RECORD_S):
                result = await self.journal_line.commit(self._next(event), "control")
        except TimeoutError:
            raise StoreUnavailableError(
                f"the store takes no commit: {self.store.error or 'no answer'}",
                remedy="free its disk or end what locks it, and start again",
            ) from None
        assert isinstance(result, Committed), "another writer of the node's stream"
