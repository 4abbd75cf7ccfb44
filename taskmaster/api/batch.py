"""Many submissions in one call: a JSON array, or NDJSON that is answered while it comes in.

Rules of residence: an item that cannot be accepted is answered for itself, the rest goes on. Items
are decided `CHUNK` a turn, so that 32 MiB do not hold the loop, and chunks are committed side by
side. Tasks with an `order_key` run in the order of their submission, so a chunk that holds one
waits for those before it; so does one that brings a gate into being.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from taskmaster.actors.intake import Accepted, Replayed, SubmitAnswer
from taskmaster.actors.journal import Refused
from taskmaster.api.answers import BatchItem, BatchOut
from taskmaster.api.bodies import TaskIn
from taskmaster.api.context import Api, JsonResponse, cause, within
from taskmaster.api.operations import Operation, Reply
from taskmaster.api.problems import Problem, ProblemError, of_refused, of_rejected, problem, stop
from taskmaster.api.reading import (
    MAX_BATCH_BYTES,
    MAX_BATCH_TASKS,
    MAX_REQUEST_BYTES,
    BodyReader,
    media_type,
    read_body,
    unreadable,
)
from taskmaster.api.submissions import submission
from taskmaster.events.types import Cause, GateName
from taskmaster.model.rejected import Rejected
from taskmaster.model.submission import SubmitTask

NDJSON = "application/x-ndjson"
CHUNK = 200
"""Items decided in one turn of the loop: about 2 ms."""
CHUNKS_AT_ONCE = 8
"""Chunks that wait for their commits side by side; a commit takes 512 submissions."""
LINES_AT_ONCE = 500
ANSWERS_AHEAD = 128
"""Chunks of answers that wait for a caller who sends all before reading any. At the bound nothing
more is read: that is the back-pressure."""

_task = BodyReader(TaskIn)
_array = msgspec.json.Decoder(list[Raw])
_encode_lines = msgspec.json.Encoder().encode_lines


class Decided(Struct):
    """A chunk after its turn: the wishes with their places, and what was refused at once."""

    first: int
    refused: list[BatchItem]
    implicit: list[tuple[int, SubmitTask]]
    explicit: list[tuple[int, SubmitTask]]
    is_ordered: bool = False


def decide(api: Api, tasks: Iterable[TaskIn | Problem], first: int) -> Decided:
    """Judge a chunk's items, the first of which is `first`; nothing is stored yet."""
    chunk = Decided(first, [], [], [])
    egress = api.egress
    implicit, explicit = chunk.implicit, chunk.explicit
    for index, task in enumerate(tasks, first):
        if isinstance(task, Problem):
            chunk.refused.append(refused_item(index, task))
            continue
        wish = submission(task, egress)
        if isinstance(wish, Rejected):
            chunk.refused.append(refused_item(index, of_rejected(wish, in_body=True)))
            continue
        (implicit if task.gate is None else explicit).append((index, wish))
        if wish.order_key:
            chunk.is_ordered = True
    return chunk


def refused_item(index: int, found: Problem) -> BatchItem:
    """The answer to one item that was not accepted."""
    return BatchItem(index, found.status, problem=found)


async def submit(api: Api, chunk: Decided, because: Cause) -> list[BatchItem]:
    """Make a chunk's tasks durable; the answers in order."""
    items = chunk.refused
    for wishes, implicit in ((chunk.implicit, True), (chunk.explicit, False)):
        if not wishes:
            continue
        commands = [wish for _, wish in wishes]
        answers = await _submitted(api, commands, because, implicit=implicit)
        for (index, wish), answer in zip(wishes, answers, strict=True):
            items.append(_item(index, wish.gate, answer))
    items.sort(key=_index)
    return items


def _index(item: BatchItem) -> int:
    return item.index


async def _submitted(
    api: Api, commands: list[SubmitTask], because: Cause, *, implicit: bool
) -> list[SubmitAnswer] | list[Problem]:
    """The intake's answers; where it does not answer in time, that for each."""
    try:
        api.refuse_while_stopping()
        return await within(api.node.intake.submit(commands, because, implicit=implicit))
    except ProblemError as error:
        return [error.problem] * len(commands)


def _item(index: int, gate: GateName, answer: SubmitAnswer | Problem) -> BatchItem:
    if isinstance(answer, Accepted):
        return BatchItem(index, 201, answer.task_id, gate)
    if isinstance(answer, Replayed):
        return BatchItem(index, 200, answer.task_id, replayed=True)
    if isinstance(answer, Rejected):
        return refused_item(index, of_rejected(answer, in_body=True))
    if isinstance(answer, Refused):
        return refused_item(index, of_refused(answer))
    return refused_item(index, answer)


async def answered(
    api: Api, chunks: AsyncIterator[Decided], because: Cause
) -> AsyncIterator[list[BatchItem]]:
    """The answers to chunks, in their order, each as soon as it and those before are durable.

    Up to `CHUNKS_AT_ONCE` are begun and not answered; the next is read only then.
    """
    room = asyncio.Semaphore(CHUNKS_AT_ONCE)
    begun: asyncio.Queue[asyncio.Task[list[BatchItem]] | None] = asyncio.Queue()
    running: set[asyncio.Task[list[BatchItem]]] = set()

    async def begin() -> None:
        async for chunk in chunks:
            await room.acquire()
            if chunk.is_ordered and running:
                await asyncio.wait(running)
            task = asyncio.ensure_future(submit(api, chunk, because))
            running.add(task)
            task.add_done_callback(running.discard)
            begun.put_nowait(task)
            if chunk.is_ordered:
                await asyncio.wait({task})
            await asyncio.sleep(0)

    reading = asyncio.ensure_future(begin())
    reading.add_done_callback(lambda _done: begun.put_nowait(None))
    try:
        while (task := await begun.get()) is not None:
            yield await task
            room.release()
        await reading  # what it met is raised here
    finally:
        reading.cancel()
        for task in running:
            task.cancel()


# --- a JSON array -----------------------------------------------------------------------------


async def batch_create(api: Api, request: Request) -> Response:
    """Submit many tasks, each answered for itself."""
    api.refuse_while_stopping()
    because = cause(request, "SubmitTask")
    if media_type(request, NDJSON) == NDJSON:
        return _LinesResponse(answered(api, _line_chunks(api, request), because))
    raws = _items_of(await read_body(request, MAX_BATCH_BYTES))
    items: list[BatchItem] = []
    async for part in answered(api, _chunks(api, raws), because):
        items += part
    created = sum(item.status == 201 for item in items)
    replayed = sum(item.status == 200 for item in items)
    out = BatchOut(items, created, replayed, len(items) - created - replayed)
    return JsonResponse(out)


def _items_of(content: bytes) -> list[Raw]:
    try:
        raws = _array.decode(content)
    except msgspec.ValidationError:
        raise stop(
            "invalid_field",
            "the body must be a list of tasks",
            pointer="",
            remedy=f"send [{{...}}, ...], or one task a line as {NDJSON}",
        ) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProblemError(unreadable(error)) from None
    if len(raws) > MAX_BATCH_TASKS:
        raise stop(
            "too_large",
            f"the batch holds {len(raws)} tasks",
            remedy=f"send at most {MAX_BATCH_TASKS}, or stream them as {NDJSON}",
        )
    return raws


async def _chunks(api: Api, raws: list[Raw]) -> AsyncIterator[Decided]:
    for first in range(0, len(raws), CHUNK):
        yield decide(api, map(_task.decode, raws[first : first + CHUNK]), first)


# --- NDJSON -----------------------------------------------------------------------------------


class Lines:
    """Cuts a stream of bytes into lines. One that is too long is dropped and leaves None."""

    def __init__(self, limit: int = MAX_REQUEST_BYTES) -> None:
        """A line holds at most `limit` bytes."""
        self._limit = limit
        self._rest = b""
        self._is_dropping = False

    def cut(self, chunk: bytes) -> Iterator[Raw | None]:
        """The lines that a chunk completes, without empty ones."""
        first, *others = chunk.split(b"\n")
        for ended in others:
            yield from self._line(self._rest + first)
            self._rest, first = b"", ended
        self._rest += first
        if len(self._rest) > self._limit:
            self._rest, self._is_dropping = b"", True

    def end(self) -> Iterator[Raw | None]:
        """The last line, where no newline ends it."""
        rest, self._rest = self._rest, b""
        yield from self._line(rest)

    def _line(self, line: bytes) -> Iterator[Raw | None]:
        if self._is_dropping or len(line) > self._limit:
            self._is_dropping = False
            yield None
        elif line and not line.isspace():
            yield Raw(line)


async def _line_chunks(api: Api, request: Request) -> AsyncIterator[Decided]:
    """What has come in, at most `LINES_AT_ONCE` at a time, and no line is kept waiting for more."""
    lines = Lines()
    first = 0
    async for received in request.stream():
        for part in _parts(lines.cut(received)):
            yield _decide_lines(api, part, first)
            first += len(part)
    for part in _parts(lines.end()):
        yield _decide_lines(api, part, first)


def _parts(lines: Iterator[Raw | None]) -> Iterator[list[Raw | None]]:
    part: list[Raw | None] = []
    for line in lines:
        part.append(line)
        if len(part) == LINES_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


_LONG_LINE = problem(
    "too_large",
    f"the line is longer than {MAX_REQUEST_BYTES} bytes",
    remedy="send a reference to the data instead of the data",
)


def _decide_lines(api: Api, part: list[Raw | None], first: int) -> Decided:
    tasks = (_LONG_LINE if line is None else _task.decode(line) for line in part)
    return decide(api, tasks, first)


class _LinesResponse(Response):
    """Answers lines as they come in; reading goes ahead of the answers by `ANSWERS_AHEAD` chunks.

    starlette's own streaming reads the request's body to notice that a caller left, and would
    take lines away here.
    """

    def __init__(self, items: AsyncIterator[list[BatchItem]]) -> None:
        super().__init__(None, 200, media_type=NDJSON)
        del self.headers["content-length"]
        self._items = items

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        ahead: asyncio.Queue[bytes | None] = asyncio.Queue(ANSWERS_AHEAD)

        async def produce() -> None:
            async for items in self._items:
                await ahead.put(_encode_lines(items))
            await ahead.put(None)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(produce())
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
                while (lines := await ahead.get()) is not None:
                    await send({"type": "http.response.body", "body": lines, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except* ClientDisconnect:
            pass  # what was committed stays; nobody is there to hear of it


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/tasks:batchCreate",
        answer=batch_create,
        name="batch_create_tasks",
        about="Submit many tasks: a list of up to 10,000, or NDJSON without end, which is answered"
        " line by line while it comes in. Each task is accepted or refused for itself.",
        tag="tasks",
        body=list[TaskIn],
        body_media=("application/json", NDJSON),
        replies=(
            Reply(200, BatchOut, "What became of each."),
            Reply(200, BatchItem, "The same, one line for each task.", NDJSON),
        ),
        codes=("too_large",),
    ),
)
