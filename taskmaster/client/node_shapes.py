"""What a server says of itself: its supervision tree, its version.

Rules of residence: shapes only, as `shapes.py` has them for tasks, gates and series.
"""

from datetime import datetime

from msgspec import Struct, field

from taskmaster.client.shapes import Json


class Unit(Struct, frozen=True, kw_only=True):
    """One place of the supervision tree. `rate` is messages a second of this incarnation."""

    path: str
    kind: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    incarnation: int = 0
    restarts: int = 0
    restarts_in_period: int = 0
    last_error: str | None = None
    inbox: int | None = None
    handled: int = 0
    rate: float = 0.0


class ActorIncident(Struct, frozen=True, kw_only=True):
    """What befell an actor, from the log."""

    position: int
    at: datetime
    type: str
    incarnation: int | None = None
    message: str = ""
    error: str = ""
    author: str = ""
    reason: str = ""


class Actor(Struct, frozen=True, kw_only=True):
    """All that is known of one place of the supervision tree."""

    actor: Unit
    spec: dict[str, str] = field(default_factory=dict[str, str])
    inbox: dict[str, int] = field(default_factory=dict[str, int])
    traceback: str = ""
    incidents: list[ActorIncident] = field(default_factory=list[ActorIncident])
    state: Json | None = None


class ServerVersion(Struct, frozen=True):
    """Which software answers, on which store, as which node."""

    version: str
    store: str = ""
    node: str = ""
