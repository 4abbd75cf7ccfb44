"""`alert`: what needs a person.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from typing import TYPE_CHECKING

from taskmaster.cli import app as tree
from taskmaster.cli.paint import Column, Paint, table
from taskmaster.cli.view import VIEW, Shown, View
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client.seen_calls import Alert, AlertChange, Alerts

app = tree.group("alert")


@app.command(name="list")
def list_alerts(
    *, gate: str = "", recent: bool = False, watch: Watch = ONCE, view: View = VIEW
) -> None:
    """Alerts that are raised, by gate.

    Args:
        gate: Only those of this gate.
        recent: The newest changes instead, also of alerts that are over.
    """
    from taskmaster.cli.connect import connect
    from taskmaster.client import seen_calls

    with connect(view) as client:

        def shown() -> Shown:
            call = seen_calls.list_alerts(gate=gate)
            answer = client.answer(call)
            found = client.read(call, answer)
            names = [one.id for one in found.items]
            return Shown(answer.body, lambda paint: _text(found, paint, recent=recent), names)

        look(view, watch, shown)


def _text(found: "Alerts", paint: Paint, *, recent: bool) -> str:
    raised: tuple[Column[Alert], ...] = (
        Column("GATE", lambda one, _: one.gate),
        Column("ALERT", lambda one, _: one.alert),
        Column("SINCE", lambda one, paint: paint.instant(one.raised_at)),
        Column("WHAT", lambda one, _: one.detail),
    )
    changes: tuple[Column[AlertChange], ...] = (
        Column("AT", lambda one, paint: paint.instant(one.at)),
        Column("GATE", lambda one, _: one.gate),
        Column("ALERT", lambda one, _: one.alert),
        Column("CHANGE", lambda one, _: one.what),
        Column("WHAT", lambda one, _: one.detail),
    )
    return table(paint, changes, found.recent) if recent else table(paint, raised, found.items)
