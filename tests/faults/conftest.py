"""Each test gets a rig of its own, and a seed that it prints and that can be given again."""

import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.faults.harness.rig import Rig

SEED = "TASKMASTER_FAULT_SEED"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """From the environment, or drawn; a failure shows what was printed."""
    given = os.environ.get(SEED)
    drawn = int(given) if given else random.SystemRandom().randrange(1_000_000)
    every = "--all " if request.node.get_closest_marker("long") else ""
    print(f"\nrepeat: {SEED}={drawn} bin/test {every}'{request.node.nodeid}'")
    return drawn


@pytest.fixture
async def rigged(tmp_path: Path, seed: int) -> AsyncIterator[Callable[..., Rig]]:
    """Makes rigs that end with the test."""
    rigs: list[Rig] = []

    def make(**options: object) -> Rig:
        rigs.append(Rig(tmp_path, seed, **options))  # pyright: ignore[reportArgumentType]
        return rigs[-1]

    yield make
    for rig in rigs:
        await rig.close()


@pytest.fixture
def rig(rigged: Callable[..., Rig]) -> Rig:
    """One with the usual gates."""
    return rigged()
