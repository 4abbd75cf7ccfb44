"""Flags of changes of tasks: which tasks, how fast, and what an edit sets.

Rules of residence: from flags to the fields of a call; nothing is sent.
"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from taskmaster.cli.names import gate_names, series_names

MATCH = Group("All that match", sort_key=1)
SETS = Group("What it sets", sort_key=2)
Many = Annotated[tuple[str, ...], Parameter(consume_multiple=False, group=MATCH)]
Set = Annotated[str | None, Parameter(group=SETS)]


@Parameter(name="*")
@dataclass(frozen=True)
class Match:
    """Which tasks, instead of ids."""

    gate: Annotated[str, Parameter(name=("--gate", "-g"), group=MATCH, completer=gate_names)] = ""
    """Those of this gate."""
    state: Many = ()
    """Those in this state; may be given several times. Left out: those that the verb is for."""
    label: Many = ()
    """Those with this label, name=value; may be given several times."""
    series: Annotated[str, Parameter(group=MATCH, completer=series_names)] = ""
    """Those of this series."""
    key: Annotated[str, Parameter(group=MATCH)] = ""
    """Those with this idempotency key."""
    fair_key: Annotated[str, Parameter(group=MATCH)] = ""
    """Those with this fair_key."""
    due_before: Annotated[str, Parameter(group=MATCH)] = ""
    """Those due before it, as 2026-11-24T09:00:00Z."""
    due_after: Annotated[str, Parameter(group=MATCH)] = ""
    """Those due after it."""
    rate: Annotated[float | None, Parameter(group=MATCH)] = None
    """How many a second are changed; no bound if left out."""

    def fields(self) -> dict[str, object]:
        """The filter as the API takes it."""
        from taskmaster.cli.values import labels

        given: dict[str, object] = {
            "gate": self.gate,
            "state": list(self.state),
            "labels": labels(self.label),
            "series": self.series,
            "key": self.key,
            "fair_key": self.fair_key,
            "due_before": self.due_before,
            "due_after": self.due_after,
        }
        return {name: value for name, value in given.items() if value}


EVERY = Match()


@Parameter(name="*")
@dataclass(frozen=True)
class Edit:
    """What an edit sets."""

    url: Set = None
    """Where it is sent."""
    method: Set = None
    """How: POST, PUT and so on."""
    body: Set = None
    """The body as text."""
    timeout: Set = None
    """How long an attempt may take, as 30s."""
    expires_at: Set = None
    """When it is not sent any more."""
    priority: Annotated[int | None, Parameter(group=SETS)] = None
    """0 to 9; higher goes first."""
    max_attempts: Annotated[int | None, Parameter(group=SETS)] = None
    """How often it may be tried; the other rules of trying again get their defaults."""
    header: Annotated[tuple[str, ...], Parameter(consume_multiple=False, group=SETS)] = ()
    """A header as name:value, instead of all of before; may be given several times."""

    def fields(self) -> dict[str, object]:
        """The edit as the API takes it."""
        from taskmaster.cli.exits import UsageError

        headers: dict[str, str] = {}
        for text in self.header:
            name, colon, value = text.partition(":")
            if not colon:
                raise UsageError(f"--header {text} is no name:value", remedy="as in X-Team:ops")
            headers[name.strip()] = value.strip()
        attempts = self.max_attempts
        given: dict[str, object] = {
            "url": self.url,
            "method": self.method,
            "body": self.body,
            "timeout": self.timeout,
            "expires_at": self.expires_at,
            "priority": self.priority,
            "retry": None if attempts is None else {"max_attempts": attempts},
            "headers": headers or None,
        }
        return {name: value for name, value in given.items() if value is not None}


NO_EDIT = Edit()
