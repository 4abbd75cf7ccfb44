"""Tables and pairs read the same in a pipe and on a terminal."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis.strategies import integers, lists, text, tuples

from taskmaster.cli.paint import Column, Paint, cell_width, pairs, printable, table

Row = tuple[str, str]
COLUMNS = (
    Column[Row]("NAME", lambda row, _: row[0]),
    Column[Row]("STATE", lambda row, _: row[1]),
)
PLAIN = Paint()


def test_columns_are_aligned_under_their_titles() -> None:
    assert table(PLAIN, COLUMNS, [("a", "open"), ("longer", "dead")]).splitlines() == [
        "NAME    STATE",
        "a       open",
        "longer  dead",
    ]


def test_no_rows_is_the_titles_alone() -> None:
    assert table(PLAIN, COLUMNS, []) == "NAME  STATE"


def test_a_state_has_a_colour_only_where_it_is_wanted() -> None:
    shown = table(Paint(colour=True), COLUMNS, [("dead", "dead")])

    assert shown.splitlines() == ["NAME  STATE", "dead  \x1b[31mdead\x1b[0m"]


def test_what_would_steer_a_terminal_is_shown_as_text() -> None:
    assert printable("a\x1b[2Jb\nc\u202e") == "a\\x1b[2Jb c\\u202e"


def test_wide_characters_take_two_columns() -> None:
    assert table(PLAIN, COLUMNS, [("門", "open")]).splitlines()[1] == "門    open"


def test_what_does_not_fit_is_cut_in_every_row_alike() -> None:
    rows = [("short", "open"), ("longer than that", "open")]

    assert table(Paint(width=10), COLUMNS, rows).splitlines() == ["NAME", "short", "longer th…"]


@given(lists(tuples(text(max_size=8), text(max_size=8)), max_size=4), integers(1, 30))
def test_no_line_is_wider_than_it_may_be(rows: list[Row], width: int) -> None:
    shown = table(Paint(width=width), COLUMNS, rows)

    assert max(map(cell_width, shown.split("\n"))) <= width


def test_pairs_leave_out_what_is_empty() -> None:
    assert pairs(PLAIN, [("task", "t"), ("reason", ""), ("state", "dead")]) == (
        "task   t\nstate  dead"
    )


def test_an_instant_is_in_utc_unless_local_time_is_wanted() -> None:
    at = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)

    assert PLAIN.instant(at) == "2026-11-24T09:00:00Z"
    assert PLAIN.instant(at, exact=True) == "2026-11-24T09:00:00.123Z"
    assert datetime.fromisoformat(Paint(local=True).instant(at)) == at.replace(microsecond=0)
    assert PLAIN.instant(None) == "-"
