"""Which rows of the index a batch may touch: what a store reads before it folds.

Rules of residence: pure, and shared by every store. The facts name some rows; others follow from
the rows that were read.
"""

from collections.abc import Iterable

from taskmaster.events.log import Recorded
from taskmaster.events.rows import Line, TaskEntry, gate_of, series_of, task_of
from taskmaster.events.types import (
    AttemptStarted,
    GateName,
    SeriesName,
    TaskId,
    TaskMoved,
    TaskSubmitted,
)


class Needs:
    """The rows a batch may touch. Built from the facts, then followed through what was read."""

    def __init__(self, facts: Iterable[Recorded]) -> None:
        """Collect what the facts name."""
        self.tasks: set[TaskId] = set()
        self.gates: set[GateName] = set()
        self.series: set[SeriesName] = set()
        self.lines: dict[Line, int] = {}
        self._order_keys: dict[TaskId, str] = {}
        self._moves: dict[TaskId, list[GateName]] = {}
        for fact in facts:
            event = fact.event
            if isinstance(event, TaskSubmitted):
                self.gates.add(event.gate)
                if event.order_key:
                    self.lines.setdefault((event.gate, event.order_key), 0)
                    self._order_keys[task_of(fact.stream)] = event.order_key
                if event.occurrence is not None:
                    self.series.add(event.occurrence.series)
            elif fact.stream.startswith("task-"):
                self.tasks.add(task_of(fact.stream))
                if isinstance(event, TaskMoved):
                    self._moved(task_of(fact.stream), event)
                elif isinstance(event, AttemptStarted):
                    self.gates.update(parent.gate for parent in event.above)
            elif fact.stream.startswith("gate-"):
                self.gates.add(gate_of(fact.stream))
            elif fact.stream.startswith("series-"):
                self.series.add(series_of(fact.stream))

    def _moved(self, task: TaskId, event: TaskMoved) -> None:
        self.gates.add(event.to)
        if task in self._order_keys:
            self.lines.setdefault((event.to, self._order_keys[task]), 0)
        else:
            self._moves.setdefault(task, []).append(event.to)

    def follow(self, tasks: Iterable[TaskEntry]) -> None:
        """Add what follows from stored tasks that the batch touches. `lines` counts them."""
        for task in tasks:
            self.gates.add(task.gate)
            if task.series is not None:
                self.series.add(task.series)
            if task.order_key:
                line = (task.gate, task.order_key)
                self.lines[line] = self.lines.get(line, 0) + 1
                for gate in self._moves.get(task.id, ()):
                    line = (gate, task.order_key)
                    self.lines[line] = self.lines.get(line, 0) + 1
