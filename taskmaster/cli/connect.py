"""The client of a command, and lists read through it.

Rules of residence: imported inside commands only, because httpx is behind it.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec
from msgspec import Struct

from taskmaster.cli.view import View

if "httpx" not in sys.modules:
    # httpx imports its own command line (click, rich, pygments) where that is installed: 210 of
    # 360 ms. A None in the table makes the import fail, which httpx expects.
    sys.modules["httpx._main"] = None  # pyright: ignore[reportArgumentType] the import system's way
    import httpx as _httpx

    del sys.modules["httpx._main"], _httpx

from taskmaster.client import Client

if TYPE_CHECKING:
    from taskmaster.client import Call, Page

T = TypeVar("T")

PAGE_MAX = 500
READ_PATIENCE_S = 0.0
"""A person sees sooner that nobody answers."""
CHANGE_PATIENCE_S = 5.0
STREAM_PATIENCE_S = 60.0
"""Long enough for a server to be restarted under a stream of submissions."""


def connect(view: View, *, patience_s: float = READ_PATIENCE_S) -> Client:
    """A client of the server that flags and environment name."""
    return Client(view.url, patience_s=patience_s)


class Found(Struct, Generic[T], frozen=True):
    """A list: typed, and as the server's own document."""

    rows: list[T]
    document: bytes
    next_page_token: str | None


def find(
    client: Client,
    page: "Callable[[int, str], Call[Page[T]]]",
    *,
    limit: int,
    page_token: str = "",
) -> Found[T]:
    """The first `limit` of a list, from a page token on; 0 is all of it."""
    rows: list[T] = []
    raw: list[msgspec.Raw] = []
    token: str | None = page_token
    while token is not None and (limit == 0 or len(rows) < limit):
        size = min(PAGE_MAX, limit - len(rows)) if limit else PAGE_MAX
        call = page(size, token)
        answer = client.answer(call)
        rows += client.read(call, answer).items
        some = msgspec.json.decode(answer.body, type=_RawPage)
        raw += some.items
        token = some.next_page_token
    return Found(rows, msgspec.json.encode(_RawPage(raw, token)), token)


class _RawPage(Struct):
    items: list[msgspec.Raw]
    next_page_token: str | None = None
