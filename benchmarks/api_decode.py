"""What the API spends on one task of a batch: JSON to the model's wish, and the answer.

    .venv/bin/python -m benchmarks.api_decode

Prints microseconds a task, beside what msgspec's typed decoding alone takes (the baseline).
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec

from taskmaster.api.answers import BatchItem
from taskmaster.api.batch import CHUNK, decide
from taskmaster.api.bodies import TaskIn
from taskmaster.api.reading import BodyReader
from taskmaster.delivery.addresses import EgressRules
from taskmaster.delivery.egress import Egress

TASKS = 10_000
ROUNDS = 5
SMALL = {"url": "http://127.0.0.1:9000/hook", "gate": "bench", "delay": "1h"}
FULL = {
    "url": "https://api.example.com/v1/hooks/provision?tenant=42",
    "method": "POST",
    "headers": {"Content-Type": "application/json", "X-Tenant": "42"},
    "body": '{"account": "a-1234", "plan": "small"}',
    "due_at": "2026-11-24T09:00:00.123456Z",
    "timeout": "10s",
    "retry": {"max_attempts": 8, "min_backoff": "2s", "max_backoff": "5m"},
    "priority": 5,
    "key": "order-1234567",
    "labels": {"team": "billing", "env": "prod"},
}


def best(work: Callable[[], object]) -> float:
    """The quickest of some rounds, in microseconds a task."""
    times: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) / TASKS * 1e6


def main() -> None:
    """Print the table."""
    for name, task in (("small", SMALL), ("full", FULL)):
        print(measured(name, msgspec.json.encode([task] * TASKS)))


def measured(name: str, body: bytes) -> str:
    """One line of the table."""
    egress = Egress(EgressRules(loopback=True))
    api: Any = SimpleNamespace(egress=egress, opened={"https~api.example.com~443"})
    typed = msgspec.json.Decoder(list[TaskIn])
    raw = msgspec.json.Decoder(list[msgspec.Raw])
    reader = BodyReader(TaskIn)
    raws = raw.decode(body)
    task_id = "01a20cf6-d920-761b-84f5-b7115461876a"

    def chunks() -> None:
        for first in range(0, TASKS, CHUNK):
            decide(api, map(reader.decode, raws[first : first + CHUNK]), first)

    def answer() -> None:
        msgspec.json.encode([BatchItem(i, 201, task_id, "bench") for i in range(TASKS)])

    baseline, split = best(lambda: typed.decode(body)), best(lambda: raw.decode(body))
    decided, answered = best(chunks), best(answer)
    total = split + decided + answered
    return (
        f"{name:6} {len(body) // TASKS:4} B  typed decode {baseline:5.2f}  split {split:5.2f}"
        f"  decide {decided:5.2f}  answer {answered:5.2f}  total {total:5.2f} us a task"
        f"  ({total / baseline:.1f}x the baseline)"
    )


if __name__ == "__main__":
    main()
