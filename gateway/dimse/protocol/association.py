"""One association (PS3.7): messages in and out over the upper layer, and the responses to our own requests.

`AcceptorAssociation` and `RequestorAssociation` add what the two sides do with messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.common.turns import COMMAND_BYTES_PER_WORK, FRAGMENT_WORK, MESSAGE_WORK
from gateway.dimse.protocol.assembly import Message, MessageAssembler, ProtocolError
from gateway.dimse.protocol.connection import WRITE_HIGH_BYTES, ReadingHeld
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.message import DATA_SET, NO_DATA_SET, Command, encode
from gateway.dimse.protocol.pdata import COMMAND, encode_command, encode_data_set, fragment_bytes, fragments
from gateway.dimse.protocol.store_success import StoreSuccess
from gateway.dimse.protocol.upper_layer import AbortReason, UpperLayerEvent, UpperLayerState
from gateway.dimse.protocol.upper_layer_provider import UpperLayerProvider
from gateway.model.listener import Limits, Timers
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError

WHOLE_BYTES = 1024**2
"""Up to here a data set leaves in one write: it is in memory anyway, and each write wakes the peer."""
TOGETHER_BYTES = 64 * 1024
"""Small messages of one command leave in one write until they have as many bytes."""
LARGEST_SENT = 128 * 1024
"""P-DATA-TF that we send, whatever more the peer would take: longer ones are no faster."""


_TIMERS_OF_RECEIVING = (AssociationTimer.RECEIVING, AssociationTimer.PROGRESS, AssociationTimer.MESSAGE)


class AssociationEnded(GatewayError):
    """The association is gone; the message says why."""


class Association(UpperLayerProvider):
    """The part of an association that both sides share. Use it on its event loop only."""

    def __init__(self, *, is_requestor: bool, timers: Timers, limits: Limits) -> None:
        super().__init__(is_requestor=is_requestor, timers=timers, limits=limits)
        self._assembler: MessageAssembler | None = None
        self._largest_fragment_bytes = 0
        self._store_success = StoreSuccess(0)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        """Message ID of a request of ours → its response."""
        self._message_id = 0
        self._is_watching = False
        """The time limits of a message that is arriving run."""
        self.is_sending = False
        """True while a message with a data set is on its way out: nothing may come between its fragments."""
        self.is_handed_over = False
        """The last message with a data set was given to the connection to its last fragment."""
        self.accepted_contexts: Mapping[int, AcceptedContext] = {}
        """Accepted presentation contexts by ID."""

    def _establish(self, contexts: Mapping[int, AcceptedContext], peer_max_pdu_bytes: int) -> None:
        """Ready for messages; a maximum of 0 means no limit (PS3.8 §D.1)."""
        self.accepted_contexts = contexts
        self._largest_fragment_bytes = fragment_bytes(min(peer_max_pdu_bytes or LARGEST_SENT, LARGEST_SENT))
        self._store_success = StoreSuccess(self._largest_fragment_bytes)
        self._assembler = MessageAssembler(
            contexts,
            self._open_data_set,
            max_command_bytes=self._limits.command_bytes,
            max_object_bytes=self._limits.object_bytes,
        )

    def _discard_messages(self, reason: str) -> None:
        if self._assembler is not None:
            self._assembler.discard()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(AssociationEnded(reason))
                future.exception()  # retrieved: its task may have stopped waiting

    # --- receiving -------------------------------------------------------------------------------------------

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

    def _take_message(self) -> bool:
        assembler = self._assembler
        if assembler is None or assembler.known is None or assembler.is_mid_message or not self._upper.may_receive_data:
            return False
        whole = self._reader.whole_message(assembler.known)
        if whole is None:
            return False
        command, data, stop = whole
        message = assembler.whole(command, data)
        self._reader.skip_to(stop)
        self._work_left -= 2 * FRAGMENT_WORK + assembler.known.length_bytes // COMMAND_BYTES_PER_WORK
        if assembler.pending is not None:
            self._await_receiver(assembler)
        else:
            self._work_left -= MESSAGE_WORK
            self._message_received(message)
        return True

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
            self._is_watching = True
        elif self._is_watching:
            self._is_watching = False
            self._deadlines.stop(*_TIMERS_OF_RECEIVING)

    def _response_received(self, message: Message) -> None:
        waiting = self._waiting.pop(message.command.get("MessageIDBeingRespondedTo", -1), None)
        if waiting is None:
            self._invalid(AbortReason.UNEXPECTED_PARAMETER, "a response to no request of ours")
        elif not waiting.done():
            waiting.set_result(message)

    # --- sending ---------------------------------------------------------------------------------------------

    def send_command(self, context_id: int, command: Command) -> None:
        """Send a message without a data set.

        Raises:
            AssociationEnded: the association carries no messages any more.
        """
        if not self._upper.may_send_data:
            raise AssociationEnded(self._ended or "the association is not established")
        command["CommandDataSetType"] = NO_DATA_SET
        self._write(encode_command(context_id, encode(command), self._largest_fragment_bytes))

    def send_stored(self, message: Message) -> None:
        """Send the response with 0x0000 to a C-STORE request that names the SOP class of its context. Raises as
        `send_command`."""
        if not self._upper.may_send_data:
            raise AssociationEnded(self._ended or "the association is not established")
        self._write(self._store_success.encoded(message.context, message.command))

    async def send_message(self, context_id: int, command: Command, body: EncodedDataSet) -> None:
        """Send a message with a data set; a small one leaves in one write, a large one as the peer reads it.

        Raises:
            AssociationEnded: the association ended before everything was sent.
        """
        command["CommandDataSetType"] = DATA_SET
        largest, length = self._largest_fragment_bytes, body.length_bytes
        pieces: list[bytes | memoryview] = [encode_command(context_id, encode(command), largest)]
        size, at_once = 0, WHOLE_BYTES if length <= WHOLE_BYTES else WRITE_HIGH_BYTES
        self.is_sending, self.is_handed_over, handed_bytes = True, False, 0
        try:
            for piece in fragments(context_id, 0, body.chunks(largest), length, largest):
                pieces.append(piece)
                size += len(piece)
                if size >= at_once:
                    handed_bytes += size
                    self.is_handed_over = handed_bytes >= length and self._may_flush
                    await self._flush(pieces)
                    pieces, size = [], 0
            if pieces:
                self.is_handed_over = self._may_flush
                await self._flush(pieces)
        finally:
            self.is_sending = False

    async def send_messages(self, context_id: int, command: Command, data_sets: Iterable[bytes]) -> None:
        """Send a message of this command with each of the data sets; small ones leave together.

        Raises:
            AssociationEnded: the association ended before everything was sent.
        """
        command["CommandDataSetType"] = DATA_SET
        largest = self._largest_fragment_bytes
        before = encode_command(context_id, encode(command), largest)
        pieces: list[bytes | memoryview] = []
        size = 0
        self.is_sending = True
        try:
            for data_set in data_sets:
                pieces += (before, encode_data_set(context_id, data_set, largest))
                size += len(before) + len(data_set)
                if size >= TOGETHER_BYTES:
                    await self._flush(pieces)
                    pieces, size = [], 0
            if pieces:
                await self._flush(pieces)
        finally:
            self.is_sending = False

    @property
    def _may_flush(self) -> bool:
        return self._upper.may_send_data and self._transport is not None

    async def _flush(self, pieces: list[bytes | memoryview]) -> None:
        if not self._may_flush:
            raise AssociationEnded(self._ended or "the association is not established")
        self._write_pieces(pieces)
        if self._is_write_paused:
            await self._until_writable()
        if self._ended is not None:
            raise AssociationEnded(self._ended)

    def _expect_response(self, request: Command) -> asyncio.Future[Message]:
        """Give `request` a Message ID of ours; what answers it will be the future's result, or AssociationEnded."""
        message_id = self._message_id % 65535 + 1
        while message_id in self._waiting:
            message_id = message_id % 65535 + 1
        self._message_id = request["MessageID"] = message_id
        waiting = self._waiting[message_id] = self._loop.create_future()
        return waiting

    def _await_response(self, before_bytes: int | None = None) -> None:
        """Begin to wait for the response to our request.

        `before_bytes`: written before it, where the peer is known to have them all.
        """
        flow = self._outflow
        if before_bytes is None or flow.written_bytes - before_bytes >= self._enough_bytes:
            flow.mark()
        else:  # so few that their arrival alone does not put the time limit off: the system need not be asked
            flow.mark_at(before_bytes)
        self._deadlines.start(AssociationTimer.RESPONSE, self._timers.dimse_s)

    # --- for the two sides -----------------------------------------------------------------------------------

    def _open_data_set(self, message: Message) -> DataSetReceiver | None:
        return None

    def _message_received(self, message: Message) -> Any:
        raise NotImplementedError
