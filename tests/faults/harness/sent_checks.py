"""What left for the endpoint, held against what the log says was started.

Arrivals are what the endpoint saw; it and the server read the same monotonic clock.
"""

from collections import defaultdict
from collections.abc import Sequence

from tests.faults.harness.endpoint import Request, Stall
from tests.faults.harness.log_checks import Attempt, Log, Story
from tests.faults.harness.windows import Limit, excess

MILLISECOND = 1_000_000
BUNCHING_NS = 25 * MILLISECOND
"""How much closer together than sent two requests may arrive on loopback (semantics 3.8), besides
what a busy machine adds: it may keep the server waiting after it has decided to send, and the
endpoint before it looks, each as long as it was seen to keep the endpoint's heartbeat waiting."""
GRANT_LIFETIME_NS = 1_000 * MILLISECOND
LATE_NS = 250 * MILLISECOND
"""From the decision to send to the endpoint's clock, on a busy machine."""


def check_sends(log: Log, requests: Sequence[Request]) -> None:
    """2.2 to 2.5: no send without its start, each start sent at most once, in its time, and a
    task that had succeeded is sent again only where its attempt was open at a kill."""
    by_task: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        assert request.key == request.task, f"the key is not the task's id: {request}"
        by_task[request.task].append(request)
    for task, sent in by_task.items():
        assert task in log.stories, f"{task} was sent and is not in the log"
        _check_task(log, log.stories[task], sent)


def _check_task(log: Log, story: Story, sent: Sequence[Request]) -> None:
    started = [attempt for attempt in story.attempts if not attempt.is_voided]
    assert len(sent) <= len(started), f"{story.task}: {len(sent)} sends, {len(started)} starts"
    numbers = [request.attempt for request in sent]
    assert numbers == sorted(set(numbers)), f"{story.task} was sent as attempts {numbers}"
    for request in sent:
        attempt = started[request.attempt - 1]
        _check_time(log, story, attempt, request)
        later = request is not sent[-1]
        if request.status == 200 and (later or story.state != "succeeded") and attempt.end:
            assert attempt.is_interrupted, f"{story.task} had succeeded: {attempt.end}"


def _check_time(log: Log, story: Story, attempt: Attempt, request: Request) -> None:
    assert attempt.gate == request.gate
    late_ns = request.came_at - log.mono(attempt.slot_at)
    assert late_ns >= 0, f"{story.task} was sent {-late_ns} ns before its slot"
    assert late_ns <= GRANT_LIFETIME_NS + LATE_NS, f"{story.task} was sent {late_ns} ns late"


def check_rates(
    log: Log,
    requests: Sequence[Request],
    stalls: Sequence[Stall],
    gate: str,
    limits: Sequence[Limit],
) -> None:
    """3.1, 3.5: no window of any length above `b + r*T`, kills and restarts in between included:
    exactly by the slots in the log, and at the endpoint but for what the way bunched."""
    slots = [attempt.slot_at for attempt in log.attempts(gate)]
    arrivals = [request.came_at for request in requests if request.gate == gate]
    stalled_ns = max((stall.late_ns for stall in stalls), default=0)
    for limit in limits:
        over = excess(slots, limit)
        assert over is None, f"slots of {gate}, {limit}: {over}"
        over = excess(arrivals, limit, BUNCHING_NS + 2 * stalled_ns)
        assert over is None, f"arrivals at {gate}, {limit}, machine stalled {stalled_ns} ns: {over}"


def check_open(requests: Sequence[Request], gate: str, concurrency: int) -> None:
    """3.2 at the endpoint: never more requests open at once than the concurrency."""
    changes: list[tuple[int, int]] = []
    for request in requests:
        if request.gate == gate:
            changes.append((request.came_at, 1))
            if request.over_at:
                changes.append((request.over_at, -1))
    open_count = 0
    for at, change in sorted(changes):
        open_count += change
        assert open_count <= concurrency, f"{open_count} open at once at {gate}, at {at}"
