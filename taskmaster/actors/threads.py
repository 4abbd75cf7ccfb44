"""The store on threads of its own: one that commits, one that reads.

Rules of residence: adapters of the ports `Committer` and `Reader`; the only threads of the server
beside the outbound client's. They reach the loop by `call_soon_threadsafe`, in no other way.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from taskmaster.errors import StoreUnavailableError
from taskmaster.events.log import (
    Ahead,
    Append,
    BatchResult,
    BulkRow,
    BusiestGates,
    Due,
    GateFilter,
    GateRow,
    GateSnapshot,
    OpenAttempt,
    Page,
    Recorded,
    SeriesRow,
    TaskFilter,
    TaskRow,
)
from taskmaster.events.split import WHOLE, Split
from taskmaster.events.types import (
    BulkId,
    GateName,
    Position,
    SeriesName,
    Stream,
    TaskId,
    Version,
    Wall,
)

T = TypeVar("T")

PATIENCE_S = 0.25
PATIENCE_TRIES = 14_400
"""An hour; then what asks crashes, and its supervisor decides."""


class StoreThread:
    """Runs calls in order on one thread."""

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    async def ask(self, ask: Callable[[], T]) -> T:
        """The result of `ask`, called on the thread; what it raises is raised here."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            try:
                result = ask()
            except BaseException as error:  # noqa: BLE001  # handed to whoever asked
                _hand_over(loop, future.set_exception, future, error)
            else:
                _hand_over(loop, future.set_result, future, result)

        self._calls.put(call)
        return await future

    def stop(self) -> None:
        """End the thread after the calls before; returns once it has ended."""
        self._calls.put(None)
        self._thread.join()


def _hand_over(
    loop: asyncio.AbstractEventLoop,
    give: Callable[[Any], None],
    future: "asyncio.Future[Any]",
    result: object,
) -> None:
    def hand() -> None:
        if not future.done():
            give(result)

    if not loop.is_closed():
        loop.call_soon_threadsafe(hand)


class SyncCommitter(Protocol):
    """The store's writer."""

    def commit(self, batch: Sequence[Append]) -> BatchResult:
        """As `Committer.commit`."""
        ...


class ThreadCommitter:
    """Commits on a thread of its own."""

    def __init__(self, store: SyncCommitter) -> None:
        """Hand batches to `store`."""
        self._store = store
        self._thread = StoreThread("taskmaster-journal")

    async def commit(self, batch: Sequence[Append]) -> BatchResult:
        """As `Committer.commit`."""
        return await self._thread.ask(lambda: self._store.commit(batch))

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop()


class ThreadReader:
    """Reads on a thread of its own."""

    def __init__(self, store: Any) -> None:
        """Ask `store`, the synchronous twin of the port."""
        self._store = store
        self._thread = StoreThread("taskmaster-reader")

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop()

    async def _ask(self, ask: Callable[[], T]) -> T:
        return await self._thread.ask(ask)

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
        """As `Reader.page`."""
        return await self._ask(
            lambda: self._store.page(
                gate,
                now,
                limit=limit,
                aging_ns=aging_ns,
                max_bytes=max_bytes,
                ahead_ns=ahead_ns,
                split=split,
            )
        )

    async def task_events(self, task: TaskId) -> tuple[Recorded, ...]:
        """As `Reader.task_events`."""
        return await self._ask(lambda: self._store.task_events(task))

    async def stream(
        self, stream: Stream, *, after: Version = Version(0), limit: int = 1_000
    ) -> tuple[Recorded, ...]:
        """As `Reader.stream`."""
        return await self._ask(lambda: self._store.stream(stream, after=after, limit=limit))

    async def events(
        self, *, after: Position, limit: int = 1_000, streams_like: str = ""
    ) -> tuple[Recorded, ...]:
        """As `Reader.events`."""
        return await self._ask(
            lambda: self._store.events(after=after, limit=limit, streams_like=streams_like)
        )

    async def gate_snapshot(self, gate: GateName) -> GateSnapshot:
        """As `Reader.gate_snapshot`."""
        return await self._ask(lambda: self._store.gate_snapshot(gate))

    async def gate_rows(self, names: Sequence[GateName] = ()) -> tuple[GateRow, ...]:
        """As `Reader.gate_rows`."""
        return await self._ask(lambda: self._store.gate_rows(names))

    async def gate_page(
        self, match: GateFilter, *, after: str = "", limit: int = 100
    ) -> tuple[GateRow, ...]:
        """As `Reader.gate_page`."""
        return await self._ask(lambda: self._store.gate_page(match, after=after, limit=limit))

    async def busiest_gates(self, *, limit: int) -> BusiestGates:
        """As `Reader.busiest_gates`."""
        return await self._ask(lambda: self._store.busiest_gates(limit=limit))

    async def series_row(self, name: SeriesName) -> SeriesRow | None:
        """As `Reader.series_row`."""
        return await self._ask(lambda: self._store.series_row(name))

    async def series_rows(self, *, after: str = "", limit: int = 100) -> tuple[SeriesRow, ...]:
        """As `Reader.series_rows`."""
        return await self._ask(lambda: self._store.series_rows(after=after, limit=limit))

    async def bulk_row(self, bulk: BulkId) -> BulkRow | None:
        """As `Reader.bulk_row`."""
        return await self._ask(lambda: self._store.bulk_row(bulk))

    async def bulk_rows(
        self, *, before: Position | None = None, limit: int = 100, running: bool = False
    ) -> tuple[BulkRow, ...]:
        """As `Reader.bulk_rows`."""
        return await self._ask(
            lambda: self._store.bulk_rows(before=before, limit=limit, running=running)
        )

    async def task_row(self, task: TaskId) -> TaskRow | None:
        """As `Reader.task_row`."""
        return await self._ask(lambda: self._store.task_row(task))

    async def task_rows(
        self, match: TaskFilter, *, before: Position | None = None, limit: int = 100
    ) -> tuple[TaskRow, ...]:
        """As `Reader.task_rows`."""
        return await self._ask(lambda: self._store.task_rows(match, before=before, limit=limit))

    async def open_attempts(self, *, limit: int = 500) -> tuple[OpenAttempt, ...]:
        """As `Reader.open_attempts`."""
        return await self._ask(lambda: self._store.open_attempts(limit=limit))

    async def next_dues(self) -> dict[GateName, Wall]:
        """As `Reader.next_dues`."""
        return await self._ask(self._store.next_dues)

    async def due(self, gates: Sequence[GateName], now: Wall) -> dict[GateName, Due]:
        """As `Reader.due`."""
        return await self._ask(lambda: self._store.due(gates, now))

    async def ahead(self, gate: GateName, now: Wall, *, minutes: int) -> Ahead:
        """As `Reader.ahead`."""
        return await self._ask(lambda: self._store.ahead(gate, now, minutes=minutes))

    async def position(self) -> Position:
        """As `Reader.position`."""
        return await self._ask(self._store.position)


class PatientReader(ThreadReader):
    """The same reader for actors: a store that is away is waited for, not a crash.

    Whoever is asked from outside uses the other one, and hears at once that it is away.
    """

    def __init__(self, reader: ThreadReader) -> None:
        """Share the thread of `reader`."""
        self._thread, self._store = reader._thread, reader._store

    async def _ask(self, ask: Callable[[], T]) -> T:
        for _ in range(PATIENCE_TRIES):
            try:
                return await self._thread.ask(ask)
            except StoreUnavailableError:
                await asyncio.sleep(PATIENCE_S)
        return await self._thread.ask(ask)
