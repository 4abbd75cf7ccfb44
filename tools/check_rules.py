"""What no linter holds: lengths, module docstrings, and the words we do not use for things.

Rules of residence: reads source, never imports it. Run from the root:
`python -m tools.check_rules`.
About 400 lines is two subjects; the limit leaves room to finish a thought before splitting.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70
# One list of one kind of thing, read by looking up.
LONG_FILES = frozenset({"taskmaster/events/types.py"})
GENERATED = "taskmaster/v1/"
WORDS = {  # each with what to say instead
    "engine": "say what it does",
    "executor": "say what it does: a Sender, an actor",
    "helper": "name the subject",
    "job": "task",
    "manager": "say what it decides or keeps: a Supervisor, a Journal",
    "runner": "say what it does",
    "util": "name the subject",
    "worker": "say what it does: a Sender, an actor",
}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Breach(NamedTuple):
    """A rule broken at a line."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def breaches(path: str, source: str) -> Iterator[Breach]:
    """What is wrong with one module, top to bottom."""
    lines = len(source.splitlines())
    if lines > FILE_LINES_MAX and path not in LONG_FILES:
        yield Breach(path, 1, f"{lines} lines, above {FILE_LINES_MAX}: split it by subject")
    module = ast.parse(source, path)
    if ast.get_docstring(module) is None:
        yield Breach(path, 1, "no module docstring: say what it is for and what must live here")
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _definition(path, node)


def main() -> int:
    """Check taskmaster/ and tools/; 1 when a rule is broken."""
    found = [
        breach
        for folder in ("taskmaster", "tools")
        for path in sorted(Path(folder).rglob("*.py"))
        if not path.as_posix().startswith(GENERATED)
        for breach in breaches(path.as_posix(), path.read_text("utf-8"))
    ]
    for breach in found:
        print(breach)
    return 1 if found else 0


def _definition(path: str, node: Definition) -> Iterator[Breach]:
    for word in WORD.findall(node.name):
        known = word.lower() if word.lower() in WORDS else word.lower().removesuffix("s")
        if known in WORDS:
            yield Breach(path, node.lineno, f"{node.name}: not {known!r}: {WORDS[known]}")
    if isinstance(node, ast.ClassDef):
        return
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if lines > FUNCTION_LINES_MAX:
        message = f"{node.name} has {lines} lines, above {FUNCTION_LINES_MAX}: split it by step"
        yield Breach(path, node.lineno, message)


if __name__ == "__main__":
    sys.exit(main())
