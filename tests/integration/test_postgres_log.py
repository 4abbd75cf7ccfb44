"""The PostgreSQL store passes the suite of every store, on a real server."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from taskmaster.events.postgres import PostgresStore
from tests.postgres_server import Postgres
from tests.suites.event_log import EventLogSuite, Log


class TestPostgres(EventLogSuite):
    examples = 8
    odd = 'quote " back\\slash \x1f ü 漢 🦆 </script>'

    @pytest.fixture(autouse=True)
    def server(self, postgres: Postgres) -> None:
        self.postgres = postgres

    @contextmanager
    def new_log(self) -> Generator[Log]:
        with (
            self.postgres.database() as url,
            PostgresStore.open(url) as store,
            store.reader() as reader,
        ):
            yield Log(store, reader)
