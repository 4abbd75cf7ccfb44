"""What a gate's fold needs: its own stream, and what its tasks' attempts left in the index.

Rules of residence: one gate, inside one snapshot, and the public form of its row.
"""

import sqlite3

import msgspec

from taskmaster.events.log import (
    GateRow,
    GateSnapshot,
    GateTraffic,
    OpenAttempt,
    OutcomeBucket,
)
from taskmaster.events.rows import CONTROLS, MODES, GateEntry
from taskmaster.events.sqlite_events import newest_position, read_whole_stream
from taskmaster.events.sqlite_index import GATE_ROW, GATES, json_object, select
from taskmaster.events.types import GateName, GateSettings, Mono, gate_stream

_OPEN = msgspec.json.Decoder(list[OpenAttempt])
_BUCKETS = msgspec.json.Decoder(list[OutcomeBucket])
_TATS = msgspec.json.Decoder(tuple[Mono, ...])
_SETTINGS = msgspec.json.Decoder(GateSettings)


def gate_row(entry: GateEntry) -> GateRow:
    """A row as the rest of the program sees it."""
    return GateRow(
        gate=entry.name,
        version=entry.version,
        counts={
            "waiting": entry.waiting,
            "in_flight": entry.in_flight,
            "awaiting": entry.awaiting,
            "uncertain": entry.uncertain,
            "succeeded": entry.succeeded,
            "dead": entry.dead,
            "cancelled": entry.cancelled,
            "expired": entry.expired,
        },
        settings=_SETTINGS.decode(entry.settings),
        control=CONTROLS[entry.control],
        mode=MODES[entry.mode],
        paused_until=entry.paused_until,
        quarantined_until=entry.quarantined_until,
        implicit=bool(entry.implicit),
        attempts=entry.attempts,
        failures=entry.failures,
    )


def read_gate(connection: sqlite3.Connection, gate: GateName) -> GateSnapshot:
    """The whole of a gate's stream and its traffic; of a gate that is not there, nothing."""
    events = read_whole_stream(connection, gate_stream(gate))
    return GateSnapshot(newest_position(connection), events, _traffic(connection, gate))


def _traffic(connection: sqlite3.Connection, gate: GateName) -> GateTraffic:
    entries = select(connection, GATES, GATE_ROW, "gate WHERE name = ?", (gate,))
    entry = entries[0] if entries else GateEntry(gate)
    starts = """(SELECT * FROM attempt WHERE gate = ? AND ended_position IS NULL
        ORDER BY position)"""
    seconds = "(SELECT * FROM outcome WHERE gate = ? ORDER BY second)"
    return GateTraffic(
        open=tuple(select(connection, _OPEN, json_object(OpenAttempt), starts, (gate,))),
        buckets=tuple(select(connection, _BUCKETS, json_object(OutcomeBucket), seconds, (gate,))),
        failures_in_row=entry.failures_in_row,
        last_tats=_TATS.decode(entry.tats),
        last_start_position=entry.last_start,
        throttled_until=entry.throttled_until,
    )
