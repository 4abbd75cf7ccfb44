"""Scenarios in the words of `taskmaster.supervision`, and its answers in those of the traces."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from msgspec import Struct

from taskmaster.supervision.messages import (
    Answer,
    Child,
    CountChildren,
    Counts,
    DeleteChild,
    Ok,
    Refused,
    Request,
    RestartChild,
    StartChild,
    StartDynamic,
    TerminateChild,
    WhichChildren,
)
from taskmaster.supervision.specs import SECOND_NS, ChildSpec, Flags
from tests.differential import scenarios as plays
from tests.differential.scenarios import Kid, Scenario, StartResult, Tree, child_name
from tests.differential.traces import why

T = TypeVar("T", bound=Hashable)
MS = 1_000_000


class Starter(Struct, frozen=True):
    """The start function of a child: says who is to be started."""

    name: str
    kid: Kid

    def __call__(self, name: str = "") -> "Starter":
        """`name` is the argument of a dynamic child."""
        return Starter(name or self.name, self.kid)


StartOf = Callable[[Starter], Callable[..., Any]]


class Plans:
    """What the starts of each child come to, in turn."""

    def __init__(self, one: Scenario, trace: list[str]) -> None:
        self._plans = one.plans
        self._trace = trace
        self._starts: Counter[str] = Counter()

    def next_start(self, name: str) -> tuple[StartResult, str]:
        """What this start comes to, and what the process is called."""
        plan = self._plans.get(name, [])
        before = self._starts[name]
        self._starts[name] += 1
        result: StartResult = plan[before] if before < len(plan) else "ok"
        self._trace.append(f"start {name} {before + 1} {result}")
        return result, f"{name}#{before + 1}"


def flags(tree: Tree) -> Flags:
    """A supervisor's flags."""
    return Flags(
        strategy=tree.strategy,
        intensity=tree.intensity,
        period_ns=tree.period_s * SECOND_NS,
        auto_shutdown=tree.auto_shutdown,
    )


def child_spec(supervisor: str, kid: Kid, start_of: StartOf) -> ChildSpec:
    """A child's spec; `start_of` makes its start function."""
    shutdown = None if kid.shutdown == "default" else kid.shutdown
    if isinstance(shutdown, int):
        shutdown *= MS
    return ChildSpec(
        id=kid.id,
        start=start_of(Starter(child_name(supervisor, kid.id), kid)),
        restart=kid.restart,
        shutdown=shutdown,
        type="worker" if kid.tree is None else "supervisor",
        significant=kid.is_significant,
    )


def request(
    op: plays.Request,
    start_of: StartOf,
    last_pid: Callable[[str], T | None],
    is_alive: Callable[[T], bool],
) -> Request:
    """An operation as the request that a supervisor gets."""
    match op:
        case plays.StartChild(supervisor=supervisor, kid=kid):
            return StartChild(child_spec(supervisor, kid, start_of))
        case plays.StartDynamic(name=name):
            return StartDynamic((name,))
        case plays.TerminateDynamic(name=name):
            pid = last_pid(name)
            if pid is None:
                return TerminateChild("nobody", is_pid=True)
            return TerminateChild(pid, is_pid=True, is_alive=is_alive(pid))
        case plays.TerminateChild(id=child_id):
            return TerminateChild(child_id)
        case plays.RestartChild(id=child_id):
            return RestartChild(child_id)
        case plays.DeleteChild(id=child_id):
            return DeleteChild(child_id)
        case plays.WhichChildren():
            return WhichChildren()
        case plays.CountChildren():
            return CountChildren()


class Question:
    """A request on its way, and its answer when there is one."""

    def __init__(self, op: plays.Request, *, is_simple: bool) -> None:
        self._op = op
        self._is_simple = is_simple  # it has dynamic children only
        self.answer: Answer | None = None

    def text(self, label: Callable[[object], str]) -> str:
        """The answer as the driver writes it; `label` names a pid."""
        match self.answer:
            case None:
                return "noproc"
            case Ok(child=None):
                starts = isinstance(
                    self._op, plays.StartChild | plays.StartDynamic | plays.RestartChild
                )
                return "ok undefined" if starts else "ok"
            case Ok(child=child):
                return f"ok {label(child)}"
            case Refused(reason="already_started", detail=child):
                return f"error already_started {label(child)}"
            case Refused(reason="misspelt" | "start_failed", detail=detail):
                return f"error {why(detail)}"
            case Refused(reason=reason):
                return f"error {reason}"
            case Counts() as n:
                return (
                    f"{n.specs} specs {n.active} active "
                    f"{n.supervisors} supervisors {n.workers} workers"
                )
            case tuple() as children:
                if self._is_simple:
                    return " ".join(sorted(_child("undefined", one, label) for one in children))
                return " ".join(_child(str(one.id), one, label) for one in children)
            case ChildSpec():
                raise AssertionError("no scenario asks for a spec")


def _child(child_id: str, child: Child, label: Callable[[object], str]) -> str:
    match child.state:
        case "running":
            shown = label(child.pid)
        case "restarting":
            shown = "restarting"
        case "stopped":
            shown = "undefined"
    return f"{child_id}={shown}/{child.type}"
