"""Questions about many gates at once: a page of them, the busiest, what is due at each.

Rules of residence: inside one snapshot; rows that no answer shows are not handed over. What one
gate's fold needs is `sqlite_gate.py`'s.
"""

import sqlite3
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from taskmaster.events.log import BusiestGates, Due, GateFilter, GateRow, RowState
from taskmaster.events.rows import (
    CONTROLS,
    HELD_BY_ORDER,
    MODES,
    RUNNING,
    STATES,
    WAITING,
)
from taskmaster.events.sqlite_gate import gate_row
from taskmaster.events.sqlite_index import GATE_ROW, GATES, json_object, select
from taskmaster.events.sqlite_ready import count_due, first_due
from taskmaster.events.types import MINUTE, GateName, Wall


class _DueRow(Struct, frozen=True, array_like=True):
    gate: GateName
    due: Due


_DUE = msgspec.json.Decoder(list[_DueRow])
_SUMS = msgspec.json.Decoder(list[tuple[int, ...]])
_NAMES = msgspec.json.Encoder()


def _named(column: str, names: Sequence[str]) -> str:
    return " ".join(f"WHEN {column} = {number} THEN '{name}'" for number, name in enumerate(names))


_STATE = f"""CASE WHEN name IN (SELECT value FROM json_each(:quarantined))
        THEN 'quarantined'
    WHEN control = {RUNNING} THEN CASE {_named("mode", MODES)} END
    {_named("control", CONTROLS)} END"""
"""Semantics 4.1: the control unless it is running, else the mode."""


def gate_page(
    connection: sqlite3.Connection, match: GateFilter, *, after: str, limit: int
) -> tuple[GateRow, ...]:
    """Matching gates by name, from after a name on."""
    wanted = ""
    if match.states:
        wanted = f"AND ({_STATE}) IN (SELECT value FROM json_each(:states))"
    source = f"(SELECT * FROM gate WHERE name > :after {wanted} ORDER BY name LIMIT :limit)"
    params = {
        "after": after,
        "limit": limit,
        "states": _json(match.states),
        "quarantined": _json(match.quarantined),
    }
    return tuple(gate_row(entry) for entry in select(connection, GATES, GATE_ROW, source, params))


def busiest_gates(connection: sqlite3.Connection, *, limit: int) -> BusiestGates:
    """The busiest gates, and what all others hold: one walk over the gates, no row of theirs."""
    source = """(SELECT * FROM gate
        ORDER BY waiting + in_flight DESC, attempts DESC, name LIMIT ?)"""
    entries = select(connection, GATES, GATE_ROW, source, (limit,))
    totals = ", ".join(f"coalesce(sum({state}), 0)" for state in STATES)
    all_sums = f"(SELECT json_array({totals}) AS sums FROM gate)"
    [sums] = select(connection, _SUMS, "json(sums)", all_sums)
    others: dict[RowState, int] = {
        state: total - sum(getattr(entry, state) for entry in entries)
        for state, total in zip(STATES, sums, strict=True)
    }
    return BusiestGates(tuple(gate_row(entry) for entry in entries), others)


_HELD = f"gate = named.gate AND state = {WAITING} AND held <> 0 AND due_at BETWEEN :began AND :now"
_BUCKETS = "SELECT sum(count) FROM due_bucket WHERE gate = named.gate AND minute < :minute"
_DUES = f"""(SELECT value AS gate,
    coalesce(({_BUCKETS} AND held = 0), 0)
        + {count_due("named.gate", "due_at BETWEEN :began AND :now")} AS eligible,
    {first_due("named.gate", "due_at <= :now")} AS oldest_at,
    coalesce(({_BUCKETS} AND held IN (1, 3)), 0)
        + (SELECT count(*) FROM task WHERE {_HELD} AND held & {HELD_BY_ORDER}) AS by_order,
    coalesce(({_BUCKETS} AND held = 2), 0)
        + (SELECT count(*) FROM task WHERE {_HELD} AND held = 2) AS by_series
    FROM json_each(:gates) AS named)""".replace("named.gate", "named.value")


def due_of(
    connection: sqlite3.Connection, gates: Sequence[GateName], now: Wall
) -> dict[GateName, Due]:
    """What waits at these gates and is due at `now`.

    Whole minutes are sums that the index keeps; only the minute of `now` is counted.
    """
    minute = now // MINUTE
    params = {"gates": _json(gates), "minute": minute, "began": minute * MINUTE, "now": now}
    columns = f"json_array(gate, {json_object(Due)})"
    return {row.gate: row.due for row in select(connection, _DUE, columns, _DUES, params)}


def _json(names: Sequence[str]) -> str:
    return _NAMES.encode(names).decode()
