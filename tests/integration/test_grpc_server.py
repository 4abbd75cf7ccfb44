"""How the gRPC server lets callers in, and how it ends."""

import subprocess
from pathlib import Path

import grpc
import pytest
import trustme

from taskmaster.v1.gates_pb2 import GetGateRequest, PutGateRequest, WatchGateRequest
from taskmaster.v1.tasks_pb2 import GetTaskHistoryRequest, SubmitTaskRequest, TaskSpec
from tests.integration.grpc_calls import WITHIN_S, Stubs, refusal
from tests.integration.server_process import COMMAND, ServerProcess, environment

URL = "http://127.0.0.1:9/hook"


def made_key(store: Path) -> str:
    done = subprocess.run(
        [*COMMAND, "key", "create", "ci", "--store", str(store)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return next(word for word in done.stdout.split() if word.startswith("tm_"))


@pytest.mark.slow
def test_with_keys_a_call_needs_one_and_has_its_name(tmp_path: Path) -> None:
    store = tmp_path / "t.db"
    key = made_key(store)
    with ServerProcess(store, "--grpc-port", "0") as process:
        with grpc.insecure_channel(process.grpc) as channel:
            api = Stubs(channel)
            call = SubmitTaskRequest(task=TaskSpec(url=URL))

            without = refusal(api.tasks.SubmitTask, call)
            wrong = refusal(
                api.tasks.SubmitTask, call, metadata=[("authorization", "Bearer tm_wrong")]
            )
            metadata = [("authorization", f"Bearer {key}"), ("traceparent", "00-" + "1" * 32)]
            task = api.tasks.SubmitTask(call, metadata=metadata).task
            history = api.tasks.GetTaskHistory(GetTaskHistoryRequest(id=task.id), metadata=metadata)
        said = process.said()

    assert without[:2] == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert wrong.status == grpc.StatusCode.UNAUTHENTICATED
    assert history.items[0].cause.author == "ci"
    assert history.items[0].fields["traceparent"] == "00-" + "1" * 32
    assert key.encode() not in said


@pytest.mark.slow
def test_tls_and_client_certificates_are_asked_for(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("localhost"), authority.issue_cert("client")
    foreign = stranger.issue_cert("client")
    files = {
        "TASKMASTER_GRPC__TLS_CERT_FILE": server.cert_chain_pems[0],
        "TASKMASTER_GRPC__TLS_KEY_FILE": server.private_key_pem,
        "TASKMASTER_GRPC__CLIENT_CA_FILE": authority.cert_pem,
    }
    settings: dict[str, str] = {}
    for name, pem in files.items():
        path = tmp_path / name.lower()
        pem.write_to_path(path)
        settings[name] = str(path)

    def answer(address: str, identity: trustme.LeafCert | None) -> grpc.StatusCode:
        credentials = grpc.ssl_channel_credentials(
            authority.cert_pem.bytes(),
            identity and identity.private_key_pem.bytes(),
            identity and identity.cert_chain_pems[0].bytes(),
        )
        with grpc.secure_channel(address, credentials) as channel:
            stub = Stubs(channel).gates.PutGate
            return stub.future(PutGateRequest(gate="a"), timeout=WITHIN_S).code()

    with ServerProcess(tmp_path / "t.db", "--grpc-port", "0", settings=settings) as process:
        address = process.grpc.replace("127.0.0.1", "localhost")
        answers = [answer(address, one) for one in (client, None, foreign)]
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
            Stubs(channel).gates.GetGate(GetGateRequest(gate="a"), timeout=WITHIN_S)

    away = grpc.StatusCode.UNAVAILABLE
    assert answers == [grpc.StatusCode.OK, away, away]


@pytest.mark.slow
def test_a_server_with_open_streams_drains_and_ends_by_itself(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "t.db", "--grpc-port", "0") as process,
        grpc.insecure_channel(process.grpc) as channel,
    ):
        api = Stubs(channel)
        api.gates.PutGate(PutGateRequest(gate="a"))
        events = api.gates.WatchGate(WatchGateRequest(gate="a"))
        first = next(events)
        code = process.stop()
        with pytest.raises(grpc.RpcError) as ended:
            next(events)

    assert (first.type, code) == ("GateOpened", 0)
    assert isinstance(ended.value, grpc.Call)
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
    assert b"error" not in process.said()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TASKMASTER_GRPC__HOST": "0.0.0.0"}, "taskmaster key create"),
        ({"TASKMASTER_GRPC__TLS_CERT": "x"}, "grpc.tls_key"),
        ({"TASKMASTER_GRPC__TLS_CERT": "x", "TASKMASTER_GRPC__TLS_KEY": "s3cret"}, "grpc"),
    ],
)
def test_a_server_that_cannot_serve_says_why_and_ends(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [*COMMAND, "serve", "--store", str(tmp_path / "t.db"), "--port", "0", "--grpc-port", "0"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode not in (0, 75)
    assert said in done.stderr
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr
