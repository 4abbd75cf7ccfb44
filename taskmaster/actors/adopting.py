"""What a gate's actor takes over from the incarnation before it: attempts in flight.

Rules of residence: compares what the log had at the snapshot with the flights that are left, so
that each is counted once and each that nobody carries any more is named. Decides no outcome.
"""

from msgspec import Struct

from taskmaster.actors.line import Flight
from taskmaster.actors.messages import TaskCrashed
from taskmaster.actors.pacer import Pacer
from taskmaster.events.log import GateSnapshot, OpenAttempt
from taskmaster.events.types import TaskId
from taskmaster.model.gate import Gate, evolve_attempt


class Adopted(Struct, frozen=True):
    """The gate with its attempts; those whose actor had crashed, and those of a process before."""

    gate: Gate
    crashed: tuple[TaskCrashed, ...]
    interrupted: tuple[OpenAttempt, ...]


def adopt(
    gate: Gate, snapshot: GateSnapshot, running: dict[TaskId, Flight], pacer: Pacer
) -> Adopted:
    """Take over `running`, of which only what still has an actor is left, and what it held.

    A commit may have been in the snapshot before the actor that asked for it heard of it.
    """
    open_now = {attempt.task: attempt for attempt in snapshot.traffic.open}
    crashed: list[TaskCrashed] = []
    for task_id, flight in list(running.items()):
        started, was_open = flight.started, open_now.get(task_id)
        is_told = flight.is_over and not flight.error  # to the life before, or it is in the stash
        if flight.committed_at:
            is_counted = flight.committed_at <= snapshot.position
        else:
            is_counted = was_open is not None and was_open.attempt == started.attempt
        if not is_counted and not (is_told and not flight.committed_at):
            gate = evolve_attempt(gate, started)
        if flight.is_over:
            del running[task_id]
        if flight.error:
            open_now.pop(task_id, None)
            crashed.append(TaskCrashed(task_id, started, flight.number, flight.error))
        elif not is_told:
            open_now.pop(task_id, None)
            if not flight.is_paced or flight.held is not None:
                pacer.granted()
    return Adopted(gate, tuple(crashed), tuple(open_now.values()))


def hold_again(running: dict[TaskId, Flight], pacer: Pacer) -> None:
    """Give the pacer what it is to let go, once all that was granted is counted."""
    for flight in list(running.values()):
        held, flight.held = flight.held, None
        if held is not None:
            pacer.hold(held)
