"""The courier of one destination: claims what is due in batches, sends it over a few channels, settles in batches.

```text
feeder    claims the next batch while the last one is being sent; waits out retries and the open circuit
workers   up to `peer.associations`, each with a channel of its own; hired one by one, gone after `IDLE_S` without work.
          Each sends one object after the other, or several before their outcomes where its channel has a window
settler   commits the outcomes of the objects, while the next ones are sent
```
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import TypeGuard

import structlog

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.bundle_sending import BundleSender
from gateway.delivery.courier_context import CourierContext
from gateway.delivery.courier_status import CourierStatus, WaitsFor
from gateway.delivery.destination_state import DestinationState, LeaseOver
from gateway.delivery.fallback import fall_back
from gateway.delivery.feeder import FRESH_S, LARGE_DEBT_S, Feeder
from gateway.delivery.outcome_handler import OutcomeHandler, not_made
from gateway.delivery.ready_line import ClaimedDelivery
from gateway.delivery.transform import StoredOutbound, outbound_for
from gateway.delivery.worker import Worker
from gateway.model.delivery import Deferred, Outcome, Refused
from gateway.model.instance import PayloadRef
from gateway.model.node import DestinationStanding
from gateway.model.peer import Peer
from gateway.ports.destination import Channel, Destination
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import (
    ConfigurationError,
    DestinationDown,
    DestinationRefuses,
    PayloadLost,
    PayloadUnreadable,
    PeerError,
    Refusal,
    Temporary,
)
from gateway.sending.contexts import Kind

log = structlog.get_logger()

IDLE_S = 3.0
"""A channel is kept this long without work: associating costs a peer some 10 ms, and senders pause between series."""


class Courier:
    """Delivers to one destination until it is stopped; `run` raises errors that were not foreseen."""

    def __init__(
        self,
        peer: Peer,
        destination: Destination,
        context: CourierContext,
        standing: DestinationStanding | None = None,
        resumed_at: datetime | None = None,
    ) -> None:
        self.name = peer.name
        self._destination = destination
        self._journal, self._resources, self._converter = context.journal, context.resources, context.converter
        self._on_sending = context.on_sending
        self._may_send = context.may_send
        self._objects = context.objects
        self._idle_s = context.idle_s
        self._state = DestinationState(peer, context, resumed_at)
        if standing is not None:  # another node worked on it before
            self._state.go_on(standing)
        self._ledger = self._state.ledger
        self._feeder = Feeder(self._state, context, self._work_arrived)
        self._outcomes = OutcomeHandler(self._state, context, self._feeder)
        self._bundles = BundleSender(self._state, self._feeder, self._handle)
        self._is_work_there = asyncio.Event()
        """Idle workers should look again."""
        self._workers: set[Worker] = set()
        self._idle = 0
        self._hire_after_s = 0.0
        self._group: asyncio.TaskGroup | None = None

    # --- from outside ---------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        """The settings of the destination."""
        return self._state.peer

    def notify(self) -> None:
        """Look for new due deliveries. Called for every commit, so it costs little."""
        self._feeder.notify()

    def replace(self, peer: Peer, destination: Destination) -> None:
        """New settings: the next object of each worker goes over a channel of the new destination."""
        self._state.replace(peer)
        self._destination = destination
        self.probe_now()

    def probe_now(self) -> None:
        """An operator may have mended something: do not wait for the circuit."""
        self._state.standing.probe_now()
        self._state.refusals.try_now()
        self._hire_after_s = 0.0
        self._feeder.expect_more()

    def stop(self) -> None:
        """Begin nothing more; `run` ends when what is in flight has ended."""
        self._feeder.stop()
        self._is_work_there.set()
        self._state.pace.wake()

    def status(self) -> CourierStatus:
        """The destination as it stands now."""
        here, held = self._state.standing, len(self._ledger)
        reason = here.reason or self._state.refusals.why_left_out
        opens_at, wait_s = self._state.watch.opens_at(), max(here.wait_s(), self._state.watch.closed_s())
        waits_for: WaitsFor = "window" if opens_at else "rate" if self._feeder.is_held_up_by_rate else ""
        return CourierStatus(
            self.name, here.is_up, reason, wait_s, held, len(self._workers), waits_for=waits_for, opens_at=opens_at
        )

    def standing(self) -> DestinationStanding | None:
        """As other nodes are told; None before the first attempt."""
        return self._state.standing.shared(self._state.refusals.as_text())

    def standing_now(self) -> DestinationStanding | None:
        """The same without its refusals."""
        return self._state.standing.shared("")

    async def run(self) -> None:
        """Deliver until `stop`; then finish what is in flight, give back and settle the rest, close the channels."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.settler.run(self._after_settling))
            watch = group.create_task(self._state.watch.run(self._window_changed))
            holds = group.create_task(self._state.holds.run())
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._feeder.run())
            watch.cancel()
            holds.cancel()
            self._feeder.return_ready()
            self._ledger.settler.close()

    async def give_back(self) -> None:
        """Return everything in hand to the queue as if it was never claimed. To be called after `run` was cancelled."""
        self._feeder.return_ready()
        await self._ledger.return_all()

    def _rest(self) -> None:
        """The last association was given up, and the queue knows of everything that went over it."""
        if not self._workers and not self._ledger.settler.is_waiting:
            self._objects.destination_idle(self.name)

    def _after_settling(self, are_some_pending: bool) -> None:
        self._rest()
        if are_some_pending:
            self._feeder.expect_more()
        elif not self._state.standing.is_closed:
            self._feeder.wake()  # a probe waits for what was tried before it

    def _window_changed(self) -> None:
        """The window opened; or it closed, and what is not begun is for later."""
        if self._state.watch.closed_s():
            self._feeder.return_what_waits()
            self._state.pace.wake()
        self._feeder.expect_more()

    # --- the workers ----------------------------------------------------------------------------------------------

    def _work_arrived(self) -> None:
        self._is_work_there.set()
        self._hire()

    def _hire(self) -> None:
        """One more worker when there is more work than hands; one at a time, so that a dead peer holds one object."""
        feeder = self._feeder
        if not feeder.ready or feeder.is_stopping or len(self._workers) >= self._state.peer.associations:
            return
        if self._idle or self._state.pace.is_waited_for:
            return
        if any(not worker.is_open for worker in self._workers):
            return
        if self._workers and (not self._state.standing.is_closed or loop_clock_s() < self._hire_after_s):
            return
        assert self._group is not None
        worker = Worker()
        self._workers.add(worker)
        self._group.create_task(self._work(worker))

    async def _work(self, worker: Worker) -> None:
        try:
            while claim := await self._next(worker):
                if claim.delivery.bundle:
                    await self._bundles.send(worker, claim)
                    continue
                await self._handle(worker, claim)
                self._state.pace.release(claim.delivery.delivery_id)
            await worker.all_answered()
        finally:
            self._workers.discard(worker)
            await worker.close()
        self._rest()
        self._hire()

    async def _next(self, worker: Worker) -> ClaimedDelivery | None:
        """The next object; None when this worker should end."""
        feeder, state = self._feeder, self._state
        while not feeder.is_stopping and not worker.is_retired and len(self._workers) <= state.peer.associations:
            if self._ledger.settler.is_full:
                await self._ledger.settler.room()
                continue
            if not worker.has_room:
                await worker.room()
                continue
            if feeder.ready:
                if (claim := await self._next_in_time(worker)) is None:
                    continue
                return claim
            if not (await self._has_work_come() or worker.is_waiting):
                return None
        return None

    async def _next_in_time(self, worker: Worker) -> ClaimedDelivery | None:
        """The next object, where window and rate let one go now; None after something changed."""
        feeder, pace = self._feeder, self._state.pace
        delivery = feeder.ready.first().delivery
        if delivery.bundle:
            return feeder.take()  # the rate has each of its objects wait
        size_bytes = delivery.instance.payload.length_bytes
        change, wait_s = pace.next_change, pace.wait_s(size_bytes)
        is_closed = self._state.watch.closed_s() > 0 and not delivery.is_passing
        if wait_s > LARGE_DEBT_S + 1 or is_closed:
            feeder.return_what_waits() if is_closed else feeder.return_ready()
            feeder.wake()
            return None
        if wait_s:
            if wait_s > self._idle_s:
                await worker.all_answered()
                await worker.close()
            await pace.wait(wait_s, change)
            return None
        claim = feeder.take()
        pace.reserve(claim.delivery.delivery_id, size_bytes)
        if pace.is_limited:
            self._hire()
        return claim

    async def _has_work_come(self) -> bool:
        """Wait idle; False when no work came in time."""
        self._is_work_there.clear()
        self._idle += 1
        try:
            async with asyncio.timeout(self._idle_s):
                await self._is_work_there.wait()
        except TimeoutError:
            return bool(self._feeder.ready)
        finally:
            self._idle -= 1
        return True

    async def _opened(self, payload: PayloadRef) -> EncodedDataSet:
        """The stored bytes. Raises PayloadLost, Temporary."""
        body = self._journal.open_now(payload)
        return await self._journal.fetch(payload) if body is None else body

    async def _handle(self, worker: Worker, claim: ClaimedDelivery) -> None:
        """Send one object and settle the outcome, now or when it comes."""
        begun_s, delivery = loop_clock_s(), claim.delivery
        if self._is_put_off(claim, begun_s):
            return
        body: EncodedDataSet | None = None
        try:
            body = await self._opened(delivery.instance.payload)
            outbound = await outbound_for(delivery, body, self._resources(), self._converter)
            body = outbound.body
            outcome = await self._send_in_some_form(worker, claim, outbound, begun_s)
            if outcome is None:
                return
        except LeaseOver:
            self._ledger.returned(delivery)
            return
        except (DestinationDown, DestinationRefuses) as error:
            self._cannot_reach(worker, claim, error, begun_s)
            return
        except PayloadLost as error:  # what was promised cannot be kept: an operator must know
            uid = delivery.instance.sop_instance_uid
            log.error("payload_lost", destination=self.name, sop_instance_uid=uid, error=str(error))
            outcome = Refused(str(error), kind="payload_lost")
        except (Refusal, ConfigurationError) as error:  # what is stored cannot be edited
            outcome = not_made(error)
        except PayloadUnreadable as error:  # by our own disk: neither the object nor the destination is to blame
            self._outcomes.set_back(delivery, Deferred(str(error)), loop_clock_s() - begun_s)
            return
        except Temporary as error:  # we are short of descriptors or memory: nothing against the object
            outcome = Deferred(str(error))
        except Exception as error:
            # A fault of ours with this one object must stop neither the gateway nor the queue behind it. The error's
            # text may quote the object, so that only its type is kept.
            log.exception("delivery_failed", destination=self.name, delivery_id=delivery.delivery_id)
            outcome = Deferred(f"internal error: {type(error).__name__}; see the log", is_doubtful=True)
        finally:
            if body is not None:
                body.close()
        self._outcomes.finish(worker, delivery, outcome, loop_clock_s() - begun_s)

    def _is_put_off(self, claim: ClaimedDelivery, begun_s: float) -> bool:
        """True for one that may not be begun now, which is settled so: its claim is old, or its rule is paused."""
        if begun_s - claim.at_s > FRESH_S or not self._may_send(self.name):
            self._ledger.returned(claim.delivery)
            return True
        return self._state.holds.hold(claim.delivery)

    async def _send_in_some_form(
        self, worker: Worker, claim: ClaimedDelivery, outbound: StoredOutbound, begun_s: float
    ) -> Outcome | None:
        """The outcome, of another transfer syntax where the first one is not taken; None when it comes later."""
        outcome = await self._send(worker, claim, outbound, begun_s)
        if outcome is None or not self._has_fallback(outcome):
            return outcome
        await worker.all_answered()
        return await self._fall_back(worker, outbound, outcome)

    async def _send(
        self, worker: Worker, claim: ClaimedDelivery, outbound: StoredOutbound, begun_s: float
    ) -> Outcome | None:
        """The outcome; None when it comes later."""
        delivery, sender = claim.delivery, outbound.facts.association
        kind = (outbound.sop_class_uid, outbound.transfer_syntax_uid)
        channel = worker.kept(self._destination, sender)
        windowed = None if channel is None or claim.is_alone else worker.windowed(channel, kind)
        if windowed is None:
            if worker.is_waiting:
                await worker.all_answered()
                channel = None  # the destination may have other settings by now
            channel = channel or await worker.channel(self._destination, sender)
            await channel.prepare(worker.kinds(kind, self._feeder.sight))
            if not worker.is_open:
                worker.is_open = True
                self._hire()
        self._state.require_lease()
        arrived_as, sent_as = delivery.instance.sop_instance_uid, outbound.sop_instance_uid
        self._on_sending(self._state.peer, arrived_as, sent_as, outbound.body.length_bytes)
        self._state.pace.begun(delivery.delivery_id, outbound.body.length_bytes)
        if windowed is None:
            assert channel is not None
            return await channel.send(outbound)
        answered = partial(self._answered, worker, claim, begun_s)
        return await worker.begin(windowed, claim, outbound, answered, partial(self._lost, worker))

    def _answered(self, worker: Worker, claim: ClaimedDelivery, begun_s: float, outcome: Outcome) -> None:
        """The outcome of an object that did not wait for it."""
        if self._has_fallback(outcome):
            self._feeder.put_back([claim])
        else:
            self._outcomes.finish(worker, claim.delivery, outcome, loop_clock_s() - begun_s)

    def _lost(self, worker: Worker, claims: list[ClaimedDelivery]) -> None:
        """The association was lost over these, and nobody knows over which: each is sent again, alone."""
        worker.is_open = False
        log.info("objects_unanswered", destination=self.name, count=len(claims))
        for claim in claims:
            self._ledger.doubt(claim.delivery)
        self._feeder.put_back(claims)

    def _has_fallback(self, outcome: Outcome) -> TypeGuard[Refused]:
        """True when the object may be taken in another transfer syntax."""
        return bool(self._state.peer.fallback) and type(outcome) is Refused and outcome.is_about_form

    async def _fall_back(self, worker: Worker, outbound: StoredOutbound, refused: Refused) -> Outcome:
        async def channel_for(kind: Kind) -> Channel:
            self._state.require_lease()
            channel = await worker.channel(self._destination, outbound.facts.association)
            await channel.prepare(worker.kinds(kind, self._feeder.sight))
            self._state.require_lease()
            return channel

        return await fall_back(outbound, refused, self._state.peer.fallback, channel_for, self._converter)

    def _cannot_reach(self, worker: Worker, claim: ClaimedDelivery, error: PeerError, begun_s: float) -> None:
        """No association for this worker. Where others have one, the peer takes fewer than we may open."""
        worker.is_open = False
        if error.is_doubtful:
            self._ledger.doubt(claim.delivery)
        if any(other.is_open for other in self._workers):
            log.info("associations_reduced", destination=self.name, reason=str(error))
            worker.is_retired = True
            self._hire_after_s = loop_clock_s() + self._state.peer.retry.first_delay_s
            if worker.bundle is None:
                self._feeder.ready.put_first(claim._replace(at_s=begun_s))
                self._is_work_there.set()
            else:
                self._ledger.returned(claim.delivery)
            return
        self._outcomes.unreachable(claim.delivery, error, loop_clock_s() - begun_s)
