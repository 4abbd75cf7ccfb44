"""Events to bytes and back; old versions; what is not ours."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmaster.errors import UnknownTopicError, UnreadableEventError
from taskmaster.events.codec import CODEC, EVENTS, Codec, from_stored_event, to_stored_event
from taskmaster.events.types import (
    AnyEvent,
    AttemptSucceeded,
    Cause,
    GateName,
    Position,
    Stream,
    TaskCancelled,
    TaskSubmitted,
    Version,
)
from tests.suites.facts import START, submitted, succeeded


def test_every_event_of_the_unions_has_a_topic_and_no_other() -> None:
    assert set(EVENTS) == set(get_args(AnyEvent))
    assert len(EVENTS) == len({event.__name__ for event in EVENTS})


def test_a_topic_is_a_name_and_a_version_and_the_state_is_json() -> None:
    topic, state = CODEC.encode(TaskCancelled(at=START, gate=GateName("g")))

    assert topic == "TaskCancelled:1"
    assert state == b'{"at":1800000000000000000,"gate":"g"}'


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_every_event_comes_back_as_it_was(event: type[AnyEvent]) -> None:
    @given(st.builds(_from_json, st.just(event), _json_of(event)))
    def holds(one: AnyEvent) -> None:
        assert CODEC.decode(*CODEC.encode(one)) == one

    holds()


def test_bytes_and_causes_come_back_as_they_were() -> None:
    event = succeeded(response=bytes(range(256)), cause=Cause("RunNow", "ann", 'why "not"'))

    assert CODEC.decode(*CODEC.encode(event)) == event


@pytest.mark.parametrize(
    "topic",
    [
        "os:system",
        "TaskTeleported:1",
        "TaskSubmitted",
        "TaskSubmitted:",
        "TaskSubmitted:0",
        "TaskSubmitted:-1",
        "TaskSubmitted:1.0",
        "TaskSubmitted:01",
        "TaskSubmitted:²",
        "tasksubmitted:1",
        "",
    ],
)
def test_a_topic_outside_the_allow_list_is_refused(topic: str) -> None:
    _, state = CODEC.encode(submitted())

    with pytest.raises(UnknownTopicError) as refusal:
        CODEC.decode(topic, state, stream=Stream("task-a"), position=Position(7))

    assert "at position 7 of the log, stream task-a" in str(refusal.value)
    assert refusal.value.remedy


def test_a_newer_version_asks_for_an_upgrade() -> None:
    with pytest.raises(UnknownTopicError, match=r"up to version 1, not 2.*upgrade taskmaster"):
        CODEC.decode("TaskSubmitted:2", b"{}")


@pytest.mark.parametrize("state", [b"", b"{", b'{"at":"x"}', b"[]", b"\xff", b'{"at":1}'])
def test_bytes_that_do_not_decode_are_named(state: bytes) -> None:
    with pytest.raises(UnreadableEventError, match="TaskSubmitted:1 at position 7 of the log"):
        CODEC.decode("TaskSubmitted:1", state, stream=Stream("task-a"), position=Position(7))


def _delay_to_due(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "due": fields["at"] + fields["delay"]}


def _due_to_due_at(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "due_at": fields["due"]}


def test_old_versions_are_lifted_one_step_at_a_time() -> None:
    codec = Codec(
        versions={"TaskSubmitted": 3},
        upcasts={"TaskSubmitted:1": _delay_to_due, "TaskSubmitted:2": _due_to_due_at},
    )
    request = {"url": "https://x", "body": "AAE="}
    first = msgspec.json.encode({"at": 10, "gate": "g", "request": request, "delay": 5})
    second = msgspec.json.encode({"at": 10, "gate": "g", "request": request, "due": 15})

    event = codec.decode("TaskSubmitted:1", first)

    assert isinstance(event, TaskSubmitted)
    assert (event.due_at, event.request.body) == (15, b"\x00\x01")
    assert codec.decode("TaskSubmitted:2", second) == event
    assert codec.encode(event)[0] == "TaskSubmitted:3"
    assert codec.decode(*codec.encode(event)) == event


def test_an_old_version_that_does_not_fit_after_lifting_is_unreadable() -> None:
    codec = Codec(versions={"TaskSubmitted": 2}, upcasts={"TaskSubmitted:1": lambda fields: fields})

    with pytest.raises(UnreadableEventError):
        codec.decode("TaskSubmitted:1", b'{"at":1}')


def test_a_version_without_a_way_to_it_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="TaskSubmitted:1 cannot be lifted"):
        Codec(versions={"TaskSubmitted": 2})


def test_the_library_s_form_and_ours_are_the_same_event() -> None:
    stored = to_stored_event(Stream("task-a"), Version(3), succeeded())

    recorded = from_stored_event(stored, position=Position(9))

    assert (stored.originator_id, stored.originator_version) == ("task-a", 3)
    assert (recorded.position, recorded.stream, recorded.version) == (9, "task-a", 3)
    assert isinstance(recorded.event, AttemptSucceeded)


def _from_json(event: type[AnyEvent], fields: dict[str, Any]) -> AnyEvent:
    return msgspec.convert(fields, event)


def _json_of(event: type) -> st.SearchStrategy[dict[str, Any]]:
    """Values for every field of a struct, from its msgspec description."""
    info = msgspec.inspect.type_info(event)
    assert isinstance(info, msgspec.inspect.StructType)
    return st.fixed_dictionaries({field.encode_name: _of(field.type) for field in info.fields})


def _of(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    text = st.text(st.characters(codec="utf-8"), max_size=8)
    match kind:
        case msgspec.inspect.IntType():
            return st.integers(-(2**63), 2**63 - 1)
        case msgspec.inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.StrType():
            return text
        case msgspec.inspect.BytesType():
            return st.binary(max_size=8)
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case msgspec.inspect.UnionType(types=types):
            return st.one_of([_of(one) for one in types])
        case msgspec.inspect.VarTupleType(item_type=item):
            return st.lists(_of(item), max_size=2).map(tuple)
        case msgspec.inspect.TupleType(item_types=items):
            return st.tuples(*[_of(one) for one in items])
        case msgspec.inspect.StructType(cls=cls, tag_field=tag_field, tag=tag):
            fields = _json_of(cls)
            return fields.map(lambda one: {**one, tag_field: tag}) if tag_field else fields
        case _:
            raise AssertionError(kind)
