"""Sweep for stray instances again and again. Run: `python -m examples.strays.submit`."""

import sys

from taskmaster.client import Client


def submit(client: Client, app: str) -> list[str]:
    """A series: each sweep asks for the next when it ends, so that two never overlap."""
    client.set_gate("strays", {"limits": {"concurrency": 1}})
    series = client.set_series(
        "sweep-strays",
        {"url": f"{app}/sweep", "gate": "strays", "every": "2s", "catch_up": "one"},
    )
    return [series.open_task] if series.open_task else []


if __name__ == "__main__":
    with Client() as own:
        print(*submit(own, sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9002"))
