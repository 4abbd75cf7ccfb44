"""The client that blocks.

Rules of residence: carries calls out and waits; what a call is and what its answer means is in
`calls` and `outcome`. `aio.py` is the same with `await`; a test holds the two together.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx

from taskmaster.client import batch, calls, follow, maintenance_calls, outcome, recovery_calls, wire
from taskmaster.client.bulks import Bulks
from taskmaster.client.calls import Answer, Call, Fields
from taskmaster.client.downtime import Maintenance
from taskmaster.client.node_shapes import Actor, ServerVersion, Unit
from taskmaster.client.outcome import Wait
from taskmaster.client.recovery_calls import Outage
from taskmaster.client.shapes import (
    ALL_TASKS,
    FINAL_STATES,
    Batch,
    BatchItem,
    Cancelled,
    Duration,
    Entry,
    Gate,
    GateSettings,
    GateWhy,
    Instant,
    Page,
    Purged,
    Runs,
    Series,
    SeriesChange,
    SeriesRules,
    Submission,
    Submitted,
    Task,
    TaskFilter,
    Why,
)

T = TypeVar("T")


class Client(Bulks):
    """A connection to a server. Safe to share between threads; close it, or use `with`.

    Without arguments TASKMASTER_URL and TASKMASTER_TOKEN say where and as whom. A call whose
    answer is 503, or lost, is sent again for up to `patience_s`, if that cannot do it twice.

    Raises:
        TaskMasterError: every method does, with field and remedy.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout_s: float = wire.TIMEOUT_S,
        patience_s: float = outcome.PATIENCE_S,
    ) -> None:
        """Connect at the first call."""
        self.server = wire.server(url, token, timeout_s=timeout_s, patience_s=patience_s)
        self._http = httpx.Client(**wire.settings(self.server))

    def __enter__(self) -> Self:
        """Close at the end of a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, whatever happened."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Carry out any call of `taskmaster.client.calls`."""
        return self.read(call, self.answer(call))

    def read(self, call: Call[T], answer: Answer) -> T:
        """The result in an answer to a call."""
        return outcome.read(call, answer)

    def answer(self, call: Call[T]) -> Answer:
        """The server's own answer to a call, with retries, below 300."""
        tries = self._tries(call)
        while True:
            match tries.after(self._once(call), random.random()):
                case Answer() as good:
                    return good
                case Wait(seconds):
                    time.sleep(seconds)

    def _once(self, call: Call[T]) -> Answer | outcome.Lost:
        try:
            response = self._http.request(**wire.request(call))
        except httpx.HTTPError as error:
            return wire.lost(error)
        return wire.answer(response.status_code, response.headers, response.content)

    def _tries(self, call: Call[T]) -> outcome.Tries:
        to = self.server
        return outcome.Tries(to.url, repeatable=call.repeatable, patience_s=to.patience_s)

    def _all(self, page: Callable[[str], Call[Page[T]]]) -> Iterator[T]:
        token: str | None = ""
        while token is not None:
            some = self.send(page(token))
            yield from some.items
            token = some.next_page_token

    # --- tasks

    def submit(self, submission: Submission | Fields, *, key: str = "") -> Submitted:
        """Submit one task. Without a key of the caller's, one is made, for safe retries."""
        return self.send(calls.submit(submission, key=key or _fresh()))

    def submit_batch(self, submissions: Sequence[Submission | Fields]) -> Batch:
        """Submit up to 10,000 tasks in one request; each gets a key if it has none."""
        return self.send(calls.submit_batch(batch.keyed(list(submissions), _fresh())))

    def submit_stream(
        self, submissions: Iterable[Submission | Fields | bytes | None]
    ) -> Iterator[BatchItem]:
        """Submit any number of tasks; what became of each comes back in their order.

        `bytes` is a line of JSON; None sends what has gathered. At most 1,000 are out at a time;
        each has a key.
        """
        pieces = batch.Pieces(_fresh())
        for submission in submissions:
            piece = pieces.rest() if submission is None else pieces.add(submission)
            if piece:
                yield from self.send(batch.submit_piece(piece))
        if piece := pieces.rest():
            yield from self.send(batch.submit_piece(piece))

    def tasks(self, match: TaskFilter = ALL_TASKS) -> Iterator[Task]:
        """All tasks that match, newest first, page by page."""
        return self._all(lambda token: calls.list_tasks(match, page_token=token))

    def task(self, task_id: str) -> Task:
        """The whole of one task."""
        return self.send(calls.read_task(task_id))

    def wait(self, task_id: str, *, timeout_s: float) -> Task:
        """A task once it has ended.

        Raises:
            TimeoutError: it had not ended in time.
        """
        end, left_s = time.monotonic() + timeout_s, timeout_s
        for pause_s in follow.looks():
            ask = calls.read_task(task_id, wait_s=follow.long_look_s(left_s))
            task = self.send(ask)
            if task.state in FINAL_STATES:
                return task
            if (left_s := end - time.monotonic()) <= 0:
                raise TimeoutError(f"task {task_id} is {task.state} after {timeout_s:g} s")
            time.sleep(min(pause_s, left_s))
        raise AssertionError("looks never end")

    def history(self, task_id: str) -> Iterator[Entry]:
        """What happened to a task, oldest first."""
        return self._all(lambda token: calls.task_history(task_id, page_token=token))

    def why(self, task_id: str) -> Why:
        """Where a task's time went and goes."""
        return self.send(calls.why_task(task_id))

    def cancel(self, task_id: str, *, reason: str = "") -> Cancelled:
        """No further attempt."""
        return self.send(calls.cancel_task(task_id, reason=reason))

    def reschedule(
        self,
        task_id: str,
        *,
        due_at: Instant | None = None,
        delay: Duration | None = None,
        reason: str = "",
    ) -> Task:
        """Another due time."""
        return self.send(calls.reschedule_task(task_id, due_at=due_at, delay=delay, reason=reason))

    def run_now(self, task_id: str, *, reason: str = "") -> Task:
        """Due now."""
        return self.send(calls.run_task(task_id, reason=reason))

    def redrive(self, task_id: str, *, reason: str = "") -> Task:
        """Give a dead letter to its gate again."""
        return self.send(calls.redrive_task(task_id, reason=reason))

    # --- gates

    def set_gate(
        self, name: str, settings: GateSettings | Fields, *, version: int | None = None
    ) -> Gate:
        """Create a gate, or replace all its settings; with `version`, only if it stands there."""
        return self.send(calls.set_gate(name, settings, version=version))

    def change_gate(
        self, name: str, settings: GateSettings | Fields, *, version: int | None = None
    ) -> Gate:
        """Change the settings that are given; with `version`, only if the gate stands there."""
        return self.send(calls.change_gate(name, settings, version=version))

    def gates(self, *, states: Sequence[str] = ()) -> Iterator[Gate]:
        """All gates, by name, page by page."""
        return self._all(lambda token: calls.list_gates(states=states, page_token=token))

    def gate(self, name: str) -> Gate:
        """One gate."""
        return self.send(calls.read_gate(name))

    def pause_gate(self, name: str, *, until: Instant | None = None, reason: str = "") -> Gate:
        """No new starts, until then or until it is resumed."""
        return self.send(calls.pause_gate(name, until=until, reason=reason))

    def resume_gate(self, name: str, *, reason: str = "") -> Gate:
        """Starts and submissions again."""
        return self.send(calls.resume_gate(name, reason=reason))

    def drain_gate(self, name: str, *, reason: str = "") -> Gate:
        """No new starts, and wait for those in flight."""
        return self.send(calls.drain_gate(name, reason=reason))

    def close_gate(self, name: str, *, reason: str = "") -> Gate:
        """No starts and no submissions."""
        return self.send(calls.close_gate(name, reason=reason))

    def release_gate(self, name: str, *, reason: str = "") -> Gate:
        """Let a quarantined gate run again."""
        return self.send(calls.release_gate(name, reason=reason))

    def purge_gate(
        self, name: str, *, states: Sequence[str] = (), dry_run: bool = False, reason: str = ""
    ) -> Purged:
        """Cancel a gate's tasks in bulk; by default those waiting and scheduled."""
        return self.send(calls.purge_gate(name, states=states, dry_run=dry_run, reason=reason))

    def why_gate(self, name: str) -> GateWhy:
        """Why a gate's tasks wait."""
        return self.send(calls.why_gate(name))

    def plan_maintenance(
        self,
        name: str,
        start: Instant,
        until: Instant,
        *,
        drain: Duration | None = None,
        reason: str = "",
    ) -> Gate:
        """Announce a downtime: the gate pauses for it, and ramps up after it by itself."""
        call = maintenance_calls.plan_maintenance(name, start, until, drain=drain, reason=reason)
        return self.send(call)

    def maintenance(self, name: str) -> Page[Maintenance]:
        """A gate's downtimes that are not over, the next first."""
        return self.send(maintenance_calls.list_maintenance(name))

    def cancel_maintenance(self, name: str, number: int, *, reason: str = "") -> Gate:
        """Take a downtime back; one under way ends, and the ramp begins."""
        return self.send(maintenance_calls.cancel_maintenance(name, number, reason=reason))

    # --- series

    def set_series(self, name: str, rules: SeriesRules | Fields) -> Series:
        """Create a series; the same again is no change."""
        return self.send(calls.set_series(name, rules))

    def change_series(
        self, name: str, rules: SeriesChange | Fields, *, version: int | None = None
    ) -> Series:
        """Change the rules that are given, from the next run on."""
        return self.send(calls.change_series(name, rules, version=version))

    def all_series(self) -> Iterator[Series]:
        """All series, by name, page by page."""
        return self._all(lambda token: calls.list_series(page_token=token))

    def series(self, name: str) -> Series:
        """One series."""
        return self.send(calls.read_series(name))

    def pause_series(self, name: str, *, reason: str = "") -> Series:
        """Its open task waits."""
        return self.send(calls.pause_series(name, reason=reason))

    def resume_series(self, name: str, *, reason: str = "") -> Series:
        """Its open task may start again."""
        return self.send(calls.resume_series(name, reason=reason))

    def end_series(self, name: str, *, reason: str = "") -> Series:
        """No successor any more."""
        return self.send(calls.end_series(name, reason=reason))

    def next_runs(self, name: str, *, count: int = 10) -> Runs:
        """The coming runs of a series."""
        return self.send(calls.next_runs(name, count=count))

    def preview(
        self,
        *,
        every: Duration | None = None,
        cron: str | None = None,
        time_zone: str | None = None,
        start: Instant | None = None,
        count: int | None = None,
    ) -> Runs:
        """When a schedule would run, before anything is stored."""
        return self.send(
            calls.preview(every=every, cron=cron, time_zone=time_zone, start=start, count=count)
        )

    # --- log, tree, node

    def log(self, *, after: int = 0, stream: str = "") -> Iterator[Entry]:
        """The log from after a position on, to where it ends now."""
        return self._all(lambda token: calls.read_log(after=after, stream=stream, page_token=token))

    def follow(self, *, after: int | None = None, stream: str = "") -> Iterator[Entry]:
        """What is added to the log from now on, or after a position, without end.

        A lost connection is taken up again behind the last event, for up to `patience_s`.
        """
        call = follow.follow(after, stream=stream)
        tries = self._tries(call)
        while True:
            came: Answer | outcome.Lost = follow.ENDED
            try:
                opening = self._http.stream(**wire.request(call), timeout=follow.SILENCE_S)
                with opening as opened:
                    if opened.status_code == 200:
                        lines = follow.EventLines()
                        for line in opened.iter_lines():
                            tries = self._tries(call)
                            if entry := lines.take(line):
                                yield entry
                                call = follow.follow(entry.position, stream=stream)
                    else:
                        body = opened.read()
                        came = wire.answer(opened.status_code, opened.headers, body)
            except httpx.HTTPError as error:
                came = wire.lost(error)
            match tries.after(came, random.random()):
                case Wait(seconds):
                    time.sleep(seconds)
                case Answer():
                    raise AssertionError("a stream that ended well is lost, not answered")

    def tree(self) -> Iterator[Unit]:
        """The supervision tree, by path."""
        return self._all(lambda token: calls.tree(page_token=token))

    def recoveries(self, gate: str) -> Page[Outage]:
        """A gate's outages, the newest first."""
        return self.send(recovery_calls.list_recoveries(gate))

    def steer_gate(self, gate: str, verb: str, *, reason: str = "") -> Gate:
        """`hold_ramp`, `release_ramp`, `recover`, `trip` or `probe`."""
        return self.send(recovery_calls.steer_gate(gate, verb, reason=reason))

    def actor(self, path: str) -> Actor:
        """All that is known of one place of the supervision tree."""
        return self.send(calls.read_actor(path))

    def restart_actor(self, path: str, *, reason: str = "") -> Page[Unit]:
        """End an actor of a gate; its supervisor starts it again."""
        return self.send(calls.restart_actor(path, reason=reason))

    def quarantine_actor(self, path: str, *, reason: str = "") -> Page[Unit]:
        """Leave a gate alone: `gates/NAME`."""
        return self.send(calls.quarantine_actor(path, reason=reason))

    def release_actor(self, path: str, *, reason: str = "") -> Gate:
        """Let a gate that was left alone run again: `gates/NAME`."""
        return self.send(calls.release_actor(path, reason=reason))

    def version(self) -> ServerVersion:
        """Which software answers."""
        return self.send(calls.version())


def _fresh() -> str:
    return uuid.uuid4().hex
