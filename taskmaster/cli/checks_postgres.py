"""Checks of `doctor` on a log in PostgreSQL: does it answer, is it ours, does a commit last.

Rules of residence: reads only, on a connection of its own.
"""

from taskmaster.cli.checks import Finding, fail, ok, warn
from taskmaster.errors import TaskMasterError

OLDEST = 140_000
"""PostgreSQL 14: the oldest that is still mended."""


def postgres(url: str) -> list[Finding]:
    """The database, its schema, and the settings on which durability stands."""
    from taskmaster.events.postgres_migrate import inspect

    try:
        found = inspect(url)
    except TaskMasterError as error:
        return [fail("store", error.message, error.remedy)]
    findings = [ok("store", f"{found.shown}, schema {found.schema.version}{_owner(found.owner)}")]
    if found.schema.version == 0:
        findings = [ok("store", f"{found.shown} has no log yet: serve makes it")]
    elif found.schema.pending:
        steps = f"{found.schema.pending} steps of the schema are left"
        findings = [warn("store", f"{found.shown}: {steps}", "taskmaster store migrate")]
    version = f"PostgreSQL {found.server // 10_000}.{found.server % 10_000}"
    if found.server < OLDEST:
        findings.append(fail("server", f"{version} is too old", "use PostgreSQL 14 or newer"))
    elif not found.is_durable:
        findings.append(
            fail("server", f"{version} runs without fsync or full_page_writes", "turn both on")
        )
    else:
        findings.append(ok("server", version))
    return findings


def _owner(owner: str) -> str:
    return f", open in {owner}" if owner else ""
