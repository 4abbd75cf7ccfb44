"""`series`: periodic tasks, and when they run.

Rules of residence: from flags to a call, from its answer to what is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from taskmaster.cli import app as tree
from taskmaster.cli import values
from taskmaster.cli.names import series_names
from taskmaster.cli.paint import table
from taskmaster.cli.submit import SENDING, Sending
from taskmaster.cli.task import Limit, PageToken, more
from taskmaster.cli.view import VIEW, Shown, View, listing
from taskmaster.cli.view import show as show_result
from taskmaster.cli.watch import ONCE, Watch, look

if TYPE_CHECKING:
    from taskmaster.client import Call, Runs, Series

app = tree.group("series")
Name = Annotated[str, Parameter(completer=series_names)]
SCHEDULE = Group("Schedule", sort_key=0)


@Parameter(name="*")
@dataclass(frozen=True)
class Schedule:
    """When: one of three."""

    every: Annotated[str | None, Parameter(group=SCHEDULE)] = None
    """With this period, without drift, as 15m."""
    cron: Annotated[str | None, Parameter(group=SCHEDULE)] = None
    """As cron says, five fields or six with seconds first, as '0 3 * * *'."""
    time_zone: Annotated[str | None, Parameter(group=SCHEDULE)] = None
    """The zone of --cron, as Europe/Berlin (UTC)."""


SCHEDULED = Schedule()


@app.command
def create(  # noqa: PLR0913 one flag each
    name: str,
    url: str,
    /,
    *,
    schedule: Schedule = SCHEDULED,
    after: Annotated[str | None, Parameter(group=SCHEDULE)] = None,
    start_at: Annotated[str | None, Parameter(group=SCHEDULE)] = None,
    catch_up: Annotated[Literal["one", "none", "all"] | None, Parameter(group=SCHEDULE)] = None,
    catch_up_limit: Annotated[int | None, Parameter(group=SCHEDULE)] = None,
    stop_on_failure: Annotated[bool, Parameter(group=SCHEDULE)] = False,
    sending: Sending = SENDING,
    reason: str = "",
    view: View = VIEW,
) -> None:
    """Create a series. The same again is no change; another under this name is exit 4.

    Args:
        name: What to call it.
        url: What each run calls.
        after: This long after the end of the run before, as 15m.
        start_at: First nominal time not before this instant.
        catch_up: What becomes of runs that were missed (one).
        catch_up_limit: How many runs --catch-up all makes up for at most.
        stop_on_failure: End the series when a run does not succeed.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    rules = values.given(
        url=url,
        every=schedule.every,
        after=after,
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        catch_up=catch_up,
        catch_up_limit=catch_up_limit,
        stop_on_failure=stop_on_failure or None,
        start_at=start_at,
        reason=reason or None,
        **sending.fields(),
    )
    _change((name,), lambda one: calls.set_series(one, rules), view)


@app.command(name="set")
def set_series(  # noqa: PLR0913 one flag each
    name: Name,
    /,
    *,
    url: str | None = None,
    schedule: Schedule = SCHEDULED,
    after: Annotated[str | None, Parameter(group=SCHEDULE)] = None,
    catch_up: Annotated[Literal["one", "none", "all"] | None, Parameter(group=SCHEDULE)] = None,
    catch_up_limit: Annotated[int | None, Parameter(group=SCHEDULE)] = None,
    stop_on_failure: Annotated[bool | None, Parameter(group=SCHEDULE)] = None,
    sending: Sending = SENDING,
    if_version: int | None = None,
    reason: str = "",
    view: View = VIEW,
) -> None:
    """Give a series other rules, from its next run on. Its open task stays as it is.

    What is left out stays; headers, labels and the rules of trying again are set as a whole.

    Args:
        name: Which series.
        url: What each run calls.
        after: This long after the end of the run before, as 15m.
        catch_up: What becomes of runs that were missed.
        catch_up_limit: How many runs --catch-up all makes up for at most.
        stop_on_failure: End the series when a run does not succeed.
        if_version: Only if the series stands at this version; otherwise exit 4.
        reason: Why, for the log.
    """
    from taskmaster.cli.exits import UsageError
    from taskmaster.client import calls

    rules = values.given(
        url=url,
        every=schedule.every,
        after=after,
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        catch_up=catch_up,
        catch_up_limit=catch_up_limit,
        stop_on_failure=stop_on_failure,
        **sending.fields(),
    )
    if not rules:
        raise UsageError("nothing to set is given", remedy="give --every, --url or another rule")
    if reason:
        rules["reason"] = reason
    _change((name,), lambda one: calls.change_series(one, rules, version=if_version), view)


@app.command(name="list")
def list_series(
    *,
    limit: Limit = 100,
    page_token: PageToken = "",
    watch: Watch = ONCE,
    view: View = VIEW,
) -> None:
    """Series, by name.

    Args:
        limit: At most so many; 0 for all.
        page_token: Go on where the last list ended.
    """
    from taskmaster.cli.columns import SERIES
    from taskmaster.cli.connect import connect, find
    from taskmaster.client import calls

    with connect(view) as client:

        def shown() -> Shown:
            found = find(
                client,
                lambda size, token: calls.list_series(limit=size, page_token=token),
                limit=limit,
                page_token=page_token,
            )
            names = [series.series for series in found.rows]
            note = more(found.next_page_token)
            return Shown(found.document, listing(view, SERIES, found.rows), names, note)

        look(view, watch, shown)


@app.command
def show(name: Name, /, *, watch: Watch = ONCE, view: View = VIEW) -> None:
    """One series, and its open task."""
    from taskmaster.cli.connect import connect
    from taskmaster.client import calls

    with connect(view) as client:
        look(view, watch, lambda: _shown(client.answer(calls.read_series(name)).body))


@app.command
def pause(*names: Name, reason: str = "", view: View = VIEW) -> None:
    """Hold the open task back.

    Args:
        names: Which series.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    _change(names, lambda name: calls.pause_series(name, reason=reason), view)


@app.command
def resume(*names: Name, reason: str = "", view: View = VIEW) -> None:
    """Let the open task start again.

    Args:
        names: Which series.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    _change(names, lambda name: calls.resume_series(name, reason=reason), view)


@app.command
def end(*names: Name, reason: str = "", view: View = VIEW) -> None:
    """No further run; what waits of it is cancelled.

    Args:
        names: Which series.
        reason: Why, for the log.
    """
    from taskmaster.client import calls

    _change(names, lambda name: calls.end_series(name, reason=reason), view)


@app.command(name="next")
def next_runs(
    name: Name, count: Annotated[int, Parameter(show_default=True)] = 10, /, *, view: View = VIEW
) -> None:
    """The coming runs of a series.

    Args:
        name: Which series.
        count: How many.
    """
    from taskmaster.client import calls

    _show_runs(calls.next_runs(name, count=count), view)


@app.command
def preview(
    *,
    schedule: Schedule = SCHEDULED,
    start: Annotated[str | None, Parameter(name="--from")] = None,
    count: Annotated[int, Parameter(name=("--count", "-n"), show_default=True)] = 10,
    view: View = VIEW,
) -> None:
    """When a schedule would run, before anything is stored.

    Args:
        start: From this instant on, the past included, instead of from now.
        count: How many.
    """
    from taskmaster.client import calls

    call = calls.preview(
        every=schedule.every,
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        start=start,
        count=count,
    )
    _show_runs(call, view)


def _show_runs(call: "Call[Runs]", view: View) -> None:
    from taskmaster.cli.columns import RUNS
    from taskmaster.cli.connect import connect

    with connect(view) as client:
        answer = client.answer(call)
        runs = client.read(call, answer)
    names = [run.local for run in runs.items]
    show_result(
        view,
        Shown(
            answer.body, lambda paint: f"{runs.explain}\n\n{table(paint, RUNS, runs.items)}", names
        ),
    )


def _change(names: tuple[str, ...], call: "Callable[[str], Call[Series]]", view: View) -> None:
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.cli.exits import UsageError

    if not names:
        raise UsageError("which series is not said", remedy="give one name or more")
    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        for name in names:
            show_result(view, _shown(client.answer(call(name)).body))


def _shown(document: bytes) -> Shown:
    import msgspec

    from taskmaster.cli.columns import series_text
    from taskmaster.client import Series

    series = msgspec.json.decode(document, type=Series)
    return Shown(document, lambda paint: series_text(series, paint), [series.series])
