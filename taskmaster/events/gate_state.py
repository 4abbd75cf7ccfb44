"""What a gate's fold needs: its own stream, and what its tasks' attempts left in the index.

Rules of residence: one gate, inside one snapshot, and the public form of its row.
"""

import msgspec

from taskmaster.events.database import Database, read_whole_stream
from taskmaster.events.gate_fold import WINDOWS
from taskmaster.events.log import (
    GateRow,
    GateSnapshot,
    GateTraffic,
    OpenAttempt,
    OutcomeBucket,
)
from taskmaster.events.rows import CONTROLS, MODES, GateEntry
from taskmaster.events.types import GateName, GateSettings, Mono, gate_stream

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
        windows=WINDOWS.decode(entry.windows),
        quarantined_until=entry.quarantined_until,
        implicit=bool(entry.implicit),
        attempts=entry.attempts,
        failures=entry.failures,
    )


def read_gate(database: Database, gate: GateName) -> GateSnapshot:
    """The whole of a gate's stream and its traffic; of a gate that is not there, nothing."""
    events = read_whole_stream(database, gate_stream(gate))
    return GateSnapshot(database.newest_position(), events, _traffic(database, gate))


def _traffic(database: Database, gate: GateName) -> GateTraffic:
    params = {"gate": gate}
    entries = database.select(GateEntry, "gate WHERE name = :gate", params)
    entry = entries[0] if entries else GateEntry(gate)
    starts = """(SELECT * FROM attempt WHERE gate = :gate AND ended_position IS NULL
        ORDER BY position) AS starts"""
    seconds = "(SELECT * FROM outcome WHERE gate = :gate ORDER BY second) AS seconds"
    return GateTraffic(
        open=tuple(database.select(OpenAttempt, starts, params)),
        buckets=tuple(database.select(OutcomeBucket, seconds, params)),
        failures_in_row=entry.failures_in_row,
        last_tats=_TATS.decode(entry.tats),
        last_start_position=entry.last_start,
        throttled_until=entry.throttled_until,
    )
