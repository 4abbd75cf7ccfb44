"""`Prefer: wait=N`: an answer that waits for a task's end.

Rules of residence: follows the log; reads a task's row only when the log has gone on.
"""

import asyncio
import re

from starlette.requests import Request

from taskmaster.api.context import Api
from taskmaster.events.types import MILLISECOND, SECOND, TaskId
from taskmaster.model.task import FINAL

MAX_WAIT_S = 60
READ_EVERY_NS = 50 * MILLISECOND
"""A busy log goes on with every commit; a row is not read again sooner than this."""
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
    while not api.node.ports.is_stopping:
        position = await api.reader.position()
        row = await api.reader.task_row(task_id)
        if row is None or row.state in FINAL:
            return
        left_ns = until - api.mono()
        if left_ns <= 0:
            return
        if await api.follow.after(position, min(left_ns, SECOND)):
            await asyncio.sleep(READ_EVERY_NS / SECOND)
