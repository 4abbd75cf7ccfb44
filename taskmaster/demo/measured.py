"""What the demonstration claims, measured: from the application's own record and from the log.

Rules of residence: pure. The log says what was started and how it ended, the application what
really came; neither is asked about itself alone. Nothing here asks the code that it checks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from taskmaster.client import Entry
from taskmaster.demo.application import Counts, Record

BUNCHED_S = 0.1
"""So long a busy machine may keep requests on their way, beside the application's own stalls. The
limit is claimed at our socket; what is measured is how requests arrive."""


class Limits(Struct, frozen=True):
    """What the gate was told."""

    per_s: int
    burst: int
    concurrency: int


class Behind(Struct, frozen=True):
    """The arm behind the gate. `repeats` are arrivals after a key's first: of an attempt that was
    open when the server was killed, of one that failed otherwise, and of neither."""

    acknowledged: int
    done: int
    lost: int
    done_twice: int
    arrived: int
    repeats_after_kill: int
    repeats_after_failure: int
    repeats_unexplained: int
    open_at_kills: int
    most_started_in_a_second: int
    most_arrived_in_a_second: int
    above_limit: float
    may_be_bunched: float
    most_open: int
    most_in_flight: int
    crashes: int

    def broken(self, limits: Limits) -> list[str]:
        """The promises that were not kept, in words."""
        kept = {
            "an acknowledged task was lost": self.lost == 0,
            "something was sent again without a reason": self.repeats_unexplained == 0,
            "more was started in a second than the rate allows": (
                self.most_started_in_a_second <= limits.burst + limits.per_s
            ),
            "more arrived than the rate allows": self.above_limit <= self.may_be_bunched,
            "more was in flight than the gate allows": self.most_open <= limits.concurrency,
            "more was in flight at the application than gate and kill explain": (
                self.most_in_flight <= limits.concurrency + self.open_at_kills
            ),
            "the application crashed behind its gate": self.crashes == 0,
        }
        return [words for words, is_kept in kept.items() if not is_kept]


class Without(Struct, frozen=True):
    """The arm with the gate off."""

    tasks: int
    done: int
    done_twice: int
    arrived: int
    repeats: int
    most_arrived_in_a_second: int
    most_in_flight: int
    crashes: int


class Log(Struct):
    """What of the log the summary needs, folded event by event."""

    slots: list[float] = []
    succeeded: set[str] = set()
    unknown: dict[str, Counter[str]] = {}
    """For each task, how often an attempt that may have arrived failed, by outcome."""
    most_open: int = 0


def fold_log(entries: Iterable[Entry]) -> Log:
    """Fold the whole log of the demonstration's only gate."""
    log = Log(slots=[], succeeded=set(), unknown=defaultdict(Counter))
    open_count = 0
    for entry in entries:
        task = entry.stream.removeprefix("task-")
        match entry.type:
            case "AttemptStarted":
                open_count += 1
                log.most_open = max(log.most_open, open_count)
                at = datetime.fromisoformat(str(entry.fields["slot_at"]))
                log.slots.append(at.timestamp())
            case "AttemptSucceeded":
                open_count -= 1
                log.succeeded.add(task)
            case "AttemptVoided":
                open_count -= 1
            case "AttemptFailed":
                open_count -= 1
                if entry.fields["delivered"] != "no":
                    log.unknown[task][str(entry.fields["outcome"])] += 1
            case _:
                pass
    return log


def behind(
    acknowledged: Sequence[str], log: Log, record: Record, counts: Counts, limits: Limits
) -> Behind:
    """Compare what was acknowledged, what the log says and what the application saw."""
    after_kill = after_failure = unexplained = 0
    for task, arrivals in record.arrivals.items():
        repeats = len(arrivals) - 1
        reasons = log.unknown.get(task, Counter[str]())
        by_kill = min(repeats, reasons["interrupted"])
        by_failure = min(repeats - by_kill, reasons.total() - reasons["interrupted"])
        after_kill += by_kill
        after_failure += by_failure
        unexplained += repeats - by_kill - by_failure
    arrivals = [at for every in record.arrivals.values() for at in every]
    return Behind(
        acknowledged=len(acknowledged),
        done=len(record.done),
        lost=len(set(acknowledged) - (log.succeeded & set(record.done))),
        done_twice=sum(count > 1 for count in record.done.values()),
        arrived=len(arrivals),
        repeats_after_kill=after_kill,
        repeats_after_failure=after_failure,
        repeats_unexplained=unexplained,
        open_at_kills=sum(reasons["interrupted"] for reasons in log.unknown.values()),
        most_started_in_a_second=most_within(log.slots, 1.0),
        most_arrived_in_a_second=most_within(arrivals, 1.0),
        above_limit=above(arrivals, limits),
        may_be_bunched=limits.per_s * (BUNCHED_S + counts.longest_stall_s),
        most_open=log.most_open,
        most_in_flight=counts.most_in_flight,
        crashes=counts.crashes,
    )


def without(tasks: int, record: Record, counts: Counts) -> Without:
    """What became of the same backlog with the gate off."""
    arrivals = [at for every in record.arrivals.values() for at in every]
    return Without(
        tasks=tasks,
        done=len(record.done),
        done_twice=sum(count > 1 for count in record.done.values()),
        arrived=len(arrivals),
        repeats=len(arrivals) - len(record.arrivals),
        most_arrived_in_a_second=most_within(arrivals, 1.0),
        most_in_flight=counts.most_in_flight,
        crashes=counts.crashes,
    )


def above(instants: Sequence[float], limits: Limits) -> float:
    """By how many the worst of all windows, of any length T, is above `burst + rate*T`.

    A window from instant i to j holds `j - i + 1` of them; its excess is the difference of a
    term of j and the least term of an i, so one pass sees every window.
    """
    least, worst = float("inf"), float("-inf")
    for number, at in enumerate(sorted(instants)):
        term = number - limits.per_s * at
        least = min(least, term)
        worst = max(worst, term - least + 1 - limits.burst)
    return max(0.0, worst)


def most_within(instants: Sequence[float], length_s: float) -> int:
    """The most in any interval of that length, wherever it begins."""
    most = first = 0
    ordered = sorted(instants)
    for last, at in enumerate(ordered):
        while ordered[first] < at - length_s:
            first += 1
        most = max(most, last - first + 1)
    return most
