"""What Prometheus scrapes: gauges from rows and live gates, counters kept from committed events.

Rules of residence: no COUNT over history, nothing per task (semantics 10). The busiest gates are
named, the rest summed as `_other`: 10,000 gates by name cost 2.3 MB and 0.4 s a scrape. Rendering
is on a thread of its own and its text is used again for some seconds.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from taskmaster.actors.alerts import raised_by
from taskmaster.actors.node import Node
from taskmaster.actors.threads import StoreThread
from taskmaster.events.log import RowState
from taskmaster.events.types import (
    MILLISECOND,
    SECOND,
    GateName,
    Mono,
    Position,
)
from taskmaster.model.gate import GateStateName, paces
from taskmaster.views.counters import (
    ATTEMPT_BOUNDS_S,
    BATCH_BOUNDS,
    COMMIT_BOUNDS_S,
    OTHER,
    CommitCounters,
    Counters,
    GateCounters,
)
from taskmaster.views.gates import GateView, view_gates
from taskmaster.views.tree import places_of

REUSE_NS = 5 * SECOND
LAG_SLEEP_NS = 10 * MILLISECOND
MAX_NAMED = 500
STATES: tuple[GateStateName, ...] = (
    "open", "tripped", "probing", "ramping", "paused", "draining", "closed", "quarantined",
)  # fmt: skip


class ActorKind(Struct, frozen=True):
    """All actors of one kind together."""

    kind: str
    restarts: int
    inbox: int


class Seen(Struct, frozen=True):
    """What one scrape shows, read on the loop."""

    software: str
    lag_ns: int
    hangs: int
    position: Position
    is_store_away: bool
    in_flight: int
    in_flight_limit: int
    others: dict[RowState, int]
    named: tuple[GateView, ...]
    mono: Mono
    counters: dict[GateName, GateCounters]
    commits: CommitCounters
    actors: tuple[ActorKind, ...]
    alerts: tuple[tuple[GateName, str], ...] = ()


class Metrics:
    """Renders metrics, at most once in some seconds."""

    def __init__(self, node: Node, software: str) -> None:
        """Show `node`."""
        self._node = node
        self._software = software
        self.counters = Counters()
        self._thread: StoreThread | None = None
        self._text = b""
        self._rendered_at: Mono | None = None
        self._rendering: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """The exposition, in Prometheus' text format. Who asks meanwhile waits for the same one."""
        now = self._node.ports.clock.mono()
        if self._rendered_at is not None and now < self._rendered_at + REUSE_NS:
            return self._text
        if self._rendering is None or self._rendering.done():
            self._rendering = asyncio.ensure_future(self._render(now))
        return await asyncio.shield(self._rendering)

    async def _render(self, now: Mono) -> bytes:
        seen = await self._see(now)
        if self._thread is None:
            self._thread = StoreThread("taskmaster-metrics")
        self._text = await self._thread.ask(lambda: render(seen))
        self._rendered_at = now
        return self._text

    async def _lag_ns(self) -> int:
        """How late the loop comes back from a short sleep."""
        clock = self._node.ports.clock
        began = clock.mono()
        await asyncio.sleep(LAG_SLEEP_NS / SECOND)
        return max(0, clock.mono() - began - LAG_SLEEP_NS)

    async def _see(self, now: Mono) -> Seen:
        node = self._node
        busiest = await node.reader.busiest_gates(limit=MAX_NAMED)
        kinds: dict[str, ActorKind] = {}
        async for info in places_of(node):
            was = kinds.get(info.kind, ActorKind(info.kind, 0, 0))
            kinds[info.kind] = ActorKind(
                info.kind, was.restarts + info.restarts, was.inbox + info.inbox
            )
        return Seen(
            software=self._software,
            lag_ns=await self._lag_ns(),
            hangs=node.hangs,
            position=await node.reader.position(),
            is_store_away=node.store.is_away,
            in_flight=node.slots.taken,
            in_flight_limit=node.slots.limit,
            others=busiest.others,
            named=tuple(await view_gates(node, busiest.rows)),
            mono=now,
            counters={gate: one.copy() for gate, one in self.counters.gates.items()},
            commits=self.counters.commits.copy(),
            actors=tuple(kinds.values()),
            alerts=tuple((gate, alert) for gate, alert, _, _ in raised_by(node.alerts)),
        )


# --- on the thread ----------------------------------------------------------------------------


class _Shown(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(seen: Seen) -> bytes:
    """The text of a scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        _Shown(
            [*_node(seen), *_journal(seen.commits), *_gates(seen), *_attempts(seen), *_alerts(seen)]
        )
    )
    return generate_latest(registry)


def _gauge(name: str, about: str, value: float) -> Metric:
    family = GaugeMetricFamily(f"taskmaster_{name}", about)
    family.add_metric([], value)
    return family


def _node(seen: Seen) -> Iterator[Metric]:
    info = GaugeMetricFamily("taskmaster_build_info", "Which software runs.", labels=["version"])
    info.add_metric([seen.software], 1)
    yield info
    yield _gauge("loop_lag_seconds", "How late the loop was, at this scrape.", seen.lag_ns / SECOND)
    yield _gauge("log_position", "Position of the newest event.", seen.position)
    yield _gauge("store_away", "1 while the store takes no commit.", seen.is_store_away)
    yield _gauge("in_flight", "Attempts in flight in all gates.", seen.in_flight)
    yield _gauge("in_flight_limit", "How many may be.", seen.in_flight_limit)
    yield CounterMetricFamily(
        "taskmaster_loop_hangs", "Handlers that held the loop for too long.", value=seen.hangs
    )
    restarts = CounterMetricFamily(
        "taskmaster_actor_restarts", "Restarts of living actors, by kind.", labels=["kind"]
    )
    inbox = GaugeMetricFamily(
        "taskmaster_actor_inbox", "Messages that wait in inboxes, by kind.", labels=["kind"]
    )
    for one in seen.actors:
        restarts.add_metric([one.kind], one.restarts)
        inbox.add_metric([one.kind], one.inbox)
    yield restarts
    yield inbox


def _journal(commits: CommitCounters) -> Iterator[Metric]:
    durations = HistogramMetricFamily(
        "taskmaster_journal_commit_seconds", "How long commits took, synced."
    )
    buckets = _cumulated(COMMIT_BOUNDS_S, commits.durations.counts)
    durations.add_metric([], buckets, commits.durations.total / SECOND)
    batches = HistogramMetricFamily("taskmaster_journal_batch_events", "Events in one commit.")
    buckets = _cumulated(BATCH_BOUNDS, commits.batches.counts)
    batches.add_metric([], buckets, commits.batches.total)
    yield from (durations, batches)


def _gates(seen: Seen) -> Iterator[Metric]:
    label = ["gate"]
    submitted = CounterMetricFamily(
        "taskmaster_tasks_submitted", "Tasks that were ever accepted.", labels=label
    )
    in_flight = GaugeMetricFamily("taskmaster_gate_in_flight", "Attempts in flight.", labels=label)
    tasks = GaugeMetricFamily("taskmaster_gate_tasks", "Tasks by state.", labels=["gate", "state"])
    counted = [(view.row.gate, view.row.counts) for view in seen.named]
    if any(seen.others.values()):
        counted.append((OTHER, seen.others))
    for gate, counts in counted:
        submitted.add_metric([gate], sum(counts.values()))
        in_flight.add_metric([gate], counts.get("in_flight", 0))
        for state, count in counts.items():
            tasks.add_metric([gate, state], count)
    yield from (submitted, in_flight, tasks, *_live(seen))


def _live(seen: Seen) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "taskmaster_gate_waiting",
        "Tasks that wait, by what holds them back.",
        labels=["gate", "cause"],
    )
    oldest = GaugeMetricFamily(
        "taskmaster_gate_oldest_eligible_age_seconds",
        "How long the oldest task that may start has been due.",
        labels=["gate"],
    )
    state = GaugeMetricFamily(
        "taskmaster_gate_state", "1 for the state that the gate is in.", labels=["gate", "state"]
    )
    tokens = GaugeMetricFamily(
        "taskmaster_gate_tokens", "Tokens that are there now; gates with a rate.", labels=["gate"]
    )
    for view in seen.named:
        gate = view.row.gate
        for cause, count in ({"not_due": 0} | view.causes).items():
            waiting.add_metric([gate, cause], count)
        oldest.add_metric([gate], view.oldest_age_s or 0)
        for name in STATES:
            state.add_metric([gate, name], 1 if view.state == name else 0)
        saved = _tokens(view, seen.mono)
        if saved is not None:
            tokens.add_metric([gate], saved)
    yield from (waiting, oldest, state, tokens)


def _alerts(seen: Seen) -> Iterator[Metric]:
    alerts = GaugeMetricFamily(
        "taskmaster_alert", "1 while something at a gate needs a person.", labels=["gate", "alert"]
    )
    for gate, alert in seen.alerts:
        alerts.add_metric([gate, alert], 1)
    yield alerts


def _tokens(view: GateView, mono: Mono) -> int | None:
    """Whole tokens of the tightest rate."""
    gate = view.live
    if gate is None or not gate.tats:
        return None
    found: list[int] = []
    for pace, tat in zip(paces(gate), gate.tats, strict=True):
        saved_ns = mono + pace.burst * pace.interval_ns - max(tat, mono)
        found.append(max(0, min(pace.burst, saved_ns // pace.interval_ns)))
    return min(found)


def _attempts(seen: Seen) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "taskmaster_attempts",
        "Attempts that ended since the process started, by outcome.",
        labels=["gate", "outcome"],
    )
    durations = HistogramMetricFamily(
        "taskmaster_attempt_duration_seconds", "How long attempts took.", labels=["gate"]
    )
    skipped = CounterMetricFamily(
        "taskmaster_occurrences_skipped",
        "Runs of series that were skipped.",
        labels=["series_gate", "cause"],
    )
    for gate, one in _named_counters(seen).items():
        for outcome, count in one.outcomes.items():
            attempts.add_metric([gate, outcome], count)
        for cause, count in one.skipped.items():
            skipped.add_metric([gate, cause], count)
        if one.outcomes:
            buckets = _cumulated(ATTEMPT_BOUNDS_S, one.durations.counts)
            durations.add_metric([gate], buckets, one.durations.total / SECOND)
    yield from (attempts, durations, skipped)


def _cumulated(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    total = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        total += count
        found.append((bound, total))
    return found


def _named_counters(seen: Seen) -> dict[GateName, GateCounters]:
    named = {view.row.gate for view in seen.named}
    found: dict[GateName, GateCounters] = {}
    for gate, one in seen.counters.items():
        found.setdefault(gate if gate in named else OTHER, GateCounters()).add(one)
    return found
