"""More scenarios: `python -m tests.differential FIRST LAST`, the last one included; needs Erlang.

Plays each on OTP's supervisor, on our machine, and, where an actor's lanes allow it, on real
actors. Shows the first difference of each, and how many there are. `--golden` writes what OTP does
to the file that stands in for it where it is not installed.
"""

import sys
from collections.abc import Sequence

from tests.differential import actor_world, machine_world, otp
from tests.differential.compare import Difference, Play, caught_after, differences
from tests.differential.generator import keeps_lanes, scenario
from tests.differential.mutants import MUTANTS

AT_ONCE = 2_000


def main(first: int, last: int) -> int:
    """Compare; 1 when something differs."""
    found: dict[str, list[Difference]] = {"machine": [], "actors": []}
    played = {"machine": 0, "actors": 0}
    events = {"machine": 0, "actors": 0}
    plays: dict[str, Play] = {"machine": machine_world.play, "actors": actor_world.play}
    for start in range(first, last + 1, AT_ONCE):
        seeds = range(start, min(start + AT_ONCE, last + 1))
        reference = otp.live([scenario(seed) for seed in seeds])
        mine: dict[str, Sequence[int]] = {
            "machine": seeds,
            "actors": [seed for seed in seeds if keeps_lanes(seed)],
        }
        for whose, play in plays.items():
            found[whose] += differences(mine[whose], reference, play)
            played[whose] += len(mine[whose])
            events[whose] += sum(len(reference.traces[seed]) for seed in mine[whose])
    for whose, different in found.items():
        print(
            f"{whose}: {played[whose]:,} scenarios, {events[whose]:,} events, "
            f"{len(different)} differences"
        )
        for one in different[:1]:
            print(one)
    return 1 if any(found.values()) else 0


def write_golden() -> None:
    """Write the golden traces, and say what they can tell."""
    otp.write_golden()
    reference = otp.golden()
    print(f"{otp.GOLDEN}: {otp.GOLDEN.stat().st_size:,} bytes, {reference.source}")
    for mutant in MUTANTS:
        print(f"{mutant.__name__} is caught after {caught_after(mutant, reference)} scenarios")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--golden"]:
            write_golden()
        case [first, last] if first.isdecimal() and last.isdecimal():
            sys.exit(main(int(first), int(last)))
        case _:
            sys.exit("usage: python -m tests.differential FIRST LAST | --golden")
