"""The bounded part of a gate's eligible tasks that lies in memory.

Rules of residence: knows ranks, due times and positions; reads nothing itself. The index holds all
that waits; this holds the best page of it, kept exact by the notices of what was committed since:

- a notice at or before the page's position is in the page already;
- a later one enters only if nothing of its lane is missing or it ranks before what is; where it
  is one too many, the half whose turn comes last is left to the index;
- where something unknown began to wait (`lose`), the page is read again soon;
- while a page is being read, what leaves and what comes is remembered and applied on top of it.
"""

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import zip_longest

from msgspec import Struct

from taskmaster.actors.lanes import NOTHING, Lanes, Rank, Waiting
from taskmaster.events.types import SECOND, Position, TaskId, Wall

LOW_TASKS = 100
"""A new page is read when fewer than this are left and more may be in the index."""
MOST_TASKS = 2_000
"""Beyond this the better half stays in memory: a sort for each thousand tasks that come."""
AHEAD_NS = SECOND
"""A page of a gate without backlog also holds what becomes due within this time."""
REREAD_NS = SECOND
"""With a backlog, tasks that become due or were lost are looked for at most this often."""


class Missing(Struct, frozen=True):
    """What a page left in the index: more of the lanes that are `cut`, and whole lanes."""

    cut: tuple[str, ...] = ()
    more_lanes: bool = False

    def __bool__(self) -> bool:
        """Whether anything is missing."""
        return bool(self.cut) or self.more_lanes


class Backlog:
    """Eligible tasks by lane and rank, and soon-due ones by due time. Not for more than one
    thread."""

    def __init__(self, aging_ns: int) -> None:
        """`aging_ns` is what a step of priority is worth in a rank."""
        self._aging_ns = aging_ns
        self._held: dict[TaskId, Waiting] = {}
        self._lanes = Lanes(self._held, "", more=True)
        self._soon: list[tuple[Wall, Position, TaskId]] = []
        self._position = Position(0)
        self._read_at = Wall(0)
        self.complete = False
        self.covered_until = Wall(0)
        self.next_due_at: Wall | None = None
        self.next_expiry_at: Wall | None = None
        self._reading = False
        self._read_after = ""
        self._left: set[TaskId] = set()
        self._came: dict[TaskId, tuple[Waiting, Position]] = {}
        self._skipped: set[TaskId] = set()
        self._is_stale = False
        self._has_left = True
        """Whether anything left or was lost since a page was asked for: else it is the same."""
        self._lost = False

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._held)

    def set_aging(self, aging_ns: int) -> None:
        """Rank by another aging from the next page on; what is in memory is read again."""
        if aging_ns != self._aging_ns:
            self._aging_ns = aging_ns
            self.lose()

    # --- reading ------------------------------------------------------------------------------

    def needs_page(self, now: Wall) -> bool:
        """Whether the index may hold something that should be in memory."""
        if self._reading:
            return False
        if not self.complete and self._has_left and self._runs_low():
            return True
        if self.next_expiry_at is not None and self.next_expiry_at <= now:
            return True
        due = self.next_due_at
        is_due = due is not None and due <= now
        if is_due and self.complete:
            return True
        return (is_due or self._is_stale) and now >= self._read_at + REREAD_NS

    def _runs_low(self) -> bool:
        lanes = self._lanes
        next_lanes_are_missing = lanes.more and lanes.ahead() < LOW_TASKS
        return len(lanes) < LOW_TASKS or lanes.is_short or next_lanes_are_missing

    def next_look_at(self, now: Wall) -> Wall | None:
        """When to look again by time alone; None while a page is on its way, which comes back."""
        soon = self.next_soon_at()
        if self._reading:
            return soon
        looks = [at for at in (soon, self.next_due_at, self.next_expiry_at) if at is not None]
        if self._is_stale:
            looks.append(Wall(self._read_at + REREAD_NS))
        if not looks:
            return None
        at = min(looks)
        return at if at > now else Wall(max(now + 1, self._read_at + REREAD_NS))

    def ahead_ns(self) -> int:
        """How far ahead of now the next page should look."""
        return AHEAD_NS if self.complete or not self._position else 0

    @property
    def last_lane(self) -> str:
        """The key of the lane that started last; a page begins after it."""
        return self._lanes.last

    def begin_read(self, away: Iterable[TaskId]) -> None:
        """A page was asked for; remember what changes until it comes. Tasks that are `away`, in
        flight or being changed, may still wait in it; when they wait again, they are told."""
        self._reading, self._has_left = True, False
        self._read_after = self._lanes.last
        self._left = set(away)
        self._came.clear()

    def take(
        self,
        waiting: list[Waiting],
        *,
        position: Position,
        missing: Missing,
        now: Wall,
        covered_until: Wall,
        next_due_at: Wall | None,
        next_expiry_at: Wall | None,
    ) -> None:
        """Replace what is in memory by a page read at `position`."""
        self._reading = False
        self._held.clear()
        last = self._lanes.last
        self._lanes = Lanes(self._held, self._read_after, more=missing.more_lanes)
        if last != self._read_after:
            self._lanes.go_on_after(last)
        self._soon.clear()
        self._position = position
        self._read_at = now
        self.complete = not missing
        self.covered_until = covered_until
        self.next_due_at = next_due_at
        self.next_expiry_at = next_expiry_at
        self._is_stale = False
        for item in waiting:
            if item.task.id not in self._left:
                self._put(item, now)
        ends = {item.task.submitted.fair_key: self._rank(item) for item in waiting}
        for key in missing.cut:
            self._lanes.cut(key, ends.get(key, NOTHING))
        came, self._came = self._came, {}
        self._skipped, self._left = self._left, set()
        for item, at in came.values():
            self.offer(item, at, now)
        if self._lost:
            self.lose()

    # --- notices ------------------------------------------------------------------------------

    def offer(self, item: Waiting, position: Position, now: Wall) -> None:
        """A task began to wait, by an event at `position`."""
        task = item.task
        if self._reading:
            self._came[task.id] = (item, position)
        if position <= self._position and task.id not in self._skipped:
            return
        expires_at = task.expires_at
        if expires_at is not None:
            known = self.next_expiry_at
            self.next_expiry_at = expires_at if known is None else min(known, expires_at)
        is_far = task.due_at > max(now, self.covered_until)
        missing_from = self._lanes.missing_from(task.submitted.fair_key)
        if is_far if missing_from is None else self._rank(item) >= missing_from:
            if task.due_at > now:
                self._note_due(task.due_at)
            return
        self._put(item, now)
        if len(self._held) > MOST_TASKS:
            self._keep_the_best(now)

    def lose(self) -> None:
        """Something began to wait that is not at hand: memory is no longer complete, nor will
        the page be that is being read."""
        self._lost = self._reading
        self._is_stale = self._has_left = True
        self.complete = False

    def _keep_the_best(self, now: Wall) -> None:
        """Leave the half whose turn comes last to the index."""
        by_turn = self._by_turn()
        kept, left = by_turn[: MOST_TASKS // 2], by_turn[MOST_TASKS // 2 :]
        before, lanes = self._lanes, {item.task.submitted.fair_key for item in kept}
        more = any(item.task.submitted.fair_key not in lanes for item in left)
        self._held.clear()
        self._soon.clear()
        self._lanes = Lanes(self._held, before.last, more=before.more or more)
        self.complete = False
        for item in kept:
            self._put(item, now)
        for key in lanes:
            missing_from = before.missing_from(key)
            if missing_from is not None:
                self._lanes.cut(key, missing_from)
        for item in left:
            if item.task.submitted.fair_key in lanes:
                self._lanes.cut(item.task.submitted.fair_key, self._rank(item))
            if item.task.due_at > now:
                self._note_due(item.task.due_at)

    def _by_turn(self) -> list[Waiting]:
        """What is in memory as it would start: the best of each lane, then the next best."""
        lanes: dict[str, list[Waiting]] = {}
        for item in sorted(self._held.values(), key=self._rank):
            lanes.setdefault(item.task.submitted.fair_key, []).append(item)
        circle = [lanes[key] for key in sorted(lanes, key=self._lanes.distance)]
        return [item for turn in zip_longest(*circle) for item in turn if item is not None]

    def remove(self, task_id: TaskId) -> None:
        """A task no longer waits, or is being changed."""
        self._held.pop(task_id, None)
        self._has_left = True
        if self._reading:
            self._left.add(task_id)
            self._came.pop(task_id, None)

    def skip(self, item: Waiting) -> None:
        """Pass over a task that is in flight or being changed: when it waits again, it is told,
        though the page may have known. Its lane's turn is not used up."""
        self.remove(item.task.id)
        self._skipped.add(item.task.id)

    def _note_due(self, due_at: Wall) -> None:
        if self.next_due_at is None or due_at < self.next_due_at:
            self.next_due_at = due_at

    # --- serving ------------------------------------------------------------------------------

    def peek(self, now: Wall) -> Waiting | None:
        """The best eligible task of the lane whose turn it is, or None."""
        self._ripen(now)
        return self._lanes.head()

    def peek_least_probed(self, now: Wall) -> Waiting | None:
        """Of the eligible tasks in memory the best of those probed least (semantics 4.3): one
        that always fails keeps no gate from recovering."""
        self._ripen(now)
        held = self._lanes.entries()
        return min(held, key=lambda e: (e[2].task.probes, e[:2]), default=(None, None, None))[2]

    def pop(self, item: Waiting) -> None:
        """Take out what was peeked at, for it starts: the turn of its lane is over."""
        self._lanes.start(item)
        self.remove(item.task.id)

    def next_soon_at(self) -> Wall | None:
        """When the next task in memory becomes due."""
        soon = self._soon
        while soon and soon[0][2] not in self._held:
            heappop(soon)
        return soon[0][0] if soon else None

    def _ripen(self, now: Wall) -> None:
        soon = self._soon
        while soon and soon[0][0] <= now:
            task_id = heappop(soon)[2]
            item = self._held.get(task_id)
            if item is not None and item.task.due_at <= now:
                self._lanes.put(self._rank(item), item)

    def _put(self, item: Waiting, now: Wall) -> None:
        task = item.task
        self._held[task.id] = item
        if task.due_at <= now:
            self._lanes.put(self._rank(item), item)
        else:
            heappush(self._soon, (task.due_at, item.number, task.id))

    def _rank(self, item: Waiting) -> Rank:
        task = item.task
        return task.due_at - task.submitted.priority * self._aging_ns, item.number
