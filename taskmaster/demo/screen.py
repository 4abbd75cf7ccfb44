"""What the demonstration shows while it runs: a live screen on a terminal, lines elsewhere.

Rules of residence: draws what it is told; measures nothing.
"""

from collections import deque

from msgspec import Struct
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from taskmaster.demo.application import CRASHES_AT, Counts
from taskmaster.demo.charts import Column, chart
from taskmaster.demo.measured import Limits

TICKS_MAX = 2_000
EVENTS_SHOWN = 5
"""With them the picture is 24 lines high."""
LINE_EVERY_S = 2.0
STYLES = {"open": "green", "ramping": "yellow", "probing": "magenta", "tripped": "red"}


class Tick(Struct, frozen=True):
    """One look. `gate` is empty while the server does not answer."""

    at_s: float
    gate: str
    ramp_percent: int | None
    acknowledged: int
    backlog: int
    behind: Counts
    without: Counts


class Screen:
    """A live screen, or lines where nobody watches."""

    def __init__(self, console: Console, limits: Limits, *, tasks: int) -> None:
        """Show how `tasks` tasks pass a gate of these limits."""
        self.console = console
        self._limits, self._tasks = limits, tasks
        self._ticks: deque[Tick] = deque(maxlen=TICKS_MAX)
        self._events: list[str] = []
        self._live = Live(console=console, refresh_per_second=8, screen=False)
        self._line_at_s = 0.0

    def __enter__(self) -> "Screen":
        """Take the terminal."""
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Give the terminal back, the last picture on it."""
        if self.console.is_terminal:
            self._live.stop()

    def say(self, at_s: float, text: str) -> None:
        """An event of the story."""
        line = f"{at_s:5.1f} s  {text}"
        self._events.append(line)
        if not self.console.is_terminal:
            self.console.print(line, highlight=False, soft_wrap=True)

    def tick(self, tick: Tick) -> None:
        """Fresh figures."""
        self._ticks.append(tick)
        if self.console.is_terminal:
            self._live.update(self.picture(self.console.width))
        elif tick.at_s >= self._line_at_s:
            self._line_at_s = tick.at_s + LINE_EVERY_S
            self.console.print(_line(tick), highlight=False, soft_wrap=True, style="bright_black")

    def picture(self, width: int, *, events: int = EVENTS_SHOWN) -> Group:
        """The whole screen, from the beginning of the story to now."""
        said = _panel(Text("\n".join(self._events[-events:])), "what happens")
        if not self._ticks:
            return Group(said)
        arms = Table.grid(expand=True)
        left = round(width * 0.58)
        arms.add_column(width=left)
        arms.add_column(width=width - left)
        arms.add_row(self._behind(left - 4), self._without(width - left - 4))
        return Group(arms, said)

    def _behind(self, width: int) -> Panel:
        now, limits = self._ticks[-1], self._limits
        colours = [STYLES.get(tick.gate, "bright_black") for tick in self._ticks]
        shown = Text()
        shown.append("server ").append(*_mood("up" if now.gate else "DOWN", good=bool(now.gate)))
        up = now.behind.is_up
        shown.append("  app ").append(*_mood("up" if up else "DOWN", good=up))
        shown.append("  gate ").append(f"{_mode(now)}\n", f"bold {colours[-1]}")
        most = limits.per_s + limits.burst
        arrived = [tick.behind.arrived_in_last_second for tick in self._ticks]
        shown.append(f"arrived in the last second {arrived[-1]}, limit {most}\n", "bold")
        shown.append(_bars(arrived, colours, width, 5, line=most)).append("\n")
        shown.append(f"in flight {now.behind.in_flight}, limit {limits.concurrency}\n", "bold")
        flights = [tick.behind.lately_in_flight for tick in self._ticks]
        shown.append(_bars(flights, colours, width, 3, line=limits.concurrency)).append("\n")
        shown.append(f"backlog {now.backlog:,}\n", "bold")
        shown.append(_bars([tick.backlog for tick in self._ticks], colours, width, 2)).append("\n")
        shown.append(f"acknowledged {now.acknowledged:,}, done {now.behind.done:,}", "bold")
        shown.append(f", crashes {now.behind.crashes}", "bold")
        return _panel(shown, "with the gate")

    def _without(self, width: int) -> Panel:
        now = self._ticks[-1]
        colours = ["cyan" if tick.without.is_up else "red" for tick in self._ticks]
        up = now.without.is_up
        shown = Text("app ").append(*_mood("up\n" if up else "DOWN\n", good=up))
        arrived = [tick.without.arrived_in_last_second for tick in self._ticks]
        shown.append(f"arrived in the last second {arrived[-1]}\n", "bold")
        shown.append(_bars(arrived, colours, width, 5, top=self._limits.per_s)).append("\n")
        flights = [tick.without.lately_in_flight for tick in self._ticks]
        shown.append(f"in flight {now.without.in_flight}, crashes at {CRASHES_AT}\n", "bold")
        shown.append(_bars(flights, colours, width, 3, line=CRASHES_AT)).append("\n")
        left = [self._tasks - tick.without.done for tick in self._ticks]
        shown.append(f"not done {left[-1]:,}\n", "bold")
        shown.append(_bars(left, colours, width, 2)).append("\n")
        shown.append(f"done {now.without.done:,}, crashes {now.without.crashes}", "bold")
        return _panel(shown, "gate off: again every 3 s")


def _panel(shown: Text, title: str) -> Panel:
    shown.no_wrap, shown.overflow = True, "ellipsis"
    return Panel(shown, title=title, title_align="left")


def _mode(tick: Tick) -> str:
    if not tick.gate:
        return "?"
    return f"{tick.gate} {tick.ramp_percent} %" if tick.ramp_percent else tick.gate


def _line(tick: Tick) -> str:
    behind, without = tick.behind, tick.without
    return (
        f"{tick.at_s:5.1f} s  | gate {_mode(tick)}, backlog {tick.backlog:,},"
        f" {behind.arrived_in_last_second} in the last second, in flight {behind.in_flight},"
        f" done {behind.done:,} of {tick.acknowledged:,}"
        f" | gate off: in flight {without.in_flight}, done {without.done:,},"
        f" crashes {without.crashes}"
    )


def _mood(word: str, *, good: bool) -> tuple[str, str]:
    return word, "bold green" if good else "bold red"


def _bars(
    values: list[int],
    colours: list[str],
    width: int,
    height: int,
    *,
    line: float = 0.0,
    top: float = 1.0,
) -> Text:
    columns = [Column(value, colour) for value, colour in zip(values, colours, strict=True)]
    return chart(columns, width=width, height=height, line=line, top=top)
