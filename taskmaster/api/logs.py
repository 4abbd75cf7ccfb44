"""The server's own log: JSON lines on stderr, or lines for people where that is a terminal.

Rules of residence: sets structlog up once, for the process; what is logged is each module's own.
Bodies, header values, query strings and secrets are never logged.
"""

import logging
import sys
from typing import Any, TextIO

import msgspec
import structlog

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def set_up_logs(level: str, form: str, *, place: TextIO | None = None) -> None:
    """Log from `level` on, as `json`, for the `console`, or as the place asks (`auto`)."""
    to: TextIO = place or sys.stderr
    is_json = form == "json" or (form == "auto" and not to.isatty())
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    last: Any = _json if is_json else structlog.dev.ConsoleRenderer(colors=to.isatty())
    structlog.configure(
        processors=[*shared, last] if is_json else [*shared[:2], last],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(to),
        cache_logger_on_first_use=True,
    )


def _json(_logger: Any, _method: str, fields: Any) -> str:
    """One line; what JSON has no form for is shown as Python does."""
    return msgspec.json.encode(fields, enc_hook=repr).decode()
