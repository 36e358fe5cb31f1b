"""One association on an asyncio transport: bytes in and out, timers, back-pressure, release and abort.

`AcceptedAssociation` (acceptor.py) and `ClientAssociation` (client.py) add what the two sides do with messages.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import structlog

from gateway.common.turns import COMMAND_BYTES_PER_WORK, FRAGMENT_WORK, MESSAGE_WORK, WHOLE_PDU_WORK
from gateway.dimse.protocol.assembly import Message, MessageAssembler, ProtocolError
from gateway.dimse.protocol.connection import WRITE_HIGH_BYTES, AssociationTransport, ReadingHeld
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.flow import LEFTOVER_BYTES, enough_bytes
from gateway.dimse.protocol.message import DATA_SET, NO_DATA_SET, Command, encode
from gateway.dimse.protocol.pdata import COMMAND, PDUReader, WholePDU, encode_command, fragment_bytes, fragments
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
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError

log = structlog.get_logger()

WHOLE_BYTES = 1024**2
"""Up to here a data set leaves in one write: it is in memory anyway, and each write wakes the peer."""
LARGEST_SENT = 128 * 1024
"""P-DATA-TF that we send, whatever more the peer would take: longer ones are no faster."""

CLOSING_S = 10.0
"""ARTIM for a peer that is to close the connection, and has nothing else to do."""

_numbers = itertools.count(1)

_PDU_EVENTS = {
    0x01: UpperLayerEvent.ASSOCIATE_RQ_PDU,
    0x02: UpperLayerEvent.ASSOCIATE_AC_PDU,
    0x03: UpperLayerEvent.ASSOCIATE_RJ_PDU,
    0x05: UpperLayerEvent.RELEASE_RQ_PDU,
    0x06: UpperLayerEvent.RELEASE_RP_PDU,
    0x07: UpperLayerEvent.ABORT_PDU,
}


class AssociationEnded(GatewayError):
    """The association is gone; the message says why."""


class Association(AssociationTransport):
    """What both sides share. Use it on its event loop only."""

    def __init__(self, *, is_requestor: bool, timers: Timers, limits: Limits) -> None:
        super().__init__(PDUReader(limits.max_pdu_bytes), timers.dimse_s)
        self._timers = timers
        self._limits = limits
        self._upper = UpperLayer(is_requestor=is_requestor)
        self._assembler: MessageAssembler | None = None
        self._largest_fragment_bytes = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._message_id = 0
        self.is_sending = False
        """True while a message with a data set is on its way out: nothing may come between its fragments."""
        self._ended: str | None = None
        self._leftover_bytes = LEFTOVER_BYTES
        self.association_id = f"a{next(_numbers)}"
        self.facts = AssociationFacts("", "", "")
        self.accepted_contexts: Mapping[int, AcceptedContext] = {}
        """Accepted presentation contexts by ID."""

    @property
    def _who(self) -> dict[str, str]:
        """For the log."""
        address = self._transport.get_extra_info("peername") if self._transport is not None else None
        return {
            "association": self.association_id,
            "peer": self.facts.peer,
            "calling_ae_title": self.facts.calling_ae_title,
            "remote_host": self.facts.remote_host or host_of(address or ()),
        }

    # --- what one may ask ------------------------------------------------------------------------------------

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

    def buffer_updated(self, nbytes: int) -> None:
        if self._ended is None:
            super().buffer_updated(nbytes)
            return
        self._leftover_bytes -= nbytes
        if self._leftover_bytes >= 0:
            super().buffer_updated(nbytes)
        else:
            self._abort_transport()

    def _pump(self) -> None:
        """Work through what was read, for one turn; what a hold leaves is copied, since the buffer is everybody's."""
        reader, upper = self._reader, self._upper
        take = reader.next
        while not self._held:
            if upper.state is UpperLayerState.IDLE:
                reader.is_broken = True  # over: what the peer still sends is nobody's
            if self._work_left <= 0 and reader.has_more:
                self._give_way()
                continue
            item = take()
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

    def _watch_receiving(self) -> None:
        if self._upper.state is not UpperLayerState.ESTABLISHED:
            return
        if self._reader.is_mid_pdu or (self._assembler is not None and self._assembler.is_mid_message):
            deadlines, timers = self._deadlines, self._timers
            self._inflow.received_s = deadlines.start(AssociationTimer.RECEIVING, timers.dimse_s)
            deadlines.stop(AssociationTimer.IDLE)
            if self._inflow.is_enough or not deadlines.is_running(AssociationTimer.PROGRESS):
                self._inflow.begin()
                deadlines.start(AssociationTimer.PROGRESS, timers.progress_s)
            if not deadlines.is_running(AssociationTimer.MESSAGE):
                deadlines.start(AssociationTimer.MESSAGE, timers.message_s)
        else:
            for timer in (AssociationTimer.RECEIVING, AssociationTimer.PROGRESS, AssociationTimer.MESSAGE):
                self._deadlines.stop(timer)

    # --- PDUs ------------------------------------------------------------------------------------------------

    def _fragment(self, context_id: int, control: int, data: memoryview) -> None:
        assembler = self._assembler
        self._work_left -= FRAGMENT_WORK
        if assembler is None or not self._upper.may_receive_data:
            self._event(UpperLayerEvent.P_DATA_PDU)
            return
        if control & COMMAND:
            self._work_left -= len(data) // COMMAND_BYTES_PER_WORK
        try:
            message = assembler.fragment(context_id, control, data)
        except ProtocolError as error:
            self._invalid(error.reason, str(error))
            return
        if assembler.pending is not None:
            self._await_receiver(assembler)
        elif message is not None:
            self._work_left -= MESSAGE_WORK
            self._deadlines.stop(AssociationTimer.MESSAGE)
            self._message_received(message)

    def _await_receiver(self, assembler: MessageAssembler) -> None:
        self._hold(ReadingHeld.RECEIVER)
        assert assembler.pending is not None
        pending = asyncio.ensure_future(assembler.pending)

        def resume(done: asyncio.Future[None]) -> None:
            error = done.exception() if not done.cancelled() else AssociationEnded("the receiver was cancelled")
            if self._ended is not None:
                return
            message = assembler.resume(error if isinstance(error, Exception) else None)
            if message is not None:
                self._deadlines.stop(AssociationTimer.MESSAGE)
                self._message_received(message)
            self._unhold(ReadingHeld.RECEIVER)

        pending.add_done_callback(resume)

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
        """What the state machine wants to know of a PDU. Raises ValueError for a malformed one."""
        return Abort(data[8], data[9]) if event is UpperLayerEvent.ABORT_PDU else data

    def _invalid(self, reason: AbortReason, detail: str) -> None:
        """Unreadable or senseless bytes: Evt19, and nothing more is read."""
        log.warning("association_protocol_violated", **self._who, detail=detail, reason=reason.name)
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
        log.warning("association_timer_expired", **self._who, timer=timer.name.lower())
        self.abort(_EXPIRED[timer])
        if timer in (AssociationTimer.SENDING, AssociationTimer.RELEASE):
            self._abort_transport()  # whoever does not read or answer will not close either

    def _is_reading_on(self) -> bool:
        """True when the peer takes what we send fast enough, over a slow line: neither it nor its response is late."""
        return self._outflow.progress_bytes() >= enough_bytes(self._timers.dimse_s, self._timers.progress_s)

    def _await_response(self) -> None:
        """From now on the response to our request is waited for."""
        self._outflow.mark()
        self._deadlines.start(AssociationTimer.RESPONSE, self._timers.dimse_s)

    def _end(self, reason: str) -> None:
        """No message goes either way any more; happens once."""
        if self._ended is not None:
            return
        self._ended = reason
        for timer in (
            AssociationTimer.RECEIVING,
            AssociationTimer.PROGRESS,
            AssociationTimer.MESSAGE,
            AssociationTimer.RESPONSE,
            AssociationTimer.RELEASE,
            AssociationTimer.IDLE,
        ):
            self._deadlines.stop(timer)
        if self._assembler is not None:
            self._assembler.discard()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(AssociationEnded(reason))
                future.exception()  # retrieved: nobody may be waiting any more
        self._let_writers_go_on()
        self._association_ended(reason)
        if self._held & ReadingHeld.RECEIVER:
            self._unhold(ReadingHeld.RECEIVER)

    # --- messages --------------------------------------------------------------------------------------------

    def _establish(self, contexts: Mapping[int, AcceptedContext], peer_max_pdu_bytes: int) -> None:
        """Ready for messages; a maximum of 0 means no limit (PS3.8 §D.1)."""
        self.accepted_contexts = contexts
        self._largest_fragment_bytes = fragment_bytes(min(peer_max_pdu_bytes or LARGEST_SENT, LARGEST_SENT))
        self._assembler = MessageAssembler(
            contexts,
            self._open_data_set,
            max_command_bytes=self._limits.command_bytes,
            max_object_bytes=self._limits.object_bytes,
        )

    def send_command(self, context_id: int, command: Command) -> None:
        """Send a message without a data set.

        Raises:
            AssociationEnded: the association carries no messages any more.
        """
        if not self._upper.may_send_data:
            raise AssociationEnded(self._ended or "the association is not established")
        command["CommandDataSetType"] = NO_DATA_SET
        self._write(encode_command(context_id, encode(command), self._largest_fragment_bytes))

    async def send_message(self, context_id: int, command: Command, body: EncodedDataSet) -> None:
        """Send a message with a data set; a small one leaves in one write, a large one as the peer reads it.

        Raises:
            AssociationEnded: the association ended before everything was sent.
        """
        command["CommandDataSetType"] = DATA_SET
        largest, length = self._largest_fragment_bytes, body.length_bytes
        pieces: list[bytes | memoryview] = [encode_command(context_id, encode(command), largest)]
        size, at_once = 0, WHOLE_BYTES if length <= WHOLE_BYTES else WRITE_HIGH_BYTES
        self.is_sending = True
        try:
            for piece in fragments(context_id, 0, body.chunks(largest), length, largest):
                pieces.append(piece)
                size += len(piece)
                if size >= at_once:
                    await self._flush(pieces)
                    pieces, size = [], 0
            if pieces:
                await self._flush(pieces)
        finally:
            self.is_sending = False

    def _expect_response(self, request: Command) -> asyncio.Future[Message]:
        """Give `request` a Message ID of ours; what answers it will be the future's result, or AssociationEnded."""
        self._message_id = request["MessageID"] = self._message_id % 65535 + 1
        waiting = self._waiting[self._message_id] = self._loop.create_future()
        return waiting

    async def _flush(self, pieces: list[bytes | memoryview]) -> None:
        if not self._upper.may_send_data or self._transport is None:
            raise AssociationEnded(self._ended or "the association is not established")
        self._write(b"".join(pieces))  # one copy; the body may be closed while the transport still sends
        await self._until_writable()
        if self._ended is not None:
            raise AssociationEnded(self._ended)

    def _response_received(self, message: Message) -> None:
        waiting = self._waiting.pop(message.command.get("MessageIDBeingRespondedTo", -1), None)
        if waiting is None:
            self._invalid(AbortReason.UNEXPECTED_PARAMETER, "a response to no request of ours")
        elif not waiting.done():
            waiting.set_result(message)

    # --- for the two sides -----------------------------------------------------------------------------------

    def _lost(self, error: Exception | None) -> None:
        self._end(f"connection lost: {error}" if error else "the peer closed the connection")
        if self._upper.is_defined(UpperLayerEvent.TRANSPORT_CLOSED):
            self._event(UpperLayerEvent.TRANSPORT_CLOSED)

    def _association_ended(self, reason: str) -> None:
        """No more messages."""

    def _release_requested(self) -> None:
        self._answer_release()

    def _open_data_set(self, message: Message) -> DataSetReceiver | None:
        return None

    def _message_received(self, message: Message) -> Any:
        raise NotImplementedError


_EXPIRED = {
    AssociationTimer.RECEIVING: "the peer stopped in the middle of a message",
    AssociationTimer.PROGRESS: "the peer sends a message too slowly (timers.progress)",
    AssociationTimer.MESSAGE: "one message took too long (timers.message)",
    AssociationTimer.SENDING: "the peer stopped reading, or reads too slowly (timers.progress)",
    AssociationTimer.RESPONSE: "no response within the DIMSE time limit",
    AssociationTimer.RELEASE: "no A-RELEASE response in time",
    AssociationTimer.IDLE: "idle for too long",
}


ABORTED_BY_USER = "aborted by the peer's service user"


def describe_abort(abort: Abort) -> str:
    """An abort in words."""
    if abort.source == 0:
        return ABORTED_BY_USER
    reason = next((item.name.lower().replace("_", " ") for item in AbortReason if item == abort.reason), "reserved")
    return f"aborted by the service provider: {reason}"
