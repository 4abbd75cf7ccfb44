"""`task cancel|reschedule|run|redrive`: for some tasks by id, or all that match.

Rules of residence: one way for all four: find, count, ask, change one by one. A task that cannot be
changed does not hold the others back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from taskmaster.cli import exits
from taskmaster.cli.confirm import BULK, Bulk, confirm, counted_in_words
from taskmaster.cli.exits import UsageError
from taskmaster.cli.names import gate_names, series_names
from taskmaster.cli.view import VIEW, Shown, View, say, show

if TYPE_CHECKING:
    from taskmaster.client import Client

MATCH = Group("All that match", sort_key=1)
FOUND_MAX = 10_000
Many = Annotated[tuple[str, ...], Parameter(consume_multiple=False, group=MATCH)]


@Parameter(name="*")
@dataclass(frozen=True)
class Match:
    """Which tasks, instead of ids."""

    gate: Annotated[str, Parameter(name=("--gate", "-g"), group=MATCH, completer=gate_names)] = ""
    """Those of this gate."""
    state: Many = ()
    """Those in this state; may be given several times."""
    label: Many = ()
    """Those with this label, name=value; may be given several times."""
    series: Annotated[str, Parameter(group=MATCH, completer=series_names)] = ""
    """Those of this series."""


EVERY = Match()


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
    )


def run(*ids: str, match: Match = EVERY, bulk: Bulk = BULK, view: View = VIEW) -> int | None:
    """Make tasks due now. They pass their gates like everything else.

    Args:
        ids: Which tasks.
    """
    from taskmaster.client import calls

    def send(client: "Client", one: str) -> bytes:
        return client.answer(calls.run_task(one, reason=bulk.reason)).body

    return _change("run", ids, match, bulk, view, send)


def redrive(*ids: str, match: Match = EVERY, bulk: Bulk = BULK, view: View = VIEW) -> int | None:
    """Give tasks that ended without success to their gates again, their attempts anew.

    Args:
        ids: Which tasks.
    """
    from taskmaster.client import calls

    if match != EVERY and not match.state:
        match = Match(match.gate, ("dead",), match.label, match.series)

    def send(client: "Client", one: str) -> bytes:
        return client.answer(calls.redrive_task(one, reason=bulk.reason)).body

    return _change("redrive", ids, match, bulk, view, send)


def _change(
    verb: str,
    ids: Sequence[str],
    match: Match,
    bulk: Bulk,
    view: View,
    send: "Callable[[Client, str], bytes]",
) -> int | None:
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect

    if bool(ids) == (match != EVERY):
        raise UsageError(
            f"which tasks to {verb} is not said", remedy="give ids, or --gate, --state or --label"
        )
    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        chosen = list(ids) or _found(client, match)
        if bulk.dry_run:
            print(f"{counted_in_words(len(chosen))} would be changed by {verb}")
            return None
        is_bulk = len(chosen) > 1 or not ids
        question = f"{verb} {counted_in_words(len(chosen))}?"
        if is_bulk and chosen and not confirm(question, yes=bulk.yes):
            say("nothing was changed")
            return None
        if not is_bulk:
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


def _found(client: "Client", match: Match) -> list[str]:
    """The ids of all that match now, at most `FOUND_MAX`."""
    from itertools import islice

    from taskmaster.cli.values import labels
    from taskmaster.client import TaskFilter

    tasks = TaskFilter(
        gate=match.gate, states=match.state, labels=labels(match.label) or {}, series=match.series
    )
    found = [task.id for task in islice(client.tasks(tasks), FOUND_MAX + 1)]
    if len(found) > FOUND_MAX:
        say(f"more than {FOUND_MAX} match: these are the newest, repeat it for the rest")
    return found[:FOUND_MAX]


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
