"""`bulk`: changes of many tasks, how far they are, ending and undoing them.

Rules of residence: from flags to a call, from its answer to what is shown. They are begun by the
verbs of `task`.
"""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.confirm import BULK, Bulk, confirm, counted_in_words
from taskmaster.cli.paint import Column, Paint, pairs, printable, table
from taskmaster.cli.view import VIEW, Shown, View, say
from taskmaster.cli.view import show as show_result
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster import client as api

app = tree.group("bulk")
Rate = Annotated[float | None, Parameter()]
MOST_LEFT = 200
ANSWERS = ("changed", "requested", "already", "refused", "unavailable", "gone")


@app.command(name="list")
def list_bulks(
    *, limit: int = 20, page_token: str = "", watch: Watch = ONCE, view: View = VIEW
) -> None:
    """Bulks, the newest first.

    Args:
        limit: How many.
        page_token: Where the list goes on.
    """
    from taskmaster.cli.connect import connect
    from taskmaster.client import bulk_calls

    with connect(view) as client:

        def shown() -> Shown:
            call = bulk_calls.list_bulks(limit=limit, page_token=page_token)
            answer = client.answer(call)
            bulks = client.read(call, answer).items
            return Shown(answer.body, lambda paint: _listed(bulks, paint), [b.id for b in bulks])

        look(view, watch, shown)


@app.command
def show(bulk_id: str, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """One bulk: what it is about, how far it is, what could not be changed and why.

    Args:
        bulk_id: Which.
    """
    from taskmaster.cli.connect import connect
    from taskmaster.client import bulk_calls

    with connect(view) as client:

        def shown() -> Shown:
            call = bulk_calls.read_bulk(bulk_id)
            answer = client.answer(call)
            bulk = client.read(call, answer)
            left = _left(client, bulk)
            return Shown(answer.body, lambda paint: _text(bulk, left, paint), [bulk.id])

        look(view, watch, shown)


def _left(client: "api.Client", bulk: "api.Bulk") -> "list[api.BulkMember]":
    """Those that were not changed, the first `MOST_LEFT` of them, wherever among the others."""
    from taskmaster.client import bulk_calls

    found: list[api.BulkMember] = []
    wanted = min(MOST_LEFT, bulk.already + bulk.refused + bulk.unavailable)
    token = ""
    while len(found) < wanted:
        call = bulk_calls.bulk_members(bulk.id, limit=1_000, page_token=token)
        page = client.send(call)
        found += [one for one in page.items if one.answer != "changed"]
        token = page.next_page_token or ""
        if not token:
            break
    return found[:MOST_LEFT]


@app.command
def abort(bulk_id: str, /, *, reason: str = "", view: View = VIEW) -> None:
    """End a bulk where it stands. What is done stays done.

    Args:
        bulk_id: Which.
        reason: Why, for the log.
    """
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import bulk_calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        call = bulk_calls.abort_bulk(bulk_id, reason=reason)
        answer = client.answer(call)
        bulk = client.read(call, answer)
        show_result(view, Shown(answer.body, lambda _: sentence(bulk), [bulk.id]))


@app.command
def undo(bulk_id: str, /, *, rate: Rate = None, bulk: Bulk = BULK, view: View = VIEW) -> int | None:
    """Take back what a bulk changed, where nothing has happened to a task since.

    Args:
        bulk_id: Which.
        rate: How many a second; no bound if left out.
    """
    from taskmaster.cli.bulk_change import follow
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import bulk_calls

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        first = client.send(bulk_calls.read_bulk(bulk_id))
        changed = counted_in_words(first.changed + first.requested)
        if bulk.dry_run:
            print(f"the {first.action} of {changed} would be undone")
            return None
        if not confirm(f"undo the {first.action} of {changed}?", yes=bulk.yes):
            say("nothing was changed")
            return None
        call = bulk_calls.undo_bulk(bulk_id, rate=rate, reason=bulk.reason)
        return follow(client, view, client.read(call, client.answer(call)))


def sentence(bulk: "api.Bulk") -> str:
    """What became of a bulk, in one line."""
    found = [f"{getattr(bulk, name)} {name}" for name in ANSWERS if getattr(bulk, name)]
    matched = "" if bulk.matched is None else f" of {bulk.matched}"
    counts = ", ".join(found) or "nothing changed"
    return f"{bulk.action} {bulk.state}: {counts}{matched} (bulk {bulk.id})"


def _listed(bulks: "list[api.Bulk]", paint: Paint) -> str:
    if not bulks:
        return "no bulk is on record"
    columns: tuple[Column[api.Bulk], ...] = (
        Column("ID", lambda one, _: one.id),
        Column("ACTION", lambda one, _: one.action),
        Column("STATE", lambda one, paint: paint.state(one.state)),
        Column("ANSWERED", lambda one, _: str(one.answered)),
        Column("OF", lambda one, _: "-" if one.matched is None else str(one.matched)),
        Column("CHANGED", lambda one, _: str(one.changed + one.requested)),
        Column("BEGAN", lambda one, paint: paint.instant(one.started_at)),
        Column("BY", lambda one, _: printable(one.author)),
        Column("REASON", lambda one, _: printable(one.reason)),
    )
    return table(paint, columns, bulks)


def _text(bulk: "api.Bulk", left: "list[api.BulkMember]", paint: Paint) -> str:
    matching = " ".join(f"{name}={value}" for name, value in (bulk.filter or {}).items())
    rows = [
        ("bulk", bulk.id),
        ("action", bulk.action),
        ("state", bulk.state),
        ("filter", printable(matching)),
        ("undoes", bulk.undoes or ""),
        ("by", printable(f"{bulk.author} {bulk.reason}".strip())),
        ("began", paint.instant(bulk.started_at)),
        ("ended", paint.instant(bulk.ended_at) if bulk.ended_at else ""),
        ("ended by", printable(f"{bulk.ended_by or ''} {bulk.ended_reason or ''}".strip())),
        ("answered", f"{bulk.answered} of {'?' if bulk.matched is None else bulk.matched}"),
        *((name, str(getattr(bulk, name) or "")) for name in ANSWERS),
    ]
    text = pairs(paint, [row for row in rows if row[1]])
    columns: tuple[Column[api.BulkMember], ...] = (
        Column("LEFT", lambda one, _: one.id),
        Column("ANSWER", lambda one, _: one.answer),
        Column("WHY", lambda one, _: printable(one.why)),
    )
    return f"{text}\n\n{table(paint, columns, left)}" if left else text
