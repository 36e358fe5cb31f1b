"""Requests on their way through the committer thread, and what the event loop does when their group is through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.common.completion import Completion
from gateway.model.delivery import DeliveryState
from gateway.ports.meter import Meter
from gateway.ports.store import Store
from gateway.spool.committer import Acceptance, CommitGroup, CommitRequest, Committer
from gateway.spool.journal_state import JournalState
from gateway.spool.store import SpoolStore
from gateway.spool.writing import Writing

IDLE_S = 2.0
"""The time without any arrival after which the database may be made smaller."""

LONE_GROUPS = 16
"""The number of groups of one object in a row that show one sender, or several that seldom meet."""


class Commits:
    """`due` is called with the destinations that have new due deliveries."""

    def __init__(
        self,
        payloads: SpoolStore,
        open_store: Callable[[], Store],
        state: JournalState,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        meter: Meter,
        writing: Writing,
        due: Callable[[set[str]], None],
    ) -> None:
        self._payloads = payloads
        self._state = state
        self._monotonic = monotonic
        self._meter = meter
        self._due = due
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._unfinished: set[CommitRequest] = set()
        self._accepted_at_s = float("-inf")
        self._lone_groups = 0
        """The number of groups of one object each, in succession."""
        self._committer = Committer(
            open_store=open_store,
            payloads=payloads,
            now=now,
            started=lambda error: self._loop.call_soon_threadsafe(_settle_future, self._started, None, error),
            finish=lambda group: self._loop.call_soon_threadsafe(self._finish, group),
            failed=writing.failed,
        )

    async def start(self) -> None:
        """Raises what opening the store raises."""
        self._committer.start()
        await self._started

    async def end(self) -> None:
        """Commit what waits, then end the thread."""
        self._committer.end()
        await self._ended.wait()

    @property
    def is_in_turn(self) -> bool:
        """True while objects come one after the other; a group alone among larger ones says nothing."""
        return self._lone_groups >= LONE_GROUPS

    def is_idle(self) -> bool:
        """True when nothing has arrived for `IDLE_S`."""
        return self._monotonic() - self._accepted_at_s >= IDLE_S

    async def submit(self, request: CommitRequest) -> Any:
        """The answer to `request`, whose `done` is a future. Raises its error, JournalClosed."""
        self.hand_in(request)
        assert isinstance(request.done, asyncio.Future)
        return await request.done

    def hand_in(self, request: CommitRequest) -> None:
        """Raises JournalClosed."""
        if self._state.problem:
            self._let_go(request)
            self._state.check()
        self._unfinished.add(request)
        self._committer.submit(request)

    # --- on the event loop, once a group ------------------------------------------------------------------------

    def _finish(self, group: CommitGroup | None) -> None:
        if group is None:
            self._committer_ended()
            return
        woken: set[str] = set()
        accepted = 0
        for request in group.requests:
            self._unfinished.discard(request)
            if isinstance(request, Acceptance):
                accepted += request.error is None
                self._let_go(request)
                if request.error is None and request.accepted is not None and request.accepted.deliveries:
                    woken |= {
                        dispatch.destination
                        for dispatch in request.dispatches
                        if dispatch.state is DeliveryState.PENDING
                    }
            _settle_future(request.done, request.answer, request.error)
        if accepted:
            self._accepted_at_s = self._monotonic()
            self._lone_groups = self._lone_groups + 1 if accepted == 1 else 0
            self._meter.observe("gateway_commit_seconds", group.duration_s)
            self._meter.observe("gateway_commit_instances", accepted)
        self._due(woken)

    def _let_go(self, request: CommitRequest) -> None:
        """The commit holds its large file no more; a committed row does, when there is one."""
        if not isinstance(request, Acceptance) or request.file is None:
            return
        if request.accepted is not None and request.error is None and request.accepted.payload is None:
            self._payloads.adopt(request.file)
        request.file.release()
        request.file = None

    def _committer_ended(self) -> None:
        self._ended.set()
        if self._state.is_closed and self._committer.failure is None:
            return
        error = self._committer.failure or RuntimeError("the committer thread ended")
        self._state.break_(error)
        for request in list(self._unfinished):
            self._let_go(request)
            _settle_future(request.done, None, self._state.error())
        self._unfinished.clear()


def _settle_future(future: asyncio.Future[Any] | Completion[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        return
    future.set_result(answer)
