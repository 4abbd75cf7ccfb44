"""The server's log: JSON lines, one fact each."""

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from taskmaster.api.logs import set_up_logs


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


def test_a_line_is_json_where_nobody_looks() -> None:
    place = io.StringIO()
    set_up_logs("info", "auto", place=place)

    structlog.get_logger().warning("gate_tripped", gate="g", failures=5, error=ValueError("x"))
    structlog.get_logger().debug("request_served")

    [line] = place.getvalue().splitlines()
    fields = json.loads(line)
    assert fields.pop("ts").endswith("Z")
    assert fields == {
        "event": "gate_tripped",
        "level": "warning",
        "gate": "g",
        "failures": 5,
        "error": "ValueError('x')",
    }


def test_a_crash_is_one_line_with_its_trace() -> None:
    place = io.StringIO()
    set_up_logs("info", "json", place=place)

    try:
        raise RuntimeError("broken")
    except RuntimeError as error:
        structlog.get_logger().error("request_crashed", exc_info=error)

    [line] = place.getvalue().splitlines()
    assert "RuntimeError: broken" in json.loads(line)["exception"]


def test_people_read_lines_of_their_own() -> None:
    place = io.StringIO()
    set_up_logs("debug", "console", place=place)

    structlog.get_logger().debug("request_served", status=200)

    assert "request_served" in place.getvalue()
    assert "status=200" in place.getvalue()
