"""Which rows of the index a batch may touch: what a store reads before it folds.

Rules of residence: pure, and shared by every store. The facts name some rows; others follow from
the rows that were read.
"""

from collections.abc import Iterable

from taskmaster.events.log import Recorded
from taskmaster.events.rows import Line, TaskEntry, gate_of, series_of, task_of
from taskmaster.events.types import GateName, SeriesName, TaskId, TaskSubmitted


class Needs:
    """The rows a batch may touch. Built from the facts, then followed through what was read."""

    def __init__(self, facts: Iterable[Recorded]) -> None:
        """Collect what the facts name."""
        self.tasks: set[TaskId] = set()
        self.gates: set[GateName] = set()
        self.series: set[SeriesName] = set()
        self.lines: dict[Line, int] = {}
        for fact in facts:
            event = fact.event
            if isinstance(event, TaskSubmitted):
                self.gates.add(event.gate)
                if event.order_key:
                    self.lines.setdefault((event.gate, event.order_key), 0)
                if event.occurrence is not None:
                    self.series.add(event.occurrence.series)
            elif fact.stream.startswith("task-"):
                self.tasks.add(task_of(fact.stream))
            elif fact.stream.startswith("gate-"):
                self.gates.add(gate_of(fact.stream))
            elif fact.stream.startswith("series-"):
                self.series.add(series_of(fact.stream))

    def follow(self, tasks: Iterable[TaskEntry]) -> None:
        """Add what follows from stored tasks that the batch touches. `lines` counts them."""
        for task in tasks:
            self.gates.add(task.gate)
            if task.series is not None:
                self.series.add(task.series)
            if task.order_key:
                line = (task.gate, task.order_key)
                self.lines[line] = self.lines.get(line, 0) + 1
