"""One destination as its courier knows it: its settings, what is in hand for it, and how it behaved lately."""

from __future__ import annotations

from datetime import datetime

import structlog

from gateway.delivery.courier_context import CourierContext
from gateway.delivery.ledger import Ledger
from gateway.delivery.pace import Pace
from gateway.delivery.refusals import RefusalCount
from gateway.delivery.retry import is_given_up
from gateway.delivery.rule_holds import RuleHolds
from gateway.delivery.standing import Standing
from gateway.delivery.suspects import Suspects
from gateway.delivery.window_watch import WindowWatch
from gateway.model.delivery import Delivery
from gateway.model.node import DestinationStanding
from gateway.model.peer import Peer

log = structlog.get_logger()


class LeaseOver(Exception):
    """The lease of the destination ends: no object may be begun."""


class DestinationState:
    """Shared by the parts of one courier, which feed it, send, and settle. `resumed_at`: the end of its last pause, in
    the queue's time."""

    def __init__(self, peer: Peer, context: CourierContext, resumed_at: datetime | None = None) -> None:
        self.name = peer.name
        self.peer = peer
        self.ledger = Ledger(context.journal, peer.name, context.meter, context.now, context.wall, context.objects)
        self.holds = RuleHolds(peer.name, self.ledger, context.journal, context.paused)
        self.standing = Standing(peer.name, context.meter, context.random)
        self.refusals = RefusalCount(context.random)
        self.suspects = Suspects()
        self.watch = WindowWatch(peer, context.wall, context.meter)
        self.pace = Pace(peer, context.meter)
        self._now, self._may_send = context.now, context.may_send
        self._resumed_at = resumed_at

    def replace(self, peer: Peer) -> None:
        """The peer has other settings from now on."""
        if (peer.host, peer.port) != (self.peer.host, self.peer.port):
            self.refusals.forget_kinds()
        self.peer = peer
        self.watch.replace(peer)
        self.pace.replace(peer)

    @property
    def may_begin(self) -> bool:
        """True when something may be sent now: the destination is not waited for, and its window is open."""
        return not self.standing.wait_s() and not self.watch.closed_s()

    def require_lease(self) -> None:
        """Raises LeaseOver: another node may send to this destination soon."""
        if not self._may_send(self.name):
            raise LeaseOver

    def go_on(self, standing: DestinationStanding) -> None:
        """Go on with how it stood at the node that worked on it before."""
        self.standing.go_on(standing)
        try:
            self.refusals.go_on(standing.refusals)
        except ValueError as error:
            log.warning(
                "refusals_not_read",
                destination=self.name,
                error=str(error),
                consequence="its refusals are counted anew",
            )

    def is_given_up(self, delivery: Delivery) -> bool:
        """True when the delivery is too old to be tried again. The time in which the window was closed does not
        count, unless that lets it pass, and its age counts from the end of a pause at the earliest."""
        now, counted_from, retry = self._now(), delivery.counted_from, self.peer.retry
        if self._resumed_at is not None:
            counted_from = max(counted_from, self._resumed_at)
        if not is_given_up(retry, counted_from, now):
            return False
        if delivery.is_passing:
            return True
        return (now - counted_from).total_seconds() >= self.watch.age_s(retry.give_up_after_s)
