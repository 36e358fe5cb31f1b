"""The courier of one destination: claims what is due in batches, sends it over a few channels, settles in batches.

```text
feeder    claims the next batch while the last one is being sent; waits out retries and the open circuit
workers   up to `peer.associations`, each with a channel of its own; hired one by one, gone after `IDLE_S` without work
settler   commits what became of the objects, while the next ones are sent
```
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import structlog

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.fallback import fall_back
from gateway.delivery.ledger import Ledger
from gateway.delivery.refusals import RefusalCount
from gateway.delivery.retry import delay_s, is_given_up
from gateway.delivery.settling import patiently
from gateway.delivery.standing import Standing
from gateway.delivery.suspects import MOST_TRIES, Suspects
from gateway.delivery.transform import NO_CONVERTER, StoredOutbound, outbound_for
from gateway.delivery.worker import Worker
from gateway.model.delivery import Deferred, Delivered, Delivery, Outcome, Refused
from gateway.model.likeness import ExcludedLikenesses
from gateway.model.peer import Peer
from gateway.object_log import ObjectLog
from gateway.ports.converter import Converter
from gateway.ports.destination import Channel, Destination, Outbound
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import (
    ConfigurationError,
    DestinationDown,
    DestinationRefuses,
    PayloadLost,
    PayloadUnreadable,
    Refusal,
    Temporary,
    fit_for_log,
)
from gateway.ports.journal import Journal
from gateway.ports.kinds import Resources
from gateway.ports.meter import Meter
from gateway.routing.language.resources import NO_RESOURCES

log = structlog.get_logger()

IDLE_S = 3.0
"""A channel is kept this long without work: associating costs a peer some 10 ms, and senders pause between series."""
LEASE_S = 900.0
"""The time after which another process takes over from one that hangs. A slower object keeps its delivery all the
same, see `Ledger.claimed`.
"""
FRESH_S = LEASE_S / 2
"""Claimed longer ago and not begun: given back, for the lease may end before it is sent."""
FIRST_CLAIM, SMALLEST_CLAIM, LARGEST_CLAIM = 32, 4, 512
FAST_S, SLOW_S = 1.0, 10.0
"""A full batch that lasts less than `FAST_S` doubles the next one; longer than `SLOW_S` halves it."""
GATHER_S = 0.01
"""After a batch that emptied the queue the next claim waits this long: while objects stream in, a claim for each of
their commits would double the number of commits. The first object after a pause does not wait."""
TRIALS = 8
"""The most refused deliveries that are tried one after the other when nothing else is due."""
LEFT_OUT_REST_S = 1.0
"""While some of what is due is left out, the queue is asked for more this often: it cannot say when others are due."""
MIN_REST_S = 0.05
"""Before the queue is asked again for something due that it did not give (it is under another lease)."""
SWEEP = 500
"""Deliveries looked at together for their age while the destination is down."""
MOST_UNTRIED = 5000
"""The most untried deliveries that are kept in hand to look at the ones behind them."""

NOT_MADE = "an action, conversion or template cannot be done on this object; `gateway queue list --state dead` has why"
"""The reason in the log when the real one may quote the object."""

RefusalKind = tuple[str, str]
ClaimedDelivery = tuple[float, Delivery]
"""With the monotonic time of the claim in seconds."""


Goes = Callable[[Peer, str, str, int], None]
"""Called before an object is sent: to whom, the SOP Instance UID that it arrived with, the one it leaves with, its size
in bytes (`gateway.handlers.loops`)."""


def to_nobody(peer: Peer, arrived_as: str, sent_as: str, size_bytes: int) -> None:
    """Does not look for rings."""


@dataclass(frozen=True, slots=True)
class CourierStatus:
    """An operator's view of one destination."""

    destination: str
    is_up: bool | None
    """None before the first attempt."""
    reason: str
    """The reason why it is down; empty when it is not."""
    wait_s: float
    """Until the next probe."""
    in_hand: int
    """Claimed and not settled."""
    channels: int
    is_configured: bool = True
    """False for one that the rules in force do not name, or have disabled, and that is still owed something."""


class Courier:
    """Delivers to one destination until it is stopped; `run` raises what nobody foresaw."""

    def __init__(
        self,
        peer: Peer,
        destination: Destination,
        *,
        journal: Journal,
        meter: Meter,
        now: Callable[[], datetime],
        random: Random,
        resources: Callable[[], Resources] = lambda: NO_RESOURCES,
        converter: Converter = NO_CONVERTER,
        idle_s: float = IDLE_S,
        wall: Callable[[], datetime] | None = None,
        objects: ObjectLog | None = None,
        goes: Goes = to_nobody,
    ) -> None:
        self.name = peer.name
        self.peer = peer
        self._destination = destination
        self._journal = journal
        self._meter = meter
        self._now = now
        self._random = random
        self._resources = resources
        self._converter = converter
        self._idle_s = idle_s
        self._objects = objects or ObjectLog()
        self._goes = goes
        self._ledger = Ledger(journal, peer.name, meter, now, wall or now, self._objects)
        self._standing = Standing(peer.name, meter, random)
        self._refusals = RefusalCount(random)
        self._left_out = 0
        """As it was logged last."""
        self._suspects = Suspects()
        self._is_stopping = False
        self._is_sweep_due = False
        self._is_more_expected = True
        self._wake = asyncio.Event()
        """The feeder should look again."""
        self._is_work_there = asyncio.Event()
        """Idle workers should look again."""
        self._ready: deque[ClaimedDelivery] = deque()
        """Claimed, not begun."""
        self._low = 0
        self._limit = FIRST_CLAIM
        self._claimed_at_s = 0.0
        self._was_full = False
        self._sight: dict[RefusalKind, tuple[RefusalKind, ...]] = {}
        """Every kind in sight → itself first, then the others."""
        self._workers: set[Worker] = set()
        self._idle = 0
        self._hire_after_s = 0.0
        self._group: asyncio.TaskGroup | None = None

    # --- from outside ---------------------------------------------------------------------------------------------

    def notify(self) -> None:
        """There may be new due deliveries. Called for every commit: cheap."""
        self._is_more_expected = True
        if not self._standing.wait_s() and len(self._ready) <= self._low:
            self._wake.set()

    def replace(self, peer: Peer, destination: Destination) -> None:
        """New settings: the next object of each worker goes over a channel of the new destination."""
        if (peer.host, peer.port) != (self.peer.host, self.peer.port):
            self._refusals.forget_kinds()
        self.peer, self._destination = peer, destination
        self.probe_now()

    def probe_now(self) -> None:
        """An operator may have mended something: do not wait for the circuit."""
        self._standing.probe_now()
        self._refusals.try_now()
        self._hire_after_s = 0.0
        self._is_more_expected = True
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing more; `run` ends when what is in flight has ended."""
        self._is_stopping = True
        self._wake.set()
        self._is_work_there.set()

    def status(self) -> CourierStatus:
        """As it stands now."""
        here, held = self._standing, len(self._ledger)
        reason = here.reason or self._refusals.why_left_out
        return CourierStatus(self.name, here.is_up, reason, here.wait_s(), held, len(self._workers))

    async def run(self) -> None:
        """Deliver until `stop`; then finish what is in flight, give back and settle the rest, close the channels."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.settler.run(self._after_settling))
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._feed())
            self._return_ready()
            self._ledger.settler.close()

    async def give_back(self) -> None:
        """After `run` was cancelled: everything in hand goes back to the queue as if it was never claimed."""
        self._return_ready()
        await self._ledger.return_all()

    # --- the feeder -----------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            rest_s = await self._look()
            if rest_s == 0.0:
                continue
            try:
                async with asyncio.timeout(rest_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
        self._return_ready()

    async def _look(self) -> float | None:
        """Claim if it is time for it; the seconds to rest then, None: until somebody wakes us."""
        wait_s = self._standing.wait_s()
        if wait_s > 0:
            if self._is_sweep_due:
                await self._sweep_old()
            return wait_s
        is_probe = not self._standing.is_closed
        if (is_probe and self._ledger) or len(self._ready) > self._low:
            return None
        gather_s = self._claimed_at_s + GATHER_S - loop_clock_s()
        if gather_s > 0 and not (is_probe or self._was_full):
            return gather_s
        self._is_more_expected = False
        limit = 1 if is_probe else self._next_limit()
        if is_probe and self._refusals.is_held:
            batch = await self._claim_probe()
        elif self._refusals.number_left_out and not is_probe:
            batch = await self._claim_others(limit)
        else:
            batch = await self._claim(limit)
        self._was_full = len(batch) == limit
        if not batch:
            return await self._until_due()
        self._is_more_expected |= self._was_full
        self._take_in(batch)
        return None

    def _next_limit(self) -> int:
        """Small batches for slow peers and large objects, large ones at wire speed."""
        now_s = loop_clock_s()
        lasted_s, self._claimed_at_s = now_s - self._claimed_at_s, now_s
        if self._was_full and lasted_s < FAST_S:
            self._limit = min(self._limit * 2, LARGEST_CLAIM)
        if self._was_full and lasted_s > SLOW_S:
            self._limit = max(self._limit // 2, SMALLEST_CLAIM)
        return self._limit

    async def _claim(self, limit: int, apart: ExcludedLikenesses | None = None) -> list[Delivery]:
        return await patiently(lambda: self._journal.claim(self.name, limit, LEASE_S, apart), "claim")

    async def _claim_probe(self) -> list[Delivery]:
        """One to try a destination with that refuses: unlike those that it refused; else like the one refused longest
        ago, since that may have been mended."""
        batch = await self._claim(1, self._refusals.others())
        for _ in range(TRIALS):
            if batch or (trial := self._refusals.next_trial()) is None:
                break
            batch = await self._claim(1, trial[1])
        batch = batch or await self._claim(1)
        for delivery in batch:
            self._refusals.looked_at(delivery, is_done=True)
        return batch

    async def _claim_others(self, limit: int) -> list[Delivery]:
        """Claim deliveries that are unlike those that the destination refuses; now and then one that is like them."""
        batch: list[Delivery] = []
        trial = None if self._refusals.trial_wait_s(loop_clock_s()) else self._refusals.next_trial()
        if trial is not None:
            batch = await self._claim(1, trial[1])
            self._refusals.trial_begun(trial[0], batch, self.peer.retry, loop_clock_s())
        if not batch:
            batch = await self._claim(limit, self._refusals.others())
            for delivery in batch[-1:]:
                self._refusals.looked_at(delivery, is_done=False)
        return batch

    async def _until_due(self) -> float | None:
        due_at = await patiently(lambda: self._journal.next_due(self.name), "next_due")
        if self._is_more_expected:
            return 0.0
        if self._refusals.number_left_out:
            return max(MIN_REST_S, min(LEFT_OUT_REST_S, self._refusals.trial_wait_s(loop_clock_s())))
        return None if due_at is None else max((due_at - self._now()).total_seconds(), MIN_REST_S)

    def _take_in(self, batch: list[Delivery]) -> None:
        """Put a claimed batch in line, unless the world changed meanwhile."""
        claimed_at_s = loop_clock_s()
        fresh = [delivery for delivery in batch if self._ledger.claimed(delivery)]
        if fresh and not self._standing.is_closed:
            probe = fresh.pop(0)
            for delivery in fresh:
                self._ledger.returned(delivery)
            fresh = [probe]
        self._ready.extend((claimed_at_s, delivery) for delivery in by_number_of_gateways(fresh))
        if self._is_stopping or self._standing.wait_s() > 0:
            self._return_ready()
            return
        self._low = len(self._ready) // 2
        kinds = dict.fromkeys(_kind(delivery) for _, delivery in self._ready)
        if kinds.keys() != self._sight.keys():
            self._sight = {kind: (kind, *(other for other in kinds if other != kind)) for kind in kinds}
        self._is_work_there.set()
        self._hire()

    async def _sweep_old(self) -> None:
        """The destination is down and its oldest delivery was given up: so are the others of that age. Those that were
        never tried have their try in the failed contact that led here, keep their place, and are given up after the
        next one at the earliest."""
        self._is_sweep_due = False
        untried: list[Delivery] = []
        are_all_old = True
        while are_all_old and len(untried) < MOST_UNTRIED and not self._is_stopping:
            batch = [delivery for delivery in await self._claim(SWEEP) if self._ledger.claimed(delivery)]
            are_all_old = len(batch) == SWEEP
            for delivery in batch:
                if not self._is_given_up(delivery):
                    self._ledger.returned(delivery)
                    are_all_old = False
                elif delivery.attempts:
                    self._ledger.expired(delivery, Deferred(self._standing.reason), None)
                else:
                    untried.append(delivery)
        for delivery in untried:
            self._ledger.deferred(delivery, self._standing.reason, self._ledger.place_of(delivery), 0.0)

    def _return_ready(self) -> None:
        while self._ready:
            self._ledger.returned(self._ready.popleft()[1])

    def _rest(self) -> None:
        """The last association was given up, and the queue knows of everything that went over it."""
        if not self._workers and not self._ledger.settler.is_waiting:
            self._objects.destination_idle(self.name)

    def _after_settling(self, are_some_pending: bool) -> None:
        self._rest()
        if are_some_pending:
            self._is_more_expected = True
            self._wake.set()

    # --- the workers ----------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        """One more worker when there is more work than hands; one at a time, so that a dead peer holds one object."""
        if not self._ready or self._idle or self._is_stopping or len(self._workers) >= self.peer.associations:
            return
        if any(not worker.is_open for worker in self._workers):
            return
        if self._workers and (not self._standing.is_closed or loop_clock_s() < self._hire_after_s):
            return
        assert self._group is not None
        worker = Worker()
        self._workers.add(worker)
        self._group.create_task(self._work(worker))

    async def _work(self, worker: Worker) -> None:
        try:
            while claim := await self._next(worker):
                await self._handle(worker, *claim)
        finally:
            self._workers.discard(worker)
            await worker.close()
        self._rest()
        self._hire()

    async def _next(self, worker: Worker) -> ClaimedDelivery | None:
        """The next object; None when this worker should go home."""
        while not self._is_stopping and not worker.is_retired and len(self._workers) <= self.peer.associations:
            if self._ledger.settler.is_full:
                await self._ledger.settler.room()
                continue
            if self._ready:
                claim = self._ready.popleft()
                if len(self._ready) <= self._low and (self._is_more_expected or not self._ready):
                    self._wake.set()
                return claim
            if not await self._is_called():
                return None
        return None

    async def _is_called(self) -> bool:
        """Wait idle; False when nobody called in time."""
        self._is_work_there.clear()
        self._idle += 1
        try:
            async with asyncio.timeout(self._idle_s):
                await self._is_work_there.wait()
        except TimeoutError:
            return bool(self._ready)
        finally:
            self._idle -= 1
        return True

    async def _handle(self, worker: Worker, claimed_at_s: float, delivery: Delivery) -> None:
        """Send one object and say what became of it."""
        begun_s = loop_clock_s()
        if begun_s - claimed_at_s > FRESH_S:
            self._ledger.returned(delivery)
            return
        body: EncodedDataSet | None = None
        try:
            body = self._journal.open(delivery.instance.payload)
            outbound = await outbound_for(delivery, body, self._resources(), self._converter)
            body = outbound.body
            outcome = await self._send(worker, delivery, outbound)
            if self.peer.fallback and type(outcome) is Refused and outcome.is_about_form:
                outcome = await self._fall_back(worker, outbound, outcome)
        except (DestinationDown, DestinationRefuses) as error:
            self._cannot_reach(worker, delivery, error, begun_s)
            return
        except PayloadLost as error:  # what was promised cannot be kept: an operator must know
            uid = delivery.instance.sop_instance_uid
            log.error("payload_lost", destination=self.name, sop_instance_uid=uid, error=str(error))
            outcome = Refused(str(error), kind="payload_lost")
        except (Refusal, ConfigurationError) as error:  # what is stored cannot be edited
            outcome = _not_made(error)
        except PayloadUnreadable as error:  # by our own disk: neither the object nor the destination is to blame
            self._set_back(delivery, Deferred(str(error)), loop_clock_s() - begun_s)
            return
        except Temporary as error:  # we are short of descriptors or memory: nothing against the object
            outcome = Deferred(str(error))
        except Exception as error:
            # A fault of ours with this one object must stop neither the gateway nor the queue behind it. The error's
            # text may quote the object, so that only its type is kept.
            log.exception("delivery_failed", destination=self.name, delivery_id=delivery.delivery_id)
            outcome = Deferred(f"internal error: {type(error).__name__}; see the log")
        finally:
            if body is not None:
                body.close()
        self._finish(worker, delivery, outcome, loop_clock_s() - begun_s)

    async def _send(self, worker: Worker, delivery: Delivery, outbound: Outbound) -> Outcome:
        kind = (outbound.sop_class_uid, outbound.transfer_syntax_uid)
        channel = await worker.channel(self._destination, outbound.facts.association)
        await channel.prepare(self._sight.get(kind) or (kind, *self._sight))
        if not worker.is_open:
            worker.is_open = True
            self._hire()
        arrived_as, sent_as = delivery.instance.sop_instance_uid, outbound.sop_instance_uid
        self._goes(self.peer, arrived_as, sent_as, outbound.body.length_bytes)
        return await channel.send(outbound)

    async def _fall_back(self, worker: Worker, outbound: StoredOutbound, refused: Refused) -> Outcome:
        async def line(kind: RefusalKind) -> Channel:
            channel = await worker.channel(self._destination, outbound.facts.association)
            await channel.prepare((kind, *self._sight))
            return channel

        return await fall_back(outbound, refused, self.peer.fallback, line, self._converter)

    # --- what became of it ----------------------------------------------------------------------------------------

    def _finish(self, worker: Worker, delivery: Delivery, outcome: Outcome, seconds: float) -> None:
        if type(outcome) is Delivered:
            self._refusals.taken(delivery, self.peer.retry, loop_clock_s)
            self._suspects.taken(delivery)
            self._peer_answered()
            self._ledger.delivered(delivery, outcome.warning, seconds, outcome.note)
        elif type(outcome) is Refused:
            self._refused(delivery, outcome, seconds)
        elif type(outcome) is Deferred:
            worker.is_open = False  # proves itself again with its next object
            self._defer(delivery, outcome, seconds)
        if self._refusals.number_left_out != self._left_out:
            self._tell_left_out()
        if not self._standing.is_closed:
            self._wake.set()

    def _refused(self, delivery: Delivery, outcome: Refused, seconds: float) -> None:
        """A dead letter; after many of the same kind in a row the destination is down, and the object waits. So do what
        is like the refused ones while others are taken, and a kind of object that the peer took before."""
        refusals, reason = self._refusals, outcome.reason_for_log
        set_back = Deferred(outcome.reason, log_reason=outcome.log_reason)
        sort = refusals.sort_of(delivery, outcome)
        if sort is not None and refusals.is_left_out(delivery):
            refusals.refused_again(reason, self.peer.retry, loop_clock_s())
            self._peer_answered()
            if self._is_given_up(delivery):
                refusals.let_go(delivery)
            self._set_back(delivery, set_back, seconds)
        elif sort is not None and refusals.add(delivery, sort, self.peer.most_refusals, reason):
            if self._standing.fail(self.peer.retry, refusals.row(), must_be_mended=True):
                self._return_ready()
            self._set_back(delivery, set_back, seconds)
        elif outcome.is_without_context and refusals.took(delivery):
            self._set_back(delivery, set_back, seconds)
        else:
            if outcome.dimse_status is not None:
                self._peer_answered()
            self._ledger.refused(delivery, outcome, seconds)

    def _tell_left_out(self) -> None:
        """To metric and log, when it changed."""
        number, before = self._refusals.number_left_out, self._left_out
        self._left_out = number
        self._meter.set("gateway_destination_left_out", number, destination=self.name)
        if number and not before:
            log.warning("deliveries_left_out", destination=self.name, reason=self._refusals.why_left_out)
        elif before and not number and self._standing.is_closed:
            log.info("deliveries_resumed", destination=self.name)

    def _defer(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        if outcome.is_over_object and self._is_own_trouble(delivery, outcome, seconds):
            return
        retry, wait_s = self.peer.retry, outcome.retry_after_s
        log_reason = outcome.reason_for_log
        if outcome.is_destination_down:
            has_opened = self._standing.fail(retry, log_reason, after_s=wait_s)
        else:
            has_opened = self._standing.doubt(retry, log_reason)
        if has_opened:
            self._return_ready()
        self._set_back(delivery, outcome, seconds)

    def _is_own_trouble(self, delivery: Delivery, outcome: Deferred, seconds: float) -> bool:
        """True when the object is to blame, and was deferred or set aside for its own sake: the destination took others
        since it ended over this one, or is up and did so before. Then it is no sign against the destination."""
        was_known = self._suspects.is_known(delivery)
        tries = self._suspects.ended(delivery)
        if tries >= MOST_TRIES:
            why = f"set aside after {tries} tries, between which the destination took others"
            reasons = (f"{why}: {outcome.reason}", f"{why}: {outcome.reason_for_log}")
            self._suspects.forget(delivery)
            self._ledger.refused(delivery, Refused(reasons[0], log_reason=reasons[1], kind="set_aside"), seconds)
            return True
        is_alone = was_known and self._standing.is_closed and not outcome.is_destination_down
        if tries < 2 and not is_alone:
            return False
        self._set_back(delivery, outcome, seconds)
        return True

    def _set_back(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        """Try this object again later, or give it up for its age."""
        if self._is_given_up(delivery):
            self._expire(delivery, outcome, seconds)
            return
        retry, wait_s = self.peer.retry, outcome.retry_after_s
        if wait_s is None:
            wait_s = delay_s(retry, delivery.attempts + 1, self._random)
        last_at = delivery.counted_from + timedelta(seconds=retry.give_up_after_s)
        self._ledger.deferred(delivery, outcome.reason, min(self._now() + timedelta(seconds=wait_s), last_at), seconds)

    def _cannot_reach(self, worker: Worker, delivery: Delivery, error: Exception, begun_s: float) -> None:
        """No association: never this object's fault, so that it keeps its place in the line."""
        worker.is_open = False
        if any(other.is_open for other in self._workers):  # the peer takes fewer associations than we may open
            log.info("associations_reduced", destination=self.name, reason=str(error))
            worker.is_retired = True
            self._hire_after_s = loop_clock_s() + self.peer.retry.first_delay_s
            self._ready.appendleft((begun_s, delivery))
            self._is_work_there.set()
            return
        if self._standing.fail(self.peer.retry, str(error), must_be_mended=isinstance(error, DestinationRefuses)):
            self._return_ready()
        seconds = loop_clock_s() - begun_s
        if self._is_given_up(delivery):
            self._expire(delivery, Deferred(str(error)), seconds)
        else:
            self._ledger.deferred(delivery, str(error), self._ledger.place_of(delivery), seconds)
        self._wake.set()

    def _peer_answered(self) -> None:
        if self._standing.answered():
            self._is_more_expected = True
            self._wake.set()

    def _is_given_up(self, delivery: Delivery) -> bool:
        return is_given_up(self.peer.retry, delivery.counted_from, self._now())

    def _expire(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        self._is_sweep_due = not self._standing.is_closed
        self._ledger.expired(delivery, outcome, seconds)


def _not_made(error: Refusal | ConfigurationError) -> Refused:
    """The settlement of a delivery whose object cannot be made from the stored one."""
    if isinstance(error, ConfigurationError):
        return Refused(str(error), kind="configuration")
    return Refused(str(error), log_reason=fit_for_log(error) or NOT_MADE, kind="action")


def by_number_of_gateways(batch: list[Delivery]) -> list[Delivery]:
    """Those that came through as many gateways stand together, else in their order: each number has an association of
    its own, and one at a time is open."""
    marks = {_mark(delivery) for delivery in batch}
    return batch if len(marks) < 2 else sorted(batch, key=_mark)


def _mark(delivery: Delivery) -> str:
    """The hops of the delivery as text, as `gateway.dimse.acceptor.negotiation.hops_of` reads them."""
    name = delivery.instance.association.implementation_version_name
    return name[-1] if name[-2:-1] == "+" else ""


def _kind(delivery: Delivery) -> RefusalKind:
    return delivery.instance.sop_class_uid, delivery.instance.transfer_syntax_uid
