"""The tree of errors. Imports nothing of the project.

    TaskMasterError            has code, message, remedy; the edges map the code to a status
    ├─ RejectedError           the caller's fault
    │  ├─ InvalidFieldError    a field is out of range, unknown or of the wrong type
    │  ├─ NotFoundError        no such task, gate or series
    │  ├─ ConflictError        a version, a reused key, a state that does not allow it
    │  └─ TooLargeError        a body, a header block or a batch beyond its bound
    ├─ UnavailableError        ours, passing; carries retry_after_ns
    │  ├─ StoreUnavailableError  the store cannot take a commit now; nothing was stored
    │  ├─ OverloadedError        a bound of ours is reached
    │  └─ GateClosedError        the gate takes no submissions
    ├─ OwnershipLostError      the fence refused; the shard ends, the process lives
    └─ CorruptError            never repaired silently
       ├─ UnknownTopicError    a topic outside the allow-list
       ├─ UnreadableEventError an event that does not decode
       └─ ForeignFileError     the file is no log of ours, or of a newer version

Rules of residence: messages are one line, lower case, no period, and hold no secret; the remedy
says what the reader can do. Inside the program expected trouble is a value (`Rejected`,
`VersionConflict`); these classes are raised at the edges only.
"""

SECOND_NS = 1_000_000_000


class TaskMasterError(Exception):
    """Root of everything that is expected to go wrong."""

    code = "error"

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        """Keep `message` (what and where), `field` (dotted path, or empty) and `remedy`."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy

    def __str__(self) -> str:
        """One line: what, and the remedy where there is one."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class RejectedError(TaskMasterError):
    """The caller's fault; repeating the same call gives the same answer."""

    code = "rejected"


class InvalidFieldError(RejectedError):
    """A field that cannot be accepted; `field` names it."""

    code = "invalid_field"


class NotFoundError(RejectedError):
    """Nothing of that name or id."""

    code = "not_found"


class ConflictError(RejectedError):
    """What is stored does not allow the command."""

    code = "conflict"


class TooLargeError(RejectedError):
    """A body, header block or batch beyond its bound."""

    code = "too_large"


class UnavailableError(TaskMasterError):
    """Ours and passing; try again after `retry_after_ns`."""

    code = "unavailable"

    def __init__(
        self, message: str, *, remedy: str = "", retry_after_ns: int = SECOND_NS, field: str = ""
    ) -> None:
        """Keep how long a caller should stay away, in nanoseconds."""
        super().__init__(message, field=field, remedy=remedy)
        self.retry_after_ns = retry_after_ns


class StoreUnavailableError(UnavailableError):
    """The store takes no commit now; nothing of the call was stored."""

    code = "store_unavailable"


class OverloadedError(UnavailableError):
    """A bound of ours is reached, such as a gate's `max_backlog`."""

    code = "overloaded"


class GateClosedError(UnavailableError):
    """The gate takes no submissions until it is opened again."""

    code = "gate_closed"


class OwnershipLostError(TaskMasterError):
    """Another owner holds a newer epoch; this one must not write again."""

    code = "ownership_lost"


class CorruptError(TaskMasterError):
    """Stored bytes that cannot be trusted."""

    code = "corrupt"


class UnknownTopicError(CorruptError):
    """The store names an event that this version does not know."""

    code = "unknown_topic"


class UnreadableEventError(CorruptError):
    """An event's bytes do not decode."""

    code = "unreadable_event"


class ForeignFileError(CorruptError):
    """The file is not a log of TaskMaster, or was written by a newer version."""

    code = "foreign_file"
