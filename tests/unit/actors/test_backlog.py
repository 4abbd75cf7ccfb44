"""The backlog in memory against a naive list of all that waits, whatever comes in between."""

import random
from bisect import insort
from collections import deque
from collections.abc import Mapping, Sequence
from sys import getrefcount

import pytest
from msgspec import Struct
from msgspec.structs import replace

from taskmaster.actors.backlog import (
    AHEAD_NS,
    LOW_TASKS,
    MOST_ENTRIES,
    MOST_TASKS,
    REREAD_NS,
    Backlog,
)
from taskmaster.actors.lanes import Waiting
from taskmaster.events.split import Missing, Split
from taskmaster.events.types import GROUPS, MINUTE, SECOND, Group, Position, TaskId, Wall
from taskmaster.model.sharing import Order
from taskmaster.model.task import Task
from tests.unit.model.builders import NOW, waiting_task, wall

AGING_NS = MINUTE
HALF = 500_000
PAGE_LANES = 4
KEYS = (("",), ("", "a", "b"), ("", *"abcdefghijklm"))
"""No lanes, as many as a page has room for, more."""


class Row(Struct):
    """A task as the index has it."""

    task: Task
    number: Position
    waits: bool = True


class PageOf(Struct):
    """What the index answered."""

    items: list[Waiting]
    position: Position
    missing: Mapping[Group, Missing]
    next_due_at: Wall | None


WHOLE: dict[Group, Missing] = {}
PART: dict[Group, Missing] = {"fresh": Missing(cut=("",))}


def rank(task: Task) -> int:
    return task.due_at - task.submitted.priority * AGING_NS


class Index:
    """All that waits, and the log's position: a list, sorted anew for each page."""

    def __init__(self) -> None:
        self.rows: dict[TaskId, Row] = {}
        self.position = Position(0)

    def commit(self) -> Position:
        self.position = Position(self.position + 1)
        return self.position

    def submit(self, due_at: Wall, priority: int, fair_key: str = "") -> Row:
        position = self.commit()
        task_id = TaskId(f"t{position:06d}")
        task = waiting_task(task_id=task_id, due_at=due_at, priority=priority, fair_key=fair_key)
        row = self.rows[task_id] = Row(task, position)
        return row

    def eligible(self, now: Wall) -> list[Row]:
        rows = [row for row in self.rows.values() if row.waits and row.task.due_at <= now]
        return sorted(rows, key=lambda row: (rank(row.task), row.number))

    def page(self, now: Wall, limit: int, ahead_ns: int, split: Split) -> PageOf:
        """As `Reader.page` says, with room for `PAGE_LANES` and `limit` tasks of each group."""
        until = Wall(now + ahead_ns)
        items: list[Waiting] = []
        missing: dict[Group, Missing] = {}
        for group in GROUPS:
            rows = [row for row in self.eligible(until) if group_of(row.task, split) == group]
            lanes: dict[str, list[Row]] = {}
            for row in rows:
                lanes.setdefault(row.task.submitted.fair_key, []).append(row)
            after = split.last.get(group, "")
            circle = sorted(lanes, key=lambda key, after=after: (key <= after, key))
            taken = circle[:PAGE_LANES]
            each = 1 if len(circle) > len(taken) else -(-limit // max(1, len(taken)))
            cut = tuple(key for key in taken if len(lanes[key]) > each)
            items += [Waiting(row.task, row.number) for key in taken for row in lanes[key][:each]]
            if lacks := Missing(cut, len(circle) > len(taken)):
                missing[group] = lacks
        later = [r.task.due_at for r in self.rows.values() if r.waits and r.task.due_at > until]
        return PageOf(items, self.position, missing, min(later, default=None))


def group_of(task: Task, split: Split) -> Group:
    return split.group(task.due_at, redriven=task.redriven)


def take(backlog: Backlog, page: PageOf, now: Wall, ahead_ns: int) -> None:
    """As `actors/page.py` does."""
    backlog.take(
        page.items,
        position=page.position,
        missing=page.missing,
        now=now,
        covered_until=Wall(now if page.missing else now + ahead_ns),
        next_due_at=page.next_due_at,
        next_expiry_at=None,
    )


class Read(Struct):
    """A page on its way: not answered yet, or answered and not here yet."""

    now: Wall
    ahead_ns: int
    limit: int
    split: Split
    page: PageOf | None = None


class GateAndIndex:
    """What a gate does with its backlog, from a seed: starts, ends, commands, pages; notices come
    late and in log order. Each seed does some things more often than others."""

    def __init__(self, seed: int, keys: Sequence[str] = ("",), *, recovers: bool = False) -> None:
        self.rng = rng = random.Random(seed)
        self.redriven = 0.2 if recovers else 0.0
        self.now = NOW
        self.index = Index()
        self.backlog = Backlog(Order(AGING_NS))
        self.notices: deque[tuple[Waiting, Position, bool]] = deque()
        self.running: dict[TaskId, Row] = {}
        self.busy: dict[TaskId, Row] = {}
        self.read: Read | None = None
        self.limit = rng.choice((1, 3, 10, 200))
        self.keys = keys
        for number in range(rng.choice((0, 2, 20, 300))):
            due_at = Wall(NOW - number % 13 * SECOND)
            self.index.submit(due_at, number % 10, keys[number % len(keys)])
        self._steps = (
            self.submit,
            self.end,
            self.answer,
            self.start_lands,
            self.hear,
            self.start,
            self.command,
            self.command_without_effect,
            self.pass_time,
            self.read_on,
            self.read_on,
        )
        if recovers:
            self._steps = (*self._steps, self.recover)
        self._weights = [rng.choice((1, 1, 3, 8)) for _ in self._steps]

    def run(self, steps: int) -> None:
        for step in self.rng.choices(self._steps, self._weights, k=steps):
            step()
            assert len(self.backlog) <= MOST_TASKS + 200

    # --- the log ------------------------------------------------------------------------------

    def submit(self) -> None:
        due_s, priority = (
            self.rng.choice((-30, -1, 0, 0, 0.5, 2, 40)),
            self.rng.choice((0, 0, 5, 9)),
        )
        for _ in range(self.rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 3, 150))):
            key = self.rng.choice(self.keys)
            row = self.index.submit(Wall(self.now + int(due_s * SECOND)), priority, key)
            self.notices.append((Waiting(row.task, row.number), self.index.position, False))

    def submit_overdue(self) -> None:
        for _ in range(self.rng.choice((1, 1, 1, 1, 30))):
            due_at = Wall(self.now - self.rng.randrange(600) * SECOND)
            row = self.index.submit(due_at, self.rng.randrange(10))
            self.notices.append((Waiting(row.task, row.number), self.index.position, False))

    def end_overdue(self) -> None:
        row = self.one_of(self.running)
        if row is not None:
            self.decide(row, self.rng.choice((None, -self.rng.randrange(600))))

    def one_of(self, rows: dict[TaskId, Row]) -> Row | None:
        """One about which no notice is on its way."""
        told = {item.task.id for item, _, _ in self.notices}
        names = sorted(name for name in rows if name not in told)
        return rows[self.rng.choice(names)] if names else None

    def end(self) -> None:
        """An attempt's end is durable; the gate hears of it in its turn."""
        row = self.one_of(self.running)
        if row is not None:
            self.decide(row, self.rng.choice((None, None, -1, 0, 0.2, 1, 70)))

    def answer(self) -> None:
        """A command about a task that waits is durable: cancelled, or moved."""
        row = self.one_of(self.busy)
        if row is not None:
            self.decide(row, self.rng.choice((None, -5, 0, 1, 50)))

    def decide(self, row: Row, due_s: float | None) -> None:
        position = self.index.commit()
        row.waits = due_s is not None
        if due_s is not None:
            is_redriven = row.task.redriven or self.rng.random() < self.redriven
            due_at = Wall(self.now + int(due_s * SECOND))
            row.task = replace(row.task, due_at=due_at, redriven=is_redriven)
        self.notices.append((Waiting(row.task, row.number), position, True))

    def start_lands(self) -> None:
        row = self.one_of(self.running)
        if row is not None and row.waits:
            self.index.commit()
            row.waits = False

    # --- the gate -----------------------------------------------------------------------------

    def hear(self, count: int | None = None) -> None:
        """The journal's replies, in log order."""
        for _ in range(min(count or self.rng.choice((1, 2, 300)), len(self.notices))):
            item, position, is_decided = self.notices.popleft()
            if is_decided:
                self.running.pop(item.task.id, None)
                self.busy.pop(item.task.id, None)
                self.backlog.remove(item.task.id)
            if not is_decided or self.index.rows[item.task.id].waits:
                self.backlog.offer(item, position, self.now)

    def start(self) -> None:
        for _ in range(self.rng.choice((1, 1, 3, 200))):
            item = self.backlog.peek(self.now)
            if item is None:
                return
            assert item.task.due_at <= self.now
            if item.task.id in self.running or item.task.id in self.busy:
                self.backlog.skip(item)
                continue
            self.backlog.pop(item)
            row = self.index.rows[item.task.id]
            assert row.waits, "it has ended"
            assert item.task == row.task, "an old version of the task"
            self.running[item.task.id] = row

    def command(self) -> None:
        """A person's wish about a task that is not in flight."""
        away = {*self.running, *self.busy}
        row = self.one_of({n: r for n, r in self.index.rows.items() if r.waits and n not in away})
        if row is not None:
            self.backlog.remove(row.task.id)
            self.busy[row.task.id] = row

    def recover(self) -> None:
        """A ramp began: what was due before is backlog."""
        self.backlog.set_order(Order(AGING_NS, HALF, self.now))

    def command_without_effect(self) -> None:
        """It waits as before, and the index has it."""
        row = self.one_of(self.busy)
        if row is not None:
            del self.busy[row.task.id]
            self.backlog.lose()

    def pass_time(self) -> None:
        self.now = Wall(self.now + self.rng.choice((1, SECOND // 5, SECOND, 10 * SECOND)))

    def read_on(self) -> None:
        """A page is asked for, answered, or here; between any two of these anything may happen."""
        if self.read is None:
            if self.backlog.needs_page(self.now):
                ahead_ns = self.backlog.ahead_ns()
                split = self.backlog.begin_read((*self.running, *self.busy))
                most = self.limit + len(self.running)
                self.read = Read(self.now, ahead_ns, most, split)
        elif self.read.page is None:
            self.read.page = self.index.page(
                self.read.now, self.read.limit, self.read.ahead_ns, self.read.split
            )
        else:
            take(self.backlog, self.read.page, self.read.now, self.read.ahead_ns)
            self.read = None

    # --- once all is quiet --------------------------------------------------------------------

    def settle(self) -> None:
        """Nothing is on its way any more, neither to the gate nor to the log."""
        self.hear(10**6)
        for row in [*self.running.values(), *self.busy.values()]:
            self.decide(row, None)
        self.hear(10**6)

    def drained(self) -> set[TaskId]:
        """What comes of following the backlog's own wishes to their end."""
        popped: set[TaskId] = set()
        for _ in range(10**5):
            item = self.backlog.peek(self.now)
            if item is not None:
                self.backlog.pop(item)
                assert item.task.id not in popped, "twice"
                assert item.task == self.index.rows[item.task.id].task, "an old version"
                popped.add(item.task.id)
                self.index.commit()
                self.index.rows[item.task.id].waits = False
            elif self.read is not None or self.backlog.needs_page(self.now):
                self.read_on()
            else:
                at = self.backlog.next_look_at(self.now)
                if at is None:
                    return popped
                assert at > self.now
                self.now = at
        raise AssertionError("it asks for pages without end")

    @property
    def waiting(self) -> set[TaskId]:
        return {name for name, row in self.index.rows.items() if row.waits}


@pytest.mark.slow
@pytest.mark.parametrize("first_seed", range(0, 400, 100))
def test_nothing_that_waits_is_ever_lost(first_seed: int) -> None:
    """Semantics 2.3: after any history, popping gives exactly what waits, each once."""
    for seed in range(first_seed, first_seed + 100):
        world = GateAndIndex(seed, KEYS[seed % 3], recovers=seed % 2 == 1)
        world.run((10, 25, 60, 100)[seed % 4])
        world.settle()
        waiting = world.waiting

        assert world.drained() == waiting, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("first_seed", range(0, 120, 60))
def test_what_is_popped_is_the_best_of_all_that_waits(first_seed: int) -> None:
    """Semantics 3.9: rank is `due_at - priority * aging`; while time stands still, all is due,
    no page is wanted and nothing is on its way, the next one is the best of the whole."""
    for seed in range(first_seed, first_seed + 60):
        rng = random.Random(seed)
        world = GateAndIndex(seed)
        for _ in range(40):
            rng.choice((world.start, world.submit_overdue, world.end_overdue))()
            world.hear(10**6)
            for _ in range(3):  # asked for, answered, here; a short page wants the next at once
                world.read_on()
            assert world.read is None
            away = {*world.running, *world.busy}
            rows = [row for row in world.index.eligible(world.now) if row.task.id not in away]
            best = world.backlog.peek(world.now)

            assert (best is None) == (not rows), f"seed {seed}"
            assert best is None or rank(best.task) == rank(rows[0].task), f"seed {seed}"


class MoreThanMemoryHolds(GateAndIndex):
    """All is overdue; beside it a sorted list of all that waits."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.limit = 200
        self.sorted = sorted((rank(row.task), row.number) for row in self.index.rows.values())
        self.is_lost = False

    def come(self) -> None:
        """Submissions, heard of at once."""
        for _ in range(self.rng.choice((1, 30, 900))):
            row = self._one_more()
            self.backlog.offer(Waiting(row.task, row.number), self.index.position, self.now)

    def come_unheard(self) -> None:
        """The next of an order key, say: only that something waits is known."""
        self._one_more()
        self.backlog.lose()
        self.is_lost = True

    def _one_more(self) -> Row:
        due_at = Wall(NOW - self.rng.randrange(600) * SECOND)
        row = self.index.submit(due_at, self.rng.randrange(10))
        insort(self.sorted, (rank(row.task), row.number))
        return row

    def read_to_the_end(self) -> None:
        while self.read is not None or self.backlog.needs_page(self.now):
            self.read_on()

    def start_the_best(self) -> None:
        if self.is_lost:
            self.is_lost = False
            self.now = Wall(self.now + REREAD_NS)
            self.read_to_the_end()
        for _ in range(self.rng.choice((1, 30, 400))):
            if self.backlog.needs_page(self.now) or self.backlog.peek(self.now) is None:
                self.read_to_the_end()
            best = self.backlog.peek(self.now)
            assert (best is None) == (not self.sorted)
            if best is None:
                return
            assert (rank(best.task), best.number) == self.sorted.pop(0)
            self.backlog.pop(best)
            self.index.commit()
            self.index.rows[best.task.id].waits = False


@pytest.mark.slow
def test_the_best_goes_first_though_more_waits_than_memory_holds() -> None:
    """Semantics 3.9, against a sort of all; what was not told of has a second to be found."""
    for seed in range(12):
        world = MoreThanMemoryHolds(seed)
        steps = (world.come, world.come, world.come_unheard, world.read_on, world.start_the_best)
        for step in world.rng.choices(steps, k=40):
            step()
            assert len(world.backlog) <= MOST_TASKS
        world.start_the_best()


# --- one thing at a time ----------------------------------------------------------------------


def item(number: int, *, due: float = 0, priority: int = 0) -> Waiting:
    task = waiting_task(task_id=TaskId(f"t{number:06d}"), due_at=wall(due), priority=priority)
    return Waiting(task, Position(number))


def read_at(
    position: int,
    *items: Waiting,
    complete: bool = True,
    covered: float = 1,
    next_due_at: Wall | None = None,
    next_expiry_at: Wall | None = None,
) -> Backlog:
    backlog = Backlog(Order(AGING_NS))
    backlog.begin_read(())
    backlog.take(
        list(items),
        position=Position(position),
        missing=WHOLE if complete else PART,
        now=NOW,
        covered_until=wall(covered if complete else 0),
        next_due_at=next_due_at,
        next_expiry_at=next_expiry_at,
    )
    return backlog


def popped(backlog: Backlog, now: Wall = NOW) -> list[int]:
    numbers: list[int] = []
    while (best := backlog.peek(now)) is not None:
        backlog.pop(best)
        numbers.append(best.number)
    return numbers


def test_higher_priority_goes_first_and_age_overtakes_it() -> None:
    """Semantics 3.9: one step of priority is a minute."""
    backlog = read_at(
        9,
        item(1, due=-59),
        item(2, due=0, priority=1),
        item(3, due=-61),
        item(4, due=0, priority=9),
        item(5, due=-540),
        item(6, due=-541),
    )

    assert popped(backlog) == [6, 4, 5, 3, 2, 1]


def test_of_one_rank_the_order_of_submission_decides() -> None:
    assert popped(read_at(9, item(3), item(1), item(2))) == [1, 2, 3]


def test_a_backlog_begins_by_wanting_a_page() -> None:
    backlog = Backlog(Order(AGING_NS))

    assert backlog.needs_page(NOW)
    assert backlog.ahead_ns() == AHEAD_NS
    backlog.begin_read(())
    assert not backlog.needs_page(NOW)
    assert backlog.next_look_at(NOW) is None


def test_a_whole_page_wants_nothing_more_until_shortly_before_something_is_due() -> None:
    backlog = read_at(9, item(1), next_due_at=wall(60))

    assert not backlog.needs_page(wall(59.7))
    assert backlog.next_look_at(NOW) == wall(59.8)
    assert backlog.needs_page(wall(59.8))


def test_a_part_of_a_page_wants_the_next_when_little_is_left() -> None:
    backlog = read_at(999, *(item(number) for number in range(LOW_TASKS)), complete=False)
    assert not backlog.needs_page(NOW)
    assert backlog.ahead_ns() == 0

    best = backlog.peek(NOW)
    assert best is not None
    backlog.pop(best)

    assert backlog.needs_page(NOW)


def test_with_a_backlog_what_becomes_due_is_looked_for_once_a_second() -> None:
    items = [item(number) for number in range(LOW_TASKS)]
    backlog = read_at(999, *items, complete=False, next_due_at=wall(0.5))

    assert backlog.next_look_at(NOW) == wall(0.5)
    assert not backlog.needs_page(wall(0.6))
    assert backlog.next_look_at(wall(0.6)) == Wall(NOW + REREAD_NS)
    assert backlog.needs_page(wall(1))


def test_a_deadline_that_passes_wants_a_page() -> None:
    """Semantics 5: expiry is written when a page meets the row."""
    backlog = read_at(9, item(1), next_expiry_at=wall(30))

    assert backlog.next_look_at(NOW) == wall(30)
    assert not backlog.needs_page(wall(29))
    assert backlog.needs_page(wall(30))


def test_a_deadline_that_is_told_wants_a_page_like_one_that_was_read() -> None:
    """Semantics 5: also at a gate that is paused, where nothing is started."""
    backlog = read_at(5, next_expiry_at=wall(60))
    task = waiting_task(task_id=TaskId("t000006"), due_at=NOW, expires_at=wall(30))

    backlog.offer(Waiting(task, Position(6)), Position(6), NOW)
    backlog.offer(item(7), Position(7), NOW)

    assert backlog.next_look_at(NOW) == wall(30)
    assert backlog.needs_page(wall(30))


def test_news_that_the_page_knew_is_ignored() -> None:
    backlog = read_at(5, item(1))

    backlog.offer(item(4), Position(5), NOW)

    assert popped(backlog) == [1]


def test_news_after_the_page_enters_a_whole_one() -> None:
    backlog = read_at(5, item(1))

    backlog.offer(item(6), Position(6), NOW)
    backlog.offer(item(7, due=0.5), Position(7), NOW)

    assert backlog.next_look_at(NOW) == wall(0.485)
    assert popped(backlog) == [1, 6]
    assert popped(backlog, wall(0.5)) == [7]


def test_a_task_that_is_due_soon_may_start_ahead_where_nothing_is_eligible() -> None:
    backlog = read_at(5, item(1, due=0.1), item(2, due=0.12))

    assert backlog.peek_ahead(wall(0.059)) is None
    soon = backlog.peek_ahead(wall(0.06))
    assert soon is not None
    assert soon.number == 1
    backlog.pop(soon)
    assert backlog.peek_ahead(wall(0.06)) is None
    assert backlog.next_look_at(wall(0.06)) == wall(0.105)


def test_nothing_starts_ahead_of_what_is_eligible() -> None:
    backlog = read_at(5, item(1, due=0.02), item(2))

    assert backlog.peek(NOW) is not None
    assert backlog.peek_ahead(NOW) is None


def test_nothing_starts_ahead_of_what_is_in_the_index_alone() -> None:
    backlog = read_at(5, item(1, due=0.02), complete=False)

    assert backlog.peek_ahead(NOW) is None
    assert backlog.next_look_at(NOW) == wall(0.02)


def test_what_did_not_start_ahead_is_looked_at_when_it_is_due() -> None:
    backlog = read_at(5, item(1, due=0.02))

    assert backlog.next_look_at(wall(0.004)) == wall(0.005)
    assert backlog.next_look_at(wall(0.005)) == wall(0.02)


def test_what_is_due_beyond_the_page_is_left_to_the_index() -> None:
    backlog = read_at(5, covered=1, next_due_at=wall(90))

    backlog.offer(item(6, due=60), Position(6), NOW)
    backlog.offer(item(7, due=70), Position(7), NOW)

    assert len(backlog) == 0
    assert backlog.next_look_at(NOW) == wall(59.8)
    assert backlog.needs_page(wall(59.8))


def test_news_enters_a_part_of_a_page_only_before_its_last() -> None:
    items = [item(number, due=-number) for number in range(LOW_TASKS)]
    backlog = read_at(200, *reversed(items), complete=False)

    backlog.offer(item(201, due=-50), Position(201), NOW)
    backlog.offer(item(202, due=0), Position(202), NOW)

    numbers = popped(backlog)
    assert 201 in numbers
    assert 202 not in numbers
    assert backlog.needs_page(NOW)


def test_news_of_a_later_time_is_looked_for_when_it_is_due_though_a_page_is_full() -> None:
    items = [item(number, due=-number) for number in range(LOW_TASKS)]
    backlog = read_at(200, *reversed(items), complete=False)

    backlog.offer(item(201, due=30), Position(201), NOW)

    assert backlog.next_look_at(NOW) == wall(30)
    assert not backlog.needs_page(wall(29))
    assert backlog.needs_page(wall(30))


def test_memory_is_bounded_and_what_does_not_fit_is_read_later() -> None:
    backlog = read_at(0)
    for number in range(1, MOST_TASKS + 2):
        backlog.offer(item(number), Position(number), NOW)

    assert len(backlog) == MOST_TASKS // 2
    assert not backlog.complete
    assert popped(backlog) == list(range(1, MOST_TASKS // 2 + 1))
    assert backlog.needs_page(NOW)


def test_what_came_and_left_again_at_a_gate_that_stands_is_not_kept() -> None:
    backlog = read_at(1, item(1, due=-60))
    gone = [item(number) for number in range(2, 3 * MOST_ENTRIES)]
    known_here_alone = getrefcount(gone[0])

    for one in gone:
        backlog.offer(one, one.number, NOW)
        backlog.remove(one.task.id)

    assert sum(getrefcount(one) > known_here_alone + 1 for one in gone) <= MOST_ENTRIES
    assert backlog.needs_page(NOW)
    assert popped(backlog) == [1]


def test_an_urgent_task_goes_first_though_memory_is_full() -> None:
    """Semantics 3.9."""
    backlog = read_at(0)
    for number in range(1, MOST_TASKS + 100):
        backlog.offer(item(number), Position(number), NOW)

    backlog.offer(item(9_000, priority=9), Position(9_000), NOW)

    assert popped(backlog)[:2] == [9_000, 1]


def test_what_is_left_to_the_index_and_due_later_is_looked_for_when_it_is_due() -> None:
    backlog = read_at(0)
    for number in range(1, MOST_TASKS + 1):
        backlog.offer(item(number), Position(number), NOW)
    backlog.offer(item(9_000, due=0.5), Position(9_000), NOW)

    assert backlog.next_soon_at() is None
    assert backlog.next_look_at(NOW) == wall(0.5)


def test_what_was_lost_is_looked_for_within_a_second_though_much_is_in_memory() -> None:
    """It may be more urgent than all of that."""
    backlog = read_at(0)
    for number in range(1, 501):
        backlog.offer(item(number), Position(number), NOW)

    backlog.lose()

    assert not backlog.needs_page(NOW)
    assert backlog.next_look_at(NOW) == Wall(NOW + REREAD_NS)
    assert backlog.needs_page(Wall(NOW + REREAD_NS))


def test_a_task_that_leaves_while_a_page_is_read_does_not_come_back_with_it() -> None:
    backlog = read_at(5, item(1), item(2))
    backlog.begin_read((TaskId("t000003"),))
    backlog.remove(TaskId("t000001"))

    take(backlog, PageOf([item(1), item(2), item(3)], Position(9), WHOLE, None), NOW, 0)

    assert popped(backlog) == [2]


def test_a_task_that_was_away_comes_back_though_the_page_knew() -> None:
    """Its end was durable before the page was read, and is heard after it."""
    backlog = read_at(5)
    backlog.begin_read((TaskId("t000003"),))
    take(backlog, PageOf([item(3)], Position(9), WHOLE, None), NOW, 0)

    backlog.offer(item(3), Position(8), NOW)

    assert popped(backlog) == [3]


def test_what_was_passed_over_comes_back_when_it_is_told() -> None:
    backlog = read_at(9, item(3))
    best = backlog.peek(NOW)
    assert best is not None

    backlog.skip(best)
    assert backlog.peek(NOW) is None
    backlog.offer(item(3), Position(8), NOW)

    assert popped(backlog) == [3]


def test_a_loss_while_a_page_is_read_makes_that_page_incomplete_too() -> None:
    backlog = read_at(5, item(1))
    backlog.begin_read(())
    backlog.lose()

    take(backlog, PageOf([item(1)], Position(9), WHOLE, None), NOW, 0)

    assert not backlog.complete
    assert backlog.needs_page(NOW)
    backlog.begin_read(())
    take(backlog, PageOf([item(1)], Position(10), WHOLE, None), NOW, 0)
    assert backlog.complete


def test_another_aging_ranks_from_the_next_page_on() -> None:
    """Semantics 3.9: settable."""
    old, urgent = item(1, due=-30), item(2, due=0, priority=1)
    backlog = read_at(5, old, urgent)

    backlog.set_order(Order(AGING_NS))
    assert backlog.complete
    backlog.set_order(Order(SECOND))
    assert backlog.needs_page(NOW)
    backlog.begin_read(())
    take(backlog, PageOf([old, urgent], Position(5), WHOLE, None), NOW, 0)

    assert popped(backlog) == [1, 2]


def test_a_task_that_is_moved_is_popped_at_its_new_place_alone() -> None:
    backlog = read_at(5, item(1), item(2, due=0.5))

    backlog.remove(TaskId("t000001"))
    backlog.offer(item(1, due=0.7), Position(6), NOW)
    backlog.remove(TaskId("t000002"))
    backlog.offer(item(2, due=-5), Position(7), NOW)

    assert popped(backlog) == [2]
    assert popped(backlog, wall(0.6)) == []
    assert popped(backlog, wall(0.7)) == [1]


def test_of_those_probed_least_the_best_is_the_next_probe() -> None:
    """Semantics 4.3: the most urgent one may be the one that the endpoint falls over."""
    backlog = read_at(0)
    poison = replace(item(1, priority=9), task=replace(item(1, priority=9).task, probes=2))
    for waiting in (poison, item(2), item(3)):
        backlog.offer(waiting, Position(waiting.number), NOW)
    assert backlog.peek(NOW) is poison

    order: list[int] = []
    while (waiting := backlog.peek_least_probed(NOW)) is not None:
        order.append(waiting.number)
        backlog.pop(waiting)

    assert order == [2, 3, 1]
    assert backlog.peek(NOW) is None


def test_a_page_that_bodies_keep_short_is_read_again_once_something_has_left() -> None:
    """Else a gate that may not start would read the same page over and over."""
    backlog = Backlog(Order(AGING_NS))
    backlog.begin_read(())
    few = [item(number) for number in range(1, 9)]
    backlog.take(
        few,
        position=Position(100),
        missing=PART,
        now=NOW,
        covered_until=NOW,
        next_due_at=None,
        next_expiry_at=None,
    )
    asked = [backlog.needs_page(NOW)]

    while (waiting := backlog.peek(NOW)) is not None:
        backlog.pop(waiting)
        asked.append(backlog.needs_page(NOW))

    assert asked == [False] + [True] * 8


def test_fresh_work_and_the_backlog_of_an_outage_take_turns() -> None:
    """Semantics 4.8: by half; the backlog has the rest, and what fresh work leaves."""
    backlog = Backlog(Order(AGING_NS, HALF, wall(0)))
    backlog.begin_read(())
    items = [item(number, due=-60) for number in range(1, 6)]
    items += [item(number, due=0) for number in range(11, 13)]
    take(backlog, PageOf(items, Position(99), WHOLE, None), NOW, 0)

    assert popped(backlog) == [11, 1, 12, 2, 3, 4, 5]


def test_what_was_redriven_starts_when_nothing_else_waits() -> None:
    """Semantics 4.8, though it has waited longest."""
    first = item(1, due=-60)
    redriven = Waiting(replace(first.task, redriven=True), first.number)

    assert popped(read_at(9, redriven, item(2), item(3))) == [2, 3, 1]


def test_another_outage_splits_from_the_next_page_on() -> None:
    backlog = read_at(5, item(1, due=-60), item(2, due=0))

    backlog.set_order(Order(AGING_NS, HALF, wall(-1)))
    assert backlog.needs_page(NOW)
    assert backlog.begin_read(()).fresh_since == wall(-1)
    take(
        backlog,
        PageOf([item(1, due=-60), item(2, due=0)], Position(5), WHOLE, None),
        NOW,
        0,
    )

    assert popped(backlog) == [2, 1]
