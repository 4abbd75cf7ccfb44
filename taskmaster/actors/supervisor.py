"""Supervision: who is started in which order, and what the end of one means for the others.

Rules of residence: knows nothing of gates, tasks or the log. Follows Erlang/OTP: child specs with
a restart type, `one_for_one` and `rest_for_one`, intensity within a sliding period, giving up.
A supervisor that gave up stops, and whoever watches it decides. Time comes in.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct
from pykka import ActorRef

from taskmaster.actors.loop import Down, LoopActor, mail_of, tell, tell_to_stop, watch

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "rest_for_one"]


class ChildSpec(Struct, frozen=True):
    """How a child is started, and when again: always, after a crash, or never."""

    id: str
    start: Callable[[], "ActorRef[Any]"]
    restart: Restart = "permanent"


class Crashed(Struct, frozen=True):
    """A child ended by a bug."""

    path: str
    incarnation: int
    message: str
    error: BaseException


class Restarted(Struct, frozen=True):
    """A child has a new incarnation."""

    path: str
    incarnation: int


class GaveUp(Struct, frozen=True):
    """More restarts than the intensity allows: the supervisor has stopped."""

    path: str
    restarts: int


Incident = Crashed | Restarted | GaveUp


class _ChildDown(Struct, frozen=True):
    id: str
    incarnation: int
    down: Down


class _TryAgain(Struct, frozen=True):
    id: str


class ChildInfo(Struct, frozen=True):
    """A child as the tree shows it."""

    path: str
    kind: str
    state: Literal["running", "restarting", "stopped"]
    incarnation: int
    since_ns: int
    restarts: int
    last_error: str
    inbox: int
    ref: "ActorRef[Any] | None"


class _Child:
    """A child's spec and its present incarnation."""

    __slots__ = ("incarnation", "last_error", "ref", "restarts", "since_ns", "spec")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.ref: ActorRef[Any] | None = None
        self.incarnation = 0
        self.restarts = 0
        self.since_ns = 0
        self.last_error = ""


class Supervisor(LoopActor):
    """Starts its children in order, restarts them by their type, stops them in reverse order."""

    def __init__(
        self,
        path: str,
        children: tuple[ChildSpec, ...],
        *,
        mono_ns: Callable[[], int],
        listener: Callable[[Incident], None],
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period_ns: int = 60_000_000_000,
    ) -> None:
        """Tolerate `intensity` restarts within `period_ns`; `listener` hears of every incident."""
        super().__init__()
        self.path = path
        self._children = {spec.id: _Child(spec) for spec in children}
        self._mono_ns = mono_ns
        self._listener = listener
        self._strategy: Strategy = strategy
        self._intensity = intensity
        self._period_ns = period_ns
        self._restarts: deque[int] = deque()

    def on_start(self) -> None:
        """Start in order; a failing start unwinds what was started and is raised."""
        started: list[_Child] = []
        try:
            for child in self._children.values():
                self._start(child)
                started.append(child)
        except BaseException:
            for child in reversed(started):
                self._end(child)
            raise

    def on_stop(self) -> None:
        """Stop in reverse order."""
        for child in reversed(list(self._children.values())):
            self._end(child)

    def start_child(self, spec: ChildSpec) -> "ActorRef[Any]":
        """Add a child, last in order. On the loop's thread.

        Raises:
            ValueError: a child of that id is there.
            Exception: what its start raised; the spec is not kept then.
        """
        if spec.id in self._children:
            raise ValueError(f"{self.path}/{spec.id} is there")
        child = _Child(spec)
        ref = self._start(child)
        self._children[spec.id] = child
        return ref

    def terminate_child(self, child_id: str) -> None:
        """Stop a child and forget its spec; nothing happens when it is not there."""
        child = self._children.pop(child_id, None)
        if child is not None:
            self._end(child)

    def child(self, child_id: str) -> "ActorRef[Any] | None":
        """The present incarnation of a child."""
        child = self._children.get(child_id)
        return None if child is None else child.ref

    def children(self) -> list[ChildInfo]:
        """The children in start order, as the tree shows them."""
        return [self._info(child) for child in self._children.values()]

    def _info(self, child: _Child) -> ChildInfo:
        ref = child.ref
        alive = ref is not None and ref.is_alive()
        return ChildInfo(
            path=f"{self.path}/{child.spec.id}",
            kind=ref.actor_class.__name__ if ref is not None else "",
            state="running" if alive else "stopped",
            incarnation=child.incarnation,
            since_ns=child.since_ns,
            restarts=child.restarts,
            last_error=child.last_error,
            inbox=mail_of(ref) if ref is not None else 0,
            ref=ref,
        )

    def on_receive(self, message: object) -> None:
        """Hear of an end, or try a failed restart again."""
        match message:
            case _ChildDown(id=child_id, incarnation=incarnation, down=down):
                child = self._children.get(child_id)
                if child is not None and child.incarnation == incarnation:
                    self._ended(child, down)
            case _TryAgain(id=child_id):
                child = self._children.get(child_id)
                if child is not None and child.ref is None:
                    self._restart(child)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    def _ended(self, child: _Child, down: Down) -> None:
        child.ref = None
        if down.error is not None:
            child.last_error = repr(down.error)
            path = f"{self.path}/{child.spec.id}"
            self._listener(Crashed(path, child.incarnation, down.message, down.error))
        match child.spec.restart:
            case "permanent":
                self._restart(child)
            case "transient" if down.error is not None:
                self._restart(child)
            case "transient":
                pass
            case "temporary":
                self._children.pop(child.spec.id, None)

    def _restart(self, child: _Child) -> None:
        """Restart by strategy; a failing start is tried again in a later turn and counts."""
        now = self._mono_ns()
        self._restarts.append(now)
        while self._restarts and self._restarts[0] < now - self._period_ns:
            self._restarts.popleft()
        if len(self._restarts) > self._intensity:
            self._listener(GaveUp(self.path, len(self._restarts)))
            self.stop()
            return
        group = [child]
        if self._strategy == "rest_for_one":
            order = list(self._children.values())
            group = order[order.index(child) :]
            for later in reversed(group[1:]):
                self._end(later)
        for member in group:
            try:
                self._start(member)
            except Exception as error:  # noqa: BLE001  # any failing start is a crash of that child
                member.last_error = repr(error)
                path = f"{self.path}/{member.spec.id}"
                self._listener(Crashed(path, member.incarnation, "start", error))
                tell(self.actor_ref, _TryAgain(member.spec.id))
                return
            member.restarts += 1
            self._listener(Restarted(f"{self.path}/{member.spec.id}", member.incarnation))

    def _start(self, child: _Child) -> "ActorRef[Any]":
        child.incarnation += 1
        child.ref = None
        ref = child.spec.start()
        child.ref = ref
        child.since_ns = self._mono_ns()
        incarnation, child_id = child.incarnation, child.spec.id
        own = self.actor_ref

        def told(down: Down) -> None:
            tell(own, _ChildDown(child_id, incarnation, down))

        watch(ref, told)
        return ref

    def _end(self, child: _Child) -> None:
        """Ask a child to stop; its end is not an incident any more."""
        child.incarnation += 1
        if child.ref is not None and child.ref.is_alive():
            tell_to_stop(child.ref)
        child.ref = None
