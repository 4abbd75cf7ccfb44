"""Undeploy, then deploy, in each environment. Run: `python -m examples.deploys.submit`."""

import sys

from taskmaster.client import Client


def submit(client: Client, app: str) -> list[str]:
    """Tasks of one `order_key` start in the order of submission, each when the one before is
    final; those of different keys do not wait for each other."""
    client.set_gate("deploys", {"limits": {"concurrency": 4}})
    tasks: list[str] = []
    for environment in ("staging", "production"):
        for verb in ("undeploy", "deploy"):
            submitted = client.submit(
                {
                    "url": f"{app}/{verb}",
                    "gate": "deploys",
                    "order_key": environment,
                    "body": f'{{"environment": "{environment}", "version": "2"}}',
                }
            )
            tasks.append(submitted.task.id)
    return tasks


if __name__ == "__main__":
    with Client() as own:
        print(*submit(own, sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9003"))
