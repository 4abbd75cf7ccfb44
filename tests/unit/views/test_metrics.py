"""Counters are a projection of committed events; many gates are shown as one."""

from taskmaster.actors.journal import Commit
from taskmaster.events.log import Due, GateRow
from taskmaster.events.types import (
    AnyEvent,
    GateName,
    GateSettings,
    Mono,
    OccurrenceSkipped,
    Position,
    Version,
    Wall,
)
from taskmaster.views.counters import MAX_COUNTED, OTHER, Counters
from taskmaster.views.gates import GateView
from taskmaster.views.metrics import Seen, render
from tests.suites.facts import failed, of_task, started, submitted, succeeded

MS = 1_000_000


def commit(*events: AnyEvent, took_ns: int = MS) -> Commit:
    return Commit(Position(9), [of_task("t", 0, event) for event in events], took_ns)


def row(gate: str, waiting: int = 0) -> GateRow:
    return GateRow(GateName(gate), Version(1), {"waiting": waiting}, GateSettings())


def seen(named: list[GateRow], counters: Counters, others: int = 0) -> Seen:
    views = [GateView(one, Wall(10), Due(eligible=1, oldest_at=Wall(5))) for one in named]
    return Seen(
        software="1",
        lag_ns=2 * MS,
        hangs=1,
        position=Position(9),
        is_store_away=False,
        in_flight=3,
        in_flight_limit=512,
        others={"waiting": others},
        named=tuple(views),
        mono=Mono(0),
        counters=counters.gates,
        commits=counters.commits,
        actors=(),
    )


def test_ends_of_attempts_are_counted_by_outcome_and_duration() -> None:
    counters = Counters()

    counters.committed(
        commit(
            submitted(),
            started(),
            succeeded(duration_ns=3 * MS),
            succeeded(duration_ns=5 * MS),
            failed(outcome="timeout", duration_ns=40_000 * MS),
            OccurrenceSkipped(
                at=Wall(0), gate=GateName("orders"), first=Wall(0), last=Wall(9), count=7,
                why="missed",
            ),
        )
    )  # fmt: skip

    orders = row("orders")
    lines = render(seen([orders], counters)).decode().splitlines()
    for line in (
        'taskmaster_attempts_total{gate="orders",outcome="success"} 2.0',
        'taskmaster_attempts_total{gate="orders",outcome="timeout"} 1.0',
        'taskmaster_attempt_duration_seconds_bucket{gate="orders",le="0.005"} 2.0',
        'taskmaster_attempt_duration_seconds_bucket{gate="orders",le="30.0"} 2.0',
        'taskmaster_attempt_duration_seconds_bucket{gate="orders",le="+Inf"} 3.0',
        'taskmaster_attempt_duration_seconds_count{gate="orders"} 3.0',
        'taskmaster_attempt_duration_seconds_sum{gate="orders"} 40.008',
        'taskmaster_occurrences_skipped_total{cause="missed",series_gate="orders"} 7.0',
    ):
        assert line in lines


def test_commits_are_counted_by_duration_and_size() -> None:
    counters = Counters()
    counters.committed(commit(submitted(), started(), took_ns=MS // 2))
    counters.committed(commit(submitted(), took_ns=7_000 * MS))

    lines = render(seen([], counters)).decode().splitlines()

    for line in (
        'taskmaster_journal_commit_seconds_bucket{le="0.0005"} 1.0',
        'taskmaster_journal_commit_seconds_bucket{le="+Inf"} 2.0',
        "taskmaster_journal_commit_seconds_count 2.0",
        "taskmaster_journal_commit_seconds_sum 7.0005",
        'taskmaster_journal_batch_events_bucket{le="1"} 1.0',
        'taskmaster_journal_batch_events_bucket{le="2"} 2.0',
        "taskmaster_journal_batch_events_sum 3.0",
    ):
        assert line in lines


def test_gates_that_are_not_among_the_busiest_are_summed() -> None:
    counters = Counters()
    counters.committed(commit(*(succeeded(gate=GateName(name)) for name in ("a", "b", "c"))))

    lines = render(seen([row("a", 5)], counters, others=3)).decode().splitlines()

    for line in (
        'taskmaster_tasks_submitted_total{gate="a"} 5.0',
        'taskmaster_tasks_submitted_total{gate="_other"} 3.0',
        'taskmaster_attempts_total{gate="a",outcome="success"} 1.0',
        'taskmaster_attempts_total{gate="_other",outcome="success"} 2.0',
    ):
        assert line in lines
    assert not any('gate="b"' in line for line in lines)


def test_counters_have_a_bound() -> None:
    counters = Counters()

    counters.committed(commit(*(succeeded(gate=GateName(f"g{n}")) for n in range(MAX_COUNTED + 5))))

    assert len(counters.gates) == MAX_COUNTED + 1
    assert counters.gates[OTHER].outcomes == {"success": 5}
