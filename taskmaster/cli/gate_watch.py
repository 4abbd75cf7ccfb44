"""`gate show --watch`: one gate drawn again and again.

Rules of residence: asks for what `gate_picture.py` draws. Without a terminal one picture is
written, for no later one could be told from it.
"""

import shutil
import sys

from taskmaster.cli.connect import connect
from taskmaster.cli.exits import UsageError
from taskmaster.cli.gate_picture import picture, points, reach
from taskmaster.cli.paint import Paint
from taskmaster.cli.values import seconds
from taskmaster.cli.view import Shown, View, show
from taskmaster.cli.watch import Watch, look
from taskmaster.client import calls, seen_calls

SIZE = (80, 24)
"""Of a picture that is drawn for no terminal."""
SHORTEST_S = 30
LONGEST_S = 3 * 3_600


def watch_gate(name: str, span: str, watch: Watch, view: View) -> None:
    """Draw a gate over the last `span`."""
    span_s = seconds(span, flag="--span")
    if not SHORTEST_S <= span_s <= LONGEST_S:
        raise UsageError(f"--span must be {SHORTEST_S} s to 3 h ({span})", remedy="use 10m")
    with connect(view) as client:

        def shown() -> Shown:
            width, height = shutil.get_terminal_size(SIZE)
            back_s, step_s = reach(span_s, points(width))
            answer = client.answer(calls.read_gate(name))
            gate = client.read(calls.read_gate(name), answer)
            history = client.send(
                seen_calls.gate_history(name, since=f"{back_s}s", step=f"{step_s}s")
            )
            forecast = client.send(seen_calls.gate_forecast(name))

            def text(paint: Paint) -> str:
                return picture(gate, history, forecast, paint, width=width, height=height)

            return Shown(answer.body, text, [name])

        if sys.stdout.isatty():
            look(view, watch, shown)
        else:
            show(view, shown())
