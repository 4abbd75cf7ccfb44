"""The journal: what is committed with what, who is told what, and what the store's trouble does."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmaster.actors.journal import (
    BATCH_PER_LANE,
    MAX_WAITING,
    REPLIES_A_TURN,
    REST_NS,
    Commit,
    Entry,
    JournalActor,
    Lane,
    Lanes,
    Refused,
    StoreState,
)
from taskmaster.errors import OwnershipLostError
from taskmaster.events.log import (
    Append,
    AppendResult,
    BatchResult,
    Committed,
    NotStored,
    Unknown,
    VersionConflict,
    Write,
)
from taskmaster.events.types import MILLISECOND, Mono, Position, Stream, Version, Wall
from taskmaster.supervision import Down, stop, watch
from tests.unit.actors.loops import VirtualClock, run_on, run_simulated, simulated_loop, turns

LANES: tuple[Lane, ...] = ("outcome", "submission", "start", "control")
Told = AppendResult | Refused


def append_of(name: str) -> Append:
    return Append((Write(Stream(name), Version(0)),))


def name_of(append: Append) -> str:
    return append.writes[0].stream


class Store:
    """Commits as it is told to: what fails comes first, then everything is stored."""

    def __init__(self, *trouble: NotStored | Unknown, latency_s: float = 0.01) -> None:
        self.trouble = list(trouble)
        self.batches: list[list[str]] = []
        self.at: list[int] = []
        self.conflicts: set[str] = set()
        self.busy = 0
        self._latency_s = latency_s
        self._position = 0

    async def commit(self, batch: Sequence[Append]) -> BatchResult:
        assert self.busy == 0, "one batch at a time"
        self.busy += 1
        self.at.append(simulated_loop().now_ns)
        self.batches.append([name_of(append) for append in batch])
        await asyncio.sleep(self._latency_s)
        self.busy -= 1
        return self.trouble.pop(0) if self.trouble else [self._stored(append) for append in batch]

    def _stored(self, append: Append) -> AppendResult:
        if name_of(append) in self.conflicts:
            return VersionConflict(append.writes[0].stream, Version(1))
        self._position += 1
        return Committed(Position(self._position))


class Desk:
    """A journal over such a store, and all that was told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.state = StoreState()
        self.told: list[tuple[str, Told]] = []
        self.fatal: list[str] = []
        self.back = 0
        self.commits: list[Commit] = []
        self.downs: list[Down] = []
        self.journal = JournalActor(
            store,
            VirtualClock(),
            self.state,
            on_unknown=self.fatal.append,
            on_back=self.is_back,
            on_commit=self.commits.append,
        )
        watch(self.journal.launch(), self.downs.append)

    def is_back(self) -> None:
        self.back += 1

    def put(self, name: str, lane: Lane = "submission") -> None:
        self.journal.gather(
            Entry(append_of(name), lane, lambda result: self.told.append((name, result)))
        )

    @property
    def stored(self) -> list[str]:
        return [name for name, result in self.told if isinstance(result, Committed)]

    @property
    def refused(self) -> list[str]:
        return [name for name, result in self.told if isinstance(result, Refused)]


# --- lanes ------------------------------------------------------------------------------------


def entry(name: str, lane: Lane) -> Entry:
    return Entry(append_of(name), lane, lambda _result: None)


def names(batch: list[Entry]) -> list[str]:
    return [name_of(one.append) for one in batch]


def lanes_of(*entries: Entry) -> Lanes:
    lanes = Lanes()
    for one in entries:
        lanes.add(one)
    return lanes


def test_a_batch_takes_outcomes_then_submissions_then_starts_then_control() -> None:
    """Hard spots 10."""
    lanes = lanes_of(*(entry(lane, lane) for lane in reversed(LANES)))

    assert names(lanes.take()) == ["outcome", "submission", "start", "control"]
    assert len(lanes) == 0


def test_a_batch_has_a_bound_for_each_lane() -> None:
    """A flood of one does not delay the others."""
    lanes = lanes_of(
        *(entry(f"s{number}", "submission") for number in range(BATCH_PER_LANE + 1)),
        entry("o", "outcome"),
    )

    assert names(lanes.take()) == ["o", *(f"s{number}" for number in range(BATCH_PER_LANE))]
    assert names(lanes.take()) == [f"s{BATCH_PER_LANE}"]


def test_control_waits_until_no_start_does() -> None:
    """A gate's own events lie behind the starts that were granted before them."""
    starts = [entry(f"s{number}", "start") for number in range(BATCH_PER_LANE + 1)]
    lanes = lanes_of(entry("c", "control"), *starts)

    assert "c" not in names(lanes.take())
    assert names(lanes.take()) == [f"s{BATCH_PER_LANE}", "c"]


@given(
    st.lists(st.tuples(st.sampled_from(LANES), st.booleans()), max_size=60),
    st.lists(st.booleans(), max_size=20),
)
def test_each_lane_keeps_its_order_though_batches_come_back(
    added: list[tuple[Lane, bool]], refused: list[bool]
) -> None:
    """Nothing is lost, nothing is doubled, nothing overtakes in its lane."""
    lanes = Lanes()
    stored: list[Entry] = []
    outcomes = iter([*refused, *[False] * 100])
    for number, (lane, take) in enumerate(added):
        lanes.add(entry(str(number), lane))
        if take:
            batch = lanes.take()
            if next(outcomes):
                lanes.put_back(batch)
            else:
                stored += batch
    while batch := lanes.take():
        stored += batch

    for lane in LANES:
        in_lane = [int(name) for name in names([one for one in stored if one.lane == lane])]
        assert in_lane == [number for number, (its, _) in enumerate(added) if its == lane]


def test_only_submissions_are_taken_out_to_be_refused() -> None:
    lanes = lanes_of(*(entry(lane, lane) for lane in LANES))

    assert names(lanes.refuse_submissions()) == ["submission"]
    assert names(lanes.take()) == ["outcome", "start", "control"]


# --- committing -------------------------------------------------------------------------------


def test_what_comes_in_one_turn_is_one_commit() -> None:
    """Semantics 2.1: grouped for speed."""

    async def main() -> Desk:
        desk = Desk(Store())
        for number in range(5):
            desk.put(str(number))
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    assert desk.store.batches == [["0", "1", "2", "3", "4"]]
    assert desk.stored == ["0", "1", "2", "3", "4"]
    assert (desk.journal.commits, desk.journal.appends) == (1, 5)


def test_a_commit_is_told_with_what_was_stored_of_it() -> None:
    async def main() -> Desk:
        desk = Desk(Store())
        desk.store.conflicts = {"1"}
        for number in range(3):
            desk.put(str(number))
        await asyncio.sleep(1)
        desk.store.conflicts = {"3"}
        desk.put("3")
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    [commit] = desk.commits
    assert [name_of(append) for append in commit.appends] == ["0", "2"]
    assert (commit.position, commit.took_ns) == (2, 10 * MILLISECOND)


def test_what_comes_during_a_commit_makes_up_the_next() -> None:
    async def main() -> Desk:
        desk = Desk(Store())
        desk.put("first")
        await asyncio.sleep(0.005)
        desk.put("second")
        desk.put("third")
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    assert desk.store.batches == [["first"], ["second", "third"]]
    assert desk.store.at == [0, 10 * MILLISECOND]


def test_what_its_replies_bring_along_is_in_the_next_commit() -> None:
    async def main() -> Desk:
        desk = Desk(Store())

        def follow(_result: Told) -> None:
            asyncio.get_running_loop().call_soon(desk.put, "follows")

        for _ in range(REPLIES_A_TURN + 1):
            desk.journal.gather(Entry(append_of("a"), "outcome", follow))
        await asyncio.sleep(0.005)
        desk.put("during")
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    assert desk.store.batches[1:] == [["during", *["follows"] * (REPLIES_A_TURN + 1)]]
    assert desk.store.at == [0, 10 * MILLISECOND + REST_NS]


def test_one_caller_after_another_waits_for_nothing_but_the_commit() -> None:
    async def main() -> Desk:
        desk = Desk(Store())

        def follow(_result: Told) -> None:
            if len(desk.store.batches) < 3:
                desk.journal.gather(Entry(append_of("next"), "submission", follow))

        desk.journal.gather(Entry(append_of("first"), "submission", follow))
        await asyncio.sleep(1)
        return desk

    assert run_simulated(main()).store.at == [n * 10 * MILLISECOND for n in range(3)]


def test_nobody_is_told_before_the_commit() -> None:
    """Semantics 2.1."""

    async def main() -> tuple[list[str], list[str]]:
        desk = Desk(Store())
        desk.put("a")
        await asyncio.sleep(0.009)
        before = desk.stored
        await asyncio.sleep(0.002)
        return before, desk.stored

    assert run_simulated(main()) == ([], ["a"])


def test_a_conflict_is_told_to_the_one_that_lost_alone() -> None:
    """Hard spots 3."""

    async def main() -> Desk:
        store = Store()
        store.conflicts = {"b"}
        desk = Desk(store)
        for name in "abc":
            desk.put(name, "outcome")
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    assert desk.told == [
        ("a", Committed(Position(1))),
        ("b", VersionConflict(Stream("b"), Version(1))),
        ("c", Committed(Position(2))),
    ]


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_replies_are_handed_out_a_few_a_turn(kind: str) -> None:
    class Clock:
        def wall(self) -> Wall:
            return Wall(0)

        def mono(self) -> Mono:
            return Mono(0)

    class Quick:
        async def commit(self, batch: Sequence[Append]) -> BatchResult:
            await asyncio.sleep(0)
            return [Committed(Position(number)) for number, _ in enumerate(batch)]

    async def main() -> int:
        told: list[Told] = []
        journal = JournalActor(
            Quick(), Clock(), StoreState(), on_unknown=print, on_back=lambda: None, on_commit=print
        )
        journal.launch()
        for number in range(BATCH_PER_LANE):
            journal.gather(Entry(append_of(str(number)), "outcome", told.append))
        most = before = 0
        while len(told) < BATCH_PER_LANE:
            await asyncio.sleep(0)
            most, before = max(most, len(told) - before), len(told)
        return most

    assert run_on(kind, main()) == REPLIES_A_TURN


def test_the_next_commits_replies_overtake_none_of_a_big_one() -> None:
    async def main() -> Desk:
        desk = Desk(Store(latency_s=0))
        for number in range(5 * REPLIES_A_TURN):
            desk.put(str(number))
        while not desk.told:
            await turns(1)
        desk.put("late")
        await asyncio.sleep(1)
        return desk

    assert run_simulated(main()).stored == [*(str(n) for n in range(5 * REPLIES_A_TURN)), "late"]


def test_too_much_that_waits_refuses_submissions_and_nothing_else() -> None:
    """Back-pressure has a bound."""

    async def main() -> Desk:
        desk = Desk(Store(latency_s=100))
        for number in range(MAX_WAITING):
            desk.put(str(number))
        desk.put("too much")
        desk.put("an end", "outcome")
        await turns(3)
        return desk

    desk = run_simulated(main())

    assert desk.refused == ["too much"]
    assert not desk.state.is_away


# --- the store's trouble ----------------------------------------------------------------------

BUSY = NotStored("database is locked")


def test_a_store_that_is_away_refuses_submissions_and_keeps_the_rest() -> None:
    """Hard spots 3: starts and outcomes are tried again, in their order."""

    async def main() -> Desk:
        desk = Desk(Store(BUSY))
        for lane in LANES:
            desk.put(lane, lane)
        await asyncio.sleep(0.011)
        assert desk.state.is_away
        assert desk.state.error == "database is locked"
        desk.put("while away")
        desk.put("another end", "outcome")
        assert desk.refused == ["submission", "while away"]
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    assert desk.store.batches[1] == ["outcome", "another end", "start", "control"]
    assert desk.stored == ["outcome", "another end", "start", "control"]
    assert dict(desk.told)["submission"] == Refused("database is locked")
    assert not desk.state.is_away
    assert desk.back == 1
    assert desk.fatal == []


def test_a_commit_that_hangs_refuses_submissions_until_it_ends() -> None:
    """A server that is frozen says nothing; whoever comes hears so within two seconds."""

    async def main() -> Desk:
        desk = Desk(Store(latency_s=10))
        desk.put("on its way")
        await asyncio.sleep(1.4)
        desk.put("waits")
        assert desk.told == []
        await asyncio.sleep(0.2)
        assert desk.state.is_away
        desk.put("while it hangs")
        desk.put("an end", "outcome")
        assert desk.refused == ["waits", "while it hangs"]
        await asyncio.sleep(20)
        return desk

    desk = run_simulated(main())

    assert dict(desk.told)["waits"] == Refused("the last commit takes more than 1.5 s")
    assert desk.stored == ["on its way", "an end"]
    assert not desk.state.is_away


def test_it_is_tried_again_less_and_less_often() -> None:
    """50 ms, doubling to 2 s; a commit of 10 ms lies between."""

    async def main() -> Store:
        store = Store(*[BUSY] * 9)
        Desk(store).put("a", "outcome")
        await asyncio.sleep(20)
        return store

    at = run_simulated(main()).at

    gaps = [(b - a) // MILLISECOND for a, b in pairwise(at)]
    assert gaps == [60, 110, 210, 410, 810, 1610, 2010, 2010, 2010]


def test_what_was_not_stored_is_stored_once() -> None:
    async def main() -> Desk:
        desk = Desk(Store(BUSY, BUSY))
        for name in "abc":
            desk.put(name, "start")
        await asyncio.sleep(5)
        return desk

    desk = run_simulated(main())

    assert desk.store.batches == [["a", "b", "c"]] * 3
    assert desk.stored == ["a", "b", "c"]


def test_a_store_with_nothing_to_try_again_is_tried_by_the_next_submission() -> None:
    """Otherwise nobody would ever find out that it is back."""

    async def main() -> Desk:
        desk = Desk(Store(BUSY))
        desk.put("refused")
        await asyncio.sleep(1)
        desk.put("taken")
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    assert (desk.refused, desk.stored) == (["refused"], ["taken"])
    assert desk.back == 1
    assert not desk.state.is_away


def test_how_long_the_store_is_away_counts_from_the_first_refusal() -> None:
    async def main() -> int | None:
        desk = Desk(Store(*[BUSY] * 5))
        clock = VirtualClock()
        await asyncio.sleep(1)
        began = clock.mono()
        desk.put("a", "outcome")
        await asyncio.sleep(0.5)
        away = desk.state.away_since_ns
        return None if away is None else away - began

    assert run_simulated(main()) == 10 * MILLISECOND


def test_an_unknown_outcome_ends_the_process_and_tells_nobody_anything() -> None:
    """Replay decides (hard spots 3)."""

    async def main() -> Desk:
        desk = Desk(Store(Unknown("disk I/O error")))
        for lane in LANES:
            desk.put(lane, lane)
        await asyncio.sleep(5)
        return desk

    desk = run_simulated(main())

    assert desk.fatal == ["disk I/O error"]
    assert desk.told == []
    assert len(desk.store.batches) == 1


def test_a_commit_that_raises_ends_the_journal_and_tells_nobody_anything() -> None:
    """Another process owns the log now: whoever supervises the journal hears of it."""

    class Lost(Store):
        async def commit(self, batch: Sequence[Append]) -> BatchResult:
            await super().commit(batch)
            raise OwnershipLostError("epoch 1 of the log has ended")

    async def main() -> Desk:
        desk = Desk(Lost())
        desk.put("a")
        await asyncio.sleep(1)
        return desk

    desk = run_simulated(main())

    (down,) = desk.downs
    assert isinstance(down.error, OwnershipLostError)
    assert desk.told == []


@pytest.mark.parametrize("trouble", [(), (BUSY,)])
def test_a_stopped_journal_tries_nothing_more(trouble: tuple[NotStored, ...]) -> None:
    async def main() -> Desk:
        desk = Desk(Store(*trouble))
        desk.put("a", "outcome")
        await asyncio.sleep(0.005 if not trouble else 0.02)
        desk.put("b", "outcome")

        await stop(desk.journal.actor_ref)
        await asyncio.sleep(5)
        return desk

    desk = run_simulated(main())

    assert desk.told == []
    assert len(desk.store.batches) == 1
    assert [down.error for down in desk.downs] == [None]


@given(
    st.lists(
        st.tuples(st.sampled_from(LANES), st.sampled_from([0, 0, 1, 7, 30]), st.integers(1, 4)),
        min_size=1,
        max_size=25,
    ),
    st.lists(st.booleans(), max_size=12),
    st.integers(0, 1_000),
)
def test_everything_is_told_exactly_once_and_ends_are_never_refused(
    puts: list[tuple[Lane, int, int]], trouble: list[bool], seed: int
) -> None:
    """Whatever the store does short of an unknown outcome, and whatever the interleaving."""

    async def main() -> tuple[Desk, list[str]]:
        store = Store()
        failing = iter([*trouble, *[False] * 10**4])
        answer = store.commit

        async def commit(batch: Sequence[Append]) -> BatchResult:
            store.trouble.clear()
            if next(failing):
                store.trouble.append(BUSY)
            return await answer(batch)

        store.commit = commit
        desk = Desk(store)
        wanted: list[str] = []
        for number, (lane, gap_ms, count) in enumerate(puts):
            await asyncio.sleep(gap_ms / 1_000)
            for index in range(count):
                wanted.append(f"{lane}-{number}-{index}")
                desk.put(wanted[-1], lane)
        await asyncio.sleep(60)
        return desk, wanted

    desk, wanted = run_on("simulated", main(), seed=seed)

    assert sorted(name for name, _ in desk.told) == sorted(wanted)
    assert all(name.startswith("submission") for name in desk.refused)
    for lane in LANES:
        stored = [name for name in desk.stored if name.startswith(lane)]
        assert stored == sorted(stored, key=lambda name: [int(n) for n in name.split("-")[1:]])
    positions = [result.position for _, result in desk.told if isinstance(result, Committed)]
    assert positions == sorted(positions)
