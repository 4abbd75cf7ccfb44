"""What every test gets: hypothesis without a deadline, since this machine is shared; and one
PostgreSQL for those that ask."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.postgres_server import Postgres

settings.register_profile("taskmaster", deadline=None, print_blob=True)
settings.load_profile("taskmaster")


def pytest_report_header() -> str:
    """What stands behind `tests/differential` in this run."""
    from tests.differential import otp

    reference = "OTP itself" if otp.is_installed() else "recorded traces of OTP"
    return f"supervision is compared with {reference}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of a process."""
    with _server() as server:
        yield server


@pytest.fixture
def own() -> Iterator[Postgres]:
    """One that a test may stop."""
    with _server() as server:
        yield server


@contextmanager
def _server() -> Generator[Postgres]:
    """Not below pytest's own folder: as root the server runs under another user, whom the next
    pytest that starts shuts out of there."""
    with TemporaryDirectory(prefix="taskmaster-pg-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder))
        yield server
        server.stop()
