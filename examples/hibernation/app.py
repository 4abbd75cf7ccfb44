"""Applications that can be put to sleep. Run: `python -m examples.hibernation.app 9001`."""

from examples.webhook import application, serve

asleep: dict[str, bool] = dict.fromkeys(("shop", "wiki", "forum", "blog"), False)


def hibernate(asked: dict[str, str]) -> dict[str, object]:
    """Put one application to sleep."""
    asleep[asked["app"]] = True
    return {"app": asked["app"], "asleep": True}


app = application({"/hibernate": hibernate}, lambda: asleep)

if __name__ == "__main__":
    serve(app)
