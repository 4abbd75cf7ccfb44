"""Which columns of a task's row a batch changed, so that a store is handed no others.

Rules of residence: pure; compares two rows and sorts the later one into `Changes`.
"""

from taskmaster.events.rows import REDRIVEN, Changes, TaskEntry


def sort_task(before: TaskEntry | None, after: TaskEntry, out: Changes) -> None:
    """Put a row that was folded where its columns are written."""
    if before is None:
        out.submitted.append(after)
        return
    (out.stepped if _has_stepped(before, after) else out.changed).append(after)
    if _is_altered(before, after):
        out.altered.append(after)


def _is_altered(before: TaskEntry, after: TaskEntry) -> bool:
    """Whether columns differ that only an edit or a move changes."""
    return before.gate != after.gate or before.url != after.url or before.priority != after.priority


def _has_stepped(before: TaskEntry, after: TaskEntry) -> bool:
    """Whether an attempt started or ended, and neither a time nor what holds it has changed."""
    return (
        before.due_at == after.due_at
        and before.band == after.band
        and before.held == after.held
        and before.expires_at == after.expires_at
        and before.nominal_at == after.nominal_at
    )


def revived(band: int, *, redriven: bool) -> int:
    """The band of a task that begins anew; what was redriven once stays so."""
    return band + REDRIVEN if redriven and band < REDRIVEN else band
