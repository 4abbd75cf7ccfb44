"""A gate's events in words, each with the numbers that led to it."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from taskmaster.cli.sentences import LEARNED, RAMP, SENTENCES, sentence
from taskmaster.client.shapes import Entry
from taskmaster.events.types import GateEvent, LearnCause, RampCause

AT = datetime(2026, 1, 1, tzinfo=UTC)


def said(kind: str, author: str = "", reason: str = "", **fields: Any) -> str:
    cause: dict[str, object] = {"command": "", "author": author, "reason": reason}
    return sentence(Entry(1, 1, kind, AT, "gate-g", cause, fields))


def test_every_event_of_a_gate_and_every_reason_has_words() -> None:
    assert set(SENTENCES) == {fact.__name__ for fact in get_args(GateEvent)}
    assert set(RAMP) == set(get_args(RampCause))
    assert set(LEARNED) == set(get_args(LearnCause))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            {"kind": "GateTripped", "until": "12:00", "failures": 5, "attempts": 9, "error": "500"},
            "tripped until 12:00: 5 of 9 attempts failed, the last with: 500",
        ),
        (
            {"kind": "GateRampStepped", "percent": 25, "why": "step"},
            "25 % of its limits: the step before went well",
        ),
        (
            {"kind": "GatePaused", "author": "ann", "reason": "their deploy", "drain": False},
            "was paused, by ann (their deploy)",
        ),
        (
            {
                "kind": "GateLimitLearned",
                "before": 10.0,
                "limit": 16.2,
                "why": "spare",
                "median": "101ms",
                "base": "100ms",
                "ended": 9,
                "errors": 0,
                "busiest": 10,
            },
            (
                "may have 16 in flight instead of 10: nobody seems to wait there and what it may"
                " use is used; the median of 9 attempts was 101ms, 100ms when nobody waits; at"
                " most 10 were in flight"
            ),
        ),
        (
            {
                "kind": "GateRateLearned",
                "why": "throttled",
                "before": 0.0,
                "rate": 180.0,
                "top": 200.0,
                "ended": 100,
                "throttled": 5,
            },
            (
                "starts 180/s at most: at 200/s the endpoint asked to be left alone, 5 times among"
                " 100"
            ),
        ),
        (
            {
                "kind": "GateRateLearned",
                "why": "climb",
                "before": 180.0,
                "rate": 185.25,
                "top": 200.0,
            },
            "starts 185/s at most instead of 180/s: the endpoint bore that",
        ),
        (
            {"kind": "GateRateLearned", "why": "free", "before": 700.0, "rate": 0.0, "top": 0.0},
            "starts as much as is set again: the endpoint bears more than 700/s",
        ),
    ],
)
def test_an_event_is_a_sentence(event: dict[str, Any], words: str) -> None:
    assert said(**event) == words


def test_what_a_newer_server_says_is_shown_as_it_is() -> None:
    assert said("GateSang", song="la") == "GateSang: song la"
