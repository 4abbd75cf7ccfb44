"""`actor`: one place of the supervision tree, and what can be done with it.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from typing import TYPE_CHECKING

import msgspec

from taskmaster.cli import app as tree
from taskmaster.cli.paint import Column, Paint, pairs, printable, table
from taskmaster.cli.view import VIEW, Shown, View
from taskmaster.cli.view import show as show_result
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client import Actor, ActorIncident

app = tree.group("actor")


@app.default
def show(path: str, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """How one actor is supervised, its last restarts, its inbox by type, its folded state.

    Args:
        path: Its place in the tree, as gates/NAME/gate.
    """
    from taskmaster.cli.connect import connect
    from taskmaster.client import calls

    with connect(view) as client:

        def shown() -> Shown:
            call = calls.read_actor(path)
            answer = client.answer(call)
            actor = client.read(call, answer)
            return Shown(answer.body, lambda paint: _text(actor, paint), [actor.actor.path])

        look(view, watch, shown)


@app.command
def restart(path: str, /, *, reason: str = "", view: View = VIEW) -> None:
    """End an actor of a gate; its supervisor starts it again, from the log.

    Args:
        path: As gates/NAME/gate, gates/NAME/tasks, or gates/NAME/tasks/ID.
        reason: Why, for the log.
    """
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        answer = client.answer(calls.restart_actor(path, reason=reason))
        show_result(view, Shown(answer.body, lambda _: f"{path} is started again", [path]))


@app.command
def quarantine(path: str, /, *, reason: str = "", view: View = VIEW) -> None:
    """Leave a gate alone: it starts nothing until it is released, or five minutes are over.

    Args:
        path: A gate's place, gates/NAME.
        reason: Why, for the log.
    """
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        answer = client.answer(calls.quarantine_actor(path, reason=reason))
        show_result(view, Shown(answer.body, lambda _: f"{path} is quarantined", [path]))


@app.command
def release(path: str, /, *, reason: str = "", view: View = VIEW) -> None:
    """Let a gate that was left alone run again; it begins on the ramp.

    Args:
        path: A gate's place, gates/NAME.
        reason: Why, for the log.
    """
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        answer = client.answer(calls.release_actor(path, reason=reason))
        show_result(view, Shown(answer.body, lambda _: f"{path} is released", [path]))


def _text(of: "Actor", paint: Paint) -> str:
    unit = of.actor
    head = pairs(
        paint,
        [
            ("actor", unit.path),
            ("kind", unit.kind),
            ("state", unit.state),
            ("until", paint.instant(unit.until) if unit.until else ""),
            ("since", paint.instant(unit.since) if unit.since else ""),
            ("incarnation", str(unit.incarnation)),
            ("restarts", f"{unit.restarts}, of which {unit.restarts_in_period} count now"),
            ("spec", " ".join(f"{name}={value}" for name, value in of.spec.items())),
            ("handled", f"{unit.handled}, {unit.rate:g}/s"),
            ("inbox", " ".join(f"{name}:{count}" for name, count in of.inbox.items()) or "empty"),
            ("last error", printable(unit.last_error or "")),
        ],
    )
    parts = [head]
    if of.incidents:
        columns: tuple[Column[ActorIncident], ...] = (
            Column("AT", lambda one, paint: paint.instant(one.at)),
            Column("EVENT", lambda one, _: one.type),
            Column("INCARNATION", lambda one, _: str(one.incarnation or "")),
            Column("MESSAGE", lambda one, _: one.message),
            Column("ERROR", lambda one, _: printable(one.error or one.reason)),
        )
        parts.append(table(paint, columns, of.incidents))
    if of.traceback:
        parts.append(printable(of.traceback.rstrip()))
    if of.state:
        parts.append(msgspec.yaml.encode(of.state).decode().rstrip())
    return "\n\n".join(parts)
