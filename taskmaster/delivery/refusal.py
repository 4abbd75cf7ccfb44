"""Delivery's no to what a task wants to send.

Rules of residence: one value, which submission turns into a rejected field and a sender into the
outcome `egress`; its text is one line, lower case, and never holds a header's value or a query.
"""

from msgspec import Struct


class Refusal(Struct, frozen=True):
    """No: the field it is about, what is wrong with it, and the remedy."""

    field: str
    message: str
    remedy: str
