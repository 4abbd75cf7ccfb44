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
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from msgspec import Struct

from taskmaster import __version__
from taskmaster.actors.crash_switch import VARIABLE
from taskmaster.actors.local import LocalNode
from taskmaster.actors.node import IN_FLIGHT
from taskmaster.actors.supervisor import Crashed, GaveUp, Incident, Restarted
from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Egress
from taskmaster.delivery.headers import Signer
from taskmaster.delivery.httpx_sender import HttpxSender
from taskmaster.delivery.reqwest_sender import ReqwestSender
from taskmaster.delivery.sender import Sender
from taskmaster.errors import StoreUnavailableError
from taskmaster.events.types import GateName

SWITCH_INTERVAL_S = 0.0005
"""Python's default of 5 ms lets a computing thread hold up a commit for half a second."""
EXIT_STORE_UNKNOWN = 75
"""EX_TEMPFAIL: start it again."""
EXIT_AT_ONCE = 130


class ServeOptions(Struct, frozen=True):
    """What a server needs to know; `signers` are kept by gate, `grace_s` bounds the drain."""

    store: str
    host: str = "127.0.0.1"
    port: int = 8123
    egress: EgressRules = EgressRules()
    in_flight: int = IN_FLIGHT
    sender: str = "reqwest"
    signers: dict[GateName, tuple[Signer, ...]] = {}
    grace_s: float = 30.0


MakeApp = Callable[[LocalNode, Egress], Any]
"""Makes the ASGI application that serves a node."""


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us: intake stops first, by our own order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def serve(options: ServeOptions, make_app: MakeApp) -> int:
    """Serve until a signal; the exit code.

    Raises:
        TaskMasterError: the store or the address cannot be used; nothing was started.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    listener = _listen(options.host, options.port)
    try:
        return uvloop.run(_serve(options, make_app, listener))
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
    except OSError as error:
        listener.close()
        raise StoreUnavailableError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            field="http.port",
            remedy="choose another --port, or 0 for any that is free",
        ) from error
    return listener


async def _serve(options: ServeOptions, make_app: MakeApp, listener: socket.socket) -> int:
    log = structlog.get_logger()
    egress = Egress(options.egress)

    def fatal(why: str) -> None:
        log.error("process_ended", error=why)
        sys.stderr.flush()
        os._exit(EXIT_STORE_UNKNOWN)

    local = LocalNode(
        Path(options.store),
        sender=make_sender(options.sender, egress),
        software=__version__,
        fatal=fatal,
        in_flight=options.in_flight,
        signers=lambda gate: options.signers.get(gate, ()),
        incident=_tell_log,
        crash_at=os.environ.get(VARIABLE, ""),
    )
    stopping = _on_signals()
    await local.node.start()
    config = uvicorn.Config(
        make_app(local, egress),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    server = _Uvicorn(config)
    gc.freeze()  # what is here stays; collections need not look at it again
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    print(f"listening on http://{shown}:{port}", file=sys.stderr, flush=True)  # noqa: T201
    ended = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    local.node.ports.is_stopping = True  # from here on submissions get 503
    log.info("node_stopping", in_flight=local.node.slots.taken)
    server.should_exit = True
    await serving
    await local.stop(options.grace_s)
    return 0


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
