"""A server in a process of its own, started by the command line, as users start it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
LISTENING = re.compile(rb"listening on (http://\S+:(\d+))")
GRPC = re.compile(rb"listening on grpc://(\S+:\d+)")
COMMAND = (sys.executable, "-m", "taskmaster.cli.main")


def environment(**more: str) -> dict[str, str]:
    """What a command of a test sees: nothing of who runs the test."""
    own = ("TASKMASTER_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


class ServerProcess:
    """`taskmaster serve`; ends with the block."""

    def __init__(
        self,
        store: Path,
        *flags: str,
        port: int = 0,
        host: str = "127.0.0.1",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`flags` and `settings` (in the environment) beside the usual ones."""
        self.store = store
        self._log = store.with_suffix(".stderr")
        with self._log.open("wb") as log:
            flags = ("--store", str(store), "--host", host, "--port", str(port), *flags)
            self.process = subprocess.Popen(
                [*COMMAND, "serve", *flags],
                env=environment(**settings or {}),
                stderr=log,
                stdout=log,
            )
        self.url, self.port, self.grpc = "", 0, ""

    def __enter__(self) -> Self:
        while not (found := LISTENING.search(self.said())):
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(self.said().decode())
        self.url, self.port = found[1].decode(), int(found[2])
        if grpc := GRPC.search(self.said()):  # said before
            self.grpc = grpc[1].decode()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def said(self) -> bytes:
        return self._log.read_bytes()

    def stop(self, by: int = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.process.wait(30)
