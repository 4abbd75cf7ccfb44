"""The pacer: what a commit releases late and in bunches leaves spaced by the limits."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from taskmaster.actors.pace import SEND_NS, Pace
from taskmaster.actors.pacer import Held, Pacer
from taskmaster.events.types import MILLISECOND, SECOND, Limits, Mono, Rate, TaskId
from taskmaster.model.limits import (
    LOOKAHEAD_NS,
    Allowed,
    fresh_tats,
    later_tats,
    spend,
    token_at,
)
from tests.unit.actors.loops import VirtualClock, run_simulated, simulated_loop
from tests.unit.model.builders import MONO, mono
from tests.unit.model.windows import excess_over

RATES = st.builds(
    Rate,
    rate=st.sampled_from([0.5, 3.0, 10.0, 100.0, 1_000.0]),
    per_ns=st.just(SECOND),
    burst=st.integers(1, 6),
)


class Sends:
    """What a pacer let go, and when."""

    def __init__(self) -> None:
        self.at: list[int] = []
        self.tasks: list[str] = []
        self.voided: list[str] = []

    def held(self, task: str, slot_at: Mono, then: Callable[[], None] = lambda: None) -> Held:
        """A committed start of `task`."""

        def go(decided_at: Mono) -> None:
            self.at.append(decided_at)
            self.tasks.append(task)
            then()

        return Held(TaskId(task), slot_at, go, lambda: self.voided.append(task))


def pacer_of(*rates: Rate, full_at: Mono = Mono(MONO - SECOND)) -> Pacer:
    """Buckets full since before the beginning of virtual time."""
    allowed = Allowed(Limits(rates=rates))
    return Pacer(VirtualClock(), allowed, fresh_tats(allowed.paces, full_at))


def hold(pacer: Pacer, held: Held) -> None:
    """Grant and commit at once; what is let go leaves at once."""
    pacer.granted()
    commit(pacer, held)


def commit(pacer: Pacer, held: Held) -> None:
    """Commit what was granted; what is let go leaves at once."""

    def go(decided_at: Mono) -> None:
        held.go(decided_at)
        pacer.departed(held.task)

    pacer.hold(Held(held.task, held.slot_at, go, held.void))


# --- spacing ----------------------------------------------------------------------------------


class Commit(Struct, frozen=True):
    """So many starts are granted after `gap_ns`, and durable `late_ns` after that."""

    gap_ns: int
    count: int
    late_ns: int


COMMITS = st.lists(
    st.builds(
        Commit,
        gap_ns=st.integers(0, 400 * MILLISECOND),
        count=st.integers(1, 6),
        late_ns=st.integers(0, 30 * MILLISECOND) | st.integers(0, 1_500 * MILLISECOND),
    ),
    min_size=1,
    max_size=10,
)


async def _granted_and_committed(rates: tuple[Rate, ...], commits: list[Commit]) -> Sends:
    """Grants as a gate gives them, up to 50 ms ahead, each batch committed late and at once."""
    loop, sends, clock = simulated_loop(), Sends(), VirtualClock()
    pacer = pacer_of(*rates)
    tats = fresh_tats(pacer.paces, MONO)
    committed_at = 0
    for number, commit in enumerate(commits):
        await asyncio.sleep(commit.gap_ns / SECOND)
        batch: list[Held] = []
        for index in range(commit.count):
            now = clock.mono()
            stands = later_tats(tats, pacer.projected_tats())
            if token_at(pacer.paces, stands) > now + LOOKAHEAD_NS:
                break
            slot_at = max(now, token_at(pacer.paces, stands))
            tats = spend(pacer.paces, stands, slot_at)
            pacer.granted()
            batch.append(sends.held(f"{number}-{index}", slot_at))
        committed_at = max(committed_at + 1, loop.now_ns + commit.late_ns)  # in order
        loop.call_later((committed_at - loop.now_ns) / SECOND, _release, pacer, batch)
    await asyncio.sleep(60)
    assert pacer.projected_tats() <= (clock.mono(),) * len(rates)  # no grant is left over
    return sends


def _release(pacer: Pacer, batch: list[Held]) -> None:
    for held in batch:
        commit(pacer, held)


@given(st.lists(RATES, min_size=1, max_size=2), COMMITS)
def test_late_commits_never_leave_in_a_bunch(rates: list[Rate], commits: list[Commit]) -> None:
    """Semantics 3.8 and 3.1, over what was sent."""
    sends = run_simulated(_granted_and_committed(tuple(rates), commits))

    assert excess_over(sends.at, rates) <= 0


@given(st.lists(RATES, min_size=1, max_size=2), COMMITS)
def test_every_start_leaves_in_order_or_is_void(rates: list[Rate], commits: list[Commit]) -> None:
    """Semantics 3.8: nothing is forgotten in the pacer, nothing overtakes."""
    sends = run_simulated(_granted_and_committed(tuple(rates), commits))

    all_of_them = sorted([*sends.tasks, *sends.voided])
    assert len(set(all_of_them)) == len(all_of_them)
    assert sends.tasks == sorted(sends.tasks, key=lambda task: [int(n) for n in task.split("-")])


def test_a_batch_committed_at_once_is_spread_over_its_slots() -> None:
    async def main() -> list[int]:
        sends, pacer = Sends(), pacer_of(Rate(10.0, SECOND, 1))
        for index in range(3):
            hold(pacer, sends.held(str(index), mono(index * 0.1)))
        await asyncio.sleep(1)
        return sends.at

    late = [0, SEND_NS, 2 * SEND_NS]
    assert run_simulated(main()) == [mono(n * 0.1) + ns for n, ns in enumerate(late)]


def test_a_start_waits_for_its_slot_though_there_is_a_token() -> None:
    """A probe's release after a throttling is jittered by its slot."""

    async def main() -> list[int]:
        sends, pacer = Sends(), pacer_of(Rate(100.0, SECOND, 10))
        hold(pacer, sends.held("a", mono(0.04)))
        await asyncio.sleep(1)
        return sends.at

    assert run_simulated(main()) == [mono(0.04)]


def test_what_lay_longer_than_a_second_is_void_and_costs_the_pacer_nothing() -> None:
    """Semantics 3.8."""

    async def main() -> Sends:
        sends, pacer = Sends(), pacer_of(Rate(1.0, SECOND, 1))
        await asyncio.sleep(1.001)
        hold(pacer, sends.held("late", mono(0)))
        hold(pacer, sends.held("in time", mono(1)))
        await asyncio.sleep(1)
        return sends

    sends = run_simulated(main())

    assert sends.voided == ["late"]
    assert (sends.tasks, sends.at) == (["in time"], [mono(1.001)])


def test_exactly_a_second_late_is_still_sent() -> None:
    async def main() -> Sends:
        sends, pacer = Sends(), pacer_of(Rate(1.0, SECOND, 1))
        await asyncio.sleep(1)
        hold(pacer, sends.held("a", mono(0)))
        return sends

    assert run_simulated(main()).tasks == ["a"]


def test_without_rates_everything_leaves_at_once() -> None:
    async def main() -> list[int]:
        sends, pacer = Sends(), pacer_of()
        for index in range(3):
            hold(pacer, sends.held(str(index), mono(0)))
        return sends.at

    assert run_simulated(main()) == [mono(0)] * 3


# --- what the gate is told --------------------------------------------------------------------


def test_the_projection_counts_what_is_granted_and_not_yet_sent() -> None:
    async def main() -> list[tuple[Mono, ...]]:
        sends, pacer = Sends(), pacer_of(Rate(10.0, SECOND, 1), full_at=MONO)
        pacer.granted()
        pacer.granted()
        two = pacer.projected_tats()
        pacer.lost()
        one = pacer.projected_tats()
        commit(pacer, sends.held("a", mono(0)))
        return [two, one, pacer.projected_tats()]

    assert run_simulated(main()) == [(mono(0.2),), (mono(0.1),), (mono(0.1),)]


@pytest.mark.parametrize("rates", [(), (Rate(1.0, SECOND, 1),)])
def test_each_end_of_a_grant_takes_it_from_the_projection(rates: tuple[Rate, ...]) -> None:
    async def main() -> tuple[Mono, ...]:
        sends, pacer = Sends(), pacer_of(*rates)
        hold(pacer, sends.held("sent", mono(0)))
        hold(pacer, sends.held("dropped", mono(0.5)))
        pacer.drop(TaskId("dropped"))
        hold(pacer, sends.held("voided", mono(-5)))
        await asyncio.sleep(3)
        return tuple(tat for tat in pacer.projected_tats() if tat > mono(1))

    assert run_simulated(main()) == ()


# --- taking back ------------------------------------------------------------------------------


def test_a_dropped_start_never_leaves_and_the_next_takes_its_turn() -> None:
    """Semantics 8.2: cancel on a start that is held."""

    async def main() -> Sends:
        sends, pacer = Sends(), pacer_of(Rate(10.0, SECOND, 1))
        for index in range(3):
            hold(pacer, sends.held(str(index), mono(index * 0.1)))
        assert pacer.drop(TaskId("1"))
        assert not pacer.drop(TaskId("1"))
        assert not pacer.drop(TaskId("0"))  # it has left
        await asyncio.sleep(1)
        return sends

    sends = run_simulated(main())

    assert (sends.tasks, sends.at) == (["0", "2"], [mono(0), mono(0.2)])


def test_a_stopped_pacer_sends_nothing_and_gives_back_what_it_held() -> None:
    async def main() -> tuple[list[str], list[str]]:
        sends, pacer = Sends(), pacer_of(Rate(1.0, SECOND, 1))
        for index in range(3):
            hold(pacer, sends.held(str(index), mono(index * 0.01)))
        held = pacer.stop()
        await asyncio.sleep(5)
        return [one.task for one in held], sends.tasks

    assert run_simulated(main()) == (["1", "2"], ["0"])


# --- other rates ------------------------------------------------------------------------------


def test_a_higher_rate_lets_what_waits_go_sooner() -> None:
    async def main() -> list[int]:
        sends, pacer = Sends(), pacer_of(Rate(1.0, SECOND, 1))
        hold(pacer, sends.held("a", mono(0)))
        hold(pacer, sends.held("b", mono(0)))
        await asyncio.sleep(0.5)
        pacer.change(Allowed(Limits(rates=(Rate(100.0, SECOND, 1),))))
        await asyncio.sleep(1)
        return sends.at

    assert run_simulated(main()) == [mono(0), mono(0.505) + SEND_NS]


def test_a_lower_rate_makes_what_waits_leave_later() -> None:
    async def main() -> Sends:
        sends, pacer = Sends(), pacer_of(Rate(10.0, SECOND, 1))
        hold(pacer, sends.held("a", mono(0)))
        hold(pacer, sends.held("b", mono(0.1)))
        pacer.change(Allowed(Limits(rates=(Rate(2.0, SECOND, 1),))))
        await asyncio.sleep(2)
        return sends

    assert run_simulated(main()).at == [mono(0), mono(0.5) + SEND_NS]


def test_without_rates_from_now_on_what_waits_leaves_at_its_slot() -> None:
    async def main() -> list[int]:
        sends, pacer = Sends(), pacer_of(Rate(1.0, SECOND, 1))
        hold(pacer, sends.held("a", mono(0)))
        hold(pacer, sends.held("b", mono(0.02)))
        pacer.change(Allowed(Limits()))
        await asyncio.sleep(0.5)
        pacer.change(Allowed(Limits(rates=(Rate(1.0, SECOND, 1),))))
        hold(pacer, sends.held("c", mono(0.5)))
        await asyncio.sleep(0.1)
        return sends.at

    assert run_simulated(main()) == [mono(0), mono(0.02), mono(0.5) + SEND_NS]


# --- what really left -------------------------------------------------------------------------


@given(
    st.sampled_from([3.0, 10.0, 100.0, 1_000.0]),
    st.integers(1, 6),
    st.lists(
        st.tuples(st.integers(0, 300 * MILLISECOND), st.integers(0, 40 * MILLISECOND)),
        min_size=1,
        max_size=30,
    ),
)
def test_a_limit_holds_for_requests_that_leave_late(
    rate: float, burst: int, sends: list[tuple[int, int]]
) -> None:
    """Semantics 3.8, at our socket: each leaves up to 40 ms after it was decided."""
    limit = Rate(rate, SECOND, burst)
    left = run_simulated(_leaving_late(limit, sends, pacers=1))

    assert excess_over(left, [limit]) <= 0


@given(
    st.sampled_from([3.0, 10.0, 100.0, 1_000.0]),
    st.integers(1, 6),
    st.lists(
        st.tuples(st.integers(0, 30 * MILLISECOND), st.integers(0, 40 * MILLISECOND)),
        min_size=1,
        max_size=40,
    ),
)
def test_a_limit_holds_for_all_gates_of_a_family_together(
    rate: float, burst: int, sends: list[tuple[int, int]]
) -> None:
    """Semantics 3.8 and 3.10: several leave at once only where tokens are left for all of them."""
    limit = Rate(rate, SECOND, burst)
    left = run_simulated(_leaving_late(limit, sends, pacers=3))

    assert excess_over(left, [limit]) <= 0


def family_of(limit: Rate, count: int) -> list[Pacer]:
    """Pacers of gates without rates, below one that has this one."""
    allowed = Allowed(Limits(rates=(limit,)))
    above = Pace(VirtualClock(), allowed, fresh_tats(allowed.paces, Mono(MONO - SECOND)))
    return [Pacer(VirtualClock(), Allowed(Limits()), (), (above,)) for _ in range(count)]


async def _leaving_late(limit: Rate, sends: list[tuple[int, int]], *, pacers: int) -> list[int]:
    loop, clock = simulated_loop(), VirtualClock()
    family = [pacer_of(limit)] if pacers == 1 else family_of(limit, pacers)
    left: list[int] = []

    def leave(task: TaskId) -> None:
        left.append(clock.mono())
        family[int(task) % pacers].departed(task)

    for number, (gap_ns, late_ns) in enumerate(sends):
        await asyncio.sleep(gap_ns / SECOND)

        task = TaskId(str(number))

        def go(_decided_at: Mono, late_ns: int = late_ns, task: TaskId = task) -> None:
            loop.call_later(late_ns / SECOND, leave, task)

        pacer = family[number % pacers]
        pacer.granted()
        pacer.hold(Held(task, clock.mono(), go, lambda: None))
    await asyncio.sleep(30)
    return left
