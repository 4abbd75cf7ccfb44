"""`task`: what there is to see of tasks. What changes them is in `task_change` and `submit`.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from typing import Annotated

from cyclopts import Group, Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.names import gate_names, series_names
from taskmaster.cli.paint import Paint, pairs
from taskmaster.cli.view import VIEW, Shown, View, listing
from taskmaster.cli.watch import ONCE, Watch, look

app = tree.group("task")
app.command("taskmaster.cli.submit:submit", name="submit", help="Submit one task, or a file.")
for _verb, _help in {
    "cancel": "No further attempt, for some tasks or all that match.",
    "reschedule": "Another due time, for some tasks or all that match.",
    "run": "Make tasks due now.",
    "redrive": "Give dead letters to their gates again.",
    "edit": "Another request or other rules, for tasks that were never sent.",
    "move": "Give tasks to another gate.",
}.items():
    app.command(f"taskmaster.cli.task_change:{_verb}", name=_verb, help=_help)

PAGING = Group("Paging", sort_key=7)
Limit = Annotated[int, Parameter(name=("--limit", "-n"), group=PAGING, show_default=True)]
PageToken = Annotated[str, Parameter(group=PAGING)]
GateFlag = Annotated[str, Parameter(name=("--gate", "-g"), completer=gate_names)]
SeriesFlag = Annotated[str, Parameter(completer=series_names)]
Several = Annotated[tuple[str, ...], Parameter(consume_multiple=False)]


@app.command(name="list")
def list_tasks(  # noqa: PLR0913 one flag each
    *,
    gate: GateFlag = "",
    state: Several = (),
    label: Several = (),
    series: SeriesFlag = "",
    key: str = "",
    due_before: str | None = None,
    due_after: str | None = None,
    limit: Limit = 100,
    page_token: PageToken = "",
    watch: Watch = ONCE,
    view: View = VIEW,
) -> None:
    """Tasks, newest first.

    Args:
        gate: Only of this gate.
        state: Only in this state; may be given several times.
        label: Only with this label, name=value; may be given several times.
        series: Only of this series.
        key: Only with this idempotency key.
        due_before: Only due before this instant, or this far from now (15m).
        due_after: Only due after this instant, or this far from now.
        limit: At most so many; 0 for all.
        page_token: Go on where the last list ended.
    """
    from taskmaster.cli.columns import TASKS
    from taskmaster.cli.connect import connect, find
    from taskmaster.cli.values import instant, labels
    from taskmaster.client import TaskFilter, calls

    match = TaskFilter(
        gate=gate,
        states=state,
        labels=labels(label) or {},
        series=series,
        key=key,
        due_before=instant(due_before),
        due_after=instant(due_after),
    )
    with connect(view) as client:

        def shown() -> Shown:
            found = find(
                client,
                lambda size, token: calls.list_tasks(match, limit=size, page_token=token),
                limit=limit,
                page_token=page_token,
            )
            names = [task.id for task in found.rows]
            note = more(found.next_page_token)
            return Shown(found.document, listing(view, TASKS, found.rows), names, note)

        look(view, watch, shown)


@app.command
def show(task_id: str, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """The whole of one task."""
    from taskmaster.cli.columns import task_text
    from taskmaster.cli.connect import connect
    from taskmaster.client import calls

    with connect(view) as client:

        def shown() -> Shown:
            call = calls.read_task(task_id)
            answer = client.answer(call)
            task = client.read(call, answer)
            return Shown(answer.body, lambda paint: task_text(task, paint), [task.id])

        look(view, watch, shown)


@app.command
def history(
    task_id: str,
    /,
    *,
    limit: Limit = 0,
    page_token: PageToken = "",
    watch: Watch = ONCE,
    view: View = VIEW,
) -> None:
    """Everything that happened to a task, oldest first."""
    from taskmaster.cli.columns import HISTORY
    from taskmaster.cli.connect import connect, find
    from taskmaster.client import calls

    with connect(view) as client:

        def shown() -> Shown:
            found = find(
                client,
                lambda size, token: calls.task_history(task_id, limit=size, page_token=token),
                limit=limit,
                page_token=page_token,
            )
            names = [entry.type for entry in found.rows]
            note = more(found.next_page_token)
            return Shown(found.document, listing(view, HISTORY, found.rows), names, note)

        look(view, watch, shown)


@app.command
def why(task_id: str, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """Where a task's time went, and what holds it back now."""
    from taskmaster.cli.connect import connect
    from taskmaster.client import Why, calls

    def text(of: Why, paint: Paint) -> str:
        spent = [(cause.cause, f"{cause.seconds:.3f} s") for cause in of.causes]
        now = (of.now or "") + (f" at {of.holder}" if of.holder else "")
        return pairs(
            paint,
            [
                ("task", of.id),
                ("state", of.state),
                ("now", now),
                *spent,
                ("total", f"{of.total_seconds:.3f} s"),
            ],
        )

    with connect(view) as client:

        def shown() -> Shown:
            call = calls.why_task(task_id)
            answer = client.answer(call)
            found = client.read(call, answer)
            return Shown(answer.body, lambda paint: text(found, paint), [found.now or ""])

        look(view, watch, shown)


def more(next_page_token: str | None) -> str:
    """How to see the rest of a list that was cut off."""
    if next_page_token is None:
        return ""
    return f"there are more: --page-token {next_page_token}, or --limit 0 for all"
