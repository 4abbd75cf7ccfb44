"""`serve`: a server in this process.

Rules of residence: from flags to settings; everything else is `api/server.py`'s.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from taskmaster.cli.view import VIEW, View


def serve(
    *,
    store: Annotated[str | None, Parameter(name=("--store", "-s"))] = None,
    host: str | None = None,
    port: int | None = None,
    grpc_port: int | None = None,
    config: Annotated[Path | None, Parameter(env_var="TASKMASTER_CONFIG")] = None,
    view: View = VIEW,
) -> int:
    """Run a server until SIGTERM or SIGINT; the second one ends it at once.

    It says `listening on http://...` on stderr once it serves. Beyond loopback it starts only when
    there are API keys (`taskmaster key create`).

    Args:
        store: The log: a file (taskmaster.db), or postgresql://...; made if there is none.
        host: Where to listen (127.0.0.1).
        port: On which port (8123); 0 is any that is free.
        grpc_port: On which port gRPC is served, which it is not if this is left out; 0 is any that
            is free.
        config: A file of settings instead of ./taskmaster.toml or /etc/taskmaster/taskmaster.toml.
    """
    from taskmaster.settings import load

    del view
    flags = {"store": store, "http.host": host, "http.port": port, "grpc.port": grpc_port}
    loaded = load(flags, file=config)
    from taskmaster.api.server import serve as run

    return run(loaded.settings)
