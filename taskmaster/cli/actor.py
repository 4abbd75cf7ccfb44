"""`actor`: one place of the supervision tree, and what can be done with it.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from taskmaster.cli import app as tree
from taskmaster.cli.paint import Column, Paint, pairs, printable, table
from taskmaster.cli.view import VIEW, Shown, View
from taskmaster.cli.view import show as show_result
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client import Actor, ActorIncident, Call

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


def _acting(verb: str, done: str) -> Callable[..., None]:
    def act(path: str, /, *, reason: str = "", view: View = VIEW) -> None:
        """Act on an actor.

        Args:
            path: Its place: gates/NAME, or to restart gates/NAME/gate, gates/NAME/tasks/ID.
            reason: Why, for the log.
        """
        from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
        from taskmaster.client import calls

        call: Call[Any] = getattr(calls, f"{verb}_actor")(path, reason=reason)
        with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
            answer = client.answer(call)
            show_result(view, Shown(answer.body, lambda _: f"{path} is {done}", [path]))

    return act


for _verb, _done, _help in (
    ("restart", "started again", "End an actor of a gate; its supervisor starts it again."),
    ("quarantine", "quarantined", "Leave a gate alone, until it is released or for 5 minutes."),
    ("release", "released", "Let a gate that was left alone run again, by the ramp."),
):
    app.command(_acting(_verb, _done), name=_verb, help=_help)


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
