"""More seeds: `python -m tests.simulation FIRST LAST`, the last one included.

Prints how far it is, and for each seed that fails what was broken and how to repeat it.
"""

import sys
import time
import traceback

from tests.simulation.scenario import run_seed

EVERY_S = 2


def main(first: int, last: int) -> int:
    """Run the seeds; 1 when one failed."""
    failed: list[int] = []
    began = shown = time.monotonic()
    for seed in range(first, last + 1):
        try:
            run_seed(seed)
        except Exception:
            traceback.print_exc(limit=-3)
            print(f"\nseed {seed} failed; repeat: python -m tests.simulation {seed} {seed}")
            failed.append(seed)
        now = time.monotonic()
        if now - shown > EVERY_S or seed == last:
            shown = now
            done = seed - first + 1
            rate = done / (now - began)
            text = f"{done} of {last - first + 1} seeds, {rate:.0f}/s, {len(failed)} failed"
            print(text, end="\n" if seed == last or not sys.stdout.isatty() else "\r", flush=True)
    if failed:
        print(f"failed: {' '.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or not all(text.isdecimal() for text in sys.argv[1:]):
        sys.exit("usage: python -m tests.simulation FIRST LAST")
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
