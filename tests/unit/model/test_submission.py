"""What a submission must be: every field at the edges of its range, and its fingerprint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import (
    DAY,
    HOUR,
    MILLISECOND,
    SECOND,
    Request,
    Retry,
    TaskSubmitted,
    Wall,
)
from taskmaster.model.rejected import Rejected
from taskmaster.model.submission import METHODS, SubmitTask, decide_submission, fingerprint
from tests.unit.model.builders import CAUSE, NAME, NOW, submission, wall

URL = "http://127.0.0.1/hook"
TEN_YEARS = 10 * 366 * DAY
PLAIN = submission()


def with_retry(**rules: object) -> SubmitTask:
    return submission(retry=replace(Retry(), **rules))


@pytest.mark.parametrize(
    "command",
    [
        PLAIN,
        submission(due_at=Wall(0)),
        submission(due_at=Wall(NOW + TEN_YEARS)),
        submission(delay_ns=TEN_YEARS),
        submission(timeout_ns=10 * MILLISECOND),
        submission(timeout_ns=HOUR),
        submission(expires_at=Wall(NOW + 1)),
        submission(due_at=wall(60), expires_at=Wall(wall(60) + 1)),
        submission(request=Request(URL, body=b"x" * 1024 * 1024)),
        submission(request=Request("http://h/" + "x" * (8 * 1024 - 9))),
        *(submission(request=Request(URL, method=method)) for method in sorted(METHODS)),
        replace(PLAIN, priority=0),
        replace(PLAIN, priority=9),
        replace(PLAIN, key="k" * 255),
        replace(PLAIN, fair_key="k" * 255, order_key="ö" * 255),
        submission(labels=tuple((f"n{number}", "") for number in range(64))),
        submission(labels=(("team/a.b_c-d", "v" * 256),)),
        submission(labels=(("n" * 63, "größer als"),)),
        with_retry(max_attempts=1),
        with_retry(max_attempts=1_000),
        with_retry(min_backoff_ns=MILLISECOND, max_backoff_ns=MILLISECOND),
        with_retry(max_backoff_ns=30 * DAY),
        with_retry(max_elapsed_ns=SECOND),
        with_retry(max_elapsed_ns=366 * DAY),
        with_retry(retry_on=(400, 499)),
        with_retry(retry_on=tuple(range(400, 500))),
    ],
)
def test_these_submissions_are_taken(command: SubmitTask) -> None:
    assert isinstance(decide_submission(command, CAUSE, NOW), TaskSubmitted)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (submission(due_at=wall(1), delay_ns=1), "delay"),
        (submission(delay_ns=-1), "delay"),
        (submission(delay_ns=TEN_YEARS + 1), "delay"),
        (submission(due_at=Wall(-1)), "due_at"),
        (submission(due_at=Wall(NOW + TEN_YEARS + 1)), "due_at"),
        (submission(timeout_ns=10 * MILLISECOND - 1), "timeout"),
        (submission(timeout_ns=HOUR + 1), "timeout"),
        (submission(timeout_ns=0), "timeout"),
        (submission(expires_at=NOW), "expires_at"),
        (submission(due_at=wall(60), expires_at=wall(60)), "expires_at"),
        (submission(delay_ns=SECOND, expires_at=wall(1)), "expires_at"),
        (submission(request=Request(URL, method="CONNECT")), "method"),
        (submission(request=Request(URL, method="TRACE")), "method"),
        (submission(request=Request(URL, method="post")), "method"),
        (submission(request=Request(URL, method="")), "method"),
        (replace(PLAIN, priority=-1), "priority"),
        (replace(PLAIN, priority=10), "priority"),
        (replace(PLAIN, key="k" * 256), "key"),
        (replace(PLAIN, key="a\nb"), "key"),
        (replace(PLAIN, fair_key="k" * 256), "fair_key"),
        (replace(PLAIN, fair_key="\x00"), "fair_key"),
        (replace(PLAIN, order_key="k" * 256), "order_key"),
        (replace(PLAIN, order_key="\ud800"), "order_key"),
        (submission(labels=tuple((f"n{number}", "") for number in range(65))), "labels"),
        (submission(labels=(("", "v"),)), "labels"),
        (submission(labels=(("n" * 64, "v"),)), "labels"),
        (submission(labels=(("-n", "v"),)), "labels"),
        (submission(labels=(("n\n", "v"),)), "labels"),
        (submission(labels=(("n", "v" * 257),)), "labels.n"),
        (submission(labels=(("n", "a\tb"),)), "labels.n"),
        (with_retry(max_attempts=0), "retry.max_attempts"),
        (with_retry(max_attempts=1_001), "retry.max_attempts"),
        (with_retry(min_backoff_ns=MILLISECOND - 1), "retry.min_backoff"),
        (with_retry(min_backoff_ns=0), "retry.min_backoff"),
        (with_retry(min_backoff_ns=HOUR), "retry.min_backoff"),
        (with_retry(max_backoff_ns=30 * DAY + 1), "retry.max_backoff"),
        (with_retry(max_elapsed_ns=SECOND - 1), "retry.max_elapsed"),
        (with_retry(max_elapsed_ns=366 * DAY + 1), "retry.max_elapsed"),
        (with_retry(retry_on=(399,)), "retry.retry_on"),
        (with_retry(retry_on=(404, 500)), "retry.retry_on"),
        (with_retry(retry_on=(404,) * 101), "retry.retry_on"),
    ],
)
def test_these_submissions_are_refused_by_name(command: SubmitTask, field: str) -> None:
    """Semantics 9: checked at submission, never at sending."""
    no = decide_submission(command, CAUSE, NOW)

    assert isinstance(no, Rejected)
    assert (no.code, no.field) == ("invalid_field", field)
    assert no.remedy


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Request(URL, body=b"x" * (1024 * 1024 + 1)), "body"),
        (Request("http://h/" + "x" * (8 * 1024 - 8)), "url"),
    ],
)
def test_what_is_too_large_is_refused_as_that(request_: Request, field: str) -> None:
    """Semantics 9: 413."""
    no = decide_submission(submission(request=request_), CAUSE, NOW)

    assert isinstance(no, Rejected)
    assert (no.code, no.field) == ("too_large", field)


def test_a_refusal_shows_nothing_that_would_break_a_line() -> None:
    no = decide_submission(submission(request=Request(URL, method="A\r\nB")), CAUSE, NOW)

    assert isinstance(no, Rejected)
    assert no.message.isprintable()


# --- the fact ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "due_at"),
    [
        (PLAIN, NOW),
        (submission(delay_ns=90 * SECOND), wall(90)),
        (submission(due_at=wall(-60)), wall(-60)),
        (submission(due_at=wall(60)), wall(60)),
    ],
)
def test_a_task_is_due_at_its_time_after_its_delay_or_now(
    command: SubmitTask, due_at: Wall
) -> None:
    made = decide_submission(command, CAUSE, NOW)

    assert isinstance(made, TaskSubmitted)
    assert (made.due_at, made.at) == (due_at, NOW)


def test_nothing_of_a_submission_is_lost() -> None:
    """Semantics 2.5: the body's bytes are frozen, and 8.4: who and why."""
    request = Request(URL, "PUT", (("X-A", "b"),), b"\x00\xff")
    command = SubmitTask(
        gate=NAME,
        request=request,
        due_at=wall(1),
        retry=Retry(max_attempts=3),
        timeout_ns=5 * SECOND,
        expires_at=wall(9),
        idempotent=False,
        priority=7,
        fair_key="tenant",
        order_key="account",
        key="key",
        labels=(("a", "b"),),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    made = decide_submission(command, CAUSE, NOW)

    assert made == TaskSubmitted(
        at=NOW,
        cause=CAUSE,
        gate=NAME,
        request=request,
        due_at=wall(1),
        retry=Retry(max_attempts=3),
        timeout_ns=5 * SECOND,
        expires_at=wall(9),
        idempotent=False,
        priority=7,
        fair_key="tenant",
        order_key="account",
        key="key",
        fingerprint=fingerprint(command),
        labels=(("a", "b"),),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


# --- fingerprints -----------------------------------------------------------------------------

KEYED = submission(key="k")


def test_a_fingerprint_stays_the_same_for_ever() -> None:
    """Semantics 2.6: a key lives on after an upgrade, and so its fingerprint must.

    When this fails, the same submission under a key of an older version would get 409: keep the
    old form for what was there before, do not change the literal.
    """
    command = submission(
        request=Request(URL, "PUT", (("X-A", "b"),), b"body"), delay_ns=SECOND, key="k"
    )

    assert fingerprint(command) == (
        "df18a2c0570e968de9f8b76fe4a21c73a7de810a0140dd0391e62f76eddfe32f"
    )
    assert fingerprint(KEYED) == (
        "e2bf0a9ffb7d32fed32f294e0c5e9a3ac59683dff43db8261e4cdad438310e79"
    )


def test_a_task_without_a_key_has_no_fingerprint() -> None:
    made = decide_submission(PLAIN, CAUSE, NOW)

    assert isinstance(made, TaskSubmitted)
    assert made.fingerprint == ""


def test_the_same_submission_at_another_time_and_of_another_trace_is_the_same() -> None:
    """Semantics 2.6: a client that tries again sends another traceparent."""
    again = replace(KEYED, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    first = decide_submission(KEYED, CAUSE, NOW)
    second = decide_submission(again, CAUSE, wall(60))

    assert isinstance(first, TaskSubmitted)
    assert isinstance(second, TaskSubmitted)
    assert first.fingerprint == second.fingerprint


OTHERS = (
    replace(KEYED, gate="other"),
    replace(KEYED, request=Request(URL, "PUT")),
    replace(KEYED, request=Request(URL + "?a")),
    replace(KEYED, request=Request(URL, body=b"\x00")),
    replace(KEYED, request=Request(URL, headers=(("A", "b"),))),
    replace(KEYED, due_at=wall(1)),
    replace(KEYED, due_at=NOW),
    replace(KEYED, delay_ns=1),
    replace(KEYED, retry=Retry(max_attempts=4)),
    replace(KEYED, timeout_ns=SECOND),
    replace(KEYED, expires_at=wall(5)),
    replace(KEYED, idempotent=False),
    replace(KEYED, priority=1),
    replace(KEYED, fair_key="a"),
    replace(KEYED, order_key="a"),
    replace(KEYED, key="l"),
    replace(KEYED, labels=(("a", "b"),)),
)


def test_any_other_content_is_another_fingerprint() -> None:
    """Semantics 2.6: same key, other content, 409."""
    prints = {fingerprint(command) for command in (KEYED, *OTHERS)}

    assert len(prints) == 1 + len(OTHERS)


@given(st.binary(max_size=64), st.text(max_size=20), st.text(max_size=20))
def test_a_fingerprint_does_not_run_fields_together(
    body: bytes, fair_key: str, order_key: str
) -> None:
    one = replace(KEYED, request=Request(URL, body=body), fair_key=fair_key, order_key=order_key)
    other = replace(one, fair_key=order_key, order_key=fair_key)

    same = fair_key == order_key
    assert (fingerprint(one) == fingerprint(other)) is same


@pytest.mark.parametrize(
    ("field", "instant"),
    [
        ("due_at", 2**63),
        ("due_at", NOW + 3_661 * DAY),
        ("due_at", -1),
        ("expires_at", 2**63),
    ],
)
def test_an_instant_that_no_log_can_hold_is_refused(field: str, instant: int) -> None:
    refused = decide_submission(replace(submission(), **{field: Wall(instant)}), CAUSE, NOW)

    assert isinstance(refused, Rejected)
    assert refused.field == field
    assert refused.remedy
