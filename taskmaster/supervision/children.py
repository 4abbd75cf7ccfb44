"""The children of a supervisor, in start order, found by id and by pid in one step.

Rules of residence: keeps and finds; decides nothing. No operation looks through all of them but
those that are about all of them.
"""

from collections.abc import Hashable, Iterator
from typing import Any, Literal

from msgspec.structs import replace

from taskmaster.supervision.messages import Child, Counts, Pid
from taskmaster.supervision.specs import ChildSpec


class Kept:
    """A child's spec and its present incarnation."""

    __slots__ = (
        "args",
        "in_a_row",
        "incarnation",
        "is_restarting",
        "key",
        "last_reason",
        "pid",
        "restarts",
        "since_ns",
        "spec",
        "timer",
    )

    def __init__(self, key: Hashable, spec: ChildSpec, args: tuple[object, ...] = ()) -> None:
        self.key = key
        self.spec = spec
        self.args = args
        self.pid: Pid | None = None
        self.is_restarting = False
        self.incarnation = 0
        self.restarts = 0
        self.in_a_row = 0
        self.since_ns = 0
        self.last_reason: object = None
        self.timer = 0
        """The back-off that its restart waits for, or 0."""

    @property
    def is_temporary(self) -> bool:
        """Whether it is never started again."""
        return self.spec.restart == "temporary"

    def forget_start(self) -> None:
        """Let go of what a start needs: a temporary child is never started again, and there may
        be very many."""
        self.spec = replace(self.spec, start=_never)

    @property
    def state(self) -> Literal["running", "restarting", "stopped"]:
        """Whether it runs, or will."""
        if self.is_restarting:
            return "restarting"
        return "stopped" if self.pid is None else "running"

    def shown(self) -> Child:
        """As `WhichChildren` shows it."""
        return Child(
            id=self.spec.id,
            pid=self.pid,
            state=self.state,
            type=self.spec.type,
            incarnation=self.incarnation,
            restarts=self.restarts,
            since_ns=self.since_ns,
            last_reason=self.last_reason,
        )


class Children:
    """All children of one supervisor."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_key: dict[Hashable, Kept] = {}
        self._by_pid: dict[Pid, Kept] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._by_key.values())

    def __reversed__(self) -> Iterator[Kept]:
        return reversed(self._by_key.values())

    def get(self, key: Hashable) -> Kept | None:
        """The child of that id; for a dynamic one its present pid, or the last while it is being
        restarted."""
        return self._by_key.get(key)

    def of_pid(self, pid: Pid) -> Kept | None:
        """The child that runs as that pid."""
        return self._by_pid.get(pid)

    def add(self, child: Kept) -> None:
        """Put it last."""
        self._by_key[child.key] = child
        if child.pid is not None:
            self._by_pid[child.pid] = child

    def remove(self, child: Kept) -> None:
        """Forget it, and its spec."""
        del self._by_key[child.key]
        if child.pid is not None:
            del self._by_pid[child.pid]

    def runs(self, child: Kept, pid: Pid | None) -> None:
        """It runs as `pid` now, or does not run."""
        if child.pid is not None:
            del self._by_pid[child.pid]
        child.pid = pid
        if pid is not None:
            self._by_pid[pid] = child

    def after(self, child: Kept) -> list[Kept]:
        """Those that were added later, in order."""
        later: list[Kept] = []
        for one in reversed(self._by_key.values()):
            if one is child:
                break
            later.append(one)
        later.reverse()
        return later

    def counts(self) -> Counts:
        """By state and type."""
        active = supervisors = 0
        for child in self._by_key.values():
            active += child.pid is not None
            supervisors += child.spec.type == "supervisor"
        specs = len(self._by_key)
        return Counts(specs, active, supervisors, specs - supervisors)

    def counts_of(self, template: ChildSpec) -> Counts:
        """The same for children of one template, without looking through them."""
        number = len(self._by_key)
        is_supervisor = template.type == "supervisor"
        return Counts(
            specs=1,
            active=len(self._by_pid),
            supervisors=number if is_supervisor else 0,
            workers=0 if is_supervisor else number,
        )


def _never(*_args: Any) -> Any:
    raise AssertionError("a temporary child is not started again")
