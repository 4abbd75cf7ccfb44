"""Gates whose unit gave up: left alone for a while, one by one, and let go again.

Rules of residence: writes the stream of a gate that has no actor, `GateQuarantined` and
`GateReleased` and nothing else. It needs the gate's row and never its fold, which may be what the
unit crashes on. What is told to such a gate is refused with the way out, or is in the log anyway.
"""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from taskmaster.actors.journal import Refused
from taskmaster.actors.line import Ports
from taskmaster.actors.messages import CommandGiven, GateCommandGiven, SeriesCommandGiven
from taskmaster.events.log import Append, AppendResult, Committed, GateRow, VersionConflict, Write
from taskmaster.events.types import (
    BY_RULE,
    DAY,
    HOUR,
    MINUTE,
    Cause,
    GateEvent,
    GateName,
    GateQuarantined,
    GateReleased,
    Version,
    Wall,
    gate_stream,
)
from taskmaster.model.rejected import Rejected

COOL_OFF_NS = 5 * MINUTE
MOST_COOL_OFF_NS = DAY
AGAIN_NS = HOUR
"""A gate that gives up again within this time of its release is left alone twice as long."""


class Held(Struct, frozen=True):
    """A gate in quarantine since `since`; `error` is what its unit crashed on last."""

    since: Wall
    until: Wall
    error: str


class Quarantine:
    """The gates of one shard that are left alone. On the loop's thread."""

    def __init__(self, ports: Ports) -> None:
        """None so far."""
        self._ports = ports
        self._held: dict[GateName, Held] = {}
        self._before: dict[GateName, tuple[Wall, int]] = {}
        self._writing: dict[GateName, asyncio.Lock] = {}

    async def know(self, rows: Sequence[GateRow]) -> None:
        """Take over what the log has."""
        for row in rows:
            if row.quarantined_until is not None:
                self._held[row.gate] = await self._recorded(row)

    @property
    def ends(self) -> dict[GateName, Wall]:
        """Until when each is left alone."""
        return {gate: held.until for gate, held in self._held.items()}

    async def _recorded(self, row: GateRow) -> Held:
        """What the newest event of its stream says, and no other: one of them may be unreadable."""
        (record,) = await self._ports.reader.stream(
            gate_stream(row.gate), after=Version(row.version - 1), limit=1
        )
        event = record.event
        assert isinstance(event, GateQuarantined), f"{row.gate} was written to in quarantine"
        return Held(event.at, event.until, event.error)

    @property
    def held(self) -> set[GateName]:
        """The gates that are left alone."""
        return set(self._held)

    def get(self, gate: GateName) -> Held | None:
        """How a gate is held, or None where it is free."""
        return self._held.get(gate)

    def hold(self, gate: GateName, error: str) -> Wall:
        """Leave a gate alone from now on; until when."""
        now = self._ports.clock.wall()
        released_at, before_ns = self._before.get(gate, (Wall(0), 0))
        again = before_ns > 0 and now - released_at < AGAIN_NS
        cool_off_ns = min(2 * before_ns, MOST_COOL_OFF_NS) if again else COOL_OFF_NS
        until = Wall(now + cool_off_ns)
        self._held[gate] = Held(now, until, error)
        self._before[gate] = (now, cool_off_ns)
        return until

    async def record(self, gate: GateName, cause: Cause = BY_RULE) -> None:
        """Write that a gate is held."""
        held = self._held[gate]
        event = GateQuarantined(
            at=held.since,
            cause=cause,
            mono=self._ports.clock.mono(),
            until=held.until,
            error=held.error,
        )
        await self._append(gate, event)

    async def release(self, gate: GateName, cause: Cause = BY_RULE) -> int:
        """End a gate's quarantine; how long it lasted, 0 if another was faster."""
        clock = self._ports.clock
        at = clock.wall()
        await self._append(gate, GateReleased(at=at, cause=cause, mono=clock.mono()))
        held = self._held.pop(gate, None)
        if held is None:
            return 0
        _, cool_off_ns = self._before.get(gate, (at, COOL_OFF_NS))
        self._before[gate] = (at, cool_off_ns)
        return max(1, at - held.since)

    def refuse(self, gate: GateName, mail: object) -> None:
        """Answer who asks something of a gate that is held; tasks that came are in the index."""
        if isinstance(mail, CommandGiven | GateCommandGiven | SeriesCommandGiven):
            held = self._held[gate]
            mail.answer(
                Rejected(
                    "conflict",
                    "gate",
                    f"gate {gate} is quarantined, for it crashed too often: {held.error}",
                    f"mend the cause and release it (`taskmaster gate release {gate}`)",
                )
            )

    async def _append(self, gate: GateName, event: GateEvent) -> None:
        """Write one event behind whatever the gate's last life wrote."""
        async with self._writing.setdefault(gate, asyncio.Lock()):
            while True:
                (row,) = await self._ports.reader.gate_rows([gate])
                if (row.quarantined_until is not None) is isinstance(event, GateQuarantined):
                    return  # it is so already
                result = await self._commit(gate, row.version, event)
                if not isinstance(result, VersionConflict):
                    assert isinstance(result, Committed)
                    return

    async def _commit(
        self, gate: GateName, version: Version, event: GateEvent
    ) -> AppendResult | Refused:
        append = Append((Write(gate_stream(gate), version, (event,)),))
        return await self._ports.journal.commit(append, "control")
