"""What goes into the machine of a supervisor and what comes out of it.

Rules of residence: data. Inputs are facts and requests, effects are what somebody else must do;
`machine.py` decides, `supervisor.py` carries out. A child's running actor is a `Pid` here, which is
anything hashable: the machine compares it and nothing else.
"""

from collections.abc import Hashable
from typing import Any, Literal

from msgspec import Struct

from taskmaster.supervision.reasons import Reason
from taskmaster.supervision.specs import ChildSpec, ChildType

Pid = Hashable

# --- inputs -----------------------------------------------------------------------------------


class Begin(Struct, frozen=True):
    """Start the children."""


class Started(Struct, frozen=True):
    """Answers `Start`: the child runs. `info` is passed on to whoever asked for it."""

    pid: Pid
    info: object = None


class StartIgnored(Struct, frozen=True):
    """Answers `Start`: there is nothing to run, and that is fine."""


class StartFailed(Struct, frozen=True):
    """Answers `Start`."""

    reason: object


class Exited(Struct, frozen=True):
    """A child has ended."""

    pid: Pid
    reason: Reason


class TimerFired(Struct, frozen=True):
    """The time of a `SetTimer` is over."""

    timer: int


class TryAgain(Struct, frozen=True):
    """A `SendSelf` has come back: `key` is a child's id, or the last pid of a dynamic one."""

    key: Hashable


class Stop(Struct, frozen=True):
    """Stop the children, then end with this reason."""

    reason: Reason


class Asked(Struct, frozen=True):
    """A request; `tag` comes back with its `Reply`."""

    request: "Request"
    tag: object = None


Input = Begin | Started | StartIgnored | StartFailed | Exited | TimerFired | TryAgain | Stop | Asked

# --- requests and their replies ---------------------------------------------------------------


class StartChild(Struct, frozen=True):
    """Add a child, last in order."""

    spec: ChildSpec


class StartDynamic(Struct, frozen=True):
    """Start one more of the template, with these arguments (`simple_one_for_one`)."""

    args: tuple[object, ...] = ()


class TerminateChild(Struct, frozen=True):
    """Stop a child: by its id, or, where children are dynamic, by its pid.

    `is_alive` is asked of a pid that the supervisor does not know: one that has ended is as good as
    stopped, one that runs is not its child.
    """

    key: Hashable
    is_pid: bool = False
    is_alive: bool = False


class RestartChild(Struct, frozen=True):
    """Start a child that is stopped."""

    id: Hashable


class DeleteChild(Struct, frozen=True):
    """Forget the spec of a child that is stopped."""

    id: Hashable


class GetChildSpec(Struct, frozen=True):
    """The spec of a child, by id or pid."""

    key: Hashable


class WhichChildren(Struct, frozen=True):
    """All children, the one started last first."""


class CountChildren(Struct, frozen=True):
    """How many there are."""


Request = (
    StartChild
    | StartDynamic
    | TerminateChild
    | RestartChild
    | DeleteChild
    | GetChildSpec
    | WhichChildren
    | CountChildren
)


class Ok(Struct, frozen=True):
    """Done. `child` is None where the start was ignored, or nothing was started."""

    child: Any = None
    info: object = None


class Refused(Struct, frozen=True):
    """Not done, in OTP's words."""

    reason: Literal[
        "already_present",
        "already_started",
        "misspelt",
        "not_found",
        "restarting",
        "running",
        "simple_one_for_one",
        "start_failed",
    ]
    detail: object = None
    """The running child, what is wrong with a spec, or why the start failed."""


class Child(Struct, frozen=True):
    """A child as `WhichChildren` shows it; `pid` is None when it does not run."""

    id: Hashable
    pid: Any
    state: Literal["running", "restarting", "stopped"]
    type: ChildType
    incarnation: int
    restarts: int
    since_ns: int
    last_reason: object


class Counts(Struct, frozen=True):
    """Specs, running children, and children by type, running or not."""

    specs: int
    active: int
    supervisors: int
    workers: int


Answer = Ok | Refused | Counts | ChildSpec | tuple[Child, ...]

# --- effects ----------------------------------------------------------------------------------


class Start(Struct, frozen=True):
    """Start this child; answer with `Started`, `StartIgnored` or `StartFailed`, once."""

    spec: ChildSpec
    args: tuple[object, ...]
    incarnation: int


class AskToStop(Struct, frozen=True):
    """Tell a child to end with `shutdown`; its `Exited` is waited for."""

    pid: Pid


class Kill(Struct, frozen=True):
    """End a child without asking it; its `Exited` is waited for."""

    pid: Pid


class SetTimer(Struct, frozen=True):
    """Say `TimerFired` at some moment from `least_ns` to `most_ns` from now."""

    timer: int
    least_ns: int
    most_ns: int


class CancelTimer(Struct, frozen=True):
    """The timer is needed no more; firing all the same does no harm."""

    timer: int


class SendSelf(Struct, frozen=True):
    """Say `TryAgain` once the requests that wait have been served."""

    key: Hashable


class Reply(Struct, frozen=True):
    """The answer to a request."""

    tag: object
    answer: Answer


class ChildEnded(Struct, frozen=True):
    """For the log: a child ended of itself, and not as it should."""

    id: Hashable
    pid: Pid | None
    incarnation: int
    reason: Reason


class RestartFailed(Struct, frozen=True):
    """For the log: a restart failed; it is tried again."""

    id: Hashable
    incarnation: int
    reason: object


class Restarted(Struct, frozen=True):
    """For the log: a child runs again."""

    id: Hashable
    incarnation: int


class StopFailed(Struct, frozen=True):
    """For the log: a child that was stopped ended for another reason."""

    id: Hashable
    incarnation: int
    reason: Reason


class GaveUp(Struct, frozen=True):
    """For the log: more restarts within the period than the intensity allows."""

    restarts: int


class End(Struct, frozen=True):
    """No child is left: end with this reason."""

    reason: Reason


Report = ChildEnded | RestartFailed | Restarted | StopFailed | GaveUp
Effect = Start | AskToStop | Kill | SetTimer | CancelTimer | SendSelf | Reply | Report | End
