"""What the documentation tells a reader to type does what it says, block by block.

A page marks its blocks with comments, which a reader does not see:

    <!-- run -->            the shell block below is run, in the order of the page, in one shell
    <!-- prints -->         the text block below: its lines appear in this order in what the block
                            before it printed; … stands for anything
    <!-- until: COMMAND --> before going on, COMMAND succeeds within 30 s

A page that starts no server finds one, with an endpoint on port 9000 and a gate `billing`.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest

from taskmaster.demo.processes import ROOT, free_port

PAGES = [
    page
    for page in [Path(ROOT, "README.md"), *sorted(Path(ROOT, "docs").rglob("*.md"))]
    if "<!-- run -->" in page.read_text("utf-8")
]
PART = re.compile(
    r"<!-- (?P<mark>run|prints) -->\n[ ]*```(?:sh|text)\n(?P<body>.*?)\n[ ]*```"
    r"|<!-- until: (?P<command>.*?) -->",
    re.DOTALL,
)


def until(command: str) -> str:
    """Shell that waits for a command to succeed."""
    return f"""\
SECONDS=0
until {{ {command}; }} >/dev/null 2>&1; do
  if [ $SECONDS -gt 30 ]; then echo not in 30 s: {quote(command)}; exit 1; fi
  sleep 0.1
done"""


FOUND = (
    """\
bin/taskmaster serve --store found.db 2>found.log &
.venv/bin/python -m examples.accounts.app 9000 2>/dev/null &
"""
    + until("curl -sf localhost:8123/readyz && curl -sf localhost:9000/state")
    + """
bin/taskmaster gate set billing --rate 2 --concurrency 4 >/dev/null
"""
)
CUT = "@@@@"


def script(text: str) -> tuple[str, list[list[str]]]:
    """The shell script of a page, and what each of its blocks has to print."""
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    expected: list[list[str]] = []
    if "taskmaster serve" not in "".join(part["body"] or "" for part in PART.finditer(text)):
        lines.append(FOUND)
    for part in PART.finditer(text):
        match part["mark"]:
            case "run":
                expected.append([])
                lines += [f"echo {CUT}", part["body"]]
            case "prints":
                expected[-1] += [line.strip() for line in part["body"].splitlines()]
            case _:
                lines.append(until(part["command"]))
    return "\n".join(lines) + "\n", expected


def missing(expected: list[str], printed: str) -> list[str]:
    """The expected lines that do not follow each other in what was printed."""
    left = list(expected)
    for line in printed.splitlines():
        if left:
            words = (re.escape(word).replace("…", ".*") for word in left[0].split())
            if re.fullmatch(r"\s+".join(words), line.strip()):
                left.pop(0)
    return left


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    commands, expected = script(page.read_text("utf-8"))
    port, endpoint = free_port(), free_port()
    commands = commands.replace("8123", str(port)).replace("9000", str(endpoint))
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "taskmaster"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m taskmaster.cli.main "$@"\n', "utf-8")
    wrapper.chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', "utf-8")
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if "TASKMASTER" not in name}
    environment |= {
        "PYTHONPATH": ROOT,
        "TASKMASTER_HTTP__PORT": str(port),
        "TASKMASTER_URL": f"http://127.0.0.1:{port}",
        "COLUMNS": "400",
    }
    with (tmp_path / "printed").open("w+b") as printed, (tmp_path / "said").open("w+b") as said:
        shell = subprocess.Popen(
            ["bash", "-c", commands],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=said,
            start_new_session=True,
        )
        try:
            code = shell.wait(150)
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)

    output = (tmp_path / "printed").read_text("utf-8")
    assert code == 0, output + (tmp_path / "said").read_text("utf-8")
    blocks = output.split(CUT)[1:]
    assert [missing(*pair) for pair in zip(expected, blocks, strict=True)] == [
        [] for _ in expected
    ], output


def test_a_line_that_was_not_printed_is_missed() -> None:
    assert missing(["a … c", "d"], "x\na  b c\ny\nd\n") == []
    assert missing(["d", "a … c"], "a b c\nd\n") == ["a … c"]
