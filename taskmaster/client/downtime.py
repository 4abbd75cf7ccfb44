"""The shape of a planned downtime, a part of a gate's.

Rules of residence: as `shapes.py`, which needs it.
"""

from datetime import datetime

from msgspec import Struct


class Maintenance(Struct, frozen=True, rename={"start_at": "from"}):
    """A planned downtime; `state` is planned or under_way."""

    number: int
    state: str
    start_at: datetime
    until: datetime
    drain: str = "0s"
    author: str = ""
    reason: str = ""
