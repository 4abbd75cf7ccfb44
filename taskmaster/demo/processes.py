"""The demonstration's processes: two applications, the server, the naive loop.

Rules of residence: starts, kills and asks; always cleans up.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import msgspec

from taskmaster.demo.application import Seen

READY_S = 20
ROOT = str(Path(__file__).resolve().parents[2])


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """Child processes by name; leaving the block kills what is left of them."""

    def __init__(self) -> None:
        """None yet."""
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._http = httpx.AsyncClient(trust_env=False, timeout=10)

    async def __aenter__(self) -> "Processes":
        """Start with none."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Kill and reap every child."""
        await self._http.aclose()
        for name in list(self._children):
            await self.kill(name)

    async def start(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        """Start `python -m ARGUMENTS` and return once it has said its first line."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ROOT},
        )
        self._children[name] = child
        assert child.stdout is not None
        async with asyncio.timeout(READY_S):
            await child.stdout.readline()
        return child

    async def serve(self, store: Path, port: int) -> None:
        """Start the server on a store, and wait until it is ready."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "taskmaster.cli.main",
            "serve",
            "--store",
            str(store),
            "--port",
            str(port),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": ROOT, "TASKMASTER_LOG__LEVEL": "error"},
        )
        self._children["server"] = child
        async with asyncio.timeout(READY_S):
            while not await self._is_ready(port):
                await asyncio.sleep(0.05)

    async def _is_ready(self, port: int) -> bool:
        try:
            answer = await self._http.get(f"http://127.0.0.1:{port}/readyz")
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    async def kill(self, name: str) -> None:
        """SIGKILL, and wait for the end."""
        child = self._children.pop(name)
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL)
        await child.wait()

    async def tell(self, port: int, path: str) -> None:
        """Tell an application to go down or come back."""
        await self._http.post(f"http://127.0.0.1:{port}{path}")

    async def seen(self, port: int) -> Seen:
        """What an application has seen."""
        answer = await self._http.get(f"http://127.0.0.1:{port}/_seen")
        return msgspec.json.decode(answer.content, type=Seen)
