"""The table at the end of the demonstration.

Rules of residence: figures to words; each one is measured elsewhere, none is known beforehand.
"""

from rich.table import Table

from taskmaster.demo.measured import Limits
from taskmaster.demo.scenario import Outcome


def summary(outcome: Outcome, limits: Limits) -> Table:
    """Both arms side by side."""
    one, other = outcome.behind, outcome.without
    table = Table(title=f"measured, in {outcome.whole_s:.0f} s")
    table.add_column("")
    table.add_column("with the gate", justify="right")
    table.add_column("gate off", justify="right")
    table.add_row("tasks", f"{one.acknowledged:,} acknowledged", f"{other.tasks:,}")
    table.add_row("done at the application", f"{one.done:,}", f"{other.done:,}")
    table.add_row("lost", f"{one.lost:,}", f"{other.tasks - other.done:,} not done")
    table.add_row("requests that arrived", f"{one.arrived:,}", f"{other.arrived:,}")
    table.add_row("sent again, open at a kill", f"{one.repeats_after_kill:,}", "")
    table.add_row(
        "sent again, failed before", f"{one.repeats_after_failure:,}", f"{other.repeats:,}"
    )
    table.add_row("sent again for no reason", f"{one.repeats_unexplained:,}", "")
    table.add_row("done twice", f"{one.done_twice:,}", f"{other.done_twice:,}")
    table.add_row(
        "most starts in any second, by the log",
        f"{one.most_started_in_a_second} of {limits.burst + limits.per_s}",
        "",
    )
    table.add_row(
        "most arrivals in any second",
        f"{one.most_arrived_in_a_second}",
        f"{other.most_arrived_in_a_second:,}",
    )
    table.add_row(
        f"arrivals above {limits.burst} + {limits.per_s}/s, worst window",
        f"{one.above_limit:.1f}",
        "",
    )
    table.add_row("most attempts open", f"{one.most_open} of {limits.concurrency}", "")
    table.add_row("most in flight there", f"{one.most_in_flight}", f"{other.most_in_flight}")
    table.add_row("the application crashed", f"{one.crashes}", f"{other.crashes}")
    table.add_row("backlog gone after", f"{outcome.drained_s:.0f} s", "")
    table.caption = (
        "the limit is one of starts at TaskMaster's socket;"
        f" a machine this busy may bunch {one.may_be_bunched:.0f} arrivals"
    )
    return table
