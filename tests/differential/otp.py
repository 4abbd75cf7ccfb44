"""Traces of OTP's own supervisor: from Erlang where it is installed, else from the golden file.

`python -m tests.differential --golden` makes that file anew. Its first line tells which scenarios
it is of, so that a change of the generator without new traces is noticed.
"""

import gzip
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from tests.differential.generator import scenario
from tests.differential.scenarios import Scenario, as_erlang
from tests.differential.traces import comparable

HERE = Path(__file__).parent
GOLDEN = HERE / "golden.txt.gz"
GOLDEN_LAST = 1_000  # seeds 1 to this
AT_MOST_S = 100


class Reference(Struct, frozen=True):
    """What OTP does, by seed, and which OTP it was."""

    source: str
    traces: dict[int, list[str]]


def is_installed() -> bool:
    """Whether OTP can be asked."""
    return shutil.which("erl") is not None and shutil.which("erlc") is not None


def live(played: Sequence[Scenario]) -> Reference:
    """Play these scenarios on OTP's supervisor, here and now."""
    assert is_installed(), "there is no erl and erlc here: install erlang-base"
    version, lines = _output(played)
    return Reference(f"{version}, live", _by_seed(lines))


def golden() -> Reference:
    """What it did in the first scenarios when the golden file was made."""
    first, version, *lines = gzip.decompress(GOLDEN.read_bytes()).decode().splitlines()
    remedy = "make them with: python -m tests.differential --golden"
    assert first == _fingerprint(), f"the golden traces are of other scenarios: {remedy}"
    return Reference(f"golden traces of {version}", _by_seed(lines))


def write_golden() -> None:
    """Keep what OTP does in the first scenarios."""
    version, lines = _output([scenario(seed) for seed in range(1, GOLDEN_LAST + 1)])
    text = "\n".join((_fingerprint(), version, *lines)) + "\n"
    GOLDEN.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _output(played: Sequence[Scenario]) -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory(prefix="taskmaster-otp-") as folder:
        run = ("erlc", "-o", folder, str(HERE / "driver.erl"))
        subprocess.run(run, check=True, timeout=AT_MOST_S)
        file = Path(folder, "scenarios")
        file.write_text("\n".join(map(as_erlang, played)), "utf-8")
        # One scheduler: the order of events is that of their causes.
        run = ("erl", "+S", "1:1", "-noshell", "-pa", folder, "-run", "driver", "main", str(file))
        done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=AT_MOST_S)
    version, *lines = done.stdout.splitlines()
    return version, lines


def _by_seed(lines: Sequence[str]) -> dict[int, list[str]]:
    fields = (line.partition("\t") for line in lines)
    return {int(seed): comparable(events.split(";")) for seed, _, events in fields}


def _fingerprint() -> str:
    played = "\n".join(as_erlang(scenario(seed)) for seed in range(1, GOLDEN_LAST + 1))
    return f"traces of scenarios {sha256(played.encode()).hexdigest()}"
