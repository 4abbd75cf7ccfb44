"""Random histories of a log, each valid, with a naive fold in Python to compare the index with.

The naive fold keeps every task and computes each answer from all of them.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, cast

from hypothesis.strategies import SearchStrategy, composite, integers, lists, sampled_from, tuples

from taskmaster.events.log import Append, Committed, Due, TaskFilter, WaitingTask, Write
from taskmaster.events.split import WHOLE, Missing, Split
from taskmaster.events.types import (
    GROUPS,
    MINUTE,
    NEW,
    AnyEvent,
    AttemptVoided,
    CancelRequested,
    GateName,
    GateProbed,
    GateRampStepped,
    GateRecovered,
    GateTripped,
    Group,
    Mono,
    Retry,
    SeriesEnded,
    SeriesName,
    SeriesPaused,
    SeriesResumed,
    Stream,
    TaskCancelled,
    TaskDied,
    TaskEdited,
    TaskEvent,
    TaskExpired,
    TaskId,
    TaskMoved,
    TaskRescheduled,
    TaskRevived,
    Version,
    Wall,
    gate_stream,
    series_stream,
    task_stream,
)
from taskmaster.model.task import fold
from tests.suites.facts import (
    created,
    failed,
    occurrence,
    opened,
    started,
    submitted,
    succeeded,
    wall,
)

_ALL = TaskFilter()
LIMIT = 7
"""Of the pages that are compared."""
GATES = (GateName("g0"), GateName("g1"))
SERIES = (SeriesName("s0"), SeriesName("s1"))
OPEN = ("waiting", "in_flight", "uncertain")
VERBS = (
    ("submit", 8),
    ("start", 8),
    ("succeed", 4),
    ("fail", 6),
    ("void", 3),
    ("reschedule", 1),
    ("cancel", 2),
    ("request", 1),
    ("expire", 1),
    ("die", 1),
    ("revive", 4),
    ("edit", 2),
    ("move_gate", 3),
    ("series", 3),
    ("mode", 2),
    ("cut", 12),
)
_WEIGHTED = [verb for verb, weight in VERBS for _ in range(weight)]


@dataclass
class Action:
    """A verb, which of the things it fits it is about, and two numbers to vary it."""

    verb: str
    which: int
    one: int
    two: int


History = list[Action]


@composite
def actions(draw: Any) -> History:
    """A history; `cut` ends a batch."""
    action: SearchStrategy[tuple[str, int, int, int]] = tuples(
        sampled_from(_WEIGHTED), integers(0, 30), integers(0, 300), integers(0, 9)
    )
    return [Action(*parts) for parts in draw(lists(action, min_size=30, max_size=90))]


@dataclass
class NaiveTask:
    """What a task is, by the plainest reading of the facts."""

    task_id: str
    gate: GateName
    priority: int
    due: int
    fair_key: str
    order_key: str
    series: SeriesName | None
    expires: int | None
    state: str = "waiting"
    version: int = 1
    number: int = 0
    attempts: int = 0
    key: str = ""
    redriven: bool = False


@dataclass
class NaiveSeries:
    """A series, its state and its tasks, oldest first."""

    gate: GateName
    version: int = 1
    state: str = "active"
    tasks: list[NaiveTask] = field(default_factory=list[NaiveTask])


@dataclass
class NaiveLog:
    """Every task there ever was."""

    tasks: list[NaiveTask] = field(default_factory=list[NaiveTask])
    series: dict[SeriesName, NaiveSeries] = field(default_factory=dict[SeriesName, NaiveSeries])
    gates: dict[GateName, int] = field(default_factory=dict[GateName, int])
    clock: int = 0
    sent_before: Counter[GateName] = field(default_factory=Counter[GateName])
    """Attempts of tasks that have moved: they stay those of the gate where they were."""

    def held(self, task: NaiveTask) -> bool:
        """Whether anything but its gate holds it back."""
        return bool(self.held_by(task))

    def held_by(self, task: NaiveTask) -> str:
        """Whether one submitted before it has its order key, or its series is paused."""
        if task.order_key and any(
            other.number < task.number and other.state in OPEN
            for other in self.tasks
            if (other.gate, other.order_key) == (task.gate, task.order_key)
        ):
            return "order"
        if task.series is None:
            return ""
        series = self.series[task.series]
        return "series" if series.state == "paused" and series.tasks[-1] is task else ""

    def ready(self, gate: GateName) -> list[NaiveTask]:
        """Tasks of a gate that wait and are not held."""
        return [
            task
            for task in self.tasks
            if task.gate == gate and task.state == "waiting" and not self.held(task)
        ]


def play(history: History, writer: Any, reader: Any) -> None:
    """Commit a history batch by batch; after each, compare what can be asked."""
    naive = NaiveLog()
    player = _Player(naive)
    position = 0
    for action in [*history, Action("cut", 0, 0, 0)]:
        if action.verb != "cut":
            player.act(action)
            continue
        batch, streams = player.batch, player.touched
        player.batch, player.touched = [], []
        results = writer.commit(batch)
        for result, task in zip(results, streams, strict=True):
            assert isinstance(result, Committed), result
            if task is not None:
                task.number = result.position
            position = result.position
        assert reader.position() == position
        _compare(naive, reader)


def _compare(naive: NaiveLog, reader: Any) -> None:
    now = naive.clock
    rows = {row.task: row for row in reader.task_rows(_ALL, limit=1_000)}
    assert {
        task.task_id: (task.state, task.version, task.number, task.attempts) for task in naive.tasks
    } == {name: (row.state, row.version, row.number, row.attempts) for name, row in rows.items()}
    assert [naive.held(task) for task in naive.tasks if task.state in OPEN] == [
        rows[TaskId(task.task_id)].held for task in naive.tasks if task.state in OPEN
    ]
    for name, series in naive.series.items():
        latest = series.tasks[-1] if series.tasks else None
        open_task = latest.task_id if latest is not None and latest.state in OPEN else None
        row = reader.series_row(name)
        assert (row.open_task, row.state, row.version) == (open_task, series.state, series.version)
    for gate in naive.gates:
        (counters,) = reader.gate_rows([gate])
        counts = Counter(task.state for task in naive.tasks if task.gate == gate)
        assert {state: count for state, count in counters.counts.items() if count} == counts
        attempts = sum(t.attempts for t in naive.tasks if t.gate == gate)
        assert counters.attempts == attempts + naive.sent_before[gate]
        ready = naive.ready(gate)
        due = [task for task in ready if task.due <= now]
        oldest = min((wall(task.due) for task in due), default=None)
        held = [
            naive.held_by(task)
            for task in naive.tasks
            if task.gate == gate and task.state == "waiting" and task.due <= now
        ]
        assert reader.due([gate], wall(now)) == {
            gate: Due(len(due), oldest, held.count("order"), held.count("series"))
        }
        since = sorted(task.due for task in due)[len(due) // 2] if due else 0
        for split in (WHOLE, Split(wall(since))):
            _compare_page(due, now, split, reader, gate)
    dues = {gate: [task.due for task in naive.ready(gate)] for gate in naive.gates}
    assert reader.next_dues() == {gate: wall(min(due)) for gate, due in dues.items() if due}


def _compare_page(
    due: list[NaiveTask], now: int, split: Split, reader: Any, gate: GateName
) -> None:
    """The best of each group and lane, in turn; the groups share the page."""
    chosen: dict[Group, list[NaiveTask]] = {}
    missing: dict[Group, set[str]] = {}
    for group in GROUPS:
        mine = [
            task for task in due if split.group(wall(task.due), redriven=task.redriven) == group
        ]
        chosen[group], missing[group] = _best(mine, now, limit=LIMIT)
    left = LIMIT
    for number, group in enumerate(sorted(GROUPS, key=lambda one: len(chosen[one]))):
        share = -(-left // (len(GROUPS) - number))
        missing[group] |= {task.fair_key for task in chosen[group][share:]}
        chosen[group] = chosen[group][:share]
        left -= len(chosen[group])

    page = reader.page(gate, wall(now), limit=LIMIT, aging_ns=MINUTE, max_bytes=10**6, split=split)

    for group in GROUPS:
        found = [one.task for one in page.tasks if _group(one, split) == group]
        assert found == [task.task_id for task in chosen[group]], group
        cut = tuple(sorted(missing[group]))
        assert page.missing.get(group, Missing()) == Missing(cut), group
    assert page.complete == (not page.missing)


def _group(one: WaitingTask, split: Split) -> Group:
    task = fold(one.task, cast("tuple[TaskEvent, ...]", one.events))
    return split.group(task.due_at, redriven=task.redriven)


def _best(due: list[NaiveTask], now: int, *, limit: int) -> tuple[list[NaiveTask], set[str]]:
    """Of each lane as many, one by one in turn, and the lanes that have more."""
    alive = [task for task in due if task.expires is None or task.expires > now]
    alive.sort(key=lambda task: (task.due - task.priority * 60, task.number))
    lanes = sorted({task.fair_key for task in due}, key=lambda key: (key == "", key))
    each = -(-limit // len(lanes)) if lanes else limit
    of_lane = {key: [task for task in alive if task.fair_key == key] for key in lanes}
    turns = zip_longest(*(lane[:each] for lane in of_lane.values()))
    best = [task for turn in turns for task in turn if task is not None]
    return best, {key for key, lane in of_lane.items() if len(lane) > each}


class _Player:
    """Turns actions into appends that are valid where they come; what fits nothing is left out."""

    def __init__(self, naive: NaiveLog) -> None:
        self.naive = naive
        self.batch: list[Append] = []
        self.touched: list[NaiveTask | None] = []

    def act(self, action: Action) -> None:
        self.naive.clock += action.one % 40
        getattr(self, f"_{action.verb}")(action)

    @property
    def at(self) -> Wall:
        return wall(self.naive.clock)

    def _append(self, task: NaiveTask | None, *writes: tuple[Stream, int, AnyEvent]) -> None:
        self.batch.append(
            Append(tuple(Write(s, Version(expected), (event,)) for s, expected, event in writes))
        )
        self.touched.append(task)

    def _gate(self, which: int) -> GateName:
        gate = GATES[which % 2]
        if gate not in self.naive.gates:
            self._append(None, (gate_stream(gate), NEW, opened(at=self.at)))
            self.naive.gates[gate] = 1
        return gate

    def _submit(self, action: Action) -> None:
        gate = self._gate(action.which)
        series = None
        if action.two in (0, 1):
            name = SERIES[action.two]
            series = name if self._may_recur(name, gate) else None
        task = NaiveTask(
            task_id=f"t{len(self.naive.tasks)}",
            gate=gate,
            priority=action.two,
            due=self.naive.clock + action.one - 100,
            fair_key=("", "x", "y")[action.two % 3] if gate == GATES[1] else "",
            order_key=f"o{action.which % 3}" if action.which % 5 else "",
            series=series,
            expires=self.naive.clock + action.one if action.one % 3 == 0 else None,
            number=10**9 + len(self.naive.tasks),
            key=f"t{len(self.naive.tasks)}" if action.which % 2 else "",
        )
        self.naive.tasks.append(task)
        if series is not None:
            self.naive.series[series].tasks.append(task)
        event = submitted(
            at=self.at,
            gate=gate,
            due_at=wall(task.due),
            priority=task.priority,
            fair_key=task.fair_key,
            order_key=task.order_key,
            expires_at=None if task.expires is None else wall(task.expires),
            key=task.key,
            labels=(("team", f"{action.two}"),),
            occurrence=None if series is None else occurrence(series),
        )
        self._append(task, (task_stream(TaskId(task.task_id)), NEW, event))

    def _may_recur(self, name: SeriesName, gate: GateName) -> bool:
        series = self.naive.series.get(name)
        if series is None:
            self._append(None, (series_stream(name), NEW, created(at=self.at)))
            self.naive.series[name] = NaiveSeries(gate)
            return True
        return series.gate == gate and all(task.state not in OPEN for task in series.tasks)

    def _pick(self, action: Action, *states: str) -> NaiveTask | None:
        fitting = [task for task in self.naive.tasks if task.state in states]
        return fitting[action.which % len(fitting)] if fitting else None

    def _move(self, task: NaiveTask, state: str, event: AnyEvent) -> None:
        # The task's number is known from its submission, so the append tells nothing of it.
        self._append(None, (task_stream(TaskId(task.task_id)), task.version, event))
        task.version += 1
        task.state = state

    def _start(self, action: Action) -> None:
        if task := self._pick(action, "waiting"):
            event = started(at=self.at, gate=task.gate, tats=(Mono(action.one),))
            self._move(task, "in_flight", event)
            task.attempts += 1

    def _succeed(self, action: Action) -> None:
        if task := self._pick(action, "in_flight"):
            self._move(task, "succeeded", succeeded(at=self.at, gate=task.gate))

    def _fail(self, action: Action) -> None:
        if not (task := self._pick(action, "in_flight")):
            return
        following = ("retry", "retry", "dead", "cancelled", "expired", "uncertain")[action.two % 6]
        event = failed(
            at=self.at,
            gate=task.gate,
            next=following,
            fault=("endpoint", "task", "none")[action.one % 3],
            retry_at=wall(self.naive.clock + action.one) if following == "retry" else None,
            throttle_until=Mono(action.one) if action.one % 4 == 0 else None,
        )
        if following == "retry":
            task.due = self.naive.clock + action.one
        self._move(task, "waiting" if following == "retry" else following, event)

    def _void(self, action: Action) -> None:
        if task := self._pick(action, "in_flight"):
            self._move(task, "waiting", AttemptVoided(at=self.at, gate=task.gate, attempt=1))
            task.attempts -= 1

    def _reschedule(self, action: Action) -> None:
        if task := self._pick(action, "waiting"):
            task.due = self.naive.clock + action.one
            event = TaskRescheduled(at=self.at, gate=task.gate, due_at=wall(task.due))
            self._move(task, "waiting", event)

    def _cancel(self, action: Action) -> None:
        if task := self._pick(action, "waiting", "uncertain"):
            self._move(task, "cancelled", TaskCancelled(at=self.at, gate=task.gate))

    def _request(self, action: Action) -> None:
        if task := self._pick(action, "in_flight"):
            self._move(task, "in_flight", CancelRequested(at=self.at, gate=task.gate))

    def _expire(self, action: Action) -> None:
        if task := self._pick(action, "waiting"):
            self._move(task, "expired", TaskExpired(at=self.at, gate=task.gate))

    def _die(self, action: Action) -> None:
        if task := self._pick(action, "waiting"):
            self._move(task, "dead", TaskDied(at=self.at, gate=task.gate, reason="elapsed"))

    def _revive(self, action: Action) -> None:
        if not (task := self._pick(action, "dead", "uncertain", "expired")):
            return
        task.due, redriven = self.naive.clock + action.one, action.two > 2
        task.redriven = task.redriven or redriven
        event = TaskRevived(at=self.at, gate=task.gate, due_at=wall(task.due), redriven=redriven)
        self._move(task, "waiting", event)

    def _edit(self, action: Action) -> None:
        if not (task := self._pick(action, "waiting")):
            return
        task.priority, task.expires = action.two, None if action.one % 3 else action.one + 1_000
        event = TaskEdited(
            at=self.at,
            gate=task.gate,
            timeout_ns=1,
            retry=Retry(),
            idempotent=True,
            priority=task.priority,
            expires_at=None if task.expires is None else wall(task.expires),
        )
        self._move(task, "waiting", event)

    def _move_gate(self, action: Action) -> None:
        task = self._pick(action, "waiting", "dead")
        if task is None or task.series is not None:
            return
        before, task.gate = task.gate, self._gate(action.one)
        if before != task.gate:
            self.naive.sent_before[before] += task.attempts
            self.naive.sent_before[task.gate] -= task.attempts
            moved = TaskMoved(at=self.at, gate=before, to=task.gate, key=task.key)
            self._move(task, task.state, moved)

    def _series(self, action: Action) -> None:
        name = SERIES[action.which % 2]
        if name not in self.naive.series:
            return
        series = self.naive.series[name]
        state, event = (
            ("paused", SeriesPaused(at=self.at, gate=series.gate)),
            ("active", SeriesResumed(at=self.at, gate=series.gate)),
            ("ended", SeriesEnded(at=self.at, gate=series.gate)),
        )[action.two % 3]
        self._append(None, (series_stream(name), series.version, event))
        series.version += 1
        series.state = state

    def _mode(self, action: Action) -> None:
        gate, at, mono = self._gate(action.which), self.at, Mono(action.one)
        event = (
            GateTripped(at=at, mono=mono, until=mono, trips=1),
            GateProbed(at=at, mono=mono),
            GateRampStepped(at=at, mono=mono, step=0, percent=5, until=mono, why="probe"),
            GateRecovered(at=at, mono=mono),
        )[action.two % 4]
        self._append(None, (gate_stream(gate), self.naive.gates[gate], event))
        self.naive.gates[gate] += 1
