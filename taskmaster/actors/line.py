"""How a task's actor reaches its gate and the world.

Rules of residence: plain references, no decisions. A `GateLine` stays the same while the gate
actor behind it is restarted; what is told meanwhile is kept by nobody, for the log has it.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pykka
from msgspec import Struct

from taskmaster.actors.family import Families
from taskmaster.actors.journal import Entry, JournalActor, Lane, Refused, StoreState
from taskmaster.actors.pacer import Held, Pacer
from taskmaster.actors.ports import Clock, Ids, Rng
from taskmaster.delivery.headers import Signer
from taskmaster.delivery.sender import Sender
from taskmaster.events.log import Append, AppendResult, Reader
from taskmaster.events.types import AttemptStarted, GateName, Position, TaskId
from taskmaster.supervision import Down, tell

if TYPE_CHECKING:
    from taskmaster.actors.lanes import Waiting
    from taskmaster.actors.task import TasksActor


HUNG_REST_S = 1


class Woken(Struct, frozen=True):
    """The gate's instant has come, the store is back, or there is room again."""


class Called(Struct, frozen=True):
    """Those below a gate wait for it to show itself, or to hear that nothing is open there."""


class JournalLine:
    """Leads to the journal."""

    def __init__(self) -> None:
        self.journal: JournalActor | None = None

    def append(self, entry: Entry) -> None:
        """Have one append committed. On the loop's thread."""
        assert self.journal is not None
        self.journal.gather(entry)

    async def commit(self, append: Append, lane: Lane) -> AppendResult | Refused:
        """Have one append committed, and wait for what becomes of it."""
        future: asyncio.Future[AppendResult | Refused] = asyncio.get_running_loop().create_future()

        def told(result: AppendResult | Refused) -> None:
            if not future.done():  # whoever waited may have gone
                future.set_result(result)

        self.append(Entry(append, lane, told))
        return await future

    async def settled(self) -> None:
        """Wait until all that was handed in so far is durable or refused, and told of."""
        await self.commit(Append(()), "control")  # the last lane


class Slots:
    """Bounds the attempts in flight of the whole node, gates waiting in turn."""

    def __init__(self, limit: int) -> None:
        """At most `limit` attempts at once."""
        self.limit = limit
        self.taken = 0
        self._waiting: dict[GateName, Callable[[], None]] = {}
        self._emptied: asyncio.Event | None = None

    def take(self, gate: GateName, wake: Callable[[], None]) -> bool:
        """Take a slot, or have `wake` called once when there is room again."""
        if self.taken >= self.limit:
            self._waiting[gate] = wake
            return False
        self.taken += 1
        return True

    @property
    def has_room(self) -> bool:
        """Whether half of the slots are free."""
        return 2 * self.taken < self.limit

    def give_back(self, count: int = 1) -> None:
        """Return slots; the gate that waits longest is woken first."""
        self.taken -= count
        self.pass_on()
        if self.taken == 0 and self._emptied is not None:
            self._emptied.set()

    def pass_on(self) -> None:
        """A gate has looked: what it had no use for, though it was woken for it, is the next's."""
        if self._waiting and self.taken < self.limit:
            gate = next(iter(self._waiting))
            self._waiting.pop(gate)()

    def leave(self, gate: GateName) -> None:
        """A gate's actor ended, maybe between being woken and looking."""
        self._waiting.pop(gate, None)
        self.pass_on()

    async def empty(self) -> None:
        """Wait until no attempt is in flight."""
        if self.taken:
            self._emptied = asyncio.Event()
            await self._emptied.wait()


class Ports:
    """What actors of a shard need of the world and of the node."""

    def __init__(  # noqa: PLR0913  # one for each port
        self,
        *,
        clock: Clock,
        rng: Rng,
        ids: Ids,
        sender: Sender,
        reader: Reader,
        journal: JournalLine,
        store: StoreState,
        slots: Slots,
        signers: Callable[[GateName], tuple[Signer, ...]] = lambda _gate: (),
    ) -> None:
        """Keep them."""
        self.clock = clock
        self.rng = rng
        self.ids = ids
        self.sender = sender
        self.reader = reader
        self.journal = journal
        self.store = store
        self.slots = slots
        self.signers = signers
        self.families = Families(clock)
        self.is_stopping = False

    @property
    def may_start(self) -> bool:
        """Whether gates may start attempts: the store takes commits and the node goes on."""
        return not self.is_stopping and not self.store.is_away


class Flight:
    """An attempt from its grant to its end, as the gate and the task's actor both see it."""

    __slots__ = ("committed_at", "error", "held", "is_over", "is_paced", "number", "ref", "started")

    def __init__(self, number: Position, started: AttemptStarted) -> None:
        """`committed_at` is 0 until the start is durable; `held` is set while no gate paces it;
        `is_over` once its end was told to the gate, `error` where that end was a crash."""
        self.number = number
        self.started = started
        self.committed_at = Position(0)
        self.held: Held | None = None
        self.is_over = False
        self.error = ""
        self.is_paced = False
        self.ref: pykka.ActorRef[Any] | None = None


class GateLine:
    """Leads to the present incarnation of a gate's actor."""

    def __init__(
        self,
        gate: GateName,
        crashed: Callable[[Down], None],
        came: "Callable[[GateName, tuple[tuple[Waiting, Position], ...]], None]",
    ) -> None:
        """`crashed` is told of a task actor's bug, for the log and the tree; `came` of tasks that
        were moved to another gate."""
        self.gate = gate
        self.crashed = crashed
        self.came = came
        self.ref: pykka.ActorRef[Any] | None = None
        self.actor: object = None
        self.tasks: TasksActor | None = None
        self.pacer: Pacer | None = None
        self.concurrency = 32
        self.was_hung = False
        """Whether the gate's last life held the loop for too long."""

    def tell(self, message: object) -> None:
        """Tell the gate; while it is being restarted the log speaks for the message."""
        if self.ref is not None:
            tell(self.ref, message)

    def tell_task(self, task: TaskId, message: object) -> bool:
        """Tell a task in flight; False where it is not, or has just ended."""
        assert self.tasks is not None
        flight = self.tasks.running.get(task)
        return flight is not None and flight.ref is not None and tell(flight.ref, message)

    def lost(self, task: TaskId) -> bool:
        """A start that was never durable; False where it is not in flight."""
        assert self.pacer is not None
        assert self.tasks is not None
        if self.tasks.running.pop(task, None) is None:
            return False
        self.pacer.lost()
        return True

    def dropped(self, task: TaskId, attempt: int) -> bool:
        """An attempt whose actor crashed will not be sent; False where it is not in flight."""
        assert self.pacer is not None
        assert self.tasks is not None
        flight = self.tasks.forget(task, attempt)
        if flight is None:
            return False
        if flight.is_paced:
            self.pacer.drop(task)
        else:
            self.pacer.lost()
        return True

    def keep_held(self) -> None:
        """The gate crashed: what it had not let go yet is the next one's."""
        pacer, self.pacer = self.pacer, None
        if pacer is not None and self.tasks is not None:
            for held in pacer.stop():
                self.tasks.running[held.task].held = held

    def wake(self) -> None:
        """Have the gate look again whether something may start."""
        self.tell(Woken())

    async def rest(self) -> None:
        """A gate that held the loop lets the others have it before it tries again."""
        if self.was_hung:
            self.was_hung = False
            await asyncio.sleep(HUNG_REST_S)

    def pace(self, flight: Flight, held: Held) -> None:
        """A committed start: sent at once where no rate spaces it, else held by the pacer, and
        kept for the next incarnation where the gate is being restarted."""
        pacer = self.pacer
        flight.is_paced = True
        if pacer is None:
            flight.held = held
        else:
            pacer.hold(held)
