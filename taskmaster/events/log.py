"""The log as the rest of the program sees it: what can be appended, what can be read.

Rules of residence: value types and ports only. A `Committer` makes appends durable, one batch a
transaction, together with the task index; a `Reader` answers questions from committed state.
The production pair lives on threads (`actors/threads.py`), the simulated pair in virtual time;
both stand on one store class for each database (`events/sqlite.py`).
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from taskmaster.events.split import WHOLE, Missing, Split
from taskmaster.events.types import (
    AnyEvent,
    BulkId,
    GateName,
    GateSettings,
    Group,
    Mono,
    Position,
    SeriesName,
    Stream,
    TaskId,
    Version,
    Wall,
    Window,
)


class Write(Struct, frozen=True, gc=False):
    """Events for one stream, which must stand at `expected`. No events: only the check."""

    stream: Stream
    expected: Version
    events: tuple[AnyEvent, ...] = ()


class Append(Struct, frozen=True, gc=False):
    """Any mix of streams, all or nothing."""

    writes: tuple[Write, ...]


class Committed(Struct, frozen=True, gc=False):
    """Durable. `position` is that of the append's last event."""

    position: Position


class VersionConflict(Struct, frozen=True, gc=False):
    """Someone else decided first: `stream` stands at `actual`. Nothing of the append is stored."""

    stream: Stream
    actual: Version


class KeyTaken(Struct, frozen=True, gc=False):
    """The idempotency key belongs to `task`; `same` when the fingerprint is the same too.

    Nothing of the append is stored. When the first user of the key is in the same batch, the
    answer comes with its commit; when it is in the same append, `task` is not stored either.
    """

    task: TaskId
    same: bool


AppendResult = Committed | VersionConflict | KeyTaken


class NotStored(Struct, frozen=True):
    """The store took nothing of the batch and said so (busy, full, read-only): it may be tried
    again."""

    error: str


class Unknown(Struct, frozen=True):
    """The store failed in a way that leaves open whether the batch is stored. Whoever appended
    must not go on with what it has in memory."""

    error: str


BatchResult = list[AppendResult] | NotStored | Unknown

# --- the index --------------------------------------------------------------------------------

RowState = Literal[
    "waiting", "in_flight", "awaiting", "uncertain", "succeeded", "dead", "cancelled", "expired"
]
"""A task's state as the index keeps it; `waiting` covers scheduled, which time alone decides."""
OPEN_STATES: tuple[RowState, ...] = ("waiting", "in_flight", "awaiting", "uncertain")


RowControl = Literal["running", "paused", "draining", "closed"]
RowMode = Literal["open", "tripped", "probing", "ramping"]


class TaskRow(Struct, frozen=True):
    """Where one task stands. `number` is the position of its submission. `attempts` counts the
    sends (starts less voided ones). `held`: not the head of its order key, or its series is
    paused."""

    task: TaskId
    number: Position
    gate: GateName
    state: RowState
    version: Version
    priority: int
    due_at: Wall
    submitted_at: Wall
    changed_at: Wall
    attempts: int
    url: str
    expires_at: Wall | None = None
    fair_key: str = ""
    order_key: str = ""
    series: SeriesName | None = None
    nominal_at: Wall | None = None
    held: bool = False


class OpenAttempt(Struct, frozen=True):
    """A start without an end."""

    task: TaskId
    gate: GateName
    attempt: int
    slot_at: Mono
    position: Position


class OutcomeBucket(Struct, frozen=True):
    """Ended attempts of one second (since 1970) of one gate; `failed` is the endpoint's fault. The
    others took `took_ns` together."""

    second: int
    ended: int
    failed: int
    took_ns: int


class GateTraffic(Struct, frozen=True):
    """What a gate's state needs from its tasks' attempts.

    `buckets` are those since the gate's last change of mode, at most the newest 120 seconds;
    `failures_in_row` is counted since then too. `last_start` and `last_start_position` belong to
    the newest `AttemptStarted` of the gate: its `tats`. `throttled_until` is the latest asked for.
    """

    open: tuple[OpenAttempt, ...] = ()
    buckets: tuple[OutcomeBucket, ...] = ()
    failures_in_row: int = 0
    last_tats: tuple[Mono, ...] = ()
    last_start_position: Position = Position(0)
    throttled_until: Mono = Mono(0)


class GateSnapshot(Struct, frozen=True):
    """All that a gate's fold needs, from one snapshot of the log at `position`."""

    position: Position
    events: "tuple[Recorded, ...]"
    traffic: GateTraffic


class GateRow(Struct, frozen=True):
    """A gate's counters and where its own stream stands; `counts` by row state.

    `mode` and `control` name the last event that changed them; `settings` are the last set.
    `attempts` counts starts less voided ones, `failures` those that failed by the endpoint's or
    the task's fault, since the gate's beginning.
    """

    gate: GateName
    version: Version
    counts: dict[RowState, int]
    settings: GateSettings
    control: RowControl = "running"
    mode: RowMode = "open"
    paused_until: Wall | None = None
    windows: tuple[Window, ...] = ()
    quarantined_until: Wall | None = None
    implicit: bool = False
    attempts: int = 0
    failures: int = 0


class Due(Struct, frozen=True):
    """What waits at a gate and is due. `eligible` tasks are held by nothing, `oldest_at` is the
    due time of the oldest of them; the others are held by their order key or by a paused series.
    """

    eligible: int = 0
    oldest_at: Wall | None = None
    by_order: int = 0
    by_series: int = 0


class Ahead(Struct, frozen=True):
    """What waits at a gate at one position of the log: what is due at an instant, and how many
    tasks become due after it in each minute (since 1970), none that is held among them."""

    position: Position
    due: Due
    minutes: tuple[tuple[int, int], ...] = ()


RowGateState = Literal[
    "open", "tripped", "probing", "ramping", "paused", "draining", "closed", "quarantined"
]


class GateFilter(Struct, frozen=True):
    """Which gates a list shows; empty matches everything. Those `quarantined` are,
    whatever their rows say."""

    states: tuple[RowGateState, ...] = ()
    quarantined: tuple[GateName, ...] = ()


class BusiestGates(Struct, frozen=True):
    """The gates with most that waits or is in flight, and the sums of all others by row state."""

    rows: tuple[GateRow, ...]
    others: dict[RowState, int]


class SeriesRow(Struct, frozen=True):
    """A series and its open task."""

    series: SeriesName
    gate: GateName
    version: Version
    state: Literal["active", "paused", "ended"]
    open_task: TaskId | None


class BulkRow(Struct, frozen=True):
    """Where the stream of a bulk stands. `number` is the position of its beginning."""

    bulk: BulkId
    number: Position
    version: Version
    ended: bool


class Recorded(Struct, frozen=True):
    """One event with its place."""

    position: Position
    stream: Stream
    version: Version
    event: AnyEvent


class WaitingTask(Struct, frozen=True):
    """One task of a page with the whole of its stream, oldest first. `number` as in its row."""

    task: TaskId
    number: Position
    events: tuple[AnyEvent, ...]


class Page(Struct, frozen=True):
    """What comes next in a gate: eligible tasks, those of one group and lane (the tasks with one
    `fair_key`) in order of rank, at a snapshot of the log.

    `complete`: no eligible task is missing. Otherwise `missing` says of which groups, and there
    of which lanes, more may be in the index than is here. `next_due_at`:
    the earliest due time after `now` of a task that waits, or None. `expired` are tasks that
    wait, held ones included, whose `expires_at` has passed (at most 500); with that many the page
    may be short, though more is eligible.
    """

    position: Position
    complete: bool
    tasks: tuple[WaitingTask, ...]
    next_due_at: Wall | None
    missing: dict[Group, Missing] = {}
    next_expiry_at: Wall | None = None
    expired: tuple[TaskId, ...] = ()


class TaskFilter(Struct, frozen=True):
    """Which tasks a list shows; empty fields match everything."""

    gate: GateName | None = None
    states: tuple[RowState, ...] = ()
    series: SeriesName | None = None
    key: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    due_before: Wall | None = None
    due_after: Wall | None = None
    fair_key: str = ""


class Committer(Protocol):
    """Makes batches durable, one at a time, in order."""

    async def commit(self, batch: Sequence[Append]) -> BatchResult:
        """Store what can be stored of `batch`; one result for each append, in order."""
        ...


class Reader(Protocol):
    """Answers from committed state. Every answer is bounded."""

    async def page(
        self,
        gate: GateName,
        now: Wall,
        *,
        limit: int,
        aging_ns: int,
        max_bytes: int,
        ahead_ns: int = 0,
        split: Split = WHOLE,
    ) -> Page:
        """What comes next in `gate`, by `due_at - priority * aging_ns`, then by number.

        The groups of `split` that have something share the page. Where several lanes of one are
        eligible, each gives its best, as many as the others; of more lanes than a page has room
        for, those whose keys follow the last one in a circle.

        With `ahead_ns` tasks that become due within it are there too, and `complete` and
        `next_due_at` speak of `now + ahead_ns`; `expired` always speaks of `now`.
        """
        ...

    async def task_events(self, task: TaskId) -> tuple[Recorded, ...]:
        """A task's stream; empty when there is no such task."""
        ...

    async def stream(
        self, stream: Stream, *, after: Version = Version(0), limit: int = 1_000
    ) -> tuple[Recorded, ...]:
        """A stream from after a version on; bounded as `events` is."""
        ...

    async def events(
        self, *, after: Position, limit: int = 1_000, streams_like: str = ""
    ) -> tuple[Recorded, ...]:
        """The log from after a position on; `streams_like` is a prefix.

        Answers are bounded by bytes too, so one may be shorter than `limit`; only an empty one is
        the end.
        """
        ...

    async def gate_snapshot(self, gate: GateName) -> GateSnapshot:
        """A gate's own stream and its traffic, at one position."""
        ...

    async def gate_rows(self, names: Sequence[GateName] = ()) -> tuple[GateRow, ...]:
        """Counters of these gates, or of all."""
        ...

    async def gate_page(
        self, match: GateFilter, *, after: str = "", limit: int = 100
    ) -> tuple[GateRow, ...]:
        """Matching gates by name, from after a name on."""
        ...

    async def busiest_gates(self, *, limit: int) -> BusiestGates:
        """The busiest `limit` gates, and what all others hold."""
        ...

    async def series_row(self, name: SeriesName) -> SeriesRow | None:
        """One series, or None."""
        ...

    async def series_rows(self, *, after: str = "", limit: int = 100) -> tuple[SeriesRow, ...]:
        """Series by name, from after a name on."""
        ...

    async def bulk_row(self, bulk: BulkId) -> BulkRow | None:
        """One bulk, or None."""
        ...

    async def bulk_rows(
        self, *, before: Position | None = None, limit: int = 100, running: bool = False
    ) -> tuple[BulkRow, ...]:
        """Bulks, or only those that have not ended, newest first, from before a number on."""
        ...

    async def task_row(self, task: TaskId) -> TaskRow | None:
        """Where a task stands, or None."""
        ...

    async def task_rows(
        self, match: TaskFilter, *, before: Position | None = None, limit: int = 100
    ) -> tuple[TaskRow, ...]:
        """Matching tasks, newest first, from before a number on."""
        ...

    async def open_attempts(self, *, limit: int = 500) -> tuple[OpenAttempt, ...]:
        """Starts without an end, oldest first, over all gates."""
        ...

    async def next_dues(self) -> dict[GateName, Wall]:
        """For each gate with something waiting that is not held: its earliest due time."""
        ...

    async def due(self, gates: Sequence[GateName], now: Wall) -> dict[GateName, Due]:
        """What waits at these gates and is due at `now`."""
        ...

    async def ahead(self, gate: GateName, now: Wall, *, minutes: int) -> Ahead:
        """What is due at `now` at a gate, and what becomes due in so many minutes after it."""
        ...

    async def position(self) -> Position:
        """The position of the newest event, or 0."""
        ...
