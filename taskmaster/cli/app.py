"""The tree of commands. Each is imported when it is called, not before.

Rules of residence: names and one line of help for each; no command's code.
"""

import sys

from cyclopts import App, Parameter

from taskmaster import __version__

GROUPS = {
    "task": "Submit tasks, look at them, and change what becomes of them.",
    "bulk": "Changes of many tasks: how far they are, end them, undo them.",
    "gate": "Limits, state and control of gates.",
    "series": "Periodic tasks.",
    "log": "Every event that was stored.",
    "recovery": "Outages of a gate and their recoveries: look, hold, end, trip, probe.",
    "alert": "What needs a person.",
    "actor": "One place of the supervision tree: look at it, restart, quarantine, release.",
    "key": "API keys of a server beyond loopback.",
    "config": "Settings of a server.",
    "store": "The log itself: its schema, and whether its index is right.",
    "completion": "Completion of commands, flags and names of gates in a shell.",
}
COMMANDS = {
    "serve": "Run a server until SIGTERM.",
    "demo": "See an outage and its recovery, in a minute.",
    "tree": "The supervision tree: what runs, what crashed.",
    "doctor": "Look for what would keep a server or this command line from working.",
    "bench": "List or run the benchmarks.",
}


# No --no-x beside every --x, and no "[default: False]": defaults that say something ask for it.
DEFAULTS = Parameter(negative=(), show_default=False)


def app(*, with_help: bool = True) -> App:
    """The whole command line. Without help it starts sooner: its formatters take 25 ms."""
    plain = with_help and not sys.stdout.isatty()
    root = App(
        name="taskmaster",
        help="A central scheduler that starts other systems' work over HTTP.",
        help_epilogue="Exit codes and environment: docs/reference/cli.md",
        version=__version__,
        version_flags=["--version"],
        default_parameter=DEFAULTS,
        help_format="plaintext",
        help_formatter="plain" if plain else None,
    )
    for name, text in GROUPS.items():
        root.command(f"taskmaster.cli.{name}:app", name=name, help=text)
    for name, text in COMMANDS.items():
        root.command(f"taskmaster.cli.{name}_command:{name}", name=name, help=text)
    return root


def group(name: str) -> App:
    """One noun, to which its module adds verbs."""
    return App(name=name, help=GROUPS[name], version_flags=())
