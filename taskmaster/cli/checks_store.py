"""Checks of `doctor` on the log's file; those of PostgreSQL are `checks_postgres.py`'s.

Rules of residence: reads only; a server that has the file open is not disturbed.
"""

import os
import shutil
from pathlib import Path

from taskmaster.cli.checks import Finding, fail, ok, warn
from taskmaster.errors import TaskMasterError

MIB = 1 << 20
FREE_FAIL = 64 * MIB
FREE_WARN = 1024 * MIB
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "ceph"})


def store(name: str) -> list[Finding]:
    """The file, who may use it, and the disk below it."""
    from taskmaster.events.store import is_postgres

    if is_postgres(name):
        from taskmaster.cli.checks_postgres import postgres

        return postgres(name)
    path = Path(name).absolute()
    return [_file(path), _folder(path.parent), _disk(path.parent)]


def _file(path: Path) -> Finding:
    if not path.exists():
        return ok("store", f"{path} is not there yet: serve makes it")
    if not os.access(path, os.R_OK | os.W_OK):
        return fail(
            "store", f"{path} belongs to uid {path.stat().st_uid}", "run as its owner, or chown it"
        )
    from taskmaster.events.sqlite_read import SQLiteReader

    try:
        with SQLiteReader.open(path) as reader:
            position = reader.position()
    except TaskMasterError as error:
        return fail("store", error.message, error.remedy)
    if path.stat().st_mode & 0o007:
        return warn("store", f"{path} is open to everybody", f"chmod o-rwx {path}")
    return ok("store", f"{path}, {position} events{_owner(path)}")


def _owner(path: Path) -> str:
    """Which process holds the lock beside it. To try the lock would refuse a server that starts
    just then, so the kernel's list is read, where there is one."""
    try:
        inode = path.with_name(path.name + ".lock").stat().st_ino
        locks = Path("/proc/locks").read_text("utf-8").splitlines()
    except OSError:
        return ""
    for fields in (line.split() for line in locks):
        if fields[1:2] == ["FLOCK"] and fields[5].endswith(f":{inode}"):
            return f", open in process {fields[4]}"
    return ""


def _folder(folder: Path) -> Finding:
    if not folder.is_dir():
        return fail("folder", f"{folder} is not there", f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail("folder", f"{folder} cannot be written", "run as its owner")
    kind = _file_system(folder)
    if kind in NETWORK:
        return fail(
            "folder",
            f"{folder} is on {kind}",
            "put the log on a local disk: SQLite needs its locks",
        )
    return ok("folder", f"{folder}{f' on {kind}' if kind else ''}")


def _file_system(folder: Path) -> str:
    """The kind of file system, by the longest mount point above; empty where it is not known."""
    try:
        lines = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:
        return ""
    mounts = [(fields[1], fields[2]) for line in lines if len(fields := line.split()) > 2]
    above = {str(folder), *map(str, folder.parents)}
    found = [(place, kind) for place, kind in mounts if place in above]
    return max(found, key=lambda mount: len(mount[0]))[1] if found else ""


def _disk(folder: Path) -> Finding:
    if not folder.is_dir():
        return warn("disk", f"{folder} is not there", "make it first")
    free = shutil.disk_usage(folder).free
    what = f"{free // MIB:,} MiB free"
    if free < FREE_FAIL:
        return fail("disk", what, "make room: a full disk refuses every submission")
    if free < FREE_WARN:
        return warn("disk", what, "make room")
    return ok("disk", what)
