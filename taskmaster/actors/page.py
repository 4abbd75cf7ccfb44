"""A page of a gate's backlog: read from the index, put into memory.

Rules of residence: between the reader's words and the backlog's; bounds live here.
"""

from typing import cast

from taskmaster.actors.backlog import Backlog, Waiting
from taskmaster.events.log import Page, Reader, WaitingTask
from taskmaster.events.types import GateName, TaskEvent, Wall
from taskmaster.model.task import fold

PAGE_TASKS = 200
PAGE_BYTES = 4 * 1024 * 1024


async def read_page(
    reader: Reader, gate: GateName, now: Wall, aging_ns: int, *, more: int, ahead_ns: int
) -> Page:
    """The best `PAGE_TASKS` and `more` tasks of a gate, or as many as `PAGE_BYTES` hold."""
    return await reader.page(
        gate,
        now,
        limit=PAGE_TASKS + more,
        aging_ns=aging_ns,
        max_bytes=PAGE_BYTES,
        ahead_ns=ahead_ns,
    )


def take_page(backlog: Backlog, page: Page, now: Wall, ahead_ns: int) -> None:
    """Put a page that was asked for at `now` into memory, each task folded."""
    backlog.take(
        [_waiting(task) for task in page.tasks],
        position=page.position,
        complete=page.complete,
        now=now,
        covered_until=Wall(now + ahead_ns if page.complete else now),
        next_due_at=page.next_due_at,
        next_expiry_at=page.next_expiry_at,
    )


def _waiting(task: WaitingTask) -> Waiting:
    events = cast("tuple[TaskEvent, ...]", task.events)
    return Waiting(fold(task.row.task, events), task.row.number)
