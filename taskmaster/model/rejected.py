"""A decision's no.

Rules of residence: one value, which the edges translate to a status; its text is one line, lower
case, without secrets.
"""

from typing import Literal

from msgspec import Struct

Code = Literal[
    "invalid_field", "not_found", "conflict", "too_large", "closed", "overloaded", "unavailable"
]


class Rejected(Struct, frozen=True):
    """No, with the field it is about, what is wrong, and the remedy."""

    code: Code
    field: str
    message: str
    remedy: str = ""


def invalid(field: str, message: str, remedy: str) -> Rejected:
    """A field that cannot be accepted."""
    return Rejected("invalid_field", field, message, remedy)
