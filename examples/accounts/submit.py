"""Provision accounts for a class. Run: `python -m examples.accounts.submit`."""

import sys

from taskmaster.client import Client


def submit(client: Client, app: str) -> list[str]:
    """Two rates at once: 20 a second, and no more than 1,000 an hour; urgent ones first."""
    hourly = {"rate": 1000, "per": "1h", "burst": 200}
    limits = {"rate": 20, "burst": 5, "concurrency": 4, "rates": [hourly]}
    client.set_gate("accounts", {"limits": limits})
    tasks = [
        {
            "url": f"{app}/accounts",
            "gate": "accounts",
            "body": f'{{"user": "student-{number}"}}',
            "key": f"account-student-{number}",
            "priority": 9 if number == 0 else 0,
        }
        for number in range(30)
    ]
    return [item.id for item in client.submit_batch(tasks).items if item.id]


if __name__ == "__main__":
    with Client() as own:
        print(*submit(own, sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9004"))
