"""Ends the process at a named point, for tests of what a crash leaves behind.

Rules of residence: wraps ports; nothing else knows of it. The switch is an environment variable,
`TASKMASTER_CRASH_AT=<point>:<n>`: the n-th time the point is passed the process ends as `kill -9`
would end it. Points: `before_commit`, `after_commit`, `before_send`, `after_send`.
"""

import os
from collections.abc import Sequence

from taskmaster.delivery.sender import Outbound, Sender
from taskmaster.errors import InvalidFieldError
from taskmaster.events.log import Append, BatchResult, Committer
from taskmaster.model.retry import Answer

VARIABLE = "TASKMASTER_CRASH_AT"
POINTS = ("before_commit", "after_commit", "before_send", "after_send")
EXIT_CODE = 137
"""As a shell reports a process that SIGKILL ended."""


class CrashSwitch:
    """Counts how often each point is passed."""

    def __init__(self, setting: str) -> None:
        """`setting` is `<point>:<n>`.

        Raises:
            InvalidFieldError: no such point, or n is not a number from 1 on.
        """
        point, _, number = setting.partition(":")
        if point not in POINTS or not number.isdecimal() or int(number) < 1:
            raise InvalidFieldError(
                f"{VARIABLE} is {setting!r}",
                field=VARIABLE,
                remedy=f"give one of {', '.join(POINTS)}, a colon and a number from 1 on",
            )
        self._point = point
        self._left = int(number)

    def passed(self, point: str) -> None:
        """Count; the last one does not return."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os._exit(EXIT_CODE)


class CrashingCommitter:
    """A committer with a switch before and after each commit."""

    def __init__(self, committer: Committer, switch: CrashSwitch) -> None:
        """Stand before `committer`."""
        self._committer = committer
        self._switch = switch

    async def commit(self, batch: Sequence[Append]) -> BatchResult:
        """As `Committer.commit`."""
        self._switch.passed("before_commit")
        result = await self._committer.commit(batch)
        self._switch.passed("after_commit")
        return result


class CrashingSender:
    """A sender with a switch before and after each send."""

    def __init__(self, sender: Sender, switch: CrashSwitch) -> None:
        """Stand before `sender`."""
        self._sender = sender
        self._switch = switch

    async def send(self, outbound: Outbound) -> Answer:
        """As `Sender.send`."""
        self._switch.passed("before_send")
        answer = await self._sender.send(outbound)
        self._switch.passed("after_send")
        return answer

    def is_ready(self, outbound: Outbound) -> bool:
        """As `Sender.is_ready`."""
        return self._sender.is_ready(outbound)

    async def prepare(self, outbound: Outbound) -> None:
        """As `Sender.prepare`."""
        await self._sender.prepare(outbound)

    async def close(self) -> None:
        """As `Sender.close`."""
        await self._sender.close()
