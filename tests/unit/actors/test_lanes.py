"""Whose turn it is among the lanes of a gate: in memory alone, and with the pages of a real log."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis.strategies import DataObject, data, integers, lists, sampled_from

from taskmaster.actors.backlog import Backlog
from taskmaster.actors.lanes import Lanes, Waiting
from taskmaster.actors.page import PAGE_BYTES, PAGE_TASKS, take_page
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.types import MINUTE, Position, TaskId
from taskmaster.model.sharing import Order
from tests.suites.facts import GATE, START, of_gate, of_task, opened, started, submission, wall
from tests.unit.model.builders import waiting_task

KEYS = ("", *"abcdef")


def item(number: int, key: str) -> Waiting:
    task = waiting_task(task_id=TaskId(f"t{number:06d}"), fair_key=key)
    return Waiting(task, Position(number))


class Round:
    """Lanes with what they hold."""

    def __init__(self) -> None:
        self.held: dict[TaskId, Waiting] = {}
        self.lanes = Lanes(self.held, "", more=False)

    def put(self, one: Waiting, rank: int) -> None:
        self.held[one.task.id] = one
        self.lanes.put((rank, one.number), one)

    def start(self) -> Waiting | None:
        head = self.lanes.head()
        if head is not None:
            self.lanes.start(head)
            del self.held[head.task.id]
        return head


@given(data())
def test_no_lane_starts_twice_while_another_waits(draw: DataObject) -> None:
    """Semantics 3.9, whatever comes in between: so shares are equal and nothing starves. Within
    a lane rank decides."""
    around = Round()
    waiting: dict[str, list[tuple[int, int]]] = {key: [] for key in KEYS}
    passed: dict[str, set[str]] = {key: set() for key in KEYS}
    for number in range(1, 60):
        for key in draw.draw(lists(sampled_from(KEYS), max_size=3)):
            rank = draw.draw(integers(-5, 5))
            unique = number * 10 + len(waiting[key])
            around.put(item(unique * 10 + KEYS.index(key), key), rank)
            waiting[key].append((rank, unique * 10 + KEYS.index(key)))
        started_one = around.start()
        assert (started_one is None) == (not any(waiting.values()))
        if started_one is None:
            continue
        lane = started_one.task.submitted.fair_key
        best = min(waiting[lane])
        assert started_one.number == best[1]
        waiting[lane].remove(best)
        passed[lane] = set()
        for key in KEYS:
            if key != lane and waiting[key]:
                assert lane not in passed[key], f"{lane} twice while {key} waited"
                passed[key].add(lane)
            elif not waiting[key]:
                passed[key] = set()


def test_a_lane_that_has_more_in_the_index_is_passed_over_and_said_to_be_short() -> None:
    around = Round()
    around.put(item(1, "a"), 0)
    around.put(item(2, "b"), 0)
    around.put(item(3, "b"), 0)
    around.lanes.cut("a", (0, Position(1)))

    assert [one and one.number for one in (around.start(), around.start())] == [1, 2]
    assert not around.lanes.is_short
    assert [one and one.number for one in (around.start(), around.start())] == [3, None]
    assert around.lanes.is_short


def test_lanes_beyond_those_in_memory_are_wanted_when_the_circle_closes() -> None:
    around = Round()
    around.lanes.more = True
    for number, key in enumerate("aabb"):
        around.put(item(number, key), 0)

    assert [one and one.number for one in (around.start(), around.start())] == [0, 2]
    assert not around.lanes.is_short
    assert around.start() is None
    assert around.lanes.is_short


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "starts"), [(2, 1_000), (7, 1_000), (90, 1_000), (450, 2_000)])
def test_equal_demand_gets_equal_shares(keys: int, starts: int) -> None:
    """Semantics 3.9: within 5 %, though one lane was there long before the others."""
    waiting = 12 * starts // keys
    with SQLiteStore.open(":memory:") as store:
        reader = store.reader()
        store.commit([of_gate(GATE, 0, opened())])
        for key in range(keys):
            store.commit(
                [
                    submission(f"{key:03}-{n}", fair_key=f"{key:03}", due_at=wall(-60 * keys + key))
                    for n in range(waiting // 8)
                ]
            )
        backlog = Backlog(Order(MINUTE))
        shares: Counter[str] = Counter()
        away: list[TaskId] = []
        for _ in range(starts):
            if backlog.needs_page(START):
                store.commit([of_task(task_id, 1, started()) for task_id in away])
                away.clear()
                split = backlog.begin_read(())
                page = reader.page(
                    GATE,
                    START,
                    limit=PAGE_TASKS,
                    aging_ns=MINUTE,
                    max_bytes=PAGE_BYTES,
                    split=split,
                )
                take_page(backlog, page, START, 0)
            best = backlog.peek(START)
            assert best is not None
            backlog.pop(best)
            away.append(best.task.id)
            shares[best.task.submitted.fair_key] += 1

    assert len(shares) == keys
    fair = starts / keys
    assert max(shares.values()) <= max(1.05 * fair, fair + 1)
    assert min(shares.values()) >= min(0.95 * fair, fair - 1)
