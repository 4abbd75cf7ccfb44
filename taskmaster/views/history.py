"""What a gate did, as numbers over time: seconds of the last minutes, tens of seconds of hours.

Rules of residence: pure; rows come in, columns go out. Bounded: a ring for each of the two widths,
in which a row of 60 to 150 bytes is kept only for a time in which something happened. Between rows
nothing flowed and the levels stayed.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from taskmaster.events.types import Wall
from taskmaster.model.gate import GateStateName

FINE_S = 1
COARSE_S = 10
FINE_ROWS = 600
COARSE_ROWS = 1_080
"""Ten minutes of seconds, three hours of tens of seconds."""
MAX_MARKS = 200
GROWTH = 1.2
DURATIONS_NS = tuple(int(1_000_000 * GROWTH**power) for power in range(84))
"""Durations are counted between 1 ms and an hour in steps of a fifth: quantiles are within 10 %."""
STATES: tuple[GateStateName, ...] = (
    "open", "tripped", "probing", "ramping", "paused", "draining", "closed", "quarantined",
)  # fmt: skip


class Levels(Struct, frozen=True, array_like=True, gc=False):
    """What was there at the end of a time. None: not known."""

    waiting: int | None = None
    in_flight: int | None = None
    eligible: int | None = None
    oldest_age_s: float | None = None
    limit: int | None = None
    learned_limit: int | None = None
    limit_per_s: float | None = None
    state: int | None = None


UNKNOWN = Levels()


class Row(Struct, frozen=True, array_like=True, gc=False):
    """`seconds` from second `at` on: what flowed, and the levels at its end.

    `spread` says how long ended attempts took: pairs of a place in `DURATIONS_NS` and a count.
    `later` of those submitted were not due yet.
    """

    at: int
    seconds: int
    submitted: int
    started: int
    succeeded: int
    failed: int
    throttled: int
    spread: tuple[int, ...]
    levels: Levels
    later: int = 0


class Mark(Struct, frozen=True):
    """A moment that a picture shows: a trip, a step of the ramp, a pause."""

    at: Wall
    what: str
    percent: int | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Row).decode


class Tally:
    """What flowed in a time that has not ended."""

    __slots__ = (
        "durations", "failed", "in_flight_moved", "later", "started", "submitted", "succeeded",
        "throttled", "waiting_moved",
    )  # fmt: skip

    def __init__(self) -> None:
        self.submitted = self.started = self.succeeded = self.failed = self.throttled = 0
        self.waiting_moved = self.in_flight_moved = self.later = 0
        self.durations: dict[int, int] = {}

    def took(self, duration_ns: int) -> None:
        """Count how long an attempt took."""
        place = bisect_left(DURATIONS_NS, duration_ns)
        self.durations[place] = self.durations.get(place, 0) + 1

    def row(self, at: int, seconds: int, levels: Levels) -> Row:
        """The time as it ended."""
        spread = tuple(one for pair in sorted(self.durations.items()) for one in pair)
        return Row(
            at, seconds, self.submitted, self.started, self.succeeded, self.failed,
            self.throttled, spread, levels, self.later,
        )  # fmt: skip

    def add(self, row: Row) -> None:
        """Count what a shorter time counted too."""
        self.submitted += row.submitted
        self.later += row.later
        self.started += row.started
        self.succeeded += row.succeeded
        self.failed += row.failed
        self.throttled += row.throttled
        for place, count in _pairs(row.spread):
            self.durations[place] = self.durations.get(place, 0) + count


class History:
    """The rings of one gate."""

    __slots__ = ("_coarse", "_fine", "_tens", "_tens_at", "levels", "marks")

    def __init__(self) -> None:
        self._fine: deque[bytes] = deque(maxlen=FINE_ROWS)
        self._coarse: deque[bytes] = deque(maxlen=COARSE_ROWS)
        self._tens = Tally()
        self._tens_at: int | None = None
        self.levels = UNKNOWN
        self.marks: deque[Mark] = deque(maxlen=MAX_MARKS)

    @property
    def size(self) -> int:
        """How many rows are kept."""
        return len(self._fine) + len(self._coarse)

    def put(self, row: Row) -> None:
        """A second that is over; they come in order."""
        self._fine.append(_encode(row))
        at = row.at - row.at % COARSE_S
        if self._tens_at is not None and at != self._tens_at:
            self._close_tens()
        self._tens_at = at
        self._tens.add(row)
        self.levels = row.levels

    def _close_tens(self) -> None:
        assert self._tens_at is not None
        self._coarse.append(_encode(self._tens.row(self._tens_at, COARSE_S, self.levels)))
        self._tens = Tally()

    def rows(self, since: int, step: int) -> list[Row]:
        """The rows from a second on, fine where they are kept and `step` asks for them."""
        tens = [_decode(row) for row in self._coarse]
        if self._tens_at is not None:
            tens.append(self._tens.row(self._tens_at, COARSE_S, self.levels))
        if step % COARSE_S == 0:
            return tens
        fine = [_decode(row) for row in self._fine]
        first = fine[0].at if fine else since
        if len(fine) == FINE_ROWS:  # the ten in which it lies is whole in `tens` alone
            first += -first % COARSE_S
        return [row for row in tens if row.at + COARSE_S <= first] + [
            row for row in fine if row.at >= first
        ]


# --- what is asked ----------------------------------------------------------------------------


class Columns(Struct, frozen=True):
    """A gate's numbers by time, one list each, all of one length. `at_unix_seconds` is where each
    step begins. None: not known. Levels are those at the end of a step, flows its mean."""

    at_unix_seconds: list[int] = []
    waiting: list[int | None] = []
    eligible: list[int | None] = []
    oldest_eligible_age_seconds: list[float | None] = []
    in_flight: list[int | None] = []
    limit: list[int | None] = []
    learned_limit: list[int | None] = []
    rate_limit_per_s: list[float | None] = []
    submitted_per_s: list[float | None] = []
    started_per_s: list[float | None] = []
    succeeded_per_s: list[float | None] = []
    failed_per_s: list[float | None] = []
    throttled_per_s: list[float | None] = []
    latency_p50_seconds: list[float | None] = []
    latency_p99_seconds: list[float | None] = []
    state: list[GateStateName | None] = []


def columns(rows: Sequence[Row], since: int, until: int, step: int) -> Columns:
    """Rows as columns of `step` seconds each from `since` on, to before `until`. Where the last
    step has not ended, its flows are a mean of what there is of it."""
    found = Columns()
    ats = [row.at for row in rows]
    before = rows[bisect_right(ats, since) - 1].levels if rows and ats[0] < since else None
    for at in range(since, until, step):
        inside = rows[bisect_left(ats, at) : bisect_left(ats, at + step)]
        tally = Tally()
        for row in inside:
            tally.add(row)
        if inside:
            before = inside[-1].levels
        _append(found, at, min(step, until - at), tally, before)
    return found


def _append(to: Columns, at: int, seconds: int, tally: Tally, levels: Levels | None) -> None:
    is_known = levels is not None
    now = levels or UNKNOWN
    to.at_unix_seconds.append(at)
    to.waiting.append(now.waiting)
    to.eligible.append(now.eligible)
    to.oldest_eligible_age_seconds.append(now.oldest_age_s)
    to.in_flight.append(now.in_flight)
    to.limit.append(now.limit)
    to.learned_limit.append(now.learned_limit)
    to.rate_limit_per_s.append(now.limit_per_s)
    to.submitted_per_s.append(tally.submitted / seconds if is_known else None)
    to.started_per_s.append(tally.started / seconds if is_known else None)
    to.succeeded_per_s.append(tally.succeeded / seconds if is_known else None)
    to.failed_per_s.append(tally.failed / seconds if is_known else None)
    to.throttled_per_s.append(tally.throttled / seconds if is_known else None)
    to.latency_p50_seconds.append(quantile_s(tally.durations, 0.5))
    to.latency_p99_seconds.append(quantile_s(tally.durations, 0.99))
    to.state.append(None if now.state is None else STATES[now.state])


def quantile_s(durations: dict[int, int], share: float) -> float | None:
    """Below what so large a share of durations lies, in seconds; None of none."""
    left = share * sum(durations.values())
    for place in sorted(durations):
        left -= durations[place]
        if left <= 0:
            above = DURATIONS_NS[min(place, len(DURATIONS_NS) - 1)]
            return round(above / GROWTH**0.5 / 1e9, 6)
    return None


def mean_s(rows: Iterable[Row]) -> float | None:
    """How long an attempt took in the mean; None of none."""
    total = count = 0.0
    for row in rows:
        for place, times in _pairs(row.spread):
            total += times * DURATIONS_NS[min(place, len(DURATIONS_NS) - 1)] / GROWTH**0.5
            count += times
    return total / count / 1e9 if count else None


def _pairs(spread: Sequence[int]) -> Iterator[tuple[int, int]]:
    return zip(spread[::2], spread[1::2], strict=True)
