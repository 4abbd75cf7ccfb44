"""Bad input over REST: a 4xx that names the field and the remedy, and nothing stored."""

import json
from typing import Any

import pytest

from tests.integration.api_server import Server

URL = "http://localhost:9/hook"
DEEP = b"[" * 100_000 + b"]" * 100_000
BAD_TASKS: tuple[tuple[Any, int, str], ...] = (
    ({}, 422, "/url"),
    ([], 422, ""),
    (None, 422, ""),
    ("text", 422, ""),
    ({"url": None}, 422, "/url"),
    ({"url": ""}, 422, "/url"),
    ({"url": "localhost/x"}, 422, "/url"),
    ({"url": "file:///etc/passwd"}, 422, "/url"),
    ({"url": "http://user:pw@localhost/"}, 422, "/url"),
    ({"url": "http://localhost/\r\nX: y"}, 422, "/url"),
    ({"url": "http://evil\\@localhost/"}, 422, "/url"),
    ({"url": "http://169.254.169.254/latest/meta-data"}, 422, "/url"),
    ({"url": "http://2852039166/"}, 422, "/url"),
    ({"url": "http://10.0.0.1/"}, 422, "/url"),
    ({"url": "http://[::ffff:10.0.0.1]/"}, 422, "/url"),
    ({"url": "http://localhost:99999/"}, 422, "/url"),
    ({"url": "http://localhost/" + "x" * 9_000}, 422, "/url"),
    ({"url": URL, "method": "BREW"}, 422, "/method"),
    ({"url": URL, "method": "GET\r\nX: y"}, 422, "/method"),
    ({"url": URL, "method": 5}, 422, "/method"),
    ({"url": URL, "headers": {"X": "a\r\nHost: b"}}, 422, "/headers/X"),
    ({"url": URL, "headers": {"X": "a\x00"}}, 422, "/headers/X"),
    ({"url": URL, "headers": {"X\nY": "a"}}, 422, "/headers"),
    ({"url": URL, "headers": {"": "a"}}, 422, "/headers"),
    ({"url": URL, "headers": {"Host": "a"}}, 422, "/headers/Host"),
    ({"url": URL, "headers": {"Content-Length": "0"}}, 422, "/headers/Content-Length"),
    ({"url": URL, "headers": {"TaskMaster-Task": "a"}}, 422, "/headers/TaskMaster-Task"),
    ({"url": URL, "headers": {"X": "ä"}}, 422, "/headers/X"),
    ({"url": URL, "headers": {"X": "y" * 40_000}}, 422, "/headers"),
    ({"url": URL, "headers": {"X": 1}}, 422, "/headers"),
    ({"url": URL, "headers": ["X"]}, 422, "/headers"),
    ({"url": URL, "body": {"a": 1}}, 422, "/body"),
    ({"url": URL, "body": "a", "body_base64": "YQ=="}, 422, "/body_base64"),
    ({"url": URL, "body_base64": "!!"}, 422, "/body_base64"),
    ({"url": URL, "body_base64": "YQ"}, 422, "/body_base64"),
    ({"url": URL, "body_base64": "ä"}, 422, "/body_base64"),
    ({"url": URL, "body": "x" * (1024 * 1024 + 1)}, 413, "/body"),
    ({"url": URL, "body_base64": "A" * 1_500_000}, 413, "/body_base64"),
    ({"url": URL, "gate": "never-created"}, 422, "/gate"),
    ({"url": URL, "gate": ""}, 422, "/gate"),
    ({"url": URL, "gate": "../x"}, 422, "/gate"),
    ({"url": URL, "gate": "a" * 256}, 422, "/gate"),
    ({"url": URL, "due_at": "tomorrow"}, 422, "/due_at"),
    ({"url": URL, "due_at": "2026-02-30T00:00:00Z"}, 422, "/due_at"),
    ({"url": URL, "due_at": "2026-11-24T09:00:00"}, 422, "/due_at"),
    ({"url": URL, "due_at": "9999-12-31T23:59:59Z"}, 422, "/due_at"),
    ({"url": URL, "due_at": "2200-01-01T00:00:00Z"}, 422, "/due_at"),
    ({"url": URL, "due_at": 1795510800}, 422, "/due_at"),
    ({"url": URL, "delay": -1}, 422, "/delay"),
    ({"url": URL, "delay": "soon"}, 422, "/delay"),
    ({"url": URL, "delay": "11y"}, 422, "/delay"),
    ({"url": URL, "delay": 1e300}, 422, "/delay"),
    ({"url": URL, "delay": "9" * 60}, 422, "/delay"),
    ({"url": URL, "delay": True}, 422, "/delay"),
    ({"url": URL, "delay": 1, "due_at": "2030-01-01T00:00:00Z"}, 422, "/delay"),
    ({"url": URL, "timeout": 0}, 422, "/timeout"),
    ({"url": URL, "timeout": "2h"}, 422, "/timeout"),
    ({"url": URL, "expires_at": "2020-01-01T00:00:00Z"}, 422, "/expires_at"),
    ({"url": URL, "expires_at": "never"}, 422, "/expires_at"),
    ({"url": URL, "retry": {"max_attempts": 0}}, 422, "/retry/max_attempts"),
    ({"url": URL, "retry": {"max_attempts": 1.5}}, 422, "/retry/max_attempts"),
    ({"url": URL, "retry": {"max_attempts": 10**30}}, 422, "/retry/max_attempts"),
    ({"url": URL, "retry": {"max_atempts": 1}}, 422, "/retry/max_atempts"),
    ({"url": URL, "retry": {"min_backoff": 0}}, 422, "/retry/min_backoff"),
    ({"url": URL, "retry": {"min_backoff": "1h", "max_backoff": "1m"}}, 422, "/retry/min_backoff"),
    ({"url": URL, "retry": {"max_backoff": "31d"}}, 422, "/retry/max_backoff"),
    ({"url": URL, "retry": {"max_elapsed": "soon"}}, 422, "/retry/max_elapsed"),
    ({"url": URL, "retry": {"jitter": "half"}}, 422, "/retry/jitter"),
    ({"url": URL, "retry": {"retry_on": [200]}}, 422, "/retry/retry_on"),
    ({"url": URL, "retry": {"retry_on": ["404"]}}, 422, "/retry/retry_on/0"),
    ({"url": URL, "retry": 3}, 422, "/retry"),
    ({"url": URL, "idempotent": "yes"}, 422, "/idempotent"),
    ({"url": URL, "priority": 10}, 422, "/priority"),
    ({"url": URL, "priority": -1}, 422, "/priority"),
    ({"url": URL, "priority": "9"}, 422, "/priority"),
    ({"url": URL, "priority": 10**400}, 422, "/priority"),
    ({"url": URL, "fair_key": "x" * 256}, 422, "/fair_key"),
    ({"url": URL, "order_key": "a\nb"}, 422, "/order_key"),
    ({"url": URL, "key": "\x00"}, 422, "/key"),
    ({"url": URL, "key": "k" * 256}, 422, "/key"),
    ({"url": URL, "labels": {"": "x"}}, 422, "/labels"),
    ({"url": URL, "labels": {"a b": "x"}}, 422, "/labels"),
    ({"url": URL, "labels": {"a.b/c": "x\ny"}}, 422, "/labels/a.b~1c"),
    ({"url": URL, "labels": {"a": 1}}, 422, "/labels"),
    ({"url": URL, "labels": {f"l{n}": "" for n in range(65)}}, 422, "/labels"),
    ({"url": URL, "dely": 5}, 422, "/dely"),
    ({"url": URL, "state": "succeeded"}, 422, "/state"),
    ({"url": URL, "a/b~c": 5}, 422, "/a~1b~0c"),
)


@pytest.mark.parametrize(("task", "status", "pointer"), BAD_TASKS, ids=range(len(BAD_TASKS)))
async def test_a_bad_task_names_field_and_remedy_and_stores_nothing(
    server: Server, task: Any, status: int, pointer: str
) -> None:
    position = await server.position()

    response = await server.client.post(
        "/v1/tasks", content=json.dumps(task), headers={"Content-Type": "application/json"}
    )

    document = response.json()
    assert (response.status_code, document["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    [error] = document["errors"]
    assert error["pointer"] == pointer
    assert error["message"]
    assert error["remedy"]
    assert document["request_id"] == response.headers["x-request-id"]
    assert await server.position() == position


@pytest.mark.parametrize(("task", "status", "pointer"), BAD_TASKS, ids=range(len(BAD_TASKS)))
async def test_the_same_in_a_batch_refuses_that_item_alone(
    server: Server, task: Any, status: int, pointer: str
) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    position = await server.position()
    good = {"url": URL, "gate": "g", "delay": "1h"}

    code, out = await server.call("POST", "/v1/tasks:batchCreate", [good, task, good])

    assert (code, out["created"], out["refused"]) == (200, 2, 1)
    assert [item["status"] for item in out["items"]] == [201, status, 201]
    assert out["items"][1]["problem"]["errors"][0]["pointer"] == pointer
    assert await server.position() == position + 2


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"{'url': 1}", "application/json", 400),
        (b'{"url": NaN}', "application/json", 400),
        (b'{"url": "\xff"}', "application/json", 400),
        (b'{"url": "\\ud800"}', "application/json", 400),
        (b'{"url": "http://localhost/"} {}', "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        (b'{"url": ' + DEEP + b"}", "application/json", 422),
        (b'{"a": ' + DEEP + b"}", "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"url=x", "application/x-www-form-urlencoded", 415),
        (b"{}", "application/x-ndjson", 415),
        (b" " * (2 * 1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_what_cannot_be_read_is_refused(
    server: Server, content: bytes, media: str, status: int
) -> None:
    position = await server.position()

    response = await server.client.post(
        "/v1/tasks", content=content, headers={"Content-Type": media}
    )

    assert response.status_code == status
    assert response.json()["title"]
    assert await server.position() == position


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{}", 422),
        (b"[1", 400),
        (DEEP, 400),
        (b"[" + b",".join([b"{}"] * 10_001) + b"]", 413),
    ],
)
async def test_a_batch_that_is_no_list_of_10000_is_refused_whole(
    server: Server, content: bytes, status: int
) -> None:
    position = await server.position()

    response = await server.client.post(
        "/v1/tasks:batchCreate", content=content, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == status
    assert await server.position() == position


BAD_GATES: tuple[tuple[Any, str], ...] = (
    ({"limits": {"rate": -3}}, "/limits/rate"),
    ({"limits": {"rate": 0}}, "/limits/rate"),
    ({"limits": {"rate": 1e30}}, "/limits/rate"),
    ({"limits": {"rate": 1e-30}}, "/limits/rate"),
    ({"limits": {"rate": "fast"}}, "/limits/rate"),
    ({"limits": {"rate": 1, "burst": 0}}, "/limits/burst"),
    ({"limits": {"burst": 5}}, "/limits/burst"),
    ({"limits": {"concurrency": 0}}, "/limits/concurrency"),
    ({"limits": {"concurrency": 10**9}}, "/limits/concurrency"),
    ({"limits": {"concurrency": 1.5}}, "/limits/concurrency"),
    ({"limits": {"rates": [{"rate": 1, "per": "0s"}]}}, "/limits/rates/0/per"),
    ({"limits": {"rates": [{"rate": 1, "per": "soon"}]}}, "/limits/rates/0/per"),
    ({"limits": {"rates": [{"rate": 1}, {"rate": -1}]}}, "/limits/rates/1/rate"),
    ({"limits": {"rate": 2, "rates": [{"rate": 1, "per": "2s", "burst": -1}]}},
     "/limits/rates/0/burst"),
    ({"limits": {"rates": [{"rate": n} for n in range(1, 20)]}}, "/limits/rates"),
    ({"limits": {"rates": [dict[str, int]()]}}, "/limits/rates/0/rate"),
    ({"limits": {"rates": [{"rte": 1}]}}, "/limits/rates/0/rte"),
    ({"limits": {"concurency": 1}}, "/limits/concurency"),
    ({"limits": 5}, "/limits"),
    ({"recovery": {"trip_failures": 0}}, "/recovery/trip_failures"),
    ({"recovery": {"trip_ratio": 2}}, "/recovery/trip_ratio"),
    ({"recovery": {"trip_window": "1h"}}, "/recovery/trip_window"),
    ({"recovery": {"tripped_min": "1m"}}, "/recovery/tripped_min"),
    ({"recovery": {"ramp_steps": [50, 10]}}, "/recovery/ramp_steps"),
    ({"recovery": {"ramp_steps": "on"}}, "/recovery/ramp_steps"),
    ({"recovery": {"ramp_step": 0}}, "/recovery/ramp_step"),
    ({"aging": "2d"}, "/aging"),
    ({"max_backlog": -1}, "/max_backlog"),
    ({"max_backlog": 10**30}, "/max_backlog"),
    ({"adaptive": {"max": 33}}, "/adaptive/max"),
    ({"adaptive": {"min": 0}}, "/adaptive/min"),
    ({"adaptive": {"min": 9, "max": 8}}, "/adaptive/min"),
    ({"adaptive": {"by": "luck"}}, "/adaptive/by"),
    ({"adaptive": "on"}, "/adaptive"),
    ({"adaptive": {"max": 10**30}}, "/adaptive/max"),
    ({"reason": "two\nlines"}, "/reason"),
    ({"reason": "x" * 1_001}, "/reason"),
    ({"nothing": 1}, "/nothing"),
)  # fmt: skip


@pytest.mark.parametrize(("settings", "pointer"), BAD_GATES, ids=range(len(BAD_GATES)))
async def test_a_bad_gate_names_field_and_remedy_and_stores_nothing(
    server: Server, settings: Any, pointer: str
) -> None:
    await server.call("PUT", "/v1/gates/there", {})
    position = await server.position()

    put, created = await server.call("PUT", "/v1/gates/new", settings)
    patch, changed = await server.call("PATCH", "/v1/gates/there", settings)

    assert (put, patch) == (422, 422)
    for document in (created, changed):
        assert document["errors"][0]["pointer"] == pointer
        assert document["errors"][0]["remedy"]
    assert await server.position() == position


@pytest.mark.parametrize("name", ["-a", "a b", "ä", "a%2Fb", "a" * 256, "a%00", "a;b"])
async def test_what_is_no_gate_name_is_refused(server: Server, name: str) -> None:
    position = await server.position()

    status, document = await server.call("PUT", f"/v1/gates/{name}", {})

    assert status in (404, 422)
    assert document["status"] == status
    assert await server.position() == position


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/tasks?stat=dead", "/stat"),
        ("/v1/tasks?state=lost", "/state"),
        ("/v1/tasks?limit=0", "/limit"),
        ("/v1/tasks?limit=1001", "/limit"),
        ("/v1/tasks?limit=-1", "/limit"),
        ("/v1/tasks?limit=ten", "/limit"),
        ("/v1/tasks?limit=1&limit=2", "/limit"),
        ("/v1/tasks?label=team", "/label"),
        ("/v1/tasks?due_before=now", "/due_before"),
        ("/v1/gates?state=asleep", "/state"),
        ("/v1/events?after=-1", "/after"),
        ("/v1/events?after=99999999999999999999", "/after"),
        ("/v1/events:stream?after=x", "/after"),
    ],
)
async def test_a_bad_parameter_is_named(server: Server, path: str, pointer: str) -> None:
    status, document = await server.call("GET", path)

    assert (status, document["errors"][0]["pointer"]) == (422, pointer)
    assert document["errors"][0]["remedy"]


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("reschedule", {}, "/due_at"),
        ("reschedule", {"due_at": "2030-01-01T00:00:00Z", "delay": 1}, "/due_at"),
        ("reschedule", {"delay": "x"}, "/delay"),
        ("reschedule", {"delay": "4000d"}, "/delay"),
        ("reschedule", {"due_at": "2200-01-01T00:00:00Z"}, "/due_at"),
        ("cancel", {"reason": 5}, "/reason"),
        ("cancel", {"reason": "a\x1b[2Jb"}, "/reason"),
        ("run", {"why": "x"}, "/why"),
    ],
)
async def test_a_bad_command_is_named_and_changes_nothing(
    server: Server, verb: str, body: Any, pointer: str
) -> None:
    _, task = await server.call("POST", "/v1/tasks", {"url": URL, "delay": "1h"})
    position = await server.position()

    status, document = await server.call("POST", f"/v1/tasks/{task['id']}:{verb}", body)

    assert (status, document["errors"][0]["pointer"]) == (422, pointer)
    assert await server.position() == position


async def test_broken_lines_are_answered_each_and_the_rest_goes_on(server: Server) -> None:
    await server.call("PUT", "/v1/gates/g", {})
    good = json.dumps({"url": URL, "gate": "g", "delay": "1h"}).encode()
    lines = [good, b"{", b"", b"  ", b"\xff", b"null", b"x" * (2 * 1024 * 1024 + 1), good]

    response = await server.client.post(
        "/v1/tasks:batchCreate",
        content=b"\n".join(lines),
        headers={"Content-Type": "application/x-ndjson"},
    )

    items = [json.loads(line) for line in response.text.splitlines()]
    assert [item["status"] for item in items] == [201, 400, 400, 422, 413, 201]
    assert [item["index"] for item in items] == [0, 1, 2, 3, 4, 5]


async def test_too_many_header_bytes_are_refused(server: Server) -> None:
    response = await server.client.get("/v1/tasks", headers={"X-Large": "x" * 33_000})

    assert response.status_code == 431


async def test_a_request_id_is_taken_if_it_can_be_and_never_echoed_raw(server: Server) -> None:
    taken = await server.client.get("/v1/tasks", headers={"X-Request-Id": "abc-123"})
    made = await server.client.get("/v1/tasks", headers={"X-Request-Id": "<script>"})

    assert taken.headers["x-request-id"] == "abc-123"
    assert made.headers["x-request-id"] != "<script>"


async def test_a_store_that_is_away_is_503_and_no_field(server: Server) -> None:
    server.local.node.store.away_since_ns = 1
    server.local.node.store.error = "database or disk is full"

    single = await server.client.post("/v1/tasks", json={"url": URL})
    _, batch = await server.call("POST", "/v1/tasks:batchCreate", [{"url": URL}])
    ready = await server.client.get("/readyz")
    server.local.node.store.away_since_ns = None

    assert single.status_code == 503
    assert single.headers["retry-after"] == "1"
    assert "errors" not in single.json()
    assert batch["items"][0]["status"] == 503
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
