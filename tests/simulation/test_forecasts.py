"""How far off forecasts are, on a node in virtual time.

`python -m tests.simulation.forecasts FIRST LAST` measures more seeds.
"""

from statistics import median

import pytest

from tests.simulation.forecasts import Error, run_seed, told


@pytest.mark.slow
def test_the_error_of_forecasts_stays_small() -> None:
    """Docs: how-to/watch.md has the table of seeds 1 to 30."""
    errors: list[Error] = [error for seed in (1, 3, 4, 6, 8) for error in run_seed(seed)]

    shown = told(errors)
    print(shown)
    assert len(errors) > 30
    assert median([error.share for error in errors]) <= 0.15, shown
    assert sum(error.inside for error in errors) >= 0.8 * len(errors), shown
