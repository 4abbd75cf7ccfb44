"""The entry: parse, carry out, and turn whatever happens into one line and an exit code.

Rules of residence: no command lives here. Errors of the tree are told to the person; anything else
is a bug and shows its traceback.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmaster.cli.view import View
    from taskmaster.errors import TaskMasterError


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command; its exit code."""
    if arguments[:1] == ["__complete"]:  # before anything heavy: a shell waits for it
        from taskmaster.cli.names import complete

        return complete(arguments[1:])
    try:
        code = _command(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has read enough. What is still buffered must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _command(arguments: Sequence[str]) -> int:
    from cyclopts import CycloptsError

    from taskmaster.cli.app import app
    from taskmaster.cli.exits import UsageError
    from taskmaster.cli.view import VIEW, View
    from taskmaster.errors import TaskMasterError

    tokens = list(arguments)
    # A noun alone shows its help too.
    root = app(with_help=len(tokens) < 2 or not {"--help", "-h"}.isdisjoint(tokens))
    try:
        command, bound, _ = root.parse_args(
            tokens or ["--help"], exit_on_error=False, print_error=False
        )
    except CycloptsError as error:
        return _tell(UsageError(_in_words(error), remedy=_where_to_read(error)), _output(tokens))
    view = next((each for each in bound.arguments.values() if isinstance(each, View)), VIEW)
    try:
        return command(*bound.args, **bound.kwargs) or 0
    except (TaskMasterError, TimeoutError) as error:
        return _tell(error, view)


def _tell(error: "TaskMasterError | TimeoutError", view: "View") -> int:
    from taskmaster.cli.exits import WAIT_TIMED_OUT, document, exit_code
    from taskmaster.cli.paint import printable

    if view.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, TimeoutError):
        print(f"error: {error}; it goes on by itself", file=sys.stderr)
        return WAIT_TIMED_OUT
    if view.output == "json":
        # What the server sent, if it did: see the client's `problem_of`, which would load httpx.
        sent: bytes | None = getattr(error.__cause__, "document", None)
        print((sent or document(error)).decode(), file=sys.stderr)
    else:
        print(f"error: {printable(str(error))}", file=sys.stderr)
    return exit_code(error)


def _in_words(error: Exception) -> str:
    """What cyclopts says, on one line."""
    text = " ".join(str(error).split())
    return text[:1].lower() + text[1:].rstrip(".")


def _where_to_read(error: Exception) -> str:
    chain: Sequence[str] = getattr(error, "command_chain", None) or ()
    return f"see '{' '.join(['taskmaster', *chain, '--help'])}'"


def _output(tokens: Sequence[str]) -> "View":
    """How to show an error of a command line that cannot be read as a whole."""
    from taskmaster.cli.view import View

    given = " ".join(tokens).replace("=", " ")
    is_json = "-o json" in given or "--output json" in given
    is_json = is_json or os.environ.get("TASKMASTER_OUTPUT") == "json"
    return View(output="json" if is_json else "table", debug="--debug" in tokens)


if __name__ == "__main__":
    main()
