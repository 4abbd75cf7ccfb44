"""How long a gate's tasks waited in a time, against what each of them says of it (semantics 10)."""

from hypothesis import given
from hypothesis.strategies import integers, lists

from taskmaster.events.types import GateEvent, TaskEvent, Wall
from taskmaster.views.gate_why import Still, Waited, split_gate
from taskmaster.views.why import Part, SplitCause, Standing, split, standings
from tests.unit.views.test_why import GATE, lives, opened, started, submitted, succeeded

NOT_WAITING: set[SplitCause] = {"not_due", "back_off", "in_flight", "uncertain", "ended"}
AHEAD_NS = 40
Life = tuple[list[TaskEvent], list[GateEvent], Wall]


def said_by(task: list[TaskEvent], gate: tuple[Standing, ...], at: Wall) -> dict[SplitCause, int]:
    """What a task says of its life up to an instant, by the split that it has of its own."""
    known = [event for event in task if event.at <= at]
    if not known:
        return {}
    return {one.cause: one.ns for one in split(known, {GATE: gate}, at, mono_ahead_ns=AHEAD_NS)}


@given(lists(lives(), min_size=1, max_size=6), integers(0, 3_000), integers(1, 3_000))
def test_it_is_the_sum_of_what_the_tasks_say(drawn: list[Life], began: int, lasts: int) -> None:
    tasks = [task for task, _, _ in drawn]
    gate = standings(drawn[0][1])
    since, until = Wall(began), Wall(began + lasts)

    waited = split_gate(GATE, tasks, Still(), gate, since, until, mono_ahead_ns=AHEAD_NS)

    expected: dict[SplitCause, int] = {}
    for task in tasks:
        before = said_by(task, gate, since)
        for cause, ns in said_by(task, gate, until).items():
            if cause not in NOT_WAITING and ns > before.get(cause, 0):
                expected[cause] = expected.get(cause, 0) + ns - before.get(cause, 0)
    assert {part.cause: part.ns for part in waited.parts} == expected
    assert waited.total_ns == sum(expected.values())


@given(lists(integers(0, 500), max_size=6), lives(), integers(0, 1_000), integers(1, 1_000))
def test_tasks_that_stood_still_need_no_stream(
    dues: list[int], life: Life, began: int, lasts: int
) -> None:
    """Counted or read, a task that only waits is the same."""
    gate = standings(life[1])
    since, until = Wall(began), Wall(began + lasts)
    tasks: list[list[TaskEvent]] = [[submitted(0, due)] for due in dues]
    still = Still(
        due_before=sum(due <= since for due in dues),
        dues=tuple(Wall(due) for due in dues if since < due <= until),
    )

    read = split_gate(GATE, tasks, Still(), gate, since, until)
    counted = split_gate(GATE, [], still, gate, since, until)

    assert (counted.total_ns, counted.parts) == (read.total_ns, read.parts)


def test_two_tasks_wait_twice_as_long_as_one() -> None:
    first: list[TaskEvent] = [submitted(0, 10), started(40), succeeded(50)]
    second: list[TaskEvent] = [submitted(0, 20), started(40), succeeded(60)]

    waited = split_gate(GATE, [first, second], Still(), standings([opened()]), Wall(30), Wall(100))

    assert waited == Waited(Wall(30), Wall(100), 20, (Part("slot", 20),), 2)
