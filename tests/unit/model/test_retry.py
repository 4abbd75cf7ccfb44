"""Outcomes by the table of semantics 5, Retry-After, and back-off."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskmaster.events.types import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Retry, Wall
from taskmaster.model.retry import (
    Responded,
    Trouble,
    Unanswered,
    Verdict,
    backoff_ns,
    classify,
    parse_retry_after,
)

NOW = Wall(1_000_000_000 * SECOND)  # Sun, 09 Sep 2001 01:46:40 GMT


def responded(status: int, retry_after: str | None = None) -> Responded:
    return Responded(status=status, duration_ns=MILLISECOND, retry_after=retry_after)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict(None, "none", "yes", "final")),
        (202, Verdict(None, "none", "yes", "final")),
        (299, Verdict(None, "none", "yes", "final")),
        (300, Verdict("redirect", "task", "yes", "final")),
        (304, Verdict("redirect", "task", "yes", "final")),
        (400, Verdict("client_error", "task", "yes", "final")),
        (404, Verdict("client_error", "task", "yes", "final")),
        (408, Verdict("retryable", "none", "yes", "retry")),
        (425, Verdict("retryable", "none", "yes", "retry")),
        (429, Verdict("throttled", "none", "yes", "throttled")),
        (499, Verdict("client_error", "task", "yes", "final")),
        (500, Verdict("server_error", "endpoint", "yes", "retry")),
        (503, Verdict("server_error", "endpoint", "yes", "retry")),
        (599, Verdict("server_error", "endpoint", "yes", "retry")),
        # no status of HTTP, or no last word: read as 5xx (RFC 9110, 15)
        (100, Verdict("server_error", "endpoint", "yes", "retry")),
        (999, Verdict("server_error", "endpoint", "yes", "retry")),
    ],
)
def test_a_status_is_this_outcome(status: int, expected: Verdict) -> None:
    """Semantics 5."""
    assert classify(responded(status), (), NOW) == expected


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("dns", Verdict("dns", "endpoint", "no", "retry")),
        ("refused", Verdict("refused", "endpoint", "no", "retry")),
        ("tls", Verdict("tls", "endpoint", "no", "retry")),
        ("connect_timeout", Verdict("connect_timeout", "endpoint", "no", "retry")),
        ("timeout", Verdict("timeout", "endpoint", "unknown", "retry")),
        ("reset", Verdict("reset", "endpoint", "unknown", "retry")),
        ("certificate", Verdict("certificate", "none", "no", "final")),
        ("egress", Verdict("egress", "none", "no", "final")),
    ],
)
def test_no_answer_is_this_outcome(trouble: Trouble, expected: Verdict) -> None:
    """Semantics 5."""
    assert classify(Unanswered(trouble, duration_ns=SECOND), (), NOW) == expected


@pytest.mark.parametrize("status", [429, 503])
def test_a_status_with_retry_after_throttles_and_says_how_long(status: int) -> None:
    """Semantics 4.6."""
    expected = Verdict("throttled", "none", "yes", "throttled", retry_after_ns=7 * SECOND)

    assert classify(responded(status, "7"), (), NOW) == expected


@pytest.mark.parametrize("header", ["0", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_a_moment_that_has_passed_throttles_for_the_back_off(header: str) -> None:
    """An endpoint whose clock is behind must not be asked again at once."""
    expected = Verdict("throttled", "none", "yes", "throttled", retry_after_ns=None)

    assert classify(responded(503, header), (), NOW) == expected


def test_retry_after_that_cannot_be_read_leaves_429_throttled_and_503_a_failure() -> None:
    assert classify(responded(429, "soon"), (), NOW).again == "throttled"
    assert classify(responded(503, "soon"), (), NOW).outcome == "server_error"


def test_retry_after_means_nothing_with_other_statuses() -> None:
    assert classify(responded(500, "7"), (), NOW) == classify(responded(500), (), NOW)
    assert classify(responded(404, "7"), (), NOW) == classify(responded(404), (), NOW)


def test_retry_on_widens_what_is_retried_and_leaves_the_fault_with_the_task() -> None:
    """Semantics 5: an endpoint that answers 404 is alive."""
    expected = Verdict("client_error", "task", "yes", "retry")

    assert classify(responded(404), (404, 409), NOW) == expected


@given(st.integers(0, 999), st.lists(st.integers(0, 999)).map(tuple))
def test_retry_on_changes_nothing_but_a_final_4xx(status: int, retry_on: tuple[int, ...]) -> None:
    plain = classify(responded(status), (), NOW)

    widened = classify(responded(status), retry_on, NOW)

    if widened != plain:
        assert 400 <= status < 500
        assert (plain.again, widened.again) == ("final", "retry")


# --- Retry-After ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected_ns"),
    [
        ("0", 0),
        ("120", 2 * MINUTE),
        (" \t120 ", 2 * MINUTE),
        ("007", 7 * SECOND),
        ("86400", DAY),
        ("86401", DAY),
        ("9" * 10_000, DAY),
        ("0" * 10_000, 0),
        ("0" * 10_000 + "5", 5 * SECOND),
        # the three forms of RFC 9110, 5.6.7
        ("Sun, 09 Sep 2001 02:46:40 GMT", HOUR),
        ("Sunday, 09-Sep-01 02:46:40 GMT", HOUR),
        ("Sun Sep  9 02:46:40 2001", HOUR),
        # no form of it, but what is meant is plain
        ("Sun, 09 Sep 2001 04:46:40 +0200", HOUR),
        ("Sun, 09 Sep 2001 02:46:40 -0000", HOUR),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, expected_ns: int) -> None:
    """RFC 9110, 10.2.3; semantics 4.6: at most 24 h."""
    assert parse_retry_after(header, NOW) == expected_ns


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "-5",
        "+5",
        "1.5",
        "1e3",
        "5 s",
        "1_000",
        "1, 2",
        "\u0663",  # a digit to str.isdigit, and to int
        "\u00b2",  # a digit to the first only
        "\uff15",
        "5\u00a0",
        "5\n",
        "soon",
        "Sun, 09 Sep 2001",
        "Sun, 09 Sep 99999 02:46:40 GMT",
        "Sun, 09 Sep 2001 25:46:40 GMT",
        "Sun, 999999999999 Sep 2001 02:46:40 GMT",
        "Sun, 09 Sep 2001 02:46:40 +9999",
        "Sun, 09 Sep 2001 02:46:40 GMT" + " " * 40 + "x",
    ],
)
def test_retry_after_that_is_neither_is_not_read(header: str) -> None:
    assert parse_retry_after(header, NOW) is None


@given(
    st.one_of(
        st.text(max_size=80),
        st.text("0123456789 :,-+SunSepGMT\t", max_size=40),
        st.builds(
            "{}, {} {} {} {}:{}:{} {}".format,
            st.sampled_from(["Sun", "Mon", "x", ""]),
            *[st.sampled_from(["0", "1", "9", "31", "Sep", "2001", "-1", "9" * 12])] * 6,
            st.sampled_from(["GMT", "+0000", "-9999", "+" + "9" * 12, ""]),
        ),
    )
)
def test_whatever_an_endpoint_writes_is_a_bounded_time_or_nothing(header: str) -> None:
    asked_ns = parse_retry_after(header, NOW)

    assert asked_ns is None or 0 <= asked_ns <= DAY


@given(st.integers(-DAY // SECOND, 2 * DAY // SECOND))
def test_a_date_is_as_far_away_as_it_says(seconds: int) -> None:
    at = datetime.fromtimestamp(NOW // SECOND, UTC) + timedelta(seconds=seconds)

    asked_ns = parse_retry_after(format_datetime(at, usegmt=True), NOW)

    assert asked_ns == min(max(0, seconds * SECOND), DAY)


# --- back-off ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "bound_s"),
    [(1, 1), (2, 2), (3, 4), (10, 512), (11, 600), (12, 600), (10_000, 600)],
)
def test_without_jitter_the_back_off_is_its_bound(failures: int, bound_s: int) -> None:
    """Semantics 5: from 1 s, doubling, to 10 min."""
    assert backoff_ns(Retry(jitter="none"), failures, 0.5) == bound_s * SECOND


def test_full_jitter_goes_from_the_floor_to_the_bound() -> None:
    retry = Retry(min_backoff_ns=SECOND, max_backoff_ns=MINUTE)

    assert backoff_ns(retry, 3, 0.0) == 100 * MILLISECOND
    assert backoff_ns(retry, 3, 0.5) == 2_050 * MILLISECOND
    assert backoff_ns(retry, 3, 1 - 2**-53) == 4 * SECOND - 1


def test_the_floor_is_never_above_the_bound() -> None:
    assert backoff_ns(Retry(min_backoff_ns=5 * MILLISECOND), 1, 0.0) == 5 * MILLISECOND
    assert backoff_ns(Retry(min_backoff_ns=0), 9, 0.9) == 0


@given(
    st.builds(
        Retry,
        min_backoff_ns=st.integers(0, DAY),
        max_backoff_ns=st.integers(0, 7 * DAY),
        jitter=st.sampled_from(["full", "none"]),
    ),
    st.integers(1, 2**40),
    st.floats(0, 1, exclude_max=True),
)
def test_a_back_off_lies_between_floor_and_bound(retry: Retry, failures: int, u: float) -> None:
    waited = backoff_ns(retry, failures, u)

    most = backoff_ns(replace(retry, jitter="none"), failures, u)
    assert isinstance(waited, int)
    assert min(100 * MILLISECOND, most) <= waited <= most
    assert most <= retry.max_backoff_ns
    assert most <= backoff_ns(replace(retry, jitter="none"), failures + 1, u)
