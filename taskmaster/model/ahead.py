"""Which starts may be granted before their task is due, so that no commit delays an arrival.

Rules of residence: pure. A start that is granted ahead is committed early and sent at the due time,
never before; what it takes early, a slot, it takes from nobody.
"""

from taskmaster.events.types import MILLISECOND, Wall
from taskmaster.model.gate import Gate, Open, learned_limit
from taskmaster.model.task import Task

MOST_AHEAD_NS = 40 * MILLISECOND
LEAST_AHEAD_NS = 15 * MILLISECOND
"""A gate looks ahead so long before a due time, and takes along what is due soon after it: 25 of
40 ms, so that it looks at most 40 times a second, however many tasks there are."""


def may_go_ahead(gate: Gate) -> bool:
    """Whether a gate that has nothing eligible may grant a start ahead.

    Not where a slot may be wanted sooner by a task that is not here yet, nor while an outage lasts,
    where the next answer may change what the gate may do. Gates with a rate or a parent decide
    when a task is due: nothing is reserved while it waits (semantics 3.3).
    """
    return (
        isinstance(gate.mode, Open)
        and not gate.settings.parent
        and 2 * (gate.in_flight + 1) <= learned_limit(gate)
    )


def may_start_ahead(task: Task, now: Wall) -> bool:
    """Whether a task is due soon enough. An occurrence starts at its nominal time and not before:
    from its start follows which of the nominal times were missed (semantics 6.2)."""
    return task.due_at <= now + MOST_AHEAD_NS and task.occurrence is None
