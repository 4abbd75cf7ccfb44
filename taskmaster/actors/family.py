"""Gates with children: what each lets its family do, and whose turn it is when that is scarce.

Rules of residence: plain objects on the loop's thread, so a decision over several gates is one
step. The parent's own actor alone writes its events; what it folds it shows here (`take`), where it
outlives that actor. Those below are counted by what each says of itself, so nothing leaks when one
of them crashes. What is allowed is decided by `model/family.py`.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from taskmaster.actors.pace import Pace
from taskmaster.actors.ports import Clock
from taskmaster.events.log import GateRow
from taskmaster.events.types import SECOND, GateName, Limits, Mono
from taskmaster.model.family import Kinship, Parent, ready_at
from taskmaster.model.gate import Gate, Wait, WaitCause, allowed, paces
from taskmaster.model.limits import Allowed, later_tats, tats_after_crash


class Family:
    """A gate with children, as those below it see it.

    Who was refused waits in `_turns`, a child's gate or the family of one, and is called when its
    turn has come: one at a time, each for as long as it takes to look, and what it has no use for
    is the next one's. So no child starves, whatever waits at the others.
    """

    def __init__(self, name: GateName, clock: Clock, wake: Callable[[], None]) -> None:
        """Shut until its gate's actor has shown itself; `wake` has that actor look."""
        self.name = name
        self.up: Family | None = None
        self.gate: Gate | None = None
        self.tats: tuple[Mono, ...] = ()
        self.pace = Pace(clock, Allowed(Limits()), ())
        self.in_flight = 0
        self.scarce: WaitCause = "slot"
        """What was waited for last."""
        self.is_open = False
        self.is_held = False
        self.heard: list[asyncio.Future[None]] = []
        self._clock = clock
        self._wake = wake
        self._open: dict[GateName, int] = {}
        self._turns: dict[GateName, Callable[[], None] | Family] = {}
        self._called: GateName | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0

    # --- what its gate's actor shows ------------------------------------------------------------

    def take(self, gate: Gate, *, is_open: bool) -> None:
        """The gate as its actor has it; `is_open` unless something of it is being decided.

        Its theoretical arrival times count where its own events have moved them; between those,
        what the family has spent is kept here.
        """
        before = self.gate
        if before is None:
            self.tats = gate.tats
            sent = tats_after_crash(paces(gate), gate.tats, self._clock.mono())
            self.pace.begin(allowed(gate), sent)
        elif gate.version != before.version:
            self.tats = gate.tats
            self.pace.change(allowed(gate))
        self.gate = gate
        is_changed = before is None or gate.version != before.version or self.is_open != is_open
        self.is_open = is_open and not self.is_held
        if is_changed:
            self._tell_heard()
            self.call()

    def hold(self) -> None:
        """Its gate is in quarantine."""
        self.is_held, self.is_open = True, False
        self._tell_heard()

    def shut(self) -> None:
        """Let nothing start until its gate's actor has shown itself again."""
        self.is_open = False

    def release(self) -> None:
        """Its gate's actor will show itself again."""
        self.is_held = False

    def _tell_heard(self) -> None:
        heard, self.heard = self.heard, []
        for future in heard:
            if not future.done():
                future.set_result(None)

    # --- what is open below ---------------------------------------------------------------------

    def count(self, member: GateName, in_flight: int) -> None:
        """So many attempts are open at a gate below, by its own fold."""
        before = self._open.get(member, 0)
        if in_flight == before:
            return
        self._open[member] = in_flight
        self.in_flight += in_flight - before
        if in_flight < before:
            self.call()
            if not self.in_flight and self.gate is not None and self.gate.control == "draining":
                self._wake()

    def seen(self) -> Parent:
        """As a decision below sees it."""
        assert self.gate is not None
        tats = later_tats(self.tats, self.pace.projected())
        return Parent(self.gate, self.in_flight, tats)

    def ready(self) -> Mono | Wait:
        """When one of the family may start, or why none may."""
        if self.is_held:
            return Wait("quarantined", gate=self.name)
        if self.gate is None:
            return Wait("ramp", gate=self.name)
        ready = ready_at(self.seen(), self._clock.mono())
        if isinstance(ready, Wait) or self.is_open:
            return ready
        return Wait("ramp", gate=self.name)  # with which it begins is being decided

    def holds(self) -> Wait:
        """Why one that it refused waits now."""
        ready = self.ready()
        return ready if isinstance(ready, Wait) else Wait(self.scarce, gate=self.name)

    # --- turns ----------------------------------------------------------------------------------

    @property
    def has_waiting(self) -> bool:
        """Whether anyone below waits for it."""
        return bool(self._turns)

    def is_turn_of(self, member: GateName) -> bool:
        """Whether nobody waits before this one."""
        return not self._turns or next(iter(self._turns)) == member

    def join(self, member: GateName, caller: "Callable[[], None] | Family") -> None:
        """Wait here, behind those who do already."""
        self._turns.setdefault(member, caller)

    def leave(self, member: GateName) -> None:
        """Wait here no more."""
        self._turns.pop(member, None)

    def heed(self, wait: Wait) -> None:
        """Look again when this wait is over by itself."""
        if wait.cause in ("slot", "ramp", "token"):
            self.scarce = wait.cause
        now = self._clock.mono()
        until = wait.until
        if until is None or until <= now:
            return
        if self._timer is not None:
            if self._timer_at <= until:
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later((until - now) / SECOND, self._timer_fired)
        self._timer_at = until

    def _timer_fired(self) -> None:
        self._timer = None
        self.call()

    def call(self) -> None:
        """Have the next one look, if something may start here and above."""
        if self._called is not None or not self._turns:
            return
        ready = self.ready()
        if isinstance(ready, Wait):
            self.heed(ready)
        elif self.up is None or self.up.is_free_for(self.name):
            self._call_first()
        else:
            self.up.join(self.name, self)
            self.up.call()

    def is_free_for(self, member: GateName) -> bool:
        """Whether one of that child's family could start now, here and above."""
        if isinstance(self.ready(), Wait) or not self.is_turn_of(member):
            return False
        return self.up is None or self.up.is_free_for(self.name)

    def _call_first(self) -> None:
        while self._turns:
            name, caller = next(iter(self._turns.items()))
            self._called = name
            if not isinstance(caller, Family):
                caller()
                return
            if caller._called is not None:
                return
            ready = caller.ready()
            if not isinstance(ready, Wait) and caller.has_waiting:
                caller._call_first()
                if caller._called is not None:
                    return
            elif isinstance(ready, Wait):
                caller.heed(ready)
            self._called = None
            self.leave(name)  # it comes again when it may

    def looked(self, member: GateName) -> bool:
        """One that was called has looked; False: it was not this one."""
        if self._called != member:
            return False
        self._called = None
        return True


class Families:
    """All families of a shard, and who belongs to which."""

    def __init__(self, clock: Clock) -> None:
        """None so far."""
        self.wake: Callable[[GateName], None] = lambda _gate: None
        """Brings a gate's actor to life, or has it look; set by who can."""
        self._clock = clock
        self._parents: dict[GateName, GateName] = {}
        self._children: dict[GateName, int] = {}
        self._families: dict[GateName, Family] = {}
        self._above: dict[GateName, tuple[Family, ...]] = {}
        self._moved: dict[GateName, Callable[[], None]] = {}

    def begin(self, rows: Iterable[GateRow]) -> None:
        """At the node's start: all kinship, and what is still open from the process before."""
        rows = tuple(rows)
        for row in rows:
            self._link(row.gate, row.settings.parent)
        for row in rows:
            if row.quarantined_until is not None and row.gate in self._families:
                self._families[row.gate].hold()
            elif row.counts.get("in_flight", 0):
                self.count(row.gate, row.counts["in_flight"])

    def link(self, gate: GateName, parent: GateName | None) -> None:
        """From now on `gate` has this parent, or none."""
        is_new = parent is not None and parent not in self._families
        self._link(gate, parent)
        if parent is not None and is_new:
            self.wake(parent)

    def _link(self, gate: GateName, parent: GateName | None) -> None:
        """In the time that the gates alive take, not all that there are: 10,000 begin at once."""
        before = self._parents.get(gate)
        if before == parent:
            return
        kinship = Kinship((), self._parents)
        moved = [one for one in self._moved if one == gate or gate in kinship.above(one)]
        if before is not None:
            del self._parents[gate]
            self._children[before] -= 1
        if parent is not None:
            self._parents[gate] = parent
            self._children[parent] = self._children.get(parent, 0) + 1
            if parent not in self._families:
                family = Family(parent, self._clock, partial(self._wake, parent))
                self._families[parent] = family
                self._set_up(family)
                if parent in self._moved:
                    moved.append(parent)  # it belongs to a family of its own now
        self._above.clear()
        if gate in self._families:
            self._set_up(self._families[gate])
        for one in moved:
            self._moved[one]()

    def _set_up(self, family: Family) -> None:
        above = self._parents.get(family.name)
        up = self._families[above] if above is not None else None
        if up is not family.up:
            if family.up is not None:
                family.up.looked(family.name)
                family.up.leave(family.name)
            family.up = up

    def above(self, gate: GateName) -> tuple[Family, ...]:
        """The families a gate's starts count in, nearest first: its own too where it has one."""
        if not self._families:
            return ()
        found = self._above.get(gate)
        if found is None:
            names = (gate, *Kinship((), self._parents).above(gate))
            found = tuple(self._families[name] for name in names if name in self._families)
            self._above[gate] = found
        return found

    def _wake(self, gate: GateName) -> None:
        self.wake(gate)

    def get(self, gate: GateName) -> Family | None:
        """The family of a gate that has, or had, children."""
        return self._families.get(gate)

    def leads(self, gate: GateName) -> bool:
        """Whether a gate has children."""
        return self._children.get(gate, 0) > 0

    @property
    def parents(self) -> dict[GateName, GateName]:
        """The parents of all gates that have one."""
        return self._parents

    def count(self, gate: GateName, in_flight: int) -> None:
        """So many attempts are open at a gate."""
        for family in self.above(gate):
            family.count(gate, in_flight)

    def when_moved(self, gate: GateName, moved: Callable[[], None] | None) -> None:
        """Have `moved` called when a gate comes to belong to other families."""
        if moved is None:
            self._moved.pop(gate, None)
        else:
            self._moved[gate] = moved

    async def known(self, gate: GateName) -> None:
        """Wait until the gates above have shown themselves, or are left alone."""
        for family in self.above(gate):
            if family.name != gate and family.gate is None and not family.is_held:
                heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                family.heard.append(heard)
                self.wake(family.name)
                await heard
