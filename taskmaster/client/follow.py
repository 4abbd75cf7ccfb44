"""The stream of events, as server-sent events read line by line, and how often to look.

Rules of residence: pure. Knows the format (HTML standard, section 9.2.6) and where to resume.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from taskmaster.client.calls import Answer, Call, entry
from taskmaster.client.outcome import Lost
from taskmaster.client.shapes import Entry, Json

SILENCE_S: Final = 45.0
"""The server sends a comment every 15 s: three missed mean that it is gone."""
ENDED: Final = Lost(sent=True, why="the stream of events was closed")
LONGEST_PAUSE_S: Final = 1.0
LONGEST_LOOK_S: Final = 20
"""How long one question may wait at the server: less than the time in which an answer must come."""


def follow(after: int | None, *, stream: str = "") -> Call[None]:
    """Open the stream of events after a position, or of those to come. Its body never ends."""
    query = [("after", "" if after is None else str(after)), ("stream", stream)]
    headers = {"accept": "text/event-stream"}
    return Call(
        "GET",
        "/v1/events:stream",
        _nothing,
        query=tuple(pair for pair in query if pair[1]),
        headers=headers,
    )


class EventLines:
    """Collects the lines of one event; a blank line completes it."""

    def __init__(self) -> None:
        """Start between two events."""
        self._data: list[str] = []

    def take(self, line: str) -> Entry | None:
        """Take one line, without its end; the event that it completes, if it does."""
        if not line:
            data, self._data = "\n".join(self._data), []
            return entry(msgspec.json.decode(data, type=Json)) if data else None
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        return None


def looks() -> Iterator[float]:
    """How long to wait between looks at a task that has not ended: 50 ms, growing to 1 s."""
    pause_s = 0.05
    while True:
        yield pause_s
        pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)


def long_look_s(left_s: float) -> int:
    """For how many seconds to let the server wait with its answer."""
    return max(0, min(LONGEST_LOOK_S, int(left_s)))


def _nothing(answer: Answer) -> None:
    del answer
