"""Invariants of semantics 2, 3 and 6, checked after every commit and every send.

Independent code: windows are counted from what was sent, not by the model's own arithmetic.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from taskmaster.events.log import Append, BatchResult, Committed
from taskmaster.events.types import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    Event,
    GateLimitsChanged,
    GateName,
    GateOpened,
    GateQuarantined,
    Limits,
    TaskCancelled,
    TaskDied,
    TaskExpired,
    TaskRevived,
    TaskSubmitted,
)


class Broken(AssertionError):  # noqa: N818  # the word of the tests
    """A promise was broken."""


class Durability:
    """2.2: a start is committed before its first byte, and sent at most once."""

    def __init__(self) -> None:
        self._sent: set[tuple[str, int]] = set()

    def sent(self, world: Any, sent: Any, records: Any) -> None:
        last = records[-1].event if records else None
        if not isinstance(last, AttemptStarted) and not _cancel_requested(records):
            raise Broken(f"sent {sent.task} without a durable open start (last is {last!r})")
        if (sent.task, sent.attempt) in self._sent:
            raise Broken(f"attempt {sent.attempt} of {sent.task} left twice")
        self._sent.add((sent.task, sent.attempt))

    def committed(self, world: Any, batch: Sequence[Append], result: BatchResult) -> None:
        del world, batch, result


def _cancel_requested(records: Any) -> bool:
    return bool(records) and type(records[-1].event).__name__ == "CancelRequested"


def _committed(batch: Sequence[Append], result: BatchResult) -> Iterator[tuple[Event, str]]:
    """The events of a batch that became durable, each with its stream."""
    if not isinstance(result, list):
        return
    for append, answer in zip(batch, result, strict=True):
        if isinstance(answer, Committed):
            for write in append.writes:
                for event in write.events:
                    yield event, write.stream


class Windows:
    """3.1: in every interval of length T at most `b + r*T` starts, over restarts too.

    3.2: attempts started and not ended are at most the concurrency. Both hold at a gate's parents
    for all below them together, but for what was open at a gate when it was left alone.
    """

    def __init__(self) -> None:
        self._parents: dict[GateName, GateName] = {}
        self._limits: dict[GateName, Limits] = {}
        self._sends: dict[GateName, list[int]] = defaultdict(list)
        self._open: dict[GateName, int] = defaultdict(int)
        self._left_alone: dict[GateName, int] = defaultdict(int)

    def sent(self, world: Any, sent: Any, records: Any) -> None:
        del world, records
        for gate in self._line(sent.gate):
            sends = self._sends[gate]
            sends.append(sent.at_ns)
            for rate in self._limits[gate].rates:
                for back, first in enumerate(reversed(sends), start=1):
                    allowed = rate.burst + rate.rate * (sent.at_ns - first) / rate.per_ns
                    if back > allowed + 1e-6:
                        raise Broken(
                            f"{back} starts within {sent.at_ns - first} ns at {gate}, allowed"
                            f" {allowed:.3f}"
                        )

    def _line(self, gate: GateName) -> list[GateName]:
        """A gate and those above it."""
        line = [gate]
        while line[-1] in self._parents:
            line.append(self._parents[line[-1]])
        return line

    def committed(self, world: Any, batch: Sequence[Append], result: BatchResult) -> None:
        for event, stream in _committed(batch, result):
            self._fold(event, stream)
        for gate, limits in self._limits.items():
            own = self._open[gate]
            below = [one for one in self._open if one != gate and gate in self._line(one)]
            family = own + sum(self._open[one] - self._left_alone[one] for one in below)
            if max(own, family) > limits.concurrency:
                raise Broken(f"{own} attempts are open at {gate}, {family} with those below")
        del world

    def _fold(self, event: Any, stream: str) -> None:
        match event:
            case GateOpened() | GateLimitsChanged():
                name = GateName(stream.removeprefix("gate-"))
                self._limits[name] = event.settings.limits
                self._sends[name].clear()
                if event.settings.parent is not None:
                    self._parents[name] = event.settings.parent
            case GateQuarantined():
                name = GateName(stream.removeprefix("gate-"))
                self._left_alone[name] = self._open[name]
            case AttemptStarted(gate=gate):
                self._open[gate] += 1
            case AttemptSucceeded(gate=gate) | AttemptFailed(gate=gate) | AttemptVoided(gate=gate):
                self._open[gate] -= 1
                self._left_alone[gate] = min(self._left_alone[gate], self._open[gate])
            case _:
                pass


class Lifetimes:
    """2.3: an acknowledged task ends in exactly one final state; attempts stay within bounds."""

    def __init__(self) -> None:
        self._ended: dict[str, str] = {}
        self._used: dict[str, int] = defaultdict(int)
        self._most: dict[str, int] = {}

    def sent(self, world: Any, sent: Any, records: Any) -> None:
        del world, records
        if sent.task in self._ended:
            raise Broken(f"{sent.task} was sent after it had ended as {self._ended[sent.task]}")

    def committed(self, world: Any, batch: Sequence[Append], result: BatchResult) -> None:
        del world
        for event, stream in _committed(batch, result):
            self._fold(event, stream.removeprefix("task-"))

    def _fold(self, event: Any, task: str) -> None:
        name = type(event).__name__
        if isinstance(event, TaskSubmitted):
            self._most[task] = event.retry.max_attempts
        elif name == "TaskRevived":
            self._ended.pop(task, None)
            self._used[task] = 0
        elif isinstance(event, AttemptFailed):
            self._used[task] += event.used
            if self._used[task] > self._most[task]:
                raise Broken(f"{task} has used {self._used[task]} attempts")
            if event.next in ("dead", "cancelled", "expired"):
                self._end(task, event.next)
        elif name in ("AttemptSucceeded", "TaskCancelled", "TaskExpired", "TaskDied"):
            self._end(task, name)

    def _end(self, task: str, name: str) -> None:
        if task in self._ended:
            raise Broken(f"{task} ended as {self._ended[task]} and again as {name}")
        self._ended[task] = name


class InOrder:
    """3.9: of one order key only the task submitted first starts, until it is final; over
    restarts too, for this keeps its own account of the commits."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[GateName, str]] = {}
        self._open: dict[tuple[GateName, str], dict[str, int]] = defaultdict(dict)
        self._number: dict[str, int] = {}

    def sent(self, world: Any, sent: Any, records: Any) -> None:
        del world, sent, records

    def committed(self, world: Any, batch: Sequence[Append], result: BatchResult) -> None:
        del world
        for event, stream in _committed(batch, result):
            self._fold(event, stream.removeprefix("task-"))

    def _fold(self, event: Any, task: str) -> None:
        if isinstance(event, TaskSubmitted) and event.order_key:
            self._keys[task] = (event.gate, event.order_key)
            self._number[task] = len(self._number)
            self._open[event.gate, event.order_key][task] = self._number[task]
        key = self._keys.get(task)
        if key is None:
            return
        line = self._open[key]
        match event:
            case AttemptStarted():
                first = min(line, key=line.__getitem__)
                if task != first:
                    raise Broken(f"{task} started before {first}, submitted earlier with its key")
            case TaskRevived():
                line[task] = self._number[task]
            case AttemptSucceeded() | TaskCancelled() | TaskExpired() | TaskDied():
                line.pop(task, None)
            case AttemptFailed(next="dead" | "cancelled" | "expired"):
                line.pop(task, None)
            case _:
                pass
