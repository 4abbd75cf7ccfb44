"""`demo`: an outage, a kill -9 and a recovery in one terminal.

Rules of residence: from flags to the story, and its summary as a table.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from taskmaster.demo.scenario import Measured

MIN_TASKS = 400
MAX_TASKS = 20_000
SVG_COLUMNS = 120


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

    from taskmaster.demo.scenario import RATE, Story
    from taskmaster.demo.screen import Screen
    from taskmaster.errors import InvalidFieldError

    if not MIN_TASKS <= tasks <= MAX_TASKS:
        raise InvalidFieldError(
            f"tasks must be {MIN_TASKS} to {MAX_TASKS} (it is {tasks})",
            field="tasks",
            remedy="leave it out for 3000",
        )
    console = Console(record=svg is not None, width=SVG_COLUMNS if svg is not None else None)
    with Screen(console, limit_per_s=RATE, total=tasks) as screen:
        measured = asyncio.run(Story(screen, tasks).tell())
    if svg is not None and not console.is_terminal:
        console.print(screen.picture())
    console.print(_summary(measured))
    if svg is not None:
        console.save_svg(str(svg), title="taskmaster demo")
    if not measured.held:
        console.print("a promise was broken", style="bold red")
    return 0 if measured.held else 1


def _summary(measured: "Measured") -> "Table":
    from rich.table import Table

    m = measured
    table = Table(title=f"measured, in {m.whole_s:.0f} s")
    table.add_column("")
    table.add_column("with the gate", justify="right")
    table.add_column("gate off", justify="right")
    table.add_row("tasks acknowledged", f"{m.acknowledged:,}", f"{m.acknowledged:,}")
    table.add_row("done at the application", f"{m.done:,}", f"{m.naive_done:,}")
    table.add_row("lost", f"{m.lost:,}", "")
    table.add_row(
        "done twice", f"{m.sent_twice} ({m.explained} open at the kill)", f"{m.naive_repeated:,}"
    )
    table.add_row(
        "most requests in any second",
        f"{m.most_in_a_second} (allowed {m.allowed:.0f}; {m.allowed_arrived:.0f} arriving)",
        "",
    )
    table.add_row("most in flight", f"{m.most_in_flight}", f"{m.naive_most_in_flight}")
    table.add_row("application crashed", f"{m.crashes}", f"{m.naive_crashes}")
    table.add_row("drained after", f"{m.drained_s:.0f} s", "")
    return table
