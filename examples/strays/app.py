"""Instances, some of which belong to nobody. Run: `python -m examples.strays.app 9002`."""

from examples.webhook import application, serve

owners: dict[str, str] = {"i-1": "shop", "i-2": "", "i-3": "wiki", "i-4": ""}
removed: list[str] = []


def sweep(_asked: dict[str, str]) -> dict[str, object]:
    """Remove every instance without an owner."""
    strays = [name for name, owner in owners.items() if not owner]
    for name in strays:
        del owners[name]
    removed.extend(strays)
    return {"removed": strays}


app = application({"/sweep": sweep}, lambda: {"left": sorted(owners), "removed": removed})

if __name__ == "__main__":
    serve(app)
