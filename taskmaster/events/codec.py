"""Event to topic and bytes, and back.

Rules of residence: the only place that knows how a fact is written. A topic is
`<name>:<schema version>`; names come from the unions in `events/types.py` and from nowhere else,
so that a topic in a database can never make us import or call anything. (The library's mapper
resolves any dotted path.) A stored event is never rewritten: an old version is lifted to the
newest one step at a time when it is read.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
from eventsourcing.persistence import StoredEvent

from taskmaster.errors import UnknownTopicError, UnreadableEventError
from taskmaster.events.log import Recorded
from taskmaster.events.types import AnyEvent, Position, Stream, Version

Fields = dict[str, Any]
"""The JSON object of one event; the shape depends on its schema version."""
Upcast = Callable[[Fields], Fields]
"""Lifts the fields of one version to the next. Pure; keeps the meaning."""

EVENTS: tuple[type[AnyEvent], ...] = get_args(AnyEvent)
"""Everything that may be in a log."""
VERSIONS: Mapping[str, int] = {}
"""The schema version in which an event is written; 1 where it is not named."""
UPCASTS: Mapping[str, Upcast] = {}
"""From topic (`TaskSubmitted:1`) to the function that gives the fields of the next version."""

_encoder = msgspec.json.Encoder()
_fields_decoder = msgspec.json.Decoder(Fields)


class Codec:
    """Writes events in their newest version and reads every version back to the first."""

    def __init__(
        self,
        versions: Mapping[str, int] = VERSIONS,
        upcasts: Mapping[str, Upcast] = UPCASTS,
        events: tuple[type[AnyEvent], ...] = EVENTS,
    ) -> None:
        """Build the allow-list: each topic with the decoder of its class."""
        self._topics: dict[type, str] = {}
        self._decoders: dict[str, msgspec.json.Decoder[AnyEvent]] = {}
        self._versions: dict[str, int] = {}
        self._classes: dict[str, type[AnyEvent]] = {}
        self._upcasts = upcasts
        for event in events:
            name = event.__name__
            version = versions.get(name, 1)
            topic = f"{name}:{version}"
            self._topics[event] = topic
            self._versions[name] = version
            self._classes[name] = event
            self._decoders[topic] = msgspec.json.Decoder(event)
            for step in range(1, version):
                assert f"{name}:{step}" in upcasts, f"{name}:{step} cannot be lifted"

    def encode(self, event: AnyEvent) -> tuple[str, bytes]:
        """Topic and state of an event."""
        return self._topics[type(event)], _encoder.encode(event)

    def decode(
        self,
        topic: str,
        state: bytes | msgspec.Raw,
        *,
        stream: Stream = Stream(""),
        position: Position = Position(0),
    ) -> AnyEvent:
        """The event that was written. `stream` and `position` only name it in an error.

        Raises:
            UnknownTopicError: no event of ours, or of a version newer than this program.
            UnreadableEventError: the bytes do not fit the event.
        """
        decoder = self._decoders.get(topic)
        try:
            if decoder is not None:
                return decoder.decode(state)
            return self._lift(topic, state, where=_place(stream, position))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableEventError(
                f"{topic} at {_place(stream, position)} does not decode: {error}",
                remedy="restore the log from a backup, or export what precedes this event",
            ) from error

    def _lift(self, topic: str, state: bytes | msgspec.Raw, *, where: str) -> AnyEvent:
        """Decode a version older than the newest, step by step."""
        name, version = self._known(topic, where)
        fields = _fields_decoder.decode(state)
        for step in range(version, self._versions[name]):
            fields = self._upcasts[f"{name}:{step}"](fields)
        return msgspec.convert(fields, self._classes[name], builtin_types=())

    def _known(self, topic: str, where: str) -> tuple[str, int]:
        name, _, digits = topic.partition(":")
        newest = self._versions.get(name)
        if newest is None or not (digits.isascii() and digits.isdigit()):
            raise UnknownTopicError(
                f"no event of taskmaster is called {topic!r} (at {where})",
                remedy="use the version of taskmaster that wrote this log",
            )
        version = int(digits)
        if not 0 < version <= newest or topic != f"{name}:{version}":
            raise UnknownTopicError(
                f"{name} is known up to version {newest}, not {version} (at {where})",
                remedy="upgrade taskmaster to the version that wrote this log",
            )
        return name, version


CODEC = Codec()
"""The one codec of the program; others exist in tests of upcasting only."""


def to_stored_event(
    stream: Stream, version: Version, event: AnyEvent, codec: Codec = CODEC
) -> StoredEvent:
    """The library's form of an event, in place of its mapper."""
    topic, state = codec.encode(event)
    return StoredEvent(originator_id=stream, originator_version=version, topic=topic, state=state)


def from_stored_event(
    stored: StoredEvent, *, position: Position = Position(0), codec: Codec = CODEC
) -> Recorded:
    """The event with its place, from the library's form."""
    stream = Stream(str(stored.originator_id))
    event = codec.decode(stored.topic, stored.state, stream=stream, position=position)
    return Recorded(position, stream, Version(stored.originator_version), event)


def _place(stream: Stream, position: Position) -> str:
    return f"position {position} of the log, stream {stream}" if position else stream or "no place"
