"""Series, and instants that cannot be, on the command line against a real server."""

import json
from collections.abc import Iterator

import pytest

from taskmaster.cli import exits
from tests.integration.server_process import ServerProcess
from tests.integration.test_cli import Cli

pytestmark = pytest.mark.slow
URL = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    with ServerProcess(tmp_path_factory.mktemp("series") / "log.db") as running:
        yield Cli(running.url)


def test_a_series_is_set_anew(cli: Cli) -> None:
    cli(f"series create s {URL} --every 15m --body x")

    changed = cli("series set s --cron '0 3 * * *' --priority 2 --reason quieter -o json")
    stale = cli("series set s --every 1h --if-version 1")
    nothing = cli("series set s")
    unknown = cli("series set nowhere --every 1h")

    series = json.loads(changed.out)
    assert (changed.code, series["version"]) == (0, 2)
    assert series["schedule"]["cron"] == "0 3 * * *"
    assert (stale.code, nothing.code) == (exits.CONFLICT, exits.USAGE)
    assert unknown.code == exits.NOT_FOUND
    assert "give --every" in nothing.err


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (f"task submit {URL} --due-at 2300-01-01T00:00:00Z", "due_at"),
        (f"task submit {URL} --due-at 2100-01-01T00:00:00Z", "due_at"),
        (f"task submit {URL} --expires-at 9999-01-01T00:00:00Z", "expires_at"),
        ("gate pause g --until 9999-01-01T00:00:00Z", "until"),
        ("gate set g --max-backlog 100000000000000000000", "max_backlog"),
        (f"series create t {URL} --every 1h --start-at 2200-01-01T00:00:00Z", "start_at"),
    ],
)
def test_what_no_log_can_hold_is_refused_with_field_and_remedy(
    cli: Cli, line: str, field: str
) -> None:
    cli("gate set g --concurrency 1")

    refused = cli(line)

    assert refused.code in (exits.USAGE, exits.FAILED)
    assert field in refused.err
    assert "; " in refused.err


def test_a_pause_shows_until_when(cli: Cli) -> None:
    cli("gate set paused --concurrency 1")

    shown = cli("gate pause paused --until 2100-01-01T00:00:00Z -o json")

    assert json.loads(shown.out)["waits"]["until"] == "2100-01-01T00:00:00Z"
