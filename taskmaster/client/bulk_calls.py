"""Calls about many tasks at once, and about other rules or another gate for one.

Rules of residence: as `calls.py`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from taskmaster.client.calls import JSON, Answer, Call, Fields
from taskmaster.client.shapes import Json, Page, Task

T = TypeVar("T")


class BulkSet(Struct, frozen=True, kw_only=True):
    """What a bulk would change. `set` names these tasks for the call that does it; `matched` is
    None where more matched than are counted."""

    matched: int | None
    by_state: dict[str, int]
    by_gate: dict[str, int]
    sample: list[str]
    set: str


class Bulk(Struct, frozen=True, kw_only=True):
    """A bulk and how far it is: `state` is running, ended or aborted."""

    id: str
    action: str
    state: str
    filter: Json | None = None
    matched: int | None = None
    answered: int = 0
    changed: int = 0
    requested: int = 0
    already: int = 0
    refused: int = 0
    unavailable: int = 0
    gone: int = 0
    rate: float | None = None
    undoes: str | None = None
    started_at: datetime
    author: str = ""
    reason: str = ""
    ended_at: datetime | None = None
    ended_by: str | None = None
    ended_reason: str | None = None


class BulkMember(Struct, frozen=True):
    """What became of one task, and why where it was left as it is."""

    id: str
    answer: str
    why: str = ""


def count_bulk(action: str, match: Fields) -> Call[BulkSet]:
    """What a bulk would change."""
    body = {"action": action, "filter": dict(match), "dry_run": True}
    return _post("/v1/bulks", BulkSet, body)


def start_bulk(
    action: str,
    match: Fields,
    *,
    set_token: str = "",
    rate: float | None = None,
    reason: str = "",
    how: Fields | None = None,
) -> Call[Bulk]:
    """Change all that match, or those of a dry run's `set`. Not repeatable: each is another one."""
    body = {"action": action, "filter": dict(match), "set": set_token or None, "rate": rate}
    return _post("/v1/bulks", Bulk, {**body, **(how or {}), "reason": reason}, repeatable=False)


def list_bulks(*, limit: int | None = None, page_token: str = "") -> Call[Page[Bulk]]:
    """A page of bulks, the newest first."""
    return _page("/v1/bulks", Bulk, limit, page_token)


def read_bulk(bulk_id: str) -> Call[Bulk]:
    """One bulk."""
    return Call("GET", _bulk(bulk_id), _read(Bulk))


def bulk_members(
    bulk_id: str, *, limit: int | None = None, page_token: str = ""
) -> Call[Page[BulkMember]]:
    """A page of what became of each task."""
    return _page(f"{_bulk(bulk_id)}/members", BulkMember, limit, page_token)


def abort_bulk(bulk_id: str, *, reason: str = "") -> Call[Bulk]:
    """End a bulk where it stands."""
    return _post(f"{_bulk(bulk_id)}:abort", Bulk, {"reason": reason})


def undo_bulk(bulk_id: str, *, rate: float | None = None, reason: str = "") -> Call[Bulk]:
    """Take a bulk back where nothing has happened since."""
    body = {"rate": rate, "reason": reason}
    return _post(f"{_bulk(bulk_id)}:undo", Bulk, body, repeatable=False)


def edit_task(task_id: str, change: Fields, *, reason: str = "") -> Call[Task]:
    """Other rules for a task that was never sent; what is left out stays."""
    return _post(f"{_task(task_id)}:edit", Task, {**change, "reason": reason})


def move_task(task_id: str, to: str, *, reason: str = "") -> Call[Task]:
    """Give a task to another gate."""
    return _post(f"{_task(task_id)}:move", Task, {"to": to, "reason": reason})


def _bulk(bulk_id: str) -> str:
    return f"/v1/bulks/{quote(bulk_id, safe='')}"


def _task(task_id: str) -> str:
    return f"/v1/tasks/{quote(task_id, safe='')}"


def _post(
    path: str, shape: type[T], body: Mapping[str, object], *, repeatable: bool = True
) -> Call[T]:
    given = {name: value for name, value in body.items() if value is not None}
    content = msgspec.json.encode(given)
    headers = {"content-type": JSON}
    return Call("POST", path, _read(shape), headers=headers, body=content, repeatable=repeatable)


def _page(path: str, shape: type[T], limit: int | None, page_token: str) -> Call[Page[T]]:
    query = (("limit", "" if limit is None else str(limit)), ("page_token", page_token))
    given = tuple(pair for pair in query if pair[1])
    return Call("GET", path, _read(Page[shape]), query=given)


def _read(shape: type[T]) -> Callable[[Answer], T]:
    def read(answer: Answer) -> T:
        return msgspec.json.decode(answer.body, type=shape)

    return read
