"""The consequences of an attempt: for the delivery in the ledger, for the destination in standing and refusals."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from gateway.common.steady_clock import loop_clock_s
from gateway.delivery.courier_context import CourierContext
from gateway.delivery.destination_state import DestinationState
from gateway.delivery.feeder import Feeder
from gateway.delivery.keeping import keep_s
from gateway.delivery.retry import delay_s
from gateway.delivery.suspects import MOST_TRIES
from gateway.delivery.worker import Worker
from gateway.model.delivery import Deferred, Delivered, Delivery, Outcome, Refused
from gateway.ports.errors import ConfigurationError, DestinationRefuses, Refusal, fit_for_log

log = structlog.get_logger()

NOT_MADE = "an action, conversion or template cannot be done on this object; `gateway queue list --state dead` has why"
"""The reason in the log when the real one may quote the object."""


class OutcomeHandler:
    """Settles every delivery that was tried. `seconds` is how long the attempt took."""

    def __init__(self, state: DestinationState, context: CourierContext, feeder: Feeder) -> None:
        self._state = state
        self._feeder = feeder
        self._meter = context.meter
        self._now = context.now
        self._random = context.random
        self._keeps = context.keeps
        self._left_out = 0
        """The number that was logged last."""

    def finish(self, worker: Worker, delivery: Delivery, outcome: Outcome, seconds: float) -> None:
        """The attempt has ended."""
        state = self._state
        if type(outcome) is Delivered:
            state.refusals.taken(delivery, state.peer.retry, loop_clock_s)
            state.suspects.taken(delivery)
            self._peer_answered()
            state.ledger.delivered(delivery, outcome.warning, seconds, outcome.note, self._kept_until(delivery))
        elif type(outcome) is Refused:
            if outcome.is_doubtful:
                state.ledger.doubt(delivery)
            self._refused(delivery, outcome, seconds)
        elif type(outcome) is Deferred:
            if outcome.is_doubtful:
                state.ledger.doubt(delivery)
            worker.is_open = False  # proves itself again with its next object
            self._defer(delivery, outcome, seconds)
        if state.refusals.number_left_out != self._left_out:
            self._report_left_out()
        if not state.standing.is_closed:
            self._feeder.wake()

    def _kept_until(self, delivery: Delivery) -> datetime | None:
        """The time until which its copy is kept, by the rules in force; None without one."""
        seconds = keep_s(self._state.peer, delivery.rule, self._keeps())
        return self._now() + timedelta(seconds=seconds) if seconds else None

    def set_back(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        """Try this object again later, or give it up for its age."""
        state = self._state
        if state.is_given_up(delivery):
            self._expire(delivery, outcome, seconds)
            return
        retry, wait_s = state.peer.retry, outcome.retry_after_s
        if wait_s is None:
            wait_s = delay_s(retry, delivery.attempts + 1, self._random)
        last_at = delivery.counted_from + timedelta(seconds=retry.give_up_after_s)
        state.ledger.deferred(delivery, outcome.reason, min(self._now() + timedelta(seconds=wait_s), last_at), seconds)

    def unreachable(self, delivery: Delivery, error: Exception, seconds: float) -> None:
        """No association: never this object's fault, so that it keeps its place in the line."""
        state = self._state
        if state.standing.fail(state.peer.retry, str(error), needs_operator=isinstance(error, DestinationRefuses)):
            self._feeder.return_ready()
        if state.is_given_up(delivery):
            self._expire(delivery, Deferred(str(error)), seconds)
        else:
            state.ledger.deferred(delivery, str(error), state.ledger.place_of(delivery), seconds)
        self._feeder.wake()

    def _refused(self, delivery: Delivery, outcome: Refused, seconds: float) -> None:
        """A dead letter; after many of the same kind in a row the destination is down, and the object waits. So do what
        is like the refused ones while others are taken, and a kind of object that the peer took before."""
        state = self._state
        refusals, peer, reason = state.refusals, state.peer, outcome.reason_for_log
        set_back = Deferred(outcome.reason, log_reason=outcome.log_reason)
        sort = refusals.sort_of(delivery, outcome)
        if sort is not None and refusals.is_left_out(delivery):
            refusals.refused_again(reason, peer.retry, loop_clock_s())
            self._peer_answered()
            if state.is_given_up(delivery):
                refusals.let_go(delivery)
            self.set_back(delivery, set_back, seconds)
        elif sort is not None and refusals.add(delivery, sort, peer.most_refusals, reason):
            if state.standing.fail(peer.retry, refusals.row(), needs_operator=True):
                self._feeder.return_ready()
            self.set_back(delivery, set_back, seconds)
        elif outcome.is_without_context and refusals.took(delivery):
            self.set_back(delivery, set_back, seconds)
        else:
            if outcome.dimse_status is not None:
                self._peer_answered()
            state.ledger.refused(delivery, outcome, seconds)

    def _report_left_out(self) -> None:
        """The number of what is left out changed: to metric and log."""
        state = self._state
        number, before = state.refusals.number_left_out, self._left_out
        self._left_out = number
        self._meter.set("gateway_destination_left_out", number, destination=state.name)
        if number and not before:
            log.warning("deliveries_left_out", destination=state.name, reason=state.refusals.why_left_out)
        elif before and not number and state.standing.is_closed:
            log.info("deliveries_resumed", destination=state.name)

    def _defer(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        if outcome.is_over_object and self._is_own_trouble(delivery, outcome, seconds):
            return
        standing, retry = self._state.standing, self._state.peer.retry
        log_reason = outcome.reason_for_log
        if outcome.is_destination_down:
            has_opened = standing.fail(retry, log_reason, after_s=outcome.retry_after_s)
        else:
            has_opened = standing.doubt(retry, log_reason)
        if has_opened:
            self._feeder.return_ready()
        self.set_back(delivery, outcome, seconds)

    def _is_own_trouble(self, delivery: Delivery, outcome: Deferred, seconds: float) -> bool:
        """True when the object is to blame, and was deferred or set aside for its own sake: the destination took others
        since it ended over this one, or is up and did so before. Then it is no sign against the destination."""
        state = self._state
        was_known = state.suspects.is_known(delivery)
        tries = state.suspects.ended(delivery)
        if tries >= MOST_TRIES:
            why = f"set aside after {tries} tries, between which the destination took others"
            reasons = (f"{why}: {outcome.reason}", f"{why}: {outcome.reason_for_log}")
            state.suspects.forget(delivery)
            state.ledger.refused(delivery, Refused(reasons[0], log_reason=reasons[1], kind="set_aside"), seconds)
            return True
        is_alone = was_known and state.standing.is_closed and not outcome.is_destination_down
        if tries < 2 and not is_alone:
            return False
        self.set_back(delivery, outcome, seconds)
        return True

    def _peer_answered(self) -> None:
        if self._state.standing.answered():
            self._feeder.expect_more()

    def _expire(self, delivery: Delivery, outcome: Deferred, seconds: float) -> None:
        self._feeder.is_sweep_due = not self._state.standing.is_closed
        self._state.ledger.expired(delivery, outcome, seconds)


def not_made(error: Refusal | ConfigurationError) -> Refused:
    """The object to be sent cannot be made of the stored one."""
    if isinstance(error, ConfigurationError):
        return Refused(str(error), kind="configuration")
    return Refused(str(error), log_reason=fit_for_log(error) or NOT_MADE, kind="action")
