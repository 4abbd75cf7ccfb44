"""The groups of a gate's eligible tasks, as pages are read and as memory holds them.

Rules of residence: shapes alone, shared by the log's port and by whoever asks for a page.
"""

from msgspec import Struct

from taskmaster.events.types import Group, Wall


class Split(Struct, frozen=True):
    """Which groups a gate's eligible tasks fall in, and the lane that started last in each.

    A task that was ever redriven is `redriven`. Of the others, one that was due before
    `fresh_since` is `backlog`, and else `fresh`.
    """

    fresh_since: Wall | None = None
    last: dict[Group, str] = {}

    def group(self, due_at: Wall, *, redriven: bool) -> Group:
        """The group of a task that waits."""
        if redriven:
            return "redriven"
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
