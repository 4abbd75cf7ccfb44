"""`recovery`: a gate's outages, and what can be done about the present one.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmaster.cli import app as tree
from taskmaster.cli.gate import Name, shown_gate
from taskmaster.cli.paint import Column, Paint, printable, table
from taskmaster.cli.view import VIEW, Shown, View
from taskmaster.cli.view import show as show_result
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client import Outage, RecoveryStep

app = tree.group("recovery")


@app.command(name="list")
def list_recoveries(name: Name, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """Outages of a gate, the newest first: cause, depth, trips, how they ended.

    Args:
        name: Which gate.
    """
    _look(name, view, watch, _listed)


@app.command
def show(name: Name, number: int = 0, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """The steps of one recovery, with the numbers that led to each.

    Args:
        name: Which gate.
        number: Which outage; the newest if left out.
    """

    def text(outages: "list[Outage]", paint: Paint) -> str:
        found = next((one for one in outages if not number or one.number == number), None)
        if found is None:
            return "no such outage is on record"
        return f"{_listed([found], paint)}\n\n{_steps(found, paint)}"

    _look(name, view, watch, text)


def _steering(verb: str) -> Callable[..., None]:
    def steer(name: Name, /, *, reason: str = "", view: View = VIEW) -> None:
        """Steer a recovery.

        Args:
            name: Which gate.
            reason: Why, for the log.
        """
        from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
        from taskmaster.client import recovery_calls

        with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
            answer = client.answer(recovery_calls.steer_gate(name, verb, reason=reason))
            show_result(view, shown_gate(answer.body))

    return steer


for _name, _verb, _help in (
    ("hold", "hold_ramp", "Keep a ramp at its step."),
    ("release", "release_ramp", "Let a ramp that was held go on."),
    ("end", "recover", "Open the gate now, without the rest of its ramp."),
    ("trip", "trip", "Start nothing for a while, then probe: as if the endpoint had failed."),
    ("probe", "probe", "Probe now instead of at the end of the tripped time."),
):
    app.command(_steering(_verb), name=_name, help=_help)


def _look(
    name: str, view: View, watch: Watch, text: "Callable[[list[Outage], Paint], str]"
) -> None:
    from taskmaster.cli.connect import connect
    from taskmaster.client import recovery_calls

    with connect(view) as client:

        def shown() -> Shown:
            call = recovery_calls.list_recoveries(name)
            answer = client.answer(call)
            outages = client.read(call, answer).items
            names = [str(one.number) for one in outages]
            return Shown(answer.body, lambda paint: text(outages, paint), names)

        look(view, watch, shown)


def _listed(outages: "list[Outage]", paint: Paint) -> str:
    if not outages:
        return "no outage is on record"
    columns: tuple[Column[Outage], ...] = (
        Column("NUMBER", lambda one, _: str(one.number or "-")),
        Column("CAUSE", lambda one, _: one.outage),
        Column("BEGAN", lambda one, paint: paint.instant(one.started_at)),
        Column("DEPTH", lambda one, _: "-" if one.depth is None else str(one.depth)),
        Column("TRIPS", lambda one, _: str(one.trips)),
        Column("ENDED", lambda one, paint: paint.instant(one.ended_at) if one.ended_at else "-"),
        Column("BY", lambda one, _: one.ended_by),
    )
    return table(paint, columns, outages)


def _steps(outage: "Outage", paint: Paint) -> str:
    columns: tuple[Column[RecoveryStep], ...] = (
        Column("AT", lambda step, paint: paint.instant(step.at, exact=True)),
        Column("WHAT", lambda step, _: step.kind),
        Column("LIMITS", lambda step, _: f"{step.percent} %" if step.percent else ""),
        Column("WHY", lambda step, _: printable(step.why)),
        Column("EVIDENCE", lambda step, _: _evidence(step)),
        Column("BY", lambda step, _: step.author or "rule"),
    )
    return table(paint, columns, outage.steps)


def _evidence(step: "RecoveryStep") -> str:
    if step.failures is None:
        return ""
    return f"{step.failures} of {step.attempts} failed"
