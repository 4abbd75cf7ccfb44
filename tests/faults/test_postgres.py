"""The same promises over a log in PostgreSQL: the node is killed, the database restarts, the peer
freezes (semantics 2 and 3)."""

import asyncio
import os
import signal

import httpx
import pytest

from tests.faults.harness.rig import Rig
from tests.postgres_server import Postgres

SOON_S = 2.5
"""Within which a caller hears that the store is away: 2 s, and the test's own time."""


@pytest.mark.slow
async def test_every_promise_survives_six_kills_of_the_node(rig: Rig, postgres: Postgres) -> None:
    with postgres.database() as rig.address:
        for _ in range(6):
            assert await rig.start()
            rig.load.begin()
            await asyncio.sleep(rig.rng.uniform(0, 0.8))  # the instant is the point, not a wait
            rig.kill()

        assert await rig.start()
        await rig.finish()
        await rig.close()


@pytest.mark.slow
async def test_every_promise_survives_restarts_of_the_database(rig: Rig, own: Postgres) -> None:
    """Fast and as in a crash; the node lives on, takes nothing meanwhile, and goes on by itself."""
    with own.database() as rig.address:
        assert await rig.start()
        rig.load.begin()
        for mode in ("fast", "immediate"):
            made = rig.load.made
            await rig.until("tasks are made", lambda made=made: rig.load.made > made + 50)
            await asyncio.to_thread(own.control, "stop", mode)
            async with asyncio.timeout(SOON_S):
                assert await _submitted(rig) == 503
            await asyncio.to_thread(own.control, "start")

        await rig.finish()
        assert rig.lives == 1
        await rig.close()


@pytest.mark.slow
async def test_a_database_that_freezes_is_away_and_comes_back(rig: Rig, own: Postgres) -> None:
    with own.database() as rig.address:
        assert await rig.start()
        rig.load.begin()
        await rig.until("tasks are made", lambda: rig.load.made > 50)
        backends = "SELECT pid FROM pg_stat_activity WHERE application_name = 'taskmaster'"
        pids: list[int] = [pid for (pid,) in own.admin.execute(backends.encode()).fetchall()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(10):
                while not await _is_away(rig):
                    rig.load.refuse_broken()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        await rig.finish()
        await rig.close()


async def _is_away(rig: Rig) -> bool:
    async with httpx.AsyncClient(base_url=rig.url, trust_env=False, timeout=10) as client:
        return (await client.get("/readyz")).status_code == 503


async def _submitted(rig: Rig) -> int:
    """The status of one more submission."""
    async with httpx.AsyncClient(base_url=rig.url, trust_env=False, timeout=30) as client:
        response = await client.post("/v1/tasks", json={"url": "http://127.0.0.1:9/x"})
        return response.status_code
