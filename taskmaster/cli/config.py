"""`config`: the settings that a server would have, and where each comes from.

Rules of residence: shows what `settings.py` found; secrets are masked there.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.exits import CHECK_FAILED
from taskmaster.cli.paint import Column
from taskmaster.cli.view import VIEW, Shown, View, listing, say
from taskmaster.cli.view import show as show_result

app = tree.group("config")
Config = Annotated[Path | None, Parameter(env_var="TASKMASTER_CONFIG")]


@app.command
def show(*, config: Config = None, origin: bool = False, view: View = VIEW) -> None:
    """Every setting with its value.

    Args:
        config: A file of settings instead of ./taskmaster.toml or /etc/taskmaster/taskmaster.toml.
        origin: Where each value comes from, too.
    """
    from taskmaster.settings import Shown as Setting
    from taskmaster.settings import load
    from taskmaster.settings import show as all_of

    columns: tuple[Column[Setting], ...] = (
        Column("NAME", lambda setting, _: setting.name),
        Column("VALUE", lambda setting, _: setting.value),
        Column("ORIGIN", lambda setting, _: setting.origin, wide=not origin),
    )
    found = all_of(load(file=config))
    document = msgspec.json.encode({"items": found, "next_page_token": None})
    names = [setting.name for setting in found]
    show_result(view, Shown(document, listing(view, columns, found), names))


@app.command
def check(*, config: Config = None, view: View = VIEW) -> int | None:
    """Read the settings as a server would; exit 7 if it would not start with them.

    Args:
        config: A file of settings instead of ./taskmaster.toml or /etc/taskmaster/taskmaster.toml.
    """
    from taskmaster.cli.exits import document
    from taskmaster.errors import TaskMasterError
    from taskmaster.settings import load

    try:
        load(file=config)
    except TaskMasterError as error:
        say(document(error).decode() if view.output == "json" else f"error: {error}")
        return CHECK_FAILED
    say("the settings can be used")
    return None
