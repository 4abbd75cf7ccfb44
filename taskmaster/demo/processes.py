"""The demonstration's processes: two applications, the server, the naive loop.

Rules of residence: starts, kills and asks. Children are started without an await in between, so
that no cancellation can lose one; leaving the block kills what is left of them.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import httpx
import msgspec

from taskmaster.demo.application import Counts, Record
from taskmaster.errors import UnavailableError

READY_S = 30
ROOT = str(Path(__file__).resolve().parents[2])


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """Child processes by name. Their folder holds the store and what they wrote to stderr."""

    def __init__(self, folder: Path) -> None:
        """None yet."""
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._http = httpx.AsyncClient(trust_env=False, timeout=10)

    async def __aenter__(self) -> "Processes":
        """Start with none."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Kill and reap every child, then close."""
        self.kill_all()
        await self._http.aclose()

    def kill_all(self) -> None:
        """SIGKILL to every child."""
        for name in list(self._children):
            self.kill(name)

    def start(self, name: str, *arguments: str) -> None:
        """Start `python -m ARGUMENTS`, with none of the caller's own settings."""
        environment = {key: value for key, value in os.environ.items() if "TASKMASTER" not in key}
        with (self._folder / f"{name}.err").open("wb") as stderr:
            self._children[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self._folder,
                env={**environment, "PYTHONPATH": ROOT},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def kill(self, name: str) -> None:
        """SIGKILL, and reap it."""
        child = self._children.pop(name)
        child.kill()
        child.wait()

    async def serve(self, port: int) -> None:
        """Start the server on the folder's store, and wait until it takes tasks."""
        settings = self._folder / "taskmaster.toml"
        settings.write_text("", "utf-8")
        flags = ("--store", "demo.db", "--port", str(port), "--config", str(settings))
        self.start("server", "taskmaster.cli.main", "serve", *flags)
        await self._until("server", lambda: self._get(port, "/readyz"))

    async def application(self, name: str, port: int, control_port: int) -> None:
        """Start an application, and wait until it answers."""
        self.start(name, "taskmaster.demo.application", str(port), str(control_port))
        await self._until(name, lambda: self._get(control_port, "/counts"))

    async def _until(self, name: str, ask: Callable[[], Coroutine[None, None, bytes]]) -> None:
        for _ in range(READY_S * 20):
            try:
                await ask()
            except httpx.HTTPError:
                if self._children[name].poll() is not None:
                    break
                await asyncio.sleep(0.05)
            else:
                return
        said = (self._folder / f"{name}.err").read_text("utf-8", "replace").strip()
        raise UnavailableError(
            f"the demonstration's {name} did not start: {said.rpartition(chr(10))[2]}",
            remedy="see whether `taskmaster doctor` finds the reason",
        )

    async def _get(self, port: int, path: str) -> bytes:
        answer = await self._http.get(f"http://127.0.0.1:{port}{path}")
        return answer.raise_for_status().content

    async def tell(self, control_port: int, path: str) -> None:
        """Tell an application to go down or come back."""
        await self._get(control_port, path)

    async def counts(self, control_port: int) -> Counts:
        """How an application stands."""
        return msgspec.json.decode(await self._get(control_port, "/counts"), type=Counts)

    async def record(self, control_port: int) -> Record:
        """Everything that an application saw."""
        return msgspec.json.decode(await self._get(control_port, "/record"), type=Record)
