"""`tree`: the supervision tree of a server.

Rules of residence: from paths to indented lines.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmaster.cli.paint import Column, Paint, table
from taskmaster.cli.view import VIEW, Shown, View
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client import Unit


def tree(path: str = "", /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """The supervision tree: what runs, how often it was restarted, what it crashed on.

    Args:
        path: Only this place and what is below it, as gates/NAME.
    """
    from taskmaster.cli.connect import connect, find
    from taskmaster.client import calls

    with connect(view) as client:

        def shown() -> Shown:
            found = find(
                client, lambda size, token: calls.tree(limit=size, page_token=token), limit=0
            )
            units = [unit for unit in found.rows if unit.path.startswith(path)]
            names = [unit.path for unit in units]
            return Shown(found.document, lambda paint: _text(units, paint), names)

        look(view, watch, shown)


def _text(units: "Sequence[Unit]", paint: Paint) -> str:
    paths = {unit.path for unit in units}
    columns: tuple[Column[Unit], ...] = (
        Column("UNIT", lambda unit, _: _indented(unit.path, paths)),
        Column("KIND", lambda unit, _: unit.kind),
        Column("STATE", lambda unit, _: unit.state),
        Column("SINCE", lambda unit, paint: paint.instant(unit.since)),
        Column("RESTARTS", lambda unit, _: str(unit.restarts)),
        Column("INBOX", lambda unit, _: "-" if unit.inbox is None else str(unit.inbox)),
        Column("LAST ERROR", lambda unit, _: unit.last_error or ""),
    )
    return table(paint, columns, units)


def _indented(path: str, paths: set[str]) -> str:
    """A place below one that is shown is indented and bears only its own part of the path."""
    parts = path.split("/")
    depth = sum("/".join(parts[:count]) in paths for count in range(1, len(parts)))
    shown = next(
        (count for count in range(len(parts) - 1, 0, -1) if "/".join(parts[:count]) in paths), 0
    )
    return "  " * depth + "/".join(parts[shown:])
