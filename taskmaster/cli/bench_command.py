"""`bench`: the scripts in `benchmarks/`, listed and run.

Rules of residence: knows where they are; what they measure is theirs. They need the source tree.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from msgspec import Struct

import taskmaster
from taskmaster.cli.paint import Column
from taskmaster.cli.view import VIEW, Shown, View, listing, show
from taskmaster.errors import NotFoundError

ROOT = Path(taskmaster.__file__).parents[1]


class Benchmark(Struct, frozen=True):
    """A script and the first line of what it says of itself."""

    name: str
    about: str


COLUMNS: tuple[Column[Benchmark], ...] = (
    Column("NAME", lambda script, _: script.name),
    Column("MEASURES", lambda script, _: script.about),
)


def bench(
    name: str = "",
    /,
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    view: View = VIEW,
) -> int | None:
    """List the benchmarks, or run one; what follows its name goes to it.

    Args:
        name: Which one; none lists them.
        arguments: Its own arguments, behind --, as in bench pace -- --seconds 5.
    """
    scripts = benchmarks(ROOT / "benchmarks")
    if not name:
        document = msgspec.json.encode({"items": scripts, "next_page_token": None})
        names = [script.name for script in scripts]
        show(view, Shown(document, listing(view, COLUMNS, scripts), names))
        return None
    if name not in {script.name for script in scripts}:
        known = ", ".join(script.name for script in scripts) or "none: they need the source tree"
        raise NotFoundError(f"there is no benchmark {name}", remedy=f"there are {known}")
    sys.stdout.flush()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def benchmarks(folder: Path) -> list[Benchmark]:
    """The scripts of a folder, by name: the modules that can be run by themselves."""
    found: list[Benchmark] = []
    for path in sorted(folder.glob("*.py")):
        source = path.read_text("utf-8")
        if "__main__" in source:
            about = ast.get_docstring(ast.parse(source)) or ""
            found.append(Benchmark(path.stem, about.partition("\n")[0]))
    return found
