"""`task submit`: one task from flags, or any number from lines of JSON.

Rules of residence: from flags to a submission. Names, ranges and durations are judged by the
server. Flags that a submission shares with a series are in `Sending`.
"""

import os
import select
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from taskmaster.cli import exits, values
from taskmaster.cli.exits import UsageError
from taskmaster.cli.names import gate_names
from taskmaster.cli.view import VIEW, Shown, View, say
from taskmaster.cli.view import show as show_result

if TYPE_CHECKING:
    from taskmaster.client import BatchItem

RULES = Group("Rules", sort_key=2)
REQUEST = Group("Request", sort_key=1)
CHUNK_BYTES = 64 * 1024
PAUSE_S = 0.1
"""Lines that have come are submitted when no more come for so long."""
Many = Annotated[tuple[str, ...], Parameter(consume_multiple=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Sending:
    """What is sent, and under which rules: the same for a task and a series."""

    method: Annotated[str | None, Parameter(name=("--method", "-X"), group=REQUEST)] = None
    """POST if nothing else is said."""
    header: Annotated[Many, Parameter(name=("--header", "-H"), group=REQUEST)] = ()
    """Name: value; may be given several times."""
    body: Annotated[
        str | None, Parameter(name=("--body", "-d"), group=REQUEST, allow_leading_hyphen=True)
    ] = None
    """Text, @file, or - for stdin."""
    gate: Annotated[
        str | None, Parameter(name=("--gate", "-g"), group=REQUEST, completer=gate_names)
    ] = None
    """A gate that exists; without it the one of the URL's origin."""
    timeout: Annotated[str | None, Parameter(group=RULES)] = None
    """How long one attempt may take (30s)."""
    max_attempts: Annotated[int | None, Parameter(group=RULES)] = None
    """The first one included (5)."""
    min_backoff: Annotated[str | None, Parameter(group=RULES)] = None
    """Shortest bound of the back-off (1s)."""
    max_backoff: Annotated[str | None, Parameter(group=RULES)] = None
    """Longest back-off (10m)."""
    max_elapsed: Annotated[str | None, Parameter(group=RULES)] = None
    """No attempt later than this after the first (24h)."""
    jitter: Annotated[Literal["full", "none"] | None, Parameter(group=RULES)] = None
    """Whether back-offs are spread (full)."""
    retry_on: Annotated[tuple[int, ...], Parameter(group=RULES, consume_multiple=False)] = ()
    """A further status to try again on, such as 404; may be given several times."""
    idempotent: Annotated[bool | None, Parameter(group=RULES, negative="--no-idempotent")] = None
    """Whether a request that may have arrived may be sent again (yes)."""
    priority: Annotated[int | None, Parameter(group=RULES)] = None
    """0 to 9, higher first (0)."""
    fair_key: Annotated[str | None, Parameter(group=RULES)] = None
    """Tasks of different keys share the gate evenly."""
    order_key: Annotated[str | None, Parameter(group=RULES)] = None
    """Tasks of one key run one after the other, in the order of submission."""
    label: Annotated[Many, Parameter(name=("--label", "-l"), group=REQUEST)] = ()
    """name=value; may be given several times."""

    def fields(self) -> values.Json:
        """The fields of the API that were set."""
        retry = values.given(
            max_attempts=self.max_attempts,
            min_backoff=self.min_backoff,
            max_backoff=self.max_backoff,
            max_elapsed=self.max_elapsed,
            jitter=self.jitter,
            retry_on=list(self.retry_on) or None,
        )
        return values.given(
            method=self.method,
            headers=values.headers(self.header),
            **values.body(self.body),
            gate=self.gate,
            timeout=self.timeout,
            retry=retry or None,
            idempotent=self.idempotent,
            priority=self.priority,
            fair_key=self.fair_key,
            order_key=self.order_key,
            labels=values.labels(self.label),
        )


SENDING = Sending()


@Parameter(name="*")
@dataclass(frozen=True)
class When:
    """When a task is due, and how it is told from others."""

    due_at: Annotated[str | None, Parameter(group=REQUEST)] = None
    """Not before this instant, as 2026-11-24T09:00:00Z."""
    delay: Annotated[str | None, Parameter(group=REQUEST)] = None
    """Not before this has passed, as 15m."""
    expires_at: Annotated[str | None, Parameter(group=RULES)] = None
    """Expired after this instant, or this far from now, if it has not started."""
    key: Annotated[str | None, Parameter(group=REQUEST)] = None
    """Idempotency key: the same key again gives the same task."""


WHEN = When()


def submit(
    url: str | None = None,
    /,
    *,
    sending: Sending = SENDING,
    when: When = WHEN,
    file: Annotated[str | None, Parameter(name=("--file", "-f"), allow_leading_hyphen=True)] = None,
    wait: bool = False,
    wait_timeout: Annotated[str, Parameter(show_default=True)] = "10m",
    view: View = VIEW,
) -> int | None:
    """Submit one task to a URL, or many from a file. It is stored when this returns.

    Args:
        url: What to call.
        file: Tasks as lines of JSON, fields as in the API; - is stdin.
        wait: Wait for the end of the task; exit 1 if it did not succeed.
        wait_timeout: How long; then exit 124, and the task goes on.
    """
    if (url is None) == (file is None):
        raise UsageError("one of a URL and --file is needed", remedy="see task submit --help")
    if file is not None:
        if (sending, when) != (SENDING, WHEN) or wait:
            raise UsageError(
                "--file takes no flags of a single task", remedy="write them into the lines"
            )
        return _submit_file(file, view)
    fields = values.given(
        url=url,
        **sending.fields(),
        due_at=when.due_at,
        delay=when.delay,
        expires_at=values.instant(when.expires_at),
        key=when.key,
    )
    timeout_s = values.seconds(wait_timeout, flag="--wait-timeout") if wait else 0.0
    return _submit_one(fields, view, wait=wait, timeout_s=timeout_s)


def _submit_one(fields: values.Json, view: View, *, wait: bool, timeout_s: float) -> int | None:
    import uuid

    from taskmaster.cli.columns import task_text
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        call = calls.submit(fields, key=uuid.uuid4().hex)
        answer = client.answer(call)
        submitted = client.read(call, answer)
        task, document = submitted.task, answer.body
        if submitted.replayed:
            say("the key was used before: this is the task of then")
        if wait:
            client.wait(task.id, timeout_s=timeout_s)
            again = calls.read_task(task.id)
            answer = client.answer(again)
            task, document = client.read(again, answer), answer.body
    show_result(view, Shown(document, lambda paint: task_text(task, paint), [task.id]))
    return exits.FAILED if wait and task.state != "succeeded" else None


def _submit_file(path: str, view: View) -> int | None:
    """Results go out as they come; what was refused is told on stderr, and ends with 1."""
    from taskmaster.cli.connect import STREAM_PATIENCE_S, connect
    from taskmaster.cli.progress import counting

    created = replayed = refused = 0
    with (
        connect(view, patience_s=STREAM_PATIENCE_S) as client,
        counting("submitting", "tasks") as count,
    ):
        numbers: deque[int] = deque()
        for item in client.submit_stream(_lines(path, numbers)):
            number = numbers.popleft()
            created += item.status == 201
            replayed += item.status == 200
            if item.status >= 300:
                refused += 1
                say(f"line {number}: {_refusal(item)}")
            _tell_item(item, view)
            count(1)
    say(f"{created} stored, {replayed} stored before, {refused} refused")
    return exits.FAILED if refused else None


def _lines(path: str, numbers: deque[int]) -> Iterator[bytes | None]:
    """Lines that are not blank, and None when no more come for now; their numbers in the file
    are added to `numbers`."""
    from taskmaster.client.batch import Lines

    lines, number = Lines(), 0
    for chunk in _chunks(path):
        for line in lines.take(chunk) if chunk is not None else lines.rest():
            number += 1
            if line.strip():
                numbers.append(number)
                yield line
        if chunk == b"":
            yield None


def _chunks(path: str) -> Iterator[bytes | None]:
    """What is there to read; empty when nothing comes for a moment, None at the end."""
    try:
        fd = sys.stdin.fileno() if path == "-" else os.open(path, os.O_RDONLY)
        try:
            while True:
                if not select.select([fd], [], [], PAUSE_S)[0]:
                    yield b""
                elif chunk := os.read(fd, CHUNK_BYTES):
                    yield chunk
                else:
                    yield None
                    return
        finally:
            if path != "-":
                os.close(fd)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", remedy="name a file that can be read, or -"
        ) from error


def _tell_item(item: "BatchItem", view: View) -> None:
    """One line for each: JSON as the API answers, else the id."""
    if view.output in {"json", "ndjson"}:
        import msgspec

        print(msgspec.json.encode(item).decode())
    elif item.id:
        print(item.id)


def _refusal(item: "BatchItem") -> str:
    from taskmaster.cli.paint import printable

    if item.problem is None:
        return f"answered {item.status}"
    first = item.problem.errors[0] if item.problem.errors else None
    if first is None:
        return printable(item.problem.detail or item.problem.title)
    where = f"{first.pointer.strip('/').replace('/', '.')}: " if first.pointer else ""
    remedy = f"; {first.remedy}" if first.remedy else ""
    return printable(f"{where}{first.message}{remedy}")
