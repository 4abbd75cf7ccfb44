"""Folding the index anew, and proving that the one on disk is what the log gives.

Rules of residence: whole tables. The rows of one batch are `sqlite_index.py`'s.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from itertools import zip_longest

from msgspec import Struct

from taskmaster.events.index import fold
from taskmaster.events.sqlite_events import newest_position, read_log
from taskmaster.events.sqlite_index import IndexTables
from taskmaster.events.sqlite_schema import INDEX_TABLE_NAMES, INDEX_TABLES, INDEX_VERSION
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


def is_index_current(connection: sqlite3.Connection) -> bool:
    """Whether the index is of this version and complete."""
    meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    return meta.get("index_version") == INDEX_VERSION and "rebuilding" not in meta


def rebuild_index(connection: sqlite3.Connection, progress: Progress | None = None) -> None:
    """Drop the index and fold it anew. A crash leaves a mark by which the next opening knows."""
    connection.execute("BEGIN IMMEDIATE")
    for name in INDEX_TABLE_NAMES:
        connection.execute(f"DROP TABLE IF EXISTS {name}")
    for statement in INDEX_TABLES:
        connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('rebuilding', 1)")
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('index_version', ?)", (INDEX_VERSION,))
    connection.execute("COMMIT")
    newest = newest_position(connection)
    for position in _fold_log(connection, connection, after=Position(0)):
        if progress is not None:
            progress(position, newest)
    connection.execute("DELETE FROM meta WHERE name = 'rebuilding'")


def check_index(connection: sqlite3.Connection) -> list[Difference]:
    """Fold the log beside the index and compare; the first difference of each table.

    Takes as long as a rebuild, in a temporary file. On a living log only the last stretch and
    the comparison stand in one snapshot, which keeps the WAL from being taken in meanwhile.
    """
    folded = sqlite3.connect("", isolation_level=None)  # a temporary file of SQLite's own
    try:
        for statement in INDEX_TABLES:
            folded.execute(statement)
        position = max(_fold_log(connection, folded, after=Position(0)), default=Position(0))
        connection.execute("BEGIN")
        try:
            deque(_fold_log(connection, folded, after=position), maxlen=0)
            return list(_differences(connection, folded))
        finally:
            connection.execute("ROLLBACK")
    finally:
        folded.close()


def dump_index(connection: sqlite3.Connection) -> Iterator[str]:
    """Every row of the index in a fixed order, as text."""
    for name in INDEX_TABLE_NAMES:
        for row in _rows(connection, name):
            yield f"{name} {row}"


def _fold_log(
    source: sqlite3.Connection, target: sqlite3.Connection, *, after: Position
) -> Iterator[Position]:
    """Fold what comes after a position, batch by batch; yields how far it is."""
    tables = IndexTables(target)
    while facts := read_log(source, after=after, limit=FOLD_EVENTS):
        target.execute("BEGIN IMMEDIATE")
        changes = fold(tables.rows(facts), facts)
        tables.write(changes)
        target.execute("COMMIT")
        tables.keep(changes)
        after = facts[-1].position
        yield after


def _differences(stored: sqlite3.Connection, folded: sqlite3.Connection) -> Iterator[Difference]:
    for name in INDEX_TABLE_NAMES:
        for ours, theirs in zip_longest(_rows(stored, name), _rows(folded, name)):
            if ours != theirs:
                yield Difference(name, stored=str(ours), folded=str(theirs))
                break


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...]]:
    """A table in the order of its primary key, which is never longer than three columns."""
    for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3"):
        yield tuple(row)
