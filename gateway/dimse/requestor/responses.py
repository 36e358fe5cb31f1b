"""C-FIND, C-GET and C-MOVE as an SCU: the responses to one request, as they come (PS3.4 §C.4; PS3.7 §9.1.2 to §9.1.4).

    async with association.c_find(identifier, sop_class_uid=STUDY_ROOT_FIND) as responses:
        async for response in responses:
            ...

Pending responses and the final one are given in order; nothing more is read from the peer while many of them wait.
Leaving the block before the final response sends C-CANCEL and waits a moment for the end, then aborts the association.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import structlog

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.identifiers import IdentifierReceiver
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.upper_layer_provider import ABORTED_BY_USER
from gateway.dimse.requestor.incoming_stores import IncomingStores, OnStore, StoringAssociation
from gateway.dimse.requestor.response import Response
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import DestinationDown

log = structlog.get_logger()

MOST_AHEAD = 64
"""Responses that wait to be taken before nothing more is read."""
GIVE_UP_S = 2.0
"""The wait for the final response after giving up."""


class RequestAssociation(StoringAssociation, Protocol):
    """The association that a request goes out on (`gateway.dimse.requestor.multi_response`)."""

    @property
    def name(self) -> str: ...
    def abort(self, detail: str = ...) -> None: ...
    async def send_message(self, context_id: int, command: Command, body: EncodedDataSet) -> None: ...
    def begin_request(self, responses: Responses, request: Command) -> None: ...
    def end_request(self, responses: Responses) -> None: ...


class Responses:
    """The responses to one request: an asynchronous context manager and iterator.

    Args:
        association: has no other request in work.
        context: the presentation context.
        request: the command set, without a message ID.
        identifier: its data set.
        response_s: time limit of every wait for the next response.
        limit_s: time limit of the whole operation; None: none.
        on_store, receiver: for the sub-operations of a C-GET.
    """

    def __init__(
        self,
        association: RequestAssociation,
        context: AcceptedContext,
        request: Command,
        identifier: EncodedDataSet,
        *,
        response_s: float,
        limit_s: float | None,
        on_store: OnStore | None = None,
        receiver: Callable[[], DataSetReceiver] = MemoryReceiver,
    ) -> None:
        self._association = association
        self._context = context
        self._request = request
        self._identifier = identifier
        self._response_s = response_s
        self._limit_s = limit_s
        self._stores = None if on_store is None else IncomingStores(association, on_store, receiver, self._wake)
        self._loop = asyncio.get_running_loop()
        self._until_s: float | None = None
        self._ready: deque[Response] = deque()
        self._wakeup: asyncio.Future[None] | None = None
        self._ended: str | None = None
        self._is_cancel_sent = False
        self._is_answered = False
        """A response or a sub-operation came."""
        self._has_final = False
        """The final response came."""
        self._is_over = False
        """The final response was given, or nothing more can come."""
        self.matches_lost = 0
        """Matches of a C-FIND that came without an identifier, or with one that was not taken; they are not given."""

    @property
    def message_id(self) -> int:
        """Message ID of the request, once it is sent."""
        return int(self._request["MessageID"])

    async def __aenter__(self) -> Self:
        """Send the request.

        Raises:
            DestinationDown: the association is lost.
            RuntimeError: it has another request in work.
        """
        try:
            self._association.begin_request(self, self._request)
        except AssociationEnded as error:
            raise self._down(str(error)) from None
        if self._limit_s is not None:
            self._until_s = self._loop.time() + self._limit_s
        try:
            await self._association.send_message(self._context.context_id, self._request, self._identifier)
        except AssociationEnded as error:
            raise self._down(str(error)) from None
        except BaseException:
            self._association.abort("a request was given up")  # what was sent cannot be taken back
            raise
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Response:
        """The next response; the final one is the last.

        Raises:
            DestinationDown: the association is lost, a time limit is over, or the peer does not speak DICOM.
        """
        if self._is_over:
            raise StopAsyncIteration
        while not self._ready:
            if self._ended is not None:
                self._is_over = True
                raise self._down(self._why_ended(self._ended))
            await self._wait()
        response = self._ready.popleft()
        if len(self._ready) < MOST_AHEAD // 2:
            self._association.read_on()
        self._is_over = not response.is_pending
        return response

    @property
    def is_ready(self) -> bool:
        """True when the next response is there already."""
        return bool(self._ready)

    async def final(self) -> Response:
        """The final response; pending ones are passed over. Raises DestinationDown."""
        async for response in self:
            if not response.is_pending:
                return response
        raise RuntimeError("the final response was taken already")

    def cancel(self) -> None:
        """Send C-CANCEL, once; the final response is still to come."""
        if self._is_cancel_sent or self._has_final or self._ended is not None:
            return
        self._is_cancel_sent = True
        cancel: Command = {"CommandField": CommandField.C_CANCEL, "MessageIDBeingRespondedTo": self.message_id}
        with contextlib.suppress(AssociationEnded):
            self._association.send_command(self._context.context_id, cancel)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._has_final and self._ended is None:
                await self._give_up()
            if self._stores is not None:
                await self._stores.wait()
        finally:
            self._association.end_request(self)

    async def _give_up(self) -> None:
        self.cancel()
        try:
            async with asyncio.timeout(GIVE_UP_S):
                while not self._has_final and self._ended is None:
                    self._ready.clear()
                    self._association.read_on()
                    if not self._has_final and self._ended is None:
                        await self._woken()
        except TimeoutError:
            self._association.abort("no final response after C-CANCEL")
        except BaseException:
            self._association.abort("a request was given up")
            raise

    # --- waiting -------------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        limit = asyncio.timeout_at(self._until_s)
        is_storing = self._stores is not None and self._stores.are_in_work
        response = asyncio.timeout(None if is_storing else self._response_s)
        try:
            async with limit, response:
                await self._woken()
        except TimeoutError:
            seconds = self._limit_s if limit.expired() else self._response_s
            what = "come to an end" if limit.expired() else "answer"
            self._association.abort(f"did not {what} in {seconds:g} s")

    async def _woken(self) -> None:
        self._wakeup = self._loop.create_future()
        try:
            await self._wakeup
        finally:
            self._wakeup = None

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    def _why_ended(self, reason: str) -> str:
        """The reason, with the most frequent cause of an abort in place of a response."""
        if self._is_answered or reason != ABORTED_BY_USER:
            return reason
        service = CommandField(self._request["CommandField"]).name.replace("_", "-")
        return f"{reason} at the {service}; is our AE title registered there, and may it ask? See its log"

    def _down(self, reason: str) -> DestinationDown:
        return DestinationDown(f"{self._association.name}: {reason}")

    # --- for the association ---------------------------------------------------------------------------------------

    def ended(self, reason: str) -> None:
        """The association carries no messages any more."""
        self._ended = reason
        self._wake()

    def receiver_for(self, message: Message) -> DataSetReceiver | None:
        """The receiver of an arriving message's data set; raises GatewayError to have it thrown away."""
        field_ = message.command["CommandField"]
        if field_ & RESPONSE:
            return IdentifierReceiver()
        return None if field_ != CommandField.C_STORE or self._stores is None else self._stores.receiver_for(message)

    def takes_store(self, message: Message) -> bool:
        """Take the request of a C-STORE sub-operation; False when none is expected."""
        is_store = message.command["CommandField"] == CommandField.C_STORE
        if self._stores is None or not is_store or self._has_final:
            return False
        self._is_answered = True
        self._stores.take(message)
        return True

    def is_answered_by(self, message: Message) -> bool:
        """True for a response to this request."""
        return bool(message.command.get("MessageIDBeingRespondedTo") == self._request.get("MessageID"))

    def received(self, message: Message) -> None:
        """A response to this request."""
        self._is_answered = True
        command = message.command
        body = message.body
        identifier = b"" if body is None else bytes(body.view())
        message.close()
        if self._has_final:
            return  # some send Success after a warning
        if command["CommandField"] != self._request["CommandField"] | RESPONSE:
            self._association.abort("a response of another kind")
            return
        if "Status" not in command:
            self._association.abort("a response without Status")
            return
        response = Response(command["Status"], identifier, str(message.context.transfer_syntax), command)
        self._has_final = not response.is_pending
        if self._is_lost_match(response, message):
            return
        self._ready.append(response)
        if len(self._ready) >= MOST_AHEAD:
            self._association.read_no_more()
        self._wake()

    def _is_lost_match(self, response: Response, message: Message) -> bool:
        if self._request["CommandField"] != CommandField.C_FIND or not response.is_pending or response.identifier:
            return False
        reason = str(message.failure) if message.failure is not None else "no identifier"
        self.matches_lost += 1
        log.warning("match_lost", peer=self._association.name, reason=reason)
        return True
