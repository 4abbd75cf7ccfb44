"""`Prefer: wait=N`: an answer that waits for a task's end.

Rules of residence: reads a task's row once, and again only when the task has moved.
"""

import asyncio
import contextlib
import re

from starlette.requests import Request

from taskmaster.api.context import Api
from taskmaster.events.types import SECOND, TaskId, task_stream
from taskmaster.model.task import FINAL

MAX_WAIT_S = 60
_WAIT = re.compile(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?(?:$|[,;\s])", re.ASCII)


def wait_ns_of(request: Request) -> int:
    """How long the caller wants to wait, at most a minute. A preference that cannot be read is
    none (RFC 7240)."""
    found = _WAIT.search(request.headers.get("prefer", ""))
    return min(int(found[1]), MAX_WAIT_S) * SECOND if found else 0


async def wait_for_end(api: Api, task_id: TaskId, wait_ns: int) -> None:
    """Return when the task has ended, when there is none, or after `wait_ns`."""
    if wait_ns <= 0:
        return
    until = api.mono() + wait_ns
    with api.follow.watch(task_stream(task_id)) as moved:
        while moved is not None and not api.node.ports.is_stopping:
            moved.clear()  # before the row is read: what comes after it sets it again
            row = await api.reader.task_row(task_id)
            if row is None or row.state in FINAL:
                return
            while not moved.is_set():
                left_ns = until - api.mono()
                if left_ns <= 0 or api.node.ports.is_stopping:
                    return
                await _set_within(moved, min(left_ns, SECOND))


async def _set_within(moved: asyncio.Event, wait_ns: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_ns / SECOND):
            await moved.wait()
