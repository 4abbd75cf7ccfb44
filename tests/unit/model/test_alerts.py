"""When something at a gate needs a person (semantics 8.5, 10)."""

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, lists, tuples
from msgspec.structs import replace

from taskmaster.events.types import (
    DAY,
    MINUTE,
    SECOND,
    AlertCleared,
    AlertName,
    AlertRaised,
    AlertRules,
    GateEvent,
    GateName,
    GatePaused,
    GateProbed,
    GateQuarantined,
    GateRampStepped,
    GateRecovered,
    GateReleased,
    GateResumed,
    GateTripped,
    Mono,
    RampCause,
    Wall,
)
from taskmaster.model.alerts import (
    CALM_NS,
    Clear,
    Course,
    Numbers,
    Raise,
    Standing,
    Standings,
    fold,
    follow,
    judge,
)

T0 = Wall(1_000 * DAY)
RULES = AlertRules()


def at(ns: int) -> Wall:
    return Wall(T0 + ns)


def tripped(ns: int) -> GateTripped:
    return GateTripped(at=at(ns), mono=Mono(0), until=Mono(0), trips=1)


def step(ns: int, why: RampCause = "step") -> GateRampStepped:
    return GateRampStepped(at=at(ns), mono=Mono(0), step=0, percent=5, until=Mono(0), why=why)


def course(*events: GateEvent) -> Course:
    found = Course()
    for event in events:
        found = follow(found, event)
    return found


def raised(numbers: Numbers, now: Wall, rules: AlertRules = RULES) -> set[AlertName]:
    changes, _ = judge(rules, numbers, {}, now)
    return {change.alert for change in changes if isinstance(change, Raise)}


ENDLESS = GatePaused(at=T0, mono=Mono(0))
CASES: list[tuple[AlertName, Numbers, int]] = [
    ("oldest_eligible", Numbers(oldest_due_at=T0), 5 * MINUTE),
    ("tripped", Numbers(course=course(tripped(0), GateProbed(at=at(9), mono=Mono(0)))), 5 * MINUTE),
    ("paused", Numbers(course=course(ENDLESS)), DAY),
    ("uncertain", Numbers(uncertain_since=T0), DAY),
]


@pytest.mark.parametrize(("alert", "numbers", "after_ns"), CASES)
def test_what_lasts_too_long_is_raised_then_and_not_before(
    alert: AlertName, numbers: Numbers, after_ns: int
) -> None:
    assert raised(numbers, at(after_ns - 1)) == set()
    assert raised(numbers, at(after_ns)) == {alert}


@pytest.mark.parametrize("why", ["fallback", "slow"])
def test_a_ramp_that_fails_three_times_is_told_and_a_recovery_forgets(why: RampCause) -> None:
    events: list[GateEvent] = [tripped(0), step(1, "probe"), tripped(2), step(3, "probe")]

    assert raised(Numbers(course=course(*events, step(4, why))), at(5)) == set()
    failed = course(*events, step(4, why), tripped(5))
    assert raised(Numbers(course=failed), at(6)) == {"ramp_failed"}
    assert follow(failed, GateRecovered(at=at(7), mono=Mono(0))) == Course()


def test_a_quarantine_is_told_at_once() -> None:
    held = course(GateQuarantined(at=T0, mono=Mono(0), until=at(DAY)))

    assert raised(Numbers(course=held), T0) == {"quarantined"}
    assert follow(held, GateReleased(at=T0, mono=Mono(0))) == Course()


def test_a_pause_with_an_end_is_nobodys_business() -> None:
    ending = replace(ENDLESS, until=at(10 * DAY))

    assert raised(Numbers(course=course(ending)), at(2 * DAY)) == set()
    assert (
        raised(Numbers(course=course(ENDLESS, GateResumed(at=T0, mono=Mono(0)))), at(DAY)) == set()
    )


def test_a_pause_without_an_end_is_told_every_day() -> None:
    """Semantics 8.5."""
    numbers = Numbers(course=course(ENDLESS))
    standings: Standings = {"paused": Standing("id", at(DAY), at(DAY))}

    early, _ = judge(RULES, numbers, standings, at(2 * DAY - 1))
    again, _ = judge(RULES, numbers, standings, at(2 * DAY))

    assert early == ()
    assert [(one.alert, one.again) for one in again if isinstance(one, Raise)] == [("paused", True)]


def test_a_threshold_of_nothing_never_raises() -> None:
    numbers = Numbers(T0, 99, T0, course(tripped(0), ENDLESS))

    rules = AlertRules(0, 0, 0, 0, MINUTE, 0)

    assert raised(numbers, at(9 * DAY), rules) == set()


def test_it_is_cleared_only_after_a_calm_minute_well_below_the_threshold() -> None:
    standings: Standings = {"oldest_eligible": Standing("id", T0, T0)}
    now = at(DAY)
    high = Numbers(oldest_due_at=Wall(now - 3 * MINUTE))  # below 5 min, above half of it

    changes, kept = judge(RULES, high, standings, now)
    assert (changes, kept["oldest_eligible"].calm_since) == ((), None)
    changes, kept = judge(RULES, Numbers(), standings, now)
    assert (changes, kept["oldest_eligible"].calm_since) == ((), now)
    assert judge(RULES, Numbers(), kept, Wall(now + CALM_NS - 1))[0] == ()
    assert judge(RULES, Numbers(), kept, Wall(now + CALM_NS))[0] == (Clear("oldest_eligible"),)


@given(lists(tuples(integers(0, 30 * SECOND), integers(0, 10), booleans()), max_size=60))
def test_nothing_flaps_whatever_the_numbers_do(steps: list[tuple[int, int, bool]]) -> None:
    """Raised and cleared in turn, never cleared within a minute of a condition that held."""
    gate = GateName("g")
    active: dict[GateName, Standings] = {}
    now, held_at = T0, T0
    last: dict[AlertName, str] = {}
    for gap_ns, minutes, away in steps:
        now = Wall(now + gap_ns)
        oldest = Wall(now - minutes * MINUTE)
        course = Course(away_since=Wall(now - minutes * MINUTE) if away else None)
        numbers = Numbers(oldest_due_at=oldest, course=course)
        changes, kept = judge(RULES, numbers, active.get(gate, {}), now)
        if gate in active:
            active[gate] = kept
        if minutes >= 5:
            held_at = now
        for change in changes:
            if isinstance(change, Raise):
                assert last.get(change.alert, "cleared") == "cleared"
                last[change.alert] = "raised"
                fold(active, AlertRaised(at=now, gate=gate, alert=change.alert, alert_id="id"))
            else:
                assert last[change.alert] == "raised"
                last[change.alert] = "cleared"
                assert change.alert != "oldest_eligible" or now - held_at >= CALM_NS
                fold(active, AlertCleared(at=now, gate=gate, alert=change.alert, alert_id="id"))
