"""More seeds: `python -m tests.simulation FIRST LAST [--crashes]`, the last one included.

With `--crashes` actors crash too, at random messages.

Prints how far it is, and for each seed that fails what was broken and how to repeat it.
"""

import sys
import time
import traceback

from tests.simulation.scenario import run_seed
from tests.simulation.world import faults_of

EVERY_S = 2


def main(first: int, last: int, *, crashes: bool) -> int:
    """Run the seeds; 1 when one failed."""
    failed: list[int] = []
    strikes = 0
    began = shown = time.monotonic()
    for seed in range(first, last + 1):
        try:
            strikes += run_seed(seed, faults_of(seed, crashes=crashes)).strikes.count
        except Exception:
            traceback.print_exc(limit=-3)
            again = f"{seed} {seed}{' --crashes' if crashes else ''}"
            print(f"\nseed {seed} failed; repeat: python -m tests.simulation {again}")
            failed.append(seed)
        now = time.monotonic()
        if now - shown > EVERY_S or seed == last:
            shown = now
            done = seed - first + 1
            rate = done / (now - began)
            text = f"{done} of {last - first + 1} seeds, {rate:.0f}/s, {len(failed)} failed"
            if crashes:
                text += f", {strikes} crashes of actors"
            print(text, end="\n" if seed == last or not sys.stdout.isatty() else "\r", flush=True)
    if failed:
        print(f"failed: {' '.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    crashes = sys.argv[-1] == "--crashes"
    seeds = sys.argv[1 : -1 if crashes else None]
    if len(seeds) != 2 or not all(text.isdecimal() for text in seeds):
        sys.exit("usage: python -m tests.simulation FIRST LAST [--crashes]")
    sys.exit(main(int(seeds[0]), int(seeds[1]), crashes=crashes))
