"""The bounded part of a gate's eligible tasks that lies in memory.

Rules of residence: knows ranks, due times and positions; reads nothing itself. The index holds all
that waits; this holds the best page of it, kept exact by the notices of what was committed since:

- a notice at or before the page's position is in the page already;
- a later one enters only if nothing of its group and lane is missing or it ranks before what is;
  where it is one too many, the half whose turn comes last is left to the index;
- groups take turns (`model/sharing.py`), each has lanes of its own; a page and what comes until the
  next are split by one instant, though the gate may have a newer one by then;
- where something unknown began to wait (`lose`), the page is read again soon;
- while a page is being read, what leaves and what comes is remembered and applied on top of it.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from itertools import zip_longest

from taskmaster.actors.lanes import NOTHING, Lanes, Waiting
from taskmaster.events.split import Missing, Split
from taskmaster.events.types import (
    GROUPS,
    MILLISECOND,
    SECOND,
    Group,
    Position,
    TaskId,
    Wall,
)
from taskmaster.model.ahead import LEAST_AHEAD_NS, may_start_ahead
from taskmaster.model.sharing import Order, Rank, next_turn

LOW_TASKS = 100
"""A new page is read when fewer than this are left and more may be in the index."""
MOST_TASKS = 2_000
"""Beyond this the better half stays in memory: a sort for each thousand tasks that come."""
MOST_ENTRIES = 2 * MOST_TASKS
"""So many may lie in a group with those that left: a gate that stands never comes across them."""
AHEAD_NS = SECOND
"""A page of a gate without backlog also holds what becomes due within this time."""
PAGE_AHEAD_NS = 200 * MILLISECOND
"""So long before what is not in memory becomes due it is read, in a gate without backlog."""
REREAD_NS = SECOND
"""With a backlog, tasks that become due or were lost are looked for at most this often."""
LOW_SHARE = 4
"""A group that shares the page is short with this part of what the page gave it."""
NONE = Missing()


class Backlog:
    """Eligible tasks by group, lane and rank, and soon-due ones by due time. Not for more than one
    thread."""

    def __init__(self, order: Order) -> None:
        """Hold nothing yet."""
        self.order = order
        self._split = self._read_split = Split(order.fresh_since)
        self._credit = 0
        self._peeked: tuple[Waiting, int] | None = None
        self._held: dict[TaskId, Waiting] = {}
        self._lanes: dict[Group, Lanes] = {
            group: Lanes(self._held, "", more=True) for group in GROUPS
        }
        self._soon: list[tuple[Wall, Position, TaskId]] = []
        self._position = Position(0)
        self._read_at = Wall(0)
        self.complete = False
        self.covered_until = Wall(0)
        self.next_due_at: Wall | None = None
        self.next_expiry_at: Wall | None = None
        self._reading = False
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

    def set_order(self, order: Order) -> None:
        """Rank and split otherwise from the next page on; what is in memory is read again."""
        before, self.order = self.order, order
        if (before.aging_ns, before.fresh_since) != (order.aging_ns, order.fresh_since):
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
        if due is not None and self.complete and due <= now + PAGE_AHEAD_NS:
            return True
        is_due = due is not None and due <= now
        return (is_due or self._is_stale) and now >= self._read_at + REREAD_NS

    def _runs_low(self) -> bool:
        groups = self._lanes.values()
        return sum(map(len, groups)) < LOW_TASKS or any(map(_runs_low, groups))

    def next_look_at(self, now: Wall) -> Wall | None:
        """When to look again by time alone; None while a page is on its way, which comes back."""
        soon = self._next_soon_look_at(now)
        if self._reading:
            return soon
        due = self.next_due_at
        if due is not None and self.complete:
            due = Wall(due - PAGE_AHEAD_NS)
        looks = [at for at in (soon, due, self.next_expiry_at) if at is not None]
        if self._is_stale:
            looks.append(Wall(self._read_at + REREAD_NS))
        if not looks:
            return None
        at = min(looks)
        return at if at > now else Wall(max(now + 1, self._read_at + REREAD_NS))

    def _next_soon_look_at(self, now: Wall) -> Wall | None:
        """Ahead of the next due time, or at it where nothing could be done ahead."""
        soon = self.next_soon_at()
        if soon is None or not self.complete or soon - LEAST_AHEAD_NS <= now:
            return soon
        return Wall(soon - LEAST_AHEAD_NS)

    def ahead_ns(self) -> int:
        """How far ahead of now the next page should look."""
        return AHEAD_NS if self.complete or not self._position else 0

    def begin_read(self, away: Iterable[TaskId]) -> Split:
        """A page is asked for, split so; remember what changes until it comes. Tasks that are
        `away`, in flight or being changed, may still wait in it; when they wait again, they are
        told."""
        self._reading, self._has_left = True, False
        last: dict[Group, str] = {group: lanes.last for group, lanes in self._lanes.items()}
        self._read_split = Split(self.order.fresh_since, last=last)
        self._left = set(away)
        self._came.clear()
        return self._read_split

    def take(
        self,
        waiting: list[Waiting],
        *,
        position: Position,
        missing: Mapping[Group, Missing],
        now: Wall,
        covered_until: Wall,
        next_due_at: Wall | None,
        next_expiry_at: Wall | None,
    ) -> None:
        """Replace what is in memory by a page read at `position`."""
        self._reading = False
        self._held.clear()
        self._split = self._read_split
        self._lanes = {
            group: self._begun(group, lanes.last, missing.get(group, NONE))
            for group, lanes in self._lanes.items()
        }
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
        ends = {(self._group(i), i.task.submitted.fair_key): self._rank(i) for i in waiting}
        for group, lacks in missing.items():
            lanes = self._lanes[group]
            lanes.page_size = len(lanes)
            for key in lacks.cut:
                lanes.cut(key, ends.get((group, key), NOTHING))
        came, self._came = self._came, {}
        self._skipped, self._left = self._left, set()
        for item, at in came.values():
            self.offer(item, at, now)
        if self._lost:
            self.lose()

    def _begun(self, group: Group, last: str, missing: Missing) -> Lanes:
        """The lanes of a page that began after the lane whose turn it then was."""
        after = self._read_split.last[group]
        lanes = Lanes(self._held, after, more=missing.more_lanes)
        if last != after:
            lanes.go_on_after(last)
        return lanes

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
        lanes = self._lanes[self._group(item)]
        missing_from = lanes.missing_from(task.submitted.fair_key)
        if is_far if missing_from is None else self._rank(item) >= missing_from:
            if task.due_at > now:
                self._note_due(task.due_at)
            return
        self._put(item, now)
        if len(self._held) > MOST_TASKS or len(lanes) > MOST_ENTRIES:
            self._keep_the_best(now)

    def lose(self) -> None:
        """Something began to wait that is not at hand: memory is no longer complete, nor will
        the page be that is being read."""
        self._lost = self._reading
        self._is_stale = self._has_left = True
        self.complete = False

    def _keep_the_best(self, now: Wall) -> None:
        """Leave the half of each group whose turn comes last to the index."""
        turns: dict[Group, list[Waiting]] = {group: self._by_turn(group) for group in GROUPS}
        self._held.clear()
        self._soon.clear()
        self.complete = False
        for group, by_turn in turns.items():
            half = max(1, len(by_turn) // 2)
            self._keep(group, by_turn[:half], by_turn[half:], now)

    def _keep(self, group: Group, kept: list[Waiting], left: list[Waiting], now: Wall) -> None:
        before, keys = self._lanes[group], {item.task.submitted.fair_key for item in kept}
        more = any(item.task.submitted.fair_key not in keys for item in left)
        lanes = self._lanes[group] = Lanes(self._held, before.last, more=before.more or more)
        for item in kept:
            self._put(item, now)
        for key in keys:
            missing_from = before.missing_from(key)
            if missing_from is not None:
                lanes.cut(key, missing_from)
        for item in left:
            if item.task.submitted.fair_key in keys:
                lanes.cut(item.task.submitted.fair_key, self._rank(item))
            if item.task.due_at > now:
                self._note_due(item.task.due_at)

    def _by_turn(self, group: Group) -> list[Waiting]:
        """A group in memory as it would start: the best of each lane, then the next best."""
        lanes: dict[str, list[Waiting]] = {}
        held = (item for item in self._held.values() if self._group(item) == group)
        for item in sorted(held, key=self._rank):
            lanes.setdefault(item.task.submitted.fair_key, []).append(item)
        circle = [lanes[key] for key in sorted(lanes, key=self._lanes[group].distance)]
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
        """Of the group whose turn it is the best eligible task of the lane whose turn it is."""
        self._ripen(now)
        heads = self._heads()
        ranks: dict[Group, Rank] = {group: self._rank(item) for group, item in heads.items()}
        turn = next_turn(ranks, self._credit, self.order.share)
        if turn is None:
            return None
        item = heads[turn.group]
        self._peeked = item, turn.credit
        return item

    def peek_oldest(self, now: Wall) -> Waiting | None:
        """Of those that are next in their groups the one that has been due longest."""
        self._ripen(now)
        return min(self._heads().values(), key=lambda item: item.task.due_at, default=None)

    def peek_ahead(self, now: Wall) -> Waiting | None:
        """The next task to become due, where nothing is eligible and it may start ahead."""
        is_eligible = any(map(len, self._lanes.values()))
        if is_eligible or not self.complete or self.next_soon_at() is None:
            return None
        item = self._held[self._soon[0][2]]
        return item if may_start_ahead(item.task, now) else None

    def peek_least_probed(self, now: Wall) -> Waiting | None:
        """Of the eligible tasks in memory the best of those probed least (semantics 4.3): one
        that always fails keeps no gate from recovering."""
        self._ripen(now)
        held = (entry for lanes in self._lanes.values() for entry in lanes.entries())
        return min(held, key=lambda e: (e[2].task.probes, e[:2]), default=(None, None, None))[2]

    def pop(self, item: Waiting) -> None:
        """Take out what was peeked at, for it starts: the turn of its lane is over."""
        peeked, self._peeked = self._peeked, None
        if peeked is not None and peeked[0] is item:  # no turn is used up by a probe
            self._credit = peeked[1]
        self._lanes[self._group(item)].start(item)
        self.remove(item.task.id)

    def _heads(self) -> dict[Group, Waiting]:
        heads: dict[Group, Waiting] = {}
        for group, lanes in self._lanes.items():
            if lanes.may_have and (head := lanes.head()) is not None:
                heads[group] = head
        return heads

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
                self._lanes[self._group(item)].put(self._rank(item), item)

    def _put(self, item: Waiting, now: Wall) -> None:
        task = item.task
        self._held[task.id] = item
        if task.due_at <= now:
            self._lanes[self._group(item)].put(self._rank(item), item)
        else:
            heappush(self._soon, (task.due_at, item.number, task.id))

    def _rank(self, item: Waiting) -> Rank:
        task = item.task
        return task.due_at - task.submitted.priority * self.order.aging_ns, item.number

    def _group(self, item: Waiting) -> Group:
        task = item.task
        return self._split.group(task.due_at, redriven=task.redriven)


def _runs_low(lanes: Lanes) -> bool:
    """Whether a page should be read before what is in memory has started."""
    low = min(LOW_TASKS, -(-lanes.page_size // LOW_SHARE))
    lacks_lanes = lanes.more and lanes.ahead() < low
    return lanes.is_short or lacks_lanes or (lanes.is_cut and len(lanes) < low)
