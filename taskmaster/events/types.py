"""The facts: what can have happened, as frozen structs, with the ids and times they are made of.

Rules of residence: an event says what was true, in the past tense, and is never changed; a new
meaning is a new event or a new schema version (`events/codec.py` upcasts old ones). No decision
lives here, and nothing of the project is imported. Instants and durations are integers of
nanoseconds. No secret may be a field.
"""

from typing import Literal, NewType, get_args

from msgspec import Struct

Wall = NewType("Wall", int)
"""An instant of shard time: the wall clock made never to go back, ns since 1970 in UTC."""
Mono = NewType("Mono", int)
"""An instant of pacing time: runs with the monotonic clock, anchored to the wall clock once for
each boot of the machine, so that it can be written down and read back. Never jumps."""

NS = 1
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

TaskId = NewType("TaskId", str)
GateName = NewType("GateName", str)
SeriesName = NewType("SeriesName", str)
NodeId = NewType("NodeId", str)
BulkId = NewType("BulkId", str)
Stream = NewType("Stream", str)
Position = NewType("Position", int)
Version = NewType("Version", int)
Epoch = NewType("Epoch", int)

Group = Literal["fresh", "backlog", "redriven"]
"""What is eligible at a gate falls in groups that take turns."""
GROUPS: tuple[Group, ...] = get_args(Group)

NEW = Version(0)
"""The version of a stream that has no events yet."""


def task_stream(task_id: TaskId) -> Stream:
    """The stream of one task."""
    return Stream(f"task-{task_id}")


def gate_stream(name: GateName) -> Stream:
    """The stream of one gate."""
    return Stream(f"gate-{name}")


def series_stream(name: SeriesName) -> Stream:
    """The stream of one series."""
    return Stream(f"series-{name}")


def bulk_stream(bulk: BulkId) -> Stream:
    """The stream of one change of many tasks."""
    return Stream(f"bulk-{bulk}")


def node_stream(node: NodeId) -> Stream:
    """The stream of one process."""
    return Stream(f"node-{node}")


class Cause(Struct, frozen=True, omit_defaults=True, gc=False):
    """Why an event exists: the command, who gave it and the reason in their words; `bulk` where
    it was one of many that one command changed."""

    command: str = "rule"
    author: str = "taskmaster"
    reason: str = ""
    bulk: BulkId = BulkId("")


BY_RULE = Cause()
"""The cause of what follows from the rules alone."""


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Root of all facts."""

    at: Wall
    cause: Cause = BY_RULE


# --- what a task is made of -------------------------------------------------------------------

Jitter = Literal["full", "none"]


class Retry(Struct, frozen=True, omit_defaults=True):
    """The rules of trying again (semantics 5)."""

    max_attempts: int = 5
    min_backoff_ns: int = SECOND
    max_backoff_ns: int = 10 * MINUTE
    max_elapsed_ns: int = DAY
    jitter: Jitter = "full"
    retry_on: tuple[int, ...] = ()


class Request(Struct, frozen=True, omit_defaults=True):
    """What is sent; the body's bytes are frozen at submission."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Occurrence(Struct, frozen=True, omit_defaults=True):
    """Which run of which series a task is, and the nominal time that follows it.

    `next_at` is a hint for catch-up: `None` where only the end decides (`after`).
    """

    series: SeriesName
    series_version: Version
    number: int
    nominal_at: Wall
    next_at: Wall | None = None


class TaskSubmitted(Event, frozen=True, kw_only=True):
    """A task was accepted. `key` is its idempotency key within the gate, or empty."""

    gate: GateName
    request: Request
    due_at: Wall
    retry: Retry = Retry()
    timeout_ns: int = 30 * SECOND
    expires_at: Wall | None = None
    idempotent: bool = True
    priority: int = 0
    fair_key: str = ""
    order_key: str = ""
    key: str = ""
    fingerprint: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    traceparent: str = ""
    occurrence: Occurrence | None = None


# --- attempts ---------------------------------------------------------------------------------

Outcome = Literal[
    "dns",
    "refused",
    "tls",
    "connect_timeout",
    "timeout",
    "reset",
    "interrupted",
    "crashed",
    "server_error",
    "retryable",
    "throttled",
    "redirect",
    "client_error",
    "certificate",
    "egress",
]
"""What an attempt that did not succeed came to (semantics 5)."""
Fault = Literal["endpoint", "task", "none"]
"""Whose fault: the endpoint's failures trip a gate, an answer to a bad task shows it is alive."""
Delivered = Literal["no", "yes", "unknown"]
Next = Literal["retry", "dead", "cancelled", "expired", "uncertain"]
EndReason = Literal["", "attempts", "elapsed", "deadline", "permanent", "command", "poison"]


class ParentTats(Struct, frozen=True, gc=False):
    """The theoretical arrival times of a gate with children, one for each of its rates."""

    gate: GateName
    tats: tuple[Mono, ...]


class AttemptStarted(Event, frozen=True, kw_only=True):
    """An attempt may be sent from `slot_at` on, and no later than a second after it.

    `tats` is the gate's theoretical arrival time after this start, one for each of its rates;
    `above` those of the gates above it that have rates. `stopped_ns` is how long the gate, and
    those above it, had been paused or tripped in their lives.
    """

    gate: GateName
    attempt: int
    slot_at: Mono
    tats: tuple[Mono, ...] = ()
    stopped_ns: int = 0
    probe: bool = False
    above: tuple[ParentTats, ...] = ()


class AttemptVoided(Event, frozen=True, kw_only=True):
    """A start that was certainly not sent. Its token is spent, no attempt used up."""

    gate: GateName
    attempt: int


class AttemptSucceeded(Event, frozen=True, kw_only=True):
    """The endpoint answered 2xx. `response` holds at most 16 KiB of its body."""

    gate: GateName
    attempt: int
    status: int
    duration_ns: int
    response: bytes = b""
    truncated: bool = False


class AttemptFailed(Event, frozen=True, kw_only=True):
    """An attempt came to nothing; `next` says what follows, `used` whether it counts.

    `retry_at` is set when `next` is retry. `throttle_until` slows the whole gate.
    """

    gate: GateName
    attempt: int
    outcome: Outcome
    fault: Fault
    delivered: Delivered
    next: Next
    reason: EndReason = ""
    used: bool = True
    retry_at: Wall | None = None
    throttle_until: Mono | None = None
    status: int = 0
    error: str = ""
    duration_ns: int = 0
    response: bytes = b""
    truncated: bool = False


# --- a task between attempts ------------------------------------------------------------------


class TaskRescheduled(Event, frozen=True, kw_only=True):
    """A task that waits got another due time; by catch-up, another nominal time and the
    `expires_at` that belongs to it."""

    gate: GateName
    due_at: Wall
    occurrence: Occurrence | None = None
    expires_at: Wall | None = None


class TaskCancelled(Event, frozen=True, kw_only=True):
    """Final: it will not be attempted (again)."""

    gate: GateName


class CancelRequested(Event, frozen=True, kw_only=True):
    """Someone wants a task in flight to be its last attempt."""

    gate: GateName


class TaskExpired(Event, frozen=True, kw_only=True):
    """Final: its `expires_at` passed before it could start."""

    gate: GateName


class TaskDied(Event, frozen=True, kw_only=True):
    """Final without a last attempt: its time was used up while it waited."""

    gate: GateName
    reason: EndReason


class TaskRevived(Event, frozen=True, kw_only=True):
    """A task that had ended, or was held as uncertain, was given to its gate again: `redriven`, or
    as it was before, where its end was taken back."""

    gate: GateName
    due_at: Wall
    redriven: bool = True


class TaskEdited(Event, frozen=True, kw_only=True):
    """A task that was never sent got other rules; these hold from here on. `request` None: what is
    sent stays as it was."""

    gate: GateName
    request: Request | None = None
    timeout_ns: int
    retry: Retry
    idempotent: bool
    priority: int
    expires_at: Wall | None = None


class TaskMoved(Event, frozen=True, kw_only=True):
    """A task left `gate` for the gate `to`, with its idempotency key where it has one."""

    gate: GateName
    to: GateName
    key: str = ""
    fingerprint: str = ""


# --- many tasks at once -----------------------------------------------------------------------

BulkAction = Literal["cancel", "redrive", "reschedule", "edit", "move", "undo"]
BulkAnswer = Literal["changed", "requested", "already", "refused", "unavailable"]
"""What became of a member: changed, to end with its open attempt, or left as it is, and why."""
TaskStateName = Literal[
    "scheduled", "waiting", "in_flight", "uncertain", "succeeded", "dead", "cancelled", "expired"
]


class BulkFilter(Struct, frozen=True, omit_defaults=True):
    """Which tasks a bulk is about: those that matched all of it where it was decided. Empty fields
    match everything; whether a task that waits is scheduled or waiting is asked of `at`."""

    at: Wall
    gate: GateName | None = None
    states: tuple[TaskStateName, ...] = ()
    series: SeriesName | None = None
    key: str = ""
    fair_key: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    due_before: Wall | None = None
    due_after: Wall | None = None


class TaskChange(Struct, frozen=True, omit_defaults=True):
    """What an edit sets; None leaves a field as it is."""

    url: str | None = None
    method: str | None = None
    headers: tuple[tuple[str, str], ...] | None = None
    body: bytes | None = None
    timeout_ns: int | None = None
    retry: Retry | None = None
    idempotent: bool | None = None
    priority: int | None = None
    expires_at: Wall | None = None


class BulkStarted(Event, frozen=True, kw_only=True):
    """Many tasks are to be changed: those that matched `match` at `position` of the log, or what
    the bulk `undoes` has changed. `rate` members a second, 0 for no bound; `matched` as counted at
    the start, None where they were too many to be counted."""

    action: BulkAction
    position: Position
    match: BulkFilter | None = None
    matched: int | None = None
    rate: float = 0
    due_at: Wall | None = None
    change: TaskChange | None = None
    to: GateName | None = None
    undoes: BulkId = BulkId("")


class BulkLeft(Struct, frozen=True, omit_defaults=True, gc=False):
    """A member that was left as it is, and why."""

    task: TaskId
    answer: BulkAnswer
    why: str = ""


class BulkCounts(Struct, frozen=True, omit_defaults=True):
    """Members of a bulk by their answer."""

    changed: int = 0
    requested: int = 0
    already: int = 0
    refused: int = 0
    unavailable: int = 0


class BulkProgressed(Event, frozen=True, kw_only=True):
    """So many more members were answered. `cursor` is where it goes on: the number of the last
    task, or in an undo the version in the stream of the bulk that is undone."""

    cursor: int
    changed: tuple[TaskId, ...] = ()
    left: tuple[BulkLeft, ...] = ()
    counts: BulkCounts = BulkCounts()


class BulkEnded(Event, frozen=True, kw_only=True):
    """Every member was answered, or the bulk was `aborted`. `counts` sums up the whole of it."""

    aborted: bool = False
    counts: BulkCounts = BulkCounts()


# --- gates ------------------------------------------------------------------------------------


class Rate(Struct, frozen=True, omit_defaults=True):
    """At most `burst + T * rate / per_ns` starts in any interval of length T."""

    rate: float
    per_ns: int = SECOND
    burst: int = 1


class Limits(Struct, frozen=True, omit_defaults=True):
    """All must agree to a start. `concurrency` bounds attempts started and not ended."""

    concurrency: int = 32
    rates: tuple[Rate, ...] = ()


class RecoverySettings(Struct, frozen=True, omit_defaults=True):
    """When a gate trips and how it comes back (semantics 4). No steps: no ramp. `fresh_share` is
    what work that became due since then gets of the starts, 0: all goes by rank."""

    trip_failures: int = 5
    trip_ratio: float = 0.5
    trip_min_attempts: int = 10
    trip_window_ns: int = MINUTE
    tripped_min_ns: int = SECOND
    tripped_max_ns: int = 30 * SECOND
    ramp_steps: tuple[int, ...] = (5, 10, 25, 50, 100)
    ramp_step_ns: int = 10 * SECOND
    ramp_after_ns: int = MINUTE
    fresh_share: float = 0.8


class Adaptive(Struct, frozen=True, omit_defaults=True):
    """How a gate learns its concurrency: between `min` and `max` (None: the configured one), from
    latency and errors, or from errors alone."""

    min: int = 1
    max: int | None = None
    by: Literal["latency", "errors"] = "latency"


class AlertRules(Struct, frozen=True, omit_defaults=True):
    """From when on a gate needs a person; 0: never for that. `dead_letters` new ones within
    `window_ns`; `unattended_ns` is about pauses without an end and tasks held as uncertain."""

    oldest_eligible_ns: int = 5 * MINUTE
    tripped_ns: int = 5 * MINUTE
    ramp_failures: int = 3
    dead_letters: int = 1
    window_ns: int = 10 * MINUTE
    unattended_ns: int = DAY


class GateSettings(Struct, frozen=True, omit_defaults=True):
    """Everything about a gate that a command can set. `max_backlog` 0 is no bound; what `parent`
    allows holds for its children together."""

    limits: Limits = Limits()
    recovery: RecoverySettings = RecoverySettings()
    aging_ns: int = MINUTE
    max_backlog: int = 0
    adaptive: Adaptive | None = None
    parent: GateName | None = None
    alerts: AlertRules = AlertRules()


class GateOpened(Event, frozen=True, kw_only=True):
    """A gate exists. `implicit`: made for the origin of a URL, not by a command."""

    settings: GateSettings
    mono: Mono
    implicit: bool = False


class GateLimitsChanged(Event, frozen=True, kw_only=True):
    """From here on these settings hold."""

    settings: GateSettings
    mono: Mono


class GatePaused(Event, frozen=True, kw_only=True):
    """No new starts; with `drain`, until nothing is in flight and on."""

    mono: Mono
    until: Wall | None = None
    drain: bool = False


class GateDrained(Event, frozen=True, kw_only=True):
    """Nothing is in flight any more at a gate that was draining."""

    mono: Mono


class GateResumed(Event, frozen=True, kw_only=True):
    """Starts and submissions are taken again; the mode is what it was."""

    mono: Mono


class GateClosed(Event, frozen=True, kw_only=True):
    """No starts and no submissions."""

    mono: Mono


class GateTripped(Event, frozen=True, kw_only=True):
    """Too many failures: nothing starts before `until`. `trips` counts those in a row."""

    mono: Mono
    until: Mono
    trips: int
    failures: int = 0
    attempts: int = 0
    error: str = ""


class GateProbed(Event, frozen=True, kw_only=True):
    """The tripped time is over: one attempt at a time finds out how the endpoint is."""

    mono: Mono


RampCause = Literal[
    "probe",
    "step",
    "fallback",
    "slow",
    "process_down",
    "paused",
    "quarantined",
    "clock_jump",
    "maintenance",
    "limits",
    "tripped",
]


class GateRampStepped(Event, frozen=True, kw_only=True):
    """A share of the limits, `percent`, holds until at least `until`.

    Attempts of the step before took `took_ns` on average, those of the quickest of this ramp's
    steps `base_ns`; 0: too few ended. It fell back `slow_falls` times because of that.
    """

    mono: Mono
    step: int
    percent: int
    until: Mono
    why: RampCause
    base_ns: int = 0
    took_ns: int = 0
    slow_falls: int = 0


class GateRecovered(Event, frozen=True, kw_only=True):
    """The whole of the limits holds again."""

    mono: Mono


class GateRampHeld(Event, frozen=True, kw_only=True):
    """Someone keeps a ramp at its step (`held`), or lets it go on."""

    mono: Mono
    held: bool


OutageCause = Literal[
    "endpoint", "process_down", "paused", "quarantined", "clock_jump", "maintenance", "limits"
]


class RecoveryStarted(Event, frozen=True, kw_only=True):
    """The gate's `number`th outage, for which it has left `open`: when it began, why, and how
    many tasks were eligible then. It ends with `GateRecovered`."""

    mono: Mono
    number: int
    outage: OutageCause
    depth: int


LearnCause = Literal["spare", "queue", "errors", "throttled", "measure", "measured"]


class GateLimitLearned(Event, frozen=True, kw_only=True):
    """An adaptive gate may have `limit` attempts open from here on; `before` it had that many.

    Its evidence is one window: so many attempts ended, with such errors and a median duration,
    and at most `busiest` were open. `measure_at` and `back_to` are about measuring the base anew.
    """

    mono: Mono
    limit: float
    base_ns: int
    why: LearnCause
    measure_at: Mono = Mono(0)
    back_to: float = 0.0
    before: float = 0.0
    ended: int = 0
    errors: int = 0
    throttled: int = 0
    median_ns: int = 0
    busiest: int = 0


RateCause = Literal["throttled", "climb", "free"]


class GateRateLearned(Event, frozen=True, kw_only=True):
    """An adaptive gate may start `rate` attempts a second from here on, 0: no such bound; `before`
    it was that many. At `top` the endpoint asked to be left alone.

    Its evidence is one window of `window_ns`: so many attempts ended, so many of them throttled.
    `climbed_ns` of time at the rate has passed since it was cut.
    """

    mono: Mono
    rate: float
    top: float
    why: RateCause
    cut_at: Mono = Mono(0)
    climbed_ns: int = 0
    before: float = 0.0
    window_ns: int = 0
    ended: int = 0
    throttled: int = 0


class Window(Struct, frozen=True, omit_defaults=True):
    """A planned downtime, the `number`th of its gate: nothing starts from `start_at`, less
    `drain_ns`, to `until`. `begun` while it lasts."""

    number: int
    start_at: Wall
    until: Wall
    drain_ns: int = 0
    author: str = ""
    reason: str = ""
    begun: bool = False


class MaintenancePlanned(Event, frozen=True, kw_only=True):
    """A downtime of the gate's endpoint is announced."""

    mono: Mono
    window: Window


class MaintenanceCancelled(Event, frozen=True, kw_only=True):
    """An announced downtime will not be, or ends now."""

    mono: Mono
    number: int


class MaintenanceBegan(Event, frozen=True, kw_only=True):
    """A downtime begins; the pause that comes of it is an event beside this one."""

    mono: Mono
    number: int


class MaintenanceEnded(Event, frozen=True, kw_only=True):
    """A downtime is over, was ended by a resume, or `passed` while nobody could enter it."""

    mono: Mono
    number: int
    why: Literal["over", "resumed", "passed"]


class GateQuarantined(Event, frozen=True, kw_only=True):
    """The gate's unit crashed too often and was left stopped until `until`."""

    mono: Mono
    until: Wall
    error: str = ""


class GateReleased(Event, frozen=True, kw_only=True):
    """A quarantined gate may run again."""

    mono: Mono


# --- series -----------------------------------------------------------------------------------


class Every(Struct, frozen=True, tag="every"):
    """Next nominal time = previous nominal time + period."""

    period_ns: int


class After(Struct, frozen=True, tag="after"):
    """Next nominal time = end of the task + period."""

    period_ns: int


class Cron(Struct, frozen=True, tag="cron"):
    """A cron expression read in an IANA zone."""

    expression: str
    time_zone: str = "UTC"


Schedule = Every | After | Cron
CatchUp = Literal["one", "none", "all"]


class SeriesRules(Struct, frozen=True, omit_defaults=True):
    """What a series repeats, when, and how. `template.due_at` means nothing here."""

    gate: GateName
    schedule: Schedule
    template: TaskSubmitted
    catch_up: CatchUp = "one"
    catch_up_limit: int = 100
    stop_on_failure: bool = False


class SeriesCreated(Event, frozen=True, kw_only=True):
    """A series exists; its first occurrence is in the same commit."""

    rules: SeriesRules


class SeriesChanged(Event, frozen=True, kw_only=True):
    """From the next occurrence on these rules hold."""

    rules: SeriesRules


class SeriesPaused(Event, frozen=True, kw_only=True):
    """Its open task waits until the series is resumed."""

    gate: GateName


class SeriesResumed(Event, frozen=True, kw_only=True):
    """Its open task may start again; catch-up decides what became of missed runs."""

    gate: GateName


class SeriesEnded(Event, frozen=True, kw_only=True):
    """No successor any more."""

    gate: GateName
    why: Literal["command", "failure", "no_more_times"] = "command"


SkipCause = Literal["missed", "overlap", "command"]


class OccurrenceSkipped(Event, frozen=True, kw_only=True):
    """`count` nominal times from `first` to `last` did not run."""

    gate: GateName
    first: Wall
    last: Wall
    count: int
    why: SkipCause


# --- alerts -----------------------------------------------------------------------------------

ALERTS = Stream("alerts")
"""The stream of all alerts of a shard; they have one writer."""
AlertName = Literal[
    "oldest_eligible",
    "tripped",
    "ramp_failed",
    "dead_letters",
    "paused",
    "uncertain",
    "quarantined",
]


class AlertRaised(Event, frozen=True, kw_only=True):
    """Something at a gate needs a person; `again`: it still does. `dead` is how many dead letters
    the gate had."""

    gate: GateName
    alert: AlertName
    alert_id: str
    detail: str = ""
    again: bool = False
    dead: int = 0


class AlertCleared(Event, frozen=True, kw_only=True):
    """It does not any more."""

    gate: GateName
    alert: AlertName
    alert_id: str
    dead: int = 0


# --- the process ------------------------------------------------------------------------------


class NodeStarted(Event, frozen=True, kw_only=True):
    """A process opened the log. `anchor_ns` is pacing time minus the monotonic reading."""

    boot_id: str
    anchor_ns: int
    epoch: Epoch
    pid: int
    software: str


class NodeStopped(Event, frozen=True, kw_only=True):
    """A process closed the log in good order."""


class ActorCrashed(Event, frozen=True, kw_only=True):
    """An actor met a bug and ended. `message` is the type of what it was handling."""

    path: str
    incarnation: int
    message: str
    error: str


class ActorRestartAsked(Event, frozen=True, kw_only=True):
    """Someone had an actor ended, so that its supervisor starts it again."""

    path: str


class ActorRestarted(Event, frozen=True, kw_only=True):
    """A supervisor started a new incarnation."""

    path: str
    incarnation: int


class SupervisorGaveUp(Event, frozen=True, kw_only=True):
    """More restarts than its intensity allows within its period."""

    path: str
    restarts: int


TaskEvent = (
    TaskSubmitted
    | AttemptStarted
    | AttemptVoided
    | AttemptSucceeded
    | AttemptFailed
    | TaskRescheduled
    | TaskCancelled
    | CancelRequested
    | TaskExpired
    | TaskDied
    | TaskRevived
    | TaskEdited
    | TaskMoved
)
GateEvent = (
    GateOpened
    | GateLimitsChanged
    | GatePaused
    | GateDrained
    | GateResumed
    | GateClosed
    | GateTripped
    | GateProbed
    | GateRampStepped
    | GateRampHeld
    | GateRecovered
    | RecoveryStarted
    | GateLimitLearned
    | GateRateLearned
    | GateQuarantined
    | GateReleased
    | MaintenancePlanned
    | MaintenanceCancelled
    | MaintenanceBegan
    | MaintenanceEnded
)
SeriesEvent = (
    SeriesCreated | SeriesChanged | SeriesPaused | SeriesResumed | SeriesEnded | OccurrenceSkipped
)
NodeEvent = (
    NodeStarted | NodeStopped | ActorCrashed | ActorRestartAsked | ActorRestarted | SupervisorGaveUp
)
BulkEvent = BulkStarted | BulkProgressed | BulkEnded
AlertEvent = AlertRaised | AlertCleared
AnyEvent = TaskEvent | GateEvent | SeriesEvent | NodeEvent | AlertEvent | BulkEvent
