"""Which appends of a batch can be stored: versions and idempotency keys.

Rules of residence: pure, and shared by every store. Appends are judged in order, each over what
the ones before it leave behind; one that loses leaves nothing (hard spot 3).
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from taskmaster.events.log import (
    Append,
    AppendResult,
    Committed,
    KeyTaken,
    Recorded,
    VersionConflict,
    Write,
)
from taskmaster.events.rows import KEY_LIFE_NS, KeyEntry, Line, TaskEntry, task_of
from taskmaster.events.types import (
    NEW,
    AnyEvent,
    Position,
    Stream,
    TaskId,
    TaskMoved,
    TaskRevived,
    TaskSubmitted,
    Version,
    Wall,
)


class Stored(Struct):
    """What is committed of that which a batch touches."""

    tails: Mapping[Stream, Version]
    keys: Mapping[Line, KeyEntry]
    tasks: Mapping[TaskId, TaskEntry]
    position: Position


class Verdict(Struct):
    """The answer to each append, and what is to be stored, with its places."""

    results: list[AppendResult]
    facts: list[Recorded]


def lines_of(batch: Iterable[Append], tasks: Mapping[TaskId, TaskEntry]) -> set[Line]:
    """The idempotency keys whose owners decide about the batch."""
    lines: set[Line] = set()
    for append in batch:
        for write in append.writes:
            for event in write.events:
                if isinstance(event, TaskSubmitted) and event.key:
                    lines.add((event.gate, event.key))
                elif isinstance(event, TaskMoved) and event.key:
                    lines.update(((event.gate, event.key), (event.to, event.key)))
                elif isinstance(event, TaskRevived):
                    task = tasks.get(task_of(write.stream))
                    if task is not None and task.key:
                        lines.add((task.gate, task.key))
    return lines


def judge(batch: Sequence[Append], stored: Stored) -> Verdict:
    """Judge appends in order."""
    return _Judge(stored).verdict(batch)


class _Judge:
    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._tails: dict[Stream, Version] = dict(stored.tails)
        self._keys: dict[Line, KeyEntry] = dict(stored.keys)
        self._position = stored.position

    def verdict(self, batch: Sequence[Append]) -> Verdict:
        out = Verdict([], [])
        for append in batch:
            refusal = self._conflict(append.writes) or self._key_taken(append.writes)
            if refusal is None:
                for write in append.writes:
                    self._accept(write, out.facts)
                out.results.append(Committed(self._position))
            else:
                out.results.append(refusal)
        return out

    def _conflict(self, writes: Sequence[Write]) -> VersionConflict | None:
        if len(writes) == 1:
            stream = writes[0].stream
            actual = self._tails.get(stream, NEW)
            return None if actual == writes[0].expected else VersionConflict(stream, actual)
        ahead: dict[Stream, int] = {}  # one append may write a stream twice
        for write in writes:
            stream = write.stream
            actual = self._tails.get(stream, NEW) + ahead.get(stream, 0)
            if actual != write.expected:
                return VersionConflict(stream, self._tails.get(stream, NEW))
            ahead[stream] = ahead.get(stream, 0) + len(write.events)
        return None

    def _key_taken(self, writes: Sequence[Write]) -> KeyTaken | None:
        """Who has a key that the append wants. A key lives 7 days longer than its task (2.6)."""
        wanted: dict[Line, KeyEntry] = {}  # one append may want a key twice
        for write in writes:
            for event in write.events:
                if not isinstance(event, TaskSubmitted | TaskMoved) or not event.key:
                    continue
                line = (event.gate if isinstance(event, TaskSubmitted) else event.to, event.key)
                entry = wanted.get(line) or self._keys.get(line)
                if isinstance(event, TaskMoved) and entry and entry.task == task_of(write.stream):
                    continue  # it comes back to a gate where its key still lives
                if entry is not None and (entry.dead_at is None or entry.dead_at > event.at):
                    same = entry.fingerprint == event.fingerprint
                    return KeyTaken(entry.task, same=same)
                wanted[line] = _key_entry(write.stream, event)
        return None

    def _accept(self, write: Write, facts: list[Recorded]) -> None:
        stream, version = write.stream, write.expected
        for event in write.events:
            version = Version(version + 1)
            self._position = Position(self._position + 1)
            facts.append(Recorded(self._position, stream, version, event))
            if isinstance(event, TaskSubmitted | TaskRevived | TaskMoved):
                self._own_key(stream, event)
        self._tails[stream] = version

    def _own_key(self, stream: Stream, event: AnyEvent) -> None:
        task_id = task_of(stream)
        if isinstance(event, TaskSubmitted):
            if event.key:
                self._keys[event.gate, event.key] = _key_entry(stream, event)
            return
        if isinstance(event, TaskMoved):
            if event.key:
                self._leave_key(task_id, event)
                self._keys[event.to, event.key] = _key_entry(stream, event)
            return
        task = self._stored.tasks.get(task_id)
        if task is None or not task.key:
            return
        entry = self._keys.get((task.gate, task.key))
        if entry is not None and entry.task == task_id:
            self._keys[task.gate, task.key] = replace(entry, dead_at=None)

    def _leave_key(self, task_id: TaskId, event: TaskMoved) -> None:
        """A key that a task leaves behind still answers who submits it again there."""
        entry = self._keys.get((event.gate, event.key))
        if entry is not None and entry.task == task_id:
            dead_at = Wall(event.at + KEY_LIFE_NS)
            self._keys[event.gate, event.key] = replace(entry, dead_at=dead_at)


def _key_entry(stream: Stream, event: TaskSubmitted | TaskMoved) -> KeyEntry:
    gate = event.gate if isinstance(event, TaskSubmitted) else event.to
    return KeyEntry(gate, event.key, task_of(stream), event.fingerprint)
