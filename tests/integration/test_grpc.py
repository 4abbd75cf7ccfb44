"""The gRPC API on a server of its own: tasks, gates, series, watching, errors."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from taskmaster.v1.gates_pb2 import (
    GATE_STATE_CLOSED,
    GATE_STATE_OPEN,
    GATE_STATE_PAUSED,
    Adaptive,
    CloseGateRequest,
    DrainGateRequest,
    GateSettings,
    GetGateRequest,
    Limits,
    ListGatesRequest,
    PatchGateRequest,
    PauseGateRequest,
    PutGateRequest,
    RampSteps,
    Recovery,
    ResumeGateRequest,
    WatchGateRequest,
)
from taskmaster.v1.series_pb2 import (
    CATCH_UP_ONE,
    SERIES_STATE_ENDED,
    SERIES_STATE_PAUSED,
    EndSeriesRequest,
    GetSeriesRequest,
    ListSeriesRequest,
    NextRunsRequest,
    PauseSeriesRequest,
    PutSeriesRequest,
    SeriesSpec,
)
from taskmaster.v1.tasks_pb2 import (
    CANCEL_ANSWER_CANCELLED,
    JITTER_NONE,
    TASK_STATE_CANCELLED,
    TASK_STATE_SCHEDULED,
    TASK_STATE_WAITING,
    BatchSubmitTasksRequest,
    CancelTaskRequest,
    GetTaskHistoryRequest,
    GetTaskRequest,
    ListTasksRequest,
    RedriveTaskRequest,
    RescheduleTaskRequest,
    Retry,
    RunTaskRequest,
    Submission,
    SubmitTaskRequest,
    SubmitTasksRequest,
    TaskSpec,
    WatchTaskRequest,
)
from tests.integration.grpc_calls import WITHIN_S, No, Stubs, no_of, refusal
from tests.integration.server_process import ServerProcess

URL = "http://127.0.0.1:9/hook"
UNKNOWN: Any = 9  # of an enum
LATER = Timestamp(seconds=1_900_000_000, nanos=123_456_000)
Status = grpc.StatusCode


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stubs]:
    store: Path = tmp_path_factory.mktemp("grpc") / "t.db"
    with (
        ServerProcess(store, "--grpc-port", "0") as process,
        grpc.insecure_channel(process.grpc) as channel,
    ):
        yield Stubs(channel)


@pytest.fixture
def gate(api: Stubs) -> str:
    """A gate of the test's own that starts nothing."""
    name = f"g-{uuid4().hex[:12]}"
    api.gates.PutGate(PutGateRequest(gate=name))
    api.gates.PauseGate(PauseGateRequest(gate=name))
    return name


def submitted(api: Stubs, gate: str, **fields: Any) -> Any:
    task = TaskSpec(url=URL, gate=gate, **fields)
    return api.tasks.SubmitTask(SubmitTaskRequest(task=task)).task


# --- tasks ------------------------------------------------------------------------------------


def test_a_submitted_task_is_there_with_all_its_fields(api: Stubs, gate: str) -> None:
    task = submitted(
        api,
        gate,
        method="PUT",
        headers={"Content-Type": "text/plain", "Authorization": "Bearer s3cret"},
        body=b"\xff\x00",
        due_at=LATER,
        timeout=Duration(seconds=1, nanos=500_000_000),
        retry=Retry(max_attempts=3, jitter=JITTER_NONE, retry_on=[409]),
        idempotent=False,
        priority=7,
        key="k1",
        labels={"team": "billing"},
    )

    assert api.tasks.GetTask(GetTaskRequest(id=task.id)) == task
    assert (task.gate, task.state, task.method) == (gate, TASK_STATE_SCHEDULED, "PUT")
    assert dict(task.headers) == {"Content-Type": "text/plain", "Authorization": "***"}
    assert (task.body_bytes, task.due_at, task.timeout.nanos) == (2, LATER, 500_000_000)
    assert (task.retry.max_attempts, task.retry.jitter) == (3, JITTER_NONE)
    assert (list(task.retry.retry_on), task.idempotent, task.priority) == ([409], False, 7)
    assert (task.key, dict(task.labels), task.version) == ("k1", {"team": "billing"}, 1)
    assert not task.HasField("expires_at")


def test_a_key_gives_the_task_again_and_other_content_is_refused(api: Stubs, gate: str) -> None:
    """Semantics 2.6."""
    first = submitted(api, gate, key="k", body=b"1")
    again = SubmitTaskRequest(task=TaskSpec(url=URL, gate=gate, key="k", body=b"1"))
    other = SubmitTaskRequest(task=TaskSpec(url=URL, gate=gate, key="k", body=b"2"))

    replay = api.tasks.SubmitTask(again)

    assert (replay.task.id, replay.replayed) == (first.id, True)
    no = refusal(api.tasks.SubmitTask, other)
    assert no[:3] == (Status.ALREADY_EXISTS, "CONFLICT", "task.key")


@pytest.mark.parametrize(
    ("task", "field", "text"),
    [
        (TaskSpec(), "task.url", "url is missing; give the endpoint"),
        (TaskSpec(url=URL, priority=11), "task.priority", "must be 0 to 9 (it is 11)"),
        (TaskSpec(url=URL, retry=Retry(max_attempts=0)), "task.retry.max_attempts", "1 to 1000"),
        (TaskSpec(url=URL, retry=Retry(jitter=UNKNOWN)), "task.retry.jitter", "JITTER_FULL"),
        (TaskSpec(url=URL, headers={"Host": "x"}), "task.headers.Host", "leave it out"),
        (TaskSpec(url=URL, due_at=LATER, delay=Duration(seconds=1)), "task.delay", "one of them"),
        (TaskSpec(url=URL, delay=Duration(seconds=1, nanos=-1)), "task.delay", "of one sign"),
        (TaskSpec(url=URL, gate="no-such"), "task.gate", "create it"),
        (TaskSpec(url=URL, body=b"\xff" * (1024 * 1024 + 1)), "task.body", "reference"),
    ],
)
def test_a_field_that_cannot_be_is_named_with_its_remedy(
    api: Stubs, task: TaskSpec, field: str, text: str
) -> None:
    no = refusal(api.tasks.SubmitTask, SubmitTaskRequest(task=task))

    assert (no.status, no.field) == (Status.INVALID_ARGUMENT, field)
    assert text in no.text


def test_commands_change_a_task_and_are_refused_where_they_do_not_fit(
    api: Stubs, gate: str
) -> None:
    task = submitted(api, gate)
    call = RescheduleTaskRequest(id=task.id, due_at=LATER, reason="later")

    assert api.tasks.RescheduleTask(call).due_at == LATER
    assert api.tasks.RunTask(RunTaskRequest(id=task.id)).state == TASK_STATE_WAITING
    no = refusal(api.tasks.RedriveTask, RedriveTaskRequest(id=task.id))
    assert no[:2] == (Status.FAILED_PRECONDITION, "CONFLICT")
    done = api.tasks.CancelTask(CancelTaskRequest(id=task.id, reason="enough"))
    assert (done.answer, done.task.state) == (CANCEL_ANSWER_CANCELLED, TASK_STATE_CANCELLED)
    assert api.tasks.RedriveTask(RedriveTaskRequest(id=task.id)).state == TASK_STATE_WAITING
    assert refusal(api.tasks.GetTask, GetTaskRequest(id="x"))[:3] == (
        Status.NOT_FOUND,
        "NOT_FOUND",
        "id",
    )
    assert refusal(api.tasks.RunTask, RunTaskRequest()).field == "id"


def test_lists_and_histories_go_on_by_their_tokens(api: Stubs, gate: str) -> None:
    ids = [submitted(api, gate, labels={"n": str(n)}).id for n in range(3)]
    wanted = ListTasksRequest(gate=gate, state=[TASK_STATE_WAITING], limit=2)

    page = api.tasks.ListTasks(wanted)
    wanted.page_token = page.next_page_token
    rest = api.tasks.ListTasks(wanted)

    assert [task.id for task in (*page.items, *rest.items)] == ids[::-1]
    assert rest.next_page_token == ""
    labelled = api.tasks.ListTasks(ListTasksRequest(gate=gate, label=["n:1"]))
    assert [task.id for task in labelled.items] == [ids[1]]
    history = api.tasks.GetTaskHistory(GetTaskHistoryRequest(id=ids[0]))
    [event] = history.items
    assert (event.type, event.version, event.cause.command) == ("TaskSubmitted", 1, "SubmitTask")
    assert event.fields["request"]["url"] == URL
    no = refusal(api.tasks.ListTasks, ListTasksRequest(page_token="x"))
    assert no[:3] == (Status.INVALID_ARGUMENT, "STALE_PAGE_TOKEN", "page_token")


# --- many at once -----------------------------------------------------------------------------


def submissions(gate: str, seqs: range) -> list[Submission]:
    """With a key each; every tenth cannot be."""
    return [
        Submission(
            seq=seq,
            task=TaskSpec(url=URL, gate=gate, key=f"k{seq}", priority=10 if seq % 10 == 9 else 0),
        )
        for seq in seqs
    ]


def test_a_stream_answers_each_submission_under_its_seq_and_in_order(api: Stubs, gate: str) -> None:
    """After a break the caller sends again what it has no answer to: nothing is stored twice."""
    all_of_it = submissions(gate, range(1_000, 2_000))

    def cut(many: list[Submission], size: int) -> Iterator[SubmitTasksRequest]:
        for first in range(0, len(many), size):
            yield SubmitTasksRequest(submissions=many[first : first + size])

    broken = api.tasks.SubmitTasks(cut(all_of_it, 7))
    next(broken)
    broken.cancel()
    replies = api.tasks.SubmitTasks(cut(all_of_it, 1), timeout=WITHIN_S)
    results = [result for reply in replies for result in reply.results]

    assert [result.seq for result in results] == list(range(1_000, 2_000))
    assert any(result.replayed for result in results)
    refused = [result for result in results if result.HasField("error")]
    assert [result.seq % 10 for result in refused] == [9] * 100
    assert no_of(refused[0].error)[:3] == (
        Status.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "task.priority",
    )
    assert api.gates.GetGate(GetGateRequest(gate=gate)).counts.waiting == 900


def test_a_caller_who_does_not_read_is_not_read_from(api: Stubs) -> None:
    """Nothing is kept for it without bound."""
    sent = 0
    stopped = threading.Event()

    def endless() -> Iterator[SubmitTasksRequest]:
        nonlocal sent
        while not stopped.is_set():
            sent += 1
            yield SubmitTasksRequest(submissions=[Submission(task=TaskSpec(url=f"x{'y' * 1000}"))])

    replies = api.tasks.SubmitTasks(endless())
    before, still = -1, threading.Event()
    for _ in range(120):
        if sent == before:
            break
        before = sent
        still.wait(0.25)
    else:
        pytest.fail(f"{sent} were read")
    next(replies)
    stopped.set()
    replies.cancel()


def test_a_batch_is_answered_in_its_order_and_has_a_bound(api: Stubs, gate: str) -> None:
    many = BatchSubmitTasksRequest(submissions=submissions(gate, range(450)))

    results = api.tasks.BatchSubmitTasks(many).results

    assert [result.seq for result in results] == list(range(450))
    assert sum(result.HasField("error") for result in results) == 45
    too_many = BatchSubmitTasksRequest(submissions=[Submission()] * 10_001)
    no = refusal(api.tasks.BatchSubmitTasks, too_many)
    assert no[:3] == (Status.INVALID_ARGUMENT, "TOO_LARGE", "submissions")


# --- gates ------------------------------------------------------------------------------------


def test_a_gate_is_put_patched_and_reset_by_a_mask(api: Stubs, gate: str) -> None:
    settings = GateSettings(
        limits=Limits(concurrency=3, rate=5),
        recovery=Recovery(ramp_steps=RampSteps(percent=[50, 100]), trip_failures=9),
        adaptive=Adaptive(min=2),
        max_backlog=7,
    )
    put = api.gates.PutGate(PutGateRequest(gate=gate, settings=settings, reason="first"))
    patched = api.gates.PatchGate(
        PatchGateRequest(
            gate=gate,
            settings=GateSettings(
                adaptive=Adaptive(off=True), recovery=Recovery(ramp_steps=RampSteps(off=True))
            ),
            if_version=put.version,
        )
    )
    masked = api.gates.PatchGate(
        PatchGateRequest(
            gate=gate,
            settings=GateSettings(limits=Limits(rate=8), max_backlog=3),
            update_mask=FieldMask(paths=["limits.concurrency", "limits.rate"]),
        )
    )

    assert (put.limits.concurrency, put.limits.rate, put.adaptive.min) == (3, 5, 2)
    assert list(put.recovery.ramp_steps.percent) == [50, 100]
    assert (patched.adaptive.off, patched.recovery.ramp_steps.off) == (True, True)
    assert (patched.recovery.trip_failures, patched.limits.rate) == (9, 5)
    assert (masked.limits.concurrency, masked.limits.rate, masked.max_backlog) == (32, 8, 7)
    stale = PatchGateRequest(gate=gate, settings=settings, if_version=put.version)
    assert refusal(api.gates.PatchGate, stale)[:2] == (Status.ABORTED, "PRECONDITION_FAILED")
    there = PutGateRequest(gate=gate, create_only=True)
    assert refusal(api.gates.PutGate, there).status == Status.ABORTED
    wrong = PutGateRequest(gate=gate, settings=GateSettings(limits=Limits(concurrency=0)))
    assert refusal(api.gates.PutGate, wrong).field == "settings.limits.concurrency"


def test_a_gate_that_takes_nothing_says_when_to_try_again(api: Stubs, gate: str) -> None:
    call = SubmitTaskRequest(task=TaskSpec(url=URL, gate=gate))
    api.gates.PutGate(PutGateRequest(gate=gate, settings=GateSettings(max_backlog=1)))
    api.tasks.SubmitTask(call)

    full = refusal(api.tasks.SubmitTask, call)
    closed_gate = api.gates.CloseGate(CloseGateRequest(gate=gate))
    closed = refusal(api.tasks.SubmitTask, call)

    assert (full.status, full.reason) == (Status.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert (full.quota, full.retry_s, full.field) == ("max_backlog", 1, "task.gate")
    assert closed_gate.state == GATE_STATE_CLOSED
    assert closed == No(
        Status.UNAVAILABLE, "CLOSED", "task.gate", f"gate {gate} is closed; resume it first", 1
    )


def test_gates_are_commanded_and_listed_by_state(api: Stubs, gate: str) -> None:
    paused = api.gates.PauseGate(PauseGateRequest(gate=gate, until=LATER, reason="night"))
    listed = api.gates.ListGates(ListGatesRequest(state=[GATE_STATE_PAUSED], limit=1000))
    resumed = api.gates.ResumeGate(ResumeGateRequest(gate=gate))

    assert paused.state == GATE_STATE_PAUSED
    assert gate in [one.gate for one in listed.items]
    assert resumed.state == GATE_STATE_OPEN
    api.gates.DrainGate(DrainGateRequest(gate=gate))
    no = refusal(api.gates.GetGate, GetGateRequest(gate="no-such"))
    assert no[:3] == (Status.NOT_FOUND, "NOT_FOUND", "gate")


# --- series -----------------------------------------------------------------------------------


def test_a_series_is_put_listed_paused_and_ended(api: Stubs, gate: str) -> None:
    name = f"s-{gate}"
    spec = SeriesSpec(url=URL, gate=gate, cron="0 9 * * *", time_zone="Europe/Berlin")
    put = PutSeriesRequest(name=name, series=spec)

    made = api.series.PutSeries(put)
    again = api.series.PutSeries(put)

    assert (made.schedule.cron, made.catch_up, made.gate) == ("0 9 * * *", CATCH_UP_ONE, gate)
    assert again == made
    assert api.series.GetSeries(GetSeriesRequest(name=name)) == made
    assert name in [one.series for one in api.series.ListSeries(ListSeriesRequest()).items]
    runs = api.series.NextRuns(NextRunsRequest(name=name, count=2))
    assert runs.items[0].nominal_at == made.nominal_at
    paused = api.series.PauseSeries(PauseSeriesRequest(name=name))
    ended = api.series.EndSeries(EndSeriesRequest(name=name))
    assert (paused.state, ended.state) == (SERIES_STATE_PAUSED, SERIES_STATE_ENDED)
    other = PutSeriesRequest(name=name, series=SeriesSpec(url=URL, every=Duration(seconds=60)))
    no = refusal(api.series.PutSeries, other)
    assert no[:3] == (Status.ALREADY_EXISTS, "CONFLICT", "series")
    bad = PutSeriesRequest(name="x", series=SeriesSpec(url=URL, cron="0 0 30 2 *"))
    assert refusal(api.series.PutSeries, bad).field == "series.cron"


# --- watching ---------------------------------------------------------------------------------


def test_a_task_is_watched_from_a_version_to_its_end(api: Stubs, gate: str) -> None:
    task = submitted(api, gate)
    events = api.tasks.WatchTask(WatchTaskRequest(id=task.id), timeout=WITHIN_S)
    first = next(events)
    api.tasks.RescheduleTask(RescheduleTaskRequest(id=task.id, due_at=LATER))
    second = next(events)
    events.cancel()
    api.tasks.CancelTask(CancelTaskRequest(id=task.id))

    rest = list(api.tasks.WatchTask(WatchTaskRequest(id=task.id, after_version=2)))

    assert [(first.type, first.version), (second.type, second.version)] == [
        ("TaskSubmitted", 1),
        ("TaskRescheduled", 2),
    ]
    assert [(event.type, event.version) for event in rest] == [("TaskCancelled", 3)]
    no = refusal(api.tasks.WatchTask, WatchTaskRequest(id="x"))
    assert no.status == Status.NOT_FOUND


def test_a_gate_is_watched_until_the_callers_deadline(api: Stubs, gate: str) -> None:
    events = api.gates.WatchGate(WatchGateRequest(gate=gate, after_version=2), timeout=2)
    api.gates.ResumeGate(ResumeGateRequest(gate=gate))

    seen = [next(events).type]
    with pytest.raises(grpc.RpcError) as ended:
        next(events)

    assert seen == ["GateResumed"]
    assert isinstance(ended.value, grpc.Call)
    assert ended.value.code() == Status.DEADLINE_EXCEEDED


# --- beside the services ----------------------------------------------------------------------


def test_health_and_reflection_name_every_service(api: Stubs) -> None:
    health: Any = health_pb2_grpc.HealthStub(api.channel)
    reflected: Any = reflection_pb2_grpc.ServerReflectionStub(api.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    of_file = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="taskmaster.v1.TaskService"
    )

    listed, described = reflected.ServerReflectionInfo(iter([asked, of_file]))

    names = {service.name for service in listed.list_services_response.service}
    ours = {f"taskmaster.v1.{name}Service" for name in ("Task", "Gate", "Series")}
    assert ours | {"grpc.health.v1.Health"} <= names
    assert described.file_descriptor_response.file_descriptor_proto
    for name in ("", *ours):
        check = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert check.status == health_pb2.HealthCheckResponse.SERVING
