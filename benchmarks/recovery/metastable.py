"""An endpoint that work itself can keep down: the same in a process with sockets and in simulation.

Rules of residence: asks the loop for time and nothing else of the world; knows neither HTTP nor
TaskMaster. It is metastable by four properties that real ones have: service slows with the square
of what is in flight beyond a knee; far too much in flight ends the process; a process that has
just started is cold and warms by what it completes; and a caller that has left is not noticed, so
its work is done for nobody.

Source: Bronson et al., "Metastable failures in distributed systems", HotOS 2021.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from random import Random

from msgspec import Struct


class Character(Struct, frozen=True):
    """What kind of endpoint. By default warm capacity is 32 / 0.1 s = 320 requests a second."""

    slots: int = 32
    service_s: float = 0.1
    jitter: int = 4
    """Service times follow a gamma distribution of this shape: the lower, the wider."""
    knee: int = 64
    queue: int = 2_000
    crashes_at: int = 600
    away_s: float = 15.0
    cold_share: float = 0.25
    warm_after: int = 3_000
    throttles_above: int = 0
    """Arrivals in a second beyond which it answers 429; 0: never."""

    @property
    def per_s(self) -> float:
        """What it completes a second when warm and not crowded."""
        return self.slots / self.service_s


METASTABLE = Character()
SLOW = Character(service_s=0.15, crashes_at=1_000_000_000)
"""Two thirds as fast, and slower the more is asked of it, but it never goes down."""
THROTTLING = Character(throttles_above=200)
"""Says itself how much it takes."""

OK, THROTTLED, FULL, RESET = 200, 429, 503, 0


class Request:
    """One that arrived. `is_left`: the caller waits no longer."""

    __slots__ = ("answer", "is_left", "key")

    def __init__(self, key: str, answer: Callable[[int], object]) -> None:
        self.key = key
        self.answer = answer
        self.is_left = False


class Metastable:
    """One endpoint; it begins as one that has been up and warm for long."""

    def __init__(self, character: Character, rng: Random) -> None:
        self.character = character
        self.is_up = True
        self.arrived = 0
        self.wasted = 0
        """Completions for callers that had left."""
        self.crashes = 0
        self.done: Counter[str] = Counter()
        self.changed: Callable[[], None] = lambda: None
        """Called when it went up or down."""
        self._rng = rng
        self._waiting: deque[Request] = deque()
        self._working: dict[Request, asyncio.TimerHandle] = {}
        self._completed = character.warm_after
        self._recent: deque[float] = deque()
        self._life = 0
        self._most = 0

    @property
    def in_flight(self) -> int:
        return len(self._waiting) + len(self._working)

    def take_most(self) -> int:
        """The most in flight since this was last asked."""
        most, self._most = max(self._most, self.in_flight), self.in_flight
        return most

    def arrive(self, request: Request) -> None:
        """Take a request; its `answer` is called once, now or later."""
        assert self.is_up, "nobody listens"
        self.arrived += 1
        if self._is_throttled():
            request.answer(THROTTLED)
        elif len(self._waiting) >= self.character.queue:
            request.answer(FULL)
        else:
            self._waiting.append(request)
            self._most = max(self._most, self.in_flight)
            if self.in_flight > self.character.crashes_at:
                self._crash()
            else:
                self._work()

    def down(self) -> None:
        """Drop everything, the warmth too."""
        self.is_up = False
        self._life += 1
        self._completed = 0
        lost = [*self._waiting, *self._working]
        for timer in self._working.values():
            timer.cancel()
        self._waiting.clear()
        self._working.clear()
        self.changed()
        for request in lost:
            request.answer(RESET)

    def up(self) -> None:
        """Listen, cold."""
        self.is_up = True
        self.changed()

    def _crash(self) -> None:
        self.crashes += 1
        self.down()
        life = self._life
        loop = asyncio.get_running_loop()
        loop.call_later(self.character.away_s, lambda: life == self._life and self.up())

    def _is_throttled(self) -> bool:
        if not self.character.throttles_above:
            return False
        now = asyncio.get_running_loop().time()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if len(self._recent) >= self.character.throttles_above:
            return True
        self._recent.append(now)
        return False

    def _work(self) -> None:
        kind, loop = self.character, asyncio.get_running_loop()
        while self._waiting and len(self._working) < kind.slots:
            crowd = max(0, self.in_flight - kind.knee) / kind.knee
            warmth = min(1.0, self._completed / kind.warm_after)
            share = kind.cold_share + (1 - kind.cold_share) * warmth
            took_s = self._rng.gammavariate(kind.jitter, kind.service_s / kind.jitter)
            took_s *= (1 + crowd * crowd) / share
            request = self._waiting.popleft()
            self._working[request] = loop.call_later(took_s, self._finish, request)

    def _finish(self, request: Request) -> None:
        del self._working[request]
        self._completed += 1
        self.done[request.key] += 1
        if request.is_left:
            self.wasted += 1
        else:
            request.answer(OK)
        self._work()
