"""What people write on a command line, as what the API takes.

Rules of residence: parsing only. What the server judges as well (durations, names, ranges) goes
to it as it is written, so that there is one judge.
"""

import base64
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from taskmaster.cli.exits import UsageError
from taskmaster.units import SECOND_NS, parse_duration, parse_instant

Json = dict[str, object]


def seconds(text: str, *, flag: str) -> float:
    """A duration such as `15m` or `PT15M`, in seconds."""
    duration_ns = parse_duration(text)
    if duration_ns is None or duration_ns < 0:
        raise UsageError(
            f"{flag} is no duration ({text})", remedy="write it as 15m, 2h30m, 250ms or PT15M"
        )
    return duration_ns / SECOND_NS


def instant(text: str | None) -> str | None:
    """An instant as it is; a duration as the instant that far from now."""
    duration_ns = parse_duration(text) if text else None
    if duration_ns is None:
        return text
    at = datetime.now(UTC) + timedelta(microseconds=duration_ns / 1_000)
    return at.isoformat().replace("+00:00", "Z")


def past_ns(text: str, *, flag: str) -> int:
    """An instant, or a duration before now, in nanoseconds of the wall clock."""
    duration_ns = parse_duration(text)
    if duration_ns is not None:
        return time.time_ns() - duration_ns
    at_ns = parse_instant(text)
    if at_ns is None:
        raise UsageError(
            f"{flag} is no instant ({text})", remedy="write it as 2026-01-31T12:00:00Z, or 2h"
        )
    return at_ns


def headers(lines: Sequence[str]) -> dict[str, str] | None:
    """`Name: value`, as curl takes it."""
    return _pairs(lines, ":", flag="--header", example="--header 'Content-Type: text/plain'")


def labels(given: Sequence[str]) -> dict[str, str] | None:
    """`name=value`."""
    return _pairs(given, "=", flag="--label", example="--label team=blue")


def body(text: str | None) -> Json:
    """Text as it is, `@file` from a file, `-` from stdin; in base64 if it is no UTF-8."""
    if text is None:
        return {}
    if text != "-" and not text.startswith("@"):
        return {"body": text}
    content = sys.stdin.buffer.read() if text in {"-", "@-"} else read_file(text[1:])
    try:
        return {"body": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(content).decode("ascii")}


def read_file(path: str) -> bytes:
    """The bytes of a file that a flag names; `-` is stdin."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", remedy="name a file that can be read, or -"
        ) from error


def fields_of(path: str) -> Json:
    """An object from a file of JSON or YAML."""
    content = read_file(path)
    try:
        return msgspec.yaml.decode(content, type=Json)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UsageError(
            f"{path} holds no object of JSON or YAML: {error}".splitlines()[0],
            remedy="see what 'gate show NAME -o yaml' prints",
        ) from error


def given(**fields: object) -> Json:
    """The fields that were set."""
    return {name: value for name, value in fields.items() if value is not None}


def _pairs(texts: Sequence[str], by: str, *, flag: str, example: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition(by)
        if not sign or not name.strip():
            raise UsageError(f"{flag} needs a name and a value ({text})", remedy=f"as in {example}")
        found[name.strip()] = value.strip()
    return found or None
