"""What the actors of a shard tell one another.

Rules of residence: frozen structs, each saying what its receiver learns; none is durable. Replies
to callers outside are given through `Answer`, a callable that runs on the loop and is short.
"""

from collections.abc import Callable

from msgspec import Struct

from taskmaster.actors.ending import Successor
from taskmaster.actors.journal import Refused
from taskmaster.actors.lanes import Waiting
from taskmaster.events.log import GateSnapshot, Page
from taskmaster.events.types import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    GateName,
    Mono,
    Position,
    SeriesName,
    TaskEvent,
    TaskId,
    Wall,
)
from taskmaster.model.control import GateCommand
from taskmaster.model.gate import Gate
from taskmaster.model.rejected import Rejected
from taskmaster.model.series import Series, SeriesCommand
from taskmaster.model.task import Task
from taskmaster.model.task_control import TaskCommand


class CommandDone(Struct, frozen=True):
    """A task command's answer: the task it met and the task after it."""

    before: Task
    after: Task


class GateDone(Struct, frozen=True):
    """A gate command's answer: the gate after it."""

    gate: Gate


CommandAnswer = CommandDone | GateDone | Rejected | Refused
AnswerTo = Callable[[CommandAnswer], None]


class TasksCame(Struct, frozen=True, gc=False):
    """Tasks began to wait by commits at these positions."""

    items: tuple[tuple[Waiting, Position], ...]


class StartLost(Struct, frozen=True, gc=False):
    """A start was refused: someone else decided first."""

    task: TaskId


class AttemptEnded(Struct, frozen=True, gc=False):
    """An attempt's end is durable."""

    event: AttemptSucceeded | AttemptFailed | AttemptVoided
    task: Task
    number: Position
    position: Position
    cancelled: bool = False
    successor: Successor | None = None


class TaskCrashed(Struct, frozen=True):
    """A task's actor met a bug."""

    task: TaskId
    started: AttemptStarted
    number: Position
    error: str


class CommandGiven(Struct, frozen=True):
    """A person's wish about one task of the gate."""

    task: TaskId
    command: TaskCommand
    answer: AnswerTo


class GateCommandGiven(Struct, frozen=True):
    """A person's wish about the gate."""

    command: GateCommand
    answer: AnswerTo


class SnapshotRead(Struct, frozen=True):
    """What the gate's fold needs."""

    snapshot: GateSnapshot


class PageRead(Struct, frozen=True):
    """A page that was asked for at `now`."""

    page: Page
    now: Wall
    ahead_ns: int


class OwnAppended(Struct, frozen=True):
    """The gate's own events are durable (`committed`), or someone else wrote its stream."""

    committed: bool


class TaskDecided(Struct, frozen=True):
    """A decision about a task that is not in flight has been committed."""

    task: Task
    number: Position
    position: Position
    events: tuple[TaskEvent, ...]
    successor: Successor | None = None


class SeriesCommandGiven(Struct, frozen=True):
    """A person's wish about a series that lives in this gate."""

    series: SeriesName
    command: SeriesCommand
    answer: Callable[[Series | Rejected], None]


class SeriesDecided(Struct, frozen=True):
    """A series was paused, resumed, changed or ended; its open task may have been held."""

    open_task: TaskId | None


class RestRefused(Struct, frozen=True):
    """Mail was on its way, or was lost with an incarnation before: `routed` is what to count on."""

    routed: int


class RestAsked(Struct, frozen=True):
    """A gate has nothing to do before `next_at`; `heard` counts the messages it has had."""

    gate: GateName
    next_due_at: Wall | None
    next_at: Mono | None
    heard: int
