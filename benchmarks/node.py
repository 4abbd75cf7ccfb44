"""A node in this process, with the settings of the server process.

Rules of residence: opens and closes a `LocalNode` and asks it; no figure is made here.
"""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import uvloop

from taskmaster.actors.local import LocalNode
from taskmaster.actors.messages import GateDone
from taskmaster.actors.node import Node
from taskmaster.actors.supervisor import Incident
from taskmaster.api.server import EXIT_STORE_UNKNOWN, GC_THRESHOLDS, SWITCH_INTERVAL_S
from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Egress
from taskmaster.delivery.reqwest_sender import ReqwestSender
from taskmaster.delivery.sender import Sender
from taskmaster.events.types import Cause, GateName
from taskmaster.model.control import ResumeGate

T = TypeVar("T")

BENCH = Cause("bench", "bench")
LOOK_S = 0.02


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on the loop, the switch interval and the collections of the server."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    gc.collect()
    return uvloop.run(main)


def sender() -> Sender:
    """The default one, which may go to this machine."""
    return ReqwestSender(Egress(EgressRules(loopback=True)))


@asynccontextmanager
async def node(path: Path | str, by: Sender | None = None) -> AsyncGenerator[Node]:
    """A node on that log."""
    local = LocalNode(
        path, sender=by or sender(), software="bench", fatal=_fatal, incident=_incident
    )
    await local.node.start()
    try:
        yield local.node
    finally:
        await local.stop(30)


async def resume(on: Node, gates: Sequence[GateName]) -> None:
    for gate in gates:
        answer = await on.intake.gate_command(gate, ResumeGate(BENCH))
        assert isinstance(answer, GateDone), answer


async def all_succeeded(on: Node, count: int) -> None:
    """Until so many tasks are recorded as succeeded. With failures the figure would be none."""
    while True:
        rows = await on.ports.reader.gate_rows()
        assert not any(row.failures for row in rows), "attempts failed"
        if sum(row.counts.get("succeeded", 0) for row in rows) >= count:
            return
        await asyncio.sleep(LOOK_S)


def _incident(incident: Incident) -> None:
    """A figure after a crash would be none."""
    raise SystemExit(f"{incident!r}")


def _fatal(why: str) -> NoReturn:
    print(why, file=sys.stderr, flush=True)
    os._exit(EXIT_STORE_UNKNOWN)
