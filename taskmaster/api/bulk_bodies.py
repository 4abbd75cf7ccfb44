"""What requests about many tasks carry, and what an edit may set.

Rules of residence: as `bodies.py`; and the one translation into the model's terms that single and
bulk edits share.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from taskmaster.api.bodies import Duration, Instant, Reason, RetryIn
from taskmaster.api.submissions import content_of, duration, instant, of_refusal, retry_of
from taskmaster.delivery.egress import Egress, Target
from taskmaster.delivery.headers import refuse_headers
from taskmaster.events.types import TaskChange, TaskStateName, Wall
from taskmaster.model.rejected import Rejected


class EditIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Other rules for a task that was never sent; what is left out stays."""

    url: Annotated[str | None, Meta(description="the endpoint, on the task's own gate")] = None
    method: Annotated[str | None, Meta(description="GET, POST, PUT, PATCH, DELETE ...")] = None
    headers: Annotated[
        dict[str, str] | None, Meta(description="an object of header names and values, as a whole")
    ] = None
    body: Annotated[str | None, Meta(description="the request's body as text")] = None
    body_base64: Annotated[
        str | None, Meta(description="the request's body as base64, instead of body")
    ] = None
    timeout: Annotated[Duration | None, Meta(description='a duration such as "30s"')] = None
    retry: Annotated[RetryIn | None, Meta(description="the rules of trying again, as a whole")] = (
        None
    )
    idempotent: Annotated[bool | None, Meta(description="true or false")] = None
    priority: Annotated[int | None, Meta(description="0 to 9; higher goes first")] = None
    expires_at: Annotated[
        Instant | None, Meta(description="an instant after which it is not sent any more")
    ] = None


class TaskEditIn(EditIn, frozen=True, forbid_unknown_fields=True):
    """Other rules for one task that was never sent; what is left out stays."""

    reason: Reason = ""


class TaskMoveIn(Struct, frozen=True, forbid_unknown_fields=True):
    """To which gate a task is given."""

    to: Annotated[str, Meta(description="the name of a gate that exists")]
    reason: Reason = ""


States = Annotated[
    TaskStateName | tuple[TaskStateName, ...] | None,
    Meta(description="one state or a list of them; if left out those that the action is for"),
]


class BulkFilterIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tasks: those that match all that is given."""

    gate: Annotated[str | None, Meta(description="only tasks of this gate")] = None
    state: States = None
    labels: Annotated[
        dict[str, str] | None, Meta(description="an object of names and texts, all of them")
    ] = None
    series: Annotated[str | None, Meta(description="only occurrences of this series")] = None
    key: Annotated[str | None, Meta(description="only tasks with this idempotency key")] = None
    fair_key: Annotated[str | None, Meta(description="only tasks with this fair_key")] = None
    due_before: Annotated[Instant | None, Meta(description="only tasks due before it")] = None
    due_after: Annotated[Instant | None, Meta(description="only tasks due after it")] = None


Rate = Annotated[
    int | float | None,
    Meta(description="how many tasks a second are changed; no bound if left out"),
]


class BulkIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Change many tasks by one command."""

    action: Annotated[
        Literal["cancel", "redrive", "reschedule", "edit", "move"],
        Meta(description="cancel, redrive, reschedule, edit or move"),
    ]
    filter: Annotated[BulkFilterIn, Meta(description="an object that says which tasks")]
    dry_run: Annotated[bool, Meta(description="true to count, and change nothing")] = False
    set: Annotated[
        str | None, Meta(description="`set` of a dry run: those tasks and no later ones")
    ] = None
    rate: Rate = None
    due_at: Annotated[Instant | None, Meta(description="for reschedule: an instant, or delay")] = (
        None
    )
    delay: Annotated[
        Duration | None, Meta(description='for reschedule: from now, such as "15m", or due_at')
    ] = None
    edit: Annotated[EditIn | None, Meta(description="for edit: an object of what it sets")] = None
    to: Annotated[str | None, Meta(description="for move: the name of a gate that exists")] = None
    reason: Reason = ""


class UndoIn(Struct, frozen=True, forbid_unknown_fields=True):
    """How fast, and why."""

    rate: Rate = None
    reason: Reason = ""


def change_of(edit: EditIn, egress: Egress) -> TaskChange | Rejected:
    """What an edit sets, units converted and the URL judged."""
    if edit.url is not None:
        target = egress.check_url(edit.url)
        if not isinstance(target, Target):
            return of_refusal(target)
    headers = None if edit.headers is None else tuple(edit.headers.items())
    if headers is not None and (refusal := refuse_headers(headers)) is not None:
        return of_refusal(refusal)
    content = None
    if edit.body is not None or edit.body_base64 is not None:
        content = content_of(edit.body, edit.body_base64)
    timeout_ns = None if edit.timeout is None else duration("timeout", edit.timeout)
    retry = None if edit.retry is None else retry_of(edit.retry)
    expires_at: Wall | Rejected | None = None
    if edit.expires_at is not None:
        expires_at = instant("expires_at", edit.expires_at)
    for read in (content, timeout_ns, retry, expires_at):
        if isinstance(read, Rejected):
            return read
    return TaskChange(
        url=edit.url,
        method=edit.method,
        headers=headers,
        body=content,  # pyright: ignore[reportArgumentType]  # no Rejected any more
        timeout_ns=timeout_ns,  # pyright: ignore[reportArgumentType]
        retry=retry,  # pyright: ignore[reportArgumentType]
        idempotent=edit.idempotent,
        priority=edit.priority,
        expires_at=expires_at,  # pyright: ignore[reportArgumentType]
    )
