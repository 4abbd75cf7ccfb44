"""Page tokens: where a list goes on, opaque and signed.

Rules of residence: a token holds a place in one list under one filter, never an offset. It is good
for this life of the process only, which costs a reader of long lists one fresh start.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import msgspec
from msgspec import Struct

from taskmaster.api.problems import ProblemError, stop

LIMIT = 100
MAX_LIMIT = 1_000
SIGNATURE_BYTES = 16


class Place(Struct, frozen=True, array_like=True):
    """Behind what a page begins: a position, or a name."""

    of: str
    position: int = 0
    name: str = ""


_decoder = msgspec.json.Decoder(Place)


class Pager:
    """Makes and reads page tokens."""

    def __init__(self, secret: bytes) -> None:
        """Sign with `secret`."""
        self._secret = secret

    def token(self, of: str, *, position: int = 0, name: str = "") -> str:
        """The token for what lies behind a place in the list `of` (its name and filter)."""
        place = msgspec.json.encode(Place(_short(of), position, name))
        return urlsafe_b64encode(self._sign(place) + place).decode().rstrip("=")

    def place(self, of: str, token: str) -> Place:
        """Where a token leads.

        Raises:
            ProblemError: it is not one of ours, or belongs to another list or filter.
        """
        try:
            raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except ValueError:  # UnicodeEncodeError and binascii.Error too
            raise _stale() from None
        signature, content = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(content)):
            raise _stale()
        place = _decoder.decode(content)
        if place.of != _short(of):
            raise _stale()
        return place

    def _sign(self, content: bytes) -> bytes:
        return blake2b(content, digest_size=SIGNATURE_BYTES, key=self._secret).digest()


def _short(of: str) -> str:
    return blake2b(of.encode("utf-8", "replace"), digest_size=9).hexdigest()


def _stale() -> ProblemError:
    return stop(
        "stale_page_token",
        "page_token was changed, belongs to another list or filter, or to an earlier life of the"
        " server",
        pointer="/page_token",
        remedy="begin again without page_token",
    )
