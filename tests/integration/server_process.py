"""A server in a process of its own, started by the command line, as users start it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
LISTENING = re.compile(rb"listening on (http://\S+:(\d+))")
COMMAND = (sys.executable, "-m", "taskmaster.cli.main")


def environment(**more: str) -> dict[str, str]:
    """What a command of a test sees: nothing of who runs the test."""
    own = ("TASKMASTER_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


class ServerProcess:
    """`taskmaster serve`; ends with the block."""

    def __init__(self, store: Path, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self.store = store
        self._log = store.with_suffix(".stderr")
        with self._log.open("wb") as log:
            flags = ["--store", str(store), "--host", host, "--port", str(port)]
            self.process = subprocess.Popen(
                [*COMMAND, "serve", *flags], env=environment(), stderr=log, stdout=log
            )
        self.url, self.port = "", 0

    def __enter__(self) -> Self:
        while not (found := LISTENING.search(self.said())):
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(self.said().decode())
        self.url, self.port = found[1].decode(), int(found[2])
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def said(self) -> bytes:
        return self._log.read_bytes()

    def stop(self, by: int = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return self.process.wait(30)
