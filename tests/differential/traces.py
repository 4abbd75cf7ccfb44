"""What a scenario's run looks like, whoever ran it: a list of events, each a line.

start NAME N RESULT     the N-th start of a child, and what came of it
ask NAME REASON         a worker was told to end
end NAME REASON         a process has ended
> and < ANSWER          an operation, and the answer of each request in it
"""

import re
from itertools import zip_longest

from taskmaster.supervision.reasons import (
    ChildFailed,
    Crash,
    FailedToStart,
    Killed,
    Misspelt,
    NoProcess,
    Normal,
    Shutdown,
)
from tests.differential.scenarios import Scenario, op_texts

STOPPING = re.compile(r"(?:ask|end) (d\d+)")


def why(reason: object) -> str:
    """A reason as the driver writes it."""
    match reason:
        case str():
            return reason
        case Normal():
            return "normal"
        case Shutdown(detail=None):
            return "shutdown"
        case Shutdown(detail=detail):
            return f"shutdown({detail})"
        case Killed():
            return "killed"
        case NoProcess():
            return "noproc"
        case FailedToStart(child=child, reason=below) | ChildFailed(child=child, reason=below):
            return f"failed({child} {why(below)})"
        case Crash(error=error):
            return why(error)
        case Misspelt():
            return reason.why
        case BaseException():
            return str(reason)
        case _:
            raise AssertionError(f"no reason: {reason!r}")


def comparable(trace: list[str]) -> list[str]:
    """Dynamic children are stopped all at once: what each does is in order, who is first is not."""
    result: list[str] = []
    together: list[tuple[int, str]] = []
    for event in [*trace, ""]:
        stopping = STOPPING.match(event)
        if stopping:
            together.append((int(stopping[1][1:]), event))
            continue
        result += [one for _, one in sorted(together, key=lambda one: one[0])]
        together = []
        result.append(event)
    return result[:-1]


def side_by_side(one: Scenario, theirs: list[str], ours: list[str]) -> str:
    """The two traces, with a mark where they differ."""
    ops = iter((*op_texts(one), "stop"))
    lines = [f"{'OTP':<60}  TaskMaster"]
    for left, right in zip_longest(theirs, ours, fillvalue=""):
        if left == ">":
            lines.append(f"> {next(ops, '')}")
        if left != ">" or right != ">":
            lines.append(f"{left:<60}{' ' if left == right else '#'} {right}")
    return "\n".join(lines)
