"""Supervision as Erlang/OTP has it, for pykka actors on an asyncio loop (docs/supervision.md).

`machine.py` decides, `supervisor.py` carries out; `actor.py` is the actor they are made for. The
package imports nothing of the program around it.
"""

from taskmaster.supervision.actor import MESSAGES_A_TURN, Hook, LoopActor, kill
from taskmaster.supervision.life import Down, System
from taskmaster.supervision.messages import Child, Counts, Ok, Refused
from taskmaster.supervision.reasons import (
    KILLED,
    NO_PROCESS,
    NORMAL,
    SHUTDOWN,
    ChildFailed,
    Crash,
    Expected,
    Ignored,
    Killed,
    Misspelt,
    NoProcess,
    Normal,
    Reason,
    Shutdown,
)
from taskmaster.supervision.refs import (
    Inspect,
    Inspection,
    ended,
    handled_by,
    mail_by_type,
    mail_of,
    started,
    stop,
    tell,
    tell_to_stop,
    watch,
    watch_start,
)
from taskmaster.supervision.specs import Backoff, ChildSpec, Flags
from taskmaster.supervision.supervisor import StartTimedOut, Supervisor, WithInfo, World
from taskmaster.supervision.zombies import Zombies

__all__ = [
    "KILLED",
    "MESSAGES_A_TURN",
    "NORMAL",
    "NO_PROCESS",
    "SHUTDOWN",
    "Backoff",
    "Child",
    "ChildFailed",
    "ChildSpec",
    "Counts",
    "Crash",
    "Down",
    "Expected",
    "Flags",
    "Hook",
    "Ignored",
    "Inspect",
    "Inspection",
    "Killed",
    "LoopActor",
    "Misspelt",
    "NoProcess",
    "Normal",
    "Ok",
    "Reason",
    "Refused",
    "Shutdown",
    "StartTimedOut",
    "Supervisor",
    "System",
    "WithInfo",
    "World",
    "Zombies",
    "ended",
    "handled_by",
    "kill",
    "mail_by_type",
    "mail_of",
    "started",
    "stop",
    "tell",
    "tell_to_stop",
    "watch",
    "watch_start",
]
