"""The real clock, randomness and ids.

Rules of residence: the only place of the server that reads them.
"""

import random
import time
from pathlib import Path

import uuid_utils

from taskmaster.events.types import Mono, TaskId, Wall

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Names this boot of the machine; empty where the system does not tell."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def monotonic_ns() -> int:
    """The machine's monotonic clock."""
    return time.monotonic_ns()


def wall_ns() -> int:
    """The machine's wall clock, which may jump."""
    return time.time_ns()


class SystemClock:
    """Shard time from the machine's clocks (semantics 3.7)."""

    def __init__(self, anchor_ns: int, floor: Wall) -> None:
        """Pacing time is the monotonic clock plus `anchor_ns`; the wall never reads below
        `floor`, the newest instant in the log."""
        self.anchor_ns = anchor_ns
        self._last = floor

    def wall(self) -> Wall:
        """The wall clock, made never to go back."""
        now = time.time_ns()
        if now > self._last:
            self._last = Wall(now)
        return self._last

    def mono(self) -> Mono:
        """Pacing time."""
        return Mono(time.monotonic_ns() + self.anchor_ns)


class SystemRng:
    """Jitter need not be unpredictable."""

    def uniform(self) -> float:
        """A number from [0, 1)."""
        return random.random()


class SystemIds:
    """UUIDv7: ordered by time, so that inserts stay at the right edge of the index."""

    def task_id(self) -> TaskId:
        """The id of a new task."""
        return TaskId(str(uuid_utils.uuid7()))
