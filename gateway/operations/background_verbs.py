"""Operators' verbs that a gateway carries out itself, beside its traffic; whoever asked hears when one has begun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.common.steady_clock import utc_now
from gateway.operations.administration_record import record
from gateway.operations.queue_administration import Operator, Progress, carry_out, count, left_out
from gateway.operations.verb_request import VerbRequest
from gateway.ports.errors import GatewayError, Temporary
from gateway.ports.store_access import StoreAccess

log = structlog.get_logger()

MOST_AT_ONCE = 4
"""Verbs that are carried out side by side."""


class TooManyVerbs(Temporary):
    """As many as are carried out at a time are under way."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The answer to a verb."""

    meant: int
    """Deliveries that fit when it began."""
    operation_id: int
    """Its identifier in the record of operations; 0 where nothing was begun."""
    left_out: list[str]
    """A sentence on each delivery that was named and that the verb is not done to."""


class BackgroundVerbs:
    """Carries out verbs in tasks of their own, which `end` stops between two transactions."""

    def __init__(self, access: StoreAccess, wall: Callable[[], datetime] = utc_now) -> None:
        self._access = access
        self._wall = wall
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_ending = False

    async def begin(self, request: VerbRequest, by: Operator) -> Begun:
        """Begin it, unless it is a dry run or nothing fits; it is in the record then.

        Raises TooManyVerbs; SpoolFull, Temporary, QueueBroken of the store.
        """
        sentences = await left_out(self._access, request.verb, request.which)
        meant = await count(self._access, request.verb, request.which)
        if request.is_dry_run or not meant:
            return Begun(meant, 0, sentences)
        if self._is_ending or len(self._tasks) >= MOST_AT_ONCE:
            why = "the gateway is ending" if self._is_ending else f"{MOST_AT_ONCE} verbs are under way"
            raise TooManyVerbs(f"{why}; ask again later, see `gateway operations`")
        progress, has_begun = Progress(), asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._carry_out(request, by, meant, progress, has_begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: has_begun.set())
        await has_begun.wait()
        if task.done():
            task.result()
        return Begun(meant, progress.operation_id, sentences)

    async def end(self) -> None:
        """Stop what is under way: what was done stays done, and the record says that it was interrupted."""
        self._is_ending = True
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(
        self, request: VerbRequest, by: Operator, meant: int, progress: Progress, has_begun: asyncio.Event
    ) -> None:
        began_at, began_s = self._wall(), time.monotonic()

        def is_stopped() -> bool:
            has_begun.set()
            return self._is_ending

        try:
            await carry_out(
                self._access,
                request.verb,
                request.which,
                progress,
                by=by,
                meant=meant,
                destination=request.to or None,
                is_stopped=is_stopped,
                wall=self._wall,
            )
        except GatewayError as error:
            if not has_begun.is_set():
                raise
            log.error("operation_stopped", operation=progress.operation_id, verb=request.verb.name, error=str(error))
        finally:
            lasted_s = time.monotonic() - began_s
            who = {"user": by.name}
            record(
                request.verb,
                request.which,
                request.to or None,
                progress,
                operator=who,
                began_at=began_at,
                duration_s=lasted_s,
            )
