"""Looks at every gate for what needs a person, and tells it: events, and a webhook of one's own.

Rules of residence: the one writer of the stream `alerts`; decides nothing (`model/alerts.py`). What
it knows is a fold of that stream and of the gates' own. A webhook is a task at a gate of its own,
submitted in the commit of the alert's event, so that neither is without the other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct

from taskmaster.actors.gates import GatesActor
from taskmaster.actors.lanes import Waiting
from taskmaster.actors.line import Ports
from taskmaster.events.log import Append, Committed, GateFilter, GateRow, TaskFilter
from taskmaster.events.log import Write as StreamWrite
from taskmaster.events.types import (
    ALERTS,
    NEW,
    SECOND,
    AlertCleared,
    AlertEvent,
    AlertName,
    AlertRaised,
    Cause,
    GateEvent,
    GateName,
    Position,
    Request,
    TaskId,
    TaskSubmitted,
    Version,
    Wall,
    gate_stream,
    task_stream,
)
from taskmaster.model.alerts import (
    Course,
    Numbers,
    Raise,
    Standing,
    Standings,
    fold,
    follow,
    judge,
)
from taskmaster.model.task import fold as fold_task
from taskmaster.supervision import LoopActor

ALERTS_GATE = GateName("taskmaster-alerts")
"""Where webhooks about alerts pass. It has alerts too, but none is sent about it."""
EVERY_S = 5.0
GATES_A_LOOK = 500
"""Beyond so many gates they are looked at in turn: 10,000 take 100 s."""
TOLD_EVENTS = 100
"""Of a gate's stream, at the first look at it in this life of the process."""
MAX_RECENT = 200
BECAUSE = Cause("Alert")


class AlertSettings(Struct, frozen=True):
    """Where alerts are sent; empty: nowhere."""

    webhook_url: str = ""


class Known(Struct):
    """What was seen of one gate."""

    version: Version
    course: Course
    dead: int
    deaths: deque[tuple[Wall, int]]
    uncertain: tuple[int, Wall | None] = (0, None)


class AlertsActor(LoopActor):
    """One for each shard."""

    def __init__(
        self,
        ports: Ports,
        gates: GatesActor,
        settings: AlertSettings,
        open_gate: Callable[[], Awaitable[bool]],
    ) -> None:
        """`gates` is told of the webhooks' tasks, `open_gate` opens the gate for them."""
        super().__init__("node/alerts")
        self._ports = ports
        self._gates = gates
        self._settings = settings
        self._open_gate = open_gate
        self._version = NEW
        self._known: dict[GateName, Known] = {}
        self._told_dead: dict[GateName, int] = {}
        self._after = ""
        self.active: dict[GateName, Standings] = {}
        self.details: dict[str, str] = {}
        self.recent: deque[AlertEvent] = deque(maxlen=MAX_RECENT)

    def on_start(self) -> None:
        """Restore, then look again and again."""
        self.spawn(self._run())

    def on_receive(self, message: object) -> None:
        """Nobody tells it anything."""
        raise AssertionError(f"unknown message {message!r}")

    async def _run(self) -> None:
        await self._restore()
        is_ready = not self._settings.webhook_url
        while True:
            await asyncio.sleep(EVERY_S)
            is_ready = is_ready or await self._open_gate()
            if is_ready:
                await self.look()

    async def _restore(self) -> None:
        """The whole of the stream: a few events a day, for nothing flaps."""
        while records := await self._ports.reader.stream(ALERTS, after=self._version):
            for record in records:
                event = record.event
                assert isinstance(event, AlertEvent)
                self._take(event)
            self._version = records[-1].version

    def _take(self, event: AlertEvent) -> None:
        fold(self.active, event)
        self.recent.append(event)
        self._told_dead[event.gate] = event.dead
        if isinstance(event, AlertRaised):
            self.details[event.alert_id] = event.detail
        else:
            self.details.pop(event.alert_id, None)

    # --- looking ------------------------------------------------------------------------------

    async def look(self) -> None:
        """Look at the next gates, and write what has changed."""
        reader, now = self._ports.reader, self._ports.clock.wall()
        rows = await reader.gate_page(GateFilter(), after=self._after, limit=GATES_A_LOOK)
        self._after = rows[-1].gate if len(rows) == GATES_A_LOOK else ""
        waiting = [row.gate for row in rows if row.counts.get("waiting", 0)]
        dues = await reader.due(waiting, now) if waiting else {}
        events: list[AlertEvent] = []
        for row in rows:
            known = await self._know(row, now)
            oldest_at = dues[row.gate].oldest_at if row.gate in dues else None
            window = row.settings.alerts.window_ns
            while known.deaths and known.deaths[0][0] <= now - window:
                known.deaths.popleft()
            numbers = Numbers(
                oldest_due_at=oldest_at,
                deaths=sum(count for _, count in known.deaths),
                uncertain_since=known.uncertain[1],
                course=known.course,
            )
            events += self._judged(row, numbers, now)
        if events:
            await self._tell(events)

    async def _know(self, row: GateRow, now: Wall) -> Known:
        """Fold what is new of a gate since the last look."""
        dead = row.counts.get("dead", 0)
        known = self._known.get(row.gate)
        if known is None:
            after = Version(max(0, row.version - TOLD_EVENTS))
            # those that nobody was told of yet, of this life or of one before
            told = min(dead, self._told_dead.get(row.gate, 0))
            known = self._known[row.gate] = Known(after, Course(), told, deque())
            standing = self.active.get(row.gate, {}).get("dead_letters")
            if standing is not None:  # those it told of count for the rest of the window
                known.deaths.append((standing.told_at, 1))
        while known.version < row.version:
            records = await self._ports.reader.stream(gate_stream(row.gate), after=known.version)
            for record in records:
                if isinstance(record.event, GateEvent):
                    known.course = follow(known.course, record.event)
            known.version = records[-1].version
        if dead > known.dead:
            known.deaths.append((now, dead - known.dead))
        known.dead = dead
        uncertain = row.counts.get("uncertain", 0)
        if uncertain != known.uncertain[0]:
            known.uncertain = (uncertain, await self._uncertain_since(row.gate))
        return known

    async def _uncertain_since(self, gate: GateName) -> Wall | None:
        """Since when the one that has been held longest is, of the newest thousand."""
        match = TaskFilter(gate=gate, states=("uncertain",))
        rows = await self._ports.reader.task_rows(match, limit=1_000)
        return min((row.changed_at for row in rows), default=None)

    def _judged(self, row: GateRow, numbers: Numbers, now: Wall) -> list[AlertEvent]:
        standings = self.active.get(row.gate, {})
        changes, kept = judge(row.settings.alerts, numbers, standings, now)
        if standings:
            self.active[row.gate] = kept
        dead = self._known[row.gate].dead
        events: list[AlertEvent] = []
        for change in changes:
            standing = standings.get(change.alert)
            alert_id = standing.id if standing is not None else str(self._ports.ids.task_id())
            if isinstance(change, Raise):
                events.append(
                    AlertRaised(
                        at=now,
                        gate=row.gate,
                        alert=change.alert,
                        alert_id=alert_id,
                        detail=change.detail,
                        again=change.again,
                        dead=dead,
                    )
                )
            else:
                events.append(
                    AlertCleared(
                        at=now, gate=row.gate, alert=change.alert, alert_id=alert_id, dead=dead
                    )
                )
        return events

    # --- telling ------------------------------------------------------------------------------

    async def _tell(self, events: Sequence[AlertEvent]) -> None:
        """Write events and their webhooks in one commit."""
        writes = [StreamWrite(ALERTS, self._version, tuple(events))]
        tasks: list[tuple[TaskId, TaskSubmitted]] = []
        if self._settings.webhook_url:
            for event in events:
                if event.gate != ALERTS_GATE:
                    submitted = webhook(event, self._settings.webhook_url)
                    tasks.append((self._ports.ids.task_id(), submitted))
        writes += (StreamWrite(task_stream(task_id), NEW, (one,)) for task_id, one in tasks)
        position = await self._append(Append(tuple(writes)))
        self._version = Version(self._version + len(events))
        for event in events:
            self._take(event)
        first = position - len(tasks) + 1
        items = tuple(
            (Waiting(fold_task(task_id, (one,)), number), number)
            for number, (task_id, one) in (
                (Position(first + i), task) for i, task in enumerate(tasks)
            )
        )
        if items:
            self._gates.came(ALERTS_GATE, items)

    async def _append(self, append: Append) -> Position:
        result = await self._ports.journal.commit(append, "control")
        assert isinstance(result, Committed), f"another writer of the alerts: {result!r}"
        return result.position


class _Sent(Struct, frozen=True):
    type: str
    at_unix_seconds: int
    alert_id: str
    gate: str
    alert: str
    detail: str
    again: bool


def webhook(event: AlertEvent, url: str) -> TaskSubmitted:
    """The task that tells of an alert. Its key is the alert's, for each time that it is told."""
    is_raised = isinstance(event, AlertRaised)
    verb = "raised" if is_raised else "cleared"
    body = _Sent(
        type=f"alert.{verb}",
        at_unix_seconds=event.at // SECOND,
        alert_id=event.alert_id,
        gate=event.gate,
        alert=event.alert,
        detail=event.detail if is_raised else "",
        again=is_raised and event.again,
    )
    return TaskSubmitted(
        at=event.at,
        cause=BECAUSE,
        gate=ALERTS_GATE,
        request=Request(
            url=url,
            headers=(("content-type", "application/json"),),
            body=msgspec.json.encode(body),
        ),
        due_at=event.at,
        key=f"{event.alert_id}-{verb}-{event.at}",
        fingerprint=event.alert_id,
    )


def raised_by(actor: AlertsActor | None) -> list[tuple[GateName, AlertName, Standing, str]]:
    """All that is raised: gate, alert, standing, and what it is about."""
    if actor is None:
        return []
    return [
        (gate, alert, standing, actor.details.get(standing.id, ""))
        for gate, standings in sorted(actor.active.items())
        for alert, standing in standings.items()
    ]
