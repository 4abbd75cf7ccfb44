"""The same scenarios on OTP's supervisor and on ours: the traces must be equal."""

from collections.abc import Iterable

import pytest

from taskmaster.supervision.machine import Machine
from tests.differential import actor_world, machine_world, otp
from tests.differential.compare import Difference, caught_after, differences
from tests.differential.generator import keeps_lanes, scenario
from tests.differential.mutants import MUTANTS

SEEDS = range(1, otp.GOLDEN_LAST + 1)
IN_LANES = [seed for seed in SEEDS if keeps_lanes(seed)]
MORE = range(otp.GOLDEN_LAST + 1, otp.GOLDEN_LAST + 5_001)


@pytest.mark.slow
def test_the_machine_does_what_otp_does() -> None:
    """Where Erlang is installed OTP plays the scenarios now, and the golden traces still hold."""
    reference = otp.golden()
    if otp.is_installed():
        played = otp.live([scenario(seed) for seed in SEEDS])
        assert played.traces == reference.traces
        reference = played
    print(f"compared with: {reference.source}")

    _assert_none(differences(SEEDS, reference, machine_world.play))


@pytest.mark.slow
def test_real_actors_do_what_otp_does() -> None:
    _assert_none(differences(IN_LANES, otp.golden(), actor_world.play))


@pytest.mark.long
def test_thousands_more_scenarios_find_no_difference() -> None:
    reference = otp.live([scenario(seed) for seed in MORE])

    _assert_none(differences(MORE, reference, machine_world.play))
    _assert_none(differences(filter(keeps_lanes, MORE), reference, actor_world.play))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_decision_is_caught(mutant: type[Machine]) -> None:
    number = caught_after(mutant, otp.golden())

    assert number is not None
    assert number <= 200


def _assert_none(found: Iterable[Difference]) -> None:
    for different in found:
        pytest.fail(str(different))
