"""Waiting for conditions: every wait has a deadline, and says what it waited for."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
POLL_S = 0.005


async def until(what: str, condition: Callable[[], object], deadline_s: float = 30) -> float:
    """Wait for a condition; how many seconds it took.

    Raises:
        AssertionError: the deadline passed.
    """
    began = time.monotonic()
    while not condition():
        took = time.monotonic() - began
        assert took < deadline_s, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(POLL_S)
    return time.monotonic() - began


def ended(process: "subprocess.Popen[bytes]", deadline_s: float = 10) -> int:
    """The exit code of a process that is about to end; one that does not is killed, and a
    failure."""
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
