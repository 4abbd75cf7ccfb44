"""Submissions without end, cut into requests that have one.

Rules of residence: pure. A stream goes out as requests of at most `ITEMS_MAX` submissions and
`BYTES_MAX` bytes, each acknowledged before the next: memory stays bounded, a lost connection
costs one request, and neither side waits for the other to read (HTTP/1.1 clients send all of a
request before they read its answer). Every submission gets a key, so that each may be repeated.
"""

import msgspec
from msgspec import Struct

from taskmaster.client.calls import JSON, NDJSON, Answer, Call, Fields
from taskmaster.client.shapes import BatchItem, Json, Submission

ITEMS_MAX = 1_000
BYTES_MAX = 1 << 20
LINE_MAX = 2 << 20
"""A line with a body of 1 MiB in base64, and its rest; the server refuses what is longer."""


class Piece(Struct, frozen=True):
    """One request of a stream: whole lines, and the index of the first in the stream."""

    first: int
    count: int
    lines: bytes


class Pieces:
    """Cuts a stream of submissions into pieces.

    `run` is unique to the stream: with the index it makes the key of each submission that has
    none. A line that is no JSON object goes out as it is; the server refuses it by its index.
    """

    def __init__(self, run: str) -> None:
        """Start at index 0."""
        self._run = run
        self._first = 0
        self._lines: list[bytes] = []
        self._bytes = 0

    def add(self, submission: Submission | Fields | bytes) -> Piece | None:
        """Take one submission, or one line of JSON; a piece when there is one to send."""
        line = self._line(submission)
        full = None
        if self._lines and self._bytes + len(line) > BYTES_MAX:
            full = self.rest()
        self._lines.append(line)
        self._bytes += len(line)
        if full is None and len(self._lines) >= ITEMS_MAX:
            full = self.rest()
        return full

    def rest(self) -> Piece | None:
        """What has not been handed out yet."""
        if not self._lines:
            return None
        piece = Piece(self._first, len(self._lines), b"".join(self._lines))
        self._first += len(self._lines)
        self._lines, self._bytes = [], 0
        return piece

    def _line(self, submission: Submission | Fields | bytes) -> bytes:
        if isinstance(submission, bytes):
            try:
                fields = msgspec.json.decode(submission, type=Json)
            except msgspec.MsgspecError:
                return submission.replace(b"\r", b"").replace(b"\n", b" ") + b"\n"
        else:
            fields = msgspec.to_builtins(submission, str_keys=True)
        if not fields.get("key"):
            fields["key"] = f"{self._run}-{self._first + len(self._lines)}"
        return msgspec.json.encode(fields) + b"\n"


def keyed(submissions: list[Submission | Fields], run: str) -> list[Submission | Fields]:
    """The same submissions, each with a key, so that their batch may be repeated."""
    return [_keyed(submission, f"{run}-{index}") for index, submission in enumerate(submissions)]


def submit_piece(piece: Piece) -> Call[list[BatchItem]]:
    """Submit a piece; its items bear their index in the stream."""

    def read(answer: Answer) -> list[BatchItem]:
        decoder = msgspec.json.Decoder(BatchItem)
        items = decoder.decode_lines(answer.body)
        if len(items) != piece.count:
            raise msgspec.ValidationError(f"{len(items)} answers to {piece.count} submissions")
        return [msgspec.structs.replace(item, index=piece.first + item.index) for item in items]

    headers = {"content-type": NDJSON, "accept": f"{NDJSON}, {JSON};q=0.5"}
    return Call("POST", "/v1/tasks:batchCreate", read, headers=headers, body=piece.lines)


class Lines:
    """Cuts lines from chunks that end anywhere."""

    def __init__(self) -> None:
        """Before the first chunk."""
        self._rest = b""

    def take(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now, blank ones too. One above `LINE_MAX` comes in parts,
        which the server refuses each."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_MAX:
            whole.append(self._rest)
            self._rest = b""
        return whole

    def rest(self) -> list[bytes]:
        """A last line without an end."""
        return [self._rest] if self._rest else []


def _keyed(submission: Submission | Fields, key: str) -> Submission | Fields:
    if isinstance(submission, Submission):
        if submission.key:
            return submission
        return msgspec.structs.replace(submission, key=key)
    return submission if submission.get("key") else {**submission, "key": key}
