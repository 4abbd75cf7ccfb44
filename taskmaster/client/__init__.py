"""The client of TaskMaster, blocking and for asyncio.

    from taskmaster.client import Client, Submission

    with Client() as client:
        client.submit(Submission("https://example.org/hook", body="{}", delay="15m"))

TASKMASTER_URL says where the server is, TASKMASTER_TOKEN holds an API key. Errors are those of
`taskmaster.errors`, with `field` and `remedy`; `UnauthorizedError`, `UnreachableError` and
`UnreadableAnswerError` are the client's own.
"""

from typing import TYPE_CHECKING

from taskmaster.client.bulk_calls import Bulk, BulkMember, BulkSet
from taskmaster.client.calls import Answer, Call
from taskmaster.client.downtime import Maintenance
from taskmaster.client.node_shapes import Actor, ActorIncident, ServerVersion, Unit
from taskmaster.client.outcome import (
    UnauthorizedError,
    UnreachableError,
    UnreadableAnswerError,
    problem_of,
)
from taskmaster.client.recovery_calls import Outage, RecoveryStep
from taskmaster.client.seen_calls import GateForecast, GateHistory
from taskmaster.client.shapes import (
    FINAL_STATES,
    Adaptive,
    Batch,
    BatchItem,
    Cancelled,
    Entry,
    Gate,
    GateSettings,
    GateWhy,
    Limits,
    Page,
    Problem,
    Purged,
    Rate,
    Recovery,
    RetryRules,
    Run,
    Runs,
    Schedule,
    Series,
    SeriesChange,
    SeriesRules,
    Submission,
    Submitted,
    Task,
    TaskFilter,
    Why,
)
from taskmaster.client.sync import Client

if TYPE_CHECKING:
    from taskmaster.client.aio import AsyncClient

__all__ = [
    "FINAL_STATES",
    "Actor",
    "ActorIncident",
    "Adaptive",
    "Answer",
    "AsyncClient",
    "Batch",
    "BatchItem",
    "Bulk",
    "BulkMember",
    "BulkSet",
    "Call",
    "Cancelled",
    "Client",
    "Entry",
    "Gate",
    "GateForecast",
    "GateHistory",
    "GateSettings",
    "GateWhy",
    "Limits",
    "Maintenance",
    "Outage",
    "Page",
    "Problem",
    "Purged",
    "Rate",
    "Recovery",
    "RecoveryStep",
    "RetryRules",
    "Run",
    "Runs",
    "Schedule",
    "Series",
    "SeriesChange",
    "SeriesRules",
    "ServerVersion",
    "Submission",
    "Submitted",
    "Task",
    "TaskFilter",
    "UnauthorizedError",
    "Unit",
    "UnreachableError",
    "UnreadableAnswerError",
    "Why",
    "problem_of",
]


def __getattr__(name: str) -> object:
    """Import the client for asyncio when it is asked for: a command line need not wait for it."""
    if name != "AsyncClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from taskmaster.client.aio import AsyncClient  # noqa: PLC0415 the reason is above

    return AsyncClient
