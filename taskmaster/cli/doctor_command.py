"""`doctor`: each check on a line, with what to do about it.

Rules of residence: order and presentation; what is looked at is in `checks_*`. Ends with 7 when a
check failed; a warning alone is 0.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from taskmaster.cli.checks import Finding
from taskmaster.cli.exits import CHECK_FAILED
from taskmaster.cli.paint import Column, Paint, table
from taskmaster.cli.view import VIEW, Shown, View, show


def doctor(
    *,
    store: Annotated[str | None, Parameter(name=("--store", "-s"))] = None,
    host: str | None = None,
    port: int | None = None,
    config: Annotated[Path | None, Parameter(env_var="TASKMASTER_CONFIG")] = None,
    view: View = VIEW,
) -> int | None:
    """Look for what would keep a server, or this command line, from working.

    Exit 7 when a check failed; a warning alone is 0.

    Args:
        store: The log that a server would use: a file, or postgresql://...
        host: Where a server would listen.
        port: On which port.
        config: A file of settings.
    """
    from taskmaster.cli import checks_machine, checks_server, checks_store

    flags = {"store": store, "http.host": host, "http.port": port}
    settings, found = checks_machine.settings(flags, config)
    findings = [
        checks_machine.python(),
        checks_machine.packages(),
        found,
        *checks_store.store(settings.store),
        checks_machine.clock(),
        checks_machine.zones(),
        checks_machine.open_files(settings.delivery.in_flight),
        *checks_server.port_and_server(settings, view),
    ]
    show(view, _shown(findings))
    return CHECK_FAILED if any(finding.result == "fail" for finding in findings) else None


def _shown(findings: Sequence[Finding]) -> Shown:
    document = msgspec.json.encode({"items": findings, "next_page_token": None})
    names = [finding.check for finding in findings if finding.result != "ok"]
    return Shown(document, lambda paint: _text(findings, paint), names)


def _text(findings: Sequence[Finding], paint: Paint) -> str:
    columns: tuple[Column[Finding], ...] = (
        Column("RESULT", lambda finding, _: finding.result),
        Column("CHECK", lambda finding, _: finding.check),
        Column("FOUND", lambda finding, _: "; ".join(filter(None, (finding.what, finding.remedy)))),
    )
    return table(paint, columns, findings)
