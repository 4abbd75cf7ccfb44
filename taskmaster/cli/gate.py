"""`gate`: look at gates and control them. Their settings are set in `gate_set`.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.confirm import BULK, Bulk, confirm, counted_in_words
from taskmaster.cli.names import gate_names
from taskmaster.cli.paint import Column, Paint, pairs, printable, table
from taskmaster.cli.task import Limit, PageToken, Several, more
from taskmaster.cli.view import VIEW, Shown, View, listing, say
from taskmaster.cli.view import show as show_result
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client import Call, Entry, Gate, GateWhy, Purged

app = tree.group("gate")
app.command(
    "taskmaster.cli.maintenance:app",
    name="maintenance",
    help="Planned downtimes: plan, list, cancel.",
)
app.command("taskmaster.cli.gate_set:set_gate", name="set", help="Create a gate, or change one.")
Name = Annotated[str, Parameter(completer=gate_names)]


@app.command(name="list")
def list_gates(
    *,
    state: Several = (),
    limit: Limit = 100,
    page_token: PageToken = "",
    watch: Watch = ONCE,
    view: View = VIEW,
) -> None:
    """Gates, by name.

    Args:
        state: Only in this state; may be given several times.
        limit: At most so many; 0 for all.
        page_token: Go on where the last list ended.
    """
    from taskmaster.cli.columns import GATES
    from taskmaster.cli.connect import connect, find
    from taskmaster.client import calls

    with connect(view) as client:

        def shown() -> Shown:
            found = find(
                client,
                lambda size, token: calls.list_gates(states=state, limit=size, page_token=token),
                limit=limit,
                page_token=page_token,
            )
            names = [gate.gate for gate in found.rows]
            note = more(found.next_page_token)
            return Shown(found.document, listing(view, GATES, found.rows), names, note)

        look(view, watch, shown)


@app.command
def show(
    name: Name,
    /,
    *,
    watch: Watch = ONCE,
    span: Annotated[str, Parameter(show_default=True)] = "10m",
    view: View = VIEW,
) -> None:
    """One gate: state, limits, counts, and what it waits for; with --watch drawn over time.

    Args:
        name: Which gate.
        span: How far back --watch draws: 30s to 3h.
    """
    if watch.watch and view.output in {"table", "wide"}:
        from taskmaster.cli.gate_watch import watch_gate

        return watch_gate(name, span, watch, view)
    from taskmaster.client import calls

    return _look(view, watch, lambda: calls.read_gate(name))


@app.command
def why(
    name: Name,
    /,
    *,
    since: str = "",
    until: str = "",
    watch: Watch = ONCE,
    view: View = VIEW,
) -> None:
    """Why a gate's tasks wait, each under the first cause that holds.

    Args:
        name: Which gate.
        since: Also how long they waited from then on, all together: an instant, or how far back.
        until: To when, if not to now.
    """
    from taskmaster.cli.columns import waited_text
    from taskmaster.cli.connect import connect
    from taskmaster.client import calls

    def text(of: "GateWhy", paint: Paint) -> str:
        columns = (
            Column["tuple[str, int]"]("CAUSE", lambda row, _: row[0]),
            Column["tuple[str, int]"]("TASKS", lambda row, _: str(row[1])),
        )
        eligible = str(of.eligible)
        head = pairs(
            paint, [("gate", of.gate), ("eligible", eligible), ("held by", of.holder or "")]
        )
        rows = [(cause.cause, cause.tasks) for cause in of.causes]
        parts = [head, table(paint, columns, rows) if rows else ""]
        if of.waited is not None:
            parts.append(waited_text(of.waited, paint))
        return "\n\n".join(part for part in parts if part)

    with connect(view) as client:

        def shown() -> Shown:
            call = calls.why_gate(name, since=since, until=until)
            answer = client.answer(call)
            found = client.read(call, answer)
            names = [cause.cause for cause in found.causes]
            return Shown(answer.body, lambda paint: text(found, paint), names)

        look(view, watch, shown)


@app.command
def forecast(name: Name, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """When a gate will be empty if it goes on so, and what earlier forecasts came to."""
    from taskmaster.cli.connect import connect
    from taskmaster.cli.gate_picture import forecast_text
    from taskmaster.client import seen_calls

    with connect(view) as client:

        def shown() -> Shown:
            call = seen_calls.gate_forecast(name)
            answer = client.answer(call)
            found = client.read(call, answer)
            return Shown(answer.body, lambda paint: forecast_text(found, paint), [name])

        look(view, watch, shown)


@app.command
def explain(
    name: Name,
    /,
    *,
    last: Annotated[int, Parameter(show_default=True)] = 20,
    watch: Watch = ONCE,
    view: View = VIEW,
) -> None:
    """How a gate came to where it stands, in words: trips, steps, what it learned and from what.

    Args:
        name: Which gate.
        last: At most so many sentences, the newest last.
    """
    from taskmaster.cli.connect import connect
    from taskmaster.cli.sentences import sentence
    from taskmaster.client import calls
    from taskmaster.client.shapes import Page

    with connect(view) as client:

        def shown() -> Shown:
            answer = client.answer(calls.read_gate(name))
            found: list[Entry] = []
            token: str | None = ""
            while token is not None:
                page: Page[Entry] = client.send(
                    calls.read_log(stream=f"gate-{name}", limit=1_000, page_token=token)
                )
                found = [*found, *page.items][-last:]
                token = page.next_page_token

            def text(paint: Paint) -> str:
                told = [f"{paint.instant(one.at)}  {printable(sentence(one))}" for one in found]
                return "\n".join([shown_gate(answer.body).text(paint), "", *told])

            return Shown(answer.body, text, [name])

        look(view, watch, shown)


@app.command
def pause(*names: Name, until: str | None = None, reason: str = "", view: View = VIEW) -> None:
    """No new starts; what is in flight goes on, submissions are taken.

    Args:
        names: Which gates.
        until: Resume by itself then: an instant, or how far from now (2h).
        reason: Why, for the log.
    """
    from taskmaster.cli.values import instant
    from taskmaster.client import calls

    at = instant(until)
    _change(names, lambda name: calls.pause_gate(name, until=at, reason=reason), view)


@app.command
def resume(*names: Name, reason: str = "", view: View = VIEW) -> None:
    """Starts and submissions again.

    Args:
        names: Which gates.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    _change(names, lambda name: calls.resume_gate(name, reason=reason), view)


@app.command
def drain(*names: Name, reason: str = "", view: View = VIEW) -> None:
    """No new starts, and wait for what is in flight.

    Args:
        names: Which gates.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    _change(names, lambda name: calls.drain_gate(name, reason=reason), view)


@app.command
def close(*names: Name, reason: str = "", view: View = VIEW) -> None:
    """No starts and no submissions.

    Args:
        names: Which gates.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    _change(names, lambda name: calls.close_gate(name, reason=reason), view)


@app.command
def release(*names: Name, reason: str = "", view: View = VIEW) -> None:
    """Let a quarantined gate run again.

    Args:
        names: Which gates.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    _change(names, lambda name: calls.release_gate(name, reason=reason), view)


@app.command
def purge(name: Name, /, *, state: Several = (), bulk: Bulk = BULK, view: View = VIEW) -> None:
    """Cancel what waits at a gate, after it was counted and you have agreed.

    Args:
        name: Which gate.
        state: scheduled or waiting; both if left out.
    """
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import calls

    def shown(call: "Call[Purged]") -> tuple[Shown, "Purged"]:
        answer = client.answer(call)
        purged = client.read(call, answer)
        what = "would be cancelled" if purged.dry_run else "cancelled"
        count = purged.matched if purged.dry_run else purged.cancelled
        text = f"{counted_in_words(count)} {what}, of {purged.matched} that wait at {name}"
        return Shown(answer.body, lambda _: text, purged.sample), purged

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        counted, would = shown(calls.purge_gate(name, states=state, dry_run=True))
        if bulk.dry_run or not would.matched:
            return show_result(view, counted)
        if not confirm(f"cancel {counted_in_words(would.matched)} of {name}?", yes=bulk.yes):
            return say("nothing was changed")
        done, _ = shown(calls.purge_gate(name, states=state, reason=bulk.reason))
        return show_result(view, done)


def _look(view: View, watch: Watch, call: "Callable[[], Call[Gate]]") -> None:
    from taskmaster.cli.connect import connect

    with connect(view) as client:
        look(view, watch, lambda: shown_gate(client.answer(call()).body))


def _change(names: tuple[str, ...], call: "Callable[[str], Call[Gate]]", view: View) -> None:
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.cli.exits import UsageError

    if not names:
        raise UsageError("which gate is not said", remedy="give one name or more")
    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        for name in names:
            show_result(view, shown_gate(client.answer(call(name)).body))


def shown_gate(document: bytes) -> Shown:
    """One gate from the server's document."""
    import msgspec

    from taskmaster.cli.columns import gate_text
    from taskmaster.client import Gate

    gate = msgspec.json.decode(document, type=Gate)
    return Shown(document, lambda paint: gate_text(gate, paint), [gate.gate])
