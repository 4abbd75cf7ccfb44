"""`kill -9` in the midst of a bulk of thousands, on the real server (semantics 8.3)."""

from collections import Counter
from pathlib import Path

import pytest

from taskmaster.client import Bulk, Client
from tests.faults.harness.rig import Gate, Rig
from tests.faults.harness.until import until

MEMBERS = 3_000
RATE_PER_S = 1_500
DEADLINE_S = 60
KILLS = 2
GATES = (Gate("many", 4),)


async def _ended(client: Client, bulk_id: str) -> Bulk:
    await until("the bulk ends", lambda: client.bulk(bulk_id).state != "running", DEADLINE_S)
    return client.bulk(bulk_id)


def _members(client: Client, bulk_id: str) -> Counter[tuple[str, str]]:
    """What became of each task, as it is listed."""
    found: Counter[tuple[str, str]] = Counter()
    token: str | None = ""
    while token is not None:
        page = client.bulk_members(bulk_id, page_token=token)
        found.update((member.id, member.answer) for member in page.items)
        token = page.next_page_token
    return found


def _changes(client: Client, kind: str) -> Counter[str]:
    """How often each task has such an event."""
    return Counter(entry.stream for entry in client.log() if entry.type == kind)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_bulk_of_thousands_goes_on_after_kills_and_can_be_undone(
    tmp_path: Path, seed: int
) -> None:
    rig = Rig(tmp_path, seed, GATES)
    try:
        await _survives(rig)
    finally:
        await rig.close()


async def _survives(rig: Rig) -> None:
    assert await rig.start()
    with Client(rig.url) as client:
        wishes = [{"url": rig.endpoint.url, "gate": "many", "delay": "1h"} for _ in range(MEMBERS)]
        tasks = {item.id for item in client.submit_batch(wishes).items}
        bulk = client.start_bulk("cancel", {"gate": "many"}, rate=RATE_PER_S, reason="wrong")
    assert len(tasks) == MEMBERS

    for life in range(1, KILLS + 1):
        least = rig.rng.randrange(MEMBERS * (life - 1) // KILLS + 50, MEMBERS * life // KILLS - 50)
        await _killed_in_the_midst(rig, bulk.id, least)
        assert await rig.start()

    with Client(rig.url) as client:
        done = await _ended(client, bulk.id)

        assert (done.state, done.changed, done.answered) == ("ended", MEMBERS, MEMBERS)
        assert _members(client, bulk.id) == Counter((one, "changed") for one in tasks)
        assert _changes(client, "TaskCancelled") == Counter(f"task-{one}" for one in tasks)

        undo = await _ended(client, client.undo_bulk(bulk.id, reason="it was right").id)

        assert (undo.state, undo.changed, undo.answered) == ("ended", MEMBERS, MEMBERS)
        assert {task.state for task in client.tasks()} == {"scheduled"}
    assert not rig.endpoint.requests


async def _killed_in_the_midst(rig: Rig, bulk_id: str, least: int) -> None:
    """`kill -9` once so many members have their answer, and before all have."""
    with Client(rig.url) as client:
        await until(f"{least} answered", lambda: client.bulk(bulk_id).answered >= least)
        assert client.bulk(bulk_id).state == "running"
    assert rig.server is not None
    rig.server.kill()
