"""The application: all routes behind one edge.

Rules of residence: puts the parts together. A subject's routes stand in its own module.
"""

from collections.abc import Collection
from hashlib import blake2b
from typing import Any

import msgspec
from starlette.routing import Router

from taskmaster.actors.node import Node
from taskmaster.api import (
    actors,
    alerts,
    batch,
    bulks,
    events,
    gate_forecast,
    gate_history,
    gates,
    maintenance,
    ops,
    purge,
    recoveries,
    series,
    task_changes,
    tasks,
    why,
)
from taskmaster.api.auth import Guard
from taskmaster.api.context import Api, Documents
from taskmaster.api.docs_page import docs_page
from taskmaster.api.edge import Edge
from taskmaster.api.keys import KeyRing
from taskmaster.api.openapi import document
from taskmaster.api.operations import Operation, routes
from taskmaster.api.problems import stop
from taskmaster.delivery.egress import Egress

OPERATIONS: tuple[Operation, ...] = (
    *tasks.OPERATIONS,
    *batch.OPERATIONS,
    *bulks.OPERATIONS,
    *task_changes.OPERATIONS,
    *gates.OPERATIONS,
    *maintenance.OPERATIONS,
    *purge.OPERATIONS,
    *recoveries.OPERATIONS,
    *series.OPERATIONS,
    *why.OPERATIONS,
    *gate_history.OPERATIONS,
    *gate_forecast.OPERATIONS,
    *alerts.OPERATIONS,
    *events.OPERATIONS,
    *actors.OPERATIONS,
    *ops.OPERATIONS,
)


def make_app(
    node: Node,
    *,
    egress: Egress,
    keys: KeyRing,
    store: str,
    software: str,
    names: Collection[str] = (),
) -> Edge:
    """The ASGI application that serves a node.

    `store` is shown at /version, `names` are further hosts of a server without keys.
    """
    described = document(OPERATIONS, software)
    documents = Documents(msgspec.json.encode(described), docs_page(described))
    api = Api(
        node,
        egress,
        store=store,
        software=software,
        secret=_secret(node),
        documents=documents,
    )
    router = Router(
        routes(api, OPERATIONS),
        redirect_slashes=False,
        default=_not_found,
    )
    return Edge(router, api, Guard(keys, names))


async def _not_found(scope: Any, _receive: Any, _send: Any) -> None:
    path = ascii(scope["path"][:80])
    raise stop("not_found", f"there is nothing at {path}", remedy="/docs lists what there is")


def _secret(node: Node) -> bytes:
    """What signs page tokens in this life of the process. A forged token leads to another place
    of a list that its forger may read anyway."""
    settings = node.settings
    return blake2b(f"{settings.node}/{settings.boot_id}/{settings.pid}".encode()).digest()
