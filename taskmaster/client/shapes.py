"""What goes to the server and what comes back, as structs in the API's own names.

Rules of residence: shapes only, no behaviour. What is sent leaves out every field that was not
set, so that the server's defaults hold. What is read ignores fields that this version does not
know. Instants are aware datetimes, or RFC 3339 text on the way in; durations are text such as
`"15m"`, on the way in also seconds or a `timedelta`.
"""

from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

from msgspec import Struct, field

from taskmaster.client.downtime import Maintenance

T = TypeVar("T")

Instant = str | datetime
Duration = str | int | float | timedelta
Json = dict[str, object]

TaskState = Literal[
    "scheduled",
    "waiting",
    "in_flight",
    "awaiting",
    "uncertain",
    "succeeded",
    "dead",
    "cancelled",
    "expired",
]
FINAL_STATES: frozenset[str] = frozenset({"succeeded", "dead", "cancelled", "expired"})
"""A task in one of these changes only by a redrive."""


class Page(Struct, Generic[T], frozen=True):
    """Some of a list; `next_page_token` is what to ask with for the rest, or None."""

    items: list[T]
    next_page_token: str | None = None


class RetryRules(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """When a task is tried again. What is None is the server's default."""

    max_attempts: int | None = None
    min_backoff: Duration | None = None
    max_backoff: Duration | None = None
    max_elapsed: Duration | None = None
    jitter: Literal["full", "none"] | None = None
    retry_on: list[int] | None = None


class Submission(Struct, frozen=True, omit_defaults=True):
    """A task to be. `due_at` or `delay`, `body` or `body_base64`; what is None is the default."""

    url: str
    method: str | None = None
    headers: dict[str, str] | None = None
    body: str | None = None
    body_base64: str | None = None
    gate: str | None = None
    due_at: Instant | None = None
    delay: Duration | None = None
    timeout: Duration | None = None
    expires_at: Instant | None = None
    retry: RetryRules | None = None
    idempotent: bool | None = None
    priority: int | None = None
    fair_key: str | None = None
    order_key: str | None = None
    key: str | None = None
    labels: dict[str, str] | None = None


class TaskFilter(Struct, frozen=True, kw_only=True):
    """Which tasks a list shows: those that match everything that is set."""

    gate: str = ""
    states: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict[str, str])
    series: str = ""
    key: str = ""
    due_before: Instant | None = None
    due_after: Instant | None = None


ALL_TASKS = TaskFilter()


class Task(Struct, frozen=True, kw_only=True):
    """A task as the server shows it; lists leave out what follows `labels`."""

    id: str
    gate: str
    state: TaskState
    attempts: int = 0
    due_at: datetime | None = None
    next_at: datetime | None = None
    submitted_at: datetime | None = None
    changed_at: datetime | None = None
    url: str = ""
    method: str = ""
    priority: int = 0
    labels: dict[str, str] = field(default_factory=dict[str, str])
    headers: dict[str, str] | None = None
    body_bytes: int | None = None
    timeout: str | None = None
    retry: Json | None = None
    expires_at: datetime | None = None
    idempotent: bool | None = None
    key: str | None = None
    fair_key: str | None = None
    order_key: str | None = None
    series: str | None = None
    nominal_at: datetime | None = None
    reason: str | None = None
    version: int | None = None
    cancel_requested: bool | None = None


class Submitted(Struct, frozen=True):
    """The answer to a submission; `replayed` when the key had brought this task before."""

    task: Task
    replayed: bool


class ProblemError(Struct, frozen=True):
    """One thing that is wrong: where (a JSON pointer), what, and what to do about it."""

    pointer: str = ""
    message: str = ""
    remedy: str = ""


class Problem(Struct, frozen=True):
    """Why a call was refused, by RFC 9457."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    errors: list[ProblemError] = field(default_factory=list[ProblemError])
    request_id: str = ""


class BatchItem(Struct, frozen=True):
    """What became of one submission of a batch: 201 stored, 200 stored before, else refused."""

    index: int
    status: int
    id: str | None = None
    gate: str | None = None
    replayed: bool = False
    problem: Problem | None = None


class Batch(Struct, frozen=True):
    """What became of all submissions of a batch, in their order."""

    items: list[BatchItem]
    created: int = 0
    replayed: int = 0
    refused: int = 0


class Entry(Struct, frozen=True):
    """One event of the log. `fields` holds what only its type has."""

    position: int
    version: int
    type: str
    at: datetime
    stream: str
    cause: Json
    fields: Json


class WhyCause(Struct, frozen=True):
    """How long one cause has kept a task from running."""

    cause: str
    seconds: float


class Why(Struct, frozen=True):
    """Where a task's time went; the causes add up to `total_seconds`. `now` holds it back now, at
    the gate `holder` where that is one above its own."""

    id: str
    state: str
    causes: list[WhyCause]
    total_seconds: float = 0.0
    now: str | None = None
    holder: str | None = None


CancelAnswer = Literal["cancelled", "cancel_requested", "already_done", "uncertain"]


class Cancelled(Struct, frozen=True):
    """What a cancel came to, and the task after it."""

    answer: CancelAnswer
    task: Task


# --- gates ------------------------------------------------------------------------------------


class Rate(Struct, frozen=True, omit_defaults=True):
    """At most `burst + T * rate / per` starts in any interval of length T."""

    rate: float
    per: str | float | None = None  # read back too, where a timedelta cannot be
    burst: int | None = None


class Limits(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All must agree to a start. `rate` with `burst` is short for one rate per second."""

    rate: float | None = None
    burst: int | None = None
    concurrency: int | None = None
    rates: list[Rate] | None = None


class Recovery(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """When a gate trips and how it comes back; `ramp_steps` in percent, or `off`."""

    trip_failures: int | None = None
    trip_ratio: float | None = None
    trip_min_attempts: int | None = None
    trip_window: Duration | None = None
    tripped_min: Duration | None = None
    tripped_max: Duration | None = None
    ramp_steps: list[int] | Literal["off"] | None = None
    ramp_step: Duration | None = None
    ramp_after: Duration | None = None
    fresh_share: float | None = None


class Adaptive(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a gate learns its concurrency: between `min` and `max`, by latency or by errors."""

    min: int | None = None
    max: int | None = None
    by: Literal["latency", "errors"] | None = None


class GateSettings(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What can be set of a gate; what is None is the default, or in a change stays as it is. A
    `parent` of "" is none."""

    limits: Limits | None = None
    recovery: Recovery | None = None
    aging: Duration | None = None
    max_backlog: int | None = None
    adaptive: Adaptive | Literal["off"] | None = None
    parent: str | None = None
    alerts: Json | None = None
    reason: str | None = None


class GateWaits(Struct, frozen=True):
    """What holds a gate's next start back, and until when, if that is known; `gate` is the parent
    that holds, or None: the gate itself."""

    cause: str
    until: datetime | None = None
    gate: str | None = None


class Family(Struct, frozen=True):
    """What a gate with children answers for: attempts in flight at it and below."""

    in_flight: int
    children: list[str]


class Gate(Struct, frozen=True, kw_only=True):
    """A gate as the server shows it. `backlog` counts eligible tasks."""

    gate: str
    state: str
    mode: str = ""
    control: str = ""
    implicit: bool = False
    limits: Limits = Limits()
    recovery: Json = field(default_factory=dict[str, object])
    aging: str = ""
    max_backlog: int | None = None
    adaptive: Adaptive | Literal["off"] = "off"
    parent: str | None = None
    family: Family | None = None
    alerts: Json = field(default_factory=dict[str, object])
    learned_limit: int | None = None
    learned_rate: float | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    backlog: int = 0
    oldest_eligible_age_seconds: float | None = None
    attempts: int = 0
    failures: int = 0
    waits: GateWaits | None = None
    maintenance: list[Maintenance] = field(default_factory=list[Maintenance])
    ramp_percent: int | None = None
    version: int = 0


class Purged(Struct, frozen=True):
    """What a purge cancelled, or in a dry run would cancel."""

    matched: int
    cancelled: int
    dry_run: bool
    sample: list[str] = field(default_factory=list[str])


class GateWhyCause(Struct, frozen=True):
    """How many tasks one cause holds back."""

    cause: str
    tasks: int


class GateWaited(Struct, frozen=True):
    """How long a gate's tasks waited in a time, all together, by cause."""

    since: datetime
    until: datetime
    tasks: int
    total_seconds: float
    causes: list[WhyCause]


class GateWhy(Struct, frozen=True):
    """Why a gate's tasks wait: each under the first cause that holds. `waited` is about the time
    that was asked for."""

    gate: str
    eligible: int
    causes: list[GateWhyCause]
    waited: GateWaited | None = None
    holder: str | None = None


# --- series -----------------------------------------------------------------------------------


class SeriesRules(Struct, frozen=True, omit_defaults=True):
    """What a series repeats (the fields of a submission), when, and how: one of `every`,
    `after` and `cron`."""

    url: str
    every: Duration | None = None
    after: Duration | None = None
    cron: str | None = None
    time_zone: str | None = None
    catch_up: Literal["one", "none", "all"] | None = None
    catch_up_limit: int | None = None
    stop_on_failure: bool | None = None
    start_at: Instant | None = None
    reason: str | None = None
    gate: str | None = None
    method: str | None = None
    headers: dict[str, str] | None = None
    body: str | None = None
    body_base64: str | None = None
    timeout: Duration | None = None
    retry: RetryRules | None = None
    idempotent: bool | None = None
    priority: int | None = None
    fair_key: str | None = None
    order_key: str | None = None
    labels: dict[str, str] | None = None


class SeriesChange(Struct, frozen=True, omit_defaults=True):
    """Other rules of a series; what is left out stays. One of `every`, `after` and `cron` takes
    the place of the schedule before it."""

    url: str | None = None
    every: Duration | None = None
    after: Duration | None = None
    cron: str | None = None
    time_zone: str | None = None
    catch_up: Literal["one", "none", "all"] | None = None
    catch_up_limit: int | None = None
    stop_on_failure: bool | None = None
    expires_after: Duration | None = None
    reason: str | None = None
    method: str | None = None
    headers: dict[str, str] | None = None
    body: str | None = None
    body_base64: str | None = None
    timeout: Duration | None = None
    retry: RetryRules | None = None
    idempotent: bool | None = None
    priority: int | None = None
    fair_key: str | None = None
    order_key: str | None = None
    labels: dict[str, str] | None = None


class Schedule(Struct, frozen=True):
    """When a series runs; `explain` says it in words."""

    every: str | None = None
    after: str | None = None
    cron: str | None = None
    time_zone: str | None = None
    explain: str = ""


class Series(Struct, frozen=True, kw_only=True):
    """A series as the server shows it."""

    series: str
    gate: str
    state: str
    schedule: Schedule = Schedule()
    catch_up: str = "one"
    catch_up_limit: int | None = None
    stop_on_failure: bool = False
    open_task: str | None = None
    next_at: datetime | None = None
    nominal_at: datetime | None = None
    version: int = 0


class Run(Struct, frozen=True):
    """One coming run: its nominal time, and the same as text in the schedule's zone."""

    nominal_at: datetime
    local: str = ""


class Runs(Struct, frozen=True):
    """Coming runs, and the schedule in words."""

    items: list[Run]
    explain: str = ""


# --- the server -------------------------------------------------------------------------------
