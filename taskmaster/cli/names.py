r"""Names of gates and series for a shell that completes a word, within 200 ms.

Rules of residence: nothing heavy is imported, for that takes longer than the answer: no cyclopts,
no httpx. Whatever goes wrong, nothing is offered and nothing is said. The protocol is that of
cyclopts' completion scripts: one candidate a line behind a line of `\x1fbegin`.
"""

import os
from collections.abc import Sequence

BUDGET_S = 0.12
"""For the question to the server; the rest of the 200 ms is Python's start."""
NAMES_MAX = 500
FLAGS = {"--gate": "gates", "-g": "gates", "--series": "series"}
NOUNS = {"gate": "gates", "series": "series"}


def complete(words: Sequence[str]) -> int:
    """Print candidates for the last of `words`, the command line after the program's name."""
    print("\n\x1fbegin")
    kind, prefix = asked(words)
    for name in _names(kind) if kind else ():
        if name.startswith(prefix):
            print(name)
    return 0


def asked(words: Sequence[str]) -> tuple[str, str]:
    """Which names a command line asks for (`gates`, `series` or nothing), and their start."""
    if len(words) < 2:
        return "", ""
    *before, last = words
    flag, sign, value = last.partition("=")
    if sign and flag in FLAGS:
        return FLAGS[flag], value
    if before[-1] in FLAGS:
        return FLAGS[before[-1]], last
    is_name = len(before) >= 2 and not last.startswith("-") and not before[-1].startswith("-")
    return (NOUNS[before[0]], last) if is_name and before[0] in NOUNS else ("", "")


def gate_names(context: object) -> list[str]:
    """Marks a parameter as a gate's name: completion scripts then call `__complete`."""
    del context
    return _names("gates")


def series_names(context: object) -> list[str]:
    """Marks a parameter as a series' name."""
    del context
    return _names("series")


def _names(kind: str) -> list[str]:
    import http.client
    from urllib.parse import urlsplit

    from msgspec import Struct, json

    class Item(Struct):
        gate: str = ""
        series: str = ""

    class Found(Struct):
        items: list[Item]

    try:
        url = urlsplit(os.environ.get("TASKMASTER_URL") or "http://127.0.0.1:8123")
        secure = url.scheme == "https"
        connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        server = connection(url.hostname or "", url.port, timeout=BUDGET_S)
        token = os.environ.get("TASKMASTER_TOKEN", "")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        server.request("GET", f"{url.path}/v1/{kind}?limit={NAMES_MAX}", headers=headers)
        found = json.decode(server.getresponse().read(), type=Found)
        return [item.gate if kind == "gates" else item.series for item in found.items]
    except (OSError, ValueError, http.client.HTTPException):
        return []
