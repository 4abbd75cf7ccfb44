"""Calls about planned downtimes of a gate.

Rules of residence: as `calls.py`.
"""

from urllib.parse import quote

import msgspec

from taskmaster.client.calls import JSON, Answer, Call
from taskmaster.client.downtime import Maintenance
from taskmaster.client.shapes import Duration, Gate, Instant, Page


def plan_maintenance(
    gate: str, start: Instant, until: Instant, *, drain: Duration | None = None, reason: str = ""
) -> Call[Gate]:
    """Announce a downtime. Not repeatable: the second would overlap."""
    body = {"from": start, "until": until, "drain": drain, "reason": reason}
    given = {name: value for name, value in body.items() if value not in (None, "")}
    content = msgspec.json.encode(given)
    headers = {"content-type": JSON}
    path = f"/v1/gates/{quote(gate, safe='')}/maintenance"
    return Call("POST", path, _read_gate, headers=headers, body=content, repeatable=False)


def list_maintenance(gate: str) -> Call[Page[Maintenance]]:
    """A gate's downtimes that are not over."""
    return Call("GET", f"/v1/gates/{quote(gate, safe='')}/maintenance", _read_windows)


def cancel_maintenance(gate: str, number: int, *, reason: str = "") -> Call[Gate]:
    """Take a downtime back, or end it."""
    path = f"/v1/gates/{quote(gate, safe='')}/maintenance/{number}:cancel"
    content = msgspec.json.encode({"reason": reason} if reason else {})
    return Call("POST", path, _read_gate, headers={"content-type": JSON}, body=content)


def _read_windows(answer: Answer) -> Page[Maintenance]:
    return msgspec.json.decode(answer.body, type=Page[Maintenance])


def _read_gate(answer: Answer) -> Gate:
    return msgspec.json.decode(answer.body, type=Gate)
