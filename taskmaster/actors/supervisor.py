"""TaskMaster's use of supervision: parts of the tree have paths, and what befalls them is told.

Rules of residence: knows nothing of gates, tasks or the log; decides nothing, for
`taskmaster.supervision` does. A supervisor that gave up ends, and whoever watches it decides: a
unit whose end nobody restarts is in quarantine.
"""

from collections.abc import Callable
from typing import Any, Literal, cast

from msgspec import Struct
from pykka import ActorRef

from taskmaster.supervision import ChildSpec, Crash, World, handled_by, mail_of
from taskmaster.supervision import Supervisor as OtpSupervisor
from taskmaster.supervision import messages as reports
from taskmaster.supervision.children import Kept
from taskmaster.supervision.specs import Strategy


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


class NotAnError(Exception):  # stands for a reason
    """An end that is an incident though nothing was raised: a kill, a start that took too long."""


PlaceState = Literal["running", "restarting", "stopped", "quarantined"]


class Place(Struct, frozen=True):
    """A place in the tree. `since_ns` is of the supervisors' clock; `in_period` counts the restarts
    that its supervisor still holds against it; `handled` counts messages of this incarnation;
    `until_ns` is when a quarantine ends, on the wall's clock."""

    path: str
    kind: str
    state: PlaceState
    since_ns: int = 0
    incarnation: int = 1
    restarts: int = 0
    in_period: int = 0
    last_error: str = ""
    inbox: int = 0
    handled: int = 0
    until_ns: int | None = None


class Supervisor(OtpSupervisor):
    """A supervisor with a path, whose children are shown and whose incidents are heard."""

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
        super().__init__(
            children,
            world=World(mono_ns, report=self._reported),
            strategy=strategy,
            intensity=intensity,
            period_ns=period_ns,
        )
        self.path = path
        self._listener = listener

    def child(self, child_id: str) -> "ActorRef[Any] | None":
        """The present incarnation of a child."""
        child = self.kept.get(child_id)
        return None if child is None else cast("ActorRef[Any] | None", child.pid)

    def children(self) -> list[Place]:
        """The children in start order, as the tree shows them."""
        in_period = self.restarts_in_period
        return [self._place(kept, in_period) for kept in self.kept]

    def _place(self, kept: Kept, in_period: int) -> Place:
        ref = cast("ActorRef[Any] | None", kept.pid)
        is_gone = ref is not None and not ref.is_alive()
        last = kept.last_reason
        return Place(
            path=f"{self.path}/{kept.spec.id}",
            kind=ref.actor_class.__name__ if ref is not None else "",
            state="stopped" if is_gone else kept.state,
            since_ns=kept.since_ns,
            incarnation=kept.incarnation,
            restarts=kept.restarts,
            in_period=in_period,
            last_error=repr(last.error) if isinstance(last, Crash) else "",
            inbox=mail_of(ref) if ref is not None else 0,
            handled=handled_by(ref) if ref is not None else 0,
        )

    def _reported(self, report: reports.Report) -> None:
        match report:
            case reports.ChildEnded(id=child, incarnation=incarnation, reason=reason):
                if isinstance(reason, Crash):
                    self._crashed(child, incarnation, reason.message, reason)
            case reports.RestartFailed(id=child, incarnation=incarnation, reason=reason):
                self._crashed(child, incarnation, "start", reason)
            case reports.StopFailed(id=child, incarnation=incarnation, reason=reason):
                self._crashed(child, incarnation, "stop", reason)
            case reports.Restarted(id=child, incarnation=incarnation):
                self._listener(Restarted(f"{self.path}/{child}", incarnation))
            case reports.GaveUp(restarts=restarts):
                self._listener(GaveUp(self.path, restarts))

    def _crashed(self, child: object, incarnation: int, message: str, reason: object) -> None:
        error = reason.error if isinstance(reason, Crash) else NotAnError(repr(reason))
        self._listener(Crashed(f"{self.path}/{child}", incarnation, message, error))
