"""Where a task's time went, to the nanosecond (semantics 10)."""

from hypothesis import given
from hypothesis.strategies import DrawFn, composite, integers, lists, sampled_from

from taskmaster.events.types import (
    SECOND,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    GateEvent,
    GateLimitsChanged,
    GateName,
    GateOpened,
    GatePaused,
    GateProbed,
    GateQuarantined,
    GateRampStepped,
    GateRecovered,
    GateReleased,
    GateResumed,
    GateSettings,
    GateTripped,
    Limits,
    Mono,
    Rate,
    Request,
    TaskCancelled,
    TaskEvent,
    TaskMoved,
    TaskRescheduled,
    TaskRevived,
    TaskSubmitted,
    Wall,
)
from taskmaster.views.why import Part, gates_of, life_ns, split, standings

GATE = GateName("g")


def submitted(at: int, due_at: int) -> TaskSubmitted:
    return TaskSubmitted(
        at=Wall(at), gate=GATE, request=Request("http://x.example/"), due_at=Wall(due_at)
    )


def started(at: int, attempt: int = 1) -> AttemptStarted:
    return AttemptStarted(at=Wall(at), gate=GATE, attempt=attempt, slot_at=Mono(at))


def failed(at: int, retry_at: int | None, throttle_until: int | None = None) -> AttemptFailed:
    return AttemptFailed(
        at=Wall(at),
        gate=GATE,
        attempt=1,
        outcome="server_error",
        fault="endpoint",
        delivered="yes",
        next="dead" if retry_at is None else "retry",
        retry_at=None if retry_at is None else Wall(retry_at),
        throttle_until=None if throttle_until is None else Mono(throttle_until),
    )


def succeeded(at: int) -> AttemptSucceeded:
    return AttemptSucceeded(at=Wall(at), gate=GATE, attempt=1, status=200, duration_ns=1)


def opened(at: int = 0, *, rate: bool = False) -> GateOpened:
    limits = Limits(rates=(Rate(10.0),)) if rate else Limits()
    return GateOpened(at=Wall(at), settings=GateSettings(limits=limits), mono=Mono(at))


def test_the_time_before_it_is_due_and_the_attempt_are_told_apart() -> None:
    task = (submitted(0, 10 * SECOND), started(10 * SECOND), succeeded(12 * SECOND))

    parts = split(task, {GATE: standings([opened()])}, Wall(99 * SECOND))

    assert parts == (Part("not_due", 10 * SECOND), Part("in_flight", 2 * SECOND))


def test_a_retry_waits_out_its_back_off_and_then_the_gate() -> None:
    task = (submitted(0, 0), started(0), failed(SECOND, 5 * SECOND))

    parts = split(task, {GATE: standings([opened(rate=True)])}, Wall(7 * SECOND))

    assert parts == (
        Part("back_off", 4 * SECOND),
        Part("token", 2 * SECOND),
        Part("in_flight", SECOND),
    )


def test_a_due_task_is_charged_with_what_its_gate_went_through() -> None:
    gate: list[GateEvent] = [
        opened(),
        GatePaused(at=Wall(10 * SECOND), mono=Mono(0)),
        GateTripped(at=Wall(12 * SECOND), mono=Mono(0), until=Mono(0), trips=1),
        GateResumed(at=Wall(13 * SECOND), mono=Mono(0)),
        GateProbed(at=Wall(15 * SECOND), mono=Mono(0)),
        GateRampStepped(
            at=Wall(16 * SECOND), mono=Mono(0), step=0, percent=5, until=Mono(0), why="probe"
        ),
        GateRecovered(at=Wall(19 * SECOND), mono=Mono(0)),
    ]

    parts = split((submitted(8 * SECOND, 8 * SECOND),), {GATE: standings(gate)}, Wall(20 * SECOND))

    assert parts == (
        Part("paused", 3 * SECOND),
        Part("tripped", 2 * SECOND),
        Part("probing", SECOND),
        Part("slot", 3 * SECOND),
        Part("ramp", 3 * SECOND),
    )


def test_being_asked_to_stay_away_is_charged_after_the_back_off() -> None:
    task = (submitted(0, 0), started(0), failed(SECOND, 5 * SECOND, throttle_until=107 * SECOND))

    parts = split(task, {GATE: standings([opened()])}, Wall(9 * SECOND), mono_ahead_ns=100 * SECOND)

    assert parts == (
        Part("back_off", 4 * SECOND),
        Part("throttled", 2 * SECOND),
        Part("slot", 2 * SECOND),
        Part("in_flight", SECOND),
    )


def test_the_time_between_an_end_and_a_redrive_is_nobodys_wait() -> None:
    revived = TaskRevived(at=Wall(9 * SECOND), gate=GATE, due_at=Wall(9 * SECOND))
    task = (submitted(0, 0), started(0), failed(SECOND, None), revived)

    parts = split(task, {GATE: standings([opened()])}, Wall(10 * SECOND))

    assert parts == (Part("slot", SECOND), Part("in_flight", SECOND), Part("ended", 8 * SECOND))


def test_a_moved_task_is_charged_with_what_each_gate_went_through() -> None:
    """And with its own gate's throttling alone; moved after its end, its life is over."""
    other = GateName("h")
    task = [
        submitted(0, 0),
        started(0),
        failed(SECOND, 2 * SECOND, throttle_until=9 * SECOND),
        TaskMoved(at=Wall(4 * SECOND), gate=GATE, to=other),
        TaskCancelled(at=Wall(7 * SECOND), gate=other),
        TaskMoved(at=Wall(8 * SECOND), gate=other, to=GATE),
    ]
    paused = [opened(), GatePaused(at=Wall(0), mono=Mono(0))]
    gates = {GATE: standings([opened()]), other: standings(paused)}

    parts = split(task, gates, Wall(99 * SECOND))

    assert gates_of(task) == (GATE, other)
    assert parts == (
        Part("back_off", SECOND),
        Part("paused", 3 * SECOND),
        Part("throttled", 2 * SECOND),
        Part("in_flight", SECOND),
        Part("ended", SECOND),
    )
    assert life_ns(task, Wall(99 * SECOND)) == 8 * SECOND


@composite
def lives(draw: DrawFn) -> tuple[list[TaskEvent], list[GateEvent], Wall]:
    """A task's life of any shape, times in order, beside a gate's."""
    at = draw(integers(0, 1_000))
    task: list[TaskEvent] = [submitted(at, at + draw(integers(-50, 500)))]
    for kind in draw(lists(sampled_from("smrfRcd"), max_size=12)):
        at += draw(integers(0, 300))
        later = Wall(at + draw(integers(-50, 500)))
        task.append(
            {
                "s": started(at),
                "m": TaskRescheduled(at=Wall(at), gate=GATE, due_at=later),
                "r": failed(at, later),
                "f": failed(at, later, throttle_until=later + 7),
                "R": TaskRevived(at=Wall(at), gate=GATE, due_at=later),
                "c": TaskCancelled(at=Wall(at), gate=GATE),
                "d": failed(at, None),
            }[kind]
        )
    gate: list[GateEvent] = [opened(draw(integers(0, 1_000)), rate=draw(sampled_from([0, 1])) == 1)]
    moment = gate[0].at
    for kind in draw(lists(sampled_from("prtbsgqx"), max_size=12)):
        moment = Wall(moment + draw(integers(0, 400)))
        gate.append(
            {
                "p": GatePaused(at=moment, mono=Mono(0)),
                "r": GateResumed(at=moment, mono=Mono(0)),
                "t": GateTripped(at=moment, mono=Mono(0), until=Mono(0), trips=1),
                "b": GateProbed(at=moment, mono=Mono(0)),
                "s": GateRampStepped(
                    at=moment, mono=Mono(0), step=0, percent=5, until=Mono(0), why="probe"
                ),
                "g": GateRecovered(at=moment, mono=Mono(0)),
                "q": GateQuarantined(at=moment, mono=Mono(0), until=Wall(0)),
                "x": GateReleased(at=moment, mono=Mono(0)),
            }[kind]
        )
    gate.append(GateLimitsChanged(at=moment, settings=GateSettings(), mono=Mono(0)))
    return task, gate, Wall(at + draw(integers(0, 1_000)))


@given(lives())
def test_the_parts_add_up_to_the_life_exactly(
    life: tuple[list[TaskEvent], list[GateEvent], Wall],
) -> None:
    """Semantics 10, whatever happened in whatever order."""
    task, gate, now = life

    parts = split(task, {GATE: standings(gate)}, now)

    assert sum(part.ns for part in parts) == life_ns(task, now)
    assert all(part.ns > 0 for part in parts)
    assert len({part.cause for part in parts}) == len(parts)
