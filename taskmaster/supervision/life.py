"""One incarnation's life: its phases, and who is told of its start and of its end.

Rules of residence: knows no actor's class; every reference to an actor shares its life.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from pykka import ActorRef

from taskmaster.supervision.reasons import Crash, Reason

SYSTEM_TYPES: set[type] = set()
"""Looked up for each message: a third of what `isinstance` costs."""


class System(Struct, frozen=True):
    """A message that is served before all mail, in every phase but the last."""

    def __init_subclass__(cls) -> None:
        SYSTEM_TYPES.add(cls)


class Down(System, frozen=True):
    """An actor has ended."""

    ref: "ActorRef[Any]"
    incarnation: int
    reason: Reason

    @property
    def name(self) -> str:
        """The actor's own name."""
        return self.ref.actor_urn

    @property
    def error(self) -> BaseException | None:
        """What it crashed with, or None."""
        return self.reason.error if isinstance(self.reason, Crash) else None

    @property
    def message(self) -> str:
        """The type of what it was handling when it crashed."""
        return self.reason.message if isinstance(self.reason, Crash) else ""


Told = Callable[[Down], None]
ToldOfStart = Callable[[Reason | None], None]


_NOTHING: frozenset[Any] = frozenset()


class Life:
    """What pykka expects of a `threading.Event`, without its lock, and who watches."""

    __slots__ = (
        "_on_start",
        "_watchers",
        "end",
        "incarnation",
        "is_open",
        "is_over",
        "is_starting",
        "is_stopping",
        "left",
        "owner",
        "was_ignored",
    )

    def __init__(self) -> None:
        self.is_starting = True
        self.is_open = False
        """Whether mail is served: after its start and before its stop."""
        self.is_stopping = False
        self.is_over = False
        self.was_ignored = False
        """Whether its start said that there is nothing to run."""
        self.incarnation = 1
        self.end: Reason | None = None
        self.owner: Told | None = None
        """Its supervisor, which is told first; a slot of its own, for there are many actors."""
        self.left = _NOTHING
        """Its coroutines that had not ended when it did; they were told to."""
        self._watchers: list[Told] | None = None
        self._on_start: list[ToldOfStart] | None = None

    def is_set(self) -> bool:
        """Whether it is over."""
        return self.is_over

    def set(self) -> None:
        """End it: pykka's word."""
        self.is_over = True
        self.is_open = False

    def watch(self, told: Told) -> None:
        """Have `told` called once, at the end."""
        if self._watchers is None:
            self._watchers = []
        self._watchers.append(told)

    def watch_start(self, told: ToldOfStart) -> None:
        """Have `told` called once: with None when it has started, or with why it has not."""
        if self.is_over:
            told(self.end)
        elif not self.is_starting:
            told(None)
        else:
            if self._on_start is None:
                self._on_start = []
            self._on_start.append(told)

    def has_started(self) -> None:
        """Serve mail from now on, and tell whoever waits for the start."""
        self.is_starting = False
        self.is_open = True
        if self._on_start is not None:
            self._tell_of_start(None)

    def tell_of_end(self, down: Down) -> None:
        """Tell each watcher, once."""
        if self._on_start is not None:
            self._tell_of_start(down.reason)
        owner, self.owner = self.owner, None
        if owner is not None:
            owner(down)
        if self._watchers is not None:
            watchers, self._watchers = self._watchers, None
            for told in watchers:
                told(down)

    def _tell_of_start(self, failure: Reason | None) -> None:
        waiting, self._on_start = self._on_start, None
        for told in waiting or ():
            told(failure)
