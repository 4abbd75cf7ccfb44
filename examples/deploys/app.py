"""Environments, each with one version. Run: `python -m examples.deploys.app 9003`."""

from examples.webhook import application, serve

deployed: dict[str, str] = {"staging": "1", "production": "1"}
steps: list[str] = []


def undeploy(asked: dict[str, str]) -> dict[str, object]:
    """Take a version away; there is none for a while."""
    deployed[asked["environment"]] = ""
    steps.append(f"undeploy {asked['environment']}")
    return {"ok": True}


def deploy(asked: dict[str, str]) -> dict[str, object]:
    """Put a version where there is none: the order matters."""
    environment = asked["environment"]
    clean = not deployed[environment]
    deployed[environment] = asked["version"]
    steps.append(f"deploy {environment} {'cleanly' if clean else 'over another'}")
    return {"ok": clean}


app = application(
    {"/undeploy": undeploy, "/deploy": deploy}, lambda: {"deployed": deployed, "steps": steps}
)

if __name__ == "__main__":
    serve(app)
