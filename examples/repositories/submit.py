"""Provision repositories for teams. Run: `python -m examples.repositories.submit`."""

import sys

from taskmaster.client import Client


def submit(client: Client, app: str) -> list[str]:
    """One at a time: told to come back later, the whole gate waits, and no attempt is used up."""
    client.set_gate("repositories", {"limits": {"concurrency": 1}})
    tasks = [
        {
            "url": f"{app}/repositories",
            "gate": "repositories",
            "body": f'{{"name": "team-{name}"}}',
            "key": f"repository-{name}",
        }
        for name in ("a", "b", "c")
    ]
    return [item.id for item in client.submit_batch(tasks).items if item.id]


if __name__ == "__main__":
    with Client() as own:
        print(*submit(own, sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9005"))
