"""A gate's planned downtimes: the fold of their events, and when the next one matters.

Rules of residence: pure; what is decided about them is in `maintenance.py`.
"""

from msgspec.structs import replace

from taskmaster.events.types import (
    MaintenanceBegan,
    MaintenanceCancelled,
    MaintenanceEnded,
    MaintenancePlanned,
    Wall,
    Window,
)

MaintenanceEvent = MaintenancePlanned | MaintenanceCancelled | MaintenanceBegan | MaintenanceEnded


def windows_after(windows: tuple[Window, ...], event: MaintenanceEvent) -> tuple[Window, ...]:
    """The downtimes to come and the present one after one event, in the order of their starts."""
    match event:
        case MaintenancePlanned(window=window):
            return tuple(sorted((*windows, window), key=_start))
        case MaintenanceBegan(number=number):
            return tuple(replace(w, begun=True) if w.number == number else w for w in windows)
        case MaintenanceCancelled(number=number) | MaintenanceEnded(number=number):
            return tuple(window for window in windows if window.number != number)


def _start(window: Window) -> Wall:
    return window.start_at


def begins_at(window: Window) -> Wall:
    """When starts end for it: its start, less the time that is left to what is in flight."""
    return Wall(window.start_at - window.drain_ns)


def next_window_at(windows: tuple[Window, ...]) -> Wall | None:
    """When a downtime begins or ends next."""
    return min((w.until if w.begun else begins_at(w) for w in windows), default=None)


def next_change_at(paused_until: Wall | None, windows: tuple[Window, ...]) -> Wall | None:
    """When a gate pauses or goes on next by the wall clock alone."""
    return sooner(paused_until, next_window_at(windows))


def sooner(one: Wall | None, other: Wall | None) -> Wall | None:
    """The earlier of two instants, either of which there may be none of."""
    return min((at for at in (one, other) if at is not None), default=None)
