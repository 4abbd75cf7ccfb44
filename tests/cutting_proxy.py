"""A proxy before PostgreSQL that cuts the connection around a COMMIT."""

import socket
import threading
from pathlib import Path
from typing import Literal

from taskmaster.events.closing import Closing

Cut = Literal["", "before", "after", "held"]
COMMIT = b"COMMIT\x00"


class CuttingProxy(Closing):
    """Listens on a socket in a folder and hands everything on.

    With `cut` set, the next COMMIT is lost on its way (`before`), or its answer is (`after`), or it
    is lost while the server keeps its side open (`held`, until `release`).
    """

    def __init__(self, folder: Path, target: Path) -> None:
        """Hand on to the server's socket `target`."""
        self.cut: Cut = ""
        self.cuts = 0
        self.folder = folder
        self._target = target
        self._released = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def release(self) -> None:
        """Let go of what is held."""
        self._released.set()

    def close(self) -> None:
        """Close the listener and let go."""
        self.release()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._target))
            answered = threading.Event()
            for hand_on in (self._from_client, self._from_server):
                args = (client, server, answered)
                threading.Thread(target=hand_on, args=args, daemon=True).start()

    def _from_client(
        self, client: socket.socket, server: socket.socket, answered: threading.Event
    ) -> None:
        while data := _received(client):
            if self.cut and COMMIT in data:
                if self.cut == "after":
                    server.sendall(data)
                    answered.wait(20)  # it is durable, and its answer is not handed on
                cut, self.cut = self.cut, ""
                self.cuts += 1
                _shut(client)
                if cut == "held":
                    self._released.wait(20)
                break
            try:
                server.sendall(data)
            except OSError:  # it has closed, or the other thread shut it
                break
        _shut(server)

    def _from_server(
        self, client: socket.socket, server: socket.socket, answered: threading.Event
    ) -> None:
        while data := _received(server):
            if self.cut == "after" and data.startswith(b"C"):
                answered.set()
                return
            try:
                client.sendall(data)
            except OSError:
                return


def _received(peer: socket.socket) -> bytes:
    try:
        return peer.recv(65_536)
    except OSError:
        return b""


def _shut(peer: socket.socket) -> None:
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
