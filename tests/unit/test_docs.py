"""The documentation tells the truth about names: links, events, routes, settings, metrics."""

import importlib
import re
from pathlib import Path
from typing import get_args

import pytest

from taskmaster.api.app import OPERATIONS
from taskmaster.api.problems import CODES
from taskmaster.cli.app import COMMANDS, GROUPS
from taskmaster.events.types import AnyEvent
from taskmaster.settings import NAMES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")],
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
COMMAND = re.compile(r"bin/taskmaster ([a-z]+)(?: ([a-z]+))?")


def _named(page: str) -> set[str]:
    """What stands first in the rows of a page's tables."""
    return set(ROW.findall((REFERENCE / page).read_text("utf-8")))


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page

        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_every_event_is_listed_with_its_fields() -> None:
    text = (REFERENCE / "events.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}

    for event in get_args(AnyEvent):
        fields = set(event.__struct_fields__) - {"at", "cause"}
        listed = set(re.findall(r"`(\w+)`", rows[event.__name__].rsplit(" | ", 1)[1]))
        assert listed == fields, event.__name__


def test_no_event_is_listed_that_does_not_exist() -> None:
    listed = {name for name in _named("events.md") if name[0].isupper()}

    assert listed == {event.__name__ for event in get_args(AnyEvent)}


def test_the_routes_are_those_of_the_application() -> None:
    assert _named("rest.md") == {f"{one.method} {one.path}" for one in OPERATIONS}


def test_the_settings_are_those_of_the_process() -> None:
    assert _named("settings.md") == {*NAMES, "signing.<gate>"}


def test_the_codes_are_those_of_problems() -> None:
    assert _named("errors.md") == set(CODES)


def test_the_metrics_are_those_that_are_shown() -> None:
    source = (ROOT / "taskmaster" / "views" / "metrics.py").read_text("utf-8")
    families = re.findall(r'(\w+)MetricFamily\(\s*"(taskmaster_\w+)"', source)
    shown = {name + ("_total" if kind == "Counter" else "") for kind, name in families}
    shown |= {f"taskmaster_{name}" for name in re.findall(r'_gauge\("(\w+)"', source)}

    assert _named("metrics.md") == shown


def test_the_rules_of_alerts_ask_for_metrics_that_there_are() -> None:
    rules = (ROOT / "deploy" / "alerts.rules.yml").read_text("utf-8")
    asked = re.findall(r"expr:.*?(taskmaster_\w+)", rules)

    assert asked
    assert set(asked) <= _named("metrics.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists(page: Path) -> None:
    for name, verb in COMMAND.findall(page.read_text("utf-8")):
        assert name in GROUPS or name in COMMANDS, name
        if name in GROUPS:
            group = importlib.import_module(f"taskmaster.cli.{name}").app
            assert verb in set(group), f"{name} {verb}"


def test_the_readme_takes_a_minute() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]

    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []
