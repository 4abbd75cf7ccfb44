"""Repositories where it is busy now and then: `python -m examples.repositories.app 9005`."""

from examples.webhook import Busy, application, serve

repositories: list[str] = []
refusals = 0


def provision(asked: dict[str, str]) -> dict[str, object]:
    """Make a repository; the second request is told to come back in a second."""
    global refusals  # noqa: PLW0603  # the whole of a small program's state
    if len(repositories) == 1 and refusals == 0:
        refusals += 1
        raise Busy(1)
    repositories.append(asked["name"])
    return {"name": asked["name"]}


app = application(
    {"/repositories": provision}, lambda: {"made": repositories, "refusals": refusals}
)

if __name__ == "__main__":
    serve(app)
