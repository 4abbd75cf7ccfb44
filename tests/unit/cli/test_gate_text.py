"""What `gate show` says of a gate's planned downtimes."""

import msgspec

from taskmaster.cli.columns import gate_text
from taskmaster.cli.paint import Paint
from taskmaster.client import Gate


def shown(*windows: dict[str, object]) -> str:
    document = {"gate": "billing", "state": "paused", "maintenance": windows}
    gate = msgspec.json.decode(msgspec.json.encode(document), type=Gate)
    return gate_text(gate, Paint())


def window(number: int, state: str = "planned") -> dict[str, object]:
    day = f"2026-12-{number:02}"
    ends = {"from": f"{day}T02:00:00Z", "until": f"{day}T03:00:00Z"}
    return {"number": number, "state": state, **ends, "author": "ada", "reason": f"disk {number}"}


def test_a_gate_names_its_next_downtimes_with_who_and_why() -> None:
    text = shown(*(window(number) for number in (4, 2, 3, 5)), window(1, "under_way"))

    (line,) = [line for line in text.splitlines() if line.startswith("downtimes")]
    present, second, third, rest = line.split("; ")
    assert "under way until 2026-12-01" in present
    assert present.endswith("by ada: disk 1")
    assert "from 2026-12-02" in second
    assert third.endswith("disk 3")
    assert rest == "2 more"


def test_a_gate_without_downtimes_says_nothing_of_them() -> None:
    assert "downtime" not in shown()
