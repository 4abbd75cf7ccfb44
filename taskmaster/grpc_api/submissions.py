"""Many submissions in one message, or in a stream without end.

Rules of residence: from messages to the chunks of `api/batch.py` and from its answers back; what
is decided, committed side by side and kept in order is decided there.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable

from msgspec import UNSET

from taskmaster.api.answers import BatchItem
from taskmaster.api.batch import CHUNK, Decided, answered, decide
from taskmaster.api.bodies import TaskIn
from taskmaster.api.context import Api
from taskmaster.api.problems import Problem, ProblemError, stop
from taskmaster.api.reading import MAX_BATCH_TASKS, BodyReader
from taskmaster.events.types import Cause
from taskmaster.grpc_api.methods import Caller
from taskmaster.grpc_api.shapes import plain
from taskmaster.grpc_api.statuses import status_of
from taskmaster.v1 import tasks_pb2 as pb

MESSAGES_AHEAD = 256
"""Messages that are read before they are judged. At the bound the reader waits, and with it, by
HTTP/2's own flow control, the caller."""
_task = BodyReader(TaskIn)
_FIELDS = frozenset(pb.TaskSpec.DESCRIPTOR.fields_by_name)


async def batch(
    api: Api, caller: Caller, request: pb.BatchSubmitTasksRequest
) -> pb.BatchSubmitTasksResponse:
    """Submit many tasks, each answered for itself.

    Raises:
        ProblemError: there are too many, or the server stops.
    """
    api.refuse_while_stopping()
    count = len(request.submissions)
    if count > MAX_BATCH_TASKS:
        remedy = f"send at most {MAX_BATCH_TASKS}, or stream them"
        message = f"the batch holds {count} tasks"
        raise stop("too_large", message, pointer="/submissions", remedy=remedy)
    seqs: deque[int] = deque()
    response = pb.BatchSubmitTasksResponse()

    async def chunks() -> AsyncIterator[Decided]:
        for chunk in _chunks(api, request.submissions, seqs, 0):
            yield chunk

    async for items in answered(api, chunks(), _cause(caller)):
        response.results.extend(_result(item, seqs) for item in items)
    return response


async def stream(
    api: Api, caller: Caller, requests: AsyncIterator[pb.SubmitTasksRequest]
) -> AsyncIterator[pb.SubmitTasksResponse]:
    """Submit tasks without end; what came in together is answered together."""
    api.refuse_while_stopping()
    seqs: deque[int] = deque()
    async for items in answered(api, _arriving(api, requests, seqs), _cause(caller)):
        yield pb.SubmitTasksResponse(results=[_result(item, seqs) for item in items])


def _cause(caller: Caller) -> Cause:
    return Cause("SubmitTask", caller.author, "")


async def _arriving(
    api: Api, requests: AsyncIterator[pb.SubmitTasksRequest], seqs: deque[int]
) -> AsyncIterator[Decided]:
    """What has come in, as chunks; no submission is kept waiting for more."""
    room = asyncio.Semaphore(MESSAGES_AHEAD)
    ahead: asyncio.Queue[pb.SubmitTasksRequest | None] = asyncio.Queue()

    async def read() -> None:
        async for request in requests:
            ahead.put_nowait(request)
            await room.acquire()

    reading = asyncio.ensure_future(read())
    reading.add_done_callback(lambda _done: ahead.put_nowait(None))
    first = 0
    try:
        request = await ahead.get()
        while request is not None:
            together: list[pb.Submission] = []
            while request is not None:
                room.release()
                together += request.submissions
                if len(together) >= CHUNK or ahead.empty():
                    break
                request = ahead.get_nowait()
            for chunk in _chunks(api, together, seqs, first):
                yield chunk
            first += len(together)
            if request is not None:
                request = await ahead.get()
        await reading  # what it met is raised here
    finally:
        reading.cancel()


def _chunks(
    api: Api, submissions: Iterable[pb.Submission], seqs: deque[int], first: int
) -> Iterable[Decided]:
    """Submissions in parts that are decided in one turn each; their seqs in the same order."""
    part: list[pb.Submission] = []
    for submission in submissions:
        part.append(submission)
        if len(part) == CHUNK:
            yield _decided(api, part, seqs, first)
            first += CHUNK
            part = []
    if part:
        yield _decided(api, part, seqs, first)


def _decided(api: Api, part: list[pb.Submission], seqs: deque[int], first: int) -> Decided:
    seqs.extend(submission.seq for submission in part)
    return decide(api, (_read(submission.task) for submission in part), first)


def _read(task: pb.TaskSpec) -> TaskIn | Problem:
    try:
        return _task.convert(plain(task))
    except ProblemError as error:
        return error.problem


def _result(item: BatchItem, seqs: deque[int]) -> pb.SubmissionResult:
    """An item's answer. Answers come in the order of the submissions, and so do seqs."""
    seq = seqs.popleft()
    if item.problem is not UNSET:
        error = status_of(item.problem, inside="task", fields=_FIELDS)
        return pb.SubmissionResult(seq=seq, error=error)
    gate = "" if item.gate is UNSET else item.gate
    replayed = item.replayed is True
    assert item.id is not UNSET, "what is stored has an id"
    return pb.SubmissionResult(seq=seq, id=item.id, gate=gate, replayed=replayed)
