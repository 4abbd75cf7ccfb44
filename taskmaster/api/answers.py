"""What calls are answered with: the JSON that goes out, as frozen structs.

Rules of residence: shapes only. Instants are RFC 3339 in UTC, durations strings such as "15m".
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from taskmaster.api.problems import Problem
from taskmaster.events.types import OutageCause
from taskmaster.model.gate import GateStateName, WaitCause
from taskmaster.model.task import TaskStateName
from taskmaster.model.task_control import CancelAnswer

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """A part of a list; the token leads to the next, null means that there is none."""

    items: tuple[T, ...]
    next_page_token: str | None = None


# --- tasks ------------------------------------------------------------------------------------


class RetryOut(Struct, frozen=True):
    """The rules of trying again."""

    max_attempts: int
    min_backoff: str
    max_backoff: str
    max_elapsed: str
    jitter: str
    retry_on: tuple[int, ...]


class TaskListed(Struct, frozen=True, kw_only=True):
    """A task in a list. `due_at` moves with every retry and reschedule; `next_at` is when its
    next attempt is due, null while none is planned."""

    id: str
    gate: str
    state: TaskStateName
    attempts: int
    due_at: str
    next_at: str | None
    submitted_at: str
    changed_at: str
    url: str
    method: str
    priority: int
    labels: dict[str, str]


class TaskOut(TaskListed, frozen=True, kw_only=True):
    """A task by itself. `headers` shows names, and values unless they look like secrets;
    `body_bytes` is the size of the body, which is never shown."""

    headers: dict[str, str]
    body_bytes: int
    timeout: str
    retry: RetryOut
    expires_at: str | None
    idempotent: bool
    key: str
    fair_key: str
    order_key: str
    series: str | None
    nominal_at: str | None
    reason: str
    version: int
    cancel_requested: bool


class CancelOut(Struct, frozen=True):
    """What became of a cancel, and the task after it."""

    answer: CancelAnswer
    task: TaskOut


class BatchItem(Struct, frozen=True, omit_defaults=True):
    """What became of one task of a batch; `index` is its place in it."""

    index: int
    status: int
    id: str | UnsetType = UNSET
    gate: str | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET


class BatchOut(Struct, frozen=True):
    """What became of a batch, in its order."""

    items: list[BatchItem]
    created: int
    replayed: int
    refused: int


class HistoryEvent(Struct, frozen=True):
    """One event: its place, its type, its time and cause; its own fields follow beside them."""

    position: int
    version: int
    type: str
    at: str
    cause: dict[str, str]


Seconds = Annotated[Raw, Meta(extra_json_schema={"type": "number"})]
"""Seconds to the nanosecond: a float of a long life could not hold them."""


class WhyCause(Struct, frozen=True):
    """How long one cause held the task back."""

    cause: str
    seconds: Seconds


class TaskWhy(Struct, frozen=True):
    """Where the time since submission went; the seconds of all causes add up to the total.
    `now` is what holds it back at this moment; `holder` the gate above its own that does."""

    id: str
    state: TaskStateName
    causes: tuple[WhyCause, ...]
    total_seconds: Seconds
    now: str | None
    holder: str | None


# --- gates ------------------------------------------------------------------------------------


class RateOut(Struct, frozen=True):
    """At most `burst + T * rate / per` starts in any interval of length T."""

    rate: float
    per: str
    burst: int


class LimitsOut(Struct, frozen=True, omit_defaults=True):
    """`rate` and `burst` are there when exactly one of `rates` is per second."""

    concurrency: int
    rates: tuple[RateOut, ...]
    rate: float | UnsetType = UNSET
    burst: int | UnsetType = UNSET


class RecoveryOut(Struct, frozen=True):
    """When the gate trips and how it comes back."""

    trip_failures: int
    trip_ratio: float
    trip_min_attempts: int
    trip_window: str
    tripped_min: str
    tripped_max: str
    ramp_steps: tuple[int, ...] | Literal["off"]
    ramp_step: str
    ramp_after: str
    fresh_share: float


class CountsOut(Struct, frozen=True):
    """Tasks by state: `scheduled` are not due, `waiting` are, held ones included."""

    scheduled: int
    waiting: int
    in_flight: int
    uncertain: int
    succeeded: int
    dead: int
    cancelled: int
    expired: int


class WaitOut(Struct, frozen=True, omit_defaults=True):
    """Why nothing more starts; without `until` an event wakes the gate. `gate` is the parent that
    holds; left out: the gate itself."""

    cause: WaitCause | Literal["store_away"]
    until: str | None
    gate: str | None = None


class FamilyOut(Struct, frozen=True):
    """What a gate with children answers for: attempts in flight at it and below, and its
    children's names, at most 1,000."""

    in_flight: int
    children: tuple[str, ...]


class AdaptiveOut(Struct, frozen=True):
    """How a gate learns its concurrency."""

    min: int
    max: int | None
    by: Literal["latency", "errors"]


class AlertRulesOut(Struct, frozen=True):
    """From when on a gate needs a person; 0 is never."""

    oldest_eligible: str
    tripped: str
    ramp_failures: int
    dead_letters: int
    window: str
    unattended: str


class MaintenanceOut(Struct, frozen=True, rename={"start_at": "from"}):
    """A planned downtime, `state` says whether it lasts; `drain` is how long before `from` starts
    end already."""

    number: int
    state: Literal["planned", "under_way"]
    start_at: str
    until: str
    drain: str
    author: str
    reason: str


class GateOut(Struct, frozen=True, kw_only=True):
    """A gate: `state` is its control unless that is running, else its mode. `backlog` is how many
    eligible tasks wait; `learned_limit` is how many attempts an adaptive gate with work may have
    open by what it learned, `learned_rate` how many it may start a second, null: no bound."""

    gate: str
    state: GateStateName
    mode: Literal["open", "tripped", "probing", "ramping"]
    control: Literal["running", "paused", "draining", "closed"]
    implicit: bool
    limits: LimitsOut
    recovery: RecoveryOut
    aging: str
    max_backlog: int
    adaptive: AdaptiveOut | Literal["off"]
    parent: str | None
    family: FamilyOut | None
    alerts: AlertRulesOut
    learned_limit: int | None
    learned_rate: float | None
    counts: CountsOut
    backlog: int
    oldest_eligible_age_seconds: float | None
    attempts: int
    failures: int
    waits: WaitOut | None
    ramp_percent: int | None
    maintenance: tuple[MaintenanceOut, ...]
    version: int


class RecoveryStep(Struct, frozen=True):
    """One step of a recovery: what, why, by whom, and the numbers that led to it."""

    at: str
    kind: Literal["tripped", "probing", "step", "held", "released", "recovered"]
    why: str
    author: str
    percent: int | None
    failures: int | None
    attempts: int | None


class OutageOut(Struct, frozen=True):
    """An outage of a gate and its recovery. `depth` is how many tasks were eligible when it began;
    `ended_by` is who opened the gate, or `rule`."""

    number: int
    outage: OutageCause
    started_at: str
    depth: int | None
    trips: int
    steps: tuple[RecoveryStep, ...]
    ended_at: str | None
    ended_by: str


class PurgeOut(Struct, frozen=True):
    """How many tasks matched, how many of them were cancelled, and some of their ids; `bulk` is
    the id under which it is looked at, aborted or undone."""

    matched: int
    cancelled: int
    dry_run: bool
    sample: tuple[str, ...]
    bulk: str | None = None


class GateCause(Struct, frozen=True):
    """How many tasks one cause holds back."""

    cause: str
    tasks: int


class GateWaited(Struct, frozen=True):
    """How long a gate's tasks waited from `since` to `until`, all together: task-seconds by
    cause, which add up exactly. `since` is later than asked for where too much happened."""

    since: str
    until: str
    tasks: int
    total_seconds: Seconds
    causes: tuple[WhyCause, ...]


class GateWhy(Struct, frozen=True, omit_defaults=True):
    """Why what waits at a gate waits; the tasks of all causes add up to all that wait. `holder` is
    the gate above it that holds what is eligible; left out: it does so itself."""

    gate: str
    eligible: int
    causes: tuple[GateCause, ...]
    waited: GateWaited | None = None
    holder: str | None = None


# --- series -----------------------------------------------------------------------------------


class ScheduleOut(Struct, frozen=True, omit_defaults=True):
    """When a series runs, and the same as a sentence."""

    explain: str
    every: str | UnsetType = UNSET
    after: str | UnsetType = UNSET
    cron: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET


class SeriesOut(Struct, frozen=True, kw_only=True):
    """A series; `nominal_at` is the nominal time of its open task, `next_at` when that is due."""

    series: str
    gate: str
    state: Literal["active", "paused", "ended"]
    schedule: ScheduleOut
    catch_up: str
    catch_up_limit: int
    stop_on_failure: bool
    open_task: str | None
    next_at: str | None
    nominal_at: str | None
    url: str
    method: str
    version: int


class RunOut(Struct, frozen=True):
    """One nominal time, in UTC and as the clocks of the schedule's zone show it."""

    nominal_at: str
    local: str


class RunsOut(Struct, frozen=True):
    """The next runs of a schedule, and the schedule as a sentence."""

    items: tuple[RunOut, ...]
    explain: str


# --- the node ---------------------------------------------------------------------------------


class TreeNode(Struct, frozen=True):
    """One place in the supervision tree. `restarts_in_period` counts against the intensity of its
    supervisor; `handled` are messages of this incarnation, `rate` is how many of them a second."""

    path: str
    kind: str
    state: Literal["running", "restarting", "stopped", "quarantined"]
    since: str | None
    until: str | None
    incarnation: int
    restarts: int
    restarts_in_period: int
    last_error: str
    inbox: int
    handled: int
    rate: float


class ActorIncident(Struct, frozen=True):
    """What befell an actor, from the log."""

    position: int
    at: str
    type: str
    incarnation: int | None
    message: str
    error: str
    author: str
    reason: str


class ActorOut(Struct, frozen=True):
    """All that is known of one place: how it is supervised, what waits in its inbox by type, what
    it crashed on last, its newest incidents, and for a gate or a task its folded state."""

    actor: TreeNode
    spec: dict[str, str]
    inbox: dict[str, int]
    traceback: str
    incidents: tuple[ActorIncident, ...]
    state: Any = None


class VersionOut(Struct, frozen=True):
    """Which software serves, on which store, as which node."""

    version: str
    store: str
    node: str


class HealthOut(Struct, frozen=True):
    """Whether it is well; `why` says what is not."""

    status: Literal["ok", "unavailable"]
    why: str = ""


Event = dict[str, Any]
"""A `HistoryEvent` with the fields of its type, and with its stream where many are shown."""
