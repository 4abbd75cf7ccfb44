"""A gate's live state equals its fold from the log, whatever happened and in whatever order."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct
from msgspec.structs import asdict

from taskmaster.actors.gate_stream import folded_gate
from taskmaster.events.log import Append, Committed, Write
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.types import (
    MILLISECOND,
    SECOND,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    Fault,
    GateEvent,
    GateQuarantined,
    GateReleased,
    Mono,
    Rate,
    RecoverySettings,
    TaskEvent,
    TaskId,
    Version,
    Wall,
    gate_stream,
    task_stream,
)
from taskmaster.model.control import (
    CloseGate,
    DrainGate,
    GateCommand,
    PauseGate,
    ResumeGate,
    SetGate,
    decide,
)
from taskmaster.model.gate import Gate, Grant, admit, evolve, evolve_attempt, is_calm
from taskmaster.model.limits import slots
from taskmaster.model.recovery import react
from taskmaster.model.rejected import Rejected
from tests.unit.model import builders
from tests.unit.model.builders import CAUSE, MONO, NAME, NOW, seen, submitted

QUICK = RecoverySettings(
    trip_failures=3,
    trip_min_attempts=4,
    trip_window_ns=20 * SECOND,
    ramp_steps=(10, 50, 100),
    ramp_step_ns=3 * SECOND,
    ramp_after_ns=5 * SECOND,
)
SETTINGS = (
    builders.settings(concurrency=3, recovery=QUICK),
    builders.settings(Rate(2.0, SECOND, 2), concurrency=6, recovery=QUICK),
    builders.settings(Rate(20.0, SECOND, 5), concurrency=20, recovery=QUICK),
    builders.settings(Rate(5.0, SECOND, 1), Rate(30.0, 60 * SECOND, 9), recovery=QUICK),
)
GAPS = st.sampled_from([0, 1, 300 * MILLISECOND, SECOND, 4 * SECOND, 70 * SECOND, 130 * SECOND])


class Open(Struct):
    """An attempt that has not ended."""

    task: TaskId
    version: Version
    attempt: int


class GateHistory(RuleBasedStateMachine):
    """Starts, ends, voids, changes of mode, control and limits, in the order of the log."""

    @initialize(chosen=st.sampled_from(SETTINGS))
    def open(self, chosen: Any) -> None:
        self.store = SQLiteStore.open(":memory:")
        self.now_ns = 0
        self.late_ns = 0
        self.tasks = 0
        self.open_attempts: list[Open] = []
        self.pending: tuple[GateEvent, ...] = ()
        self.gate: Gate | None = None
        decided = decide(None, SetGate(chosen, CAUSE), self.mono, self.wall, backlog=False)
        assert not isinstance(decided, Rejected)
        self.own(decided)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    # --- the world ----------------------------------------------------------------------------

    @property
    def mono(self) -> Mono:
        return Mono(MONO + self.now_ns)

    @property
    def wall(self) -> Wall:
        return Wall(NOW + self.now_ns)

    @property
    def live(self) -> Gate:
        assert self.gate is not None
        return self.gate

    def append(self, *writes: Write) -> None:
        result = self.store.commit([Append(writes)])
        assert isinstance(result, list)
        assert isinstance(result[0], Committed)

    def own(self, events: tuple[GateEvent, ...]) -> None:
        """Append to the gate's stream, then fold, as its actor does."""
        if not events:
            return
        version = self.gate.version if self.gate is not None else Version(0)
        self.append(Write(gate_stream(NAME), version, events))
        for event in events:
            self.gate = evolve(self.gate, event, NAME)

    def of_task(self, attempt: Open, event: TaskEvent) -> None:
        self.append(Write(task_stream(attempt.task), attempt.version, (event,)))
        attempt.version = Version(attempt.version + 1)

    # --- what happens -------------------------------------------------------------------------

    @rule(gap_ns=GAPS)
    def pass_time(self, gap_ns: int) -> None:
        self.now_ns += gap_ns

    @rule(most=st.integers(1, 8))
    def start_some(self, most: int) -> None:
        self.start(most)

    def start(self, most: int) -> None:
        for _ in range(most):
            answer = admit(self.live, self.mono)
            if self.pending or not isinstance(answer, Grant):
                return
            self.tasks += 1
            attempt = Open(TaskId(f"task{self.tasks:06d}"), Version(0), 1)
            self.of_task(attempt, submitted(at=self.wall))
            begun = AttemptStarted(
                at=self.wall,
                gate=NAME,
                attempt=1,
                slot_at=answer.slot_at,
                tats=answer.tats,
                probe=answer.probe,
            )
            self.of_task(attempt, begun)
            self.gate = evolve_attempt(self.live, begun)
            self.open_attempts.append(attempt)

    @precondition(lambda self: self.open_attempts)
    @rule(
        index=st.integers(0, 100),
        fault=st.sampled_from(["endpoint", "endpoint", "task", "none"]),
        throttled_ns=st.sampled_from([0, 0, SECOND, 90 * SECOND]),
        late_ns=st.sampled_from([0, 0, SECOND, 3 * SECOND]),
    )
    def fail(self, index: int, fault: Fault, throttled_ns: int, late_ns: int) -> None:
        """`late_ns`: decided before others that are in the log already."""
        self.end_as_failed(index, fault, throttled_ns, late_ns)

    @precondition(lambda self: self.open_attempts)
    @rule(most=st.integers(2, 8))
    def outage(self, most: int) -> None:
        for _ in range(min(most, len(self.open_attempts))):
            self.end_as_failed(0, "endpoint", 0, 0)

    def end_as_failed(self, index: int, fault: Fault, throttled_ns: int, late_ns: int) -> None:
        attempt = self.open_attempts.pop(index % len(self.open_attempts))
        until = Mono(self.mono + throttled_ns) if fault == "none" and throttled_ns else None
        ended = AttemptFailed(
            at=Wall(self.wall - late_ns),
            gate=NAME,
            attempt=attempt.attempt,
            outcome="server_error",
            fault=fault,
            delivered="yes",
            next="dead",
            throttle_until=until,
        )
        self.of_task(attempt, ended)
        self.gate = evolve_attempt(self.live, ended)

    @precondition(lambda self: self.open_attempts)
    @rule(index=st.integers(0, 100), late_ns=st.sampled_from([0, SECOND]))
    def succeed(self, index: int, late_ns: int) -> None:
        attempt = self.open_attempts.pop(index % len(self.open_attempts))
        ended = AttemptSucceeded(
            at=Wall(self.wall - late_ns), gate=NAME, attempt=1, status=200, duration_ns=1
        )
        self.of_task(attempt, ended)
        self.gate = evolve_attempt(self.live, ended)

    @precondition(lambda self: self.open_attempts)
    @rule(index=st.integers(0, 100))
    def void(self, index: int) -> None:
        attempt = self.open_attempts.pop(index % len(self.open_attempts))
        ended = AttemptVoided(at=self.wall, gate=NAME, attempt=1)
        self.of_task(attempt, ended)
        self.gate = evolve_attempt(self.live, ended)

    @precondition(lambda self: not self.pending)
    @rule(backlog=st.booleans(), u=st.floats(0, 0.99))
    def react(self, backlog: bool, u: float) -> None:
        """Decided now, in the log only once `land` comes: ends may lie between."""
        self.pending = react(self.live, self.mono, self.wall, seen(backlog=backlog, u=u))

    @precondition(lambda self: not self.pending)
    @rule(gap_ns=st.sampled_from([0, 0, 3 * SECOND, 30 * SECOND]))
    def follow_the_rules(self, gap_ns: int) -> None:
        """As a gate with work does: react, start what may start, react again."""
        self.now_ns += gap_ns
        self.own(react(self.live, self.mono, self.wall, seen()))
        self.start(most=8)

    @precondition(lambda self: not self.pending)
    @rule(
        command=st.sampled_from(
            [PauseGate(CAUSE), DrainGate(CAUSE), ResumeGate(CAUSE), CloseGate(CAUSE)]
        )
        | st.sampled_from(SETTINGS).map(lambda chosen: SetGate(chosen, CAUSE)),
        backlog=st.booleans(),
    )
    def command(self, command: GateCommand, backlog: bool) -> None:
        decided = decide(self.live, command, self.mono, self.wall, backlog=backlog)
        if not isinstance(decided, Rejected):
            self.pending = decided

    @precondition(lambda self: not self.pending)
    @rule(after_ns=st.sampled_from([SECOND, 10 * SECOND]))
    def pause_until(self, after_ns: int) -> None:
        until = Wall(self.wall + after_ns)
        decided = decide(self.live, PauseGate(CAUSE, until), self.mono, self.wall, backlog=True)
        if not isinstance(decided, Rejected):
            self.pending = decided

    @precondition(lambda self: not self.pending)
    @rule(quarantined=st.booleans())
    def quarantine(self, quarantined: bool) -> None:
        until = Wall(self.wall + 60 * SECOND)
        self.pending = (
            (GateQuarantined(at=self.wall, mono=self.mono, until=until),)
            if quarantined
            else (GateReleased(at=self.wall, mono=self.mono),)
        )

    @precondition(lambda self: self.pending)
    @rule()
    def land(self) -> None:
        events, self.pending = self.pending, ()
        self.own(events)

    # --- what holds ---------------------------------------------------------------------------

    @invariant()
    def live_state_equals_the_fold(self) -> None:
        if self.gate is None:
            return
        snapshot = self.store.reader().gate_snapshot(NAME)
        live, fold = asdict(self.gate), asdict(folded_gate(snapshot, NAME))
        assert {k: v for k, v in live.items() if v != fold[k]} == {}, fold

    @invariant()
    def in_flight_is_starts_less_ends(self) -> None:
        if self.gate is None:
            return
        assert self.gate.in_flight == len(self.open_attempts)

    @invariant()
    def a_calm_gate_reacts_to_nothing_ever(self) -> None:
        """The gate's actor does not ask `react` while `is_calm` holds."""
        if self.gate is None or not is_calm(self.gate):
            return
        for after_ns in (0, 1, SECOND, 60 * SECOND, 10**6 * SECOND):
            for backlog in (False, True):
                now, wall = Mono(self.mono + after_ns), Wall(self.wall + after_ns)
                assert react(self.gate, now, wall, seen(backlog=backlog)) == ()

    @invariant()
    def the_sum_of_failures_is_that_of_the_seconds(self) -> None:
        if self.gate is not None:
            assert self.gate.failed == sum(bucket.failed for bucket in self.gate.buckets)

    @invariant()
    def a_grant_never_exceeds_the_slots(self) -> None:
        if self.gate is None or not isinstance(admit(self.gate, self.mono), Grant):
            return
        assert self.gate.in_flight < slots(self.gate.settings.limits)


GateHistory.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestGateHistory = pytest.mark.slow(GateHistory.TestCase)
