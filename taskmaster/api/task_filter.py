"""Which tasks a list shows: the query's filters, and the reading of matching rows.

Rules of residence: turns parameters into the reader's filter. Whether a waiting task is scheduled
or waiting is decided by time alone, so where a list wants one of the two beside other states, rows
are sorted out here, after a bounded number of reads.
"""

from typing import Literal, get_args

from msgspec import Struct

from taskmaster.api.context import Api
from taskmaster.api.encoding import row_state
from taskmaster.api.reading import bad_parameter
from taskmaster.events.log import RowState, TaskFilter, TaskRow
from taskmaster.events.types import GateName, Position, SeriesName, Wall
from taskmaster.model.task import TaskStateName
from taskmaster.units import parse_instant

MAX_READS = 10
"""A list that finds little gives back what it has, with a token, after so many reads."""
MAX_LABELS = 10
STATES: tuple[TaskStateName, ...] = get_args(TaskStateName)
_ROWS: dict[TaskStateName, tuple[RowState, ...]] = {
    "scheduled": ("waiting",),
    "waiting": ("waiting",),
    "in_flight": ("in_flight",),
    "uncertain": ("uncertain", "awaiting"),
    "succeeded": ("succeeded",),
    "dead": ("dead",),
    "cancelled": ("cancelled",),
    "expired": ("expired",),
}


class Match(Struct, frozen=True):
    """The reader's filter, and which of the rows that wait are left out of what it finds."""

    rows: TaskFilter
    without: Literal["", "scheduled", "waiting"] = ""


class Found(Struct, frozen=True):
    """Matching rows, newest first, and behind which number the list goes on, or None."""

    rows: tuple[TaskRow, ...]
    go_on: Position | None


async def matching(
    api: Api, match: Match, *, before: Position | None, limit: int, now: Wall
) -> Found:
    """Up to `limit` matching rows from before a number on."""
    kept: list[TaskRow] = []
    for _ in range(MAX_READS):
        rows = await api.reader.task_rows(match.rows, before=before, limit=limit + 1)
        kept += [row for row in rows if row_state(row, now) != match.without]
        if len(kept) > limit:
            return Found(tuple(kept[:limit]), kept[limit - 1].number)
        if len(rows) <= limit:
            return Found(tuple(kept), None)
        before = rows[-1].number
    return Found(tuple(kept), before)


def filter_of(given: dict[str, list[str]], now: Wall) -> Match:
    """The query's filters.

    Raises:
        ProblemError: one that cannot be read.
    """
    named = _states(given.get("state", []))
    due_before, due_after = _instant(given, "due_before"), _instant(given, "due_after")
    without: Literal["", "scheduled", "waiting"] = ""
    if ("scheduled" in named) != ("waiting" in named):
        if len(named) > 1:
            without = "waiting" if "scheduled" in named else "scheduled"
        elif "scheduled" in named:
            due_after = max(now, due_after or now)
        else:
            due_before = Wall(min(now + 1, due_before if due_before is not None else now + 1))
    series = given.get("series", [None])[0]
    gate = given.get("gate", [None])[0]
    return Match(
        TaskFilter(
            gate=None if gate is None else GateName(gate),
            states=_row_states(named),
            series=None if series is None else SeriesName(series),
            key=given.get("key", [""])[0],
            labels=_labels(given.get("label", [])),
            due_before=due_before,
            due_after=due_after,
        ),
        without,
    )


def _states(texts: list[str]) -> set[TaskStateName]:
    found: set[TaskStateName] = set()
    for name in (name.strip() for text in texts for name in text.split(",")):
        if name not in STATES:
            shown = ascii(name[:40])
            raise bad_parameter("state", f"cannot be {shown}", f"use some of {', '.join(STATES)}")
        found.update(state for state in STATES if state == name)
    return found


def _row_states(named: set[TaskStateName]) -> tuple[RowState, ...]:
    rows: dict[RowState, None] = {
        row: None for state in STATES if state in named for row in _ROWS[state]
    }
    return tuple(rows)


def _labels(texts: list[str]) -> tuple[tuple[str, str], ...]:
    if len(texts) > MAX_LABELS:
        raise bad_parameter("label", f"is given {len(texts)} times", f"give at most {MAX_LABELS}")
    labels: list[tuple[str, str]] = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name:
            raise bad_parameter("label", "is no name:value", "give one such as team:billing")
        labels.append((name, value))
    return tuple(labels)


def _instant(given: dict[str, list[str]], name: str) -> Wall | None:
    if name not in given:
        return None
    read = parse_instant(given[name][0])
    if read is None:
        remedy = "give one such as 2026-11-24T09:00:00Z; write a + as %2B"
        raise bad_parameter(name, "cannot be read as an instant", remedy)
    return Wall(read)
