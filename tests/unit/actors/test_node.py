"""A whole node in virtual time: the life of an attempt, crashes of parts, rests, stops."""

import asyncio
from itertools import pairwise

import pytest
from msgspec.structs import replace

from taskmaster.actors.intake import Accepted, Replayed
from taskmaster.actors.journal import Refused
from taskmaster.actors.messages import CommandDone
from taskmaster.actors.node import Node
from taskmaster.actors.supervisor import Crashed, GaveUp, Restarted
from taskmaster.actors.timer import IDLE_NS
from taskmaster.delivery.sender import Outbound
from taskmaster.events.log import NotStored, Unknown
from taskmaster.events.types import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    ActorCrashed,
    AttemptFailed,
    AttemptStarted,
    GateName,
    GatePaused,
    GateRampStepped,
    GateResumed,
    Position,
    Rate,
    Request,
    Retry,
    TaskId,
    Wall,
)
from taskmaster.model.control import CloseGate, DrainGate, PauseGate, ResumeGate
from taskmaster.model.rejected import Rejected
from taskmaster.model.retry import Answer, Responded, Unanswered
from taskmaster.model.submission import SubmitTask
from taskmaster.model.task_control import (
    CancelTask,
    RescheduleTask,
    RunTask,
    TaskCommand,
    cancel_answer,
)
from taskmaster.supervision import tell
from tests.unit.actors.nodes import OK, World, open_gate, submit
from tests.unit.model.builders import CAUSE, NAME, settings

B = GateName("b")


async def command(node: Node, task: TaskId, wish: TaskCommand) -> CommandDone:
    done = await node.intake.task_command(task, wish)
    assert isinstance(done, CommandDone), done
    return done


def crash_gate(node: Node, gate: GateName = NAME) -> None:
    actor = node.gates.live(gate)
    assert actor is not None
    tell(actor.actor_ref, "a bug")


# --- the life of an attempt -------------------------------------------------------------------


def test_a_task_is_durable_started_durably_sent_and_ended() -> None:
    """Semantics 2.1 and 2.2."""
    world = World()

    async def main(node: Node) -> TaskId:
        await open_gate(node, settings())
        (task,) = await submit(node)
        await asyncio.sleep(1)
        return task

    task = world.live(main)

    assert world.names_of(task) == ["TaskSubmitted", "AttemptStarted", "AttemptSucceeded"]
    assert [(sent.task, sent.attempt) for sent in world.endpoint.sent] == [(task, 1)]
    assert world.row(task).state == "succeeded"


def test_nothing_leaves_before_its_start_is_durable() -> None:
    """Semantics 2.2."""
    world = World()
    world.commit_s = 0.5

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        await submit(node, 5)
        await asyncio.sleep(5)

    world.live(main)

    at = {sent.at for sent in world.endpoint.sent}
    assert len(world.endpoint.sent) == 5
    starts = [e for s in world.endpoint.sent for e in world.events_of(s.task)]
    assert len([e for e in starts if isinstance(e, AttemptStarted)]) == 5
    assert min(at) >= 4 * 0.5  # the node's start, the gate's, the submissions', the starts'


def test_a_failure_is_tried_again_after_its_back_off() -> None:
    """Semantics 5."""
    world = World()
    answers = iter([Responded(500, 1), Unanswered("refused", 1), OK])
    world.endpoint.answer = lambda _outbound: next(answers)

    async def main(node: Node) -> TaskId:
        await open_gate(node, settings())
        (task,) = await submit(node)
        await asyncio.sleep(10)
        return task

    task = world.live(main)

    first, second, third = (sent.at for sent in world.endpoint.sent)
    assert second - first == pytest.approx(1, abs=0.1)
    assert third - second == pytest.approx(2, abs=0.1)
    assert [sent.attempt for sent in world.endpoint.sent] == [1, 2, 3]
    assert world.row(task).state == "succeeded"


def test_concurrency_bounds_what_is_in_flight() -> None:
    """Semantics 3.2."""
    world = World()
    world.endpoint.takes_s = 1

    async def main(node: Node) -> None:
        await open_gate(node, settings(concurrency=3))
        await submit(node, 9)
        await asyncio.sleep(60)

    world.live(main)

    seconds = [int(sent.at) for sent in world.endpoint.sent]
    assert [seconds.count(second) for second in sorted(set(seconds))] == [3, 3, 3]


def test_the_node_bounds_what_is_in_flight_over_all_its_gates() -> None:
    world = World(in_flight=2)
    world.endpoint.takes_s = 1

    async def main(node: Node) -> int:
        most = 0
        for gate in (NAME, B):
            await open_gate(node, settings(), gate)
            await submit(node, 3, gate=gate)
        for _ in range(100):
            most = max(most, node.slots.taken)
            await asyncio.sleep(0.1)
        return most

    assert world.live(main) == 2
    assert len(world.endpoint.sent) == 6


def test_a_slot_of_the_node_goes_to_the_next_gate_when_the_first_has_no_use_for_it() -> None:
    world = World(in_flight=1)
    world.endpoint.takes_s = 5

    async def main(node: Node) -> None:
        tasks: list[TaskId] = []
        for gate in (NAME, B, GateName("c")):
            await open_gate(node, settings(), gate)
            tasks += await submit(node, gate=gate)
            await asyncio.sleep(0.1)
        await command(node, tasks[1], CancelTask(CAUSE))
        await asyncio.sleep(600)

    world.live(main)

    assert [sent.at for sent in world.endpoint.sent] == pytest.approx([0, 5], abs=0.5)


def test_a_rate_spaces_what_leaves() -> None:
    """Semantics 3.1."""
    world = World()
    world.commit_s = 0.03

    async def main(node: Node) -> None:
        await open_gate(node, settings(Rate(10.0, SECOND, 1), concurrency=100))
        await submit(node, 20)
        await asyncio.sleep(10)

    world.live(main)

    at = [sent.at for sent in world.endpoint.sent]
    assert len(at) == 20
    assert min(b - a for a, b in pairwise(at)) >= 0.1 - 1e-9
    assert at[-1] - at[0] == pytest.approx(1.9, abs=0.1)


def test_a_task_past_its_deadline_expires_and_is_not_sent() -> None:
    """Semantics 5: it spends nothing."""
    world = World()
    world.endpoint.takes_s = 20

    async def main(node: Node) -> TaskId:
        await open_gate(node, settings(concurrency=1))
        await submit(node)
        (task,) = await submit(node, expires_at=Wall(node.ports.clock.wall() + 5 * SECOND))
        await asyncio.sleep(30)
        return task

    task = world.live(main)

    assert world.names_of(task) == ["TaskSubmitted", "TaskExpired"]
    assert len(world.endpoint.sent) == 1


# --- commands ---------------------------------------------------------------------------------


def test_a_task_that_came_to_a_paused_gate_expires_in_time() -> None:
    """Semantics 5 and 8.5."""
    world = World()

    async def main(node: Node) -> TaskId:
        await open_gate(node, settings())
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        expires_at = Wall(node.ports.clock.wall() + 5 * SECOND)
        (task,) = await submit(node, expires_at=expires_at)
        await asyncio.sleep(8)
        return task

    task = world.live(main)

    assert world.names_of(task) == ["TaskSubmitted", "TaskExpired"]


def test_a_task_that_waits_is_cancelled() -> None:
    """Semantics 8.2."""
    world = World()

    async def main(node: Node) -> tuple[CommandDone, CommandDone]:
        await open_gate(node, settings())
        (task,) = await submit(node, delay_ns=60 * SECOND)
        return (
            await command(node, task, CancelTask(CAUSE)),
            await command(node, task, CancelTask(CAUSE)),
        )

    first, again = world.live(main)

    assert cancel_answer(first.before) == "cancelled"
    assert cancel_answer(again.before) == "already_done"
    assert world.names_of(first.after.id) == ["TaskSubmitted", "TaskCancelled"]


def test_a_start_that_is_held_is_cancelled_without_being_sent() -> None:
    """Hard spots 3: void and cancelled in one commit."""
    world = World()

    async def main(node: Node) -> CommandDone:
        await open_gate(node, settings(Rate(25.0, SECOND, 1)))
        _, held = await submit(node, 2)
        while "AttemptStarted" not in world.names_of(held):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        done = await command(node, held, CancelTask(CAUSE))
        await asyncio.sleep(5)
        return done

    done = world.live(main)

    assert done.after.state == "cancelled"
    assert done.after.sends == 0
    assert world.names_of(done.after.id)[1:] == [
        "AttemptStarted",
        "AttemptVoided",
        "TaskCancelled",
    ]
    assert len(world.endpoint.sent) == 1


def test_a_cancel_while_the_start_is_being_committed_leaves_nothing_to_send() -> None:
    """Semantics 8.2 and 3.8: the commit was so slow that the start would be void."""
    world = World()

    async def main(node: Node) -> CommandDone:
        await open_gate(node, settings(Rate(100.0, SECOND, 5)))
        world.commit_s = 3
        (task,) = await submit(node)
        await asyncio.sleep(1)
        done = await command(node, task, CancelTask(CAUSE))
        world.commit_s = 0.002
        await asyncio.sleep(10)
        return done

    done = world.live(main)

    assert world.endpoint.sent == []
    assert world.names_of(done.after.id)[1:] == ["AttemptStarted", "AttemptVoided", "TaskCancelled"]


@pytest.mark.parametrize("disturbed", ["no", "crash"])
def test_a_cancel_while_a_client_is_prepared_takes_no_ones_turn(disturbed: str) -> None:
    """3.8: its token is spent, and no more than that."""
    world = World()
    world.endpoint.prepares_s = 1

    async def main(node: Node) -> CommandDone:
        await open_gate(node, settings(Rate(1.0, 10 * SECOND, 1)))
        (task,) = await submit(node)
        while "AttemptStarted" not in world.names_of(task):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        if disturbed == "crash":
            crash_gate(node)
        done = await command(node, task, CancelTask(CAUSE))
        world.endpoint.prepares_s = 0
        await submit(node, 2)
        await asyncio.sleep(60)
        return done

    done = world.live(main)

    assert (done.after.state, done.after.sends) == ("cancelled", 0)
    assert [sent.at for sent in world.endpoint.sent] == pytest.approx([10, 20], abs=1.2)


@pytest.mark.parametrize(
    ("status", "state"), [(200, "succeeded"), (500, "cancelled"), (429, "cancelled")]
)
def test_a_task_in_flight_is_cancelled_after_this_attempt(status: int, state: str) -> None:
    """Semantics 8.2."""
    world = World()
    world.endpoint.takes_s = 2
    world.endpoint.answer = Responded(status, 1)

    async def main(node: Node) -> CommandDone:
        await open_gate(node, settings())
        (task,) = await submit(node)
        await asyncio.sleep(1)
        done = await command(node, task, CancelTask(CAUSE))
        await asyncio.sleep(60)
        return done

    done = world.live(main)

    assert cancel_answer(done.before) == "cancel_requested"
    assert world.row(done.after.id).state == state
    assert len(world.endpoint.sent) == 1


def test_run_now_and_reschedule_move_a_task() -> None:
    """Semantics 8.3."""
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        sooner, later = await submit(node, 2, delay_ns=60 * SECOND)
        await command(node, sooner, RunTask(CAUSE))
        due_at = Wall(node.ports.clock.wall() + 90 * SECOND)
        await command(node, later, RescheduleTask(due_at, CAUSE))
        await asyncio.sleep(120)

    world.live(main)

    first, second = world.endpoint.sent
    assert first.at < 1
    assert second.at == pytest.approx(90, abs=1)


def test_a_task_that_is_not_there_takes_no_command() -> None:
    world = World()

    async def main(node: Node) -> object:
        return await node.intake.task_command(TaskId("nobody"), CancelTask(CAUSE))

    answer = world.live(main)

    assert isinstance(answer, Rejected)
    assert answer.code == "not_found"


def test_a_paused_gate_starts_nothing_takes_submissions_and_goes_on() -> None:
    """Semantics 8.1."""
    world = World()

    async def main(node: Node) -> int:
        await open_gate(node, settings())
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        await submit(node, 3)
        await asyncio.sleep(30)
        before = len(world.endpoint.sent)
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        await asyncio.sleep(1)
        return before

    assert world.live(main) == 0
    assert len(world.endpoint.sent) == 3


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_pause_ends_in_time_at_a_gate_that_rests(*, is_killed: bool) -> None:
    """Semantics 8.1: though the next that is due there is due later, or nothing is."""
    world = World()

    async def first(node: Node) -> None:
        await open_gate(node, settings())
        until = Wall(node.ports.clock.wall() + 5 * MINUTE)
        await node.intake.gate_command(NAME, PauseGate(CAUSE, until))
        await asyncio.sleep(2 * IDLE_NS / SECOND)
        assert NAME not in node.gates.units
        if not is_killed:
            await submit(node, delay_ns=HOUR)
            await second(node)

    async def second(node: Node) -> None:
        del node
        await asyncio.sleep(6 * MINUTE / SECOND)

    world.live(first)
    if is_killed:
        world.live(second)

    paused, resumed = world.gate_events()[1:3]
    assert isinstance(paused, GatePaused)
    assert isinstance(resumed, GateResumed)
    assert paused.until is not None
    assert 0 <= resumed.at - paused.until < SECOND


def test_a_pause_of_more_than_a_minute_ends_on_the_ramp() -> None:
    """Semantics 4.5."""
    world = World()
    world.endpoint.takes_s = 5

    async def main(node: Node) -> None:
        await open_gate(node, settings(concurrency=100))
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        await submit(node, 100)
        await asyncio.sleep(61)
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        await asyncio.sleep(1)

    world.live(main)

    assert [e.why for e in world.gate_events() if isinstance(e, GateRampStepped)] == ["paused"]
    assert len(world.endpoint.sent) == 5


def test_a_gate_drains_and_says_when_it_has() -> None:
    """Semantics 8.1."""
    world = World()
    world.endpoint.takes_s = 3

    async def main(node: Node) -> tuple[list[str], list[str]]:
        await open_gate(node, settings(concurrency=1))
        await submit(node, 2)
        await asyncio.sleep(1)
        await node.intake.gate_command(NAME, DrainGate(CAUSE))
        before = [type(event).__name__ for event in world.gate_events()]
        await asyncio.sleep(5)
        return before, [type(event).__name__ for event in world.gate_events()]

    assert world.live(main) == (
        ["GateOpened", "GatePaused"],
        ["GateOpened", "GatePaused", "GateDrained"],
    )
    assert len(world.endpoint.sent) == 1


# --- submissions ------------------------------------------------------------------------------


def test_a_closed_or_unknown_gate_takes_no_submission() -> None:
    """Semantics 8.1 and 1."""
    world = World()
    wish = SubmitTask(gate=NAME, request=Request("http://127.0.0.1/"))

    async def main(node: Node) -> list[object]:
        unknown = await node.intake.submit([wish], CAUSE)
        await open_gate(node, settings())
        await node.intake.gate_command(NAME, CloseGate(CAUSE))
        closed = await node.intake.submit([wish], CAUSE)
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        return [*unknown, *closed, *await node.intake.submit([wish], CAUSE)]

    unknown, closed, taken = world.live(main)

    assert isinstance(unknown, Rejected)
    assert isinstance(closed, Rejected)
    assert (unknown.code, closed.code) == ("not_found", "closed")
    assert isinstance(taken, Accepted)


def test_a_key_is_one_task_however_often_it_is_used() -> None:
    """Semantics 2.6, in one batch and over several."""
    world = World()
    wish = SubmitTask(gate=NAME, request=Request("http://127.0.0.1/"), key="k")
    other = SubmitTask(gate=NAME, request=Request("http://127.0.0.1/other"), key="k")

    async def main(node: Node) -> list[object]:
        await open_gate(node, settings())
        together = await node.intake.submit([wish, wish, other], CAUSE)
        await asyncio.sleep(1)
        return [*together, *await node.intake.submit([wish, other], CAUSE)]

    first, second, third, fourth, fifth = world.live(main)

    assert isinstance(first, Accepted)
    assert second == fourth == Replayed(first.task_id)
    assert isinstance(third, Rejected)
    assert isinstance(fifth, Rejected)
    assert (third.code, fifth.code) == ("conflict", "conflict")
    assert len(world.endpoint.sent) == 1


def test_a_gate_takes_no_more_than_its_max_backlog() -> None:
    """Semantics 8.1."""
    world = World()
    wish = SubmitTask(gate=NAME, request=Request("http://127.0.0.1/"), delay_ns=DAY)

    async def main(node: Node) -> list[str]:
        chosen = settings()
        await open_gate(node, type(chosen)(limits=chosen.limits, max_backlog=3))
        answers = await node.intake.submit([wish] * 5, CAUSE)
        answers += await node.intake.submit([wish], CAUSE)
        return [a.code if isinstance(a, Rejected) else "accepted" for a in answers]

    assert world.live(main) == ["accepted"] * 3 + ["overloaded"] * 3


# --- the store's trouble ----------------------------------------------------------------------


def test_while_the_store_is_away_submissions_are_refused_and_the_rest_goes_on_after() -> None:
    """Hard spots 3."""
    world = World()
    world.endpoint.takes_s = 0.5

    async def main(node: Node) -> object:
        await open_gate(node, settings(concurrency=1))
        await submit(node, 3)
        await asyncio.sleep(0.2)
        world.trouble = [NotStored("disk is full")] * 4
        await asyncio.sleep(0.5)  # the end of the first cannot be stored
        (refused,) = await node.intake.submit(
            [SubmitTask(gate=NAME, request=Request("http://127.0.0.1/"))], CAUSE
        )
        await asyncio.sleep(30)
        return refused

    assert world.live(main) == Refused("disk is full")
    assert len(world.endpoint.sent) == 3
    assert {world.row(sent.task).state for sent in world.endpoint.sent} == {"succeeded"}


def test_a_store_that_is_away_is_not_asked_how_much_waits() -> None:
    """Whoever submits hears at once that it is away, also where `max_backlog` bounds the gate."""
    world = World()

    async def never(_names: object) -> None:
        await asyncio.sleep(3600)

    async def main(node: Node) -> object:
        await open_gate(node, replace(settings(), max_backlog=5))
        await submit(node, delay_ns=SECOND)
        world.trouble = [NotStored("disk is full")] * 100
        await asyncio.sleep(2)  # its start cannot be stored
        vars(world)["gate_rows"] = never
        wish = SubmitTask(gate=NAME, request=Request("http://127.0.0.1/"))
        async with asyncio.timeout(1):
            return await node.intake.submit([wish], CAUSE)

    assert world.live(main) == [Refused("disk is full")]


def test_an_unknown_outcome_of_a_commit_ends_the_process() -> None:
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings())
        await submit(node, delay_ns=SECOND)
        world.trouble = [Unknown("disk I/O error")]
        await asyncio.sleep(5)

    world.live(main)

    assert world.fatal == ["disk I/O error"]
    assert world.endpoint.sent == []


# --- crashes of parts -------------------------------------------------------------------------


def test_a_gate_that_crashes_goes_on_with_what_is_in_flight() -> None:
    """No second send, no lost end, no slot lost."""
    world = World()
    world.endpoint.takes_s = 2

    async def main(node: Node) -> int:
        await open_gate(node, settings(concurrency=2))
        await submit(node, 6)
        for _ in range(3):
            await asyncio.sleep(1)
            crash_gate(node)
        await asyncio.sleep(30)
        actor = node.gates.live(NAME)
        assert actor is not None
        assert actor.gate is not None
        return actor.gate.in_flight

    assert world.live(main) == 0
    assert len(world.endpoint.sent) == 6
    assert {world.row(sent.task).state for sent in world.endpoint.sent} == {"succeeded"}
    assert sum(isinstance(incident, Crashed) for incident in world.incidents) == 3
    assert sum(isinstance(incident, Restarted) for incident in world.incidents) == 3


def test_a_gate_that_crashes_sends_what_its_pacer_held() -> None:
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings(Rate(20.0, SECOND, 1)))
        await submit(node, 10)
        await asyncio.sleep(0.12)
        crash_gate(node)
        await asyncio.sleep(5)

    world.live(main)

    at = [sent.at for sent in world.endpoint.sent]
    assert len(at) == 10
    assert min(b - a for a, b in pairwise(at)) >= 0.05 - 1e-9


def test_a_task_that_crashes_its_actor_is_dead_after_its_attempts_and_others_live() -> None:
    """Poison: each attempt was durable before it was made."""
    world = World()

    def answer(_outbound: object) -> Responded:
        if len(world.endpoint.sent) > 1:
            raise KeyError("a bug")
        return OK

    world.endpoint.answer = answer

    async def main(node: Node) -> tuple[TaskId, TaskId]:
        await open_gate(node, settings(concurrency=1))
        (good,) = await submit(node)
        await asyncio.sleep(1)
        (poison,) = await submit(node, retry=Retry(max_attempts=2, jitter="none"))
        await asyncio.sleep(60)
        return good, poison

    good, poison = world.live(main)

    assert world.row(good).state == "succeeded"
    assert world.names_of(poison) == ["TaskSubmitted", *["AttemptStarted", "AttemptFailed"] * 2]
    last = world.events_of(poison)[-1]
    assert isinstance(last, AttemptFailed)
    assert (last.outcome, last.reason) == ("crashed", "poison")


def test_of_a_task_that_crashes_its_actor_neither_gate_nor_neighbours_notice() -> None:
    """Each crash is an event that names it; nothing is restarted, nothing is late."""
    world = World()
    poison: list[TaskId] = []

    def answer(outbound: Outbound) -> Responded:
        if dict(outbound.headers)["TaskMaster-Task"] in poison:
            raise KeyError("a bug")
        return OK

    world.endpoint.answer = answer

    async def main(node: Node) -> None:
        for gate in (NAME, B):
            await open_gate(node, settings(concurrency=1), gate)
        poison.extend(await submit(node, retry=Retry(max_attempts=4, jitter="none")))
        for gate in (NAME, B):
            await submit(node, 20, gate=gate, delay_ns=SECOND)
        await asyncio.sleep(1.5)
        assert len({sent.task for sent in world.endpoint.sent}) == 41
        await asyncio.sleep(30)

    world.live(main)

    assert world.row(poison[0]).state == "dead"
    assert [type(incident) for incident in world.incidents] == [Crashed] * 4
    events = world.store.reader().events(after=Position(0))
    crashes = [r.event for r in events if isinstance(r.event, ActorCrashed)]
    assert {(e.path, e.error) for e in crashes} == {
        (f"gates/{NAME}/tasks/{poison[0]}", "KeyError: 'a bug'")
    }
    assert len(crashes) == 4


def test_an_end_that_is_recorded_after_its_actors_crash_is_the_tasks_end() -> None:
    """Found by simulation: the gate counted an attempt for ever that nobody carried."""
    world = World()

    async def main(node: Node) -> tuple[TaskId, int]:
        await open_gate(node, settings())
        (task,) = await submit(node)
        world.commit_s = 0.5
        while "AttemptStarted" not in world.names_of(task):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.4)
        flight = node.gates.units[NAME].line.tasks
        assert flight is not None
        ref = flight.running[task].ref
        assert ref is not None
        tell(ref, "a bug")
        await asyncio.sleep(5)
        actor = node.gates.live(NAME)
        return task, actor.gate.in_flight if actor is not None and actor.gate is not None else 0

    task, in_flight = world.live(main)

    assert world.names_of(task) == ["TaskSubmitted", "AttemptStarted", "AttemptSucceeded"]
    assert in_flight == 0
    assert len(world.endpoint.sent) == 1


def test_a_unit_that_gives_up_leaves_its_siblings_alone_and_comes_back() -> None:
    """Quarantine: after six crashes in a minute it is left alone for five."""
    world = World()

    async def main(node: Node) -> tuple[int, int]:
        for gate in (NAME, B):
            await open_gate(node, settings(), gate)
            await submit(node, gate=gate, delay_ns=3 * SECOND // 2)
        for _ in range(6):
            await asyncio.sleep(0.05)
            crash_gate(node)
        await asyncio.sleep(10)
        during = len(world.endpoint.sent)
        await asyncio.sleep(6 * 60)
        return during, len(world.endpoint.sent)

    assert world.live(main) == (1, 2)
    assert [i.path for i in world.incidents if isinstance(i, GaveUp)] == ["gates/gate"]


# --- idle, kill and stop ----------------------------------------------------------------------


def test_a_gate_that_was_idle_for_long_wakes_for_a_submission() -> None:
    world = World()

    async def main(node: Node) -> float:
        await open_gate(node, settings())
        await submit(node)
        await asyncio.sleep(300)
        began = asyncio.get_running_loop().time()
        await submit(node)
        await asyncio.sleep(1)
        return began

    began = world.live(main)

    assert world.endpoint.sent[1].at - began < 0.1


def test_after_a_kill_an_open_attempt_is_interrupted_and_sent_again() -> None:
    """Semantics 2.4."""
    world = World()
    world.endpoint.takes_s = 5

    async def first(node: Node) -> tuple[TaskId, TaskId]:
        await open_gate(node, settings())
        (again,) = await submit(node)
        (held,) = await submit(node, idempotent=False)
        await asyncio.sleep(1)
        return again, held

    async def second(node: Node) -> None:
        await asyncio.sleep(30)

    again, held = world.live(first)
    world.live(second)

    assert world.names_of(again) == [
        "TaskSubmitted",
        "AttemptStarted",
        "AttemptFailed",
        "AttemptStarted",
        "AttemptSucceeded",
    ]
    assert world.row(held).state == "uncertain"
    assert [sent.attempt for sent in world.endpoint.sent if sent.task == again] == [1, 2]
    assert len([sent for sent in world.endpoint.sent if sent.task == held]) == 1


def test_time_paused_does_not_count_against_an_attempt_that_a_kill_interrupts() -> None:
    """Semantics 5: one failure, a pause of two minutes, a kill during the second attempt."""
    world = World()
    world.endpoint.answer = Responded(500, 1)

    async def first(node: Node) -> TaskId:
        await open_gate(node, settings())
        (task,) = await submit(node, retry=Retry(jitter="none", max_elapsed_ns=60 * SECOND))
        await asyncio.sleep(0.5)
        await node.intake.gate_command(NAME, PauseGate(CAUSE))
        await asyncio.sleep(120)
        world.endpoint.takes_s = 20
        await node.intake.gate_command(NAME, ResumeGate(CAUSE))
        await asyncio.sleep(1)
        return task

    async def second(node: Node) -> None:
        await asyncio.sleep(5)

    task = world.live(first)
    assert world.names_of(task)[-1] == "AttemptStarted"
    world.live(second)

    assert world.names_of(task)[-2:] == ["AttemptFailed", "AttemptStarted"]


def test_a_rate_holds_across_a_kill() -> None:
    """Semantics 3.5."""
    world = World()

    async def main(node: Node) -> None:
        await open_gate(node, settings(Rate(0.2, SECOND, 2), concurrency=100))
        await submit(node, 6)
        await asyncio.sleep(3)

    for _ in range(4):
        world.live(main)

    at = [sent.at for sent in world.endpoint.sent]
    assert len(at) >= 3
    for first in range(len(at)):
        for last in range(first, len(at)):
            assert last - first + 1 <= 2 + 0.2 * (at[last] - at[first]) + 1e-9


def test_a_stop_lets_what_is_in_flight_end_and_starts_nothing_more() -> None:
    world = World()
    world.endpoint.takes_s = 2

    async def first(node: Node) -> None:
        await open_gate(node, settings(concurrency=2))
        await submit(node, 6)
        await asyncio.sleep(1)
        await node.stop(10)

    async def second(node: Node) -> None:
        await asyncio.sleep(30)

    world.live(first)
    assert len(world.endpoint.sent) == 2
    assert {world.row(sent.task).state for sent in world.endpoint.sent} == {"succeeded"}

    world.live(second)

    assert len(world.endpoint.sent) == 6
    assert all(sent.attempt == 1 for sent in world.endpoint.sent)


def test_a_stop_waits_no_longer_than_its_grace() -> None:
    world = World()
    world.endpoint.takes_s = 3_600

    async def main(node: Node) -> float:
        await open_gate(node, settings())
        await submit(node, timeout_ns=3_600 * SECOND)
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await node.stop(5)
        return asyncio.get_running_loop().time() - began

    assert world.live(main) == pytest.approx(5, abs=0.1)


def test_the_tree_shows_the_node_and_each_gate_with_work() -> None:
    world = World()

    async def main(node: Node) -> list[str]:
        await open_gate(node, settings())
        await submit(node)
        await asyncio.sleep(1)
        return [info.path for info in node.tree()]

    assert world.live(main) == [
        "node",
        "node/journal",
        "node/gates",
        "gates/gate",
        "gates/gate/tasks",
        "gates/gate/gate",
    ]


def test_a_task_that_always_fails_keeps_no_gate_from_recovering() -> None:
    """Semantics 4.3: a probe uses up no attempt, so the most urgent would be tried for ever."""
    world = World()
    poison: list[TaskId] = []

    def answer(outbound: Outbound) -> Answer:
        bad = dict(outbound.headers)["TaskMaster-Task"] in poison
        return Responded(500 if bad or len(world.endpoint.sent) <= 5 else 200, 1)

    world.endpoint.answer = answer

    async def main(node: Node) -> None:
        await open_gate(node, settings(concurrency=1))
        again = Retry(jitter="none", min_backoff_ns=SECOND // 10, max_backoff_ns=SECOND // 10)
        poison.extend(await submit(node, priority=9, retry=again))
        await submit(node, 20)
        await asyncio.sleep(300)

    world.live(main)

    ended = [world.row(sent.task).state for sent in world.endpoint.sent]
    assert ended.count("succeeded") >= 20
