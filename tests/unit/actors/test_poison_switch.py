"""The switch that makes tasks and gates poisonous."""

import asyncio
import subprocess
import sys

import pytest
from msgspec.structs import replace

from taskmaster.actors.crash_switch import EXIT_CODE
from taskmaster.actors.poison_switch import (
    KINDS,
    Poisoned,
    PoisonedReader,
    PoisonedSender,
    PoisonSwitch,
)
from taskmaster.actors.threads import ThreadReader
from taskmaster.errors import InvalidFieldError
from taskmaster.events.sqlite import SQLiteStore
from taskmaster.events.types import GateName
from taskmaster.model.retry import Responded
from tests.unit.actors.test_crash_switch import OUTBOUND, World

SETTING = "crash:/a,exit:/b,gate:g"
SCRIPT = f"""
from taskmaster.actors.poison_switch import PoisonSwitch
switch = PoisonSwitch("{SETTING}")
switch.meet_task("http://x/c")
print("unhurt", flush=True)
switch.meet_task("http://x/b?q=1")
print("alive", flush=True)
"""


async def test_a_task_crashes_by_its_path_and_no_other() -> None:
    sender = PoisonedSender(World(), PoisonSwitch(SETTING))

    for url in ("http://x/", "http://x/g", "http://x/a/b", "http://x/?/a"):
        assert await sender.send(replace(OUTBOUND, url=url)) == Responded(200, 1)
    with pytest.raises(Poisoned):
        await sender.send(replace(OUTBOUND, url="http://x/a"))
    assert not sender.is_ready(OUTBOUND)
    await sender.prepare(OUTBOUND)
    await sender.close()


async def test_a_gate_cannot_be_read_by_its_name_and_no_other() -> None:
    store = SQLiteStore.open(":memory:")
    reader = PoisonedReader(ThreadReader(store.reader()), PoisonSwitch(SETTING))

    assert (await reader.gate_snapshot(GateName("/a"))).events == ()
    with pytest.raises(Poisoned):
        await reader.gate_snapshot(GateName("g"))
    await asyncio.to_thread(reader.stop)


@pytest.mark.slow
def test_a_task_ends_the_process_by_its_path() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=False, capture_output=True, timeout=60
    )

    assert (done.stdout, done.returncode) == (b"unhurt\n", EXIT_CODE)


@pytest.mark.parametrize("setting", ["", "crash", "crash:", "a:/b", "crash:/a,", ":/a"])
def test_a_setting_that_names_nothing_is_refused(setting: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        PoisonSwitch(setting)

    assert refused.value.field == "TASKMASTER_POISON"
    assert ", ".join(KINDS) in refused.value.remedy
