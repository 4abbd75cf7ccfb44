"""A connection to a log in PostgreSQL: its settings, and what its errors say.

Rules of residence: everything that touches libpq outside of statements. A password is never in
an error: texts of libpq that may repeat the address are not passed on.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow, dict_row, tuple_row
from psycopg.types.numeric import Int8Dumper

from taskmaster.errors import InvalidFieldError, StoreUnavailableError
from taskmaster.events.postgres_schema import SCHEMA

Connection = psycopg.Connection[TupleRow]

CONNECT_S = 2  # libpq's least
_LIBPQ: Mapping[str, Any] = {
    "application_name": "taskmaster",
    "connect_timeout": CONNECT_S,
    # A peer that is gone without a word is noticed after 11 s, not after two hours.
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What an address does not say itself."""
_SESSION: Mapping[str, str] = {
    "search_path": SCHEMA,
    "TimeZone": "UTC",
    # Whatever the database's own setting: what is answered is on disk (semantics 2.1).
    "synchronous_commit": "on",
    "lock_timeout": "1s",
    "idle_in_transaction_session_timeout": "30s",
    # The server lets go of us as fast as we of it: with the connection go its locks.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    # Every statement is a search in an index; a table just filled has no statistics yet.
    "enable_seqscan": "off",
    "jit": "off",
}
UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""What the server says when it is the one that cannot; anything else is a bug of ours."""
WRITE_S = 10
READ_S = 30
"""How long one statement may take."""
PREPARED = 200
"""Statements a connection keeps prepared: all of ours are far fewer."""


class Address:
    """Where a log is. `shown` is what may be told of it."""

    def __init__(self, url: str) -> None:
        """Take a URL apart.

        Raises:
            InvalidFieldError: it is none.
        """
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise InvalidFieldError(
                "the address of the store is no URL of PostgreSQL",
                field="store",
                remedy="give one such as postgresql://user@host:5432/database",
            ) from None  # libpq's text may repeat the password
        self.params: dict[str, Any] = {**_LIBPQ, **parts}
        self._secrets = [str(parts[name]) for name in ("password",) if parts.get(name)]
        host, port = parts.get("host", "localhost"), parts.get("port")
        self.shown = f"postgresql://{host}{f':{port}' if port else ''}/{parts.get('dbname', '')}"

    def redact(self, error: BaseException | str) -> str:
        """What an error says, in one line and without a password."""
        text = " ".join(str(error).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def connect(self, *, statement_s: float = WRITE_S) -> Connection:
        """A connection in autocommit mode; transactions are begun by hand.

        Raises:
            psycopg.OperationalError: there is none to be had.
        """
        connection = psycopg.connect(**self.params, autocommit=True, prepare_threshold=3)
        connection.prepared_max = PREPARED
        # One type for every integer: of each statement one is prepared, not one for each size.
        connection.adapters.register_dumper(int, Int8Dumper)
        settings = {**_SESSION, "statement_timeout": f"{statement_s:g}s"}
        calls = ", ".join(f"set_config('{name}', %s, false)" for name in settings)
        connection.execute(f"SELECT {calls}".encode(), list(settings.values()))
        return connection


class LogDatastore(PostgresDatastore):
    """The library's datastore with one connection, which is made anew when it has broken."""

    def __init__(self, address: Address, *, statement_s: float) -> None:
        """Connects at the first use."""
        super().__init__("", "", "", "", "", schema=SCHEMA, originator_id_type="text")
        self.address = address
        self._statement_s = statement_s
        self._connection: Connection | None = None
        self.warnings: list[str] = []
        """Codes of what the server said beside its answers."""

    def connection(self) -> Connection:
        """The connection. Whoever takes it begins and ends the transaction.

        Raises:
            psycopg.OperationalError: there is none to be had.
        """
        connection = self._connection
        if connection is None or connection.closed:
            connection = self.address.connect(statement_s=self._statement_s)
            connection.add_notice_handler(self._note)
            self._connection = connection
        return connection

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warnings.append(notice.sqlstate or "")

    def drop(self) -> None:
        """Close the connection: its state is unknown."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def get_connection(self) -> Generator[Any]:
        """For the library, which reads columns by name."""
        connection: psycopg.Connection[Any] = self.connection()
        connection.row_factory = dict_row
        try:
            yield connection
        finally:
            connection.row_factory = tuple_row

    def close(self) -> None:
        """Close the connection."""
        self.drop()
        super().close()


def unavailable(address: Address, error: psycopg.Error) -> StoreUnavailableError:
    """The error of this program for one of the driver's."""
    return StoreUnavailableError(
        f"{address.shown} does not answer: {address.redact(error)}",
        remedy="check that the server runs, its address, and the user's rights",
    )
