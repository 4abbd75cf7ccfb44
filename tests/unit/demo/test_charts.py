"""Bars of text."""

from taskmaster.demo.charts import Column, chart, squeezed


def columns(*values: float) -> list[Column]:
    return [Column(value, "green") for value in values]


def test_the_highest_bar_fills_the_height() -> None:
    drawn = chart(columns(0, 2, 4), width=3, height=2)

    assert drawn.plain == "  █\n ██"


def test_a_bar_at_the_line_stays_below_it_and_one_above_it_is_red() -> None:
    drawn = chart(columns(10, 13), width=4, height=2, line=10)

    assert drawn.plain == "▁▂▁▁\n██"
    assert "red" in {str(span.style) for span in drawn.spans}


def test_no_bar_is_red_that_keeps_to_the_line() -> None:
    drawn = chart(columns(10, 9), width=2, height=3, line=10)

    assert "red" not in {str(span.style) for span in drawn.spans}


def test_what_does_not_fit_is_squeezed_and_keeps_its_peaks() -> None:
    shown = squeezed(columns(1, 9, 1, 1, 1, 7), width=3)

    assert [one.value for one in shown] == [9, 1, 7]
