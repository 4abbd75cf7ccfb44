"""What people write on a command line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskmaster.cli import values
from taskmaster.cli.exits import UsageError
from taskmaster.cli.gate_set import LimitFlags, RecoveryFlags
from taskmaster.cli.names import asked


@pytest.mark.parametrize(("text", "expected"), [("15m", 900.0), ("PT15M", 900.0), ("250ms", 0.25)])
def test_a_duration_is_read_in_all_its_forms(text: str, expected: float) -> None:
    assert values.seconds(text, flag="--interval") == expected


@pytest.mark.parametrize("text", ["soon", "-1s", ""])
def test_what_is_no_duration_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(UsageError, match="--interval is no duration"):
        values.seconds(text, flag="--interval")


def test_a_duration_as_an_instant_is_that_far_from_now() -> None:
    found = values.instant("2h")

    assert found is not None
    ahead = datetime.fromisoformat(found) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < ahead <= timedelta(hours=2)


def test_an_instant_stays_as_it_is_for_the_server_to_judge() -> None:
    assert values.instant("2026-11-24T09:00:00Z") == "2026-11-24T09:00:00Z"
    assert values.instant("tomorrow") == "tomorrow"
    assert values.instant(None) is None


def test_headers_and_labels_are_split_at_the_first_sign() -> None:
    assert values.headers(["A: b:c", "D:"]) == {"A": "b:c", "D": ""}
    assert values.labels(["a=b=c"]) == {"a": "b=c"}
    assert values.labels([]) is None


@pytest.mark.parametrize("text", ["no sign", ": value"])
def test_a_header_without_name_or_sign_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        values.headers([text])


def test_a_body_is_text_a_file_or_bytes_in_base64(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes("é".encode())
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\x00")

    assert values.body(None) == {}
    assert values.body("{}") == {"body": "{}"}
    assert values.body("") == {"body": ""}
    assert values.body(f"@{file}") == {"body": "é"}
    assert values.body(f"@{binary}") == {"body_base64": "/wA="}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        values.body(f"@{tmp_path / 'nothing'}")


def test_settings_come_from_json_and_yaml(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("limits:\n  rate: 10\n")
    assert values.fields_of(str(file)) == {"limits": {"rate": 10}}
    file.write_text('{"limits": {"rate": 10}}')
    assert values.fields_of(str(file)) == {"limits": {"rate": 10}}


@pytest.mark.parametrize("text", ["- a", "a: [", "", "\x00"])
def test_a_file_without_an_object_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(text)

    with pytest.raises(UsageError) as caught:
        values.fields_of(str(file))

    assert "\n" not in str(caught.value)


def test_limits_are_said_as_people_say_them() -> None:
    flags = LimitFlags(rate="10/s", burst=2, rates=("1000/1h:50", "0.5/m"))

    assert flags.fields() == {
        "limits": {
            "rate": 10.0,
            "burst": 2,
            "rates": [{"rate": 1000.0, "per": "1h", "burst": 50}, {"rate": 0.5, "per": "1m"}],
        }
    }


def test_ramp_steps_are_percents_or_off() -> None:
    assert RecoveryFlags(ramp_steps="5,100").fields() == {"ramp_steps": [5, 100]}
    assert RecoveryFlags(ramp_steps="off").fields() == {"ramp_steps": "off"}
    with pytest.raises(UsageError):
        RecoveryFlags(ramp_steps="slow").fields()


@pytest.mark.parametrize("text", ["ten", "10/", "/s", "10 per s", "1/s:x"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        LimitFlags(rates=(text,)).fields()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gate show htt", ("gates", "htt")),
        ("gate pause a ", ("gates", "")),
        ("gate sh", ("", "")),
        ("series next s", ("series", "s")),
        ("task list --gate ", ("gates", "")),
        ("task list --gate=ab", ("gates", "ab")),
        ("task submit http://x -g ab", ("gates", "ab")),
        ("task show ab", ("", "")),
        ("gate show --out", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_line_says_which_names_it_asks_for(line: str, expected: tuple[str, str]) -> None:
    assert asked(line.split(" ")) == expected
