"""One life of the real server, as the command starts it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.harness.until import ROOT, ended, until

START_S = 30
LISTENING = re.compile(r"listening on (http://\S+)")


class Server:
    """A process; its stderr goes to a file."""

    def __init__(
        self,
        store: Path | str,
        stderr: Path,
        *,
        settings: Mapping[str, str] | None = None,
        crash_at: str = "",
        poison: str = "",
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix` is a command that runs the server, such as nsenter."""
        self._stderr = stderr
        environ = {name: value for name, value in os.environ.items() if "TASKMASTER" not in name}
        environ |= {"PYTHONPATH": str(ROOT), "TASKMASTER_LOG__FORMAT": "json", **(settings or {})}
        if crash_at:
            environ["TASKMASTER_CRASH_AT"] = crash_at
        if poison:
            environ["TASKMASTER_POISON"] = poison
        serve = [sys.executable, "-m", "taskmaster.cli.main", "serve", "--store", str(store)]
        with stderr.open("wb") as file:
            self.process = subprocess.Popen(
                [*prefix, *serve, "--host", "127.0.0.1", "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                cwd=stderr.parent,  # no taskmaster.toml there
                env=environ,
            )
        self.url = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        """What it wrote to stderr so far."""
        return self._stderr.read_text("utf-8", "replace")

    def is_listening(self) -> bool:
        """Whether it serves; from then on `url` is set."""
        found = LISTENING.search(self.said)
        if found is not None:
            self.url = found[1]
        return found is not None

    async def listening(self) -> bool:
        """Wait until it serves or has ended; whether it serves."""
        await until(
            "the server listens or ends",
            lambda: self.is_listening() or self.process.poll() is not None,
            START_S,
        )
        return bool(self.url)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        ended(self.process)

    async def has_ended(self, deadline_s: float) -> bool:
        """Whether it ends by itself before the deadline."""
        try:
            await until("the server ends", lambda: self.process.poll() is not None, deadline_s)
        except AssertionError:
            return False
        return True

    async def exit_code(self, deadline_s: float = 20) -> int:
        """Wait until it has ended by itself."""
        await until(
            f"the server ends ({self.said[-500:]})",
            lambda: self.process.poll() is not None,
            deadline_s,
        )
        return self.process.wait()
