"""The deliveries that one courier holds: every claimed delivery leaves here exactly once, as a settlement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from gateway.delivery.settling import AttemptEnd, Settled, SettledAs, Settler
from gateway.model.delivery import Deferred, Delivery, DeliveryState, Refused, RefusedKind, Settlement
from gateway.object_log import ObjectLog
from gateway.ports.journal import Journal
from gateway.ports.meter import Meter

log = structlog.get_logger()


class Ledger:
    """Claimed deliveries with their newest lease, until they are handed to the settler.

    `seconds` is how long the attempt took.
    """

    def __init__(
        self,
        journal: Journal,
        destination: str,
        meter: Meter,
        now: Callable[[], datetime],
        wall: Callable[[], datetime] | None = None,
        objects: ObjectLog | None = None,
    ) -> None:
        self.settler = Settler(journal, destination, meter, objects or ObjectLog())
        self._destination = destination
        self._meter = meter
        self._now = now
        self._wall = wall or now
        self._leases: dict[int, int] = {}
        self._doubtful: set[int] = set()

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def is_busy(self) -> bool:
        """True while a delivery is in hand, or the queue does not know yet what became of one."""
        return bool(self._leases) or self.settler.is_waiting

    def claimed(self, delivery: Delivery) -> bool:
        """Note a claim. False when it is in hand already: its lease ran out while we send, and the new one counts."""
        is_new = delivery.delivery_id not in self._leases
        self._leases[delivery.delivery_id] = delivery.lease
        return is_new

    def doubt(self, delivery: Delivery) -> None:
        """It was sent whole, and no response came: the destination may have it, until it is delivered."""
        self._doubtful.add(delivery.delivery_id)

    def delivered(
        self, delivery: Delivery, status: int, seconds: float, note: str = "", kept_until: datetime | None = None
    ) -> None:
        """The destination has it; `status` is 0x0000 or a warning. The copy is kept until `kept_until` at least."""
        state = DeliveryState.DELIVERED
        self._add(delivery, state, "delivered", "delivered", seconds, note, status, kept_until=kept_until)
        self._meter.observe("gateway_delivery_seconds", seconds, destination=self._destination)

    def deferred(self, delivery: Delivery, reason: str, due_at: datetime, seconds: float) -> None:
        """Tried in vain; it is tried again at `due_at`."""
        self._add(delivery, DeliveryState.PENDING, "deferred", "deferred", seconds, reason, due_at=due_at)

    def refused(self, delivery: Delivery, outcome: Refused, seconds: float) -> None:
        """A dead letter: it will not be taken in this form."""
        status = outcome.dimse_status
        self._log_dead(delivery, "refused", outcome.kind, outcome.reason_for_log, status)
        self._add(delivery, DeliveryState.DEAD, "refused", "refused", seconds, outcome.reason, status)

    def expired(self, delivery: Delivery, outcome: Deferred, seconds: float | None) -> None:
        """A dead letter: too old; `outcome` of its last try or of its destination, `seconds` None when it was not
        tried this time."""
        given_up = f"given up after {(self._now() - delivery.counted_from).total_seconds():.0f} s"
        attempt: AttemptEnd | None = None if seconds is None else "deferred"
        self._log_dead(delivery, "expired", "expired", f"{given_up}: {outcome.reason_for_log}", None)
        text = f"{given_up}: {outcome.reason}"
        self._add(delivery, DeliveryState.DEAD, "expired", attempt, seconds or 0.0, text)

    def returned(self, delivery: Delivery) -> None:
        """Return a delivery that was not tried to its place in the queue."""
        due_at = self.place_of(delivery)
        self._add(delivery, DeliveryState.PENDING, "returned", None, 0.0, delivery.reason, due_at=due_at)

    def held(self, delivery: Delivery, reason: str) -> None:
        """Keep a delivery that was not tried until somebody releases it, with its place in the queue."""
        self._add(delivery, DeliveryState.HELD, "held", None, 0.0, reason, due_at=self.place_of(delivery))

    def place_of(self, delivery: Delivery) -> datetime:
        """The time at which it was due as it was claimed; now, when the clock was set back since."""
        return min(delivery.due_at, self._now())

    async def return_all(self) -> None:
        """Return all deliveries in hand, and finish the settlements that wait. To be called at the very end: they were
        being sent."""
        for delivery_id, lease in self._leases.items():
            untouched = Settlement(
                delivery_id, lease, DeliveryState.PENDING, self._now(), is_attempt=False, is_doubtful=True
            )
            self.settler.add(Settled(untouched, "returned", None, None))
        self._leases.clear()
        await self.settler.finish()

    def _log_dead(
        self, delivery: Delivery, result: SettledAs, kind: RefusedKind, reason: str, status: int | None
    ) -> None:
        """`reason` is fit for the log: no word of the peer, no value of the object."""
        log.warning(
            "delivery_dead_lettered",
            destination=self._destination,
            delivery_id=delivery.delivery_id,
            rule=delivery.rule,
            sop_instance_uid=delivery.instance.sop_instance_uid,
            study_instance_uid=delivery.instance.study_instance_uid,
            result=result,
            kind=kind,
            reason=reason,
            status=None if status is None else f"0x{status:04X}",
            tries=delivery.attempts + 1,
        )

    def _add(
        self,
        delivery: Delivery,
        state: DeliveryState,
        result: SettledAs,
        attempt: AttemptEnd | None,
        seconds: float,
        reason: str = "",
        status: int | None = None,
        due_at: datetime | None = None,
        kept_until: datetime | None = None,
    ) -> None:
        settlement = Settlement(
            delivery_id=delivery.delivery_id,
            lease=self._leases.pop(delivery.delivery_id),
            state=state,
            due_at=due_at or self._now(),
            reason=reason,
            is_attempt=attempt is not None,
            status=status,
            started_at=self._wall() - timedelta(seconds=seconds),
            duration_s=seconds,
            is_doubtful=delivery.delivery_id in self._doubtful,
            kept_until=kept_until,
        )
        self._doubtful.discard(delivery.delivery_id)
        self.settler.add(Settled(settlement, result, attempt, delivery))
