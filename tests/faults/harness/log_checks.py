"""What the log, the endpoint and the callers must agree on after any fault.

Independent code: it reads facts with the reader and folds them itself; the model's decisions and
its folds are not asked. Each check names the rule of the semantics that it holds to.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from taskmaster.events.log import Recorded, TaskFilter, TaskRow
from taskmaster.events.reader import LogReader
from taskmaster.events.store import open_reader
from taskmaster.events.types import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    NodeStarted,
    Position,
    TaskSubmitted,
)

CHANGES_NO_STATE = ("CancelRequested", "TaskRescheduled", "TaskEdited", "TaskMoved")


class Attempt(Struct):
    """One start and its end, as the log has them. `number` counts sends: voided ones do not."""

    gate: str
    number: int
    slot_at: int
    position: int
    end: AttemptSucceeded | AttemptFailed | AttemptVoided | None = None

    @property
    def is_voided(self) -> bool:
        return isinstance(self.end, AttemptVoided)

    @property
    def is_interrupted(self) -> bool:
        return isinstance(self.end, AttemptFailed) and self.end.outcome == "interrupted"


class Story(Struct):
    """One task's life. `state` and `due_at` are folded here."""

    task: str
    submitted: TaskSubmitted
    version: int = 1
    state: str = "waiting"
    due_at: int = 0
    attempts: list[Attempt] = []

    @property
    def sends(self) -> int:
        return sum(not attempt.is_voided for attempt in self.attempts)

    @property
    def is_over(self) -> bool:
        return self.state not in ("waiting", "in_flight")


class Log(Struct):
    """The whole log, read once. `lives` are the positions at which processes opened it."""

    records: list[Recorded]
    stories: dict[str, Story]
    lives: list[int]
    anchor_ns: int

    def mono(self, slot_at: int) -> int:
        """An instant of pacing time on the machine's monotonic clock."""
        return slot_at - self.anchor_ns

    def attempts(self, gate: str) -> list[Attempt]:
        """All starts of a gate."""
        found = (a for story in self.stories.values() for a in story.attempts if a.gate == gate)
        return sorted(found, key=lambda attempt: attempt.position)


def read_log(path: Path | str) -> Log:
    """Read a log of a living server or of a dead one, and hold it to the rules of a log."""
    records: list[Recorded] = []
    with open_reader(str(path)) as reader:
        while found := reader.events(after=records[-1].position if records else Position(0)):
            records.extend(found)
    versions: dict[str, int] = defaultdict(int)
    stories: dict[str, Story] = {}
    lives: list[int] = []
    anchors: set[int] = set()
    for place, record in enumerate(records, start=1):
        assert record.position == place, f"position {place} is missing"
        versions[record.stream] += 1
        assert record.version == versions[record.stream], f"a gap in {record.stream}"
        if isinstance(record.event, NodeStarted):
            lives.append(record.position)
            anchors.add(record.event.anchor_ns)
        if record.stream.startswith("task-"):
            _fold(stories, record.stream.removeprefix("task-"), record)
    assert len(anchors) <= 1, f"pacing time was anchored {len(anchors)} times in one boot"
    return Log(records, stories, lives, anchors.pop() if anchors else 0)


def _fold(stories: dict[str, Story], task: str, record: Recorded) -> None:
    event = record.event
    if isinstance(event, TaskSubmitted):
        assert task not in stories, f"{task} was submitted twice"
        stories[task] = Story(task, event, due_at=event.due_at)
        return
    story = stories[task]
    story.version = record.version
    assert story.state not in ("succeeded", "dead"), f"{task} went on after its end: {event}"
    match event:
        case AttemptStarted(gate=gate, slot_at=slot_at):
            assert story.state == "waiting", f"{task} started while {story.state}"
            story.attempts.append(Attempt(gate, story.sends + 1, slot_at, record.position))
            story.state = "in_flight"
        case AttemptSucceeded() | AttemptFailed() | AttemptVoided():
            assert story.state == "in_flight", f"{task} has an end without a start"
            story.attempts[-1].end = event
            _end(story, event)
        case _:
            assert type(event).__name__ in CHANGES_NO_STATE, f"unforeseen: {event}"


def _end(story: Story, event: AttemptSucceeded | AttemptFailed | AttemptVoided) -> None:
    match event:
        case AttemptSucceeded():
            story.state = "succeeded"
        case AttemptVoided():
            story.state = "waiting"
        case AttemptFailed(next=after, retry_at=retry_at):
            story.state = "waiting" if after == "retry" else after
            story.due_at = retry_at or story.due_at


# --- the checks -------------------------------------------------------------------------------


def check_promises(log: Log, promises: Mapping[str, str]) -> None:
    """2.1, 2.6: what was acknowledged is in the log, once, under its key."""
    by_key: dict[str, str] = {}
    for story in log.stories.values():
        key = story.submitted.key
        assert key not in by_key, f"key {key} is stored twice: {by_key[key]}, {story.task}"
        by_key[key] = story.task
    for key, task in promises.items():
        assert by_key.get(key) == task, f"{task} was acknowledged and is not in the log"


def check_interruptions(log: Log) -> None:
    """2.4: an attempt is interrupted only by the end of the process that had started it."""
    lives = log.lives
    ends = {id(r.event): r.position for r in log.records if isinstance(r.event, AttemptFailed)}
    for story in log.stories.values():
        for attempt in story.attempts:
            if attempt.is_interrupted:
                end = ends[id(attempt.end)]
                died = any(attempt.position < life < end for life in lives)
                assert died, f"{story.task} was interrupted by nothing"
                follows = getattr(attempt.end, "next", "")
                expected = "retry" if story.submitted.idempotent else "uncertain"
                assert follows == expected, f"{story.task}: {attempt.end}"


def check_slots(log: Log, gate: str, concurrency: int) -> None:
    """3.2: starts less ends are at most the concurrency, after every event."""
    open_count = 0
    for record in log.records:
        event = record.event
        if isinstance(event, AttemptStarted) and event.gate == gate:
            open_count += 1
            assert open_count <= concurrency, f"{open_count} open at {gate}, {record.position}"
        elif (
            isinstance(event, AttemptSucceeded | AttemptFailed | AttemptVoided)
            and event.gate == gate
        ):
            open_count -= 1


def check_index(path: Path | str, log: Log | None = None) -> None:
    """The index is what the log gives; of a log at rest, each row is also our own fold."""
    with open_reader(str(path)) as reader:
        differences = reader.check_index()
        assert differences == [], differences[:3]
        if log is not None:
            rows = list(_rows(reader))
            assert len(rows) == len(log.stories)
            for row in rows:
                check_row(row, log.stories[row.task])


def check_row(row: TaskRow, story: Story) -> None:
    """A row of the index and our fold."""
    seen = (row.state, row.version, row.attempts, row.due_at, row.gate)
    folded = (story.state, story.version, story.sends, story.due_at, story.submitted.gate)
    assert seen == folded, f"{story.task}: row {seen}, fold {folded}"


def _rows(reader: LogReader) -> Iterable[TaskRow]:
    before: Position | None = None
    while rows := reader.task_rows(TaskFilter(), before=before, limit=1_000):
        yield from rows
        before = rows[-1].number


def unfinished(log: Log, tasks: Collection[str]) -> Sequence[Story]:
    """Which of these, all acknowledged, have not ended."""
    missing = [task for task in tasks if task not in log.stories]
    assert not missing, f"acknowledged and not in the log: {missing[:3]}"
    return [log.stories[task] for task in tasks if not log.stories[task].is_over]
