"""SQL for what is ready in a gate: what waits and is held by nothing.

Rules of residence: text only, shared by the pages and the counters. What most gates have alone,
tasks without a `fair_key` that were never redriven, is found by the ranges of its priorities; all
others are found together by due time.
"""

from taskmaster.events.rows import PRIORITIES, REDRIVEN, WAITING

READY = f"state = {WAITING} AND held = 0"

_EACH_PRIORITY = f"(VALUES {', '.join(f'({priority})' for priority in PRIORITIES)}) AS p"
_PLAIN = f"fair_key = '' AND band = p.column1 AND {READY}"
_OTHERS = f"{READY} AND (fair_key <> '' OR band >= {REDRIVEN})"


def first_due(gate: str, bound: str) -> str:
    """The earliest due time of what is ready in `gate`, a column or parameter, within `bound`."""
    return f"""(SELECT min(due_at) FROM (
        SELECT (SELECT min((SELECT due_at FROM task WHERE gate = {gate} AND {bound} AND {_PLAIN}
                ORDER BY due_at LIMIT 1)) FROM {_EACH_PRIORITY}) AS due_at
        UNION ALL
        SELECT (SELECT due_at FROM task INDEXED BY task_due
                WHERE gate = {gate} AND {bound} AND {_OTHERS} ORDER BY due_at LIMIT 1)) AS first)"""


def count_due(gate: str, bound: str) -> str:
    """How many are ready in `gate` within `bound`."""
    where = f"gate = {gate} AND {bound}"
    return f"""((SELECT CAST(sum((SELECT count(*) FROM task WHERE {where} AND {_PLAIN}))
                 AS BIGINT) FROM {_EACH_PRIORITY})
        + (SELECT count(*) FROM task INDEXED BY task_due WHERE {where} AND {_OTHERS}))"""
