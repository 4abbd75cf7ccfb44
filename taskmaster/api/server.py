"""The whole server in one process: store, node, HTTP, until a signal ends it.

Rules of residence: puts the parts together and takes them apart; no route, no decision. SIGTERM
and SIGINT drain and exit 0; a second one exits at once, and replay repairs. A store that fails in
an unknown way ends the process with 75, to be started again.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvicorn
import uvloop

from taskmaster import __version__
from taskmaster.actors import crash_switch, poison_switch
from taskmaster.actors.alerts import AlertSettings
from taskmaster.actors.local import LocalNode
from taskmaster.actors.node import Node
from taskmaster.actors.supervisor import Crashed, GaveUp, Incident, Restarted
from taskmaster.api.app import make_app
from taskmaster.api.auth import is_loopback, refuse_open_bind
from taskmaster.api.edge import Edge
from taskmaster.api.keys import KeyRing, key_file
from taskmaster.api.logs import set_up_logs
from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Egress
from taskmaster.delivery.headers import Signer
from taskmaster.delivery.httpx_sender import HttpxSender
from taskmaster.delivery.refusal import Refusal
from taskmaster.delivery.reqwest_sender import ReqwestSender
from taskmaster.delivery.sender import Sender
from taskmaster.errors import InvalidFieldError, StoreUnavailableError
from taskmaster.events.store import shown_store
from taskmaster.events.types import SECOND, GateName
from taskmaster.settings import Grpc, Settings
from taskmaster.supervision.watchdog import Hang, Watchdog

if TYPE_CHECKING:
    from taskmaster.grpc_api.server import GrpcServer

SWITCH_INTERVAL_S = 0.0005
"""Python's default of 5 ms lets a computing thread hold up a commit for half a second."""
GC_THRESHOLDS = (50_000, 20, 100)
"""Attempts make much garbage and no cycles: look for cycles less often than by default."""
EXIT_STORE_UNKNOWN = 75
"""EX_TEMPFAIL: start it again."""
EXIT_AT_ONCE = 130
BACKLOG = 2048
GRPC = "taskmaster.grpc_api.server"


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us: intake stops first, by our own order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def serve(settings: Settings) -> int:
    """Serve until a signal; the exit code.

    Raises:
        TaskMasterError: the store, the address or a setting cannot be used; nothing was started.
    """
    set_up_logs(settings.log.level, settings.log.format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    http = settings.http
    ring = KeyRing(Path(http.keys_file) if http.keys_file else key_file(settings.store))
    refuse_open_bind(http.host, ring)
    if settings.grpc.port is not None:
        refuse_open_bind(settings.grpc.host, ring, "grpc.host")
        import_module(GRPC)  # takes 0.2 s: here, where no watchdog looks
    listener = _listen(http.host, http.port)
    try:
        return uvloop.run(_serve(settings, ring, listener))
    finally:
        listener.close()


def make_sender(name: str, egress: Egress) -> Sender:
    """The sender of that name; the default is the fast one."""
    return HttpxSender(egress) if name == "httpx" else ReqwestSender(egress)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # before anybody is told that it listens
    except OSError as error:
        listener.close()
        raise StoreUnavailableError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            field="http.port",
            remedy="choose another --port, or 0 for any that is free",
        ) from error
    return listener


async def _serve(settings: Settings, ring: KeyRing, listener: socket.socket) -> int:
    log = structlog.get_logger()
    # a server that others cannot reach may be used to call what runs beside it
    loopback = is_loopback(settings.http.host) and (
        settings.grpc.port is None or is_loopback(settings.grpc.host)
    )
    egress = Egress(EgressRules(allow=settings.networks, loopback=loopback))
    signers = {GateName(gate): (Signer(key),) for gate, key in settings.signing.items()}

    def fatal(why: str) -> None:
        log.error("process_ended", error=why)
        sys.stderr.flush()
        os._exit(EXIT_STORE_UNKNOWN)

    webhook_url = settings.alerts.webhook_url
    wrong = egress.check_url(webhook_url) if webhook_url else None
    if isinstance(wrong, Refusal):
        raise InvalidFieldError(
            f"alerts.webhook_url: {wrong.message}", field="alerts.webhook_url", remedy=wrong.remedy
        )
    local = LocalNode(
        settings.store,
        sender=make_sender(settings.delivery.sender, egress),
        software=__version__,
        fatal=fatal,
        in_flight=settings.delivery.in_flight,
        signers=lambda gate: signers.get(gate, ()),
        incident=_tell_log,
        alerts=AlertSettings(webhook_url),
        crash_at=os.environ.get(crash_switch.VARIABLE, ""),
        poison=os.environ.get(poison_switch.VARIABLE, ""),
    )
    stopping = _on_signals()
    await local.node.start()
    watchdog = Watchdog(report=lambda hang: _tell_hang(local.node, hang), fatal=fatal)
    watchdog.start()
    try:
        await _serve_calls(settings, ring, local.node, egress, listener, stopping)
    finally:
        await local.stop(settings.grace_ns / SECOND)
        watchdog.stop()
    return 0


async def _serve_calls(
    settings: Settings,
    ring: KeyRing,
    node: Node,
    egress: Egress,
    listener: socket.socket,
    stopping: asyncio.Event,
) -> None:
    """Serve over HTTP, and over gRPC where that is asked for, until `stopping` is set."""
    edge = make_app(
        node,
        egress=egress,
        keys=ring,
        store=shown_store(settings.store),
        software=__version__,
        names=settings.http.names,
    )
    config = uvicorn.Config(
        edge,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    server = _Uvicorn(config)
    grpc_server = _grpc_server(edge, settings.grpc)
    gc.freeze()  # what is here stays; collections need not look at it again
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    if grpc_server is not None:
        await grpc_server.start()
        _say_listening("grpc", settings.grpc.host, grpc_server.port)
    host, port = listener.getsockname()[:2]
    _say_listening("http", host, port)
    ended = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    node.ports.is_stopping = True  # from here on submissions get 503
    structlog.get_logger().info("node_stopping", in_flight=node.slots.taken)
    server.should_exit = True
    if grpc_server is not None:
        await grpc_server.stop()
    await serving


def _grpc_server(edge: Edge, settings: Grpc) -> "GrpcServer | None":
    """None: no port is set, and what it takes is not imported."""
    if settings.port is None:
        return None
    return import_module(GRPC).GrpcServer(edge.api, edge.guard, settings)


def _say_listening(scheme: str, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    print(f"listening on {scheme}://{shown}:{port}", file=sys.stderr, flush=True)  # noqa: T201


def _on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stopping.is_set():
            os._exit(EXIT_AT_ONCE)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    return stopping


def _tell_hang(node: Node, hang: Hang) -> None:
    node.hangs += 1
    structlog.get_logger().error(
        "loop_held",
        actor=hang.actor,
        kind=hang.kind,
        held_ms=hang.held_ns // 1_000_000,
        stack=hang.stack,
    )


def _tell_log(incident: Incident) -> None:
    log = structlog.get_logger()
    match incident:
        case Crashed(path=path, incarnation=incarnation, message=message, error=error):
            log.error(
                "actor_crashed",
                path=path,
                incarnation=incarnation,
                message=message,
                error=repr(error),
                exc_info=error,
            )
        case Restarted(path=path, incarnation=incarnation):
            log.warning("actor_restarted", path=path, incarnation=incarnation)
        case GaveUp(path=path, restarts=restarts):
            log.error("supervisor_gave_up", path=path, restarts=restarts)
