"""The timer: one wake-up for each gate, by the clock it was asked by, whatever is set meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmaster.actors.timer import IDLE_NS, LOOK_NS, Timer, Wakes
from taskmaster.events.types import HOUR, MINUTE, SECOND, GateName, Mono, Wall
from tests.unit.actors.loops import VirtualClock, run_simulated, simulated_loop
from tests.unit.model.builders import NOW, mono, wall

A, B = GateName("a"), GateName("b")


class Alarm:
    """A timer in virtual time, and whom it woke when, in seconds."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.woken: list[tuple[str, float]] = []
        self.sets: list[tuple[int, list[GateName]]] = []
        self.timer = Timer(self.clock, self.wake, self.was_set)

    def was_set(self, ahead_ns: int, due: list[GateName]) -> None:
        self.sets.append((ahead_ns, due))

    def wake(self, gate: GateName) -> None:
        self.woken.append((gate, simulated_loop().now_ns / SECOND))


def alarmed(script: Callable[[Alarm], Awaitable[None]]) -> list[tuple[str, float]]:
    """Whom a timer woke when, under this script and for a day after it."""

    async def main() -> list[tuple[str, float]]:
        alarm = Alarm()
        await script(alarm)
        await asyncio.sleep(86_400)
        assert len(alarm.timer) == 0
        return alarm.woken

    return run_simulated(main())


def test_a_gate_is_woken_at_its_instant_and_once() -> None:
    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_at(A, mono(3))
        alarm.timer.wake_at(B, mono(2))

    assert alarmed(script) == [("b", 2.0), ("a", 3.0)]


def test_the_last_wish_of_a_gate_counts() -> None:
    async def script(alarm: Alarm) -> None:
        for at in (9, 3, 7, 7, 5):
            alarm.timer.wake_at(A, mono(at))

    assert alarmed(script) == [("a", 5.0)]


def test_an_instant_that_has_passed_wakes_at_once() -> None:
    async def script(alarm: Alarm) -> None:
        await asyncio.sleep(10)
        alarm.timer.wake_at(A, mono(3))
        alarm.timer.wake_when_due(B, wall(4))

    assert sorted(alarmed(script)) == [("a", 10.0), ("b", 10.0)]


def test_a_gate_that_was_forgotten_is_not_woken() -> None:
    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_at(A, mono(3))
        alarm.timer.wake_when_due(B, wall(4))
        alarm.timer.forget(A)
        alarm.timer.forget(B)
        alarm.timer.forget(GateName("never set"))

    assert alarmed(script) == []


def test_a_gate_that_is_set_again_after_it_was_forgotten_is_woken_once() -> None:
    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_at(A, mono(3))
        alarm.timer.forget(A)
        alarm.timer.wake_at(A, mono(3))

    assert alarmed(script) == [("a", 3.0)]


def test_a_stopped_timer_wakes_nobody() -> None:
    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_at(A, mono(3))
        alarm.timer.wake_when_due(B, wall(4))
        alarm.timer.stop()

    assert alarmed(script) == []


def test_a_gate_may_ask_again_while_it_is_woken() -> None:
    async def script(alarm: Alarm) -> None:
        def wake(gate: GateName) -> None:
            alarm.wake(gate)
            if len(alarm.woken) < 4:
                alarm.timer.wake_at(gate, Mono(alarm.clock.mono() + SECOND))

        alarm.timer = Timer(alarm.clock, wake, alarm.was_set)
        alarm.timer.wake_at(A, mono(1))

    assert alarmed(script) == [("a", 1.0), ("a", 2.0), ("a", 3.0), ("a", 4.0)]


def test_wishes_that_no_longer_hold_do_not_pile_up_behind_an_earlier_one() -> None:
    """Another gate's entry stays at the head, so that they never come there."""

    async def main() -> int:
        alarm = Alarm()
        alarm.timer.wake_at(A, mono(30))
        for number in range(10_000):
            alarm.timer.wake_at(B, Mono(mono(86_400) + number % 1_000))
        size = len(alarm.timer._heap)  # pyright: ignore[reportPrivateUsage]  # its bound is the point
        await asyncio.sleep(90_000)

        assert alarm.woken == [("a", 30.0), ("b", pytest.approx(86_400))]
        return size

    assert run_simulated(main()) < 100


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 30), st.integers(0, 4)),
        min_size=1,
        max_size=30,
    )
)
def test_each_gate_is_woken_by_its_last_wish_alone(wishes: list[tuple[str, int, int]]) -> None:
    """Against a timer that keeps one instant for each gate and looks at all of them each second."""
    expected: list[tuple[str, float]] = []
    wanted: dict[str, float] = {}

    async def script(alarm: Alarm) -> None:
        now = 0
        for gate, after, pause in wishes:
            wanted[gate] = now + after + 0.25
            alarm.timer.wake_at(GateName(gate), mono(wanted[gate]))
            now += pause + 1
            await asyncio.sleep(pause + 1)
            done = [name for name, at in wanted.items() if at < now]
            expected.extend((name, wanted.pop(name)) for name in done)

    woken = alarmed(script)

    assert sorted(woken) == sorted([*expected, *wanted.items()])


# --- the wall clock ---------------------------------------------------------------------------


def test_a_gate_is_woken_when_the_wall_clock_reaches_its_due_time() -> None:
    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_when_due(A, wall(30))

    assert alarmed(script) == [("a", 30.0)]


def test_a_wall_clock_set_forward_wakes_within_five_seconds() -> None:
    """Semantics 3.7: due times follow it."""

    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_when_due(A, wall(3_600))
        await asyncio.sleep(7)
        alarm.clock.step_ns = 2 * HOUR

    (woken,) = alarmed(script)

    assert woken[0] == "a"
    assert 7 <= woken[1] <= 7 + LOOK_NS / SECOND


def test_a_wall_clock_set_back_wakes_nobody_early_and_nobody_twice() -> None:
    """Semantics 3.7: shard time stands still until the wall clock has caught up."""

    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_when_due(A, wall(30))
        await asyncio.sleep(10)
        assert alarm.clock.wall() == wall(10)
        alarm.clock.step_ns = -MINUTE

    assert alarmed(script) == [("a", 90.0)]


def test_whose_work_came_by_a_clock_that_was_set_is_said_before_they_are_woken() -> None:
    """Semantics 3.7 and 4.5."""
    sets: list[tuple[int, list[GateName]]] = []

    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_when_due(A, wall(3_600))
        alarm.timer.wake_when_due(B, wall(9_000))
        await asyncio.sleep(7)
        alarm.clock.step_ns = 2 * HOUR
        await asyncio.sleep(5)
        assert alarm.woken
        sets.extend(alarm.sets)

    alarmed(script)

    assert sets == [(2 * HOUR, [A])]


def test_pacing_does_not_follow_the_wall_clock() -> None:
    """Semantics 3.7: spacing is monotonic."""

    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_at(A, mono(30))
        await asyncio.sleep(10)
        alarm.clock.step_ns = HOUR

    assert alarmed(script) == [("a", 30.0)]


def test_an_instant_takes_the_place_of_a_due_time_and_the_other_way_round() -> None:
    async def script(alarm: Alarm) -> None:
        alarm.timer.wake_when_due(A, wall(100))
        alarm.timer.wake_at(A, mono(50))
        alarm.timer.wake_at(B, mono(50))
        alarm.timer.wake_when_due(B, wall(100))
        await asyncio.sleep(10)
        alarm.clock.step_ns = MINUTE

    assert alarmed(script) == [("b", 40.0), ("a", 50.0)]


def test_a_clock_that_was_set_while_nothing_waited_is_noticed() -> None:
    async def script(alarm: Alarm) -> None:
        alarm.clock.step_ns = HOUR
        await asyncio.sleep(10)
        alarm.timer.wake_when_due(A, wall(3_620))

    (woken,) = alarmed(script)

    assert 20 <= woken[1] <= 20 + LOOK_NS / SECOND


@given(
    st.lists(st.integers(0, 600), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 200), st.integers(-600, 600)), max_size=6),
)
def test_whatever_the_clock_does_each_gate_is_woken_once_and_never_before_it_is_due(
    dues: list[int], steps: list[tuple[int, int]]
) -> None:
    """Semantics 3.7."""
    told: list[tuple[str, Wall, Wall]] = []

    async def main() -> None:
        clock = VirtualClock()
        due_at = {f"g{number}": wall(due) for number, due in enumerate(dues)}

        def wake(gate: GateName) -> None:
            told.append((gate, due_at[gate], clock.wall()))

        timer = Timer(clock, wake, lambda _ahead_ns, _due: None)
        for gate, due in due_at.items():
            timer.wake_when_due(GateName(gate), due)
        for pause, step in steps:
            await asyncio.sleep(pause)
            clock.step_ns += step * SECOND
        await asyncio.sleep(86_400)
        assert len(timer) == 0

    run_simulated(main())

    assert sorted(gate for gate, _, _ in told) == sorted(f"g{n}" for n in range(len(dues)))
    assert all(due_at <= now for _, due_at, now in told)


# --- when a gate may rest ---------------------------------------------------------------------


class Gate:
    """Arms as a gate's actor does, and says when it may rest."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._wakes = Wakes(alarm.timer, A)

    def arm(self, at: Mono | None, *, has_work: bool = False) -> bool:
        return self._wakes.arm(at, self._alarm.clock.mono(), has_work=has_work)


@pytest.mark.parametrize("next_at", [None, mono(3_600)])
def test_a_gate_that_was_idle_for_a_minute_may_rest(next_at: Mono | None) -> None:
    """Nothing polls: it is woken once, at the end of that minute."""
    rested: list[bool] = []

    async def script(alarm: Alarm) -> None:
        gate = Gate(alarm)
        rested.append(gate.arm(next_at))
        await asyncio.sleep(59)
        rested.append(gate.arm(next_at))
        await asyncio.sleep(1)
        rested.append(gate.arm(next_at))

    assert alarmed(script) == [("a", 60.0)]
    assert rested == [False, False, True]


def test_work_in_between_begins_the_minute_anew() -> None:
    rested: list[bool] = []

    async def script(alarm: Alarm) -> None:
        gate = Gate(alarm)
        gate.arm(None)
        await asyncio.sleep(50)
        gate.arm(None, has_work=True)
        await asyncio.sleep(50)
        rested.append(gate.arm(None))
        await asyncio.sleep(60)
        rested.append(gate.arm(None))

    alarmed(script)

    assert rested == [False, True]


def test_a_gate_with_work_is_woken_at_its_instant_or_by_its_mail_alone() -> None:
    async def script(alarm: Alarm) -> None:
        gate = Gate(alarm)
        assert not gate.arm(mono(500), has_work=True)
        await asyncio.sleep(600)
        assert not gate.arm(mono(700), has_work=True)
        assert not gate.arm(None, has_work=True)

    assert alarmed(script) == [("a", 500.0)]


def test_a_gate_that_is_wanted_within_the_minute_does_not_rest() -> None:
    async def script(alarm: Alarm) -> None:
        gate = Gate(alarm)
        for second in range(0, 300, 30):
            assert not gate.arm(Mono(NOW + second * SECOND + IDLE_NS))
            await asyncio.sleep(30)
        alarm.timer.stop()

    assert alarmed(script) == []
