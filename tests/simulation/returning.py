"""An endpoint that comes back cold to a backlog, with a gate before it, in virtual time.

The node, its actors and its store are the real ones, and the endpoint is the benchmark's
(`benchmarks/recovery`).
"""

import asyncio
from collections.abc import Iterator, Sequence
from random import Random

from msgspec import Struct, convert

from benchmarks.recovery.arms import MAX_ATTEMPTS, TIMEOUT_S, Arm, gate
from benchmarks.recovery.measured import Look, Measured, Record, lives_of, measured
from benchmarks.recovery.metastable import (
    METASTABLE,
    RESET,
    THROTTLED,
    Character,
    Metastable,
    Request,
)
from taskmaster.actors.intake import Accepted
from taskmaster.actors.journal import Commit
from taskmaster.actors.node import Node
from taskmaster.api.bodies import GateIn
from taskmaster.api.gate_settings import Stated, settings_of
from taskmaster.delivery.sender import Outbound
from taskmaster.events.types import (
    SECOND,
    AttemptFailed,
    AttemptSucceeded,
    GateSettings,
    Position,
    Retry,
    Stream,
    TaskDied,
    TaskId,
    TaskSubmitted,
)
from taskmaster.events.types import Request as TaskRequest
from taskmaster.model.retry import Answer, Responded, Unanswered
from taskmaster.model.submission import SubmitTask
from tests.unit.actors.nodes import Endpoint, Sent, World, open_gate
from tests.unit.model.builders import CAUSE, NAME, NOW

RETRY = Retry(max_attempts=MAX_ATTEMPTS, max_backoff_ns=30 * SECOND)
BATCH = 500
COMMIT_S = 0.01
LOOK_S = 0.25
REFUSED_S = 0.005
LOAD_EVERY_S = 0.1
END_S = 600.0
"""What is left when the backlog is gone may wait for its retries."""


class Story(Struct, frozen=True):
    """What happens: an outage with a backlog, the return, load all the while."""

    arm: Arm
    rate: int
    seed: int = 1
    character: Character = METASTABLE
    waiting: int = 30_000
    load_per_s: float = 100.0
    outage_s: float = 60.0
    until_s: float = 900.0
    """After the return; what has not drained then never does."""

    @property
    def settings(self) -> GateSettings:
        stated = settings_of(convert(gate(self.arm, self.rate), GateIn))
        assert isinstance(stated, Stated)
        return stated.settings


class Told(Struct, frozen=True):
    """The measures of a run, and by how many starts any window exceeded the gate's rate."""

    measured: Measured
    above_limit: float
    most_open: int


class Sockets(Endpoint):
    """The endpoint as its callers see it: refused while it is down, given up after a while."""

    def __init__(self, model: Metastable) -> None:
        super().__init__()
        self._model = model
        self._open = 0
        self.most_open = 0

    async def send(self, outbound: Outbound) -> Answer:
        loop = asyncio.get_running_loop()
        headers = dict(outbound.headers)
        key, began = headers["Idempotency-Key"], loop.time()
        self.sent.append(Sent(began, TaskId(key), int(headers["TaskMaster-Attempt"])))
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            return await self._answer(key, outbound.timeout_ns / SECOND, began)
        finally:
            self._open -= 1

    async def _answer(self, key: str, timeout_s: float, began: float) -> Answer:
        loop = asyncio.get_running_loop()

        def took() -> int:
            return round((loop.time() - began) * SECOND)

        if not self._model.is_up:
            await asyncio.sleep(REFUSED_S)
            return Unanswered("refused", took(), "connection refused")
        answered: asyncio.Future[int] = loop.create_future()
        request = Request(key, lambda status: answered.done() or answered.set_result(status))
        self._model.arrive(request)
        try:
            async with asyncio.timeout(timeout_s):
                status = await answered
        except TimeoutError:
            request.is_left = True
            return Unanswered("timeout", took(), "no answer in time")
        if status == RESET:
            return Unanswered("reset", took(), "connection reset")
        return Responded(status, took(), retry_after="1" if status == THROTTLED else None)


class Backlog:
    """How much is left, by the commits."""

    def __init__(self) -> None:
        self.left = 0

    def heard(self, commit: Commit) -> None:
        for append in commit.appends:
            for write in append.writes:
                for event in write.events:
                    match event:
                        case TaskSubmitted():
                            self.left += 1
                        case AttemptSucceeded() | TaskDied() | AttemptFailed(next="dead"):
                            self.left -= 1
                        case _:
                            pass


def run(story: Story) -> Told:
    """Live it, and measure it."""
    world = World(seed=story.seed)
    world.commit_s = COMMIT_S
    model = Metastable(story.character, Random(story.seed))
    world.endpoint = sockets = Sockets(model)
    looks: list[Look] = []
    crashes_at: list[int] = []

    def wall() -> int:
        return NOW + round(asyncio.get_running_loop().time() * SECOND)

    def changed() -> None:
        if len(crashes_at) < model.crashes:
            crashes_at.append(wall())

    model.changed = changed

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            looks.append(Look(wall(), model.take_most(), model.is_up))

    async def script(node: Node) -> tuple[int, int]:
        loop, backlog = asyncio.get_running_loop(), Backlog()
        node.follow(backlog.heard)
        await open_gate(node, story.settings)
        model.down()
        for begin in range(0, story.waiting, BATCH):
            await _submit(node, min(BATCH, story.waiting - begin))
        await asyncio.sleep(story.outage_s)
        model.up()
        back_at = wall()
        beside = [loop.create_task(_load(node, story)), loop.create_task(look())]
        until = loop.time() + story.until_s
        while loop.time() < until and backlog.left > max(1.0, story.load_per_s):
            await asyncio.sleep(LOOK_S)
        ended_at = wall()
        beside[0].cancel()
        if loop.time() < until:
            until = loop.time() + END_S
            while backlog.left and loop.time() < until:
                await asyncio.sleep(1)
        return back_at, ended_at

    back_at, ended_at = world.live(script)
    record = Record(looks, crashes_at, dict(model.done), model.wasted)
    found = measured(
        lives_of(_log(world)),
        record,
        began_at=NOW,
        back_at=back_at,
        ended_at=ended_at,
        load_per_s=story.load_per_s,
    )
    return Told(found, _above_limit(story, sockets.sent), sockets.most_open)


def _log(world: World) -> Iterator[tuple[Stream, object]]:
    after, reader = Position(0), world.store.reader()
    while page := reader.events(after=after, limit=5_000):
        for one in page:
            yield one.stream, one.event
        after = page[-1].position


async def _submit(node: Node, count: int) -> None:
    command = SubmitTask(
        gate=NAME,
        request=TaskRequest("http://127.0.0.1/hook"),
        retry=RETRY,
        timeout_ns=round(TIMEOUT_S * SECOND),
    )
    for answer in await node.intake.submit([command] * count, CAUSE):
        assert isinstance(answer, Accepted), answer


async def _load(node: Node, story: Story) -> None:
    """Fresh work that comes by chance, a tenth of a second's together."""
    loop, rng = asyncio.get_running_loop(), Random(story.seed ^ 0xF2E5)
    next_at = loop.time()
    while story.load_per_s:
        await asyncio.sleep(LOAD_EVERY_S)
        count = 0
        while next_at <= loop.time():
            next_at += rng.expovariate(story.load_per_s)
            count += 1
        if count:
            await _submit(node, count)


def _above_limit(story: Story, sent: Sequence[Sent]) -> float:
    """The most by which any window held more than `burst + rate * length`."""
    rate = story.settings.limits.rates[0]
    level, at, worst = 0.0, 0.0, 0.0
    for one in sent:
        level = max(0.0, level - (one.at - at) * rate.rate) + 1
        at = one.at
        worst = max(worst, level - rate.burst)
    return worst
