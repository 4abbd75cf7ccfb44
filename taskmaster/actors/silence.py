"""A time in which a gate could not start anything, though its mode says nothing of it.

Rules of residence: notes that the process was down or that the wall clock jumped, and has the
model decide the ramp that follows (semantics 4.5). The gate starts nothing until that is decided,
and it is decided once the gate knows what waits.
"""

from taskmaster.actors.ports import Clock
from taskmaster.events.types import MINUTE, GateEvent, Mono, RampCause, Wall
from taskmaster.model.gate import Gate
from taskmaster.model.recovery import ramp_after_stop

JUMP_NS = MINUTE
"""A wall clock that jumps ahead by more counts as an outage (semantics 3.7)."""


class Silence:
    """Belongs to one gate; it lives on while the gate's actor is restarted."""

    def __init__(
        self,
        clock: Clock,
        stopped_ns: int = 0,
        why: RampCause = "process_down",
        *,
        below: bool = False,
    ) -> None:
        """`stopped_ns` is how long the gate's work has been missed, 0 if it was not; `below`: that
        of a gate below it."""
        self._clock = clock
        self._stopped_ns = stopped_ns
        self._why: RampCause = why
        self._below = below
        self._offset = clock.wall() - clock.mono()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to decide."""
        return self._stopped_ns == 0

    def notice(self, wall: Wall, mono: Mono) -> bool:
        """Compare both clocks; True when the wall clock jumped ahead and its work is due at
        once."""
        offset = wall - mono
        jumped_ns, self._offset = offset - self._offset, offset
        if jumped_ns <= JUMP_NS:
            return False
        self._stopped_ns, self._why = jumped_ns, "clock_jump"
        return True

    def end(self, gate: Gate, *, backlog: bool, late_ns: int) -> tuple[GateEvent, ...]:
        """The ramp with which `gate` goes on, if it does; `late_ns` is how long its oldest
        eligible task has been due."""
        stopped_ns, self._stopped_ns = max(self._stopped_ns, late_ns), 0
        if gate.control != "running":
            return ()  # resuming reckons from the beginning of the pause
        return ramp_after_stop(
            gate,
            self._clock.mono(),
            self._clock.wall(),
            backlog=backlog or self._below,
            why=self._why,
            stopped_ns=stopped_ns,
        )
