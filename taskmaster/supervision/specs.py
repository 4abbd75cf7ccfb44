"""What a supervisor is told: its flags, and a spec for each child.

Rules of residence: data and the checks of it, as in OTP's `check_childspec` and `set_flags`.
Durations are integers of nanoseconds.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, cast, get_args

from msgspec import Struct

from taskmaster.supervision.reasons import Misspelt

SECOND_NS = 1_000_000_000

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]
Restart = Literal["permanent", "transient", "temporary"]
ChildType = Literal["worker", "supervisor"]
ShutdownTime = int | Literal["infinity", "brutal_kill"]


class Backoff(Struct, frozen=True):
    """Not in OTP: a restart waits, longer with each in a row, until one has lived for a while.

    The wait before the n-th restart in a row is `min_ns * 2**(n-1)`, at most `max_ns`, and up to
    the share `jitter` longer.
    """

    min_ns: int = SECOND_NS // 5
    max_ns: int = 30 * SECOND_NS
    jitter: float = 0.2
    reset_after_ns: int = 10 * SECOND_NS

    def wait_ns(self, restarts_in_a_row: int) -> tuple[int, int]:
        """The least and the most that a restart waits after so many before it."""
        least = min(self.max_ns, self.min_ns << min(restarts_in_a_row, 62))
        return least, least + int(least * self.jitter)


class ChildSpec(Struct, frozen=True):
    """How a child is started, when again, and how it is stopped.

    `start` returns the actor's reference, or `Started` with something for whoever asked beside it.
    It may raise `Ignored`; whatever else it raises is a failed start.
    """

    id: Hashable
    start: Callable[..., Any]
    restart: Restart = "permanent"
    shutdown: ShutdownTime | None = None
    """In nanoseconds. None: 5 s, for a supervisor `infinity`."""
    type: ChildType = "worker"
    significant: bool = False
    backoff: Backoff | None = None
    start_timeout_ns: int = 5 * SECOND_NS
    """For an actor whose `on_start` is a coroutine; beyond it the start has failed."""

    @property
    def shutdown_time(self) -> ShutdownTime:
        """How long it may take to stop."""
        if self.shutdown is not None:
            return self.shutdown
        return "infinity" if self.type == "supervisor" else 5 * SECOND_NS


class Flags(Struct, frozen=True):
    """How a supervisor treats its children; the defaults are OTP's."""

    strategy: Strategy = "one_for_one"
    intensity: int = 1
    period_ns: int = 5 * SECOND_NS
    auto_shutdown: AutoShutdown = "never"


def check_flags(flags: Flags) -> None:
    """Refuse flags that mean nothing.

    Raises:
        Misspelt: which, in OTP's words.
    """
    _one_of("strategy", flags.strategy, get_args(Strategy), "invalid_strategy")
    _whole("intensity", flags.intensity, 0, "invalid_intensity")
    _whole("period_ns", flags.period_ns, 1, "invalid_period")
    _one_of("auto_shutdown", flags.auto_shutdown, get_args(AutoShutdown), "invalid_auto_shutdown")


def check_children(flags: Flags, children: Sequence[ChildSpec]) -> None:
    """Refuse children that a supervisor with these flags cannot have.

    Raises:
        Misspelt: the first that is wrong, before any is started.
    """
    if flags.strategy == "simple_one_for_one" and len(children) != 1:
        raise Misspelt("children", "bad_start_spec", len(children))
    ids: set[object] = set()
    for spec in children:
        check_child(flags, spec)
        if spec.id in ids:
            raise Misspelt("id", "duplicate_child_name", spec.id)
        ids.add(spec.id)


def check_child(flags: Flags, spec: object) -> None:
    """Refuse one child.

    Raises:
        Misspelt: what is wrong with it.
    """
    if not isinstance(spec, ChildSpec):
        raise Misspelt("spec", "invalid_child_spec", spec)
    if not callable(cast("object", spec.start)):
        raise Misspelt("start", "invalid_start", spec.start)
    _one_of("restart", spec.restart, get_args(Restart), "invalid_restart_type")
    _one_of("type", spec.type, get_args(ChildType), "invalid_child_type")
    if spec.shutdown is not None and spec.shutdown not in ("infinity", "brutal_kill"):
        _whole("shutdown", spec.shutdown, 0, "invalid_shutdown")
    _whole("start_timeout_ns", spec.start_timeout_ns, 0, "invalid_start_timeout")
    if not isinstance(cast("object", spec.significant), bool):
        raise Misspelt("significant", "invalid_significant", spec.significant)
    if spec.significant and flags.auto_shutdown == "never":
        raise Misspelt("significant", "bad_combination", ("auto_shutdown", "never"))
    if spec.significant and spec.restart == "permanent":
        raise Misspelt("significant", "bad_combination", ("restart", "permanent"))


def _one_of(field: str, value: object, known: tuple[str, ...], why: str) -> None:
    if not isinstance(value, str) or value not in known:
        raise Misspelt(field, why, value)


def _whole(field: str, value: object, least: int, why: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Misspelt(field, why, value)
