"""Makes tasks and gates poisonous, for tests of what one of them does to the others.

Rules of residence: wraps ports; nothing else knows of it, and without the environment variable
nothing is wrapped. `TASKMASTER_POISON=<what>:<which>,...`, where `<what>` is

- `crash`: sending a task to that path raises, and its actor crashes;
- `spin`: sending a task to that path never ends and never lets go of the loop;
- `exit`: sending a task to that path ends the process as `kill -9` would;
- `gate`: the state of the gate of that name cannot be restored, and its actor crashes;
- `hang`: restoring it never ends and never lets go of the loop.
"""

import os
from urllib.parse import urlsplit

from taskmaster.actors.crash_switch import EXIT_CODE
from taskmaster.actors.threads import PatientReader, ThreadReader
from taskmaster.delivery.sender import Outbound, Sender
from taskmaster.errors import InvalidFieldError
from taskmaster.events.log import GateSnapshot
from taskmaster.events.types import GateName
from taskmaster.model.retry import Answer

VARIABLE = "TASKMASTER_POISON"
KINDS = ("crash", "spin", "exit", "gate", "hang")


class Poisoned(Exception):  # noqa: N818  # what the switch does, not an error
    """A bug that somebody asked for."""


class PoisonSwitch:
    """Knows what is poisonous."""

    def __init__(self, setting: str) -> None:
        """`setting` is `<what>:<which>`, several with commas between.

        Raises:
            InvalidFieldError: it is not.
        """
        self._which: dict[str, str] = {}
        for one in setting.split(","):
            kind, _, which = one.partition(":")
            if kind not in KINDS or not which:
                raise InvalidFieldError(
                    f"{VARIABLE} is {setting!r}",
                    field=VARIABLE,
                    remedy=f"give one of {', '.join(KINDS)}, a colon and a path or a gate",
                )
            self._which[which] = kind

    def meet_task(self, url: str) -> None:
        """Do what the path of a task says."""
        path = urlsplit(url).path
        match self._which.get(path):
            case "crash":
                raise Poisoned(path)
            case "spin":
                while True:
                    pass
            case "exit":
                os._exit(EXIT_CODE)
            case _:
                pass

    def meet_gate(self, gate: GateName) -> None:
        """Do what the name of a gate says."""
        match self._which.get(gate):
            case "gate":
                raise Poisoned(gate)
            case "hang":
                while True:
                    pass
            case _:
                pass


class PoisonedSender:
    """A sender that some tasks are poison to."""

    def __init__(self, sender: Sender, switch: PoisonSwitch) -> None:
        """Stand before `sender`."""
        self._sender = sender
        self._switch = switch

    async def send(self, outbound: Outbound) -> Answer:
        """As `Sender.send`."""
        self._switch.meet_task(outbound.url)
        return await self._sender.send(outbound)

    def is_ready(self, outbound: Outbound) -> bool:
        """As `Sender.is_ready`."""
        return self._sender.is_ready(outbound)

    async def prepare(self, outbound: Outbound) -> None:
        """As `Sender.prepare`."""
        await self._sender.prepare(outbound)

    async def close(self) -> None:
        """As `Sender.close`."""
        await self._sender.close()


class PoisonedReader(PatientReader):
    """A reader that cannot read some gates."""

    def __init__(self, reader: ThreadReader, switch: PoisonSwitch) -> None:
        """As `PatientReader`."""
        super().__init__(reader)
        self._switch = switch

    async def gate_snapshot(self, gate: GateName) -> GateSnapshot:
        """As `Reader.gate_snapshot`."""
        self._switch.meet_gate(gate)
        return await super().gate_snapshot(gate)
