"""Checks of `doctor` on the port, the server, and the gates that it has.

Rules of residence: asks, and changes nothing.
"""

import socket

from taskmaster.cli.checks import Finding, fail, ok, warn
from taskmaster.cli.connect import connect
from taskmaster.cli.view import View
from taskmaster.client import Client, Gate, UnauthorizedError, UnreachableError
from taskmaster.errors import TaskMasterError
from taskmaster.settings import Settings
from taskmaster.units import SECOND_NS, parse_duration

FAST_PER_S = 200
SHORT_S = 0.02
GATES_MAX = 5


def port_and_server(settings: Settings, view: View) -> list[Finding]:
    """Whether a server answers; where none does, whether one could listen."""
    try:
        with connect(view) as client:
            try:
                version = client.version()
            except UnreachableError as error:
                what, remedy = error.message, "start one with: taskmaster serve"
                return [_port(settings), warn("server", what, remedy)]
            except UnauthorizedError as error:
                return [fail("server", error.message, error.remedy)]
            where = f"{client.server.url}, version {version.version}, store {version.store}"
            return [ok("server", where), _gates(client)]
    except TaskMasterError as error:
        return [fail("server", error.message, error.remedy)]


def _port(settings: Settings) -> Finding:
    host, port = settings.http.host, settings.http.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        return fail("port", f"{host}:{port}: {error.strerror}", "choose another http.port")
    return ok("port", f"{host}:{port} is free")


def _gates(client: Client) -> Finding:
    """Wake-ups come late; a burst shorter than 20 ms cannot make up for that at high rates."""
    short = [gate.gate for gate in client.gates() if _is_short(gate)]
    if not short:
        return ok("gates", "every burst keeps 99 % of its rate")
    names = ", ".join(short[:GATES_MAX]) + (", ..." if len(short) > GATES_MAX else "")
    return warn(
        "gates",
        f"a burst of less than 20 ms above 200/s keeps the limit, not the rate: {names}",
        "leave burst out, or set it to a fiftieth of the rate",
    )


def _is_short(gate: Gate) -> bool:
    for rate in gate.limits.rates or ():
        per_ns = parse_duration(rate.per or "1s") or SECOND_NS
        per_s = rate.rate * SECOND_NS / per_ns
        if per_s > FAST_PER_S and (rate.burst or 1) < per_s * SHORT_S:
            return True
    return False
