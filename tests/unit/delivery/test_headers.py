"""What every request carries (semantics 2.5), and what a task may add to it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from taskmaster.delivery.headers import (
    MAX_HEADERS_BYTES,
    RESERVED,
    Signer,
    attempt_headers,
    attempt_traceparent,
    refuse_headers,
    rfc3339,
    signature_headers,
)
from taskmaster.errors import InvalidFieldError
from taskmaster.events.types import SECOND, GateName, TaskId, Wall

TASK = TaskId("01980f2c-0a1b-7c3d-8e4f-5a6b7c8d9e0f")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_an_attempt_carries_the_tasks_headers_and_ours() -> None:
    headers = attempt_headers(
        (("Content-Type", "text/plain"),),
        task_id=TASK,
        gate=GateName("billing"),
        attempt=3,
        due_at=Wall(1_772_355_600 * SECOND),
        traceparent="00-x",
    )

    assert headers == (
        ("Content-Type", "text/plain"),
        ("Idempotency-Key", TASK),
        ("TaskMaster-Task", TASK),
        ("TaskMaster-Gate", "billing"),
        ("TaskMaster-Attempt", "3"),
        ("TaskMaster-Due", "2026-03-01T09:00:00Z"),
        ("traceparent", "00-x"),
    )


def test_what_we_set_a_task_cannot() -> None:
    ours = attempt_headers(
        (), task_id=TASK, gate=GateName("g"), attempt=1, due_at=Wall(0), traceparent=""
    )
    signed = signature_headers((Signer(SECRET),), task_id=TASK, body=b"", now=Wall(0))

    for name, _ in (*ours, *signed):
        refusal = refuse_headers(((name.swapcase(), "x"),))
        assert refusal is not None
        assert refusal.field == f"headers.{name.swapcase()}"


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Host", "TaskMaster-Anything", "TE"])
def test_reserved_names_are_refused_by_name(name: str) -> None:
    refusal = refuse_headers((("X-Fine", "1"), (name, "secret")))

    assert refusal is not None
    assert refusal.field == f"headers.{name}"
    assert name in refusal.message
    assert "secret" not in refusal.message + refusal.remedy


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", "a\r\nX", "a\x00", "h\u00e9", "a(b)", "a/b", '"a"', "a\n"]
)
def test_a_name_is_a_token(name: str) -> None:
    refusal = refuse_headers(((name, "secret"),))

    assert refusal is not None
    assert refusal.field == "headers"
    assert "secret" not in refusal.message
    assert refusal.message.isprintable()


@pytest.mark.parametrize(
    "value",
    [
        "secret\r\nX-Evil: 1",
        "secret\nb",
        "secret\rb",
        "secret\x00b",
        "secret\x1b",
        "secret\x7f",
        " secret",
        "secret ",
        "\tsecret",
        "secret\n",
        "secret\u00e9",
        "\u2028",
        "\ud800",
        " ",
    ],
)
def test_a_value_is_visible_ascii(value: str) -> None:
    refusal = refuse_headers((("X-Token", value),))

    assert refusal is not None
    assert refusal.field == "headers.X-Token"
    assert refusal.message.isprintable()
    assert "secret" not in refusal.message


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "Bearer x.y-z~", "!#$%&'*+.^_`|~\"\\"])
def test_ordinary_values_pass(value: str) -> None:
    assert refuse_headers((("Authorization", value), ("X_y.z", "1"))) is None


def test_headers_are_bounded_as_a_whole() -> None:
    """Semantics 9: 32 KiB, with `: ` and the end of the line."""
    fits = tuple((f"X-{n:02}", "v" * (1024 - 8)) for n in range(32))

    assert refuse_headers(fits) is None
    refusal = refuse_headers((*fits, ("X", "")))
    assert refusal is not None
    assert refusal.message == f"headers take 32773 bytes (at most {MAX_HEADERS_BYTES})"


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
def test_what_passes_cannot_forge_a_line(headers: list[tuple[str, str]]) -> None:
    if refuse_headers(headers) is None:
        for name, value in headers:
            assert name.isascii()
            assert value.isascii()
            assert not set("\r\n\0: ") & set(name)
            assert not set("\r\n\0") & set(value)


@given(st.text())
def test_a_signature_is_what_the_library_accepts(text: str) -> None:
    """The library is the oracle; it verifies text alone."""
    body = text.encode("utf-8", "surrogatepass")
    now = datetime.now(UTC)
    at = Wall(int(now.timestamp()) * SECOND)

    headers = dict(signature_headers((Signer(SECRET),), task_id=TASK, body=body, now=at))

    if text.isprintable():
        Webhook(SECRET).verify(body, headers, json_parse=False)
    assert headers["webhook-id"] == TASK


def test_a_body_that_is_no_text_is_signed_by_its_bytes() -> None:
    headers = signature_headers(
        (Signer(SECRET),), task_id=TaskId("t"), body=b"\xff\x00", now=Wall(1_700_000_000 * SECOND)
    )

    # hmac -sha256 over b"t.1700000000.\xff\x00"
    assert headers == (
        ("webhook-id", "t"),
        ("webhook-timestamp", "1700000000"),
        ("webhook-signature", "v1,HBQQF6QyqTtcRqmvRuP2k7JzzYoo70XW4m4Qv4zcw38="),
    )


def test_two_keys_give_two_signatures_while_one_is_replaced() -> None:
    other = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
    now = datetime.now(UTC)
    at = Wall(int(now.timestamp()) * SECOND)

    headers = dict(
        signature_headers((Signer(SECRET), Signer(other)), task_id=TASK, body=b"{}", now=at)
    )

    Webhook(SECRET).verify(b"{}", headers)
    Webhook(other).verify(b"{}", headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_\u00e9", "whsec_A"])
def test_a_key_that_cannot_be_read_is_the_callers_fault(secret: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        Signer(secret)

    assert caught.value.field == "signing_key"


def test_a_signer_does_not_show_its_key() -> None:
    assert "MfKQ" not in repr(Signer(SECRET))


def test_a_trace_is_the_tasks_own_and_each_attempt_a_span_of_it() -> None:
    first, second = attempt_traceparent(TASK, 1), attempt_traceparent(TASK, 2)

    assert first.startswith("00-01980f2c0a1b7c3d8e4f5a6b7c8d9e0f-")
    assert first.endswith("-01")
    assert first[:36] == second[:36]
    assert first != second
    assert attempt_traceparent(TASK, 1) == first


def test_a_trace_goes_on_with_that_of_the_submission() -> None:
    given_ = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

    made = attempt_traceparent(TASK, 1, given_)

    assert made.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert made.endswith("-00")
    assert "b7ad6b7169203331" not in made


@pytest.mark.parametrize(
    "submitted",
    [
        "",
        "x",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-x-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    ],
)
def test_an_unreadable_trace_is_replaced(submitted: str) -> None:
    assert attempt_traceparent(TASK, 1, submitted) == attempt_traceparent(TASK, 1)


def test_a_task_id_that_is_no_uuid_has_a_trace_too() -> None:
    parts = attempt_traceparent(TaskId("task-1"), 1).split("-")

    assert [len(part) for part in parts] == [2, 32, 16, 2]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_767_225_600 * SECOND, "2026-01-01T00:00:00Z"),
        (1_767_225_600 * SECOND + 123_456_789, "2026-01-01T00:00:00.123456Z"),
        (1_767_225_600 * SECOND + 999, "2026-01-01T00:00:00Z"),
        (253_402_300_799 * SECOND, "9999-12-31T23:59:59Z"),
    ],
)
def test_instants_are_rfc_3339_in_utc(at: int, text: str) -> None:
    assert rfc3339(Wall(at)) == text


@given(st.integers(0, 253_402_300_799 * SECOND))
def test_an_instant_reads_back_to_the_microsecond(at: int) -> None:
    read = datetime.fromisoformat(rfc3339(Wall(at)))

    assert (read - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == at // 1000
