"""What does not fit is explained by field and remedy, whatever it is."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import (
    binary,
    booleans,
    dictionaries,
    floats,
    integers,
    lists,
    none,
    one_of,
    recursive,
    sampled_from,
    text,
)

from taskmaster.api.batch import Lines
from taskmaster.api.bodies import GateIn, SeriesIn, TaskIn
from taskmaster.api.problems import Problem, pointer_of
from taskmaster.api.reading import BodyReader

TASK, GATE, SERIES = BodyReader(TaskIn), BodyReader(GateIn), BodyReader(SeriesIn)


@pytest.mark.parametrize(
    ("body", "pointer", "message", "remedy"),
    [
        (
            b"{}",
            "/url",
            "url is missing",
            "give the endpoint, such as https://example.com/hook",
        ),
        (b'{"url":"x","dely":1}', "/dely", "there is no field 'dely'", "did you mean delay"),
        (
            b'{"url":"x","retry":{"jiter":"full"}}',
            "/retry/jiter",
            "there is no field 'retry.jiter'",
            "did you mean jitter",
        ),
        (
            b'{"url":"x","priority":"9"}',
            "/priority",
            "priority must be a whole number (it is text)",
            "give 0 to 9; higher goes first",
        ),
        (
            b'{"url":"x","headers":{"a":1}}',
            "/headers",
            "a value of headers must be text (it is a whole number)",
            "give an object of header names and values",
        ),
        (
            b'{"url":"x","retry":{"retry_on":[404,"a"]}}',
            "/retry/retry_on/1",
            "retry.retry_on[1] must be a whole number (it is text)",
            "give statuses from 400 to 499 that are tried again",
        ),
        (
            b'{"url":"x","retry":{"jitter":"half"}}',
            "/retry/jitter",
            "retry.jitter cannot be 'half'",
            "give full or none",
        ),
    ],
)
def test_a_misfit_is_named_with_its_remedy(
    body: bytes, pointer: str, message: str, remedy: str
) -> None:
    found = TASK.decode(body)

    assert isinstance(found, Problem)
    assert found.status == 422
    [error] = found.errors
    assert (error.pointer, error.message, error.remedy) == (pointer, message, remedy)


def test_a_misfit_deep_inside_knows_its_own_fields() -> None:
    found = GATE.decode(b'{"limits":{"rates":[{"rate":1},{"rat":1}]}}')

    assert isinstance(found, Problem)
    assert found.errors[0].pointer == "/limits/rates/1/rat"
    assert found.errors[0].remedy == "did you mean rate"


JSON = recursive(
    one_of(none(), booleans(), integers(), floats(allow_nan=False, allow_infinity=False), text()),
    lambda inner: one_of(lists(inner), dictionaries(text(), inner)),
    max_leaves=8,
)
NAMES = ("url", "retry", "headers", "delay", "labels", "limits", "recovery", "rates", "every")


@given(dictionaries(one_of(text(), sampled_from(NAMES)), JSON))
def test_any_object_is_taken_or_explained(body: dict[str, Any]) -> None:
    content = msgspec.json.encode(body)

    for reader in (TASK, GATE, SERIES):
        found = reader.decode(content)
        if isinstance(found, Problem):
            assert found.status in (400, 422)
            assert all(error.message and error.remedy for error in found.errors)


@given(binary(max_size=200))
def test_any_bytes_are_taken_or_explained(content: bytes) -> None:
    found = TASK.decode(content)

    assert isinstance(found, Problem | TaskIn)


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ("limits.rates[0].rate", "/limits/rates/0/rate"),
        ("labels.a.b/c~d", "/labels/a.b~1c~0d"),
        ("headers.X-A[0]", "/headers/X-A[0]"),
        ("url", "/url"),
    ],
)
def test_a_field_becomes_a_json_pointer(field: str, pointer: str) -> None:
    assert pointer_of(field) == pointer


# --- lines ------------------------------------------------------------------------------------


def cut(chunks: list[bytes], limit: int = 10) -> list[bytes | None]:
    lines = Lines(limit)
    found = [line for chunk in chunks for line in lines.cut(chunk)]
    found += lines.end()
    return [None if line is None else bytes(line) for line in found]


def test_lines_are_cut_wherever_chunks_end() -> None:
    assert cut([b"a\nb", b"c\n\n", b" \nd"]) == [b"a", b"bc", b"d"]


def test_a_line_that_is_too_long_leaves_its_place_and_no_more() -> None:
    assert cut([b"a\n" + b"x" * 11 + b"\nb\n"]) == [b"a", None, b"b"]
    assert cut([b"x" * 6, b"x" * 6, b"x" * 6, b"\nb"]) == [None, b"b"]
    assert cut([b"x" * 30]) == [None]


@given(lists(binary(max_size=8)), lists(integers(0, 30)))
def test_lines_do_not_depend_on_chunks(lines: list[bytes], cuts: list[int]) -> None:
    content = b"\n".join(line.replace(b"\n", b"") for line in lines)
    edges = [0, *sorted(cuts), len(content)]
    chunks = [content[a:b] for a, b in pairwise(edges)]

    assert cut(chunks) == cut([content])
