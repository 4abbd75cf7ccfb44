"""The arms: with which settings a gate stands before the endpoint, as the API takes them.

Rules of residence: settings and the rules of the tasks, the same for the real run and its
simulated twin.
"""

from typing import Literal

Arm = Literal["naive", "fixed", "ramped", "adaptive"]
GATED: tuple[Arm, ...] = ("fixed", "ramped", "adaptive")
RIGHT, WRONG = 250, 1_000
"""Rates a second: 78 % of what the endpoint completes when warm, and three times as much."""
TIMEOUT_S = 2.0
MAX_ATTEMPTS = 10
RETRY = {"max_attempts": MAX_ATTEMPTS, "min_backoff": "1s", "max_backoff": "30s"}

RECOVERY: dict[Arm, dict[str, object]] = {
    "fixed": {
        "trip_failures": 1_000,
        "trip_ratio": 1.0,
        "trip_min_attempts": 100_000,
        "ramp_steps": "off",
    }
}
"""A fixed gate neither trips nor ramps, as far as settings allow; the others do by default."""


def gate(arm: Arm, rate: int) -> dict[str, object]:
    """The gate of an arm. Its concurrency is what the rate alone comes to when every attempt
    times out, as of one who knows no more of the endpoint than a rate."""
    settings: dict[str, object] = {"limits": {"rate": rate, "concurrency": round(rate * TIMEOUT_S)}}
    if arm in RECOVERY:
        settings["recovery"] = RECOVERY[arm]
    if arm == "adaptive":
        settings["adaptive"] = {}
    return settings
