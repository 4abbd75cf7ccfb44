"""What an adaptive gate learns in front of an endpoint that answers to what it is given.

The queue is played out start by start, in virtual time and without a gate's rate or trips: what is
learned alone must neither drown the endpoint nor leave it idle (semantics 4.7).
"""

from collections import deque
from heapq import heappop, heappush
from random import Random

import pytest
from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.types import MILLISECOND, SECOND, Adaptive, Mono, Wall
from taskmaster.model.learning import Learned, Window, learn, learned_of, open_at_once, reopened
from tests.unit.model.builders import failed, succeeded

ADAPTIVE = Adaptive()
CONCURRENCY = 500
TIMEOUT_NS = 2 * SECOND
TOLD_FROM_NS = 60 * SECOND
UNTIL_NS = 180 * SECOND
SEEDS = 30


class Endpoint(Struct, frozen=True):
    """So many workers; a request takes `service_ns` for the most part, a gamma distribution of the
    shape `jitter`, and longer with the square of what is in flight beyond a knee."""

    workers: int
    service_ns: int
    knee: int
    jitter: int = 16

    @property
    def per_s(self) -> float:
        return self.workers * SECOND / self.service_ns


class Told(Struct):
    """What came of it, from a moment on."""

    per_s: float = 0.0
    timeouts: int = 0
    most_open: int = 0


def told(endpoint: Endpoint, learned: Learned, seed: int, *, from_ns: int = TOLD_FROM_NS) -> Told:
    """Three minutes with more work than it can do. A caller that is given up is not noticed."""
    rng = Random(seed)
    window, found = Window(), Told()
    waiting: deque[int] = deque()
    ends: list[tuple[int, int, bool]] = []  # when, the start, whether the caller gave up
    working: list[int] = []
    open_count, now = 0, 0

    def begin_work() -> None:
        while working and working[0] <= now:
            heappop(working)
        while waiting and len(working) < endpoint.workers:
            started = waiting.popleft()
            crowd = max(0, len(waiting) + len(working) - endpoint.knee) / endpoint.knee
            took = rng.gammavariate(endpoint.jitter, endpoint.service_ns / endpoint.jitter)
            end = now + max(1, int(took * (1 + crowd * crowd)))
            heappush(working, end)
            if end <= started + TIMEOUT_NS:
                heappush(ends, (end, started, False))
            else:
                heappush(ends, (max(now, started + TIMEOUT_NS), started, True))

    while now < UNTIL_NS:
        while open_count < open_at_once(ADAPTIVE, learned, CONCURRENCY):
            waiting.append(now)
            open_count += 1
        begin_work()
        now = min(working[0], ends[0][0]) if ends else working[0]
        while ends and ends[0][0] <= now:
            at, started, is_left = heappop(ends)
            event = replace(failed(), outcome="timeout") if is_left else succeeded()
            window.add(replace(event, duration_ns=at - started), open_count, Mono(now))
            open_count -= 1
            if now >= from_ns:
                found.timeouts += is_left
                found.per_s += (not is_left) * SECOND / (UNTIL_NS - from_ns)
                found.most_open = max(found.most_open, open_count)
        if window.is_complete(learned.limit, Mono(now)):
            event = learn(
                ADAPTIVE,
                CONCURRENCY,
                learned,
                window,
                now=Mono(now),
                wall=Wall(now),
                u=rng.random(),
            )
            window.go_on(Mono(now), used=False)
            learned = learned if event is None else learned_of(event)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_endpoint_that_collapses_is_not_drowned_by_a_measurement(seed: int) -> None:
    """When the limit is halved, what stood in the queue before still ends, after a second: taken
    for the time of an attempt that waits for nobody, it let in twice what the endpoint bears."""
    endpoint = Endpoint(workers=9, service_ns=375 * MILLISECOND, knee=20)

    found = told(endpoint, reopened(ADAPTIVE), seed, from_ns=0)

    assert found.timeouts == 0
    assert found.most_open <= 1.25 * endpoint.knee
    assert found.per_s >= 0.9 * endpoint.per_s


def any_endpoint(seed: int) -> Endpoint:
    rng = Random(seed)
    workers = rng.randint(4, 40)
    service_ns = rng.randint(50, 400) * MILLISECOND
    knee = round(workers * rng.uniform(1.5, 4))
    return Endpoint(workers, service_ns, knee, rng.choice((1, 2, 4, 16)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_endpoint_is_drowned_or_left_idle(seed: int) -> None:
    """However widely its times vary, and whether learning begins anew or after an outage."""
    endpoint = any_endpoint(seed)
    begin = (Learned(), reopened(ADAPTIVE))[seed % 2]

    found = told(endpoint, begin, seed)

    assert found.per_s >= 0.85 * endpoint.per_s
    assert found.timeouts <= 0.05 * found.per_s * (UNTIL_NS - TOLD_FROM_NS) / SECOND


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_before_the_smallest_endpoint_it_goes_on(workers: int) -> None:
    """Six too many are far too many there, and none is too few."""
    endpoint = Endpoint(workers, 200 * MILLISECOND, knee=2 * workers)

    found = told(endpoint, reopened(ADAPTIVE), seed=1)

    assert found.per_s >= 0.7 * endpoint.per_s
