"""The generated messages are those of `proto/`, and say what the REST API says."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from taskmaster.api import answers, bodies
from taskmaster.api.app import OPERATIONS
from taskmaster.api.problems import CODES
from taskmaster.grpc_api.methods import METHODS
from taskmaster.grpc_api.server import SERVICES
from taskmaster.grpc_api.statuses import STATUSES
from taskmaster.model.gate import GateStateName
from taskmaster.model.task import TaskStateName
from taskmaster.model.task_control import CancelAnswer
from taskmaster.v1 import events_pb2, gates_pb2, series_pb2, tasks_pb2
from tools.protos import PACKAGE, write


@pytest.mark.slow
def test_what_is_generated_is_what_is_checked_in(tmp_path: Path) -> None:
    assert write(tmp_path) == 0

    made = {path.name: path.read_bytes() for path in (tmp_path / PACKAGE).iterdir()}
    kept = {path.name: path.read_bytes() for path in PACKAGE.iterdir() if path.is_file()}
    assert kept == made


# what a message has beyond, or not: the body is bytes, `off` stands for a text, a reason stands
# beside the settings
BODY, REASON = {"body_base64"}, {"reason"}
SAME: list[tuple[type[Message], Any, set[str], set[str]]] = [
    (tasks_pb2.TaskSpec, bodies.TaskIn, set(), BODY),
    (tasks_pb2.Retry, bodies.RetryIn, set(), set()),
    (tasks_pb2.Retry, answers.RetryOut, set(), set()),
    (tasks_pb2.Task, answers.TaskOut, set(), set()),
    (tasks_pb2.CancelTaskResponse, answers.CancelOut, set(), set()),
    (tasks_pb2.RescheduleTaskRequest, bodies.RescheduleIn, {"id"}, set()),
    (events_pb2.Event, answers.HistoryEvent, {"fields"}, set()),
    (gates_pb2.GateSettings, bodies.GateIn, set(), REASON),
    (gates_pb2.Limits, bodies.LimitsIn, set(), set()),
    (gates_pb2.Limits, answers.LimitsOut, set(), set()),
    (gates_pb2.Rate, bodies.RateIn, set(), set()),
    (gates_pb2.Recovery, bodies.RecoveryIn, set(), set()),
    (gates_pb2.Recovery, answers.RecoveryOut, set(), set()),
    (gates_pb2.Adaptive, bodies.AdaptiveIn, {"off"}, set()),
    (gates_pb2.Adaptive, answers.AdaptiveOut, {"off"}, set()),
    (gates_pb2.AlertRules, bodies.AlertsIn, set(), set()),
    (gates_pb2.AlertRules, answers.AlertRulesOut, set(), set()),
    (gates_pb2.Gate, answers.GateOut, set(), set()),
    (gates_pb2.Counts, answers.CountsOut, set(), set()),
    (gates_pb2.Wait, answers.WaitOut, set(), set()),
    (gates_pb2.Family, answers.FamilyOut, set(), set()),
    (gates_pb2.Maintenance, answers.MaintenanceOut, set(), set()),
    (gates_pb2.PauseGateRequest, bodies.PauseIn, {"gate", "if_version"}, set()),
    (series_pb2.SeriesSpec, bodies.SeriesIn, set(), BODY | REASON),
    (series_pb2.Series, answers.SeriesOut, set(), set()),
    (series_pb2.Schedule, answers.ScheduleOut, set(), set()),
    (series_pb2.NextRunsResponse, answers.RunsOut, set(), set()),
    (series_pb2.Run, answers.RunOut, set(), set()),
]


@pytest.mark.parametrize(("message", "shape", "more", "fewer"), SAME)
def test_a_message_has_the_fields_of_the_json(
    message: type[Message], shape: Any, more: set[str], fewer: set[str]
) -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(shape)}

    assert set(message.DESCRIPTOR.fields_by_name) == (fields | more) - fewer


@pytest.mark.parametrize(
    ("enum", "names"),
    [
        (tasks_pb2.DESCRIPTOR.enum_types_by_name["TaskState"], TaskStateName),
        (tasks_pb2.DESCRIPTOR.enum_types_by_name["CancelAnswer"], CancelAnswer),
        (gates_pb2.DESCRIPTOR.enum_types_by_name["GateState"], GateStateName),
    ],
)
def test_an_enum_has_the_words_of_the_json(enum: EnumDescriptor, names: Any) -> None:
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")

    assert {value.name.removeprefix(prefix).lower() for value in enum.values[1:]} == set(
        names.__args__
    )


def test_every_method_is_an_operation_and_every_problem_a_status() -> None:
    names = {f"{service.name}/{method.name}" for service in SERVICES for method in service.methods}
    operations = {operation.name for operation in OPERATIONS}

    others = {
        "TaskService/BatchSubmitTasks",
        "TaskService/SubmitTasks",
        "TaskService/WatchTask",
        "GateService/WatchGate",
    }
    assert {method.name for method in METHODS} == names - others
    assert {method.operation for method in METHODS} <= operations
    assert set(STATUSES) == set(CODES)
