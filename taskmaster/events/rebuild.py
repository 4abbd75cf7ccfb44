"""Folding the index anew, and proving that the stored one is what the log gives.

Rules of residence: whole tables. The rows of one batch are `index_tables.py`'s.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import zip_longest

from msgspec import Struct

from taskmaster.errors import StoreUnavailableError
from taskmaster.events.database import Database
from taskmaster.events.index import fold
from taskmaster.events.index_schema import INDEX_VERSION, TABLES
from taskmaster.events.index_tables import IndexTables
from taskmaster.events.types import Position

Progress = Callable[[Position, Position], None]
"""Learns the position that is folded and the newest one."""
FOLD_EVENTS = 2_000
"""Events folded in one transaction."""


class Difference(Struct, frozen=True):
    """The first row of a table in which the stored index and the log disagree."""

    table: str
    stored: str
    folded: str


def is_index_current(database: Database) -> bool:
    """Whether the index is of this version and complete."""
    version = database.one("SELECT value FROM meta WHERE name = 'index_version'")
    rebuilding = database.one("SELECT value FROM meta WHERE name = 'rebuilding'")
    return version == INDEX_VERSION and rebuilding is None


def refuse_other_index(database: Database, shown: str) -> None:
    """Let nobody read an index that is of another version or half folded.

    Raises:
        StoreUnavailableError: it is; the log is `shown`.
    """
    if not is_index_current(database):
        raise StoreUnavailableError(
            f"the index of {shown} is not of this version of taskmaster",
            remedy="start the server on it once, which folds the index anew",
        )


def rebuild_index(database: Database, progress: Progress | None = None) -> None:
    """Drop the index and fold it anew. A crash leaves a mark by which the next opening knows."""
    database.begin()
    database.new_index()
    database.do("DELETE FROM meta WHERE name IN ('rebuilding', 'index_version')")
    database.do(f"INSERT INTO meta VALUES ('rebuilding', 1), ('index_version', {INDEX_VERSION})")
    database.commit()
    newest = database.newest_position()
    for position in _fold_log(database, database, after=Position(0)):
        if progress is not None:
            progress(position, newest)
    database.do("DELETE FROM meta WHERE name = 'rebuilding'")


def check_index(database: Database) -> list[Difference]:
    """Fold the log beside the index and compare; the first difference of each table.

    Takes as long as a rebuild, in temporary tables. On a living log only the last stretch and the
    comparison stand in one snapshot, which is therefore short.
    """
    with database.scratch() as folded:
        position = max(_fold_log(database, folded, after=Position(0)), default=Position(0))
        with database.snapshot():
            deque(_fold_log(database, folded, after=position), maxlen=0)
            return list(_differences(database, folded))


def _fold_log(source: Database, target: Database, *, after: Position) -> Iterator[Position]:
    """Fold what comes after a position, batch by batch; yields how far it is."""
    tables = IndexTables(target)
    while facts := source.read_log(after=after, limit=FOLD_EVENTS):
        target.begin()
        changes = fold(tables.rows(facts), facts)
        tables.write(changes)
        target.commit()
        tables.keep(changes)
        after = facts[-1].position
        yield after


def _differences(stored: Database, folded: Database) -> Iterator[Difference]:
    for table in TABLES:
        for ours, theirs in zip_longest(stored.rows(table), folded.rows(table)):
            if ours != theirs:
                yield Difference(table.name, stored=str(ours), folded=str(theirs))
                break
