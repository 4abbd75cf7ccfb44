"""`store`: the log itself, without a server.

Rules of residence: speaks to the log directly; what a server has open is only read.
"""

from typing import Annotated

from cyclopts import Parameter

from taskmaster.cli import app as tree
from taskmaster.cli.exits import CHECK_FAILED
from taskmaster.cli.view import VIEW, View, say

app = tree.group("store")
Store = Annotated[str | None, Parameter(name=("--store", "-s"))]


@app.command
def migrate(*, store: Store = None, view: View = VIEW) -> None:
    """Lead a database to the schema of this version, forward only; a server does it too when it
    starts.

    Of many who do it at once, one does and the others find it done.

    Args:
        store: The log: a URL of PostgreSQL, or a file, which needs no steps.
    """
    from taskmaster.events.postgres_connection import UNAVAILABLE, Address, unavailable
    from taskmaster.events.postgres_migrate import migrate as take_steps
    from taskmaster.events.store import is_postgres

    del view
    address = _address(store)
    if not is_postgres(address):
        say("a file needs no steps: a server leads it to its schema when it starts")
        return
    database = Address(address)
    try:
        before = take_steps(database)
    except UNAVAILABLE as error:
        raise unavailable(database, error) from None
    say(
        f"{database.shown}: schema {before.version} to {before.version + before.pending}"
        if before.pending
        else f"{database.shown}: schema {before.version}, nothing is left to do"
    )


@app.command
def check(*, store: Store = None, view: View = VIEW) -> int | None:
    """Read the whole log, fold it, and compare with the index; exit 7 if they differ.

    It takes about as long as building the index anew: 30,000 events a second. A server may run.

    Args:
        store: The log: a file, or a URL of PostgreSQL.
    """
    from taskmaster.events.store import open_reader, shown_store

    del view
    address = _address(store)
    with open_reader(address) as reader:
        position = reader.position()
        differences = reader.check_index()
    for found in differences:
        say(f"{found.table}: stored {found.stored}, but the log gives {found.folded}")
    if differences:
        return CHECK_FAILED
    say(f"{shown_store(address)}: the index is what the log gives, up to position {position}")
    return None


def _address(store: str | None) -> str:
    from taskmaster.settings import load

    return load({"store": store}).settings.store
