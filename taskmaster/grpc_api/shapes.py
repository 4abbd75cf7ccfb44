"""Between messages of protobuf and the plain values that the REST API reads and answers.

Rules of residence: driven by descriptors, so that a new field needs nothing here; knows how
instants, durations, enums, bytes and "off" look on both sides, and no message but those.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct as Fields
from google.protobuf.timestamp_pb2 import Timestamp

from taskmaster.api.problems import stop
from taskmaster.units import SECOND_NS, parse_duration, parse_instant

Plain = dict[str, Any]
Reading = Callable[[Any, str], Any]
"""A field's value as JSON has it; the text is the pointer to it, for what cannot be."""
OFF = "off"
PERCENT = "percent"
"""The field of a message that stands for a list where it is not off."""


def plain(message: Message, at: str = "") -> Plain:
    """What a message says, under the names of JSON; what is unset is left out. `at` is the pointer
    to it.

    Raises:
        ProblemError: an enum's number is unknown, or an instant or a duration cannot be.
    """
    said: Plain = {}
    for field, value in message.ListFields():
        name = field.name
        if name == "body":
            _say_body(said, value)
        else:
            said[name] = _reading(field)(value, f"{at}/{name}")
    return said


def _say_body(said: Plain, body: bytes) -> None:
    """As text where it is one, which costs less."""
    try:
        said["body"] = body.decode()
    except UnicodeDecodeError:
        said["body_base64"] = b64encode(body).decode()


@lru_cache(maxsize=1_024)
def _reading(field: FieldDescriptor) -> Reading:
    if field.enum_type is not None:
        one = _enum_reading(field.enum_type)
    elif field.message_type is None:
        one = _same
    elif field.message_type.GetOptions().map_entry:
        return lambda value, _at: dict(value)
    else:
        one = _message_reading(field.message_type)
    if not field.is_repeated:
        return one
    return lambda many, at: [one(value, f"{at}/{i}") for i, value in enumerate(many)]


def _same(value: Any, _at: str) -> Any:
    return value


def _message_reading(of: Descriptor) -> Reading:
    match of.full_name:
        case "google.protobuf.Duration":
            return partial(_json_text, "give seconds and nanos of one sign, within 10,000 years")
        case "google.protobuf.Timestamp":
            return partial(_json_text, "give seconds since 1970 and nanos below 10^9")
        case "google.protobuf.FieldMask":
            return lambda value, _at: list(value.paths)
        case _ if PERCENT in of.fields_by_name:
            return lambda value, _at: OFF if value.off else list(value.percent)
        case _ if OFF in of.fields_by_name:
            return lambda value, at: OFF if value.off else plain(value, at)
        case _:
            return plain


def _json_text(remedy: str, value: Duration | Timestamp, at: str) -> str:
    try:
        return value.ToJsonString()
    except ValueError:
        message = f"{_last(at)} is out of range"
        raise stop("invalid_field", message, pointer=at, remedy=remedy) from None


def _last(at: str) -> str:
    return at.rpartition("/")[2]


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


def _enum_reading(enum: EnumDescriptor) -> Reading:
    prefix = _prefix(enum)
    names = {n: v.name.removeprefix(prefix).lower() for n, v in enum.values_by_number.items() if n}

    def read(number: int, at: str) -> str:
        if number not in names:
            message = f"{_last(at)} cannot be {number}"
            remedy = f"give one of {', '.join(value.name for value in enum.values[1:])}"
            raise stop("invalid_field", message, pointer=at, remedy=remedy)
        return names[number]

    return read


# --- answers ----------------------------------------------------------------------------------


def fill(message: Message, said: Mapping[str, Any]) -> None:
    """Set the fields that an answer names; null stays unset. What a message has no field for goes
    into its `fields`, where it has those."""
    by_name = message.DESCRIPTOR.fields_by_name
    rest: Plain = {}
    for name, value in said.items():
        field = by_name.get(name)
        if field is None:
            rest[name] = value
        elif value is not None:
            _set(message, field, value)
    if rest and "fields" in by_name:
        fields: Fields = getattr(message, "fields")  # noqa: B009  # of any message
        fields.update(rest)


def _set(message: Message, field: Any, value: Any) -> None:
    name, of = field.name, field.message_type
    if field.enum_type is not None:
        setattr(message, name, _number(field.enum_type, value))
    elif of is None:
        if field.is_repeated:
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    elif of.GetOptions().map_entry:
        getattr(message, name).update(value)
    elif field.is_repeated:
        for one in value:
            fill(getattr(message, name).add(), one)
    else:
        _fill_one(getattr(message, name), of.full_name, value)


def _number(enum: EnumDescriptor, name: str) -> int:
    return enum.values_by_name[_prefix(enum) + name.upper()].number


def _fill_one(inner: Any, name: str, value: Any) -> None:
    if name == "google.protobuf.Timestamp":
        _set_time(inner, parse_instant(value))
    elif name == "google.protobuf.Duration":
        _set_time(inner, parse_duration(value))
    elif value == OFF:
        inner.off = True
    elif isinstance(value, list):
        inner.percent.extend(value)
    else:
        inner.SetInParent()
        fill(inner, value)


def _set_time(inner: Timestamp | Duration, at_ns: int | None) -> None:
    assert at_ns is not None, "what the API shows can be read"
    inner.seconds, inner.nanos = divmod(at_ns, SECOND_NS)
    inner.SetInParent()
