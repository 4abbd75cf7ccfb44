"""Every fact can be shown, in outside units and without secrets."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Struct

from taskmaster.api.history import shown_event
from taskmaster.events.log import Recorded
from taskmaster.events.types import AnyEvent, Position, Request, Stream, Version
from tests.suites.facts import failed, submitted

FACTS: tuple[type[Any], ...] = get_args(AnyEvent)


def filled(hint: Any) -> Any:
    """Some value of a type, nothing left out."""
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    if get_origin(hint) is Literal:
        return get_args(hint)[-1]
    if get_origin(hint) is tuple:
        return tuple(filled(one) for one in get_args(hint) if one is not Ellipsis)
    if get_args(hint):
        return filled(next(one for one in get_args(hint) if one is not NoneType))
    if isinstance(hint, type) and issubclass(hint, Struct):
        hints = get_type_hints(hint)
        return hint(**{name: filled(hints[name]) for name in hint.__struct_fields__})
    values: dict[Any, Any] = {int: 1_500_000_000, str: "UTC", bytes: b"\xff\x00", float: 1.5}
    return True if hint is bool else values[hint]


def shown(event: AnyEvent, *, with_stream: bool = False) -> dict[str, Any]:
    record = Recorded(Position(7), Stream("task-x"), Version(2), event)
    return msgspec.json.decode(msgspec.json.encode(shown_event(record, with_stream=with_stream)))


@pytest.mark.parametrize("fact", FACTS)
def test_every_fact_is_shown_in_outside_units(fact: type[Any]) -> None:
    one = shown(filled(fact), with_stream=True)

    assert list(one)[:6] == ["position", "stream", "version", "type", "at", "cause"]
    assert one["type"] == fact.__name__
    assert one["at"] == "1970-01-01T00:00:01.500000Z"
    assert not [name for name in one if name.endswith("_ns")]


def test_a_submission_hides_body_and_secrets() -> None:
    request = Request(
        "https://x.example/",
        headers=(("Authorization", "s3cret"), ("X-Auth-Token", "s3cret"), ("Accept", "*/*")),
        body=b"s3cret",
    )

    one = shown(submitted(request=request, labels=(("team", "ops"),), timeout_ns=90_000_000_000))

    assert "s3cret" not in str(one)
    assert one["request"] == {
        "url": "https://x.example/",
        "method": "POST",
        "headers": {"Authorization": "***", "X-Auth-Token": "***", "Accept": "*/*"},
        "body_bytes": 6,
    }
    assert (one["labels"], one["timeout"]) == ({"team": "ops"}, "1m30s")
    assert "fingerprint" not in one


def test_a_response_is_text_whatever_it_holds() -> None:
    one = shown(failed(response=b"\xffno", status=500, duration_ns=1_500_000))

    assert (one["response"], one["status"], one["duration"]) == ("\ufffdno", 500, "1.5ms")
