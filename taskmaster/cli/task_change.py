"""`task cancel|reschedule|run|redrive|edit|move`: for some tasks by id, or all that match.

Rules of residence: ids are changed one by one from here; all that match are a bulk, which the
server carries out (`bulk_change.py`). A task that cannot be changed does not hold the others back.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from taskmaster.cli import exits
from taskmaster.cli.bulk_flags import EVERY, NO_EDIT, Edit, Match
from taskmaster.cli.confirm import BULK, Bulk, confirm, counted_in_words
from taskmaster.cli.exits import UsageError
from taskmaster.cli.names import gate_names
from taskmaster.cli.view import VIEW, Shown, View, say, show

if TYPE_CHECKING:
    from taskmaster.client import Client


def cancel(*ids: str, match: Match = EVERY, bulk: Bulk = BULK, view: View = VIEW) -> int | None:
    """No further attempt. An attempt in flight goes on, and is the last one.

    Args:
        ids: Which tasks.
    """
    from taskmaster.client import calls

    def send(client: "Client", one: str) -> bytes:
        return client.answer(calls.cancel_task(one, reason=bulk.reason)).body

    return _change("cancel", ids, match, bulk, view, send)


def reschedule(
    *ids: str,
    due_at: str | None = None,
    delay: str | None = None,
    match: Match = EVERY,
    bulk: Bulk = BULK,
    view: View = VIEW,
) -> int | None:
    """Another due time, for tasks that wait.

    Args:
        ids: Which tasks.
        due_at: The new due time, as 2026-11-24T09:00:00Z.
        delay: The same from now, as 15m.
    """
    from taskmaster.client import calls

    if (due_at is None) == (delay is None):
        raise UsageError("one of --due-at and --delay is needed", remedy="as in --delay 15m")
    return _change(
        "reschedule",
        ids,
        match,
        bulk,
        view,
        lambda client, one: (
            client.answer(
                calls.reschedule_task(one, due_at=due_at, delay=delay, reason=bulk.reason)
            ).body
        ),
        {"due_at": due_at, "delay": delay},
    )


def run(*ids: str, match: Match = EVERY, bulk: Bulk = BULK, view: View = VIEW) -> int | None:
    """Make tasks due now. They pass their gates like everything else.

    Args:
        ids: Which tasks.
    """
    from taskmaster.client import calls

    def send(client: "Client", one: str) -> bytes:
        return client.answer(calls.run_task(one, reason=bulk.reason)).body

    if not ids:  # of many it is a reschedule to now
        return _change("reschedule", ids, match, bulk, view, send, {"delay": "0s"})
    return _change("run", ids, match, bulk, view, send)


def redrive(*ids: str, match: Match = EVERY, bulk: Bulk = BULK, view: View = VIEW) -> int | None:
    """Give tasks that ended without success to their gates again, their attempts anew.

    Args:
        ids: Which tasks.
    """
    from taskmaster.client import calls

    def send(client: "Client", one: str) -> bytes:
        return client.answer(calls.redrive_task(one, reason=bulk.reason)).body

    return _change("redrive", ids, match, bulk, view, send)


def edit(
    *ids: str, edit: Edit = NO_EDIT, match: Match = EVERY, bulk: Bulk = BULK, view: View = VIEW
) -> int | None:
    """Another request or other rules, for tasks that were never sent.

    Args:
        ids: Which tasks.
    """
    from taskmaster.client import bulk_calls

    change = edit.fields()
    if not change:
        raise UsageError("what is to be edited is not said", remedy="give --url, --timeout or such")

    def send(client: "Client", one: str) -> bytes:
        return client.answer(bulk_calls.edit_task(one, change, reason=bulk.reason)).body

    return _change("edit", ids, match, bulk, view, send, {"edit": change})


def move(
    *ids: str,
    to: Annotated[str, Parameter(completer=gate_names)],
    match: Match = EVERY,
    bulk: Bulk = BULK,
    view: View = VIEW,
) -> int | None:
    """Give tasks that wait or are dead to another gate, with their keys.

    Args:
        ids: Which tasks.
        to: The gate that gets them.
    """
    from taskmaster.client import bulk_calls

    def send(client: "Client", one: str) -> bytes:
        return client.answer(bulk_calls.move_task(one, to, reason=bulk.reason)).body

    return _change("move", ids, match, bulk, view, send, {"to": to})


def _change(
    verb: str,
    ids: Sequence[str],
    match: Match,
    bulk: Bulk,
    view: View,
    send: "Callable[[Client, str], bytes]",
    how: Mapping[str, object] | None = None,
) -> int | None:
    from taskmaster.cli.bulk_change import change_all
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect

    if bool(ids) == (match != EVERY):
        raise UsageError(
            f"which tasks to {verb} is not said", remedy="give ids, or --gate, --state or --label"
        )
    if not ids:
        return change_all(verb, match, bulk, view, how or {})
    chosen = list(ids)
    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        if bulk.dry_run:
            print(f"{counted_in_words(len(chosen))} would be changed by {verb}")
            return None
        question = f"{verb} {counted_in_words(len(chosen))}?"
        if len(chosen) > 1 and not confirm(question, yes=bulk.yes):
            say("nothing was changed")
            return None
        if len(chosen) == 1:
            show(view, _shown(send(client, chosen[0])))
            return None
        return _each(client, verb, chosen, send, view)


def _each(
    client: "Client",
    verb: str,
    ids: Sequence[str],
    send: "Callable[[Client, str], bytes]",
    view: View,
) -> int | None:
    from taskmaster.cli.paint import printable
    from taskmaster.cli.progress import counting
    from taskmaster.errors import RejectedError

    changed = 0
    with counting(verb, "tasks", len(ids)) as count:
        for one in ids:
            try:
                document = send(client, one)
            except RejectedError as error:
                say(f"{one}: {printable(str(error))}")
            else:
                changed += 1
                print(document.decode() if view.output in {"json", "ndjson"} else one)
            count(1)
    say(f"{changed} of {counted_in_words(len(ids))} changed by {verb}")
    return None if changed == len(ids) else exits.FAILED


def _shown(document: bytes) -> Shown:
    """A task, or the answer to a cancel and the task after it."""
    import msgspec

    from taskmaster.cli.columns import task_text
    from taskmaster.client import Cancelled, Task

    try:
        cancelled = msgspec.json.decode(document, type=Cancelled)
    except msgspec.ValidationError:
        task = msgspec.json.decode(document, type=Task)
        return Shown(document, lambda paint: task_text(task, paint), [task.id])
    answer, task = cancelled.answer, cancelled.task
    return Shown(
        document,
        lambda paint: f"{paint.state(answer)}\n{task_text(task, paint)}",
        [task.id],
    )
