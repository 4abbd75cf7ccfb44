"""What the attempts of a gate came to lately, by the second.

Rules of residence: pure counts, a part of the gate's fold; what they mean is `recovery.py`'s.
"""

from msgspec import Struct

from taskmaster.events.types import SECOND, Wall

KEPT_SECONDS = 120
"""Outcomes older than this are forgotten; no trip window may be longer."""


class Bucket(Struct, frozen=True, gc=False):
    """Attempts that ended in one second; `failed` is the endpoint's fault. The others took
    `took_ns` together."""

    second: int
    ended: int
    failed: int
    took_ns: int = 0


def failed_by(buckets: tuple[Bucket, ...], failed: int, at: Wall) -> int:
    """Of `failed`, the sum of the buckets, those still remembered when something ends at `at`."""
    if not failed:
        return 0
    oldest = at // SECOND - KEPT_SECONDS
    newest = buckets[-1].second
    if newest >= at // SECOND:
        return failed
    return sum(bucket.failed for bucket in buckets if bucket.second >= oldest)


def counted(
    buckets: tuple[Bucket, ...], at: Wall, *, failed: int = 0, took_ns: int = 0
) -> tuple[Bucket, ...]:
    """The buckets with one more attempt, which ended at `at`; a late one is in the newest."""
    second = at // SECOND
    if buckets and buckets[-1].second >= second:
        last = buckets[-1]
        ended, failed = last.ended + 1, last.failed + failed
        return (*buckets[:-1], Bucket(last.second, ended, failed, last.took_ns + took_ns))
    kept = buckets
    if buckets and buckets[0].second < second - KEPT_SECONDS:
        kept = tuple(b for b in buckets if b.second >= second - KEPT_SECONDS)
    return (*kept, Bucket(second, 1, failed, took_ns))
