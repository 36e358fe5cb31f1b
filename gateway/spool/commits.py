"""Requests on their way through the committer thread, and what the event loop does when their group is through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gateway.common.completion import Completion
from gateway.common.loop_calls import LoopCalls
from gateway.model.delivery import DeliveryState
from gateway.ports.errors import SpoolFull
from gateway.ports.meter import Meter
from gateway.spool.commit_requests import Acceptance, CommitGroup, CommitRequest, Recorded
from gateway.spool.committing_thread import CommitterReports, CommittingThread
from gateway.spool.journal_state import JournalState
from gateway.spool.large import LargeFile
from gateway.spool.left_out_log import LeftOutLog
from gateway.spool.recent_payloads import RecentPayloads

PENDING = DeliveryState.PENDING
IDLE_S = 2.0
"""The time without any arrival after which the database may be made smaller."""

LONE_GROUPS = 16
"""The number of groups of one object in a row that show one sender, or several that seldom meet."""


class Commits:
    """`make` makes the committer. `due` is called with the destinations that have new due deliveries, `adopt` with each
    large file that the store names now."""

    def __init__(
        self,
        make: Callable[[CommitterReports], CommittingThread],
        state: JournalState,
        *,
        monotonic: Callable[[], float],
        meter: Meter,
        recent: RecentPayloads,
        due: Callable[[set[str]], None],
        adopt: Callable[[LargeFile], None],
    ) -> None:
        self._state = state
        self._monotonic = monotonic
        self._meter, self._due, self._recent, self._adopt = meter, due, recent, adopt
        self._left_out = LeftOutLog(meter)
        self._loop = asyncio.get_running_loop()
        self._calls = calls = LoopCalls(self._loop)
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._unfinished: set[CommitRequest] = set()
        self._unrecorded: set[Acceptance] = set()
        """Acknowledged instances that the store may not know yet."""
        self._gathered: list[Acceptance] = []
        """Acceptances that `hand_in_soon` submits in the next step."""
        self._accepted_at_s = float("-inf")
        self._lone_groups = 0
        """The number of groups of one object each, in succession."""
        reports = CommitterReports(
            started=lambda error: self._loop.call_soon_threadsafe(_settle_future, self._started, None, error),
            answer=partial(calls.leave, self._answer),
            record=partial(calls.leave, self._record),
            ended=lambda: self._loop.call_soon_threadsafe(self._committer_ended),
        )
        self._committer = make(reports)

    async def start(self) -> None:
        """Raises what opening the store raises."""
        self._committer.start()
        try:
            await self._started
        except Exception:
            self._calls.close()
            raise

    async def end(self) -> None:
        """Commit what waits, then end the thread."""
        self._hand_in_gathered()
        self._committer.end()
        await self._ended.wait()

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
            _release(request)
            self._state.check()
        self._unfinished.add(request)
        self._committer.submit(request)

    def hand_in_soon(self, acceptance: Acceptance) -> None:
        """As `hand_in`, together with all that come in this step of the event loop; at once while objects come one
        after the other. Raises JournalClosed."""
        if self._lone_groups >= LONE_GROUPS or self._state.problem:
            self.hand_in(acceptance)
            return
        if not self._gathered:
            self._loop.call_soon(self._hand_in_gathered)
        self._unfinished.add(acceptance)
        self._gathered.append(acceptance)

    def _hand_in_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        for acceptance in gathered:
            self._committer.submit(acceptance)

    async def until_recorded(self) -> None:
        """Return when the store knows every instance that was acknowledged before now.

        Raises SpoolFull, Temporary when it cannot; JournalClosed.
        """
        if self._unrecorded:
            await self.submit(Recorded(self._loop.create_future()))

    # --- on the event loop --------------------------------------------------------------------------------------

    def refuse_waiting(self, error: SpoolFull) -> None:
        """Answer the acceptances that wait for the committer. The group in its hands may be durable all the same: its
        objects are owed then, and come again. Those that it has not begun it leaves out.
        """
        for request in [each for each in self._unfinished if isinstance(each, Acceptance)]:
            _settle_future(request.done, None, error)

    def _answer(self, group: CommitGroup) -> None:
        """These are durable, or refused."""
        accepted = 0
        for request in group.requests:
            self._unfinished.discard(request)
            if request.error is None and request.answer is not None:
                accepted += 1
                self._unrecorded.add(request)
                wanted = 0
                for dispatch in request.dispatches:
                    if dispatch.state is PENDING:
                        wanted += 1
                if wanted and request.pieces:
                    self._recent.keep(request.answer.payload, request.pieces, wanted)
            else:
                _release(request)
            _settle_future(request.done, request.answer, request.error)
        if accepted:
            self._accepted_at_s = self._monotonic()
            self._lone_groups = self._lone_groups + 1 if accepted == 1 else 0
            self._meter.observe("gateway_commit_seconds", group.duration_s)
            self._meter.observe("gateway_commit_instances", accepted)

    def _record(self, requests: Sequence[CommitRequest]) -> None:
        """These are in the store, or could not be."""
        woken: set[str] = set()
        for request in requests:
            self._unfinished.discard(request)
            if isinstance(request, Acceptance):
                self._unrecorded.discard(request)
                self._recorded(request, woken)
            _settle_future(request.done, request.answer, request.error)
        if woken:
            self._due(woken)

    def _recorded(self, acceptance: Acceptance, woken: set[str]) -> None:
        accepted = acceptance.accepted
        if acceptance.error is None and accepted is not None:
            if acceptance.file is not None and accepted.payload is None:
                self._adopt(acceptance.file)
            if accepted.left_out:
                self._left_out.say(accepted.left_out, acceptance)
            if accepted.deliveries:
                for dispatch in acceptance.dispatches:
                    if dispatch.state is DeliveryState.PENDING:
                        woken.add(dispatch.destination)
        _release(acceptance)

    def _committer_ended(self) -> None:
        self._calls.close()
        self._ended.set()
        if self._state.is_closed and self._committer.failure is None:
            return
        error = self._committer.failure or RuntimeError("the committer thread ended")
        self._state.break_(error)
        for request in list(self._unfinished):
            _release(request)
            _settle_future(request.done, None, self._state.error())
        self._unfinished.clear()
        self._gathered.clear()


def _release(request: CommitRequest) -> None:
    """The request holds its large file no more, if it had one; the store does, when it names it."""
    if isinstance(request, Acceptance) and request.file is not None:
        request.file.release()
        request.file = None


def _settle_future(future: asyncio.Future[Any] | Completion[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        return
    future.set_result(answer)
