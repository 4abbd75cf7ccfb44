"""Curves and bands of characters."""

from hypothesis import given
from hypothesis.strategies import floats, integers, lists, none

from taskmaster.cli.paint import Paint
from taskmaster.cli.plot import Curve, band, duration, marks, number, plot

PLAIN = Paint()


def test_a_rising_curve_climbs_from_the_bottom_to_the_top() -> None:
    lines = plot(PLAIN, [Curve("up", [0, 1, 2, 3, 4, 5, 6, 8], "blue")], 14, 2, number)

    assert lines == ["        up 8  ", "      8┤  ⣀⠜  ", "      0┤⡠⠊    "]


def test_a_gap_is_a_gap() -> None:
    values = [5.0, 5.0, None, None, 5.0, 5.0]

    lines = plot(PLAIN, [Curve("x", values, "blue")], 11, 1, number)

    assert [cell == " " for cell in lines[1][8:]] == [False, True, False]


def test_a_burst_leaves_the_others_on_their_scale() -> None:
    burst = Curve("submitted", [10_000.0] * 4, "grey", whole=False)

    lines = plot(PLAIN, [Curve("started", [5.0] * 4, "green"), burst], 40, 4, number)

    assert lines[1].strip().startswith("5┤")


@given(
    lists(none() | floats(0, 1e12), max_size=200),
    integers(20, 200),
    integers(1, 30),
)
def test_a_plot_has_the_size_that_was_asked_for(
    values: list[float | None], width: int, height: int
) -> None:
    lines = plot(PLAIN, [Curve("one", values, "blue")], width, height, number)

    assert [len(line) for line in lines] == [width] * (height + 1)


def test_colour_changes_no_place() -> None:
    values: list[float | None] = [0, 4, 2, None, 9, 1]
    curves = [Curve("a", values, "blue"), Curve("b", values[::-1], "red")]

    coloured = plot(Paint(colour=True), curves, 40, 3, number)

    assert any("\x1b[34m" in line for line in coloured)
    plain = [line.replace("\x1b[0m", "") for line in coloured]
    for code in ("34", "31"):
        plain = [line.replace(f"\x1b[{code}m", "") for line in plain]
    assert plain == plot(PLAIN, curves, 40, 3, number)


def test_the_band_shows_what_is_not_open_and_where_nothing_is_known() -> None:
    states = [None, None, "open", "open", "open", "tripped", "ramping", "ramping", "paused", None]

    assert band(PLAIN, states, 13) == "  state  ─T/="


def test_marks_do_not_cover_each_other() -> None:
    assert marks(PLAIN, [(0.0, "T"), (0.01, "?"), (0.5, "25"), (1.0, "100")], 18) == (
        " " * 8 + "T    25100"
    )


def test_numbers_and_durations_fit_an_axis() -> None:
    assert [number(n) for n in (0, 0.25, 7, 1_234, 12_345, 3_000_000)] == [
        "0", "0.25", "7", "1234", "12.35k", "3M",
    ]  # fmt: skip
    assert [duration(s) for s in (0.0042, 1.5, 90, 1_200)] == ["4.2ms", "1.5s", "90s", "20m"]
