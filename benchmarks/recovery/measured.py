"""What a run amounted to, from the record of its callers (the log, where there is one) and the
endpoint's.

Rules of residence: pure. Instants are nanoseconds of one wall clock; nothing here knows whether
they were real.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from taskmaster.events.types import (
    SECOND,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    AttemptVoided,
    Stream,
    TaskDied,
    TaskSubmitted,
)

FRESH_S = 60
CALM_S = 10
CALM_SHARE = 0.95


class Life(Struct):
    """One task. `unknown`: attempts that may have been worked on though they failed."""

    submitted_at: int
    started_at: list[int] = field(default_factory=list[int])
    unknown: int = 0
    succeeded_at: int = 0
    died_at: int = 0

    @property
    def ended_at(self) -> int:
        return self.succeeded_at or self.died_at


class Look(Struct, frozen=True):
    """The endpoint at one instant; `in_flight` is the most since the look before."""

    at: int
    in_flight: int
    is_up: bool


class Record(Struct, frozen=True):
    """What the endpoint saw."""

    looks: list[Look]
    crashes_at: list[int]
    done: dict[str, int]
    wasted: int


class Second(Struct, frozen=True):
    """One second, counted from the endpoint's return; the seconds before it are negative."""

    at_s: int
    submitted: int
    started: int
    succeeded: int
    fresh: int
    """Of these, submitted after the return."""
    backlog: int
    in_flight: int


class Measured(Struct, frozen=True):
    """Times are seconds after the return, None: not by the end."""

    tasks: int
    attempts: int
    open: int
    dead: int
    first_success_s: float | None
    drained_s: float | None
    keeps_up_s: int | None
    """From when on, for 10 s at a time, it completes 95 % of what is submitted."""
    fresh_keeps_up_s: int | None
    """The same of what is submitted after the return alone."""
    fresh: int
    fresh_in_time: int
    """Submitted after the return; of these, served within 60 s."""
    crashes: int
    most_in_flight: int
    done_twice: int
    unexplained: int
    """Tasks whose work was done again though no attempt of theirs had been left unanswered."""
    wasted: int
    seconds: list[Second]
    crashes_at_s: list[float]


def lives_of(log: Iterable[tuple[Stream, object]]) -> dict[str, Life]:
    """Fold the log of one gate."""
    lives: dict[str, Life] = {}
    for stream, event in log:
        key = stream.removeprefix("task-")
        match event:
            case TaskSubmitted(at=at):
                lives[key] = Life(at)
            case AttemptStarted(at=at):
                lives[key].started_at.append(at)
            case AttemptVoided():
                lives[key].started_at.pop()
            case AttemptSucceeded(at=at):
                lives[key].succeeded_at = at
            case AttemptFailed(at=at, delivered=delivered, next=following):
                lives[key].unknown += delivered != "no"
                if following == "dead":
                    lives[key].died_at = at
            case TaskDied(at=at):
                lives[key].died_at = at
            case _:
                pass
    return lives


def measured(
    lives: Mapping[str, Life],
    record: Record,
    *,
    began_at: int,
    back_at: int,
    ended_at: int,
    load_per_s: float,
) -> Measured:
    """Compare both. A backlog of a second's load counts as none."""
    seconds = _seconds(lives, record, began_at, back_at, ended_at)
    after = [one for one in seconds if one.at_s >= 0]
    successes = [life.succeeded_at for life in lives.values() if life.succeeded_at >= back_at]
    fresh = [
        life
        for life in lives.values()
        if back_at <= life.submitted_at < ended_at - FRESH_S * SECOND
    ]
    in_time = [one for one in fresh if 0 < one.succeeded_at <= one.submitted_at + FRESH_S * SECOND]
    done = {key: times for key, times in record.done.items() if key in lives}
    return Measured(
        tasks=len(lives),
        attempts=sum(len(life.started_at) for life in lives.values()),
        open=sum(not life.ended_at for life in lives.values()),
        dead=sum(life.died_at > 0 for life in lives.values()),
        first_success_s=(min(successes) - back_at) / SECOND if successes else None,
        drained_s=_drained_s(lives, back_at, max(1.0, load_per_s)),
        keeps_up_s=_keeps_up_s([(one.submitted, one.succeeded) for one in after]),
        fresh_keeps_up_s=_keeps_up_s([(one.submitted, one.fresh) for one in after]),
        fresh=len(fresh),
        fresh_in_time=len(in_time),
        crashes=sum(at >= back_at for at in record.crashes_at),
        most_in_flight=max(
            (look.in_flight for look in record.looks if look.at >= back_at), default=0
        ),
        done_twice=sum(times > 1 for times in done.values()),
        unexplained=sum(times - 1 > lives[key].unknown for key, times in done.items()),
        wasted=record.wasted,
        seconds=seconds,
        crashes_at_s=[(at - back_at) / SECOND for at in record.crashes_at],
    )


def _drained_s(lives: Mapping[str, Life], back_at: int, enough: float) -> float | None:
    """When the backlog was first gone after the return."""
    changes = [(life.submitted_at, 1) for life in lives.values()]
    changes += [(life.ended_at, -1) for life in lives.values() if life.ended_at]
    backlog = 0
    for at, change in sorted(changes):
        backlog += change
        if at >= back_at and backlog <= enough:
            return (at - back_at) / SECOND
    return None


def _seconds(
    lives: Mapping[str, Life], record: Record, began_at: int, back_at: int, ended_at: int
) -> list[Second]:
    def second(at: int) -> int:
        return (at - back_at) // SECOND

    submitted = Counter(second(life.submitted_at) for life in lives.values())
    started = Counter(second(at) for life in lives.values() for at in life.started_at)
    succeeded = Counter(second(life.succeeded_at) for life in lives.values() if life.succeeded_at)
    fresh = Counter(
        second(life.succeeded_at)
        for life in lives.values()
        if life.succeeded_at and life.submitted_at >= back_at
    )
    ended = Counter(second(life.ended_at) for life in lives.values() if life.ended_at)
    in_flight: Counter[int] = Counter()
    for look in record.looks:
        in_flight[second(look.at)] = max(in_flight[second(look.at)], look.in_flight)
    seconds: list[Second] = []
    backlog = 0
    for at_s in range(second(began_at), second(ended_at) + 1):
        backlog += submitted[at_s] - ended[at_s]
        seconds.append(
            Second(
                at_s,
                submitted[at_s],
                started[at_s],
                succeeded[at_s],
                fresh[at_s],
                backlog,
                in_flight[at_s],
            )
        )
    return seconds


def _keeps_up_s(seconds: Sequence[tuple[int, int]]) -> int | None:
    """The first second from which on each ten seconds complete what comes in: what was submitted
    and what was done in each."""
    first: int | None = None
    for begin in range(len(seconds) - CALM_S, -1, -1):
        calm = seconds[begin : begin + CALM_S]
        if sum(done for _, done in calm) < CALM_SHARE * sum(came for came, _ in calm):
            break
        first = begin
    return first
