"""`gate set`: limits and recovery, from flags or a file.

Rules of residence: from flags to settings in the API's names; ranges are the server's.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from taskmaster.cli import values
from taskmaster.cli.exits import UsageError
from taskmaster.cli.gate import Name, shown_gate
from taskmaster.cli.names import gate_names
from taskmaster.cli.view import VIEW, View, show

if TYPE_CHECKING:
    from taskmaster.client import Client
    from taskmaster.client.calls import Answer

LIMITS = Group("Limits", sort_key=1)
RECOVERY = Group("Recovery", sort_key=2)
ALERTS = Group("Alerts", sort_key=3)
_RATE = re.compile(r"(?P<rate>[\d.]+)/(?P<per>[0-9a-zA-Z.]+?)(?::(?P<burst>\d+))?")


@Parameter(name="*")
@dataclass(frozen=True)
class LimitFlags:
    """How much may start."""

    rate: Annotated[str | None, Parameter(name=("--rate", "-r"), group=LIMITS)] = None
    """Starts per second."""
    burst: Annotated[int | None, Parameter(name=("--burst", "-b"), group=LIMITS)] = None
    """How many may start at once within that rate (a fiftieth of a second's worth)."""
    concurrency: Annotated[int | None, Parameter(name=("--concurrency", "-c"), group=LIMITS)] = None
    """How many may be in flight."""
    rates: Annotated[tuple[str, ...], Parameter(group=LIMITS, consume_multiple=False)] = ()
    """A further rate, as 1000/1h or 1000/1h:50 with a burst (a fiftieth of a second's worth, which
    is 1 up to 50/s: 1000/1h is one each 3.6 s); may be given several times."""
    max_backlog: Annotated[int | None, Parameter(group=LIMITS)] = None
    """Refuse submissions beyond so many waiting tasks; 0 for no bound."""
    aging: Annotated[str | None, Parameter(group=LIMITS)] = None
    """How much waiting one step of priority is worth (60s)."""
    adaptive: Annotated[Literal["latency", "errors", "off"] | None, Parameter(group=LIMITS)] = None
    """Learn how many may be in flight, from latency and errors, or from errors alone."""
    adaptive_min: Annotated[int | None, Parameter(group=LIMITS)] = None
    """Always allow so many in flight (1)."""
    adaptive_max: Annotated[int | None, Parameter(group=LIMITS)] = None
    """Never learn more than so many (the concurrency)."""
    parent: Annotated[str | None, Parameter(group=LIMITS, completer=gate_names)] = None
    """A gate whose limits hold too, as that of a host or a data centre; "" for none."""

    def fields(self) -> values.Json:
        """The fields of the API that were set."""
        limits = values.given(
            rate=None if self.rate is None else _number(self.rate, "--rate"),
            burst=self.burst,
            concurrency=self.concurrency,
            rates=[_rate(text) for text in self.rates] or None,
        )
        return values.given(
            limits=limits or None,
            max_backlog=self.max_backlog,
            aging=self.aging,
            adaptive=self._adaptive(),
            parent=self.parent,
        )

    def _adaptive(self) -> object:
        learned = values.given(min=self.adaptive_min, max=self.adaptive_max)
        if self.adaptive == "off":
            if learned:
                raise UsageError("--adaptive off takes no bounds", remedy="leave them out")
            return "off"
        return values.given(**learned, by=self.adaptive) or None


@Parameter(name="*")
@dataclass(frozen=True)
class RecoveryFlags:
    """When a gate trips, and how it comes back."""

    trip_failures: Annotated[int | None, Parameter(group=RECOVERY)] = None
    """Trip after so many failures in a row."""
    trip_ratio: Annotated[float | None, Parameter(group=RECOVERY)] = None
    """Trip at this share of failures, 0 to 1."""
    trip_min_attempts: Annotated[int | None, Parameter(group=RECOVERY)] = None
    """Of at least so many attempts."""
    trip_window: Annotated[str | None, Parameter(group=RECOVERY)] = None
    """Within this time."""
    tripped_min: Annotated[str | None, Parameter(group=RECOVERY)] = None
    """First pause after a trip."""
    tripped_max: Annotated[str | None, Parameter(group=RECOVERY)] = None
    """Longest pause after trips in a row."""
    ramp_steps: Annotated[str | None, Parameter(group=RECOVERY)] = None
    """Percent of the limits, as 5,10,25,50,100, or off."""
    ramp_step: Annotated[str | None, Parameter(group=RECOVERY)] = None
    """How long a step takes."""
    ramp_after: Annotated[str | None, Parameter(group=RECOVERY)] = None
    """Ramp up after the gate could not start for so long."""
    fresh_share: Annotated[float | None, Parameter(group=RECOVERY)] = None
    """Share of work due since a recovery began, beside older work, 0 (strict order) to 1."""

    def fields(self) -> values.Json:
        """The fields of the API that were set."""
        return values.given(
            trip_failures=self.trip_failures,
            trip_ratio=self.trip_ratio,
            trip_min_attempts=self.trip_min_attempts,
            trip_window=self.trip_window,
            tripped_min=self.tripped_min,
            tripped_max=self.tripped_max,
            ramp_steps=None if self.ramp_steps is None else _steps(self.ramp_steps),
            ramp_step=self.ramp_step,
            ramp_after=self.ramp_after,
            fresh_share=self.fresh_share,
        )


@Parameter(name="*")
@dataclass(frozen=True)
class AlertFlags:
    """From when on the gate needs a person; 0 is never."""

    alert_oldest: Annotated[str | None, Parameter(group=ALERTS)] = None
    """The oldest eligible task has been due for so long (5m)."""
    alert_tripped: Annotated[str | None, Parameter(group=ALERTS)] = None
    """It has been tripped or probing for so long (5m)."""
    alert_ramp_failures: Annotated[int | None, Parameter(group=ALERTS)] = None
    """Its ramp fell back or tripped so often (3)."""
    alert_dead_letters: Annotated[int | None, Parameter(group=ALERTS)] = None
    """So many new dead letters within the window (1)."""
    alert_window: Annotated[str | None, Parameter(group=ALERTS)] = None
    """The window of dead letters (10m)."""
    alert_unattended: Annotated[str | None, Parameter(group=ALERTS)] = None
    """Paused without an end, or a task held as uncertain, for so long (24h)."""

    def fields(self) -> values.Json:
        """The fields of the API that were set."""
        return values.given(
            oldest_eligible=self.alert_oldest,
            tripped=self.alert_tripped,
            ramp_failures=self.alert_ramp_failures,
            dead_letters=self.alert_dead_letters,
            window=self.alert_window,
            unattended=self.alert_unattended,
        )


def set_gate(  # noqa: PLR0913  # flags
    name: Name,
    /,
    *,
    limits: LimitFlags = LimitFlags(),
    recovery: RecoveryFlags = RecoveryFlags(),
    alerts: AlertFlags = AlertFlags(),
    file: Annotated[str | None, Parameter(name=("--file", "-f"), allow_leading_hyphen=True)] = None,
    replace: bool = False,
    if_version: int | None = None,
    reason: str = "",
    view: View = VIEW,
) -> None:
    """Create a gate with these settings, or change these settings of a gate that exists.

    Args:
        name: Which gate.
        file: Settings from a file of JSON or YAML, fields as in the API; - is stdin.
        replace: Set what is not given back to its default.
        if_version: Only if the gate stands at this version; otherwise exit 4.
        reason: Why, for the log.
    """
    flags = values.given(
        **limits.fields(), recovery=recovery.fields() or None, alerts=alerts.fields() or None
    )
    if file is not None and flags:
        raise UsageError("--file takes no flags of settings", remedy="write them into the file")
    settings = flags if file is None else values.fields_of(file)
    if not settings and not replace:
        raise UsageError(
            "nothing to set is given", remedy="give --rate, --concurrency or another setting"
        )
    if reason:
        settings["reason"] = reason
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect

    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        answer = _set(client, name, settings, replace=replace, version=if_version)
        show(view, shown_gate(answer.body))


def _set(
    client: "Client", name: str, settings: values.Json, *, replace: bool, version: int | None
) -> "Answer":
    from taskmaster.client import calls
    from taskmaster.errors import NotFoundError

    if not replace:
        try:
            return client.answer(calls.change_gate(name, settings, version=version))
        except NotFoundError:  # there is nothing to change: create it
            pass
    return client.answer(calls.set_gate(name, settings, version=version))


def _rate(text: str) -> values.Json:
    found = _RATE.fullmatch(text)
    if found is None:
        raise UsageError(f"--rates is no rate ({text})", remedy="write it as 1000/1h or 10/s:5")
    per = found["per"]
    return values.given(
        rate=_number(found["rate"], "--rates"),
        per=per if per[0].isdigit() else f"1{per}",
        burst=int(found["burst"]) if found["burst"] else None,
    )


def _number(text: str, flag: str) -> float:
    """A number; `10/s` too, for that is how a rate is said."""
    try:
        return float(text.removesuffix("/s"))
    except ValueError:
        raise UsageError(f"{flag} is no number ({text})", remedy="write it as 10 or 0.5") from None


def _steps(text: str) -> object:
    if text == "off":
        return text
    try:
        return [int(step) for step in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--ramp-steps is no list of percents ({text})", remedy="as in 5,10,25,50,100, or off"
        ) from None
