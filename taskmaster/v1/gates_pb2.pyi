import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from taskmaster.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdaptiveBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADAPTIVE_BY_UNSPECIFIED: _ClassVar[AdaptiveBy]
    ADAPTIVE_BY_LATENCY: _ClassVar[AdaptiveBy]
    ADAPTIVE_BY_ERRORS: _ClassVar[AdaptiveBy]

class GateState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATE_STATE_UNSPECIFIED: _ClassVar[GateState]
    GATE_STATE_OPEN: _ClassVar[GateState]
    GATE_STATE_TRIPPED: _ClassVar[GateState]
    GATE_STATE_PROBING: _ClassVar[GateState]
    GATE_STATE_RAMPING: _ClassVar[GateState]
    GATE_STATE_PAUSED: _ClassVar[GateState]
    GATE_STATE_DRAINING: _ClassVar[GateState]
    GATE_STATE_CLOSED: _ClassVar[GateState]
    GATE_STATE_QUARANTINED: _ClassVar[GateState]

class GateControl(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATE_CONTROL_UNSPECIFIED: _ClassVar[GateControl]
    GATE_CONTROL_RUNNING: _ClassVar[GateControl]
    GATE_CONTROL_PAUSED: _ClassVar[GateControl]
    GATE_CONTROL_DRAINING: _ClassVar[GateControl]
    GATE_CONTROL_CLOSED: _ClassVar[GateControl]

class MaintenanceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MAINTENANCE_STATE_UNSPECIFIED: _ClassVar[MaintenanceState]
    MAINTENANCE_STATE_PLANNED: _ClassVar[MaintenanceState]
    MAINTENANCE_STATE_UNDER_WAY: _ClassVar[MaintenanceState]
ADAPTIVE_BY_UNSPECIFIED: AdaptiveBy
ADAPTIVE_BY_LATENCY: AdaptiveBy
ADAPTIVE_BY_ERRORS: AdaptiveBy
GATE_STATE_UNSPECIFIED: GateState
GATE_STATE_OPEN: GateState
GATE_STATE_TRIPPED: GateState
GATE_STATE_PROBING: GateState
GATE_STATE_RAMPING: GateState
GATE_STATE_PAUSED: GateState
GATE_STATE_DRAINING: GateState
GATE_STATE_CLOSED: GateState
GATE_STATE_QUARANTINED: GateState
GATE_CONTROL_UNSPECIFIED: GateControl
GATE_CONTROL_RUNNING: GateControl
GATE_CONTROL_PAUSED: GateControl
GATE_CONTROL_DRAINING: GateControl
GATE_CONTROL_CLOSED: GateControl
MAINTENANCE_STATE_UNSPECIFIED: MaintenanceState
MAINTENANCE_STATE_PLANNED: MaintenanceState
MAINTENANCE_STATE_UNDER_WAY: MaintenanceState

class Rate(_message.Message):
    __slots__ = ("rate", "per", "burst")
    RATE_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    rate: float
    per: _duration_pb2.Duration
    burst: int
    def __init__(self, rate: _Optional[float] = ..., per: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., burst: _Optional[int] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("concurrency", "rate", "burst", "rates")
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    RATES_FIELD_NUMBER: _ClassVar[int]
    concurrency: int
    rate: float
    burst: int
    rates: _containers.RepeatedCompositeFieldContainer[Rate]
    def __init__(self, concurrency: _Optional[int] = ..., rate: _Optional[float] = ..., burst: _Optional[int] = ..., rates: _Optional[_Iterable[_Union[Rate, _Mapping]]] = ...) -> None: ...

class RampSteps(_message.Message):
    __slots__ = ("percent", "off")
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    percent: _containers.RepeatedScalarFieldContainer[int]
    off: bool
    def __init__(self, percent: _Optional[_Iterable[int]] = ..., off: _Optional[bool] = ...) -> None: ...

class Recovery(_message.Message):
    __slots__ = ("trip_failures", "trip_ratio", "trip_min_attempts", "trip_window", "tripped_min", "tripped_max", "ramp_steps", "ramp_step", "ramp_after", "fresh_share")
    TRIP_FAILURES_FIELD_NUMBER: _ClassVar[int]
    TRIP_RATIO_FIELD_NUMBER: _ClassVar[int]
    TRIP_MIN_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    TRIP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    TRIPPED_MIN_FIELD_NUMBER: _ClassVar[int]
    TRIPPED_MAX_FIELD_NUMBER: _ClassVar[int]
    RAMP_STEPS_FIELD_NUMBER: _ClassVar[int]
    RAMP_STEP_FIELD_NUMBER: _ClassVar[int]
    RAMP_AFTER_FIELD_NUMBER: _ClassVar[int]
    FRESH_SHARE_FIELD_NUMBER: _ClassVar[int]
    trip_failures: int
    trip_ratio: float
    trip_min_attempts: int
    trip_window: _duration_pb2.Duration
    tripped_min: _duration_pb2.Duration
    tripped_max: _duration_pb2.Duration
    ramp_steps: RampSteps
    ramp_step: _duration_pb2.Duration
    ramp_after: _duration_pb2.Duration
    fresh_share: float
    def __init__(self, trip_failures: _Optional[int] = ..., trip_ratio: _Optional[float] = ..., trip_min_attempts: _Optional[int] = ..., trip_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tripped_min: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tripped_max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ramp_steps: _Optional[_Union[RampSteps, _Mapping]] = ..., ramp_step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ramp_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., fresh_share: _Optional[float] = ...) -> None: ...

class Adaptive(_message.Message):
    __slots__ = ("min", "max", "by", "off")
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    OFF_FIELD_NUMBER: _ClassVar[int]
    min: int
    max: int
    by: AdaptiveBy
    off: bool
    def __init__(self, min: _Optional[int] = ..., max: _Optional[int] = ..., by: _Optional[_Union[AdaptiveBy, str]] = ..., off: _Optional[bool] = ...) -> None: ...

class AlertRules(_message.Message):
    __slots__ = ("oldest_eligible", "tripped", "ramp_failures", "dead_letters", "window", "unattended")
    OLDEST_ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    TRIPPED_FIELD_NUMBER: _ClassVar[int]
    RAMP_FAILURES_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    UNATTENDED_FIELD_NUMBER: _ClassVar[int]
    oldest_eligible: _duration_pb2.Duration
    tripped: _duration_pb2.Duration
    ramp_failures: int
    dead_letters: int
    window: _duration_pb2.Duration
    unattended: _duration_pb2.Duration
    def __init__(self, oldest_eligible: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tripped: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ramp_failures: _Optional[int] = ..., dead_letters: _Optional[int] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., unattended: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GateSettings(_message.Message):
    __slots__ = ("limits", "recovery", "aging", "max_backlog", "adaptive", "parent", "alerts")
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_FIELD_NUMBER: _ClassVar[int]
    AGING_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKLOG_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    limits: Limits
    recovery: Recovery
    aging: _duration_pb2.Duration
    max_backlog: int
    adaptive: Adaptive
    parent: str
    alerts: AlertRules
    def __init__(self, limits: _Optional[_Union[Limits, _Mapping]] = ..., recovery: _Optional[_Union[Recovery, _Mapping]] = ..., aging: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_backlog: _Optional[int] = ..., adaptive: _Optional[_Union[Adaptive, _Mapping]] = ..., parent: _Optional[str] = ..., alerts: _Optional[_Union[AlertRules, _Mapping]] = ...) -> None: ...

class Family(_message.Message):
    __slots__ = ("in_flight", "children")
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    in_flight: int
    children: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, in_flight: _Optional[int] = ..., children: _Optional[_Iterable[str]] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("scheduled", "waiting", "in_flight", "uncertain", "succeeded", "dead", "cancelled", "expired")
    SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    scheduled: int
    waiting: int
    in_flight: int
    uncertain: int
    succeeded: int
    dead: int
    cancelled: int
    expired: int
    def __init__(self, scheduled: _Optional[int] = ..., waiting: _Optional[int] = ..., in_flight: _Optional[int] = ..., uncertain: _Optional[int] = ..., succeeded: _Optional[int] = ..., dead: _Optional[int] = ..., cancelled: _Optional[int] = ..., expired: _Optional[int] = ...) -> None: ...

class Wait(_message.Message):
    __slots__ = ("cause", "until", "gate")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    cause: str
    until: _timestamp_pb2.Timestamp
    gate: str
    def __init__(self, cause: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., gate: _Optional[str] = ...) -> None: ...

class Maintenance(_message.Message):
    __slots__ = ("number", "state", "until", "drain", "author", "reason")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    number: int
    state: MaintenanceState
    until: _timestamp_pb2.Timestamp
    drain: _duration_pb2.Duration
    author: str
    reason: str
    def __init__(self, number: _Optional[int] = ..., state: _Optional[_Union[MaintenanceState, str]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., drain: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., **kwargs) -> None: ...

class Gate(_message.Message):
    __slots__ = ("gate", "state", "mode", "control", "implicit", "limits", "recovery", "aging", "max_backlog", "adaptive", "parent", "family", "alerts", "learned_limit", "learned_rate", "counts", "backlog", "oldest_eligible_age_seconds", "attempts", "failures", "waits", "ramp_percent", "maintenance", "version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    IMPLICIT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_FIELD_NUMBER: _ClassVar[int]
    AGING_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKLOG_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    LEARNED_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LEARNED_RATE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    OLDEST_ELIGIBLE_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    RAMP_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    state: GateState
    mode: GateState
    control: GateControl
    implicit: bool
    limits: Limits
    recovery: Recovery
    aging: _duration_pb2.Duration
    max_backlog: int
    adaptive: Adaptive
    parent: str
    family: Family
    alerts: AlertRules
    learned_limit: int
    learned_rate: float
    counts: Counts
    backlog: int
    oldest_eligible_age_seconds: float
    attempts: int
    failures: int
    waits: Wait
    ramp_percent: int
    maintenance: _containers.RepeatedCompositeFieldContainer[Maintenance]
    version: int
    def __init__(self, gate: _Optional[str] = ..., state: _Optional[_Union[GateState, str]] = ..., mode: _Optional[_Union[GateState, str]] = ..., control: _Optional[_Union[GateControl, str]] = ..., implicit: _Optional[bool] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., recovery: _Optional[_Union[Recovery, _Mapping]] = ..., aging: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_backlog: _Optional[int] = ..., adaptive: _Optional[_Union[Adaptive, _Mapping]] = ..., parent: _Optional[str] = ..., family: _Optional[_Union[Family, _Mapping]] = ..., alerts: _Optional[_Union[AlertRules, _Mapping]] = ..., learned_limit: _Optional[int] = ..., learned_rate: _Optional[float] = ..., counts: _Optional[_Union[Counts, _Mapping]] = ..., backlog: _Optional[int] = ..., oldest_eligible_age_seconds: _Optional[float] = ..., attempts: _Optional[int] = ..., failures: _Optional[int] = ..., waits: _Optional[_Union[Wait, _Mapping]] = ..., ramp_percent: _Optional[int] = ..., maintenance: _Optional[_Iterable[_Union[Maintenance, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...

class GetGateRequest(_message.Message):
    __slots__ = ("gate",)
    GATE_FIELD_NUMBER: _ClassVar[int]
    gate: str
    def __init__(self, gate: _Optional[str] = ...) -> None: ...

class ListGatesRequest(_message.Message):
    __slots__ = ("state", "limit", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: _containers.RepeatedScalarFieldContainer[GateState]
    limit: int
    page_token: str
    def __init__(self, state: _Optional[_Iterable[_Union[GateState, str]]] = ..., limit: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGatesResponse(_message.Message):
    __slots__ = ("items", "next_page_token")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Gate]
    next_page_token: str
    def __init__(self, items: _Optional[_Iterable[_Union[Gate, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PutGateRequest(_message.Message):
    __slots__ = ("gate", "settings", "reason", "if_version", "create_only")
    GATE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    gate: str
    settings: GateSettings
    reason: str
    if_version: int
    create_only: bool
    def __init__(self, gate: _Optional[str] = ..., settings: _Optional[_Union[GateSettings, _Mapping]] = ..., reason: _Optional[str] = ..., if_version: _Optional[int] = ..., create_only: _Optional[bool] = ...) -> None: ...

class PatchGateRequest(_message.Message):
    __slots__ = ("gate", "settings", "update_mask", "reason", "if_version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    settings: GateSettings
    update_mask: _field_mask_pb2.FieldMask
    reason: str
    if_version: int
    def __init__(self, gate: _Optional[str] = ..., settings: _Optional[_Union[GateSettings, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., reason: _Optional[str] = ..., if_version: _Optional[int] = ...) -> None: ...

class PauseGateRequest(_message.Message):
    __slots__ = ("gate", "until", "reason", "if_version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    until: _timestamp_pb2.Timestamp
    reason: str
    if_version: int
    def __init__(self, gate: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., if_version: _Optional[int] = ...) -> None: ...

class ResumeGateRequest(_message.Message):
    __slots__ = ("gate", "reason", "if_version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    reason: str
    if_version: int
    def __init__(self, gate: _Optional[str] = ..., reason: _Optional[str] = ..., if_version: _Optional[int] = ...) -> None: ...

class DrainGateRequest(_message.Message):
    __slots__ = ("gate", "reason", "if_version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    reason: str
    if_version: int
    def __init__(self, gate: _Optional[str] = ..., reason: _Optional[str] = ..., if_version: _Optional[int] = ...) -> None: ...

class CloseGateRequest(_message.Message):
    __slots__ = ("gate", "reason", "if_version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    reason: str
    if_version: int
    def __init__(self, gate: _Optional[str] = ..., reason: _Optional[str] = ..., if_version: _Optional[int] = ...) -> None: ...

class ReleaseGateRequest(_message.Message):
    __slots__ = ("gate", "reason", "if_version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    reason: str
    if_version: int
    def __init__(self, gate: _Optional[str] = ..., reason: _Optional[str] = ..., if_version: _Optional[int] = ...) -> None: ...

class WatchGateRequest(_message.Message):
    __slots__ = ("gate", "after_version")
    GATE_FIELD_NUMBER: _ClassVar[int]
    AFTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    gate: str
    after_version: int
    def __init__(self, gate: _Optional[str] = ..., after_version: _Optional[int] = ...) -> None: ...
