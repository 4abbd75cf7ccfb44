"""Streams of submissions are cut into requests with a bound, and every line stays itself."""

import msgspec
from hypothesis import given
from hypothesis.strategies import lists, text

from taskmaster.client.batch import BYTES_MAX, Lines, Pieces
from taskmaster.client.shapes import Submission


def pieces(submissions: list[dict[str, object] | bytes]) -> list[tuple[int, int, bytes]]:
    cutter = Pieces("run")
    full = [piece for one in submissions if (piece := cutter.add(one))]
    rest = cutter.rest()
    return [(piece.first, piece.count, piece.lines) for piece in [*full, *([rest] if rest else [])]]


def test_each_submission_gets_a_key_of_its_own() -> None:
    cutter = Pieces("run")
    cutter.add(Submission("http://x/"))
    cutter.add(b'{"url":"http://y/"}')
    cutter.add({"url": "http://z/", "key": "mine"})
    piece = cutter.rest()

    assert piece is not None
    keys = [msgspec.json.decode(line)["key"] for line in piece.lines.splitlines()]
    assert keys == ["run-0", "run-1", "mine"]


def test_a_line_that_is_no_object_stays_one_line() -> None:
    assert pieces([b'{"url":\r\n', b"[1]"]) == [(0, 2, b'{"url": \n[1]\n')]


def test_a_piece_ends_before_it_grows_too_large() -> None:
    large: dict[str, object] = {"key": "k", "body": "x" * (BYTES_MAX - 100)}

    assert [(first, count) for first, count, _ in pieces([large, large, large])] == [
        (0, 1),
        (1, 1),
        (2, 1),
    ]


def test_nothing_to_submit_is_no_request() -> None:
    assert pieces([]) == []


def lines(chunks: list[bytes]) -> list[bytes]:
    cutter = Lines()
    return [line for chunk in chunks for line in cutter.take(chunk)] + cutter.rest()


@given(lists(text("ab\n", max_size=6).map(str.encode)))
def test_lines_do_not_depend_on_where_chunks_are_cut(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)

    *expected, last = whole.split(b"\n")
    assert lines(chunks) == [*expected, *([last] if last else [])]


def test_a_line_without_end_is_handed_on_in_parts() -> None:
    got = lines([b"x" * (1 << 20)] * 5)

    assert b"".join(got) == b"x" * (5 << 20)
    assert max(len(line) for line in got) <= 4 << 20
