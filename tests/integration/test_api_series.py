"""Series over REST: create, read, list, commands, next runs and previews (semantics 6)."""

from typing import Any

import pytest

from tests.integration.api_server import Server

URL = "http://localhost:9/hook"
NIGHTLY: dict[str, Any] = {"url": URL, "cron": "30 2 * * *", "time_zone": "Europe/Berlin"}


async def test_a_series_is_created_with_its_first_occurrence(server: Server) -> None:
    response = await server.client.put(
        "/v1/series/nightly",
        json={**NIGHTLY, "catch_up": "all", "catch_up_limit": 3, "labels": {"team": "ops"}},
    )
    series = response.json()
    _, task = await server.call("GET", f"/v1/tasks/{series['open_task']}")

    assert response.status_code == 201
    assert response.headers["location"] == "/v1/series/nightly"
    assert series["schedule"] == {
        "explain": "At 02:30 every day, Europe/Berlin time",
        "cron": "30 2 * * *",
        "time_zone": "Europe/Berlin",
    }
    assert (series["state"], series["gate"]) == ("active", "http~localhost~9")
    assert (series["catch_up"], series["catch_up_limit"]) == ("all", 3)
    assert (task["series"], task["nominal_at"]) == ("nightly", series["nominal_at"])
    assert task["labels"] == {"team": "ops"}
    assert task["due_at"] == series["next_at"]
    assert (await server.call("GET", "/v1/tasks?series=nightly"))[1]["items"][0]["id"] == task["id"]


async def test_the_same_series_again_is_no_conflict_and_another_one_is(server: Server) -> None:
    _, first = await server.call("PUT", "/v1/series/s", NIGHTLY)
    position = await server.position()

    same = await server.call("PUT", "/v1/series/s", NIGHTLY)
    other = await server.call("PUT", "/v1/series/s", {**NIGHTLY, "priority": 3})
    assert await server.position() == position
    await server.call("POST", "/v1/series/s:end")
    ended = await server.call("PUT", "/v1/series/s", NIGHTLY)

    assert same == (200, first)
    for status, document in (other, ended):
        assert (status, document["type"]) == (409, "/docs/problems#conflict")
        assert document["errors"][0]["pointer"] == "/series"


async def test_series_are_listed_by_name_in_pages(server: Server) -> None:
    for name in ("c", "a", "b"):
        await server.call("PUT", f"/v1/series/{name}", {"url": URL, "every": "15m"})

    _, first = await server.call("GET", "/v1/series?limit=2")
    _, second = await server.call(
        "GET", f"/v1/series?limit=2&page_token={first['next_page_token']}"
    )

    assert [one["series"] for one in first["items"]] == ["a", "b"]
    assert [one["series"] for one in second["items"]] == ["c"]
    assert second["next_page_token"] is None


async def test_a_series_is_paused_resumed_and_ended(server: Server) -> None:
    await server.call("PUT", "/v1/series/s", {"url": URL, "every": 60})

    states = [
        (await server.call("POST", f"/v1/series/s:{verb}", {"reason": "r"}))[1]["state"]
        for verb in ("pause", "resume", "end")
    ]
    _, events = await server.call("GET", "/v1/events?stream=series-s")
    _, coming = await server.call("GET", "/v1/series/s")

    assert states == ["paused", "active", "ended"]
    assert [item["type"] for item in events["items"]] == [
        *("SeriesCreated", "SeriesPaused", "SeriesResumed", "SeriesEnded"),
    ]
    assert events["items"][1]["cause"]["command"] == "PauseSeries"
    assert coming["next_at"] is None


async def test_the_next_runs_begin_with_the_open_task(server: Server) -> None:
    _, series = await server.call(
        "PUT", "/v1/series/s", {"url": URL, "every": "1h", "start_at": "2030-01-01T00:00:00Z"}
    )

    _, runs = await server.call("GET", "/v1/series/s/next?count=3")

    assert series["nominal_at"] == "2030-01-01T00:00:00Z"
    assert [item["nominal_at"] for item in runs["items"]] == [
        *("2030-01-01T00:00:00Z", "2030-01-01T01:00:00Z", "2030-01-01T02:00:00Z"),
    ]
    assert runs["explain"] == "Every hour"


async def test_a_preview_shows_local_time_across_a_change_of_the_clocks(server: Server) -> None:
    """Semantics 6.5 and 6.6: a time in the gap runs at the first valid instant after it."""
    status, runs = await server.call(
        "POST",
        "/v1/series:preview",
        {
            "cron": "30 2 * * *",
            "time_zone": "Europe/Berlin",
            "from": "2026-03-28T00:00:00Z",
            "count": 3,
        },
    )

    assert status == 200
    assert runs["items"] == [
        {"nominal_at": "2026-03-28T01:30:00Z", "local": "2026-03-28T02:30:00+01:00"},
        {"nominal_at": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"},
        {"nominal_at": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00"},
    ]


async def test_a_preview_of_a_period_counts_from_an_instant_of_the_past(server: Server) -> None:
    _, runs = await server.call(
        "POST",
        "/v1/series:preview",
        {"every": "15m", "from": "2020-01-01T00:00:00Z", "count": 2, "time_zone": "Asia/Tokyo"},
    )

    assert runs["items"] == [
        {"nominal_at": "2020-01-01T00:15:00Z", "local": "2020-01-01T09:15:00+09:00"},
        {"nominal_at": "2020-01-01T00:30:00Z", "local": "2020-01-01T09:30:00+09:00"},
    ]


async def test_a_run_expires_after_its_due_time(server: Server) -> None:
    _, series = await server.call(
        "PUT",
        "/v1/series/s",
        {
            "url": URL,
            "every": "1h",
            "start_at": "2030-01-01T00:00:00Z",
            "expires_after": "5m",
        },
    )

    _, task = await server.call("GET", f"/v1/tasks/{series['open_task']}")

    assert task["expires_at"] == "2030-01-01T00:05:00Z"


@pytest.mark.parametrize(
    ("body", "pointer", "remedy"),
    [
        ({"cron": "0 0 30 2 *"}, "/cron", "give a day"),
        ({"cron": "61 * * * *"}, "/cron", "use *"),
        ({"cron": "* * *"}, "/cron", "give minute"),
        ({"cron": "@daily"}, "/cron", "write the five fields"),
        ({"cron": "0 0 15W * *"}, "/cron", "use L"),
        ({"cron": "0 0 * * *", "time_zone": "Europe/Berln"}, "/time_zone", "did you mean"),
        ({"cron": "0 0 * * *", "time_zone": "../../etc/passwd"}, "/time_zone", "give a name"),
        ({"cron": "0 0 * * *", "every": 60}, "/cron", "give one of them"),
        ({}, "/every", "give one of them"),
        ({"every": "0s"}, "/every", "give a period"),
        ({"every": -5}, "/every", "give a period"),
        ({"every": "soon"}, "/every", "give a number of seconds"),
        ({"every": 60, "time_zone": "UTC"}, "/time_zone", "leave it out"),
        ({"every": 60, "catch_up": "some"}, "/catch_up", "give one, none or all"),
        ({"every": 60, "catch_up_limit": 0}, "/catch_up_limit", "give the number"),
        ({"every": 60, "start_at": "tomorrow"}, "/start_at", "give one with its offset"),
        ({"every": 60, "due_at": "2030-01-01T00:00:00Z"}, "/due_at", "the fields are"),
        ({"every": 60, "expires_after": 0}, "/expires_after", "give a duration"),
        ({"every": 60, "priority": 10}, "/priority", "9 goes first"),
        ({"every": 60, "gate": "nowhere"}, "/gate", "create it first"),
        ({"every": 60, "url": "ftp://x"}, "/url", "give a URL"),
    ],
)
async def test_an_impossible_series_names_field_and_remedy_and_stores_nothing(
    server: Server, body: dict[str, Any], pointer: str, remedy: str
) -> None:
    position = await server.position()

    status, document = await server.call("PUT", "/v1/series/s", {"url": URL, **body})

    assert (status, document["errors"][0]["pointer"]) == (422, pointer)
    assert document["errors"][0]["remedy"].startswith(remedy)
    assert await server.position() == position


@pytest.mark.parametrize(
    "path",
    ["/v1/series/no", "/v1/series/no/next", "/v1/series/no:pause", "/v1/series/no:end"],
)
async def test_a_series_that_is_not_there_is_not_found(server: Server, path: str) -> None:
    status, document = await server.call("POST" if ":" in path else "GET", path)

    assert (status, document["type"]) == (404, "/docs/problems#not_found")


# --- changing ---------------------------------------------------------------------------------


async def test_a_series_gets_other_rules_from_its_next_run_on(server: Server) -> None:
    retry = {"max_attempts": 7}
    rules = {**NIGHTLY, "body": "x", "retry": retry, "labels": {"a": "b"}, "expires_after": "1h"}
    created = await server.client.put("/v1/series/s", json=rules)

    changed = await server.client.patch(
        "/v1/series/s",
        json={"every": "90m", "priority": 4, "labels": None, "reason": "less"},
        headers={"If-Match": created.headers["etag"]},
    )
    again = await server.client.patch("/v1/series/s", json={"priority": 4})
    same = await server.call(
        "PUT",
        "/v1/series/s",
        {"url": URL, "body": "x", "retry": retry, "expires_after": "1h", "every": "90m",
         "priority": 4},
    )  # fmt: skip
    _, log = await server.call("GET", "/v1/events?stream=series-s")

    assert changed.status_code == 200
    assert changed.json()["schedule"]["every"] == "1h30m"
    assert changed.json()["open_task"] == created.json()["open_task"]
    assert changed.json()["next_at"] == created.json()["next_at"]
    assert (created.headers["etag"], changed.headers["etag"]) == ('"1"', '"2"')
    assert again.headers["etag"] == '"2"'
    assert same[0] == 200
    assert [event["type"] for event in log["items"]] == ["SeriesCreated", "SeriesChanged"]
    assert log["items"][1]["cause"]["reason"] == "less"


async def test_a_change_of_a_series_that_has_moved_on_is_refused(server: Server) -> None:
    await server.call("PUT", "/v1/series/s", NIGHTLY)
    await server.call("PATCH", "/v1/series/s", {"priority": 1})
    position = await server.position()

    stale = await server.client.patch(
        "/v1/series/s", json={"priority": 2}, headers={"If-Match": '"1"'}
    )
    known = await server.client.get("/v1/series/s", headers={"If-None-Match": '"2"'})

    assert (stale.status_code, stale.json()["type"]) == (412, "/docs/problems#precondition_failed")
    assert known.status_code == 304
    assert await server.position() == position


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"gate": "other"}, 409, "/gate"),
        ({"every": "1ms"}, 422, "/every"),
        ({"every": "1h", "cron": "* * * * *"}, 422, "/cron"),
        ({"time_zone": "Nowhere/At_All"}, 422, "/time_zone"),
        ({"url": None}, 422, "/url"),
        ({"url": "ftp://localhost/"}, 422, "/url"),
        ({"start_at": "2030-01-01T00:00:00Z"}, 422, "/start_at"),
        ({"expires_after": "100000h"}, 422, "/expires_after"),
    ],
)
async def test_a_change_that_cannot_be_leaves_the_series_as_it_is(
    server: Server, change: dict[str, Any], status: int, pointer: str
) -> None:
    await server.call("PUT", "/v1/gates/other", {})
    await server.call("PUT", "/v1/series/s", NIGHTLY)
    position = await server.position()

    refused = await server.call("PATCH", "/v1/series/s", change)

    assert (refused[0], refused[1]["errors"][0]["pointer"]) == (status, pointer)
    assert refused[1]["errors"][0]["remedy"]
    assert await server.position() == position
    assert (await server.call("PATCH", "/v1/series/none", {"priority": 1}))[0] == 404


async def test_a_series_is_not_created_in_a_closed_gate(server: Server) -> None:
    """Semantics 8.1: as submissions are."""
    await server.call("PUT", "/v1/gates/g", {})
    await server.call("POST", "/v1/gates/g:close")

    status, document = await server.call("PUT", "/v1/series/s", {**NIGHTLY, "gate": "g"})

    assert (status, document["type"]) == (503, "/docs/problems#closed")
    assert (await server.call("GET", "/v1/series/s"))[0] == 404


async def test_runs_of_whole_seconds_are_shown_to_the_second(server: Server) -> None:
    await server.call("PUT", "/v1/series/whole", {"url": URL, "every": "15m"})

    _, whole = await server.call("GET", "/v1/series/whole/next?count=3")
    start = {"from": "2030-01-01T00:00:00Z", "count": 1}
    _, half = await server.call("POST", "/v1/series:preview", {"every": "1.5s", **start})

    assert [len(run["local"]) for run in whole["items"]] == [len("2030-01-01T00:00:00+00:00")] * 3
    assert half["items"][0]["local"] == "2030-01-01T00:00:01.5+00:00"
