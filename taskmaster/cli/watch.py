"""Look again and again: `--watch`.

Rules of residence: the loop and the screen; what is looked at comes in. On a terminal the picture
is drawn over (rich); elsewhere every change is written below the last one.
"""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from taskmaster.cli.exits import UsageError
from taskmaster.cli.values import seconds
from taskmaster.cli.view import Shown, View, render, show
from taskmaster.errors import UnavailableError

GROUP = Group("Watch", sort_key=9)
SHORTEST_S = 0.1


@Parameter(name="*")
@dataclass(frozen=True)
class Watch:
    """Whether to look once or again and again."""

    watch: Annotated[bool, Parameter(name=("--watch", "-w"), group=GROUP)] = False
    """Look again and again, until interrupted."""
    interval: Annotated[str, Parameter(group=GROUP, show_default=True)] = "2s"
    """How long to wait between two looks."""


ONCE = Watch()


def look(view: View, watch: Watch, shown: Callable[[], Shown]) -> None:
    """Show once, or keep showing."""
    if not watch.watch:
        return show(view, shown())
    interval_s = seconds(watch.interval, flag="--interval")
    if interval_s < SHORTEST_S:
        raise UsageError(f"--interval {watch.interval} is below {SHORTEST_S} s", remedy="use 1s")
    if sys.stdout.isatty():
        return _draw(view, shown, interval_s)
    return _append(view, shown, interval_s)


def _draw(view: View, shown: Callable[[], Shown], interval_s: float) -> None:
    from rich.console import Console, ConsoleDimensions
    from rich.live import Live
    from rich.text import Text

    text = Text()
    size = shutil.get_terminal_size()  # some terminals say 0 columns, in which nothing fits
    console = Console(width=size.columns, height=size.lines, force_terminal=True)
    with Live(text, console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                text = Text.from_ansi(render(view, shown()))
            except UnavailableError as error:  # a server that restarts comes back
                text = text.copy()
                text.append(f"\n\n{error}", style="" if view.no_color else "red")
            if (now := shutil.get_terminal_size()) != size:
                size, console.size = now, ConsoleDimensions(*now)
            live.update(text, refresh=True)
            time.sleep(interval_s)


def _append(view: View, shown: Callable[[], Shown], interval_s: float) -> None:
    last = None
    while True:
        text = render(view, shown())
        if text != last:
            print(text, flush=True)
        last = text
        time.sleep(interval_s)
