"""Hibernate idle applications, a few a second. Run: `python -m examples.hibernation.submit`."""

import sys

from taskmaster.client import Client

IDLE = "1s"
"""In earnest an hour or a day: how long nobody used an application before it is put to sleep."""


def submit(client: Client, app: str, idle: str = IDLE) -> list[str]:
    """One task for each application, due when it will have been idle long enough."""
    client.set_gate("hibernation", {"limits": {"rate": 5, "concurrency": 2}})
    tasks = [
        {
            "url": f"{app}/hibernate",
            "gate": "hibernation",
            "delay": idle,
            "body": f'{{"app": "{name}"}}',
            "key": f"hibernate-{name}",
            "labels": {"app": name},
        }
        for name in ("shop", "wiki", "forum", "blog")
    ]
    return [item.id for item in client.submit_batch(tasks).items if item.id]


def used(client: Client, task: str) -> None:
    """Somebody used the application: its time begins anew."""
    client.reschedule(task, delay="1h", reason="used")


if __name__ == "__main__":
    with Client() as own:
        print(*submit(own, sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9001"))
