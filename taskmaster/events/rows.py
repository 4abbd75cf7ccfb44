"""The rows of the task index: what a fold reads and leaves behind.

Rules of residence: shapes and numbers that every database shares; no SQL and no decisions. The
field names of an entry are the column names of its table, in the same order.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from taskmaster.events.log import RowControl, RowMode, RowState
from taskmaster.events.types import (
    DAY,
    BulkId,
    GateName,
    Mono,
    Position,
    SeriesName,
    Stream,
    TaskId,
    Version,
    Wall,
)

STATES: tuple[RowState, ...] = (
    "waiting",
    "in_flight",
    "awaiting",
    "uncertain",
    "succeeded",
    "dead",
    "cancelled",
    "expired",
)
"""A state's number in the table is its place here."""
WAITING, IN_FLIGHT, AWAITING, UNCERTAIN, SUCCEEDED, DEAD, CANCELLED, EXPIRED = range(8)
LAST_OPEN = UNCERTAIN
"""States up to this number are open."""

KEY_LIFE_NS = 7 * DAY
"""How long an idempotency key outlives its task (semantics 2.6)."""
BUCKET_SECONDS = 120
"""How far back from its newest outcome a gate keeps them; twice the default window of a trip."""
PRIORITIES = range(10)
REDRIVEN = 10
"""A task's band, the range it is read from: its priority, so much more once it was redriven."""

HELD_BY_ORDER = 1
HELD_BY_SERIES = 2

DuePlace = tuple[GateName, int, int]
"""Where tasks that wait are counted: gate, what holds them (0: nothing), minute of the due time."""

LanePlace = tuple[GateName, str, int]
"""Where tasks with a `fair_key` wait: gate, that key, band."""

SERIES_STATES = ("active", "paused", "ended")
ACTIVE, PAUSED, ENDED = range(3)

CONTROLS: tuple[RowControl, ...] = ("running", "paused", "draining", "closed")
RUNNING, PAUSED_GATE, DRAINING, CLOSED = range(4)
MODES: tuple[RowMode, ...] = ("open", "tripped", "probing", "ramping")
OPEN, TRIPPED, PROBING, RAMPING = range(4)

Line = tuple[GateName, str]
"""The tasks of one gate with one order key."""

# --- rows -------------------------------------------------------------------------------------


class TaskEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `task`. `held` is a set of bits, one for each reason; `started` the position of
    the open `AttemptStarted`, or 0."""

    number: Position
    id: TaskId
    gate: GateName
    state: int
    version: Version
    priority: int
    band: int
    due_at: Wall
    submitted_at: Wall
    changed_at: Wall
    attempts: int
    url: str
    expires_at: Wall | None
    fair_key: str
    order_key: str
    series: SeriesName | None
    nominal_at: Wall | None
    held: int
    key: str
    started: Position


class GateEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `gate`: where its stream stands, counts by state, and what its newest attempts
    left behind.

    `windows` is the JSON of the planned downtimes that are not over, `settings` that of the last
    settings; `mode` and `control` are places in their tuples.
    `tats` is the JSON of the newest start's theoretical arrival times; `newest_second` that of
    the newest outcome since the last change of mode, or 0.
    """

    name: GateName
    version: Version = Version(0)
    waiting: int = 0
    in_flight: int = 0
    awaiting: int = 0
    uncertain: int = 0
    succeeded: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0
    attempts: int = 0
    failures: int = 0
    failures_in_row: int = 0
    tats: str = "[]"
    last_start: Position = Position(0)
    throttled_until: Mono = Mono(0)
    newest_second: int = 0
    settings: str = "{}"
    control: int = RUNNING
    mode: int = OPEN
    paused_until: Wall | None = None
    windows: str = "[]"
    quarantined_until: Wall | None = None
    implicit: int = 0


class SeriesEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `series`. `latest` is the newest occurrence's task, `open` while it is open."""

    name: SeriesName
    gate: GateName
    version: Version
    state: int
    latest: TaskId | None = None
    open: bool = False


class KeyEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `key`. `dead_at` is the end of its task plus `KEY_LIFE_NS`, None while open."""

    gate: GateName
    key: str
    task: TaskId
    fingerprint: str
    dead_at: Wall | None = None


class AttemptEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `attempt`; `outcome` is that of the event, or succeeded or voided."""

    position: Position
    gate: GateName
    task: TaskId
    attempt: int
    slot_at: Mono
    ended_position: Position | None = None
    ended_at: Wall | None = None
    outcome: str | None = None


class BulkEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `bulk`: where its stream stands. `number` is the position of its beginning."""

    id: BulkId
    number: Position
    version: Version
    ended: bool


class LabelEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `label`."""

    key: str
    value: str
    number: Position


class BucketEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `due_bucket`: how many wait at a `DuePlace`."""

    gate: GateName
    held: int
    minute: int
    count: int


class LaneEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `lane`: a `LanePlace`, how many wait there, and the next of them. Only of tasks
    with a key: gates without any write no row."""

    gate: GateName
    fair_key: str
    band: int
    waiting: int
    next_due_at: Wall | None = None
    next_number: Position | None = None


class OutcomeEntry(Struct, frozen=True, array_like=True, gc=False):
    """One row of `outcome`: ended attempts of one gate in one second."""

    gate: GateName
    second: int
    ended: int
    failed: int
    took_ns: int


class Ends(Struct):
    """Ended attempts of one gate in one second; those that did not fail took `took_ns` together."""

    ended: int = 0
    failed: int = 0
    took_ns: int = 0


class Rows(Struct):
    """What a batch may touch, as committed. `lines` holds, for each line the batch touches, its
    lowest open tasks: one more than the batch touches of those stored before. Those tasks and the
    open ones of `series` are in `tasks` too."""

    tasks: Mapping[TaskId, TaskEntry]
    gates: Mapping[GateName, GateEntry]
    series: Mapping[SeriesName, SeriesEntry]
    lines: Mapping[Line, Sequence[TaskId]]


class Changes(Struct):
    """What a batch leaves behind: new rows, changed rows, and sums to add.

    `stepped` are tasks of which an attempt started or ended and nothing else has changed.

    Apply in the order of the fields: `cleared` before `outcomes`, these before `forgotten`;
    `keys` before `key_ends`, which apply only where the key still belongs to the task. `lanes`
    names every lane in which something moved, though its sum be 0: its next due time is that of
    the task rows once they are written. `altered` are those of the two of which the gate,
    the URL or the priority is another; `bulk_moves` are about bulks that have a row, without their
    numbers.
    """

    submitted: list[TaskEntry] = field(default_factory=list[TaskEntry])
    stepped: list[TaskEntry] = field(default_factory=list[TaskEntry])
    changed: list[TaskEntry] = field(default_factory=list[TaskEntry])
    altered: list[TaskEntry] = field(default_factory=list[TaskEntry])
    labels: list[LabelEntry] = field(default_factory=list[LabelEntry])
    keys: list[KeyEntry] = field(default_factory=list[KeyEntry])
    key_ends: list[KeyEntry] = field(default_factory=list[KeyEntry])
    starts: list[AttemptEntry] = field(default_factory=list[AttemptEntry])
    ends: list[AttemptEntry] = field(default_factory=list[AttemptEntry])
    gates: list[GateEntry] = field(default_factory=list[GateEntry])
    series: list[SeriesEntry] = field(default_factory=list[SeriesEntry])
    bulks: list[BulkEntry] = field(default_factory=list[BulkEntry])
    bulk_moves: list[BulkEntry] = field(default_factory=list[BulkEntry])
    due: dict[DuePlace, int] = field(default_factory=dict[DuePlace, int])
    lanes: dict[LanePlace, int] = field(default_factory=dict[LanePlace, int])
    cleared: set[GateName] = field(default_factory=set[GateName])
    outcomes: dict[tuple[GateName, int], Ends] = field(
        default_factory=dict[tuple[GateName, int], Ends]
    )
    forgotten: set[tuple[GateName, int]] = field(default_factory=set[tuple[GateName, int]])


def task_of(stream: Stream) -> TaskId:
    """The task whose stream this is."""
    return TaskId(stream.removeprefix("task-"))


def series_of(stream: Stream) -> SeriesName:
    """The series whose stream this is."""
    return SeriesName(stream.removeprefix("series-"))


def bulk_of(stream: Stream) -> BulkId:
    """The bulk whose stream this is."""
    return BulkId(stream.removeprefix("bulk-"))


def gate_of(stream: Stream) -> GateName:
    """The gate whose stream this is."""
    return GateName(stream.removeprefix("gate-"))
