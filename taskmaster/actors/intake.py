"""Where submissions and commands enter: from an edge to the journal or to a gate.

Rules of residence: no protocol of an edge, no decision of its own. It writes the first event of a
stream only; whatever exists already has a writer, to which commands are told.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct

from taskmaster.actors.gates import GatesActor, ToGate
from taskmaster.actors.idle_tasks import MOVED
from taskmaster.actors.journal import Entry, Refused
from taskmaster.actors.lanes import Waiting
from taskmaster.actors.line import Ports
from taskmaster.actors.messages import (
    CommandAnswer,
    CommandGiven,
    GateCommandGiven,
    GateDone,
    SeriesCommandGiven,
)
from taskmaster.actors.parents import Parents
from taskmaster.events.log import (
    Append,
    AppendResult,
    Committed,
    GateRow,
    KeyTaken,
    VersionConflict,
    Write,
)
from taskmaster.events.types import (
    NEW,
    SECOND,
    Cause,
    GateName,
    GateSettings,
    Position,
    SeriesName,
    SeriesRules,
    TaskId,
    TaskSubmitted,
    Version,
    Wall,
    gate_stream,
    series_stream,
    task_stream,
)
from taskmaster.model.control import GateCommand, SetGate, decide, refuse_name
from taskmaster.model.gate import evolve
from taskmaster.model.rejected import Rejected
from taskmaster.model.series import Series, SeriesCommand, decide_creation
from taskmaster.model.submission import SubmitTask, decide_submission
from taskmaster.model.task import Task, fold
from taskmaster.model.task_control import MoveTask, TaskCommand
from taskmaster.supervision import tell

T = TypeVar("T")

ANSWER_S = 30
"""A command is answered within so many seconds."""
MOVES_FOLLOWED = 3
"""A command for a task that was moved while it was on its way goes after it so often."""
BACKLOG_AGE_NS = SECOND
"""How old the count may be that `max_backlog` is compared with."""


class Accepted(Struct, frozen=True, gc=False):
    """A durable task. `position` is that of its submission."""

    task_id: TaskId
    submitted: TaskSubmitted
    position: Position


class Replayed(Struct, frozen=True):
    """The key was used before with the same content: the task it belongs to."""

    task_id: TaskId


Wish = SubmitTask | Rejected | Refused
SubmitAnswer = Accepted | Replayed | Rejected | Refused


class Brief(Struct):
    """What a submission needs to know of a gate."""

    closed: bool
    max_backlog: int
    counted_at: Wall = Wall(0)
    waiting: int = 0


class Intake:
    """The way in. On the loop's thread."""

    def __init__(self, ports: Ports, gates: GatesActor) -> None:
        """Stand before the gates of one shard."""
        self._ports = ports
        self._gates = gates
        self._book: dict[GateName, Brief] = {}
        self._parents = Parents(ports, self._book.keys())

    def know(self, rows: Sequence[GateRow]) -> None:
        """Learn of the gates that exist, at the node's start."""
        for row in rows:
            self._book[row.gate] = Brief(row.control == "closed", row.settings.max_backlog)

    # --- submissions --------------------------------------------------------------------------

    async def submit(
        self, commands: Sequence[SubmitTask | Rejected], cause: Cause, *, implicit: bool = False
    ) -> list[SubmitAnswer]:
        """Make tasks durable; answers in order, each after its commit.

        `implicit` allows gates that were never created to come into being by default, each with
        the first task that is acceptable; where one cannot be opened, its tasks are refused.
        """
        wishes = await self._open_missing(commands, cause) if implicit else commands
        for gate in {wish.gate for wish in wishes if isinstance(wish, SubmitTask)}:
            brief = self._book.get(gate)
            if brief is not None and brief.max_backlog:
                await self._count(gate, brief)
        return await _Submissions(self._ports, self._gates, self._book).run(wishes, cause)

    async def _open_missing(
        self, commands: Sequence[SubmitTask | Rejected], cause: Cause
    ) -> list[Wish]:
        """What may be submitted now that its gate is there, and what may not, with the reason."""
        wishes: list[Wish] = []
        refused: dict[GateName, Rejected | Refused] = {}
        for command in commands:
            wish: Wish = command
            if isinstance(command, SubmitTask) and command.gate not in self._book:
                decided = decide_submission(command, cause, self._ports.clock.wall())
                if isinstance(decided, Rejected):
                    wish = decided
                elif command.gate in refused:
                    wish = refused[command.gate]
                elif (no := await self._open_implicit(command.gate, cause)) is not None:
                    wish = refused[command.gate] = no
            wishes.append(wish)
        return wishes

    async def _open_implicit(self, gate: GateName, cause: Cause) -> Rejected | Refused | None:
        wrong = refuse_name(gate)
        if wrong is not None:
            return wrong
        opened = await self._open(gate, SetGate(GateSettings(), cause, implicit=True))
        return opened if isinstance(opened, Rejected | Refused) else None

    async def _count(self, gate: GateName, brief: Brief) -> None:
        now = self._ports.clock.wall()
        if now < brief.counted_at + BACKLOG_AGE_NS or self._ports.store.is_away:
            return  # where the store is away no answer would come, and it is refused all the same
        rows = await self._ports.reader.gate_rows([gate])
        brief.counted_at = now
        brief.waiting = rows[0].counts.get("waiting", 0) if rows else 0

    # --- commands -----------------------------------------------------------------------------

    async def task_command(self, task_id: TaskId, command: TaskCommand) -> CommandAnswer:
        """Tell a task's gate; the answer comes once its events are durable."""
        if isinstance(command, MoveTask) and (wrong := self.refuse_move(command.to)) is not None:
            return wrong
        answer: CommandAnswer = MOVED
        for _ in range(MOVES_FOLLOWED):
            row = await self._ports.reader.task_row(task_id)
            if row is None:
                return Rejected("not_found", "id", "there is no such task", "see `task list`")
            future: asyncio.Future[CommandAnswer] = asyncio.get_running_loop().create_future()
            self._tell(row.gate, CommandGiven(task_id, command, _answering(future)))
            answer = await _in_time(future)
            if answer is not MOVED:
                break
        return answer

    def refuse_move(self, to: GateName) -> Rejected | None:
        """Why no task can be moved to a gate, or None."""
        brief = self._book.get(to)
        if brief is None:
            return Rejected("not_found", "to", f"there is no gate {to[:60]!a}", "create it first")
        if brief.closed:
            return Rejected("conflict", "to", f"gate {to} is closed", "resume it first")
        return None

    async def gate_command(self, gate: GateName, command: GateCommand) -> GateDone | Rejected:
        """Tell a gate, or open it where it does not exist."""
        wrong = refuse_name(gate)
        if wrong is not None:
            return wrong
        if not isinstance(command, SetGate) or not self._parents.concerned(gate, command.settings):
            return await self._command(gate, command)
        async with self._parents.lock:
            wrong = await self._parents.refuse(gate, command.settings)
            return wrong or await self._command(gate, command)

    async def _command(self, gate: GateName, command: GateCommand) -> GateDone | Rejected:
        if gate not in self._book:
            opened = await self._open(gate, command)
            if opened is not None:
                return _store_away(opened) if isinstance(opened, Refused) else opened
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._tell(gate, GateCommandGiven(command, _answering(future)))
        done = await _in_time(future)
        if isinstance(done, GateDone):
            self._learn(done)
        return done

    def _learn(self, done: GateDone) -> None:
        gate = done.gate
        self._book[gate.name] = Brief(gate.control == "closed", gate.settings.max_backlog)

    async def _open(
        self, name: GateName, command: GateCommand
    ) -> GateDone | Rejected | Refused | None:
        """Write a gate's first event; None when someone else was faster."""
        clock = self._ports.clock
        decided = decide(None, command, clock.mono(), clock.wall(), backlog=False)
        if isinstance(decided, Rejected):
            return decided
        result = await self._append(Append((Write(gate_stream(name), NEW, decided),)))
        if isinstance(result, Refused):
            return result
        if isinstance(result, VersionConflict):
            self._book.setdefault(name, Brief(closed=False, max_backlog=0))
            return None
        done = GateDone(evolve(None, decided[0], name))
        self._learn(done)
        self._ports.families.link(name, done.gate.settings.parent)
        return done

    async def _append(self, append: Append) -> AppendResult | Refused:
        return await self._ports.journal.commit(append, "submission")

    def _tell(self, gate: GateName, message: object) -> None:
        tell(self._gates.actor_ref, ToGate(gate, message))

    # --- series -------------------------------------------------------------------------------

    async def create_series(
        self, name: SeriesName, rules: SeriesRules, cause: Cause, start_at: Wall | None
    ) -> Series | Rejected:
        """Create a series with its first occurrence, in one commit."""
        brief = self._book.get(rules.gate)
        if brief is None:
            return Rejected("not_found", "gate", "there is no such gate", "create it first")
        if brief.closed:
            return Rejected("closed", "gate", f"gate {rules.gate} is closed", "resume it first")
        decided = decide_creation(name, rules, cause, self._ports.clock.wall(), start_at)
        if isinstance(decided, Rejected):
            return decided
        task_id = self._ports.ids.task_id()
        append = Append(
            (
                Write(series_stream(name), NEW, (decided.created,)),
                Write(task_stream(task_id), NEW, (decided.first,)),
            )
        )
        result = await self._append(append)
        if isinstance(result, Refused):
            return _store_away(result)
        if not isinstance(result, Committed):
            return Rejected(
                "conflict", "series", "there is a series of that name", "choose another name"
            )
        task = fold(task_id, (decided.first,))
        self._gates.came(rules.gate, ((Waiting(task, result.position), result.position),))
        return decided.series

    async def series_command(self, name: SeriesName, command: SeriesCommand) -> Series | Rejected:
        """Tell the gate in which a series lives."""
        row = await self._ports.reader.series_row(name)
        if row is None:
            return Rejected("not_found", "series", "there is no such series", "see `series list`")
        future: asyncio.Future[Series | Rejected] = asyncio.get_running_loop().create_future()
        self._tell(row.gate, SeriesCommandGiven(name, command, _answering(future)))
        return await _in_time(future)


async def _in_time(future: "asyncio.Future[T]") -> T | Rejected:
    """An answer, or that there was none: a gate that crashed loses the command it was given."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await future
    except TimeoutError:
        return Rejected("unavailable", "", "the gate gave no answer in time", "look, and try again")


def _answering(future: "asyncio.Future[Any]") -> Any:
    def answer(result: object) -> None:
        if not future.done():
            future.set_result(result)

    return answer


def _store_away(refused: Refused) -> Rejected:
    return Rejected("unavailable", "", f"the store takes nothing: {refused.error}", "try again")


class _Submissions:
    """One call's submissions: appended together, answered together, told to their gates."""

    def __init__(self, ports: Ports, gates: GatesActor, book: dict[GateName, Brief]) -> None:
        self._ports = ports
        self._gates = gates
        self._book = book
        self._answers: list[SubmitAnswer | None] = []
        self._left = 0
        self._came: dict[GateName, list[tuple[Waiting, Position]]] = {}
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, wishes: Sequence[Wish], cause: Cause) -> list[SubmitAnswer]:
        """Decide all, append what is acceptable, wait for the commits."""
        now = self._ports.clock.wall()
        task_id = self._ports.ids.task_id
        entries: list[Entry] = []
        self._answers = [None] * len(wishes)
        for index, wish in enumerate(wishes):
            decided = self._decide(wish, cause, now) if isinstance(wish, SubmitTask) else wish
            if isinstance(decided, TaskSubmitted):
                entries.append(self._entry(index, task_id(), decided))
            else:
                self._answers[index] = decided
        self._left = len(entries)
        if entries:
            for entry in entries:
                self._ports.journal.append(entry)
            await self._done
        return [answer for answer in self._answers if answer is not None]

    def _decide(self, command: SubmitTask, cause: Cause, now: Wall) -> TaskSubmitted | Rejected:
        brief = self._book.get(command.gate)
        if brief is None:
            return Rejected(
                "not_found",
                "gate",
                f"there is no gate {command.gate}",
                "create it with PUT first, or leave gate out for the one of the URL's origin",
            )
        if brief.closed:
            return Rejected("closed", "gate", f"gate {command.gate} is closed", "resume it first")
        if brief.max_backlog and brief.waiting >= brief.max_backlog:
            return Rejected(
                "overloaded",
                "gate",
                f"gate {command.gate} has {brief.waiting} tasks waiting, its max_backlog is"
                f" {brief.max_backlog}",
                "try again later",
            )
        decided = decide_submission(command, cause, now)
        if brief.max_backlog and not isinstance(decided, Rejected):
            brief.waiting += 1
        return decided

    def _entry(self, index: int, task_id: TaskId, submitted: TaskSubmitted) -> Entry:
        def replied(result: AppendResult | Refused) -> None:
            self._replied(index, task_id, submitted, result)

        write = Write(task_stream(task_id), NEW, (submitted,))
        return Entry(Append((write,)), "submission", replied)

    def _replied(
        self,
        index: int,
        task_id: TaskId,
        submitted: TaskSubmitted,
        result: AppendResult | Refused,
    ) -> None:
        if isinstance(result, Committed):
            self._answers[index] = Accepted(task_id, submitted, result.position)
            task = Task(
                id=task_id,
                submitted=submitted,
                due_at=submitted.due_at,
                gate=submitted.gate,
                version=FIRST,
                expires_at=submitted.expires_at,
            )
            item = (Waiting(task, result.position), result.position)
            self._came.setdefault(submitted.gate, []).append(item)
        elif isinstance(result, KeyTaken):
            self._answers[index] = (
                Replayed(result.task)
                if result.same
                else Rejected(
                    "conflict",
                    "key",
                    f"the key belongs to task {result.task}, submitted with other content",
                    "use a new key, or the same content",
                )
            )
        else:
            assert isinstance(result, Refused), "a new task's stream is in use"
            self._answers[index] = result
        self._left -= 1
        if self._left == 0 or len(self._came) > MOST_CAME:
            self._tell_gates()
        if self._left == 0 and not self._done.done():
            self._done.set_result(None)

    def _tell_gates(self) -> None:
        came, self._came = self._came, {}
        for gate, items in came.items():
            self._gates.came(gate, tuple(items))


MOST_CAME = 64
FIRST = Version(1)
