"""What a check of `doctor` finds.

Rules of residence: a value; no check lives here.
"""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One check, how it went, what was seen, and what to do about it."""

    check: str
    result: Literal["ok", "warn", "fail"]
    what: str
    remedy: str = ""


def ok(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", what)


def warn(check: str, what: str, remedy: str) -> Finding:
    """It works, though not as well as it could."""
    return Finding(check, "warn", what, remedy)


def fail(check: str, what: str, remedy: str) -> Finding:
    """It will not work."""
    return Finding(check, "fail", what, remedy)
