"""List the benchmarks, or run them all.

    python -m benchmarks [--all [--quick]]

Each runs in a process of its own; `--quick` makes the sizes so small that the figures mean little,
to see in under three minutes that all of them run.
"""

import argparse
import subprocess
import sys
from importlib import import_module

from benchmarks.processes import ROOT

QUICK: dict[str, str] = {
    "drain": "--tasks 3000 --rounds 1",
    "submit": "--tasks 5000 --singles 500 --rounds 1",
    "lateness": "--rate 200 --seconds 3",
    "pace": "--rates 10,500 --kill 500 --seconds 2",
    "million": "--tasks 20000 --starts 1 --seconds 1",
    "idle_gates": "--gates 500 --seconds 3",
    "log_growth": "--sizes 3000,30000 --tasks 500 --rounds 2",
    "fairness": "--tasks 3000 --keys 300 --starts 200 --rounds 1",
    "family": "--tasks 1000 --rounds 1",
    "store": "--events 2000",
    "api_decode": "",
    "supervision": "--children 5000 --rounds 1",
}
"""In the order of the targets, with the arguments of a quick run."""


def main() -> int:
    """0 when all ran, whatever the verdicts."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--all", action="store_true", help="run them one after the other")
    arguments.add_argument("--quick", action="store_true", help="with small sizes")
    args = arguments.parse_args()
    if not args.all:
        for name in QUICK:
            about = (import_module(f"benchmarks.{name}").__doc__ or "").splitlines()[0]
            print(f"{name:<11} {about}")
        print("run one: python -m benchmarks.NAME [--help]; all: python -m benchmarks --all")
        return 0
    codes: list[int] = []
    for name, quick in QUICK.items():
        print(f"== {name}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *(quick.split() * args.quick)]
        codes.append(subprocess.run(command, cwd=ROOT, check=False).returncode)
        print(flush=True)
    return max(codes)


sys.exit(main())
