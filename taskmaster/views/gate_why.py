"""How long a gate's tasks waited in a time, all together, split by cause, adding up exactly.

Rules of residence: pure. What is split is the integral of how many tasks were due and waited; each
instant of it goes to the cause that held at the gate, so the parts add up to the total by
construction, and to what the tasks' own splits (`views/why.py`) say of that time.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from taskmaster.events.types import GateName, TaskEvent, Wall
from taskmaster.views.why import ORDER, Part, SplitCause, Standing, stretches


class Still(Struct, frozen=True):
    """Tasks to which nothing happened since the time began, and which wait still: how many were
    due before it, and when the others became due."""

    due_before: int = 0
    dues: tuple[Wall, ...] = ()


class Waited(Struct, frozen=True):
    """All waiting from `since` to `until`; `tasks` waited at least for a part of it."""

    since: Wall
    until: Wall
    total_ns: int
    parts: tuple[Part, ...]
    tasks: int


class _Steps:
    """When how many tasks began or ceased to wait for the gate alone."""

    def __init__(self) -> None:
        self.moved: dict[Wall, int] = {}

    def waited(self, since: Wall, until: Wall, tasks: int = 1) -> None:
        self.moved[since] = self.moved.get(since, 0) + tasks
        self.moved[until] = self.moved.get(until, 0) - tasks


def split_gate(
    name: GateName,
    tasks: Iterable[Sequence[TaskEvent]],
    still: Still,
    gate: Sequence[Standing],
    since: Wall,
    until: Wall,
    *,
    mono_ahead_ns: int = 0,
) -> Waited:
    """What tasks waited at a gate between two instants. `tasks` are those to which something
    happened there since the first, each with the whole of its stream; where a task was at another
    gate it does not count."""
    steps = _Steps()
    parts: dict[SplitCause, int] = {}
    count = still.due_before + len(still.dues)
    if still.due_before:
        steps.waited(since, until, still.due_before)
    for due_at in still.dues:
        steps.waited(max(since, due_at), until)
    for task in tasks:
        has_waited = False
        for stretch in stretches(task, until, mono_ahead_ns):
            began, ended = max(stretch.since, since), min(stretch.until, until)
            is_here = stretch.gate == name and stretch.cause in (None, "throttled")
            if began >= ended or not is_here:
                continue
            has_waited = True
            if stretch.cause is None:
                steps.waited(began, ended)
            else:
                parts["throttled"] = parts.get("throttled", 0) + ended - began
        count += has_waited
    _integrate(steps.moved, gate, parts)
    return Waited(
        since=since,
        until=until,
        total_ns=sum(parts.values()),
        parts=tuple(Part(cause, parts[cause]) for cause in ORDER if parts.get(cause)),
        tasks=count,
    )


def _integrate(
    moved: dict[Wall, int], gate: Sequence[Standing], parts: dict[SplitCause, int]
) -> None:
    """Add the time that tasks waited under each of the gate's standings."""
    cause: SplitCause = "slot"
    waiting, place = 0, 0
    at = Wall(0)
    for instant in sorted(moved):
        while place < len(gate) and gate[place].since <= instant:
            cut = max(at, gate[place].since)
            _add(parts, cause, waiting * (cut - at))
            at, cause = cut, gate[place].cause
            place += 1
        _add(parts, cause, waiting * (instant - at))
        at = instant
        waiting += moved[instant]
    assert waiting == 0, "a task that began to wait and never ceased"


def _add(parts: dict[SplitCause, int], cause: SplitCause, ns: int) -> None:
    if ns:
        parts[cause] = parts.get(cause, 0) + ns
