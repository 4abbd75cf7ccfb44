"""A task's or a gate's events as they are committed, from a version on.

Rules of residence: reads a stream of the log and waits for it to move; nothing is skipped and
nothing sent twice, so whoever was cut off goes on with the last version it has seen.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator

import msgspec

from taskmaster.api.context import Api, within
from taskmaster.api.events import MAX_STREAMS
from taskmaster.api.gates import gate_view
from taskmaster.api.history import shown_event
from taskmaster.api.problems import raise_if_no, stop
from taskmaster.api.tasks import task_records
from taskmaster.events.log import Recorded
from taskmaster.events.types import GateName, Stream, TaskId, Version, gate_stream, task_stream
from taskmaster.grpc_api.methods import Caller
from taskmaster.grpc_api.shapes import fill
from taskmaster.model.control import refuse_name
from taskmaster.model.task import FINAL
from taskmaster.v1 import events_pb2, gates_pb2, tasks_pb2

PAGE = 100
LOOK_EVERY_S = 1.0
"""How long nobody needs to tell of a commit: another process may have made it."""


async def watch_task(
    api: Api, caller: Caller, request: tasks_pb2.WatchTaskRequest
) -> AsyncIterator[events_pb2.Event]:
    """A task's events, until it has ended.

    Raises:
        ProblemError: there is no such task, too many watch, or the server stops.
    """
    del caller
    task_id = TaskId(request.id)
    await task_records(api, task_id)
    after = Version(request.after_version)
    with _watching(api, task_stream(task_id)) as moved:
        while True:
            moved.clear()
            row = await within(api.reader.task_row(task_id))  # before its events: the end is there
            async for record in _events(api, task_stream(task_id), after):
                after = record.version
                yield _event(record)
            if row is not None and row.state in FINAL:
                return
            await _moved(api, moved)


async def watch_gate(
    api: Api, caller: Caller, request: gates_pb2.WatchGateRequest
) -> AsyncIterator[events_pb2.Event]:
    """A gate's own events, without end.

    Raises:
        ProblemError: there is no such gate, too many watch, or the server stops.
    """
    del caller
    raise_if_no(refuse_name(request.gate))
    gate = GateName(request.gate)
    await gate_view(api, gate)
    after = Version(request.after_version)
    with _watching(api, gate_stream(gate)) as moved:
        while True:
            moved.clear()
            async for record in _events(api, gate_stream(gate), after):
                after = record.version
                yield _event(record)
            await _moved(api, moved)


@contextlib.contextmanager
def _watching(api: Api, stream: Stream) -> Generator[asyncio.Event]:
    """Set with each commit to a stream, for one of a bounded number who watch."""
    with api.follow.watch(stream) as moved:
        if moved is None or api.streams >= MAX_STREAMS:
            raise stop("unavailable", "too many watch", remedy="try again later")
        api.streams += 1
        try:
            yield moved
        finally:
            api.streams -= 1


async def _events(api: Api, stream: Stream, after: Version) -> AsyncIterator[Recorded]:
    while records := await within(api.reader.stream(stream, after=after, limit=PAGE)):
        for record in records:
            yield record
        after = records[-1].version


def _event(record: Recorded) -> events_pb2.Event:
    event = events_pb2.Event()
    # by way of JSON: what is shown holds structs
    fill(event, msgspec.to_builtins(shown_event(record)))
    return event


async def _moved(api: Api, moved: asyncio.Event) -> None:
    """Return when the stream may have moved.

    Raises:
        ProblemError: the server stops.
    """
    api.refuse_while_stopping()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY_S):
            await moved.wait()
