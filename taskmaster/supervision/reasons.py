"""Why an actor ended.

Rules of residence: the reasons and what they mean for a restart; nothing of actors. They are OTP's:
`normal`, `shutdown`, `{shutdown, Detail}`, an error, `killed`, and `noproc` for who asks too late.
"""

from msgspec import Struct


class Normal(Struct, frozen=True):
    """It was done."""


class Shutdown(Struct, frozen=True):
    """It was told to end, or a supervisor gave up; `detail` is for whoever watches."""

    detail: object = None


class Crash(Struct, frozen=True):
    """A bug, or whatever else its code raised; `message` is the type of what it was handling."""

    error: BaseException
    message: str = ""


class Killed(Struct, frozen=True):
    """It was ended without being asked: its hooks did not run."""


class NoProcess(Struct, frozen=True):
    """It had ended before anybody watched."""


class FailedToStart(Struct, frozen=True):
    """A child failed when its supervisor started; the children before it have been stopped."""

    child: object
    reason: object


Reason = Normal | Shutdown | Crash | Killed | NoProcess | FailedToStart

NORMAL = Normal()
SHUTDOWN = Shutdown()
KILLED = Killed()
NO_PROCESS = NoProcess()


def is_abnormal(reason: Reason) -> bool:
    """Whether a transient child is started again after it."""
    return not isinstance(reason, Normal | Shutdown)


class Expected(Exception):  # noqa: N818  # an answer that is no
    """An error that is an answer: whoever asked gets it, and the actor lives on."""


class Ignored(Exception):  # noqa: N818  # no error: OTP's `ignore`
    """Raised by `on_start`, or by a start function: there is nothing to run, and that is fine."""


class Misspelt(Exception):  # noqa: N818  # what is wrong with a spec
    """A spec, or the flags of a supervisor, that can mean nothing; `field` says where."""

    def __init__(self, field: str, why: str, value: object = None) -> None:
        """`why` is one of OTP's words, such as `invalid_restart_type`."""
        super().__init__(f"{why}: {field} is {value!r}")
        self.field = field
        self.why = why
        self.value = value


class ChildFailed(Exception):  # noqa: N818  # what a supervisor's own start raises
    """A child failed when its supervisor started; the children before it have been stopped."""

    def __init__(self, child: object, reason: object) -> None:
        """`reason` is why the child failed."""
        super().__init__(f"child {child!r} failed to start: {reason!r}")
        self.child = child
        self.reason = reason
