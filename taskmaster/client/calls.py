"""Every route of `/v1` as a value: what to send, and how to read the answer.

Rules of residence: pure; no connection, no clock, no chance. A `Call` says whether it may be sent
again when its answer was lost. The two clients only carry calls out.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from taskmaster.client.node_shapes import Actor, ServerVersion, Unit
from taskmaster.client.shapes import (
    ALL_TASKS,
    Batch,
    Cancelled,
    Duration,
    Entry,
    Gate,
    GateSettings,
    GateWhy,
    Instant,
    Json,
    Page,
    Purged,
    Runs,
    Series,
    SeriesChange,
    SeriesRules,
    Submission,
    Submitted,
    Task,
    TaskFilter,
    Why,
)

T = TypeVar("T")

JSON = "application/json"
NDJSON = "application/x-ndjson"
Fields = Mapping[str, object]


class Answer(Struct, frozen=True):
    """What came back; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Call(Struct, Generic[T], frozen=True):
    """One request. `repeatable`: to send it twice does no more than to send it once."""

    method: str
    path: str
    read: Callable[[Answer], T]
    query: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    repeatable: bool = True


# --- tasks ------------------------------------------------------------------------------------


def submit(submission: Submission | Fields, *, key: str) -> Call[Submitted]:
    """Submit one task under an idempotency key, which makes the call repeatable.

    The submission's own `key`, where it has one, goes first.
    """
    body = _as_json(submission)
    headers = {} if _own_key(submission) else {"idempotency-key": key}
    return _post("/v1/tasks", _submitted, body, headers=headers)


def submit_batch(submissions: Sequence[Submission | Fields]) -> Call[Batch]:
    """Submit a batch; repeatable only when each submission has a key (see `batch.keyed`)."""
    keyed = all(_own_key(submission) for submission in submissions)
    return _post("/v1/tasks:batchCreate", _read(Batch), _as_json(submissions), repeatable=keyed)


def list_tasks(
    match: TaskFilter = ALL_TASKS, *, limit: int | None = None, page_token: str = ""
) -> Call[Page[Task]]:
    """A page of the tasks that match all that is given, newest first."""
    query = [
        ("gate", match.gate),
        *(("state", state) for state in match.states),
        *(("label", f"{name}:{value}") for name, value in match.labels.items()),
        ("series", match.series),
        ("key", match.key),
        ("due_before", _instant(match.due_before)),
        ("due_after", _instant(match.due_after)),
        *_paging(limit, page_token),
    ]
    return _get("/v1/tasks", _read(Page[Task]), query)


def read_task(task_id: str, *, wait_s: int = 0) -> Call[Task]:
    """The whole of one task; with `wait_s` once it has ended, after at most so long."""
    headers = {"prefer": f"wait={wait_s}"} if wait_s else {}
    return Call("GET", _task(task_id), _read(Task), headers=headers)


def task_history(
    task_id: str, *, limit: int | None = None, page_token: str = ""
) -> Call[Page[Entry]]:
    """A page of what happened to a task, oldest first."""
    return _get(f"{_task(task_id)}/history", _entries, _paging(limit, page_token))


def why_task(task_id: str) -> Call[Why]:
    """Where a task's time went and goes."""
    return _get(f"{_task(task_id)}/why", _read(Why))


def cancel_task(task_id: str, *, reason: str = "") -> Call[Cancelled]:
    """No further attempt."""
    return _post(f"{_task(task_id)}:cancel", _read(Cancelled), _wish(reason))


def reschedule_task(
    task_id: str,
    *,
    due_at: Instant | None = None,
    delay: Duration | None = None,
    reason: str = "",
) -> Call[Task]:
    """Another due time. With `delay` a lost answer is not repeated: it would move again."""
    body = _wish(reason, due_at=due_at, delay=delay)
    return _post(f"{_task(task_id)}:reschedule", _read(Task), body, repeatable=delay is None)


def run_task(task_id: str, *, reason: str = "") -> Call[Task]:
    """Due now."""
    return _post(f"{_task(task_id)}:run", _read(Task), _wish(reason), repeatable=False)


def redrive_task(task_id: str, *, reason: str = "") -> Call[Task]:
    """Give a dead letter to its gate again."""
    return _post(f"{_task(task_id)}:redrive", _read(Task), _wish(reason), repeatable=False)


# --- gates ------------------------------------------------------------------------------------


def set_gate(
    name: str, settings: GateSettings | Fields, *, version: int | None = None
) -> Call[Gate]:
    """Create a gate, or replace all its settings; with `version`, only if it stands there."""
    return _change("PUT", _gate(name), _read(Gate), settings, version)


def change_gate(
    name: str, settings: GateSettings | Fields, *, version: int | None = None
) -> Call[Gate]:
    """Change the settings that are given; with `version`, only if the gate stands there."""
    return _change("PATCH", _gate(name), _read(Gate), settings, version)


def list_gates(
    *, states: Sequence[str] = (), limit: int | None = None, page_token: str = ""
) -> Call[Page[Gate]]:
    """A page of the gates, by name."""
    query = [*(("state", state) for state in states), *_paging(limit, page_token)]
    return _get("/v1/gates", _read(Page[Gate]), query)


def read_gate(name: str) -> Call[Gate]:
    """One gate."""
    return _get(_gate(name), _read(Gate))


def pause_gate(name: str, *, until: Instant | None = None, reason: str = "") -> Call[Gate]:
    """No new starts, until then or until it is resumed."""
    return _post(f"{_gate(name)}:pause", _read(Gate), _wish(reason, until=until))


def resume_gate(name: str, *, reason: str = "") -> Call[Gate]:
    """Starts and submissions again."""
    return _post(f"{_gate(name)}:resume", _read(Gate), _wish(reason))


def drain_gate(name: str, *, reason: str = "") -> Call[Gate]:
    """No new starts, and wait for those in flight."""
    return _post(f"{_gate(name)}:drain", _read(Gate), _wish(reason))


def close_gate(name: str, *, reason: str = "") -> Call[Gate]:
    """No starts and no submissions."""
    return _post(f"{_gate(name)}:close", _read(Gate), _wish(reason))


def release_gate(name: str, *, reason: str = "") -> Call[Gate]:
    """Let a quarantined gate run again."""
    return _post(f"{_gate(name)}:release", _read(Gate), _wish(reason))


def purge_gate(
    name: str, *, states: Sequence[str] = (), dry_run: bool = False, reason: str = ""
) -> Call[Purged]:
    """Cancel a gate's tasks in bulk; by default those waiting and scheduled."""
    state: str | list[str] | None = list(states) if len(states) > 1 else "".join(states) or None
    body = _wish(reason, dry_run=dry_run or None, state=state)
    return _post(f"{_gate(name)}:purge", _read(Purged), body)


def why_gate(name: str, *, since: str = "", until: str = "") -> Call[GateWhy]:
    """Why a gate's tasks wait; with `since` also how long they did, all together."""
    return _get(f"{_gate(name)}/why", _read(GateWhy), [("since", since), ("until", until)])


# --- series -----------------------------------------------------------------------------------


def set_series(name: str, rules: SeriesRules | Fields) -> Call[Series]:
    """Create a series; the same again is no change, another under the name is a conflict."""
    return _change("PUT", _series(name), _read(Series), rules, None)


def change_series(
    name: str, rules: SeriesChange | Fields, *, version: int | None = None
) -> Call[Series]:
    """Change the rules that are given, from the next run on; with `version`, only if the series
    stands there."""
    return _change("PATCH", _series(name), _read(Series), rules, version)


def list_series(*, limit: int | None = None, page_token: str = "") -> Call[Page[Series]]:
    """A page of the series, by name."""
    return _get("/v1/series", _read(Page[Series]), _paging(limit, page_token))


def read_series(name: str) -> Call[Series]:
    """One series."""
    return _get(_series(name), _read(Series))


def pause_series(name: str, *, reason: str = "") -> Call[Series]:
    """Its open task waits."""
    return _post(f"{_series(name)}:pause", _read(Series), _wish(reason))


def resume_series(name: str, *, reason: str = "") -> Call[Series]:
    """Its open task may start again."""
    return _post(f"{_series(name)}:resume", _read(Series), _wish(reason))


def end_series(name: str, *, reason: str = "") -> Call[Series]:
    """No successor any more."""
    return _post(f"{_series(name)}:end", _read(Series), _wish(reason))


def next_runs(name: str, *, count: int = 10) -> Call[Runs]:
    """The coming runs of a series."""
    return _get(f"{_series(name)}/next", _read(Runs), [("count", str(count))])


def preview(
    *,
    every: Duration | None = None,
    cron: str | None = None,
    time_zone: str | None = None,
    start: Instant | None = None,
    count: int | None = None,
) -> Call[Runs]:
    """When a schedule would run, before anything is stored; `start` is the API's `from`."""
    body: Json = {
        "every": every,
        "cron": cron,
        "time_zone": time_zone,
        "from": start,
        "count": count,
    }
    return _post("/v1/series:preview", _read(Runs), _as_json(_given(body)))


# --- log, tree, node --------------------------------------------------------------------------


def read_log(
    *, after: int = 0, stream: str = "", limit: int | None = None, page_token: str = ""
) -> Call[Page[Entry]]:
    """A page of the log from after a position on. `stream` is one stream, or with a `-` at its
    end all that begin so."""
    query = [("after", str(after)), ("stream", stream), *_paging(limit, page_token)]
    return _get("/v1/events", _entries, query)


def tree(
    *,
    below: str = "",
    states: Sequence[str] = (),
    limit: int | None = None,
    page_token: str = "",
) -> Call[Page[Unit]]:
    """A page of the supervision tree, by path: what begins with `below`, in one of `states`."""
    query = [("below", below), *(("state", state) for state in states)]
    return _get("/v1/tree", _read(Page[Unit]), [*query, *_paging(limit, page_token)])


def read_actor(path: str) -> Call[Actor]:
    """All that is known of one place of the tree."""
    return _get(f"/v1/actors/{quote(path)}", _read(Actor))


def restart_actor(path: str, *, reason: str = "") -> Call[Page[Unit]]:
    """End an actor of a gate; its supervisor starts it again."""
    return _post(f"/v1/actors/{quote(path)}:restart", _read(Page[Unit]), _wish(reason))


def quarantine_actor(path: str, *, reason: str = "") -> Call[Page[Unit]]:
    """Leave a gate alone: `gates/NAME`."""
    return _post(f"/v1/actors/{quote(path)}:quarantine", _read(Page[Unit]), _wish(reason))


def release_actor(path: str, *, reason: str = "") -> Call[Gate]:
    """Let a gate that was left alone run again: `gates/NAME`."""
    return _post(f"/v1/actors/{quote(path)}:release", _read(Gate), _wish(reason))


def version() -> Call[ServerVersion]:
    """Which software answers."""
    return _get("/version", _read(ServerVersion))


# --- how calls are made -----------------------------------------------------------------------


def _get(path: str, read: Callable[[Answer], T], query: Sequence[tuple[str, str]] = ()) -> Call[T]:
    return Call("GET", path, read, query=tuple(pair for pair in query if pair[1]))


def _post(
    path: str,
    read: Callable[[Answer], T],
    body: bytes,
    *,
    headers: dict[str, str] | None = None,
    repeatable: bool = True,
) -> Call[T]:
    headers = {"content-type": JSON, **(headers or {})}
    return Call("POST", path, read, headers=headers, body=body, repeatable=repeatable)


def _change(
    method: str,
    path: str,
    read: Callable[[Answer], T],
    content: Struct | Fields,
    version: int | None,
) -> Call[T]:
    """With a version a repeated call would meet its own change: not repeatable."""
    headers = {"content-type": JSON}
    if version is not None:
        headers["if-match"] = f'"{version}"'
    return Call(
        method,
        path,
        read,
        headers=headers,
        body=_as_json(content),
        repeatable=version is None,
    )


def _task(task_id: str) -> str:
    return f"/v1/tasks/{quote(task_id, safe='')}"


def _gate(name: str) -> str:
    return f"/v1/gates/{quote(name, safe='')}"


def _series(name: str) -> str:
    return f"/v1/series/{quote(name, safe='')}"


def _paging(limit: int | None, page_token: str) -> list[tuple[str, str]]:
    return [("limit", "" if limit is None else str(limit)), ("page_token", page_token)]


def _instant(instant: Instant | None) -> str:
    if isinstance(instant, datetime):
        return instant.isoformat().replace("+00:00", "Z")
    return instant or ""


def _wish(reason: str, **fields: object) -> bytes:
    return _as_json(_given({**fields, "reason": reason or None}))


def _given(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _own_key(submission: Submission | Fields) -> bool:
    key = submission.key if isinstance(submission, Submission) else submission.get("key")
    return bool(key)


def _as_json(content: object) -> bytes:
    return msgspec.json.encode(content)


# --- how answers are read ---------------------------------------------------------------------


def _read(shape: type[T]) -> Callable[[Answer], T]:
    def read(answer: Answer) -> T:
        return msgspec.json.decode(answer.body, type=shape)

    return read


def _submitted(answer: Answer) -> Submitted:
    replayed = answer.headers.get("idempotent-replayed", "") == "true"
    return Submitted(msgspec.json.decode(answer.body, type=Task), replayed)


def _entries(answer: Answer) -> Page[Entry]:
    page = msgspec.json.decode(answer.body, type=Page[Json])
    return Page([entry(item) for item in page.items], page.next_page_token)


class _Head(Struct, frozen=True):
    """What every event has; the history of one task leaves its stream out."""

    position: int
    version: int
    type: str
    at: datetime
    stream: str = ""
    cause: Json = field(default_factory=dict[str, object])


def entry(item: Json) -> Entry:
    """An event from its JSON object: what all have by name, the rest as `fields`."""
    head = msgspec.convert(item, _Head)
    known = _Head.__struct_fields__
    fields = {name: value for name, value in item.items() if name not in known}
    return Entry(head.position, head.version, head.type, head.at, head.stream, head.cause, fields)
