"""The feeder of one courier: claims deliveries that are due, in batches, while the batch before is being sent.

It waits out retries and the open circuit of the destination, and leaves out what is like the objects that were refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.bundles import MOST_IN_HAND, Bundle, Bundles, mark_of
from gateway.delivery.courier_context import CourierContext
from gateway.delivery.destination_state import DestinationState
from gateway.delivery.ready_line import ClaimedDelivery, ReadyLine
from gateway.delivery.refusals import kind_of
from gateway.delivery.settling import persistently
from gateway.delivery.window_watch import LOOK_S
from gateway.model.delivery import Deferred, Delivery
from gateway.model.likeness import ExcludedLikenesses
from gateway.model.priority import lower_places
from gateway.ports.delivery_queue import ONLY_PASSING, ONLY_URGENT, ClaimOrder
from gateway.sending.contexts import Kind

LEASE_S = 900.0
"""The time after which another process takes over from one that hangs. A slower object keeps its delivery all the same,
see `Ledger.claimed`."""
FRESH_S = LEASE_S / 2
"""A delivery that was claimed longer ago and not begun is given back: the lease may end before it is sent."""
FIRST_CLAIM, SMALLEST_CLAIM, LARGEST_CLAIM = 32, 4, 512
FAST_S, SLOW_S = 1.0, 10.0
"""A full batch that lasts less than `FAST_S` doubles the next one; longer than `SLOW_S` halves it."""
GATHER_S = 0.02
"""The wait before the next claim after a batch that emptied the queue: while objects stream in, a claim for each of
their commits would double the number of commits. The first object after a pause does not wait."""
URGENT_LOOK_S = 0.5
"""While enough is in hand and more comes, urgent ones among it are looked for this often: they go before what is in
hand."""
TRIALS = 8
"""Trials, one after the other, among the objects that a destination refused when nothing else is due."""
LEFT_OUT_REST_S = 1.0
"""While some of what is due is left out, the queue is asked for more this often: it cannot say when others are due."""
BUNDLES_REST_S = 0.5
"""While bundles are all that may be in hand, it is looked this often whether there is room again."""
MIN_REST_S = 0.05
"""The pause before the queue is asked again for something due that it did not give (it is under another lease)."""
LARGE_DEBT_S = 10.0
"""While the rate has nothing go for longer than this, nothing is in hand: operators can change what waits."""
SWEEP = 500
"""Deliveries looked at together for their age while the destination is down."""
MOST_UNTRIED = 5000
"""Deliveries that were never tried, kept in hand to look at those behind them."""


class Feeder:
    """Keeps the claimed deliveries that are not begun yet.

    Args:
        state: of the destination.
        context: of the courier.
        on_work: called when deliveries were claimed.
    """

    def __init__(self, state: DestinationState, context: CourierContext, on_work: Callable[[], None]) -> None:
        self.ready = ReadyLine()
        """Claimed, not begun; `take` is for workers. One of a bundle stands for all of it."""
        self.bundles = Bundles()
        self.sight: dict[Kind, tuple[Kind, ...]] = {}
        """Every kind in sight → itself first, then the others."""
        self.is_stopping = False
        self.is_sweep_due = False
        """The oldest delivery was given up while the destination is down."""
        self._state = state
        self._journal = context.journal
        self._now = context.now
        self._on_work = on_work
        self._is_more_expected = True
        self._wake = asyncio.Event()
        self._low = 0
        self._limit = FIRST_CLAIM
        self._claimed_at_s = 0.0
        self._was_full = False
        self._places = 0
        """Deliveries that were claimed by priority."""
        self._has_come = False
        """Something came since the last claim."""
        self._looked_at_s = 0.0
        """The time of the last claim, or look for urgent ones."""
        self._is_in_debt = False

    # --- for the courier ------------------------------------------------------------------------------------------

    @property
    def is_held_up_by_rate(self) -> bool:
        """True while deliveries may wait for the rate alone."""
        return self._is_in_debt or self._state.pace.is_waited_for

    def notify(self) -> None:
        """Look for new due deliveries. Called for every commit, so it costs little."""
        if not self._has_come or (len(self.ready) <= self._low and self._state.may_begin):
            self._wake.set()
        self._is_more_expected = self._has_come = True

    def expect_more(self) -> None:
        """More may be due than the queue said; look at once."""
        self._is_more_expected = self._has_come = True
        self._wake.set()

    def wake(self) -> None:
        """Look again."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more."""
        self.is_stopping = True
        self._wake.set()

    def take(self) -> ClaimedDelivery:
        """The next delivery of `ready`, which is not empty."""
        claim = self.ready.take()
        if len(self.ready) <= self._low and (self._is_more_expected or not self.ready):
            self._wake.set()
        return claim

    def put_back(self, claims: Iterable[ClaimedDelivery]) -> None:
        """These come next, each of them alone; unless nothing may be sent now."""
        for claim in reversed(list(claims)):
            self.ready.put_first(claim._replace(is_alone=True))
        self.return_what_waits()
        if self.ready:
            self._on_work()

    def return_ready(self) -> None:
        """Give back to the queue what is not begun."""
        self._return(are_passing_kept=False)

    def return_what_waits(self) -> None:
        """Give back what may not be begun now: nothing may, or the window is closed."""
        if self.is_stopping or self._state.standing.wait_s():
            self.return_ready()
        elif self._state.watch.closed_s():
            self._return(are_passing_kept=True)

    def _return(self, *, are_passing_kept: bool) -> None:
        for removed in self.ready.remove(are_passing_kept=are_passing_kept):
            for claim in self.bundles.dissolve(removed):
                self._state.ledger.returned(claim.delivery)

    async def gather(self, bundle: Bundle) -> bool:
        """Claim the rest of a bundle that is due, in its order; one alone for a destination that is tried, and none
        while it refuses some. False when nothing of it may be begun."""
        state, is_probe = self._state, not self._state.standing.is_closed
        if not state.refusals.number_left_out:
            limit = 1 if is_probe else MOST_IN_HAND
            claimed = await persistently(
                lambda: self._journal.claim_bundle(state.name, bundle.name, limit, LEASE_S), "claim_bundle"
            )
            now_s = loop_clock_s()
            bundle.add([ClaimedDelivery(now_s, each) for each in claimed if state.ledger.claimed(each)])
        for claim in bundle.take_out(are_passing_kept=state.watch.closed_s() > 0, is_first_kept=is_probe):
            state.ledger.returned(claim.delivery)
        return len(bundle) > 0

    def end_bundle(self, bundle: Bundle) -> None:
        """Its worker is done with it: what is left is given back."""
        for claim in self.bundles.end(bundle):
            self._state.ledger.returned(claim.delivery)
        self.expect_more()

    async def run(self) -> None:
        """Claim until stopped."""
        while not self.is_stopping:
            self._wake.clear()
            rest_s = await self._look()
            if rest_s == 0.0:
                continue
            try:
                async with asyncio.timeout(rest_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self.return_ready()

    # --- claiming -------------------------------------------------------------------------------------------------

    async def _look(self) -> float | None:
        """Claim if it is time for it; the seconds to rest then, None: until something wakes the feeder."""
        standing, refusals = self._state.standing, self._state.refusals
        wait_s = standing.wait_s()
        if wait_s > 0:
            if self.is_sweep_due:
                await self._sweep_old()
            return wait_s
        if (debt_s := self._debt_s()) > 0:
            self.return_ready()
            return debt_s
        closed_s = min(self._state.watch.closed_s(), LOOK_S)
        is_probe = not standing.is_closed
        if closed_s > 0:
            return await self._look_at_a_closed_window(closed_s, is_probe=is_probe)
        if is_probe and self._state.ledger.is_busy:
            return None
        if len(self.ready) > self._low:
            return await self._look_for_urgent()
        if len(self.bundles) >= MOST_IN_HAND:
            return BUNDLES_REST_S
        gather_s = self._claimed_at_s + GATHER_S - loop_clock_s()
        if gather_s > 0 and not (is_probe or self._was_full):
            return gather_s
        self._is_more_expected = self._has_come = False
        limit = 1 if is_probe and not self._state.holds.are_expected else self._next_limit()
        if is_probe and refusals.is_held:
            batch = await self._claim_probe()
        elif refusals.number_left_out and not is_probe:
            batch = await self._claim_others(limit)
        else:
            batch = await self._claim(limit)
        self._was_full = len(batch) == limit
        if not batch:
            return await self._until_due()
        self._is_more_expected |= self._was_full
        self._take_in(batch)
        return None

    async def _look_at_a_closed_window(self, closed_s: float, *, is_probe: bool) -> float | None:
        """Claim what may pass the window; the rest in seconds until it is looked again."""
        self.return_what_waits()
        if self.ready or (is_probe and self._state.ledger.is_busy):
            return closed_s
        batch = await self._claim(1 if is_probe else self._limit, self._left_out(), ONLY_PASSING)
        if not batch:
            return closed_s
        self._take_in(batch)
        return None

    async def _look_for_urgent(self) -> float | None:
        """Enough is in hand; claim what goes before it. The rest in seconds until it is looked again."""
        if not (self._has_come and self.ready.has_lower):
            return None
        rest_s = self._looked_at_s + URGENT_LOOK_S - loop_clock_s()
        if rest_s > 0:
            return rest_s
        self._has_come = False
        batch = await self._claim(self._limit, self._left_out(), ONLY_URGENT)
        if batch:
            self._take_in(batch)
        return None

    def _left_out(self) -> ExcludedLikenesses | None:
        refusals = self._state.refusals
        return refusals.others() if refusals.number_left_out else None

    def _debt_s(self) -> float:
        """The seconds for which nothing is claimed, since a debt is large; then it is looked again."""
        debt_s = max(self._state.pace.wait_s(0) - LARGE_DEBT_S, 0.0)
        self._is_in_debt = debt_s > 0
        return debt_s

    def _next_limit(self) -> int:
        """Small batches for slow peers and large objects, large ones at wire speed."""
        now_s = loop_clock_s()
        lasted_s, self._claimed_at_s = now_s - self._claimed_at_s, now_s
        if self._was_full and lasted_s < FAST_S:
            self._limit = min(self._limit * 2, LARGEST_CLAIM)
        if self._was_full and lasted_s > SLOW_S:
            self._limit = max(self._limit // 2, SMALLEST_CLAIM)
        return self._limit

    async def _claim(
        self, limit: int, apart: ExcludedLikenesses | None = None, order: ClaimOrder | None = None
    ) -> list[Delivery]:
        order = order or ClaimOrder(lower_places(self._places, limit))
        batch = await persistently(lambda: self._journal.claim(self._state.name, limit, LEASE_S, apart, order), "claim")
        self._places += len(batch)
        self._looked_at_s = loop_clock_s()
        return batch

    async def _claim_probe(self) -> list[Delivery]:
        """One to try a destination with that refuses: unlike those that it refused; else like the one refused longest
        ago, since that may have been mended."""
        refusals = self._state.refusals
        batch = await self._claim(1, refusals.others())
        for _ in range(TRIALS):
            if batch or (trial := refusals.next_trial()) is None:
                break
            batch = await self._claim(1, trial[1])
        batch = batch or await self._claim(1)
        for delivery in batch:
            refusals.looked_at(delivery, is_done=True)
        return batch

    async def _claim_others(self, limit: int) -> list[Delivery]:
        """Deliveries unlike those that the destination refuses; now and then one that is like them."""
        refusals = self._state.refusals
        batch: list[Delivery] = []
        trial = None if refusals.trial_wait_s(loop_clock_s()) else refusals.next_trial()
        if trial is not None:
            batch = await self._claim(1, trial[1])
            refusals.trial_begun(trial[0], batch, self._state.peer.retry, loop_clock_s())
        if not batch:
            lower = lower_places(self._places, limit)
            urgent = await self._claim(limit - lower, refusals.others(), ONLY_URGENT)
            batch = await self._claim(limit - len(urgent), refusals.others()) if len(urgent) < limit else []
            for delivery in batch[-1:]:
                refusals.looked_at(delivery, is_done=False)
            batch = [*urgent, *batch]
        return batch

    async def _until_due(self) -> float | None:
        due_at = await persistently(lambda: self._journal.next_due(self._state.name), "next_due")
        refusals = self._state.refusals
        if self._is_more_expected:
            return 0.0
        if refusals.number_left_out:
            return max(MIN_REST_S, min(LEFT_OUT_REST_S, refusals.trial_wait_s(loop_clock_s())))
        return None if due_at is None else max((due_at - self._now()).total_seconds(), MIN_REST_S)

    def _take_in(self, batch: list[Delivery]) -> None:
        """Put a claimed batch in line, unless the world changed meanwhile."""
        ledger, standing = self._state.ledger, self._state.standing
        claimed_at_s = loop_clock_s()
        claimed = [delivery for delivery in batch if ledger.claimed(delivery)]
        fresh = [delivery for delivery in claimed if not self._state.holds.hold(delivery)]
        if len(fresh) < len(claimed):
            self._wake.set()
        if fresh and not standing.is_closed:
            probe = fresh.pop(0)
            for delivery in fresh:
                ledger.returned(delivery)
            fresh = [probe]
        claims = [ClaimedDelivery(claimed_at_s, delivery) for delivery in by_number_of_gateways(fresh)]
        for claim in self.bundles.sort_out(claims, self._state.peer.fallback):
            self.ready.append(claim)
        self.return_what_waits()
        if not self.ready:
            return
        self._low = len(self.ready) // 2
        kinds = dict.fromkeys(kind_of(claim.delivery) for claim in self.ready)
        if kinds.keys() != self.sight.keys():
            self.sight = {kind: (kind, *(other for other in kinds if other != kind)) for kind in kinds}
        self._on_work()

    async def _sweep_old(self) -> None:
        """The destination is down and its oldest delivery was given up: so are the others of that age. Those that were
        never tried have their try in the failed contact that led here, keep their place, and are given up after the
        next one at the earliest."""
        self.is_sweep_due = False
        state = self._state
        untried: list[Delivery] = []
        are_all_old = True
        while are_all_old and len(untried) < MOST_UNTRIED and not self.is_stopping:
            batch = [delivery for delivery in await self._claim(SWEEP) if state.ledger.claimed(delivery)]
            are_all_old = len(batch) == SWEEP
            for delivery in batch:
                if state.holds.hold(delivery):
                    continue
                if not state.is_given_up(delivery):
                    state.ledger.returned(delivery)
                    are_all_old = False
                elif delivery.attempts:
                    state.ledger.expired(delivery, Deferred(state.standing.reason), None)
                else:
                    untried.append(delivery)
        for delivery in untried:
            state.ledger.deferred(delivery, state.standing.reason, state.ledger.place_of(delivery), 0.0)


def by_number_of_gateways(batch: list[Delivery]) -> list[Delivery]:
    """Deliveries that came through as many gateways stand together, else in their order: each number has an association
    of its own, and one at a time is open."""
    marks = {mark_of(delivery) for delivery in batch}
    return batch if len(marks) < 2 else sorted(batch, key=mark_of)
