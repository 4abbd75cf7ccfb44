"""The page of the library: what a reader is shown runs, and prints what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import taskmaster.supervision

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "supervision.md").read_text("utf-8")


@pytest.mark.slow
def test_the_example_prints_what_the_page_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (output,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (ran.stdout, ran.stderr) == (output, "")


def test_the_public_names_are_there() -> None:
    for name in taskmaster.supervision.__all__:
        assert hasattr(taskmaster.supervision, name)
