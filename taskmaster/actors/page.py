"""A page of a gate's backlog: read from the index, put into memory.

Rules of residence: between the reader's words and the backlog's; bounds live here.
"""

from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any, cast

from taskmaster.actors.backlog import Backlog
from taskmaster.actors.lanes import Waiting
from taskmaster.actors.messages import PageRead
from taskmaster.events.log import Page, Reader, WaitingTask
from taskmaster.events.split import Split
from taskmaster.events.types import SECOND, GateName, TaskEvent, TaskId, Wall
from taskmaster.model.task import fold

PAGE_TASKS = 400
"""What is still in memory when a page is asked for is read again with it: of 200, half."""
FAST_PAGE_TASKS = 1_000
FAST_NS = SECOND
"""A gate whose page lasts less is read more of at once: at 500/s, with 400, a third of what is read
would be in memory already. There are a few such gates at most."""
PAGE_BYTES = 4 * 1024 * 1024


class Pages:
    """Reads the pages of one gate."""

    def __init__(self, reader: Reader, gate: GateName, tell: Callable[[PageRead], object]) -> None:
        """`tell` hands a page to the gate's actor."""
        self._reader = reader
        self._gate = gate
        self._tell = tell
        self._asked_at = Wall(0)

    def read(
        self,
        backlog: Backlog,
        now: Wall,
        running: Collection[TaskId],
        busy: Iterable[TaskId],
    ) -> Coroutine[Any, Any, None]:
        """Read the best from now on, and as many more as are `running`, for the page may still
        show those as waiting; or as many as `PAGE_BYTES` hold."""
        split = backlog.begin_read((*running, *busy))
        is_fast = not backlog.complete and now - self._asked_at < FAST_NS
        self._asked_at = now
        most = (FAST_PAGE_TASKS if is_fast else PAGE_TASKS) + len(running)
        aging_ns, ahead_ns = backlog.order.aging_ns, backlog.ahead_ns()
        return self._read(now, split, aging_ns=aging_ns, most=most, ahead_ns=ahead_ns)

    async def _read(
        self, now: Wall, split: Split, *, aging_ns: int, most: int, ahead_ns: int
    ) -> None:
        page = await self._reader.page(
            self._gate,
            now,
            limit=most,
            aging_ns=aging_ns,
            max_bytes=PAGE_BYTES,
            ahead_ns=ahead_ns,
            split=split,
        )
        self._tell(PageRead(page, now, ahead_ns))


def take_page(backlog: Backlog, page: Page, now: Wall, ahead_ns: int) -> None:
    """Put a page that was asked for at `now` into memory, each task folded."""
    backlog.take(
        [_waiting(task) for task in page.tasks],
        position=page.position,
        missing=page.missing,
        now=now,
        covered_until=Wall(now + ahead_ns if page.complete else now),
        next_due_at=page.next_due_at,
        next_expiry_at=page.next_expiry_at,
    )


def _waiting(task: WaitingTask) -> Waiting:
    events = cast("tuple[TaskEvent, ...]", task.events)
    return Waiting(fold(task.task, events), task.number)
