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
    from taskmaster.cli.exits import USAGE
    from taskmaster.cli.view import VIEW, View
    from taskmaster.errors import TaskMasterError

    root = app()
    tokens = list(arguments) or ["--help"]
    try:
        command, bound, _ = root.parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"error: {_in_words(error)}", file=sys.stderr)
        return USAGE
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
        from taskmaster.client.outcome import problem_of

        sys.stderr.write((problem_of(error) or document(error)).decode() + "\n")
    else:
        print(f"error: {printable(str(error))}", file=sys.stderr)
    return exit_code(error)


def _in_words(error: Exception) -> str:
    """Cyclopts' own words on one line, with where to read on."""
    text = " ".join(str(error).split())
    chain: Sequence[str] = getattr(error, "command_chain", None) or ()
    text = text[:1].lower() + text[1:].rstrip(".")
    return f"{text}; see '{' '.join(['taskmaster', *chain, '--help'])}'"


if __name__ == "__main__":
    main()
