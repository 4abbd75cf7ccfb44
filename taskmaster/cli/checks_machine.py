"""Checks of `doctor` on Python, packages, settings, clock, zones and open files.

Rules of residence: each looks, and changes nothing.
"""

import ctypes
import os
import platform
import resource
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import taskmaster
from taskmaster.cli.checks import Finding, fail, ok, warn
from taskmaster.errors import TaskMasterError
from taskmaster.settings import Settings, load

PYTHON_MIN = (3, 11)
SPARE_FILES = 128
"""Of the log, its readers, callers of the API, and what Python needs itself."""
TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised."""
TIMEX_BYTES = 512
"""struct timex is 208 bytes on 64 bits."""


def python() -> Finding:
    """The version; CPython only, for the event loop is written for it."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info[:2] < PYTHON_MIN:
        return fail("python", version, "use 3.11 or newer")
    return ok("python", version)


def packages() -> Finding:
    """Each pinned dependency, in the version that was tried."""
    wrong: list[str] = []
    missing: list[str] = []
    pinned = _pinned()
    for name, wanted in pinned.items():
        try:
            there = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if there != wanted:
            wrong.append(f"{name} {there} instead of {wanted}")
    remedy = "start it by bin/taskmaster, which installs what is pinned"
    if missing:
        return fail("packages", f"{', '.join(missing)} not installed", remedy)
    if wrong:
        return warn("packages", ", ".join(wrong), remedy)
    return ok("packages", f"all {len(pinned)} as pinned")


def _pinned() -> dict[str, str]:
    """From the source tree, or from what was installed."""
    project = Path(taskmaster.__file__).parents[1] / "pyproject.toml"
    if project.is_file():
        lines = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    else:
        lines = [line for line in metadata.requires("taskmaster") or () if ";" not in line]
    pairs = (line.partition("==") for line in lines)
    # an extra, as in psycopg[binary], is no part of the name
    return {
        name.partition("[")[0].strip(): version.strip() for name, sign, version in pairs if sign
    }


def settings(flags: Mapping[str, object], config: Path | None) -> tuple[Settings, Finding]:
    """The settings that a server would have; those by default where they cannot be read."""
    try:
        loaded = load(flags, file=config)
    except TaskMasterError as error:
        return Settings(), fail("settings", error.message, error.remedy)
    set_ones = sum(origin != "default" for origin in loaded.origins.values())
    return loaded.settings, ok("settings", f"{set_ones} set, the others by default")


def clock() -> Finding:
    """Whether something keeps the clock right: due times are wall-clock times."""
    buffer = ctypes.create_string_buffer(TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return warn("clock", "this system does not say whether it is right", "run an NTP client")
    if state == TIME_ERROR:
        return warn("clock", "it is not synchronised", "run an NTP client, such as chrony")
    if state < 0:
        reason = os.strerror(ctypes.get_errno())
        return warn("clock", f"cannot tell whether it is right: {reason}", "run an NTP client")
    return ok("clock", "synchronised")


def zones() -> Finding:
    """Whether cron's time zones can be found, and how old their rules are."""
    try:
        ZoneInfo("Europe/Berlin")
        version = metadata.version("tzdata")
    except (ZoneInfoNotFoundError, metadata.PackageNotFoundError) as error:
        return fail("zone data", str(error), "install tzdata")
    return ok("zone data", f"tzdata {version}")


def open_files(in_flight: int) -> Finding:
    """Each attempt in flight is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = in_flight + SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= 2 * needed:
        return ok("open files", f"limit {_limit(soft)}")
    what = f"limit {soft}, and {in_flight} attempts may be in flight"
    remedy = f"raise it: ulimit -n {min(4 * needed, hard) if hard > 0 else 4 * needed}"
    if soft < needed:
        return fail("open files", what, f"{remedy}, or set delivery.in_flight lower")
    return warn("open files", what, remedy)


def _limit(count: int) -> str:
    return "none" if count == resource.RLIM_INFINITY else str(count)
