"""The eligible tasks of a gate in memory, by lane: one round gives each lane one start.

Rules of residence: knows ranks and the order of lanes; what is held is the backlog's. A lane is
the tasks with one `fair_key`, those without any being one too. An attempt is what is shared, and
each costs one: deficit round-robin with a quantum of one, which leaves no deficit to carry.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from msgspec import Struct, field

from taskmaster.events.types import Position, TaskId
from taskmaster.model.sharing import Rank
from taskmaster.model.task import Task

NOTHING: Rank = (-(2**63), Position(0))
"""Ranks before whatever waits."""


class Waiting(Struct, frozen=True, gc=False):
    """A task that waits, with its place in the log."""

    task: Task
    number: Position


class _Lane(Struct):
    """`missing_from`: what ranks later may be in the index alone; None: nothing is missing."""

    missing_from: Rank | None = None
    ranked: list[tuple[Rank, int, Waiting]] = field(default_factory=list[tuple[Rank, int, Waiting]])


class Lanes:
    """Lanes in a circle by their keys, and whose turn it is."""

    def __init__(self, held: Mapping[TaskId, Waiting], last: str, *, more: bool) -> None:
        """`held` says which task is still there as it was put. `last` is the lane that started
        last; with `more` there are lanes beyond those put here, after these in the circle."""
        self._held = held
        self._began_after = last
        self.last = last
        self._turn = (False, "")  # before all of them
        self.more = more
        self.is_short = False
        """Whether a turn was passed over because what is due to it is in the index alone."""
        self.is_cut = False
        """Whether a lane has more in the index."""
        self.page_size = 0
        """How many there were when a page had been put in that left more."""
        self._lanes: dict[str, _Lane] = {}
        self._circle: list[tuple[bool, str]] = []
        self._count = 0
        self._size = 0

    def __len__(self) -> int:
        """How many are there, with those that are no longer held and were not come across."""
        return self._size

    @property
    def may_have(self) -> bool:
        """Whether it is worth while to look for a head."""
        return bool(self._circle)

    def put(self, rank: Rank, item: Waiting) -> None:
        """A task that is eligible."""
        self._count += 1  # what was put twice need not be compared further
        self._size += 1
        lane = self._lane(item.task.submitted.fair_key)
        heappush(lane.ranked, (rank, self._count, item))

    def missing_from(self, key: str) -> Rank | None:
        """From what rank on a lane's tasks may be in the index alone; None: nothing is missing."""
        lane = self._lanes.get(key)
        if lane is None:
            return NOTHING if self.more else None
        return lane.missing_from

    def cut(self, key: str, rank: Rank) -> None:
        """A lane has more in the index, not before that rank."""
        self.is_cut = True
        lane = self._lane(key)
        known = lane.missing_from
        lane.missing_from = rank if known is None else min(known, rank)

    def head(self) -> Waiting | None:
        """The best of the lane whose turn it is; lanes with nothing to give are passed over.
        None where the next lane is in the index alone, or there is none."""
        circle, place = self._circle, bisect_right(self._circle, self._turn)
        for _ in range(len(circle)):
            if place >= len(circle):
                if self.more:
                    self.is_short = True
                    return None
                place = 0
            key = circle[place][1]
            lane = self._lanes[key]
            item = self._best(lane)
            if item is not None:
                return item
            if lane.missing_from is not None:
                self.is_short = True
            elif not self.more:  # it is as if it had never been here
                del self._lanes[key], circle[place]
                continue
            place += 1
        return None

    def ahead(self) -> int:
        """How many lanes there are before the circle closes."""
        return len(self._circle) - bisect_right(self._circle, self._turn)

    def start(self, item: Waiting) -> None:
        """A task starts, the best of its lane or another; the lane's turn is over."""
        key = item.task.submitted.fair_key
        lane = self._lanes.get(key)
        if lane is None:
            return  # it started ahead of its due time, and no other of its lane was here
        if lane.ranked and lane.ranked[0][2] is item:
            self._pop(lane)
        self.go_on_after(key)

    def go_on_after(self, key: str) -> None:
        """The next turn is that of the lane behind `key`."""
        self.last = key
        self._turn = self._place(key)

    def entries(self) -> Iterator[tuple[Rank, int, Waiting]]:
        """All that are still held, in no order."""
        for lane in self._lanes.values():
            for entry in lane.ranked:
                if self._held.get(entry[2].task.id) is entry[2]:
                    yield entry

    def distance(self, key: str) -> tuple[bool, bool, str]:
        """Sorts keys by when their turn comes."""
        place = self._place(key)
        return place <= self._turn, *place

    def _best(self, lane: _Lane) -> Waiting | None:
        while lane.ranked:
            item = lane.ranked[0][2]
            if self._held.get(item.task.id) is item:
                return item
            self._pop(lane)
        return None

    def _pop(self, lane: _Lane) -> None:
        heappop(lane.ranked)
        self._size -= 1

    def _lane(self, key: str) -> _Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
            insort(self._circle, self._place(key))
        return lane

    def _place(self, key: str) -> tuple[bool, str]:
        return key <= self._began_after, key
