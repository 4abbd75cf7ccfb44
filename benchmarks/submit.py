"""How fast tasks become durable over HTTP, in batches and one by one.

    python -m benchmarks.submit [--tasks 50000] [--singles 6000] [--rounds 3] [--path DIRECTORY]

The real server process on SQLite with synchronous=FULL; a task counts when it is answered with
201, which is after its commit. Batches are of 1,000, as a JSON array or as NDJSON, from 4 callers;
single tasks come from 64. The load comes from this process, on the same cores. The baseline is the
same load on an endpoint of Starlette that decodes and answers and stores nothing.
"""

import asyncio
import time
from functools import partial
from typing import Any, NamedTuple

import msgspec
from pyreqwest.client import Client, ClientBuilder

from benchmarks.harness import Row, Target, alternate, folder, median, parser, table
from benchmarks.node import run
from benchmarks.processes import Process, Server
from benchmarks.stored import BODY, gates

GATES = 10
BATCH = 1_000
BATCH_CALLERS = 4
CALLERS = 64
BATCHED = Target("at least", 25_000)
SINGLE = Target("at least", 2_000)
NDJSON = "application/x-ndjson"
JSON = "application/json"


class Load(NamedTuple):
    """The same body, `calls` times, from so many callers; each makes `tasks` tasks."""

    what: str
    path: str
    media_type: str
    body: bytes
    tasks: int
    calls: int
    callers: int
    target: Target


def main() -> None:
    arguments = parser(__doc__, tasks=50_000)
    arguments.add_argument("--singles", type=int, default=6_000, help="tasks one by one")
    arguments.add_argument("--rounds", type=int, default=3)
    args = arguments.parse_args()
    rows: list[Row] = []
    with folder(args.path) as place:
        bare_command = ["-c", "from benchmarks.bare_api import serve; serve()"]
        with Server(place, place / "submit.db") as server, Process(place, bare_command) as bare:
            for name in gates(GATES):
                server.call("PUT", f"/v1/gates/{name}", {})
            for load in loads(args.tasks, args.singles):
                ours, base = alternate(
                    args.rounds, partial(rate, server, load), partial(rate, bare, load)
                )
                rows.append(Row(load.what, median(ours), median(base), load.target))
    table(f"submit: tasks answered per s, medians of {args.rounds}", rows)


def loads(tasks: int, singles: int) -> list[Load]:
    made = [
        {"url": "http://127.0.0.1:9/hook", "gate": gate, "delay": "1h", "body": BODY.decode()}
        for gate in gates(GATES)
    ]
    batch = made * (BATCH // GATES)
    calls = max(1, tasks // BATCH)
    many = "/v1/tasks:batchCreate"
    lines = msgspec.json.Encoder().encode_lines(batch)
    array, one = msgspec.json.encode(batch), msgspec.json.encode(made[0])
    return [
        Load("batches, JSON array", many, JSON, array, BATCH, calls, BATCH_CALLERS, BATCHED),
        Load("batches, NDJSON", many, NDJSON, lines, BATCH, calls, BATCH_CALLERS, BATCHED),
        Load("single, 64 callers", "/v1/tasks", JSON, one, 1, singles, CALLERS, SINGLE),
    ]


def rate(at: Process, load: Load) -> float:
    """Tasks answered with 201, per second."""

    async def measured() -> float:
        left = load.calls

        async with ClientBuilder().build() as client:

            async def caller() -> int:
                nonlocal left
                made = 0
                while left > 0:
                    left -= 1
                    made += await _created(client, at.url, load)
                return made

            began = time.perf_counter()
            created = sum(await asyncio.gather(*(caller() for _ in range(load.callers))))
            spent = time.perf_counter() - began
        assert created == load.calls * load.tasks, f"{created} created"
        return created / spent

    return run(measured())


async def _created(client: Client, url: str, load: Load) -> int:
    request = client.post(url + load.path).header("content-type", load.media_type)
    response = await request.body_bytes(load.body).build().send()
    answer = bytes(await response.bytes())
    assert response.status in {200, 201}, answer
    if load.tasks == 1:
        return 1
    if load.media_type == NDJSON:
        return answer.count(b'"status":201')
    document: dict[str, Any] = msgspec.json.decode(answer)
    return document["created"]


if __name__ == "__main__":
    main()
