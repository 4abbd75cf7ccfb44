"""What the clients do with many tasks at once, and other rules or another gate for one.

Rules of residence: a part of `sync.py` and of `aio.py`, each line the same but for `await`; what a
call is stands in `bulk_calls`.
"""

from abc import ABC, abstractmethod
from typing import TypeVar

from taskmaster.client import bulk_calls
from taskmaster.client.bulk_calls import Bulk, BulkMember, BulkSet
from taskmaster.client.calls import Call, Fields
from taskmaster.client.shapes import Page, Task

T = TypeVar("T")


class Bulks(ABC):
    """Of the client that blocks."""

    @abstractmethod
    def send(self, call: Call[T]) -> T:
        """Carry out a call."""

    def edit_task(self, task_id: str, change: Fields, *, reason: str = "") -> Task:
        """Other rules for a task that was never sent; what is left out stays."""
        return self.send(bulk_calls.edit_task(task_id, change, reason=reason))

    def move_task(self, task_id: str, to: str, *, reason: str = "") -> Task:
        """Give a task that waits or is dead to another gate."""
        return self.send(bulk_calls.move_task(task_id, to, reason=reason))

    def count_bulk(self, action: str, match: Fields) -> BulkSet:
        """What a bulk would change; its `set` names these tasks for `start_bulk`."""
        return self.send(bulk_calls.count_bulk(action, match))

    def start_bulk(
        self,
        action: str,
        match: Fields,
        *,
        set_token: str = "",
        rate: float | None = None,
        reason: str = "",
        **how: object,
    ) -> Bulk:
        """Cancel, redrive, reschedule, edit or move all that match; it goes on by itself. `how`
        is `due_at` or `delay`, `edit`, `to`."""
        call = bulk_calls.start_bulk(
            action, match, set_token=set_token, rate=rate, reason=reason, how=how
        )
        return self.send(call)

    def bulks(self, *, limit: int | None = None, page_token: str = "") -> Page[Bulk]:
        """A page of bulks, the newest first."""
        return self.send(bulk_calls.list_bulks(limit=limit, page_token=page_token))

    def bulk(self, bulk_id: str) -> Bulk:
        """A bulk and how far it is."""
        return self.send(bulk_calls.read_bulk(bulk_id))

    def bulk_members(self, bulk_id: str, *, page_token: str = "") -> Page[BulkMember]:
        """A page of what became of each task."""
        return self.send(bulk_calls.bulk_members(bulk_id, page_token=page_token))

    def abort_bulk(self, bulk_id: str, *, reason: str = "") -> Bulk:
        """End a bulk where it stands; what is done stays done."""
        return self.send(bulk_calls.abort_bulk(bulk_id, reason=reason))

    def undo_bulk(self, bulk_id: str, *, rate: float | None = None, reason: str = "") -> Bulk:
        """Take a bulk back where nothing has happened since."""
        return self.send(bulk_calls.undo_bulk(bulk_id, rate=rate, reason=reason))


class AsyncBulks(ABC):
    """Of the client for asyncio."""

    @abstractmethod
    async def send(self, call: Call[T]) -> T:
        """Carry out a call."""

    async def edit_task(self, task_id: str, change: Fields, *, reason: str = "") -> Task:
        """Other rules for a task that was never sent; what is left out stays."""
        return await self.send(bulk_calls.edit_task(task_id, change, reason=reason))

    async def move_task(self, task_id: str, to: str, *, reason: str = "") -> Task:
        """Give a task that waits or is dead to another gate."""
        return await self.send(bulk_calls.move_task(task_id, to, reason=reason))

    async def count_bulk(self, action: str, match: Fields) -> BulkSet:
        """What a bulk would change; its `set` names these tasks for `start_bulk`."""
        return await self.send(bulk_calls.count_bulk(action, match))

    async def start_bulk(
        self,
        action: str,
        match: Fields,
        *,
        set_token: str = "",
        rate: float | None = None,
        reason: str = "",
        **how: object,
    ) -> Bulk:
        """Cancel, redrive, reschedule, edit or move all that match; it goes on by itself. `how`
        is `due_at` or `delay`, `edit`, `to`."""
        call = bulk_calls.start_bulk(
            action, match, set_token=set_token, rate=rate, reason=reason, how=how
        )
        return await self.send(call)

    async def bulks(self, *, limit: int | None = None, page_token: str = "") -> Page[Bulk]:
        """A page of bulks, the newest first."""
        return await self.send(bulk_calls.list_bulks(limit=limit, page_token=page_token))

    async def bulk(self, bulk_id: str) -> Bulk:
        """A bulk and how far it is."""
        return await self.send(bulk_calls.read_bulk(bulk_id))

    async def bulk_members(self, bulk_id: str, *, page_token: str = "") -> Page[BulkMember]:
        """A page of what became of each task."""
        return await self.send(bulk_calls.bulk_members(bulk_id, page_token=page_token))

    async def abort_bulk(self, bulk_id: str, *, reason: str = "") -> Bulk:
        """End a bulk where it stands; what is done stays done."""
        return await self.send(bulk_calls.abort_bulk(bulk_id, reason=reason))

    async def undo_bulk(self, bulk_id: str, *, rate: float | None = None, reason: str = "") -> Bulk:
        """Take a bulk back where nothing has happened since."""
        return await self.send(bulk_calls.undo_bulk(bulk_id, rate=rate, reason=reason))
