"""What a picture of a gate asks for."""

from hypothesis import given
from hypothesis.strategies import integers

from taskmaster.cli.gate_picture import points, reach


@given(integers(20, 400), integers(30, 3 * 3_600), integers(1_790_000_000, 1_790_010_000))
def test_a_picture_has_room_for_the_newest_step(width: int, span_s: int, now: int) -> None:
    """Wherever in a step it is asked: the server begins where one begins."""
    back_s, step_s = reach(span_s, points(width))

    begin = now - back_s
    steps = len(range(begin - begin % step_s, now, step_s))

    assert points(width) - 1 <= steps <= points(width)
