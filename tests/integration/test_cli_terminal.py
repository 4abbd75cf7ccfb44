"""What a person sees: colour, questions, bars and pictures, on a pseudo-terminal."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmaster.cli import exits
from tests.integration.server_process import COMMAND, ServerProcess, environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("terminal") / "log.db") as running:
        yield running


class Terminal:
    """A command with a terminal around it."""

    def __init__(
        self, line: str, url: str, size: tuple[int, int] = (80, 24), /, **variables: str
    ) -> None:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (size[1], size[0]))
        self._fd = ours
        self._seen = b""
        self._more = threading.Condition()
        self.process = subprocess.Popen(
            [*COMMAND, *line.split()],
            env=environment(TASKMASTER_URL=url, TERM="xterm-256color", **variables),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def until(self, pattern: str, times: int = 1) -> None:
        """Wait for the pattern to be on the terminal."""
        with self._more:
            found = self._more.wait_for(
                lambda: len(re.findall(pattern, self.text())) >= times, timeout=30
            )
        assert found, self.text()

    def text(self) -> str:
        return self._seen.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def end(self) -> tuple[int, str]:
        """The exit code, and all that was on the terminal."""
        code = self.process.wait(30)
        self._reading.join(30)
        os.close(self._fd)
        return code, self.text()

    def _read(self) -> None:
        """Without a reader the terminal fills up, and the command stands still."""
        with contextlib.suppress(OSError):  # the other side is closed
            while more := os.read(self._fd, 4_096):
                with self._more:
                    self._seen += more
                    self._more.notify_all()


def run(line: str, url: str, **variables: str) -> tuple[int, str]:
    return Terminal(line, url, **variables).end()


def test_a_terminal_gets_colour_unless_it_is_unwanted(server: ServerProcess) -> None:
    assert run("gate set coloured --rate 1", server.url)[0] == 0

    assert "\x1b[32mopen" in run("gate show coloured", server.url)[1]
    assert "\x1b" not in run("gate show coloured", server.url, NO_COLOR="1")[1]
    assert "\x1b" not in run("gate show coloured --no-color", server.url)[1]


def test_help_is_drawn_on_a_terminal_and_plain_elsewhere(server: ServerProcess) -> None:
    plain = subprocess.run(
        [*COMMAND, "--help"], env=environment(), capture_output=True, text=True, check=True
    ).stdout

    assert "─" in run("--help", server.url)[1]
    assert plain.isascii()


def test_a_bulk_change_asks_and_heeds_the_answer(server: ServerProcess) -> None:
    assert run("gate set asked --rate 1", server.url)[0] == 0
    assert run("task submit http://127.0.0.1:9/ --gate asked --delay 1h", server.url)[0] == 0

    no = Terminal("gate purge asked", server.url)
    no.until(r"cancel 1 task of asked\? \[y/N\] ")
    no.type("\n")
    assert "nothing was changed" in no.end()[1]

    yes = Terminal("gate purge asked", server.url)
    yes.until(r"\[y/N\] ")
    yes.type("y\n")
    code, text = yes.end()
    assert (code, "1 task cancelled" in text) == (0, True)


def test_watching_draws_over_the_picture_until_interrupted(server: ServerProcess) -> None:
    assert run("gate set drawn --rate 1", server.url)[0] == 0
    watch = Terminal("gate show drawn --watch --interval 100ms", server.url)
    watch.until("open")
    assert run("gate pause drawn", server.url)[0] == 0
    watch.until("paused")

    watch.process.send_signal(signal.SIGINT)
    code, text = watch.end()

    assert code == exits.INTERRUPTED
    assert "\x1b[?1049h" in text
    assert text.endswith("\x1b[?1049l")
    assert "Traceback" not in text


@pytest.mark.parametrize("size", [(80, 24), (150, 40), (50, 16)])
def test_a_watched_gate_is_drawn_as_plots_that_fit(
    server: ServerProcess, size: tuple[int, int]
) -> None:
    assert run("gate set plotted --rate 5", server.url)[0] == 0
    watch = Terminal("gate show plotted --watch --span 1m --interval 100ms", server.url, size)
    watch.until("backlog")
    assert run("task submit http://127.0.0.1:9/ --gate plotted", server.url)[0] == 0
    watch.until("failed/s [^0]")
    watch.until("─")

    watch.process.send_signal(signal.SIGINT)
    code, text = watch.end()

    assert code == exits.INTERRUPTED
    for word in ("in flight", "limit", "latency p50", "state", "─"):
        assert word in text
    frame = re.split(r"\x1b\[H", text)[-2]
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame).rstrip("\r\n").split("\n")
    assert len(lines) <= size[1]
    assert max(len(line.rstrip()) for line in lines) <= size[0]


def test_a_watched_gate_without_a_terminal_is_one_plain_picture(server: ServerProcess) -> None:
    assert run("gate set plain --rate 5", server.url)[0] == 0

    done = subprocess.run(
        [*COMMAND, "gate", "show", "plain", "--watch"],
        env=environment(TASKMASTER_URL=server.url),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) <= 24
    assert max(map(len, done.stdout.splitlines())) == 80
    coloured = run("gate show plain --watch --span 2s", server.url)
    assert coloured[0] == exits.USAGE


def test_a_picture_without_colour_has_no_colour(server: ServerProcess) -> None:
    assert run("gate set grey --rate 5", server.url)[0] == 0
    watch = Terminal("gate show grey --watch", server.url, NO_COLOR="1")
    watch.until("latency")
    watch.process.send_signal(signal.SIGINT)

    assert "\x1b[3" not in watch.end()[1]


def test_a_bar_is_drawn_for_long_work(server: ServerProcess, tmp_path: Path) -> None:
    assert run("gate set bar --rate 1", server.url)[0] == 0
    assert run("gate pause bar", server.url)[0] == 0
    pipe = tmp_path / "lines"
    os.mkfifo(pipe)
    submit = Terminal(f"task submit --file {pipe} -o name", server.url)
    line = b'{"url":"http://127.0.0.1:9/","gate":"bar"}\n'
    with pipe.open("wb") as lines:
        written = 0
        while "submitting" not in submit.text():
            lines.write(line * 100)
            lines.flush()
            written += 100
            submit.until("[0-9a-f]{8}-[0-9a-f-]{27}", times=written)
    code, text = submit.end()

    assert code == 0
    assert "stored, 0 stored before, 0 refused" in text
