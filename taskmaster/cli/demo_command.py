"""`demo`: an outage, a kill -9 and a recovery in one terminal.

Rules of residence: from flags to the story, and from its outcome to an exit code.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from taskmaster.cli.exits import FAILED, INTERRUPTED

if TYPE_CHECKING:
    from taskmaster.demo.scenario import Outcome
    from taskmaster.demo.screen import Screen

MIN_TASKS = 400
MAX_TASKS = 20_000
SVG_COLUMNS = 120
SVG_EVENTS = 20


def demo(*, tasks: int = 3_000, svg: Path | None = None) -> int:
    """See an outage and its recovery, in a minute.

    Starts a server and two small applications of its own, on loopback and in a temporary folder;
    exits with 1 if a promise was broken.

    Args:
        tasks: How many tasks to pile up.
        svg: Save the last picture and the summary to this file.
    """
    import asyncio

    from rich.console import Console

    from taskmaster.demo.scenario import LIMITS
    from taskmaster.demo.screen import Screen
    from taskmaster.demo.summary import summary
    from taskmaster.errors import InvalidFieldError

    if not MIN_TASKS <= tasks <= MAX_TASKS:
        raise InvalidFieldError(
            f"tasks must be {MIN_TASKS} to {MAX_TASKS} (it is {tasks})",
            field="tasks",
            remedy="leave it out for 3000",
        )
    console = Console()
    try:
        with Screen(console, LIMITS, tasks=tasks) as screen:
            outcome = asyncio.run(_told(screen, tasks))
    except asyncio.CancelledError:  # SIGTERM or SIGHUP; the children are gone
        return INTERRUPTED
    console.print(summary(outcome, LIMITS))
    broken = outcome.behind.broken(LIMITS)
    for words in broken:
        console.print(f"broken: {words}", style="bold red")
    if svg is not None:
        _save(svg, screen, outcome)
    return FAILED if broken else 0


async def _told(screen: "Screen", tasks: int) -> "Outcome":
    """Tell the story; whatever ends this process but SIGKILL ends its children too."""
    import asyncio
    import signal

    from taskmaster.demo.scenario import tell

    telling = asyncio.current_task()
    assert telling is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, telling.cancel)
    return await tell(screen, tasks)


def _save(path: Path, screen: "Screen", outcome: "Outcome") -> None:
    import io
    import re

    from rich.console import Console

    from taskmaster.demo.scenario import LIMITS
    from taskmaster.demo.summary import summary

    console = Console(record=True, width=SVG_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(screen.picture(SVG_COLUMNS, events=SVG_EVENTS))
    console.print(summary(outcome, LIMITS), justify="center")
    drawn = console.export_svg(title="taskmaster demo")
    # Rich names a font on a CDN; the reader's own will do, and nothing is fetched.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), "utf-8")
