"""`gate maintenance`: planned downtimes of a gate's endpoint.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from taskmaster.cli.gate import Name, shown_gate
from taskmaster.cli.paint import Column, Paint, printable, table
from taskmaster.cli.view import VIEW, Shown, View
from taskmaster.cli.view import show as show_result

if TYPE_CHECKING:
    from taskmaster.client.downtime import Maintenance

app = App(name="maintenance", help="Planned downtimes of a gate.", version_flags=())


@app.command
def plan(
    name: Name,
    /,
    *,
    start: Annotated[str, Parameter(name="--from")],
    until: str,
    drain: str | None = None,
    reason: str = "",
    view: View = VIEW,
) -> None:
    """Announce a downtime: the gate pauses for it, and ramps up after it by itself.

    Args:
        name: Which gate.
        start: When it begins, as 2026-11-24T02:00:00Z.
        until: When it ends.
        drain: How long before its beginning starts end already, as 5m.
        reason: Why, for the log.
    """
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import maintenance_calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        call = maintenance_calls.plan_maintenance(name, start, until, drain=drain, reason=reason)
        show_result(view, shown_gate(client.answer(call).body))


@app.command(name="list")
def list_windows(name: Name, /, *, view: View = VIEW) -> None:
    """Downtimes that are not over, the next first.

    Args:
        name: Which gate.
    """
    from taskmaster.cli.connect import connect
    from taskmaster.client import maintenance_calls

    with connect(view) as client:
        call = maintenance_calls.list_maintenance(name)
        answer = client.answer(call)
        windows = client.read(call, answer).items
        names = [str(window.number) for window in windows]
        show_result(view, Shown(answer.body, lambda paint: _listed(windows, paint), names))


@app.command
def cancel(name: Name, number: int, /, *, reason: str = "", view: View = VIEW) -> None:
    """Take a downtime back. One under way ends, and the ramp begins.

    Args:
        name: Which gate.
        number: Which downtime.
        reason: Why, for the log.
    """
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import maintenance_calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        call = maintenance_calls.cancel_maintenance(name, number, reason=reason)
        show_result(view, shown_gate(client.answer(call).body))


def _listed(windows: "list[Maintenance]", paint: Paint) -> str:
    if not windows:
        return "no downtime is planned"
    columns: tuple[Column[Maintenance], ...] = (
        Column("NUMBER", lambda one, _: str(one.number)),
        Column("STATE", lambda one, paint: paint.state(one.state)),
        Column("FROM", lambda one, paint: paint.instant(one.start_at, exact=True)),
        Column("UNTIL", lambda one, paint: paint.instant(one.until, exact=True)),
        Column("DRAIN", lambda one, _: one.drain),
        Column("BY", lambda one, _: printable(one.author)),
        Column("REASON", lambda one, _: printable(one.reason)),
    )
    return table(paint, columns, windows)
