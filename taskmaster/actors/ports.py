"""What actors need of the world, so that a simulation can give it to them.

Rules of residence: protocols and nothing else. No actor reads a clock, draws a random number or
makes an id by itself; the real ones are in `system.py`, the simulated ones are the tests'.
"""

from typing import Protocol

from taskmaster.events.types import Mono, TaskId, Wall


class Clock(Protocol):
    """Shard time; both readings never go back."""

    def wall(self) -> Wall:
        """What events carry and due times are compared with."""
        ...

    def mono(self) -> Mono:
        """What spacing is reckoned in."""
        ...


class Rng(Protocol):
    """Randomness for jitter."""

    def uniform(self) -> float:
        """A number from [0, 1)."""
        ...


class Ids(Protocol):
    """New ids, ordered by time."""

    def task_id(self) -> TaskId:
        """The id of a new task, a UUIDv7."""
        ...
