"""The one writer of a shard: it gathers what is to be appended and commits it in batches.

Rules of residence: decides the order within a batch and what the store's trouble means, nothing
else. Replies are handed out in log order, a few a turn, so that a big commit does not hold the
loop; the next commit begins when all have been. The store being away is back-pressure: submissions
are refused, the rest is kept and tried again. An append of unknown outcome ends the process: replay
decides.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal, assert_never

from msgspec import Struct

from taskmaster.actors.ports import Clock
from taskmaster.events.log import (
    Append,
    AppendResult,
    BatchResult,
    Committed,
    Committer,
    NotStored,
    Unknown,
)
from taskmaster.events.types import MILLISECOND, SECOND, Position
from taskmaster.supervision import LoopActor, tell

Lane = Literal["outcome", "submission", "start", "control"]
BATCH_PER_LANE = 512
"""At most so many appends of each lane in one commit: a flood of one does not delay the others."""
REPLIES_A_TURN = 64
MAX_WAITING = 100_000
"""Appends that may wait for a commit; submissions beyond it are refused."""
BUSY_APPENDS = 8
REST_NS = 3 * MILLISECOND
"""After a commit of `BUSY_APPENDS` more will come soon: the next one waits for as long as that one
took, and no longer than this. A commit of one task takes 0.8 ms of CPU, one of 69 takes 3.5."""
SLOW_NS = 1_500 * MILLISECOND
"""A commit that takes longer is trouble too: a server that hangs says nothing at all."""
RETRY_MIN_NS = 50 * MILLISECOND
RETRY_MAX_NS = 2 * SECOND


class Refused(Struct, frozen=True):
    """The store takes nothing now, or too much waits for it; nothing was stored."""

    error: str
    retry_after_ns: int = SECOND


Reply = Callable[[AppendResult | Refused], None]


class Entry(Struct, frozen=True, gc=False):
    """One append, and who is told what became of it. `reply` runs on the loop and is short."""

    append: Append
    lane: Lane
    reply: Reply


class Commit(Struct, frozen=True, gc=False):
    """A commit that stored something: what of the batch is in the log, in its order."""

    position: Position
    appends: list[Append]
    took_ns: int


class _Gathered(Struct, frozen=True):
    """Something waits for a commit."""


class _Done(Struct, frozen=True):
    batch: list[Entry]
    result: BatchResult
    took_ns: int


class _HandOut(Struct, frozen=True):
    pass


class _Retry(Struct, frozen=True):
    pass


class _Slow(Struct, frozen=True):
    """The commit that is on its way has been for too long."""


class StoreState:
    """Whether the store takes commits; gates start nothing while it does not."""

    def __init__(self) -> None:
        self.away_since_ns: int | None = None
        self.error = ""

    @property
    def is_away(self) -> bool:
        """Whether the last commit was refused."""
        return self.away_since_ns is not None


class Lanes:
    """What waits for a commit, and the order within one: outcomes, submissions, starts, control.

    Control comes last and only once no start waits, so that a gate's own events lie in the log
    behind the starts that were granted before them.
    """

    def __init__(self) -> None:
        self._waiting: dict[Lane, deque[Entry]] = {
            "outcome": deque(),
            "submission": deque(),
            "start": deque(),
            "control": deque(),
        }

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._waiting.values())

    def add(self, entry: Entry) -> None:
        """Put an entry last in its lane."""
        self._waiting[entry.lane].append(entry)

    def put_back(self, batch: list[Entry]) -> None:
        """Return a batch that was not stored, in its old order."""
        for entry in reversed(batch):
            self._waiting[entry.lane].appendleft(entry)

    def take(self) -> list[Entry]:
        """The next batch."""
        batch: list[Entry] = []
        for name in ("outcome", "submission", "start"):
            lane = self._waiting[name]
            batch.extend(lane.popleft() for _ in range(min(BATCH_PER_LANE, len(lane))))
        if not self._waiting["start"]:
            lane = self._waiting["control"]
            batch.extend(lane.popleft() for _ in range(min(BATCH_PER_LANE, len(lane))))
        return batch

    def refuse_submissions(self) -> list[Entry]:
        """Take out all submissions."""
        refused = list(self._waiting["submission"])
        self._waiting["submission"].clear()
        return refused


class JournalActor(LoopActor):
    """Commits one batch at a time; what comes meanwhile makes up the next one."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        store: StoreState,
        *,
        on_unknown: Callable[[str], None],
        on_back: Callable[[], None],
        on_commit: Callable[[Commit], None],
    ) -> None:
        """`on_unknown` ends the process; `on_back` is called when a store that was away is back,
        `on_commit` after each commit, which it must not hold up."""
        super().__init__("node/journal")
        self._committer = committer
        self._clock = clock
        self._store = store
        self._on_unknown = on_unknown
        self._on_back = on_back
        self._on_commit = on_commit
        self._lanes = Lanes()
        self._replies: deque[tuple[Reply, AppendResult]] = deque()
        self._is_handing_out = False
        self._is_committing = False
        self._is_told = False
        self._rest_ns = 0
        self._retry_ns = RETRY_MIN_NS
        self._retry_timer: asyncio.TimerHandle | None = None
        self._slow_timer: asyncio.TimerHandle | None = None
        self.commits = 0
        self.appends = 0

    def on_receive(self, message: object) -> None:
        """Gather, commit, hand out replies."""
        match message:
            case _Gathered():
                self._is_told = False
                self._commit_next()
            case _Done(batch=batch, result=result, took_ns=took_ns):
                self._is_committing = False
                if self._slow_timer is not None:
                    self._slow_timer.cancel()
                self._done(batch, result, took_ns)
            case _HandOut():
                self._hand_out()
            case _Slow():
                if self._is_committing:
                    self._refuse(f"the last commit takes more than {SLOW_NS / SECOND:g} s")
            case _Retry():
                self._retry_timer = None
                if not len(self._lanes):
                    self._came_back()  # the next append finds out
                self._commit_next()
            case _:
                raise AssertionError(f"unknown message {message!r}")

    def gather(self, entry: Entry) -> None:
        """Have an append committed, with all that is gathered in this turn of the loop."""
        if not (self._is_told or self._is_committing or self._is_handing_out):
            self._is_told = True
            tell(self.actor_ref, _Gathered())
        if entry.lane == "submission":
            if self._store.is_away:
                entry.reply(Refused(self._store.error))
                return
            if len(self._lanes) >= MAX_WAITING:
                entry.reply(Refused("too many appends wait for a commit"))
                return
        self._lanes.add(entry)

    def _commit_next(self) -> None:
        if self._is_committing or self._retry_timer is not None:
            return
        batch = self._lanes.take()
        if batch:
            self._is_committing = True
            loop = asyncio.get_running_loop()
            self._slow_timer = loop.call_later(SLOW_NS / SECOND, tell, self.actor_ref, _Slow())
            self.spawn(self._commit(batch))

    async def _commit(self, batch: list[Entry]) -> None:
        began = self._clock.mono()
        result = await self._committer.commit([entry.append for entry in batch])
        took_ns = self._clock.mono() - began
        tell(self.actor_ref, _Done(batch, result, took_ns))

    def _done(self, batch: list[Entry], result: BatchResult, took_ns: int) -> None:
        match result:
            case list():
                self.commits += 1
                self.appends += len(batch)
                for entry, answer in zip(batch, result, strict=True):
                    self._replies.append((entry.reply, answer))
                self._rest_ns = min(took_ns, REST_NS) if len(batch) >= BUSY_APPENDS else 0
                self._hand_out()
                self._came_back()
                self._tell_of(batch, result, took_ns)
            case NotStored(error=error):
                self._went_away(batch, error)
            case Unknown(error=error):
                self._on_unknown(error)
            case _:
                assert_never(result)

    def _tell_of(self, batch: list[Entry], result: list[AppendResult], took_ns: int) -> None:
        position = Position(0)
        appends: list[Append] = []
        for entry, answer in zip(batch, result, strict=True):
            if isinstance(answer, Committed):
                position = answer.position
                appends.append(entry.append)
        if appends:
            self._on_commit(Commit(position, appends, took_ns))

    def _hand_out(self) -> None:
        for _ in range(min(REPLIES_A_TURN, len(self._replies))):
            reply, answer = self._replies.popleft()
            reply(answer)
        self._is_handing_out = bool(self._replies)
        loop = asyncio.get_running_loop()
        if self._is_handing_out:
            # mail that one tells oneself now would be served in this very turn
            loop.call_soon(tell, self.actor_ref, _HandOut())
        else:
            # what gates and tasks do about it goes along in the next commit
            self._is_told = True
            loop.call_later(self._rest_ns / SECOND, tell, self.actor_ref, _Gathered())

    def _came_back(self) -> None:
        self._retry_ns = RETRY_MIN_NS
        if self._store.is_away:
            self._store.away_since_ns = None
            self._store.error = ""
            self._on_back()

    def _went_away(self, batch: list[Entry], error: str) -> None:
        self._lanes.put_back(batch)
        self._refuse(error)
        loop = asyncio.get_running_loop()
        delay = self._retry_ns / SECOND
        self._retry_timer = loop.call_later(delay, tell, self.actor_ref, _Retry())
        self._retry_ns = min(RETRY_MAX_NS, self._retry_ns * 2)

    def _refuse(self, error: str) -> None:
        """Take no submission until the store is back; of those on their way nothing is known."""
        if not self._store.is_away:
            self._store.away_since_ns = self._clock.mono()
        self._store.error = error
        for entry in self._lanes.refuse_submissions():
            entry.reply(Refused(error))

    def on_stop(self) -> None:
        """What waits is not stored and nobody was told that it is."""
        if self._slow_timer is not None:
            self._slow_timer.cancel()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
