"""SQL for what is ready in a gate: what waits and is held by nothing.

Rules of residence: text only, shared by the pages and the counters. Tasks without a `fair_key`
are one lane, found by the ranges of its priorities; all with one are found together by due time.
"""

from taskmaster.events.rows import PRIORITIES, WAITING

READY = f"state = {WAITING} AND held = 0"
EACH_PRIORITY = f"(VALUES {', '.join(f'({priority})' for priority in PRIORITIES)}) AS p"

_KEYLESS = f"fair_key = '' AND priority = p.column1 AND {READY}"
_KEYED = f"{READY} AND fair_key <> ''"


def first_due(gate: str, bound: str) -> str:
    """The earliest due time of what is ready in `gate`, a column or parameter, within `bound`."""
    return f"""(SELECT min(due_at) FROM (
        SELECT {first_keyless(gate, bound)} AS due_at
        UNION ALL
        SELECT (SELECT due_at FROM task INDEXED BY task_due
                WHERE gate = {gate} AND {bound} AND {_KEYED} ORDER BY due_at LIMIT 1)) AS first)"""


def first_keyless(gate: str, bound: str) -> str:
    """The same of the tasks without a key."""
    return f"""(SELECT min((SELECT due_at FROM task WHERE gate = {gate} AND {bound} AND {_KEYLESS}
                 ORDER BY due_at LIMIT 1)) FROM {EACH_PRIORITY})"""


def count_due(gate: str, bound: str) -> str:
    """How many are ready in `gate` within `bound`."""
    where = f"gate = {gate} AND {bound}"
    return f"""((SELECT CAST(sum((SELECT count(*) FROM task WHERE {where} AND {_KEYLESS}))
                 AS BIGINT) FROM {EACH_PRIORITY})
        + (SELECT count(*) FROM task INDEXED BY task_due WHERE {where} AND {_KEYED}))"""
