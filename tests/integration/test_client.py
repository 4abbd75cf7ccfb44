"""The client against a real server, which is killed under it."""

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmaster.client import (
    AsyncClient,
    Client,
    GateSettings,
    Limits,
    Rate,
    RetryRules,
    SeriesChange,
    SeriesRules,
    Submission,
    TaskFilter,
)
from taskmaster.errors import ConflictError, InvalidFieldError, NotFoundError
from tests.integration.server_process import ServerProcess

pytestmark = pytest.mark.slow
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("client") / "log.db") as running:
        yield running


def test_every_route_is_read_as_it_is_answered(server: ServerProcess) -> None:
    settings = GateSettings(limits=Limits(rate=5, rates=[Rate(1_000, "1h", 3)]), reason="r")
    with Client(server.url) as client:
        assert client.version().version
        gate = client.set_gate("routes", settings)
        assert gate.limits.rates == [Rate(5.0, "1s", 1), Rate(1_000.0, "1h", 3)]
        assert (
            client.change_gate("routes", {"max_backlog": 9}, version=gate.version).state == "open"
        )
        assert client.pause_gate("routes", until="2100-01-01T00:00:00Z").state == "paused"
        assert client.gate("routes").control == "paused"
        assert "routes" in {gate.gate for gate in client.gates()}

        new = Submission(NOWHERE, gate="routes", labels={"a": "b"}, retry=RetryRules(jitter="none"))
        task = client.submit(new).task
        assert client.task(task.id).retry is not None
        assert [one.id for one in client.tasks(TaskFilter(labels={"a": "b"}))] == [task.id]
        assert client.why(task.id).now == "paused"
        assert client.why_gate("routes").causes[0].cause == "paused"
        assert client.reschedule(task.id, delay="2h").state == "scheduled"
        assert client.run_now(task.id).state == "waiting"
        assert client.purge_gate("routes", dry_run=True).matched == 1
        assert client.cancel(task.id, reason="r").answer == "cancelled"
        assert client.redrive(task.id).state == "waiting"
        assert client.purge_gate("routes").cancelled == 1
        assert next(client.history(task.id)).type == "TaskSubmitted"
        assert client.drain_gate("routes").control in {"draining", "paused"}
        assert client.resume_gate("routes").state == "open"
        assert client.close_gate("routes").state == "closed"

        series = client.set_series("s", SeriesRules(NOWHERE, every="15m", catch_up="none"))
        assert series.schedule.every == "15m"
        change = SeriesChange(every="30m", reason="less")
        assert client.change_series("s", change, version=series.version).schedule.every == "30m"
        assert client.pause_series("s").state == "paused"
        assert client.resume_series("s").state == "active"
        assert len(client.next_runs("s", count=2).items) == 2
        assert [one.series for one in client.all_series()] == ["s"]
        assert client.end_series("s").state == "ended"
        assert client.series("s").state == "ended"
        assert client.preview(cron="0 3 * * *", time_zone="Europe/Berlin", count=1).explain

        assert next(client.log()).position == 1
        assert next(client.follow(after=0)).type == "NodeStarted"
        assert "node/journal" in {unit.path for unit in client.tree()}


def test_refusals_name_field_and_remedy(server: ServerProcess) -> None:
    with Client(server.url) as client:
        with pytest.raises(NotFoundError):
            client.task("nothing")
        with pytest.raises(InvalidFieldError) as caught:
            client.set_gate("g", GateSettings(limits=Limits(rate=-3)))
        client.set_gate("g", {})
        with pytest.raises(ConflictError):
            client.change_gate("g", {"max_backlog": 1}, version=99)

    assert caught.value.field == "limits.rate"
    assert caught.value.remedy


async def test_the_client_for_asyncio_does_the_same(server: ServerProcess) -> None:
    async with AsyncClient(server.url) as client:
        await client.set_gate("async", {})
        await client.pause_gate("async")
        batch = await client.submit_batch([Submission(NOWHERE, gate="async")] * 3)
        assert (batch.created, batch.refused) == (3, 0)
        lines = [b"{bad", *[{"url": NOWHERE, "gate": "async"}] * 2_000]
        items = [item async for item in client.submit_stream(lines)]
        assert [item.index for item in items] == list(range(2_001))
        assert Counter(item.status for item in items) == {400: 1, 201: 2_000}

        waiting = [task.id async for task in client.tasks(TaskFilter(gate="async"))]
        assert len(set(waiting)) == 2_003
        follow = client.follow(after=0, stream="gate-async")
        assert (await anext(follow)).type == "GateOpened"
        with pytest.raises(TimeoutError):
            await client.wait(waiting[0], timeout_s=0.05)


def test_a_stream_survives_a_server_that_is_killed(tmp_path: Path) -> None:
    """Semantics 2.6: what was acknowledged is there once, what was not is sent again."""
    store = tmp_path / "log.db"
    first = ServerProcess(store)
    with first, Client(first.url, patience_s=60) as client:
        client.set_gate("g", {})
        client.pause_gate("g")
        acknowledged: list[str | None] = []
        with_second: list[ServerProcess] = []

        def restart() -> None:
            first.stop(signal.SIGKILL)
            with_second.append(ServerProcess(store, port=first.port).__enter__())

        killing = threading.Thread(target=restart)
        tasks: Iterator[Submission] = (Submission(NOWHERE, gate="g") for _ in range(20_000))
        for item in client.submit_stream(tasks):
            acknowledged.append(item.id)
            if len(acknowledged) == 5_000:
                killing.start()
        killing.join()
        with with_second[0]:
            stored = [task.id for task in client.tasks(TaskFilter(gate="g"))]

    assert len(acknowledged) == 20_000
    assert sorted(stored) == sorted(filter(None, acknowledged))


def test_following_goes_on_over_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    with ServerProcess(store) as server, Client(server.url, patience_s=60) as client:
        client.set_gate("one", {})
        following = client.follow(after=0)
        seen = [next(following).position]
        server.stop(signal.SIGKILL)
        with ServerProcess(store, port=server.port):
            client.set_gate("two", {})
            while (entry := next(following)).stream != "gate-two":
                seen.append(entry.position)

    assert seen == list(range(1, len(seen) + 1))


def test_many_callers_share_one_client(server: ServerProcess) -> None:
    async def ids() -> list[str]:
        async with AsyncClient(server.url) as client:
            await client.set_gate("many", {})
            await client.pause_gate("many")
            done = await asyncio.gather(
                *(client.submit(Submission(NOWHERE, gate="many")) for _ in range(200))
            )
            return [one.task.id for one in done]

    assert len(set(asyncio.run(ids()))) == 200
