"""Calls about a gate's outages and their recoveries.

Rules of residence: as `calls.py`.
"""

from datetime import datetime
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from taskmaster.client.calls import JSON, Answer, Call
from taskmaster.client.shapes import Gate, Page


class RecoveryStep(Struct, frozen=True, kw_only=True):
    """One step of a recovery: what, why, by whom, and the numbers that led to it."""

    at: datetime
    kind: str
    why: str = ""
    author: str = ""
    percent: int | None = None
    failures: int | None = None
    attempts: int | None = None


class Outage(Struct, frozen=True, kw_only=True):
    """An outage of a gate and its recovery. `depth`: how many tasks were eligible at its start."""

    number: int
    outage: str
    started_at: datetime
    depth: int | None = None
    trips: int = 0
    steps: list[RecoveryStep] = field(default_factory=list[RecoveryStep])
    ended_at: datetime | None = None
    ended_by: str = ""


def list_recoveries(gate: str) -> Call[Page[Outage]]:
    """A gate's outages, the newest first."""
    return Call("GET", f"/v1/gates/{quote(gate, safe='')}/recoveries", _read_outages)


def steer_gate(gate: str, verb: str, *, reason: str = "") -> Call[Gate]:
    """`hold_ramp`, `release_ramp`, `recover`, `trip` or `probe`."""
    return Call(
        "POST",
        f"/v1/gates/{quote(gate, safe='')}:{verb}",
        _read_gate,
        headers={"content-type": JSON},
        body=msgspec.json.encode({"reason": reason} if reason else {}),
    )


def _read_outages(answer: Answer) -> Page[Outage]:
    return msgspec.json.decode(answer.body, type=Page[Outage])


def _read_gate(answer: Answer) -> Gate:
    return msgspec.json.decode(answer.body, type=Gate)
