"""A task's life by the table of semantics 5: what answers, time and commands make of it."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    AttemptFailed,
    AttemptSucceeded,
    CancelRequested,
    EndReason,
    Next,
    Occurrence,
    Retry,
    SeriesName,
    TaskCancelled,
    TaskDied,
    TaskEvent,
    TaskExpired,
    TaskRescheduled,
    TaskRevived,
    Version,
    Wall,
)
from taskmaster.model.rejected import Rejected
from taskmaster.model.retry import Answer, Responded, Trouble, Unanswered
from taskmaster.model.task import (
    StoredState,
    Task,
    crashed,
    end_before_start,
    evolve,
    fold,
    interrupted,
    may_resend,
    settle,
    state_name,
)
from taskmaster.model.task_control import (
    CancelAnswer,
    CancelTask,
    RedriveTask,
    RescheduleTask,
    RunTask,
    TaskCommand,
    cancel_answer,
    decide,
)
from tests.unit.model.builders import (
    CAUSE,
    NAME,
    NOW,
    TASK,
    failed,
    moment,
    mono,
    started,
    submitted,
    succeeded,
    voided,
    waiting_task,
    wall,
)

PLAIN = Retry(jitter="none", min_backoff_ns=SECOND)
"""Back-off of 1, 2, 4 seconds and so on."""


def responded(status: int, retry_after: str | None = None) -> Responded:
    return Responded(status=status, duration_ns=MILLISECOND, retry_after=retry_after)


def unanswered(trouble: Trouble) -> Unanswered:
    return Unanswered(trouble, duration_ns=MILLISECOND, error="no answer")


def after(task: Task, *events: TaskEvent) -> Task:
    for event in events:
        task = evolve(task, event)
    return task


def in_flight(
    *,
    retry: Retry = PLAIN,
    method: str = "POST",
    idempotent: bool = True,
    expires_at: Wall | None = None,
    used: int = 0,
    probe: bool = False,
    stopped_ns: int = 0,
    started_at: Wall = NOW,
) -> Task:
    """A task whose next attempt is open; `used` attempts have failed before it."""
    task = waiting_task(retry=retry, method=method, idempotent=idempotent, expires_at=expires_at)
    for attempt in range(1, used + 1):
        task = after(task, started(attempt, at=started_at), failed(attempt=attempt, at=started_at))
    return after(task, started(used + 1, at=started_at, stopped_ns=stopped_ns, probe=probe))


def failure(task: Task, answer: Answer, at: Wall = NOW, *, stopped_ns: int = 0) -> AttemptFailed:
    ended = settle(task, answer, moment(at, stopped_ns=stopped_ns))
    assert isinstance(ended, AttemptFailed)
    return ended


def what_follows(ended: AttemptFailed) -> tuple[Next, EndReason]:
    return ended.next, ended.reason


# --- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_ends_the_task_well(status: int) -> None:
    """Semantics 5."""
    answer = Responded(status=status, duration_ns=7, body=b"ok", truncated=True)

    ended = settle(in_flight(used=1), answer, moment(wall(3)))

    assert ended == AttemptSucceeded(
        at=wall(3),
        gate=NAME,
        attempt=2,
        status=status,
        duration_ns=7,
        response=b"ok",
        truncated=True,
    )
    done = evolve(in_flight(used=1), ended)
    assert (done.state, done.ended_at, done.reason) == ("succeeded", wall(3), "")


@pytest.mark.parametrize(
    ("answer", "delivered", "follows", "used"),
    [
        (unanswered("dns"), "no", ("retry", ""), True),
        (unanswered("refused"), "no", ("retry", ""), True),
        (unanswered("tls"), "no", ("retry", ""), True),
        (unanswered("connect_timeout"), "no", ("retry", ""), True),
        (unanswered("timeout"), "unknown", ("retry", ""), True),
        (unanswered("reset"), "unknown", ("retry", ""), True),
        (unanswered("certificate"), "no", ("dead", "permanent"), True),
        (unanswered("egress"), "no", ("dead", "permanent"), True),
        (responded(301), "yes", ("dead", "permanent"), True),
        (responded(400), "yes", ("dead", "permanent"), True),
        (responded(404), "yes", ("dead", "permanent"), True),
        (responded(408), "yes", ("retry", ""), True),
        (responded(425), "yes", ("retry", ""), True),
        (responded(429), "yes", ("retry", ""), False),
        (responded(429, "5"), "yes", ("retry", ""), False),
        (responded(500), "yes", ("retry", ""), True),
        (responded(503), "yes", ("retry", ""), True),
        (responded(503, "5"), "yes", ("retry", ""), False),
    ],
)
def test_an_answer_means_this_for_the_task(
    answer: Answer, delivered: str, follows: tuple[Next, EndReason], used: bool
) -> None:
    """Semantics 5, the whole table."""
    ended = failure(in_flight(), answer)

    assert (ended.delivered, what_follows(ended), ended.used) == (delivered, follows, used)


@pytest.mark.parametrize("trouble", ["timeout", "reset"])
@pytest.mark.parametrize(
    ("method", "idempotent", "follows"),
    [
        ("POST", True, "retry"),
        ("POST", False, "uncertain"),
        ("PATCH", False, "uncertain"),
        ("PUT", False, "retry"),
        ("GET", False, "retry"),
        ("DELETE", False, "retry"),
        ("HEAD", False, "retry"),
        ("OPTIONS", False, "retry"),
    ],
)
def test_an_unknown_outcome_is_sent_again_only_where_that_does_no_harm(
    trouble: Trouble, method: str, idempotent: bool, follows: Next
) -> None:
    """Semantics 2.4."""
    task = in_flight(method=method, idempotent=idempotent)

    ended = failure(task, unanswered(trouble))

    assert ended.next == follows
    assert may_resend(task) is (follows == "retry")


@pytest.mark.parametrize(
    "answer", [unanswered("refused"), unanswered("connect_timeout"), responded(500)]
)
def test_what_certainly_failed_is_sent_again_whatever_the_method(answer: Answer) -> None:
    """Semantics 2.4: only uncertain attempts are held."""
    assert failure(in_flight(idempotent=False), answer).next == "retry"


def test_an_uncertain_task_is_held_until_someone_decides() -> None:
    """Semantics 2.4."""
    task = in_flight(idempotent=False)

    task = evolve(task, failure(task, unanswered("timeout")))

    assert (task.state, task.ended_at, task.used) == ("uncertain", None, 1)


# --- what stops retrying ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_attempts", "used", "follows"),
    [
        (1, 0, ("dead", "attempts")),
        (2, 0, ("retry", "")),
        (5, 3, ("retry", "")),
        (5, 4, ("dead", "attempts")),
    ],
)
def test_max_attempts_counts_the_first_one(
    max_attempts: int, used: int, follows: tuple[Next, EndReason]
) -> None:
    """Semantics 1 and 5."""
    task = in_flight(retry=replace(PLAIN, max_attempts=max_attempts), used=used)

    assert what_follows(failure(task, responded(500))) == follows


def test_being_throttled_never_uses_up_an_attempt() -> None:
    """Semantics 4.6."""
    task = in_flight(retry=replace(PLAIN, max_attempts=1))
    for attempt in range(1, 50):
        task = evolve(task, failure(task, responded(429)))
        assert (task.state, task.used) == ("waiting", 0)
        task = evolve(task, started(attempt + 1))

    assert task.sends == 50


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        (responded(500), False),
        (unanswered("refused"), False),
        (unanswered("timeout"), False),
        (responded(408), True),
        (responded(404), True),
    ],
)
def test_a_failed_probe_uses_up_no_attempt(answer: Answer, used: bool) -> None:
    """Semantics 4.3: by connection, timeout or 5xx."""
    ended = failure(in_flight(retry=replace(PLAIN, max_attempts=2), probe=True), answer)

    assert ended.used is used


def test_a_crash_of_ours_uses_up_an_attempt_of_a_probe_too() -> None:
    """Semantics 4.3."""
    task = in_flight(probe=True)

    assert interrupted(task, moment()).used
    assert crashed(task, moment(), "bug").used


def test_the_next_attempt_after_a_probe_counts_again() -> None:
    task = in_flight(probe=True)
    task = evolve(task, failure(task, responded(500)))

    task = evolve(task, started(2))

    assert failure(task, responded(500)).used


@pytest.mark.parametrize(
    ("elapsed_s", "follows"),
    [(58, ("retry", "")), (59, ("retry", "")), (59.001, ("dead", "elapsed"))],
)
def test_max_elapsed_counts_from_the_first_start_up_to_the_next(
    elapsed_s: float, follows: tuple[Next, EndReason]
) -> None:
    """Semantics 5: the retry would come a second later."""
    task = in_flight(retry=replace(PLAIN, max_elapsed_ns=MINUTE))

    assert what_follows(failure(task, responded(500), wall(elapsed_s))) == follows


def test_time_in_which_the_gate_was_stopped_is_not_elapsed() -> None:
    """Semantics 5: only what came after the task's first start."""
    task = in_flight(retry=replace(PLAIN, max_elapsed_ns=MINUTE), stopped_ns=HOUR)

    assert failure(task, responded(500), wall(90), stopped_ns=HOUR).next == "dead"
    stopped_for_a_minute = HOUR + MINUTE
    assert failure(task, responded(500), wall(90), stopped_ns=stopped_for_a_minute).next == "retry"


def test_a_retry_that_would_come_too_late_is_the_end() -> None:
    """Semantics 5: whichever comes first."""
    task = in_flight(expires_at=wall(10))

    assert what_follows(failure(task, responded(500), wall(8))) == ("retry", "")
    assert what_follows(failure(task, responded(500), wall(9))) == ("expired", "deadline")


def test_attempts_go_before_the_deadline_and_the_deadline_before_elapsed_time() -> None:
    retry = replace(PLAIN, max_attempts=1, max_elapsed_ns=SECOND)
    late = wall(100)

    attempts = in_flight(retry=retry, expires_at=wall(50))
    deadline = in_flight(retry=replace(retry, max_attempts=2), expires_at=wall(50))
    elapsed = in_flight(retry=replace(retry, max_attempts=2))

    assert what_follows(failure(attempts, responded(500), late)) == ("dead", "attempts")
    assert what_follows(failure(deadline, responded(500), late)) == ("expired", "deadline")
    assert what_follows(failure(elapsed, responded(500), late)) == ("dead", "elapsed")


def test_a_throttled_task_is_bounded_by_its_deadline_and_its_elapsed_time() -> None:
    """Semantics 4.6."""
    deadline = in_flight(expires_at=wall(60))
    elapsed = in_flight(retry=replace(PLAIN, max_elapsed_ns=MINUTE))

    assert what_follows(failure(deadline, responded(429, "60"))) == ("expired", "deadline")
    assert what_follows(failure(elapsed, responded(429, "61"))) == ("dead", "elapsed")


def test_retry_on_widens_what_is_tried_again() -> None:
    """Semantics 5."""
    task = in_flight(retry=replace(PLAIN, retry_on=(404,)))

    assert failure(task, responded(404)).next == "retry"
    assert failure(task, responded(404)).fault == "task"
    assert failure(task, responded(410)).next == "dead"


# --- when the retry comes ---------------------------------------------------------------------


def test_the_back_off_doubles_with_each_attempt_that_was_used() -> None:
    """Semantics 5."""
    waits = [
        (failure(in_flight(used=used), responded(500)).retry_at or NOW) - NOW for used in range(4)
    ]

    assert waits == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]


def test_a_throttled_task_and_its_gate_wait_as_long_as_was_asked() -> None:
    """Semantics 4.6; the gate's release is spread by up to a second."""
    ended = settle(in_flight(), responded(429, "5"), moment(u_gate=0.5))

    assert isinstance(ended, AttemptFailed)
    assert ended.retry_at == wall(5)
    assert ended.throttle_until == mono(5.25)


@given(
    st.integers(1, 86_400),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([429, 503]),
)
def test_a_throttled_gate_is_never_released_early_nor_all_at_once(
    asked_s: int, u_gate: float, status: int
) -> None:
    """Semantics 4.6 and 4.9."""
    ended = settle(in_flight(), responded(status, str(asked_s)), moment(u_gate=u_gate))

    assert isinstance(ended, AttemptFailed)
    assert ended.throttle_until is not None
    assert mono(asked_s) <= ended.throttle_until <= mono(asked_s + 1)


def test_a_429_that_names_no_moment_waits_for_the_back_off() -> None:
    """Semantics 4.6."""
    ended = settle(in_flight(used=2), responded(429), moment(u_gate=0.0))

    assert isinstance(ended, AttemptFailed)
    assert (ended.retry_at, ended.throttle_until) == (wall(4), mono(4))


@pytest.mark.parametrize("answer", [responded(500), responded(404), unanswered("refused")])
def test_other_failures_throttle_nobody(answer: Answer) -> None:
    assert failure(in_flight(), answer).throttle_until is None


@given(
    st.sampled_from([responded(500), responded(429), responded(408), unanswered("timeout")]),
    st.integers(1, 10),
    st.integers(0, 12),
    st.integers(0, 2 * HOUR),
    st.integers(0, HOUR),
    st.one_of(st.none(), st.integers(1, 2 * HOUR)),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
)
def test_whatever_comes_of_an_attempt_keeps_the_bounds(
    answer: Answer,
    max_attempts: int,
    used: int,
    elapsed_ns: int,
    stopped_ns: int,
    expires_ns: int | None,
    u: float,
    cancelled: bool,
) -> None:
    """Semantics 5: a retry lies before the deadline and within the elapsed time, attempts are
    never more than allowed; every end is final or waits, and only a retry has a time."""
    retry = Retry(max_attempts=max_attempts, max_elapsed_ns=HOUR)
    task = waiting_task(
        retry=retry, expires_at=None if expires_ns is None else Wall(NOW + expires_ns)
    )
    task = after(task, started())
    task = replace(task, used=min(used, max_attempts - 1), cancel_requested=cancelled)
    at = Wall(NOW + elapsed_ns)

    ended = settle(task, answer, moment(at, stopped_ns=stopped_ns, u=u))

    assert isinstance(ended, AttemptFailed)
    ends = evolve(task, ended)
    assert ends.used <= max_attempts
    assert (ended.retry_at is None) == (ended.next != "retry")
    if ended.retry_at is not None:
        assert not cancelled
        assert at < ended.retry_at
        assert task.expires_at is None or ended.retry_at < task.expires_at
        assert ended.retry_at - NOW - stopped_ns <= HOUR
    if cancelled:
        assert what_follows(ended) == ("cancelled", "command")


# --- ours -------------------------------------------------------------------------------------


def test_an_interrupted_attempt_counts_and_is_sent_again_where_it_may_be() -> None:
    """Semantics 2.4."""
    ended = interrupted(in_flight(), moment())

    assert (ended.outcome, ended.fault, ended.delivered) == ("interrupted", "none", "unknown")
    assert (ended.next, ended.used) == ("retry", True)
    held = interrupted(in_flight(idempotent=False), moment())
    assert (held.next, held.used) == ("uncertain", True)


def test_a_task_that_crashes_its_actor_is_dead_by_its_own_attempts() -> None:
    """No poison loops for ever."""
    last = in_flight(retry=replace(PLAIN, max_attempts=2), used=1)

    assert what_follows(crashed(last, moment(), "KeyError()")) == ("dead", "poison")
    assert what_follows(interrupted(last, moment())) == ("dead", "attempts")
    assert crashed(last, moment(), "KeyError()").error == "KeyError()"


def test_neither_is_the_endpoints_fault() -> None:
    assert crashed(in_flight(), moment(), "").fault == "none"
    assert interrupted(in_flight(), moment()).fault == "none"


# --- before a start ---------------------------------------------------------------------------


def test_a_task_past_its_deadline_expires_instead_of_starting() -> None:
    """Semantics 5: it spends nothing."""
    task = waiting_task(expires_at=wall(10))

    assert end_before_start(task, Wall(wall(10) - 1), 0) is None
    assert end_before_start(task, wall(10), 0) == TaskExpired(at=wall(10), gate=NAME)


def test_a_task_whose_time_was_used_up_while_it_waited_is_dead() -> None:
    task = in_flight(retry=replace(PLAIN, max_elapsed_ns=MINUTE))
    task = evolve(task, failure(task, responded(500)))

    assert end_before_start(task, wall(60), 0) is None
    assert end_before_start(task, wall(61), 0) == TaskDied(at=wall(61), gate=NAME, reason="elapsed")
    assert end_before_start(task, wall(61), 10 * SECOND) is None


def test_a_task_that_was_never_started_waits_as_long_as_it_takes() -> None:
    """Semantics 4.6: `max_elapsed` begins with the first attempt."""
    task = waiting_task(retry=replace(PLAIN, max_elapsed_ns=SECOND))

    assert end_before_start(task, wall(10**6), 0) is None


# --- folding ----------------------------------------------------------------------------------


def test_a_task_begins_waiting() -> None:
    """Semantics 2.3."""
    task = waiting_task(due_at=wall(5), expires_at=wall(60))

    assert (task.state, task.version, task.due_at) == ("waiting", Version(1), wall(5))
    assert (task.sends, task.used, task.expires_at) == (0, 0, wall(60))


@pytest.mark.parametrize(("now_s", "name"), [(4, "scheduled"), (5, "waiting"), (6, "waiting")])
def test_a_task_that_waits_is_scheduled_until_it_is_due(now_s: int, name: str) -> None:
    """Semantics 2.3."""
    assert state_name(waiting_task(due_at=wall(5)), wall(now_s)) == name


def test_other_states_do_not_depend_on_the_time() -> None:
    assert state_name(in_flight(), Wall(0)) == "in_flight"


def test_a_start_opens_an_attempt_and_the_first_one_starts_the_clocks() -> None:
    task = after(waiting_task(), started(at=wall(3), stopped_ns=7))
    task = after(task, failed(at=wall(4)), started(2, at=wall(9), stopped_ns=99))

    assert (task.state, task.starts, task.sends) == ("in_flight", 2, 2)
    assert (task.first_started_at, task.first_stopped_ns) == (wall(3), 7)


def test_a_start_that_was_never_sent_does_not_begin_max_elapsed() -> None:
    """Semantics 3.8 and 5: from the first start; void is certainly not sent."""
    task = after(waiting_task(), started(at=wall(3), stopped_ns=7), voided(at=wall(4)))
    assert (task.first_started_at, task.first_stopped_ns) == (None, 0)

    task = after(task, started(2, at=wall(9), stopped_ns=8), failed(attempt=2, at=wall(10)))
    assert (task.first_started_at, task.first_stopped_ns) == (wall(9), 8)

    task = after(task, started(3, at=wall(11)), voided(3, at=wall(12)))
    assert (task.first_started_at, task.first_stopped_ns) == (wall(9), 8)


def test_nor_does_one_after_a_redrive() -> None:
    task = after(waiting_task(), started(at=wall(3)), failed(at=wall(4), follows="dead"))
    revived = TaskRevived(at=wall(5), cause=CAUSE, gate=NAME, due_at=wall(5))

    task = after(task, revived, started(2, at=wall(6)), voided(2, at=wall(7)))

    assert task.first_started_at is None


def test_a_voided_start_was_no_send_and_uses_up_nothing() -> None:
    """Semantics 2.4 and 3.8."""
    task = after(waiting_task(), started(), voided())

    assert (task.state, task.starts, task.sends, task.used) == ("waiting", 1, 0, 0)
    assert after(task, started(2)).sends == 1


def test_a_retry_is_due_when_its_back_off_is_over() -> None:
    task = after(waiting_task(), started(), replace(failed(), retry_at=wall(30)))

    assert (task.state, task.due_at, task.used) == ("waiting", wall(30), 1)


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (TaskCancelled(at=wall(5), gate=NAME), "cancelled", "command"),
        (TaskExpired(at=wall(5), gate=NAME), "expired", "deadline"),
        (TaskDied(at=wall(5), gate=NAME, reason="elapsed"), "dead", "elapsed"),
        (succeeded(at=wall(5)), "succeeded", ""),
        (replace(failed(at=wall(5), follows="dead"), reason="attempts"), "dead", "attempts"),
        (replace(failed(at=wall(5), follows="expired"), reason="deadline"), "expired", "deadline"),
        (
            replace(failed(at=wall(5), follows="cancelled"), reason="command"),
            "cancelled",
            "command",
        ),
    ],
)
def test_an_end_has_a_state_a_reason_and_a_time(
    end: TaskEvent, state: StoredState, reason: EndReason
) -> None:
    """Semantics 2.3: one of four final states."""
    task = after(in_flight(), end)

    assert (task.state, task.reason, task.ended_at) == (state, reason, wall(5))


def test_catch_up_brings_another_nominal_time_and_its_deadline() -> None:
    """Semantics 6.2: the same task takes over."""
    run = Occurrence(SeriesName("s"), Version(1), number=4, nominal_at=wall(60))
    task = after(
        waiting_task(expires_at=wall(10)),
        TaskRescheduled(at=NOW, gate=NAME, due_at=wall(60), occurrence=run, expires_at=wall(90)),
    )
    assert (task.due_at, task.occurrence, task.expires_at) == (wall(60), run, wall(90))

    task = after(task, TaskRescheduled(at=NOW, gate=NAME, due_at=wall(70)))

    assert (task.due_at, task.occurrence, task.expires_at) == (wall(70), run, wall(90))


def test_the_first_event_comes_once() -> None:
    with pytest.raises(AssertionError):
        evolve(waiting_task(), submitted())
    with pytest.raises(AssertionError):
        fold(TASK, (started(),))


# --- commands ---------------------------------------------------------------------------------

UNCERTAIN = after(in_flight(idempotent=False), failed(follows="uncertain"))
SUCCEEDED = after(in_flight(), succeeded())
DEAD = after(in_flight(), failed(follows="dead"))
CANCELLED = after(waiting_task(), TaskCancelled(at=NOW, gate=NAME))
EXPIRED = after(waiting_task(), TaskExpired(at=NOW, gate=NAME))
ENDED = (SUCCEEDED, DEAD, CANCELLED, EXPIRED)


@pytest.mark.parametrize(
    ("task", "events", "answer"),
    [
        (waiting_task(), (TaskCancelled(at=NOW, cause=CAUSE, gate=NAME),), "cancelled"),
        (in_flight(), (CancelRequested(at=NOW, cause=CAUSE, gate=NAME),), "cancel_requested"),
        (
            after(in_flight(), CancelRequested(at=NOW, gate=NAME)),
            (),
            "cancel_requested",
        ),
        (UNCERTAIN, (), "uncertain"),
        *((task, (), "already_done") for task in ENDED),
    ],
)
def test_a_cancel_answers_one_of_four(
    task: Task, events: tuple[TaskEvent, ...], answer: CancelAnswer
) -> None:
    """Semantics 8.2."""
    assert decide(task, CancelTask(CAUSE), NOW) == events
    assert cancel_answer(task) == answer


def test_a_cancel_after_attempts_says_how_often_it_was_sent() -> None:
    """Semantics 8.2."""
    task = after(waiting_task(), started(), failed(), started(2), failed(attempt=2))

    task = after(task, TaskCancelled(at=NOW, gate=NAME))

    assert (task.state, task.sends) == ("cancelled", 2)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (responded(200), "succeeded"),
        (responded(500), "cancelled"),
        (responded(404), "cancelled"),
        (responded(429, "5"), "cancelled"),
        (unanswered("timeout"), "cancelled"),
        (unanswered("refused"), "cancelled"),
    ],
)
def test_after_a_cancel_request_a_success_ends_well_and_anything_else_as_cancelled(
    answer: Answer, state: StoredState
) -> None:
    """Semantics 8.2: no further attempt."""
    task = after(in_flight(idempotent=False), CancelRequested(at=NOW, gate=NAME))

    assert evolve(task, settle(task, answer, moment())).state == state


def test_a_crash_after_a_cancel_request_ends_as_cancelled_too() -> None:
    task = after(in_flight(), CancelRequested(at=NOW, gate=NAME))

    assert what_follows(interrupted(task, moment())) == ("cancelled", "command")
    assert what_follows(crashed(task, moment(), "")) == ("cancelled", "command")


def refused(task: Task, command: TaskCommand) -> tuple[str, str]:
    """Its code and field; nothing changed, for there is no event."""
    no = decide(task, command, NOW)
    assert isinstance(no, Rejected)
    assert no.remedy
    return no.code, no.field


@pytest.mark.parametrize("task", [in_flight(), UNCERTAIN, *ENDED])
@pytest.mark.parametrize("command", [RescheduleTask(wall(5), CAUSE), RunTask(CAUSE)])
def test_only_a_task_that_waits_is_moved(task: Task, command: TaskCommand) -> None:
    """Semantics 8.3."""
    assert refused(task, command) == ("conflict", "id")


def test_a_task_that_waits_gets_another_due_time() -> None:
    task = waiting_task(due_at=wall(60), expires_at=wall(90))

    moved = TaskRescheduled(at=NOW, cause=CAUSE, gate=NAME, due_at=wall(5))
    assert decide(task, RescheduleTask(wall(5), CAUSE), NOW) == (moved,)
    assert decide(task, RescheduleTask(wall(60), CAUSE), NOW) == ()
    for due_at in (wall(90), Wall(-1), Wall(2**63)):
        assert refused(task, RescheduleTask(due_at, CAUSE)) == ("invalid_field", "due_at")


def test_run_now_makes_a_task_due_and_never_later_than_it_was() -> None:
    """Semantics 8.3 and 3.4: it passes the gate like everything else."""
    moved = TaskRescheduled(at=NOW, cause=CAUSE, gate=NAME, due_at=NOW)

    assert decide(waiting_task(due_at=wall(60)), RunTask(CAUSE), NOW) == (moved,)
    assert decide(waiting_task(due_at=wall(-60)), RunTask(CAUSE), NOW) == ()


@pytest.mark.parametrize("task", [DEAD, CANCELLED, EXPIRED, UNCERTAIN])
def test_a_redrive_gives_a_task_its_attempts_and_its_time_anew(task: Task) -> None:
    """Semantics 8.3."""
    (revived,) = _events(decide(task, RedriveTask(CAUSE), wall(100)))
    assert revived == TaskRevived(at=wall(100), cause=CAUSE, gate=NAME, due_at=wall(100))

    again = evolve(task, revived)

    assert (again.state, again.due_at, again.used) == ("waiting", wall(100), 0)
    assert (again.first_started_at, again.ended_at, again.reason) == (None, None, "")
    assert again.sends == task.sends
    assert not again.cancel_requested
    assert again.followed is (task.state != "uncertain")


def _events(decided: tuple[TaskEvent, ...] | Rejected) -> tuple[TaskEvent, ...]:
    assert not isinstance(decided, Rejected)
    return decided


@pytest.mark.parametrize("task", [waiting_task(), in_flight(), SUCCEEDED])
def test_what_lives_or_has_succeeded_is_not_redriven(task: Task) -> None:
    assert refused(task, RedriveTask(CAUSE)) == ("conflict", "id")


def test_a_task_past_its_deadline_is_not_redriven() -> None:
    task = after(waiting_task(expires_at=wall(0)), TaskExpired(at=NOW, gate=NAME))

    assert refused(task, RedriveTask(CAUSE)) == ("conflict", "id")


def test_a_redriven_task_may_be_cancelled_and_dies_by_its_attempts_again() -> None:
    task = after(DEAD, TaskRevived(at=wall(9), gate=NAME, due_at=wall(9)))
    assert decide(task, CancelTask(CAUSE), NOW) == (TaskCancelled(at=NOW, cause=CAUSE, gate=NAME),)

    for attempt in range(2, 7):
        assert task.state == "waiting"
        task = evolve(task, started(attempt, at=wall(9)))
        task = evolve(task, failure(task, responded(500), wall(9)))

    assert (task.state, task.reason, task.sends) == ("dead", "attempts", 6)


# --- any history ------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["start", "answer", "void", "crash", "cancel", "redrive", "run"]),
            st.sampled_from([200, 404, 408, 429, 500]),
            st.integers(0, 20 * MINUTE),
        ),
        max_size=40,
    ),
    st.booleans(),
)
def test_any_history_is_one_life_at_a_time(
    steps: list[tuple[str, int, int]], idempotent: bool
) -> None:
    """Semantics 2.3 and 8.2: events come only from states that allow them; live state is the
    fold; a version for each event; `sends` is starts less voids."""
    task = waiting_task(idempotent=idempotent, retry=Retry(max_elapsed_ns=DAY))
    events: list[TaskEvent] = []
    now, starts, voids = NOW, 0, 0
    for step, status, gap_ns in steps:
        now = Wall(now + gap_ns)
        came: tuple[TaskEvent, ...] = ()
        is_open = task.state == "in_flight"
        if step == "start" and task.state == "waiting" and task.due_at <= now:
            end = end_before_start(task, now, 0)
            came = (started(task.starts + 1, at=now) if end is None else end,)
            starts += end is None
        elif step == "answer" and is_open:
            came = (settle(task, responded(status), moment(now)),)
        elif step == "void" and is_open and not task.cancel_requested:
            came, voids = (voided(task.starts, at=now),), voids + 1
        elif step == "crash" and is_open:
            came = (interrupted(task, moment(now)),)
        elif step in ("cancel", "redrive", "run"):
            command: TaskCommand = {
                "cancel": CancelTask(CAUSE),
                "redrive": RedriveTask(CAUSE),
                "run": RunTask(CAUSE),
            }[step]
            decided = decide(task, command, now)
            came = () if isinstance(decided, Rejected) else decided
        for event in came:
            task = evolve(task, event)
            events.append(event)

    assert task == fold(TASK, (task.submitted, *events))
    assert task.version == Version(1 + len(events))
    assert (task.starts, task.sends) == (starts, starts - voids)
    assert task.used <= task.submitted.retry.max_attempts
    assert (task.ended_at is None) == (task.state in ("waiting", "in_flight", "uncertain"))
    assert task.state in get_args(StoredState)
