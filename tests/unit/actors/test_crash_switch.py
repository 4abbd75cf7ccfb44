"""The switch that ends a process as `kill -9` would, in a process of its own."""

import asyncio
import subprocess
import sys

import pytest

from taskmaster.actors.crash_switch import (
    EXIT_CODE,
    POINTS,
    CrashingCommitter,
    CrashingSender,
    CrashSwitch,
)
from taskmaster.delivery.sender import Outbound
from taskmaster.errors import InvalidFieldError
from taskmaster.events.log import Append, BatchResult, NotStored
from taskmaster.events.types import GateName
from taskmaster.model.retry import Answer, Responded

SCRIPT = """
import sys
from tests.unit.actors.test_crash_switch import steps_with
steps_with(sys.argv[1])
print("unhurt", flush=True)
"""


class World:
    """A committer and a sender that say what they do."""

    async def commit(self, batch: object) -> BatchResult:
        del batch
        print("commit", flush=True)
        return NotStored("no")

    async def send(self, outbound: object) -> Answer:
        del outbound
        print("send", flush=True)
        return Responded(200, 1)

    def is_ready(self, outbound: object) -> bool:
        del outbound
        return False

    async def prepare(self, outbound: object) -> None:
        del outbound
        print("prepare", flush=True)

    async def close(self) -> None:
        print("close", flush=True)


OUTBOUND = Outbound(
    gate=GateName("g"),
    url="http://x/",
    method="POST",
    headers=(),
    body=b"",
    timeout_ns=1,
    concurrency=1,
)


def steps_with(setting: str) -> None:
    """Two commits and two sends past a switch."""

    async def main() -> None:
        world, switch = World(), CrashSwitch(setting)
        committer, sender = CrashingCommitter(world, switch), CrashingSender(world, switch)
        for _ in range(2):
            assert await committer.commit([Append(())]) == NotStored("no")
            assert not sender.is_ready(OUTBOUND)
            assert await sender.send(OUTBOUND) == Responded(200, 1)
        await sender.prepare(OUTBOUND)
        await sender.close()

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "done"),
    [
        ("before_commit:1", []),
        ("after_commit:1", ["commit"]),
        ("before_send:1", ["commit"]),
        ("after_send:1", ["commit", "send"]),
        ("before_commit:2", ["commit", "send"]),
        ("after_send:2", ["commit", "send", "commit", "send"]),
    ],
)
def test_the_process_ends_the_nth_time_the_point_is_passed(setting: str, done: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, setting],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.stdout.split(), ended.stderr) == (done, "")
    assert ended.returncode == EXIT_CODE == 137


def test_a_point_that_is_passed_less_often_changes_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for point in POINTS:
        steps_with(f"{point}:3")

    assert capfd.readouterr().out.split() == [*["commit", "send"] * 2, "prepare", "close"] * 4


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "before_commit",
        "before_commit:",
        "before_commit:0",
        "before_commit:-1",
        "before_commit:x",
        "before_commit:1:2",
        "now:1",
        ":1",
        "before_commit:1.5",
        "Before_Commit:1",
    ],
)
def test_a_setting_that_names_no_point_is_refused(setting: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        CrashSwitch(setting)

    assert refused.value.field == "TASKMASTER_CRASH_AT"
    assert "before_commit, after_commit, before_send, after_send" in refused.value.remedy
