"""What a supervisor is put through, and how it is written down for the Erlang driver.

A scenario is a tree of supervisors, a plan for each child (what its starts come to, in turn; `ok`
when the plan is used up), and operations. `generator.py` makes them up.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import astuple

from taskmaster.supervision.specs import AutoShutdown, Restart, Strategy

StartResult = Literal["ok", "error", "ignore", "crash", "dies"]
Why = Literal["normal", "shutdown", "shutdown(x)", "boom", "kill"]
Obedience = Literal["obey", "refuse", "leave boom", "leave normal", "leave shutdown(x)"]


class Kid(Struct, frozen=True):
    """A child: a worker, or a supervisor with children of its own."""

    id: str
    restart: Restart = "permanent"
    shutdown: int | Literal["default", "infinity", "brutal_kill"] = "default"  # in ms
    is_significant: bool = False
    on_stop: Obedience = "obey"
    tree: "Tree | None" = None


class Tree(Struct, frozen=True):
    """A supervisor's flags and children."""

    strategy: Strategy
    intensity: int
    period_s: int
    auto_shutdown: AutoShutdown
    kids: tuple[Kid, ...]


class Crash(Struct, frozen=True):
    """A worker ends of itself."""

    name: str
    why: Why


class StartChild(Struct, frozen=True):
    supervisor: str
    kid: Kid


class StartDynamic(Struct, frozen=True):
    supervisor: str
    name: str


class TerminateDynamic(Struct, frozen=True):
    """By the last pid of that name; by one that has ended where there was none."""

    supervisor: str
    name: str


class TerminateChild(Struct, frozen=True):
    supervisor: str
    id: str


class RestartChild(Struct, frozen=True):
    supervisor: str
    id: str


class DeleteChild(Struct, frozen=True):
    supervisor: str
    id: str


class WhichChildren(Struct, frozen=True):
    supervisor: str


class CountChildren(Struct, frozen=True):
    supervisor: str


class Wait(Struct, frozen=True):
    ms: int


class Stop(Struct, frozen=True):
    """The root is told to end."""


class Burst(Struct, frozen=True):
    """All of it reaches the supervisor before it looks at any."""

    supervisor: str
    ops: "tuple[Single, ...]"


Request = (
    StartChild
    | StartDynamic
    | TerminateDynamic
    | TerminateChild
    | RestartChild
    | DeleteChild
    | WhichChildren
    | CountChildren
)
Single = Request | Crash | Stop
Op = Single | Wait | Burst


class Scenario(Struct, frozen=True):
    seed: int
    tree: Tree
    plans: dict[str, list[StartResult]]
    ops: tuple[Op, ...]


def child_name(parent: str, kid_id: str) -> str:
    """A child's name in the whole tree; those of the root are named by their id."""
    return kid_id if parent == "root" else f"{parent}.{kid_id}"


# --- as Erlang's terms --------------------------------------------------------------------------

OP_NAMES: dict[type[Struct], str] = {
    Crash: "crash",
    StartChild: "start_child",
    StartDynamic: "start_dynamic",
    TerminateDynamic: "terminate_dynamic",
    TerminateChild: "terminate_child",
    RestartChild: "restart_child",
    DeleteChild: "delete_child",
    WhichChildren: "which_children",
    CountChildren: "count_children",
    Wait: "wait",
    Burst: "burst",
}


def as_erlang(one: Scenario) -> str:
    """The scenario as a term for `file:consult`."""
    plans = (f"{{'{name}',[{','.join(plan)}]}}" for name, plan in one.plans.items())
    ops = (_op(op) for op in one.ops)
    return f"{{scenario,{one.seed},{_tree(one.tree)},[{','.join(plans)}],[{','.join(ops)}]}}."


def op_texts(one: Scenario) -> Iterator[str]:
    """The operations, for people."""
    for op in one.ops:
        yield _op(op)


def _tree(tree: Tree) -> str:
    kids = ",".join(map(_kid, tree.kids))
    return f"{{{tree.strategy},{tree.intensity},{tree.period_s},{tree.auto_shutdown},[{kids}]}}"


def _kid(kid: Kid) -> str:
    below = "none" if kid.tree is None else _tree(kid.tree)
    significant = str(kid.is_significant).lower()
    on_stop = kid.on_stop
    if on_stop.startswith("leave "):
        on_stop = f"{{leave,{_word(on_stop.removeprefix('leave '))}}}"
    return f"{{{kid.id},{kid.restart},{kid.shutdown},{significant},{on_stop},{below}}}"


def _op(op: Op) -> str:
    match op:
        case Stop():
            return "stop"
        case Burst(supervisor=name, ops=ops):
            return f"{{burst,'{name}',[{','.join(map(_op, ops))}]}}"
        case _:
            return f"{{{','.join((OP_NAMES[type(op)], *map(_word, astuple(op))))}}}"


def _word(word: object) -> str:
    if isinstance(word, Kid):
        return _kid(word)
    if isinstance(word, int):
        return str(word)
    return "{shutdown,x}" if word == "shutdown(x)" else f"'{word}'"
