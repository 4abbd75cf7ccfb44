"""A gate's place among its families: asks them for a start, waits its turn, says what is open.

Rules of residence: belongs to one gate actor, and ends with it. Reserves nothing: a place in a
line is all that a gate has which waits.
"""

from msgspec.structs import replace

from taskmaster.actors.family import Families, Family
from taskmaster.actors.line import GateLine
from taskmaster.actors.pace import Pace
from taskmaster.events.types import AttemptStarted, Mono
from taskmaster.model.family import admit_below, first_cause
from taskmaster.model.gate import Gate, Grant, Wait, admit, stopped_ns


class Kin:
    """One gate actor's dealings with the families above it, and with its own if it has one."""

    def __init__(self, families: Families, line: GateLine) -> None:
        """`line` is how the gate is called."""
        self._families = families
        self._line = line
        self._name = line.gate
        self._above: tuple[Family, ...] = ()
        self._own: Family | None = None
        self._in_flight = -1  # nothing was said yet
        self._was_refused = self._is_in_line = False
        self.look_at: Mono | None = None
        """When what the gate itself waits for is over."""

    def join(self, gate: Gate) -> None:
        """The gate is alive: it belongs where its settings say."""
        self._families.link(self._name, gate.settings.parent)
        self._families.when_moved(self._name, self._moved)
        self._above = self._families.above(self._name)
        self._own = self._families.get(self._name)

    @property
    def paces(self) -> tuple[Pace, ...]:
        """The records of what the families have sent."""
        return tuple(family.pace for family in self._above)

    def _moved(self) -> None:
        self._leave_turns()
        for family in self._above:
            family.count(self._name, 0)
        self._above = self._families.above(self._name)
        self._own = self._families.get(self._name)
        if self._line.pacer is not None:
            self._line.pacer.move(self.paces)
        for family in self._above:
            family.count(self._name, max(0, self._in_flight))

    def part(self) -> None:
        """The actor ends, maybe between being called and looking. What is in flight stays counted
        until the next one says otherwise."""
        self._families.when_moved(self._name, None)
        self._leave_turns()

    # --- a gate with children -------------------------------------------------------------------

    @property
    def family(self) -> int | None:
        """How many attempts are open at it and below; None: it has no children."""
        own = self._own
        return own.in_flight if own is not None and self._families.leads(self._name) else None

    @property
    def has_waiting(self) -> bool:
        """Whether any below wait for it."""
        return self._own is not None and self._own.has_waiting

    def synced(self, gate: Gate) -> Gate:
        """The gate with what its family has spent."""
        own = self._own
        if own is None or own.gate is None or own.tats is gate.tats:
            return gate
        if own.gate.version != gate.version:
            return gate  # its own events have moved them, which is about to be shown
        return replace(gate, tats=own.tats)

    def restored(self, gate: Gate) -> None:
        """The gate is read from the log: its family may know it, and start nothing yet."""
        self.count(gate.in_flight)
        if self._own is not None:
            self._own.take(gate, is_open=False)

    # --- starting -------------------------------------------------------------------------------

    def count(self, in_flight: int) -> None:
        """So many attempts of the gate are open."""
        if in_flight == self._in_flight:
            return
        self._in_flight = in_flight
        for family in self._above:
            family.count(self._name, in_flight)

    def look(self, gate: Gate) -> None:
        """The gate begins to look what may start."""
        self.look_at = None
        self.count(gate.in_flight)

    def ask(self, gate: Gate, now: Mono, sent: tuple[Mono, ...]) -> Grant | Wait:
        """Whether one attempt may start now: the gate itself must agree, and all above it."""
        own = admit(gate, now, sent)
        if isinstance(own, Wait):
            self.look_at = own.until
            return self._first_cause(own, now) if self._above else own
        if not self._above:
            return own
        return self._ask_above(gate, own, now, sent)

    def _first_cause(self, own: Wait, now: Mono) -> Wait:
        for family in self._above:
            if family.is_held:
                return family.holds()
        seen = [family.seen() for family in self._above if family.gate is not None]
        return first_cause(own, seen, now)

    def _ask_above(self, gate: Gate, own: Grant, now: Mono, sent: tuple[Mono, ...]) -> Grant | Wait:
        above = self._above
        for depth, family in enumerate(above):
            if not family.is_open:
                if not family.is_held:
                    self._families.wake(family.name)
                return self._refused(depth, family.holds())
        answer = admit_below(gate, own, [one.seen() for one in above], now, sent)
        if isinstance(answer, Wait):
            depth = next(i for i, one in enumerate(above) if one.name == answer.gate)
            above[depth].heed(answer)
            return self._refused(depth, answer)
        member = self._name
        for depth, family in enumerate(above):
            if not family.is_turn_of(member):
                answer = self._refused(depth, Wait(family.scarce, gate=family.name))
                family.call()
                return answer
            member = family.name
        return answer

    def _refused(self, depth: int, wait: Wait) -> Wait:
        """Wait in turn up to where it was refused."""
        self._was_refused = self._is_in_line = True
        caller = self._line.wake
        member = self._name
        for family in self._above[: depth + 1]:
            family.join(member, caller)
            member, caller = family.name, family
        return wait

    def started(self, started: AttemptStarted, in_flight: int) -> None:
        """One starts: it is spent above, and the next one's turn has come."""
        above = self._above
        if not above:
            return
        self.count(in_flight)
        if self._is_in_line:
            self._leave_turns(is_over=True)
        for family in above:
            if family.name == self._name:
                family.tats = started.tats
            for parent in started.above:
                if parent.gate == family.name:
                    family.tats = parent.tats

    def looked(self, gate: Gate, *, is_open: bool) -> None:
        """All that may start has: a turn that it had no use for is the next one's. `is_open`
        unless something of the gate is being decided."""
        if self._own is not None:
            self._own.take(gate, is_open=is_open)
        if not self._above:
            return
        was_refused, self._was_refused = self._was_refused, False
        if self._is_in_line:
            self._end_call()
            if not was_refused:
                self._leave_turns()
        for family in reversed(self._above):
            family.call()

    def _end_call(self) -> None:
        member = self._name
        for family in self._above:
            if not family.looked(member):
                return
            member = family.name

    def _leave_turns(self, *, is_over: bool = False) -> None:
        """Wait nowhere; a family above waits on while others of it do, unless its turn is over."""
        self._is_in_line = False
        self._end_call()
        member = self._name
        for family in self._above:
            family.leave(member)
            member = family.name
            if family.has_waiting and not is_over:
                break
        if not is_over:
            for family in reversed(self._above):
                family.call()

    # --- time -----------------------------------------------------------------------------------

    def stopped_ns(self, gate: Gate, now: Mono) -> int:
        """How long the gate and those above it were stopped in their lives.

        Where both were at once that counts twice: in favour of the task, and without a record of
        every stop.
        """
        above = (one.gate for one in self._above if one.name != gate.name)
        return stopped_ns(gate, now) + sum(stopped_ns(one, now) for one in above if one is not None)
