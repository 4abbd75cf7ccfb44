"""The store on threads of its own, seen from the loop."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from taskmaster.actors.threads import StoreThread, ThreadCommitter, ThreadReader
from taskmaster.events.log import Append, BatchResult, NotStored
from taskmaster.events.types import Position, TaskId


class Store:
    """Says on which thread it was asked."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def commit(self, batch: Sequence[Append]) -> BatchResult:
        self.threads.append(threading.current_thread().name)
        if not batch:
            raise OSError("no batch")
        return NotStored("no")

    def position(self) -> Position:
        self.threads.append(threading.current_thread().name)
        return Position(7)

    def task_events(self, task: TaskId) -> tuple[str, ...]:
        return (task,)


async def test_calls_run_in_order_on_one_thread_and_answer_on_the_loop() -> None:
    thread = StoreThread("store")
    order: list[int] = []

    def call(number: int) -> int:
        order.append(number)
        return threading.get_ident()

    asks = [thread.ask(lambda number=number: call(number)) for number in range(100)]
    idents = await asyncio.gather(*asks)
    thread.stop()

    assert order == list(range(100))
    assert len(set(idents)) == 1
    assert idents[0] != threading.get_ident()


async def test_what_a_call_raises_is_raised_to_whoever_asked_and_the_thread_goes_on() -> None:
    committer = ThreadCommitter(Store())

    with pytest.raises(OSError, match="no batch"):
        await committer.commit([])

    assert await committer.commit([Append(())]) == NotStored("no")
    committer.stop()


async def test_commits_and_reads_have_a_thread_each() -> None:
    store = Store()
    committer, reader = ThreadCommitter(store), ThreadReader(store)

    await committer.commit([Append(())])
    await reader.position()
    committer.stop()
    reader.stop()

    assert store.threads == ["taskmaster-journal", "taskmaster-reader"]


async def test_a_reader_hands_its_arguments_on() -> None:
    reader = ThreadReader(Store())

    assert await reader.task_events(TaskId("t")) == ("t",)
    assert await reader.position() == 7
    reader.stop()


async def test_who_no_longer_waits_for_an_answer_disturbs_nobody() -> None:
    thread = StoreThread("store")
    gate = threading.Event()
    waiting = asyncio.ensure_future(thread.ask(gate.wait))
    await asyncio.sleep(0)

    waiting.cancel()
    gate.set()

    assert await thread.ask(lambda: "next") == "next"
    assert waiting.cancelled()
    thread.stop()


async def test_a_stop_comes_after_the_calls_before_it() -> None:
    thread = StoreThread("store")
    done: list[int] = []
    asked = asyncio.ensure_future(thread.ask(lambda: done.append(1)))
    await asyncio.sleep(0)

    thread.stop()

    assert done == [1]
    await asked


def test_an_answer_for_a_loop_that_has_gone_is_dropped() -> None:
    thread = StoreThread("store")
    gate, answered = threading.Event(), threading.Event()

    async def ask() -> None:
        asked = asyncio.ensure_future(thread.ask(gate.wait))
        await asyncio.sleep(0)
        asked.cancel()

    asyncio.run(ask())
    gate.set()
    thread._calls.put(answered.set)  # pyright: ignore[reportPrivateUsage]  # no loop is left to ask from

    assert answered.wait(10)
    thread.stop()
