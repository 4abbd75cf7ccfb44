"""The partitions of the log, one a day.

Rules of residence: which ids belong to a day, and making the tables of days to come. Nothing is
lost without them: what has no partition of its own lies in the default one.
"""

from datetime import UTC, datetime, timedelta

import psycopg

from taskmaster.events.postgres_connection import Connection

DAYS_AHEAD = 7
"""Made in advance, so that a database that refuses new tables for days does no harm."""
_DAY_MS = 86_400_000


def make_days(connection: Connection, today: int) -> None:
    """Make what is missing from a day (since 1970) to some days after it.

    Two who do this at once wait for each other. A day of which the default partition already
    holds tasks is left there.

    Raises:
        psycopg.OperationalError: not now; it may be tried again.
    """
    for day in range(today, today + DAYS_AHEAD + 1):
        name = f"stored_events_{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y%m%d}"
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('taskmaster days'))")
            found = connection.execute("SELECT to_regclass(%s)", [name]).fetchone()
            if found is not None and found[0] is not None:
                continue
            # attached, not created as a part: that would wait for every reader, and they for it
            connection.execute(f"CREATE TABLE {name} (LIKE stored_events INCLUDING ALL)".encode())
            attach = f"""ALTER TABLE stored_events ATTACH PARTITION {name}
                FOR VALUES FROM ('{first_id(day)}') TO ('{first_id(day + 1)}')"""
            try:
                with connection.transaction():
                    connection.execute(attach.encode())
            except psycopg.errors.CheckViolation:
                connection.execute(f"DROP TABLE {name}".encode())


def first_id(day: int) -> str:
    """The beginning of the first task id of a day: UUIDv7 begins with 48 bits of milliseconds."""
    digits = f"{day * _DAY_MS:012x}"
    return f"task-{digits[:8]}-{digits[8:]}"
