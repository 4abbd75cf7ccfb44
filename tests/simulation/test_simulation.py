"""Seeds with faults: the invariants of semantics 2, 3 and 6 after every step, and their teeth.

A failure says which seed, and `python -m tests.simulation SEED SEED` repeats it.
"""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import Struct

from taskmaster.actors import gate as gate_module
from taskmaster.actors import gates as gates_module
from taskmaster.actors import intake as intake_module
from taskmaster.actors import kin as kin_module
from taskmaster.actors import pacer as pacer_module
from taskmaster.actors import task as task_module
from taskmaster.actors.gate import GateActor
from taskmaster.actors.intake import Accepted, SubmitAnswer, Wish
from taskmaster.actors.journal import Entry
from taskmaster.actors.kin import Kin
from taskmaster.actors.lanes import Waiting
from taskmaster.actors.pace import Pace
from taskmaster.actors.task import TaskActor
from taskmaster.actors.timer import Timer
from taskmaster.events.types import Cause, Mono, Position, TaskId, TaskSubmitted, Wall
from taskmaster.model.family import Parent
from taskmaster.model.gate import Gate, Grant
from taskmaster.model.limits import Spacing
from taskmaster.model.retry import Answer
from tests.simulation.checks import Broken
from tests.simulation.scenario import run_seed
from tests.simulation.world import faults_of

CHUNK = 50
SEEDS = 500
CRASH_SEEDS = 100
MORE_CRASH_SEEDS = 2_000
MORE_SEEDS = 10_000
MOST_SEEDS_TO_CATCH = 40


def _run(first: int, last: int, *, crashes: bool = False) -> None:
    for seed in range(first, last):
        try:
            run_seed(seed, faults_of(seed, crashes=crashes))
        except Exception as error:
            again = f"{seed} {seed}{' --crashes' if crashes else ''}"
            pytest.fail(f"seed {seed}: {error!r}; repeat: python -m tests.simulation {again}")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    _run(first, first + CHUNK)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(SEEDS, MORE_SEEDS, 10 * CHUNK))
def test_no_further_seed_breaks_a_promise(first: int) -> None:
    _run(first, first + 10 * CHUNK)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, CRASH_SEEDS, 25))
def test_after_crashes_of_actors_state_equals_the_replay(first: int) -> None:
    """Conformance row 56, and every promise through it: gates, tasks and what supervises them
    crash at random messages and waits."""
    _run(first, first + 25, crashes=True)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("first", range(CRASH_SEEDS, MORE_CRASH_SEEDS, 5 * CHUNK))
def test_no_further_crash_of_an_actor_breaks_a_promise(first: int) -> None:
    _run(first, min(first + 5 * CHUNK, MORE_CRASH_SEEDS), crashes=True)


# --- builds that are broken on purpose ---------------------------------------------------------


class SendsBeforeItsCommit(TaskActor):
    """Breaks 2.2: what is not durable leaves."""

    def on_start(self) -> None:
        super().on_start()
        self._go(self._ports.clock.mono())  # and `_unsent` keeps the rest of its life the same


_Submissions = intake_module._Submissions  # pyright: ignore[reportPrivateUsage]  # to break it


class AcknowledgesBeforeTheCommit(_Submissions):
    """Breaks 2.1: hands what is to be stored to the journal, and does not wait for it."""

    async def run(self, wishes: Sequence[Wish], cause: Cause) -> list[SubmitAnswer]:
        self._handed_over: list[SubmitAnswer] = []
        running = asyncio.ensure_future(super().run(wishes, cause))
        await asyncio.sleep(0)
        return running.result() if running.done() else self._handed_over

    def _entry(self, index: int, task_id: TaskId, submitted: TaskSubmitted) -> Entry:
        self._handed_over.append(Accepted(task_id, submitted, Position(0)))
        return super()._entry(index, task_id, submitted)


def _no_wait(paces: tuple[Spacing, ...], tats: tuple[Mono, ...]) -> Mono:
    del paces, tats
    return Mono(0)


def _no_memory(paces: tuple[Spacing, ...], tats: tuple[Mono, ...], now: Mono) -> tuple[Mono, ...]:
    del tats
    return tuple(now for _ in paces)


class CrashesOnAnAnswer(TaskActor):
    """Supervision mends it: the attempt is recorded, the task tried again."""

    def _settle(self, answer: Answer) -> None:
        raise ValueError(f"a bug in {answer!r}")


def _own_alone(
    gate: Gate, own: Grant, above: Sequence[Parent], now: Mono, sent_tats: tuple[Mono, ...] = ()
) -> Grant:
    del gate, above, now, sent_tats
    return own


class SendsPastItsParents(Kin):
    """Breaks 3.1 for a family: decided by its limits, and not spaced by what it really sent."""

    @property
    def paces(self) -> tuple[Pace, ...]:
        return ()


class LooksPastAnOrderKey(GateActor):
    """Breaks 3.9: takes what has come without asking whether it is the first of its key."""

    def _offer(self, item: Waiting, position: Position, wall: Wall) -> None:
        self._backlog.offer(item, position, wall)


class RaisesInATimer(Timer):
    """Nobody but the loop hears of it."""

    def _fire(self) -> None:
        super()._fire()
        raise ValueError("a bug")


class Mutant(Struct, frozen=True):
    """A part of the program, what is put in its place, and what must be said of it."""

    module: object
    part: str
    broken: object
    said: str


MUTANTS = {
    "sends before its commit": Mutant(
        task_module, "TaskActor", SendsBeforeItsCommit, "without a durable open start"
    ),
    "acknowledges before the commit": Mutant(
        intake_module,
        "_Submissions",
        AcknowledgesBeforeTheCommit,
        "was acknowledged and is not in the log",
    ),
    "paces without a limit": Mutant(pacer_module, "token_at", _no_wait, "starts within"),
    "forgets its limit in a crash": Mutant(
        gate_module, "tats_after_crash", _no_memory, "starts within"
    ),
    "asks no parent": Mutant(kin_module, "admit_below", _own_alone, "with those below"),
    "sends past its parents": Mutant(gate_module, "Kin", SendsPastItsParents, "starts within"),
    "looks past an order key": Mutant(
        gates_module, "GateActor", LooksPastAnOrderKey, "submitted earlier with its key"
    ),
    "crashes a task": Mutant(task_module, "TaskActor", CrashesOnAnAnswer, "crashed by Responded"),
    "raises in a timer": Mutant(
        gates_module, "Timer", RaisesInATimer, "Exception in callback RaisesInATimer._fire"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_build_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no test has seen fail proves nothing; each is told from a sound build by few seeds."""
    mutant = MUTANTS[name]
    monkeypatch.setattr(mutant.module, mutant.part, mutant.broken)

    seed, said = _first_caught()

    print(f"seed {seed} catches a build that {name}: {said}")
    assert mutant.said in said


def _first_caught() -> tuple[int, str]:
    for seed in range(MOST_SEEDS_TO_CATCH):
        try:
            run_seed(seed)
        except Broken as broken:
            return seed, str(broken)
    pytest.fail(f"no seed below {MOST_SEEDS_TO_CATCH} catches it")
