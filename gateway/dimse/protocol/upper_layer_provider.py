"""The upper layer (PS3.8) of one association on an asyncio transport: PDUs, state machine, time limits, release, abort.

Presentation data values go to the subclass (`gateway.dimse.protocol.association`), which makes messages of them.
"""

from __future__ import annotations

import itertools
from typing import Final

import structlog

from gateway.common.turns import WHOLE_PDU_WORK
from gateway.dimse.protocol.connection import AssociationTransport, ReadingHeld
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.flow import LEFTOVER_BYTES, enough_bytes
from gateway.dimse.protocol.pdata import PDUReader, WholePDU
from gateway.dimse.protocol.upper_layer import (
    Abort,
    AbortReason,
    Do,
    Indicate,
    Send,
    ServicePrimitive,
    UpperLayer,
    UpperLayerEvent,
    UpperLayerState,
)
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits, Timers
from gateway.network.accepting import host_of

log = structlog.get_logger()

CLOSING_S = 10.0
"""ARTIM for a peer that is to close the connection, and has nothing else to do."""

_numbers = itertools.count(1)

IDLE: Final = UpperLayerState.IDLE

_PDU_EVENTS: Final = {
    0x01: UpperLayerEvent.ASSOCIATE_RQ_PDU,
    0x02: UpperLayerEvent.ASSOCIATE_AC_PDU,
    0x03: UpperLayerEvent.ASSOCIATE_RJ_PDU,
    0x05: UpperLayerEvent.RELEASE_RQ_PDU,
    0x06: UpperLayerEvent.RELEASE_RP_PDU,
    0x07: UpperLayerEvent.ABORT_PDU,
}

_EXPIRED: Final = {
    AssociationTimer.RECEIVING: "the peer stopped in the middle of a message",
    AssociationTimer.PROGRESS: "the peer sends a message too slowly (timers.progress)",
    AssociationTimer.MESSAGE: "one message took too long (timers.message)",
    AssociationTimer.SENDING: "the peer stopped reading, or reads too slowly (timers.progress)",
    AssociationTimer.RESPONSE: "no response within the DIMSE time limit",
    AssociationTimer.RELEASE: "no A-RELEASE response in time",
    AssociationTimer.IDLE: "idle for too long",
}

_TIMERS_OF_MESSAGES: Final = (
    AssociationTimer.RECEIVING,
    AssociationTimer.PROGRESS,
    AssociationTimer.MESSAGE,
    AssociationTimer.RESPONSE,
    AssociationTimer.RELEASE,
    AssociationTimer.IDLE,
)

ABORTED_BY_USER = "aborted by the peer's service user"


class UpperLayerProvider(AssociationTransport):
    """The upper layer service provider of one association, of both sides. Use it on its event loop only.

    `facts` has the titles and addresses as far as they are known.
    """

    def __init__(self, *, is_requestor: bool, timers: Timers, limits: Limits) -> None:
        super().__init__(PDUReader(limits.max_pdu_bytes), timers.dimse_s)
        self._timers = timers
        self._limits = limits
        self._upper = UpperLayer(is_requestor=is_requestor)
        self._ended: str | None = None
        """The reason why no message goes either way any more; None while they do."""
        self._leftover_bytes = LEFTOVER_BYTES
        self.association_id = f"a{next(_numbers)}"
        self.facts = AssociationFacts("", "", "")

    @property
    def _log_fields(self) -> dict[str, str]:
        """The fields that name this association in the log."""
        address = self._transport.get_extra_info("peername") if self._transport is not None else None
        return {
            "association": self.association_id,
            "peer": self.facts.peer,
            "calling_ae_title": self.facts.calling_ae_title,
            "remote_host": self.facts.remote_host or host_of(address or ()),
        }

    # --- state and end ---------------------------------------------------------------------------------------

    @property
    def is_established(self) -> bool:
        """True between acceptance and release or abort."""
        return self._upper.state is UpperLayerState.ESTABLISHED

    @property
    def is_over(self) -> bool:
        """True once no message goes either way any more."""
        return self._ended is not None

    def abort(self, detail: str = "aborted by us") -> None:
        """Send A-ABORT (service user) and let the connection go; nothing happens when it is gone already."""
        if self._upper.is_defined(UpperLayerEvent.ABORT_REQUEST):
            self._event(UpperLayerEvent.ABORT_REQUEST)
        elif self._upper.state in (UpperLayerState.IDLE, UpperLayerState.AWAITING_ASSOCIATE_RQ):
            self._abort_transport()
        self._end(detail)

    def close_now(self) -> None:
        """Abort without waiting for the peer to close."""
        self.abort()
        self._close_transport()

    def _received(self, view: memoryview) -> None:
        if self._ended is None:
            super()._received(view)
            return
        self._leftover_bytes -= len(view)
        if self._leftover_bytes >= 0:
            super()._received(view)
        else:
            self._abort_transport()

    def _end(self, reason: str) -> None:
        """No message goes either way any more; happens once."""
        if self._ended is not None:
            return
        self._ended = reason
        for timer in _TIMERS_OF_MESSAGES:
            self._deadlines.stop(timer)
        self._discard_messages(reason)
        self._let_writers_go_on()
        self._association_ended(reason)
        if self._held & ReadingHeld.RECEIVER:
            self._unhold(ReadingHeld.RECEIVER)

    # --- PDUs ------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Work through what was read, for one turn; what a hold leaves is copied: the buffer is shared."""
        reader, upper = self._reader, self._upper
        while not self._held:
            if upper.state is IDLE:
                reader.is_broken = True  # over: what the peer still sends has no reader
            if self._work_left <= 0 and reader.has_more:
                self._give_way()
                continue
            if self._take_message():
                if self._held or reader.has_more:
                    continue
                break
            item = reader.next()
            if item is None:
                break
            if type(item) is tuple:
                self._fragment(*item)
            elif type(item) is WholePDU:
                self._whole_pdu(item)
            else:
                self._invalid(*item)
        else:
            reader.hold()
            return
        self._watch_receiving()

    def _whole_pdu(self, pdu: WholePDU) -> None:
        event = _PDU_EVENTS[pdu.pdu_type]
        self._work_left -= WHOLE_PDU_WORK
        try:
            value = self._read_pdu(event, pdu.data)
        except ValueError as error:
            self._invalid(AbortReason.INVALID_PARAMETER, str(error))
            return
        self._event(event, value)

    def _read_pdu(self, event: UpperLayerEvent, data: bytes) -> object:
        """The content of a PDU that the state machine needs. Raises ValueError for a malformed one."""
        return Abort(data[8], data[9]) if event is UpperLayerEvent.ABORT_PDU else data

    def _invalid(self, reason: AbortReason, detail: str) -> None:
        """Unreadable or senseless bytes: Evt19, and nothing more is read."""
        log.warning("association_protocol_violated", **self._log_fields, detail=detail, reason=reason.name)
        self._reader.is_broken = True
        self._end(detail)
        if self._upper.is_defined(UpperLayerEvent.INVALID_PDU):
            self._event(UpperLayerEvent.INVALID_PDU, reason)

    # --- state machine ---------------------------------------------------------------------------------------

    def _event(self, event: UpperLayerEvent, value: object = None) -> None:
        for output in self._upper.handle(event, value):
            if isinstance(output, Send):
                self._write(output.pdu)
            elif isinstance(output, Indicate):
                self._indicated(output.primitive, output.value)
            elif output is Do.START_ARTIM:
                is_over = self._upper.state is UpperLayerState.AWAITING_CLOSE
                limit_s = min(CLOSING_S, self._timers.association_s) if is_over else self._timers.association_s
                self._deadlines.start(AssociationTimer.ARTIM, limit_s)
            elif output is Do.STOP_ARTIM:
                self._deadlines.stop(AssociationTimer.ARTIM)
            elif output is Do.CLOSE_TRANSPORT:
                self._close_transport()

    def _indicated(self, primitive: ServicePrimitive, value: object) -> None:
        if primitive is ServicePrimitive.RELEASE_INDICATION:
            self._release_requested()
        elif primitive is ServicePrimitive.RELEASE_CONFIRMED:
            self._deadlines.stop(AssociationTimer.RELEASE)
            self._end("released")
            self._answer_release()  # the acceptor's last step in a release collision
        elif primitive in (ServicePrimitive.ABORT_INDICATION, ServicePrimitive.PROVIDER_ABORT_INDICATION):
            assert isinstance(value, Abort)
            self._end(describe_abort(value))

    def _answer_release(self) -> None:
        if self._upper.is_defined(UpperLayerEvent.RELEASE_RESPONSE):
            self._event(UpperLayerEvent.RELEASE_RESPONSE)
            self._end("released")

    def _request_release(self) -> None:
        if self._upper.is_defined(UpperLayerEvent.RELEASE_REQUEST):
            self._event(UpperLayerEvent.RELEASE_REQUEST)
            self._deadlines.stop(AssociationTimer.IDLE)
            self._deadlines.start(AssociationTimer.RELEASE, self._timers.association_s)

    def _lost(self, error: Exception | None) -> None:
        self._end(f"connection lost: {error}" if error else "the peer closed the connection")
        if self._upper.is_defined(UpperLayerEvent.TRANSPORT_CLOSED):
            self._event(UpperLayerEvent.TRANSPORT_CLOSED)

    def _expired(self, timer: AssociationTimer) -> None:
        if timer is AssociationTimer.ARTIM:
            if self._upper.is_defined(UpperLayerEvent.ARTIM_EXPIRED):
                self._event(UpperLayerEvent.ARTIM_EXPIRED)
                self._end("ARTIM expired")
            return
        if timer is AssociationTimer.PROGRESS and not self._inflow.is_too_slow(
            self._loop.time(), self._timers.progress_s
        ):
            self._deadlines.start(timer, self._timers.progress_s)
            return
        if timer in (AssociationTimer.SENDING, AssociationTimer.RESPONSE) and self._is_reading_on():
            self._deadlines.start(timer, self._timers.dimse_s)
            return
        log.warning("association_timer_expired", **self._log_fields, timer=timer.name.lower())
        self.abort(_EXPIRED[timer])
        if timer in (AssociationTimer.SENDING, AssociationTimer.RELEASE):
            self._abort_transport()  # a peer that does not read or answer will not close either

    @property
    def _enough_bytes(self) -> int:
        """The bytes that must reach a peer within `timers.dimse`, so that neither it nor its response is late."""
        return enough_bytes(self._timers.dimse_s, self._timers.progress_s)

    def _is_reading_on(self) -> bool:
        """True when the peer takes what we send fast enough, over a slow line: neither it nor its response is late."""
        return self._outflow.progress_bytes() >= self._enough_bytes

    # --- for the subclass ------------------------------------------------------------------------------------

    def _take_message(self) -> bool:
        """Take a message that was read whole; False when there is none, or it goes the way of fragments."""
        return False

    def _fragment(self, context_id: int, control: int, data: memoryview) -> None:
        """Take one presentation data value, or a piece of one."""
        raise NotImplementedError

    def _watch_receiving(self) -> None:
        """Everything that was read is worked through: set the time limits of what is still to come."""
        raise NotImplementedError

    def _discard_messages(self, reason: str) -> None:
        """Let go of messages that are half received, and of responses that are waited for."""
        raise NotImplementedError

    def _association_ended(self, reason: str) -> None:
        """Called once, when no message goes either way any more."""

    def _release_requested(self) -> None:
        """The peer sent A-RELEASE-RQ."""
        self._answer_release()


def describe_abort(abort: Abort) -> str:
    """An abort in words."""
    if abort.source == 0:
        return ABORTED_BY_USER
    reason = next((item.name.lower().replace("_", " ") for item in AbortReason if item == abort.reason), "reserved")
    return f"aborted by the service provider: {reason}"
