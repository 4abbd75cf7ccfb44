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


@app.command
def hold(name: Name, /, *, reason: str = "", view: View = VIEW) -> None:
    """Keep a ramp at its step.

    Args:
        name: Which gate.
        reason: Why, for the log.
    """
    _steer(name, "hold_ramp", reason, view)


@app.command
def release(name: Name, /, *, reason: str = "", view: View = VIEW) -> None:
    """Let a ramp that was held go on.

    Args:
        name: Which gate.
        reason: Why, for the log.
    """
    _steer(name, "release_ramp", reason, view)


@app.command
def end(name: Name, /, *, reason: str = "", view: View = VIEW) -> None:
    """Open the gate now, without the rest of its ramp.

    Args:
        name: Which gate.
        reason: Why, for the log.
    """
    _steer(name, "recover", reason, view)


@app.command
def trip(name: Name, /, *, reason: str = "", view: View = VIEW) -> None:
    """Start nothing for a while, then probe: as if the endpoint had failed.

    Args:
        name: Which gate.
        reason: Why, for the log.
    """
    _steer(name, "trip", reason, view)


@app.command
def probe(name: Name, /, *, reason: str = "", view: View = VIEW) -> None:
    """Probe now instead of at the end of the tripped time.

    Args:
        name: Which gate.
        reason: Why, for the log.
    """
    _steer(name, "probe", reason, view)


def _steer(name: str, verb: str, reason: str, view: View) -> None:
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import recovery_calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        answer = client.answer(recovery_calls.steer_gate(name, verb, reason=reason))
        show_result(view, shown_gate(answer.body))


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
