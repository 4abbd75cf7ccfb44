"""A change of all tasks that match: count, ask, have the server do it, look on.

Rules of residence: what is agreed to is the set of the count, so that no task that came meanwhile
is changed. Whoever stops looking on does not stop the bulk.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from taskmaster.cli import exits
from taskmaster.cli.confirm import confirm, counted_in_words
from taskmaster.cli.view import Shown, View, say, show

if TYPE_CHECKING:
    from taskmaster.cli.bulk_flags import Match
    from taskmaster.cli.confirm import Bulk as Guard
    from taskmaster.client import Bulk, BulkSet, Client

LOOK_S = 0.2


def change_all(
    verb: str, match: "Match", guard: "Guard", view: View, how: Mapping[str, object]
) -> int | None:
    """Change all that match, after they were counted and the person has agreed."""
    from taskmaster.cli.connect import CHANGE_PATIENCE_S, connect
    from taskmaster.client import bulk_calls

    given = {name: value for name, value in how.items() if value is not None}
    with connect(view, patience_s=CHANGE_PATIENCE_S) as client:
        count = bulk_calls.count_bulk(verb, match.fields())
        answer = client.answer(count)
        would = client.read(count, answer)
        if guard.dry_run:
            show(view, Shown(answer.body, lambda _: _would(verb, would), would.sample))
            return None
        if would.matched == 0:
            say("no task matches")
            return None
        if not confirm(f"{verb} {_many(would)}?", yes=guard.yes):
            say("nothing was changed")
            return None
        call = bulk_calls.start_bulk(
            verb,
            match.fields(),
            set_token=would.set,
            rate=match.rate,
            reason=guard.reason,
            how=given,
        )
        return follow(client, view, client.read(call, client.answer(call)))


def follow(client: "Client", view: View, bulk: "Bulk") -> int | None:
    """Look on until a bulk has ended; show what became of it."""
    from taskmaster.cli.bulk import sentence
    from taskmaster.cli.progress import counting
    from taskmaster.client import bulk_calls

    call = bulk_calls.read_bulk(bulk.id)
    try:
        with counting(bulk.action, "tasks", bulk.matched) as count:
            while True:
                answer = client.answer(call)
                now = client.read(call, answer)
                count(now.answered - bulk.answered)
                bulk = now
                if bulk.state != "running":
                    break
                time.sleep(LOOK_S)
    except KeyboardInterrupt:
        say(f"bulk {bulk.id} goes on; end it with `taskmaster bulk abort {bulk.id}`")
        raise
    show(view, Shown(answer.body, lambda _: sentence(bulk), [bulk.id]))
    whole = bulk.state == "ended" and not bulk.refused + bulk.unavailable
    return None if whole else exits.FAILED


def _many(would: "BulkSet") -> str:
    if would.matched is None:
        return f"more than {counted_in_words(sum(would.by_state.values()))}"
    return counted_in_words(would.matched)


def _would(verb: str, would: "BulkSet") -> str:
    lines = [f"{_many(would)} would be changed by {verb}"]
    for counts in (would.by_state, would.by_gate):
        lines += [f"  {count:>7}  {name}" for name, count in counts.items()]
    return "\n".join([*lines, *(f"  such as  {one}" for one in would.sample[:3])])
