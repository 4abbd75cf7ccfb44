"""Random scenarios: the same seed gives the same scenario on every version of Python.

Chance is drawn by `random()` alone, whose sequence is fixed, unlike that of `choice`.
"""

import itertools
import random
from collections.abc import Sequence
from typing import TypeVar

from taskmaster.supervision.specs import AutoShutdown, Restart, Strategy
from tests.differential.scenarios import (
    Burst,
    CountChildren,
    Crash,
    DeleteChild,
    Kid,
    Obedience,
    Op,
    RestartChild,
    Scenario,
    Single,
    StartChild,
    StartDynamic,
    StartResult,
    Stop,
    TerminateChild,
    TerminateDynamic,
    Tree,
    Wait,
    WhichChildren,
    Why,
    child_name,
)

T = TypeVar("T")
HOUR_S = 3600
REFUSED_AFTER_MS = 10  # who refuses is killed after it; no other child is given so little
TIMED_S = 2  # the period where time passes
WITHIN_MS = 1200  # leaves OTP 0.8 s for what it does meanwhile
BEYOND_MS = 3100  # OTP reckons in whole seconds: surely outside only from a second later on
# A word that is there more often comes more often.
STRATEGIES: tuple[Strategy, ...] = (
    "one_for_one",
    "one_for_one",
    "one_for_all",
    "one_for_all",
    "rest_for_one",
    "rest_for_one",
    "simple_one_for_one",
)
OBEDIENCES: tuple[Obedience, ...] = (
    "obey",
    "obey",
    "obey",
    "obey",
    "refuse",
    "leave boom",
    "leave normal",
    "leave shutdown(x)",
)
RESULTS: tuple[StartResult, ...] = (
    "ok",
    "ok",
    "ok",
    "ok",
    "error",
    "error",
    "ignore",
    "crash",
    "dies",
)
FAILING: tuple[StartResult, ...] = ("error", "error", "error")


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    return _Scribe(seed).write()


def keeps_lanes(seed: int) -> bool:
    """Whether in each of its bursts children end first, then comes a stop, and then requests.

    It is the order in which an actor serves them, whatever the order in which they reach it.
    """
    return seed % 5 == 0


def _lane(op: "Single") -> int:
    return 0 if isinstance(op, Crash) else 1 if isinstance(op, Stop) else 2


class _Scribe:
    """Makes up one scenario."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = random.Random(seed).random
        self._supervisors: dict[str, Tree] = {}
        self._names: dict[str, Kid] = {}
        self._dynamic: dict[str, list[str]] = {}
        self._uncounted: set[str] = set()
        self._count = 0
        self._plans: dict[str, list[StartResult]] = {}

    def write(self) -> Scenario:
        if self._chance(0.05):
            return self._timed()
        tree = self._tree(depth=0)
        self._enter("root", tree)
        initial = list(self._names)
        ops = tuple(self._op() for _ in range(self._whole(1, 12)))
        for name in self._names:
            if name not in self._plans and self._chance(0.35):
                self._plans[name] = self._plan(is_initial=name in initial)
        for name in itertools.chain.from_iterable(self._dynamic.values()):
            # OTP keeps a dynamic child whose restart was ignored, for ever and without a pid.
            first, *later = self._plans.get(name, ["ok"])
            self._plans[name] = [first, *(one for one in later if one != "ignore")]
        return Scenario(self._seed, tree, self._plans, ops)

    def _timed(self) -> Scenario:
        """Crashes, some of them before the period: real seconds for OTP, hence few."""
        kids = (Kid("a"), Kid("b"))
        tree = Tree(self._one(STRATEGIES[:-1]), self._whole(1, 3), TIMED_S, "never", kids)
        ops: list[Op] = [Crash(self._one("ab"), "boom") for _ in range(self._whole(3, 6))]
        # One of each: two within would be neither within nor beyond.
        ops.insert(self._whole(1, len(ops) - 1), Wait(WITHIN_MS))
        ops.insert(self._whole(1, len(ops) - 1), Wait(BEYOND_MS))
        return Scenario(self._seed, tree, {}, tuple(ops))

    # --- chance ---------------------------------------------------------------------------------

    def _chance(self, share: float) -> bool:
        return self._random() < share

    def _whole(self, least: int, most: int) -> int:
        return least + int(self._random() * (most - least + 1))

    def _one(self, things: Sequence[T]) -> T:
        return things[self._whole(0, len(things) - 1)]

    # --- trees ----------------------------------------------------------------------------------

    def _tree(self, depth: int) -> Tree:
        strategy = self._one(STRATEGIES)
        auto: AutoShutdown = "never"
        if self._chance(0.3):
            auto = self._one(("any_significant", "all_significant"))
        most = 1 if strategy == "simple_one_for_one" else 5 - depth
        ids = "abcde"[: self._whole(min(1, most), most)]
        kids = [self._kid(kid_id, auto, depth) for kid_id in ids]
        if len(kids) > 1 and self._chance(0.015):
            kids[-1] = self._kid(kids[0].id, auto, depth)  # refused: there twice
        intensity = self._one((0, 1, 1, 2, 2, 3, 4, 6))
        return Tree(strategy, intensity, HOUR_S, auto, tuple(kids))

    def _kid(self, kid_id: str, auto: AutoShutdown, depth: int) -> Kid:
        restart: Restart = self._one(("permanent", "permanent", "transient", "temporary"))
        may_be_significant = auto != "never" and restart != "permanent"
        is_significant = self._chance(0.6 if may_be_significant else 0.01)
        if depth < 2 and self._chance(0.25):
            shutdown = self._one(("default", "infinity", 5000))
            return Kid(kid_id, restart, shutdown, is_significant, "obey", self._tree(depth + 1))
        on_stop = self._one(OBEDIENCES)
        shutdown = self._one(("default", "infinity", "brutal_kill"))
        if on_stop == "refuse" and shutdown != "brutal_kill":
            shutdown = REFUSED_AFTER_MS
        return Kid(kid_id, restart, shutdown, is_significant, on_stop)

    def _enter(self, name: str, tree: Tree) -> None:
        """Note who there can be, for operations to name."""
        self._supervisors[name] = tree
        if tree.strategy == "simple_one_for_one":
            self._dynamic.setdefault(name, [])
            return
        for kid in tree.kids:
            self._enter_kid(child_name(name, kid.id), kid)

    def _enter_kid(self, name: str, kid: Kid) -> None:
        self._names[name] = kid
        if kid.tree is not None:
            self._enter(name, kid.tree)

    def _plan(self, *, is_initial: bool) -> list[StartResult]:
        plan: list[StartResult] = [self._one(RESULTS) for _ in range(self._whole(1, 5))]
        if is_initial and self._chance(0.95):
            plan[0] = "ok"
        return plan

    # --- operations -----------------------------------------------------------------------------

    def _op(self) -> Op:
        name = self._one(tuple(self._supervisors))
        if self._dynamic.get(name) == [] or self._chance(0.3):
            return self._request(name)
        if self._chance(0.25):
            return self._burst(name)
        workers = [one for one, kid in self._names.items() if kid.tree is None]
        if not workers:
            return self._request(name)
        return Crash(self._one(workers), self._why())

    def _why(self) -> Why:
        return self._one(("normal", "shutdown", "shutdown(x)", "boom", "boom", "boom", "kill"))

    def _burst(self, name: str) -> Burst:
        """Mostly children that die, and requests while they are restarted."""
        ops: list[Single] = []
        workers = [one for one in self._kids_of(name) if self._names[one].tree is None]
        for _ in range(self._whole(1, 3)):
            if not workers or self._chance(0.3):
                ops.append(self._request(name))
                continue
            worker = self._one(workers)
            ops.append(Crash(worker, self._one(("boom", self._why()))))
            if self._chance(0.6):
                self._plans[worker] = ["ok", *FAILING[: self._whole(1, 3)]]
                ops.append(self._request_for(name, worker))
        if name == "root" and self._chance(0.2):
            ops.append(Stop())
        if any(isinstance(op, TerminateDynamic) for op in ops):
            # OTP goes on counting a restart that was ended by it, and shows -1 active children.
            self._uncounted.add(name)
        once: list[Single] = []
        for op in ops:
            # OTP looks who lives when it serves a request, TaskMaster what the supervisor has
            # heard (a count), or whoever asks (a pid that is not its child's any more).
            is_other = isinstance(op, CountChildren) or (op in once and not isinstance(op, Crash))
            once.append(WhichChildren(name) if is_other else op)
        if keeps_lanes(self._seed):
            once.sort(key=_lane)
        return Burst(name, tuple(once))

    def _request_for(self, supervisor: str, name: str) -> Single:
        """One about a child that is perhaps being restarted."""
        if supervisor in self._dynamic:
            return self._one((TerminateDynamic(supervisor, name), WhichChildren(supervisor)))
        kid = self._names[name]
        return self._one(
            (
                TerminateChild(supervisor, kid.id),
                RestartChild(supervisor, kid.id),
                DeleteChild(supervisor, kid.id),
                StartChild(supervisor, kid),
                WhichChildren(supervisor),
            )
        )

    def _kids_of(self, name: str) -> Sequence[str]:
        if name in self._dynamic:
            return self._dynamic[name]
        return [child_name(name, kid.id) for kid in self._supervisors[name].kids]

    def _request(self, name: str) -> Single:
        if self._chance(0.2):
            may_count = name not in self._uncounted
            return self._one((WhichChildren, CountChildren if may_count else WhichChildren))(name)
        if name in self._dynamic:
            return self._dynamic_request(name)
        tree = self._supervisors[name]
        ids = [kid.id for kid in tree.kids] + ["z", "nobody"]
        match self._whole(0, 3):
            case 0:
                kid = self._kid(self._one(("z", "z", "y", ids[0])), tree.auto_shutdown, depth=1)
                new = child_name(name, kid.id)
                if new not in self._names:
                    self._enter_kid(new, kid)
                elif (kid.tree is None) != (self._names[new].tree is None):
                    return DeleteChild(name, kid.id)
                return StartChild(name, kid)
            case 1:
                return TerminateChild(name, self._one(ids))
            case 2:
                return RestartChild(name, self._one(ids))
            case _:
                return DeleteChild(name, self._one(ids))

    def _dynamic_request(self, name: str) -> Single:
        started = self._dynamic[name]
        if not started or self._chance(0.6):
            self._count += 1
            new = f"d{self._count}"
            started.append(new)
            self._enter_kid(new, self._supervisors[name].kids[0])
            return StartDynamic(name, new)
        if self._chance(0.8):
            return TerminateDynamic(name, self._one(started))
        return self._one(
            (TerminateChild(name, "a"), RestartChild(name, "a"), DeleteChild(name, "a"))
        )
