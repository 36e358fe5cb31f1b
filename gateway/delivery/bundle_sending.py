"""One bundle on its way: a worker sends all of it, in order, over an association that has nothing else in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.bundles import Bundle
from gateway.delivery.destination_state import DestinationState
from gateway.delivery.feeder import Feeder
from gateway.delivery.ready_line import ClaimedDelivery
from gateway.delivery.worker import Worker

log = structlog.get_logger()

OTHERS_WAIT_S = 60.0
"""Objects that came to a bundle since it was claimed go with it, unless others in hand wait for a worker for longer
than this: a study that goes on and on must not keep them waiting for ever."""


class BundleSender:
    """Sends the bundles of one destination.

    Args:
        state: of the destination.
        feeder: of its courier.
        handle: sends one object and settles its outcome.
    """

    def __init__(
        self, state: DestinationState, feeder: Feeder, handle: Callable[[Worker, ClaimedDelivery], Awaitable[None]]
    ) -> None:
        self._state = state
        self._feeder = feeder
        self._handle = handle

    async def send(self, worker: Worker, claim: ClaimedDelivery) -> None:
        """Send all that is due of the bundle that `claim` stands for. What is left when the courier stops, the window
        closes or the destination is down is given back; it goes over another association later."""
        bundle = self._feeder.bundles.begin(claim)
        try:
            await worker.all_answered()
            await worker.close()
            worker.bundle = bundle
            await self._feeder.gather(bundle)
            self._log_division(bundle)
            while following := await self._next(worker, bundle):
                await self._handle(worker, following)
                self._state.pace.release(following.delivery.delivery_id)
        finally:
            worker.bundle = None
            self._feeder.end_bundle(bundle)
        await worker.close()

    async def _next(self, worker: Worker, bundle: Bundle) -> ClaimedDelivery | None:
        """The next object; None when there is none, or none may be begun."""
        settler, pace = self._state.ledger.settler, self._state.pace
        while self._may_go_on(worker, bundle):
            if settler.is_full:
                await settler.room()
            elif not bundle:
                await settler.settled()  # what was given back meanwhile is due again
                if self._do_others_wait(bundle) or not await self._feeder.gather(bundle):
                    return None
            else:
                change, wait_s = pace.next_change, pace.wait_s(bundle.next.instance.payload.length_bytes)
                if not wait_s:
                    claim = bundle.take()
                    pace.reserve(claim.delivery.delivery_id, claim.delivery.instance.payload.length_bytes)
                    return claim
                await pace.wait(wait_s, change)
        return None

    def _may_go_on(self, worker: Worker, bundle: Bundle) -> bool:
        if self._feeder.is_stopping or worker.is_retired or self._state.standing.wait_s():
            return False
        return not self._state.watch.closed_s() or not bundle or bundle.next.is_passing

    def _do_others_wait(self, bundle: Bundle) -> bool:
        """True when it is the turn of others. What is still to come of the bundle goes over another association."""
        ready = self._feeder.ready
        if not ready or loop_clock_s() - ready.first().at_s < OTHERS_WAIT_S:
            return False
        reason = "others have waited for it, and more of it came all the time"
        fields = {"destination": self._state.name, "study_instance_uid": bundle.name}
        log.warning("bundle_ended_for_others", **fields, reason=reason)
        return True

    def _log_division(self, bundle: Bundle) -> None:
        if bundle.associations > 1:
            reason = "more presentation contexts than one association can have"
            log.warning("bundle_divided", destination=self._state.name, associations=bundle.associations, reason=reason)
