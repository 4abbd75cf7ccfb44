"""Which of a gate's tasks starts next, if it may.

Rules of residence: puts what the model says of the gate to what is in memory; starts nothing.
"""

from taskmaster.actors.backlog import Backlog
from taskmaster.actors.lanes import Waiting
from taskmaster.events.types import Wall
from taskmaster.model.ahead import may_go_ahead
from taskmaster.model.gate import Gate, Probing


def next_waiting(gate: Gate, backlog: Backlog, now: Wall, *, is_free: bool) -> Waiting | None:
    """The eligible task whose turn it is; where there is none, the one that is due next, if its
    start may be committed before. `is_free`: nothing but the gate itself bounds it."""
    if isinstance(gate.mode, Probing):
        return backlog.peek_least_probed(now)
    item = backlog.peek(now)
    if item is not None or not is_free or not may_go_ahead(gate):
        return item
    return backlog.peek_ahead(now)
