"""The groups of a gate's eligible tasks, as pages are read and as memory holds them.

Rules of residence: shapes alone, shared by the log's port and by whoever asks for a page.
"""

from msgspec import Struct

from taskmaster.events.types import Group, Wall


class Split(Struct, frozen=True):
    """Which groups a gate's eligible tasks fall in, and the lane that started last in each.

    A task that was ever redriven is `redriven`. Of the others, one that waits to be tried again
    is of the `retries` where these are `retries_apart`; the rest is `backlog` when it was due
    before `fresh_since`, and else `fresh`.
    """

    fresh_since: Wall | None = None
    retries_apart: bool = False
    last: dict[Group, str] = {}

    def group(self, due_at: Wall, *, retry: bool, redriven: bool) -> Group:
        """The group of a task that waits."""
        if redriven:
            return "redriven"
        if retry and self.retries_apart:
            return "retries"
        since = self.fresh_since
        return "fresh" if since is None or due_at >= since else "backlog"


WHOLE = Split()
"""Nothing is set apart but what was redriven."""


class Missing(Struct, frozen=True):
    """What a page left in the index of one group: more of the lanes that are `cut`, and lanes
    that are not there at all."""

    cut: tuple[str, ...] = ()
    more_lanes: bool = False

    def __bool__(self) -> bool:
        """Whether anything is missing."""
        return bool(self.cut) or self.more_lanes
