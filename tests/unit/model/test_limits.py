"""GCRA in integers: no window of any length holds more than `b + r*T` starts."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmaster.events.types import HOUR, MILLISECOND, MINUTE, SECOND, Limits, Mono, Rate
from taskmaster.model.limits import (
    GRANT_LIFETIME_NS,
    Allowed,
    Spacing,
    carried_tats,
    default_burst,
    fresh_tats,
    later_tats,
    slots,
    spacings,
    spend,
    tats_after_crash,
    token_at,
)
from tests.unit.model.builders import MONO, mono
from tests.unit.model.windows import excess_over, worst_excess

RATES = st.builds(
    Rate,
    rate=st.floats(0.05, 5_000) | st.sampled_from([1.0, 3.0, 7.0, 1_000.0]),
    per_ns=st.sampled_from([SECOND, 10 * SECOND, MINUTE, HOUR]),
    burst=st.integers(1, 12),
)
LIMITS = st.lists(RATES, min_size=1, max_size=3).map(lambda rates: Limits(rates=tuple(rates)))
GAPS = st.lists(
    st.integers(0, 3 * SECOND) | st.integers(0, 2 * MILLISECOND) | st.just(0),
    min_size=1,
    max_size=40,
)


class Bucket:
    """Starts whatever may start at the instants that it is shown, as a gate does."""

    def __init__(self, limits: Limits, *, percent: int = 100, at: Mono = MONO) -> None:
        self.allowed = Allowed(limits, percent)
        self.tats = fresh_tats(self.paces, at)
        self.starts: list[int] = []

    @property
    def paces(self) -> tuple[Spacing, ...]:
        return self.allowed.paces

    def try_start(self, at: Mono, *, most: int = 1) -> None:
        for _ in range(most):
            if token_at(self.paces, self.tats) > at:
                return
            self.tats = spend(self.paces, self.tats, at)
            self.starts.append(at)

    def change(self, limits: Limits, at: Mono, *, percent: int = 100) -> None:
        allowed = Allowed(limits, percent)
        self.tats = carried_tats(self.allowed, self.tats, allowed, at)
        self.allowed = allowed


@given(LIMITS, GAPS, st.integers(1, 15))
def test_no_window_starts_more_than_burst_plus_rate(
    limits: Limits, gaps_ns: list[int], most: int
) -> None:
    """Semantics 3.1 and 3.3, for every window, wherever it begins."""
    bucket = Bucket(limits)
    now = MONO
    for gap_ns in gaps_ns:
        now = Mono(now + gap_ns)
        bucket.try_start(now, most=most)

    assert excess_over(bucket.starts, limits.rates) <= 0


@given(LIMITS, st.integers(2, 40))
def test_starting_at_the_first_token_each_time_keeps_the_limit(limits: Limits, count: int) -> None:
    """Semantics 3.1: nobody can ask better than at the very instant of the token."""
    bucket = Bucket(limits)
    now = MONO
    for _ in range(count):
        now = max(now, token_at(bucket.paces, bucket.tats))
        bucket.try_start(now)

    assert len(bucket.starts) == count
    assert excess_over(bucket.starts, limits.rates) <= 0


@given(RATES)
def test_an_idle_bucket_fills_up_again_and_no_further(rate: Rate) -> None:
    """Semantics 3.1: what was not used in time is gone."""
    bucket = Bucket(Limits(rates=(rate,)))
    bucket.try_start(MONO, most=100)
    later = Mono(MONO + rate.burst * bucket.paces[0].interval_ns)

    bucket.try_start(later, most=100)

    assert bucket.starts == [MONO] * rate.burst + [later] * rate.burst


def test_a_rate_is_used_up_to_the_last_token() -> None:
    bucket = Bucket(Limits(rates=(Rate(10.0, SECOND, 3),)))

    for tick in range(1_000):
        bucket.try_start(mono(tick / 1_000), most=5)

    assert len(bucket.starts) == 3 + 9  # the burst, and one each 100 ms after it


def test_several_rates_wait_for_the_slowest() -> None:
    """Semantics 3.3."""
    paces = (Spacing(SECOND, 1), Spacing(HOUR, 2))
    tats = (mono(5), mono(3_000))

    assert token_at(paces, tats) == mono(5)
    assert token_at(paces, (mono(5), mono(9_000))) == mono(9_000 - 3_600)


def test_waiting_reserves_nothing() -> None:
    """Semantics 3.3: what one rate refuses costs the other nothing."""
    bucket = Bucket(Limits(rates=(Rate(1.0, SECOND, 1), Rate(10.0, SECOND, 10))))
    bucket.try_start(MONO)
    before = bucket.tats

    bucket.try_start(mono(0.5))

    assert bucket.tats == before


@pytest.mark.parametrize(
    ("rate", "per_ns", "burst"),
    [
        (1.0, SECOND, 1),
        (50.0, SECOND, 1),
        (50.001, SECOND, 2),
        (100.0, SECOND, 2),
        (2_000.0, SECOND, 40),
        (1_000.0, HOUR, 1),
        (0.1, SECOND, 1),
    ],
)
def test_a_burst_that_nobody_gave_is_a_fiftieth_of_a_second(
    rate: float, per_ns: int, burst: int
) -> None:
    """Semantics 3.1: `max(1, ceil(r/50))`."""
    assert default_burst(rate, per_ns) == burst


@pytest.mark.parametrize(
    ("rate", "percent", "expected"),
    [
        (Rate(10.0, SECOND, 10), 100, Spacing(100_000_000, 10)),
        (Rate(3.0, SECOND, 1), 100, Spacing(333_333_334, 1)),  # up: a third is no integer
        (Rate(10.0, SECOND, 10), 25, Spacing(400_000_000, 2)),  # 2.5 starts, rounded down
        (Rate(10.0, SECOND, 10), 5, Spacing(2_000_000_000, 1)),  # at least one start
        (Rate(2_000.0, SECOND, 40), 50, Spacing(1_000_000, 20)),
        (Rate(1_000.0, HOUR, 1), 100, Spacing(3_600_000_000, 1)),
    ],
)
def test_intervals_are_rounded_up_and_bursts_down(
    rate: Rate, percent: int, expected: Spacing
) -> None:
    """Style 4: round towards the promise."""
    assert spacings(Limits(rates=(rate,)), percent) == (expected,)


@pytest.mark.parametrize(
    ("concurrency", "percent", "expected"),
    [(32, 100, 32), (32, 50, 16), (32, 5, 1), (1, 5, 1), (39, 10, 3), (100_000, 1, 1_000)],
)
def test_a_share_of_the_slots_is_at_least_one(
    concurrency: int, percent: int, expected: int
) -> None:
    """Semantics 4.4."""
    assert slots(Limits(concurrency=concurrency), percent) == expected


# --- other limits from an instant on ----------------------------------------------------------


@given(RATES, RATES, GAPS, GAPS, st.integers(1, 15))
def test_a_window_across_one_change_holds_the_larger_burst_and_both_rates(
    old: Rate, new: Rate, before: list[int], after: list[int], most: int
) -> None:
    """Semantics 3.6, for limits raised and lowered: what was spent stays spent."""
    bucket = Bucket(Limits(rates=(old,)))
    now = MONO
    for gap_ns in before:
        now = Mono(now + gap_ns)
        bucket.try_start(now, most=most)
    changed_at, count_before = now, len(bucket.starts)
    bucket.change(Limits(rates=(new,)), changed_at)
    for gap_ns in after:
        now = Mono(now + gap_ns)
        bucket.try_start(now, most=most)

    old_per_ns = Fraction(old.rate) / old.per_ns
    new_per_ns = Fraction(new.rate) / new.per_ns
    burst = max(old.burst, new.burst)
    starts = bucket.starts
    for first in range(count_before):
        for last in range(count_before, len(starts)):
            allowed = (
                burst
                + old_per_ns * (changed_at - starts[first])
                + new_per_ns * (starts[last] - changed_at)
            )
            assert last - first + 1 <= allowed
    assert worst_excess(starts[:count_before], old) <= 0
    assert worst_excess(starts[count_before:], new) <= 0


@given(
    RATES,
    GAPS,
    st.lists(st.sampled_from([1, 5, 10, 25, 33, 50, 100]), min_size=40, max_size=40),
    st.sampled_from([1, 3, 12]),
)
def test_shares_that_rise_and_fall_keep_the_whole_of_the_limits(
    rate: Rate, gaps_ns: list[int], shares: list[int], most: int
) -> None:
    """Semantics 3.1 across 4.4: no step of a ramp gives back what was spent."""
    limits = Limits(rates=(rate,))
    bucket = Bucket(limits)
    now = MONO
    for gap_ns, share in zip(gaps_ns, shares, strict=False):
        now = Mono(now + gap_ns)
        bucket.try_start(now, most=most)
        bucket.change(limits, now, percent=share)

    assert worst_excess(bucket.starts, rate) <= 0


@given(RATES, st.integers(0, 20), st.integers(0, 10 * SECOND))
def test_the_same_limits_again_change_nothing(rate: Rate, spent: int, gap_ns: int) -> None:
    bucket = Bucket(Limits(rates=(rate,)))
    bucket.try_start(MONO, most=spent)
    now = Mono(MONO + gap_ns)
    before = token_at(bucket.paces, bucket.tats)

    bucket.change(Limits(rates=(rate,)), now)

    assert max(now, token_at(bucket.paces, bucket.tats)) == max(now, before)


def test_lower_limits_make_nobody_wait_longer_than_they_say() -> None:
    """Thirty spent starts of a burst are no debt under a burst of two."""
    old = Allowed(Limits(rates=(Rate(1.0, SECOND, 30),)))
    new = Allowed(Limits(rates=(Rate(1.0, MINUTE, 2),)))

    carried = carried_tats(old, (mono(30),), new, MONO)

    assert carried == (mono(120),)
    assert token_at(new.paces, carried) == mono(60)


def test_a_rate_that_was_not_there_begins_with_a_full_bucket() -> None:
    old = Allowed(Limits(rates=(Rate(1.0, SECOND, 1),)))
    new = Allowed(Limits(rates=(Rate(1.0, SECOND, 1), Rate(1.0, HOUR, 5))))

    assert carried_tats(old, (mono(1),), new, MONO) == (mono(1), MONO)


def test_a_rate_that_is_taken_away_is_forgotten() -> None:
    old = Allowed(Limits(rates=(Rate(1.0, SECOND, 1), Rate(1.0, HOUR, 5))))
    new = Allowed(Limits(rates=(Rate(1.0, SECOND, 1),)))

    assert carried_tats(old, (mono(1), mono(7)), new, MONO) == (mono(1),)


def test_the_later_of_two_records_counts_rate_by_rate() -> None:
    assert later_tats((mono(1), mono(9)), (mono(2), mono(3))) == (mono(2), mono(9))
    assert later_tats((mono(1),), ()) == (mono(1),)


# --- after a crash ----------------------------------------------------------------------------


@given(
    LIMITS,
    st.lists(st.integers(0, 2 * SECOND), min_size=1, max_size=25),
    st.lists(st.integers(0, GRANT_LIFETIME_NS), min_size=25, max_size=25),
    st.integers(0, 2 * SECOND),
    GAPS,
)
def test_a_restart_keeps_the_limit_though_grants_lay_unsent(
    limits: Limits, gaps_ns: list[int], lay_ns: list[int], down_ns: int, after: list[int]
) -> None:
    """Semantics 3.5 over what was really sent: each grant up to a second after its slot, and the
    pacer's own spacing of what came late."""
    bucket = Bucket(limits)
    sender = Bucket(limits)
    sent: list[int] = []
    now = MONO
    for gap_ns, late_ns in zip(gaps_ns, lay_ns, strict=False):
        now = Mono(now + gap_ns)
        slot_at = max(now, token_at(bucket.paces, bucket.tats))
        bucket.tats = spend(bucket.paces, bucket.tats, slot_at)
        released = max(slot_at + late_ns, sent[-1] if sent else 0)
        at = max(Mono(released), token_at(sender.paces, sender.tats))
        if at > slot_at + GRANT_LIFETIME_NS:
            continue  # void
        sender.tats = spend(sender.paces, sender.tats, at)
        sent.append(at)
    restarted_at = Mono(max(sent[-1] if sent else now, now) + down_ns)

    bucket.tats = tats_after_crash(bucket.paces, bucket.tats, restarted_at)
    now = restarted_at
    for gap_ns in after:
        now = Mono(now + gap_ns)
        bucket.try_start(now, most=15)

    assert excess_over([*sent, *bucket.starts], limits.rates) <= 0


def test_after_a_crash_the_last_grant_counts_as_sent_a_second_after_its_slot() -> None:
    """Semantics 3.5 and 3.8: it may have left at the end of its life."""
    paces = (Spacing(10 * SECOND, 1),)

    restored = tats_after_crash(paces, (mono(10),), mono(1))  # started at 0

    assert token_at(paces, restored) == mono(11)


def test_a_long_rest_leaves_nothing_of_a_crash() -> None:
    paces = (Spacing(SECOND, 3),)

    restored = tats_after_crash(paces, (mono(-3_600),), MONO)

    assert token_at(paces, restored) <= MONO - 3_590 * SECOND


def test_a_bucket_is_never_emptier_than_empty() -> None:
    """A second of 1,000/s is a thousand starts; a bucket of two cannot owe them."""
    paces = (Spacing(MILLISECOND, 2),)

    restored = tats_after_crash(paces, (MONO,), MONO)

    assert restored == (Mono(MONO + 2 * MILLISECOND),)


@given(RATES, st.integers(-10 * SECOND, 10 * SECOND), st.integers(0, 20 * SECOND))
def test_a_crash_makes_no_token_come_earlier(rate: Rate, spent_ns: int, down_ns: int) -> None:
    paces = spacings(Limits(rates=(rate,)))
    tats = (Mono(MONO + spent_ns),)

    restored = tats_after_crash(paces, tats, Mono(MONO + down_ns))

    assert restored >= tats
