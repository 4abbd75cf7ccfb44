"""Hibernate idle applications, a few a second. Run: `python -m examples.hibernation.submit`."""

import sys

from taskmaster.client import Client


def submit(client: Client, app: str) -> list[str]:
    """One task for each idle application, an hour after its last use (here: a second)."""
    client.set_gate("hibernation", {"limits": {"rate": 5, "concurrency": 2}})
    tasks = [
        {
            "url": f"{app}/hibernate",
            "gate": "hibernation",
            "delay": "1s",
            "body": f'{{"app": "{name}"}}',
            "key": f"hibernate-{name}",
            "labels": {"app": name},
        }
        for name in ("shop", "wiki", "forum", "blog")
    ]
    return [item.id for item in client.submit_batch(tasks).items if item.id]


if __name__ == "__main__":
    with Client() as own:
        print(*submit(own, sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9001"))
