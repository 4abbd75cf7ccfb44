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

BARS = " ▁▂▃▄▅▆▇█"
SECONDS_SHOWN = 56
EVENTS_SHOWN = 7


class Tick(Struct, frozen=True):
    """One look, about half a second after the one before."""

    at_s: float
    backlog: int
    done: int
    arrivals_per_s: float
    in_flight: int
    gate: str
    naive_done: int
    naive_crashes: int
    naive_in_flight: int
    server_up: bool
    application_up: bool


class Screen:
    """A live screen, or a line for each event where nobody watches."""

    def __init__(self, console: Console, *, limit_per_s: int, total: int) -> None:
        """Show `total` tasks against a limit."""
        self.console = console
        self._limit = limit_per_s
        self._total = total
        self._ticks: deque[Tick] = deque(maxlen=SECONDS_SHOWN)
        self._events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> "Screen":
        """Take the terminal."""
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Give the terminal back."""
        if self.console.is_terminal:
            self._live.stop()

    def say(self, at_s: float, text: str) -> None:
        """An event of the story."""
        line = f"{at_s:5.1f} s  {text}"
        self._events.append(line)
        if self.console.is_terminal:
            self._draw()
        else:
            self.console.print(line, highlight=False, soft_wrap=True)

    def tick(self, tick: Tick) -> None:
        """Fresh figures."""
        self._ticks.append(tick)
        if self.console.is_terminal:
            self._draw()

    def _draw(self) -> None:
        self._live.update(self.picture())

    def picture(self) -> Group:
        """The whole screen."""
        return Group(self._plots(), Panel("\n".join(self._events), title="what happens"))

    def _plots(self) -> Table:
        table = Table(title="TaskMaster: an outage and its recovery", expand=True)
        table.add_column("with the gate", ratio=3)
        table.add_column("gate off: retry every second", ratio=2)
        if not self._ticks:
            return table
        now = self._ticks[-1]
        ticks = list(self._ticks)
        left = Text()
        left.append(f"gate {now.gate:<9}", style="bold cyan")
        left.append("server up   " if now.server_up else "server DOWN ", style=_mood(now.server_up))
        left.append(
            "application up\n" if now.application_up else "application DOWN\n",
            style=_mood(now.application_up),
        )
        left.append(f"backlog    {now.backlog:>6}  {_bars([t.backlog for t in ticks])}\n")
        rates = [t.arrivals_per_s for t in ticks]
        left.append(f"sent/s     {now.arrivals_per_s:>6.0f}  {_bars(rates, self._limit)}")
        left.append(f"  limit {self._limit}\n", style="dim")
        left.append(f"in flight  {now.in_flight:>6}  {_bars([t.in_flight for t in ticks])}\n")
        left.append(f"done       {now.done:>6} of {self._total}", style="green")
        right = Text()
        right.append(f"crashes    {now.naive_crashes:>6}\n", style="red")
        right.append(f"in flight  {now.naive_in_flight:>6}  ")
        right.append(_bars([t.naive_in_flight for t in ticks][-24:]) + "\n")
        right.append(f"done       {now.naive_done:>6} of {self._total}")
        table.add_row(left, right)
        return table


def _mood(good: bool) -> str:
    return "green" if good else "bold red"


def _bars(numbers: list[int] | list[float], top: float = 0) -> str:
    highest = max([top, *numbers, 1])
    return "".join(BARS[min(8, round(8 * number / highest))] for number in numbers)
