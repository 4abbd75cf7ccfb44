"""Questions about many gates at once: a page of them, the busiest, what is due at each.

Rules of residence: inside one snapshot; rows that no answer shows are not handed over. What one
gate's fold needs is `gate_state.py`'s.
"""

from collections.abc import Sequence

from msgspec import Struct, defstruct
from msgspec.structs import astuple

from taskmaster.events.database import Database
from taskmaster.events.gate_state import gate_row
from taskmaster.events.log import Ahead, BusiestGates, Due, GateFilter, GateRow, RowState
from taskmaster.events.ready import count_due, first_due
from taskmaster.events.rows import (
    CONTROLS,
    HELD_BY_ORDER,
    MODES,
    RUNNING,
    STATES,
    WAITING,
    GateEntry,
)
from taskmaster.events.types import MINUTE, GateName, Wall


class _DueRow(Struct, frozen=True, array_like=True):
    gate: GateName
    eligible: int
    oldest_at: Wall | None
    by_order: int
    by_series: int


_Sums = defstruct("_Sums", [(state, int) for state in STATES], frozen=True, array_like=True)
_TOTALS = ", ".join(f"CAST(coalesce(sum({state}), 0) AS BIGINT) AS {state}" for state in STATES)


def _named(column: str, names: Sequence[str]) -> str:
    return " ".join(f"WHEN {column} = {number} THEN '{name}'" for number, name in enumerate(names))


_STATE = f"""CASE WHEN name IN (SELECT value FROM each(:quarantined))
        THEN 'quarantined'
    WHEN control = {RUNNING} THEN CASE {_named("mode", MODES)} END
    {_named("control", CONTROLS)} END"""
"""Semantics 4.1: the control unless it is running, else the mode."""


def gate_page(
    database: Database, match: GateFilter, *, after: str, limit: int
) -> tuple[GateRow, ...]:
    """Matching gates by name, from after a name on."""
    wanted = ""
    if match.states:
        wanted = f"AND ({_STATE}) IN (SELECT value FROM each(:states))"
    source = f"(SELECT * FROM gate WHERE name > :after {wanted} ORDER BY name LIMIT :limit) AS page"
    params = {
        "after": after,
        "limit": limit,
        "states": match.states,
        "quarantined": match.quarantined,
    }
    return tuple(gate_row(entry) for entry in database.select(GateEntry, source, params))


def busiest_gates(database: Database, *, limit: int) -> BusiestGates:
    """The busiest gates, and what all others hold: one walk over the gates, no row of theirs."""
    source = """(SELECT * FROM gate
        ORDER BY waiting + in_flight DESC, attempts DESC, name LIMIT :limit) AS busiest"""
    entries = database.select(GateEntry, source, {"limit": limit})
    [sums] = database.select(_Sums, f"(SELECT {_TOTALS} FROM gate) AS sums")
    others: dict[RowState, int] = {
        state: total - sum(getattr(entry, state) for entry in entries)
        for state, total in zip(STATES, astuple(sums), strict=True)
    }
    return BusiestGates(tuple(gate_row(entry) for entry in entries), others)


_HELD = f"gate = named.gate AND state = {WAITING} AND held <> 0 AND due_at BETWEEN :began AND :now"
_BUCKETS = """SELECT CAST(sum(count) AS BIGINT) FROM due_bucket
    WHERE gate = named.gate AND minute < :minute"""
_DUES = f"""(SELECT value AS gate,
    coalesce(({_BUCKETS} AND held = 0), 0)
        + {count_due("named.gate", "due_at BETWEEN :began AND :now")} AS eligible,
    {first_due("named.gate", "due_at <= :now")} AS oldest_at,
    coalesce(({_BUCKETS} AND held IN (1, 3)), 0)
        + (SELECT count(*) FROM task WHERE {_HELD} AND (held & {HELD_BY_ORDER}) <> 0) AS by_order,
    coalesce(({_BUCKETS} AND held = 2), 0)
        + (SELECT count(*) FROM task WHERE {_HELD} AND held = 2) AS by_series
    FROM each(:gates) AS named) AS dues""".replace("named.gate", "named.value")


def due_of(database: Database, gates: Sequence[GateName], now: Wall) -> dict[GateName, Due]:
    """What waits at these gates and is due at `now`.

    Whole minutes are sums that the index keeps; only the minute of `now` is counted.
    """
    minute = now // MINUTE
    params = {"gates": gates, "minute": minute, "began": minute * MINUTE, "now": now}
    return {
        row.gate: Due(row.eligible, row.oldest_at, row.by_order, row.by_series)
        for row in database.select(_DueRow, _DUES, params)
    }


class _Minute(Struct, frozen=True, array_like=True):
    minute: int
    count: int


_LATER = f"""(SELECT :minute AS minute, {count_due(":gate", "due_at > :now AND due_at < :ended")}
        AS count
    UNION ALL
    SELECT minute, count FROM due_bucket WHERE gate = :gate AND held = 0
        AND minute > :minute AND minute <= :last
    ORDER BY minute) AS later WHERE count > 0"""


def ahead_of(database: Database, gate: GateName, now: Wall, *, minutes: int) -> Ahead:
    """What is due at a gate at `now`, and by the minute what becomes due after it."""
    minute = now // MINUTE
    params = {
        "gate": gate,
        "now": now,
        "minute": minute,
        "ended": (minute + 1) * MINUTE,
        "last": minute + minutes,
    }
    later = database.select(_Minute, _LATER, params)
    return Ahead(
        database.newest_position(),
        due_of(database, [gate], now)[gate],
        tuple((one.minute, one.count) for one in later),
    )
