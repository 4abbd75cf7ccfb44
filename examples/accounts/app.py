"""Accounts of people. Run: `python -m examples.accounts.app 9004`."""

from examples.webhook import application, serve

accounts: dict[str, int] = {}


def provision(asked: dict[str, str]) -> dict[str, object]:
    """Make an account; made twice, it would be counted twice."""
    accounts[asked["user"]] = accounts.get(asked["user"], 0) + 1
    return {"user": asked["user"]}


app = application({"/accounts": provision}, lambda: accounts)

if __name__ == "__main__":
    serve(app)
