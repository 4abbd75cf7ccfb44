"""A node on this machine: its store, its threads, the real clock.

Rules of residence: opens and closes what a node stands on, in the right order; no decision.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from taskmaster.actors.alerts import AlertSettings
from taskmaster.actors.crash_switch import CrashingCommitter, CrashingSender, CrashSwitch
from taskmaster.actors.node import IN_FLIGHT, Node, NodeSettings
from taskmaster.actors.poison_switch import PoisonedReader, PoisonedSender, PoisonSwitch
from taskmaster.actors.supervisor import Incident
from taskmaster.actors.system import (
    SystemClock,
    SystemIds,
    SystemRng,
    boot_id,
    monotonic_ns,
    wall_ns,
)
from taskmaster.actors.threads import PatientReader, ThreadCommitter, ThreadReader
from taskmaster.delivery.headers import Signer
from taskmaster.delivery.sender import Sender
from taskmaster.events.log import Committer
from taskmaster.events.store import open_store
from taskmaster.events.types import GateName, NodeId


class Progress(Protocol):
    """Told how far the rebuilding of an index is."""

    def __call__(self, done: int, of: int) -> None:
        """`done` of `of` events are folded."""
        ...


class LocalNode:
    """A node on a log that this process alone writes: a SQLite file, or one shard of PostgreSQL."""

    def __init__(  # noqa: PLR0913  # what a node is told at its start
        self,
        store: Path | str,
        *,
        sender: Sender,
        software: str,
        fatal: Callable[[str], None],
        in_flight: int = IN_FLIGHT,
        signers: Callable[[GateName], tuple[Signer, ...]] = lambda _gate: (),
        incident: Callable[[Incident], None] = lambda _incident: None,
        alerts: AlertSettings | None = None,
        progress: Progress | None = None,
        crash_at: str = "",
        poison: str = "",
    ) -> None:
        """Open the store, in milliseconds unless the index must be built anew, of which `progress`
        is told; `crash_at` and `poison` are for tests (`crash_switch.py`, `poison_switch.py`).

        Raises:
            ForeignFileError: the store is no log of ours, or of a newer version.
            StoreUnavailableError: another process has it, or it cannot be written.
        """
        self.store = open_store(str(store), progress)
        reader = self.store.reader()
        boot = boot_id()
        before = reader.newest_start()
        newest_at, newest_slot = reader.newest_times()
        now_ns = wall_ns()
        if before is not None and boot and before.boot_id == boot:
            anchor_ns = before.anchor_ns  # the same boot: pacing time simply goes on
        else:
            anchor_ns = max(now_ns, newest_at, newest_slot) - monotonic_ns()
        self._threads = ThreadCommitter(self.store)
        committer: Committer = self._threads
        if crash_at:
            switch = CrashSwitch(crash_at)
            committer = CrashingCommitter(committer, switch)
            sender = CrashingSender(sender, switch)
        self._reader = ThreadReader(reader)
        patient = PatientReader(self._reader)
        if poison:
            poisons = PoisonSwitch(poison)
            sender = PoisonedSender(sender, poisons)
            patient = PoisonedReader(self._reader, poisons)
        self._close_reader = reader.close
        self._sender = sender
        self.node = Node(
            NodeSettings(
                node=NodeId(SystemIds().task_id()),
                boot_id=boot,
                anchor_ns=anchor_ns,
                epoch=self.store.epoch,
                pid=os.getpid(),
                software=software,
                silent_ns=max(0, now_ns - newest_at) if newest_at else 0,
                in_flight=in_flight,
            ),
            committer=committer,
            reader=patient,
            questions=self._reader,
            clock=SystemClock(anchor_ns, newest_at),
            rng=SystemRng(),
            ids=SystemIds(),
            sender=sender,
            fatal=fatal,
            signers=signers,
            incident=incident,
            alerts=alerts,
        )

    async def stop(self, grace_s: float) -> None:
        """Drain, close the log in good order, give everything back."""
        await self.node.stop(grace_s)
        await self._sender.close()
        self._threads.stop()
        self._reader.stop()
        self._close_reader()
        self.store.close()
