"""C-ECHO and C-STORE as an SCU: requests with one response. Several C-STOREs may be unanswered at a time where the peer
granted an asynchronous operations window (PS3.7 §D.3.3.3)."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NamedTuple, Unpack

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.context import VERIFICATION, AcceptedContext
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.message import RESPONSE, Command, CommandField
from gateway.dimse.protocol.upper_layer import AbortReason
from gateway.dimse.requestor.multi_response import MultiResponseAssociation
from gateway.model.listener import Limits, Timers
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import DestinationDown, DestinationRefuses
from gateway.sending.store_sender import Answered, StoreOptions, StoreResponse

MOST_UNANSWERED = 64
"""The most requests that wait for a response on one association, whatever the peer grants."""


def granted_window(proposed: tuple[int, int] | None, answered: tuple[int, int] | None) -> int:
    """The number of requests that may wait for a response. Both are (invoked, performed) by the requestor; 0 is any
    number. A peer that does not answer the question, and one that was not asked, gets one at a time."""
    if proposed is None or answered is None:
        return 1
    return min(proposed[0] or MOST_UNANSWERED, answered[0] or MOST_UNANSWERED, MOST_UNANSWERED)


class _Begun(NamedTuple):
    """A C-STORE request that does not wait for the responses to the others."""

    at_s: float
    sop_instance_uid: str


class SingleResponseAssociation(MultiResponseAssociation):
    """An association for requests with one response each."""

    def __init__(self, *, timers: Timers, limits: Limits) -> None:
        super().__init__(timers=timers, limits=limits)
        self.window = 1
        """The number of C-STORE requests that may wait for a response (PS3.7 §D.3.3.3)."""
        self._begun: dict[int, _Begun] = {}
        """Message ID → a C-STORE that does not wait for the others."""

    async def c_echo(self) -> int:
        """C-ECHO; the status.

        Raises:
            DestinationDown: the association is lost or the time limit is over.
            DestinationRefuses: Verification was not accepted.
        """
        context = next((item for item in self._by_syntax.values() if item.service == "echo"), None)
        if context is None:
            raise DestinationRefuses(f"{self.name} did not accept the Verification SOP class")
        request: Command = {"AffectedSOPClassUID": VERIFICATION, "CommandField": CommandField.C_ECHO}
        response = await self._request(context, request, None)
        return int(response["Status"])

    async def c_store(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        body: EncodedDataSet,
        **more: Unpack[StoreOptions],
    ) -> StoreResponse:
        """C-STORE the bytes of `body` as they are, while no other request waits for its response.

        Args:
            sop_class_uid, sop_instance_uid: of the object.
            transfer_syntax_uid: what `body` is encoded in; with the SOP class it must be in `accepted`.
            body: stays the caller's to close.
            more: the request's other elements.

        Raises:
            DestinationDown: the association is lost or the time limit is over; `is_doubtful` when that was after the
                last fragment of the data set.
            DestinationRefuses: no accepted context.
        """
        context = self._context_for(sop_class_uid, transfer_syntax_uid)
        request = _store_request(sop_class_uid, sop_instance_uid, **more)
        try:
            return _read(await self._request(context, request, body))
        except DestinationDown as error:
            error.is_doubtful = self.is_handed_over
            raise

    async def begin_store(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        body: EncodedDataSet,
        answered: Answered,
    ) -> None:
        """Send a C-STORE request, and return without its response; fewer than `window` others wait for theirs.

        Args:
            sop_class_uid, sop_instance_uid, transfer_syntax_uid, body: as `c_store`.
            answered: called once, when the request was sent whole, with the response; or with None when the
                association ended before either. Not called when this method raises.

        Raises:
            DestinationRefuses: no accepted context.
            ValueError, GatewayError: the request cannot be written, or its body not read. The association is aborted.
        """
        context = self._context_for(sop_class_uid, transfer_syntax_uid)
        if len(self._waiting) >= self.window or self.is_sending or self._responses is not None:
            raise RuntimeError("more requests than the asynchronous operations window allows")
        request = _store_request(sop_class_uid, sop_instance_uid)
        waiting = self._expect_response(request)
        self._begun[request["MessageID"]] = _Begun(self._loop.time(), sop_instance_uid)
        self._deadlines.stop(AssociationTimer.IDLE)
        try:
            await self.send_message(context.context_id, request, body)
        except AssociationEnded:  # a response to a part of the request is none
            self._loop.call_soon(answered, None)
            return
        except BaseException:
            waiting.cancel()
            self.abort("a request was given up")  # what was sent cannot be taken back
            raise
        waiting.add_done_callback(partial(self._store_answered, answered))
        if self._waiting and not self._deadlines.is_running(AssociationTimer.RESPONSE):
            self._await_response()

    # --- requests --------------------------------------------------------------------------------------------------

    def _context_for(self, sop_class_uid: str, transfer_syntax_uid: str) -> AcceptedContext:
        context = self._by_syntax.get((sop_class_uid, transfer_syntax_uid))
        if context is None:
            raise DestinationRefuses(f"{self.name} accepted no context for {sop_class_uid} in {transfer_syntax_uid}")
        return context

    async def _request(self, context: AcceptedContext, request: Command, body: EncodedDataSet | None) -> Command:
        """Send a request and return the command set of its response."""
        if self._waiting or self._responses is not None:
            raise RuntimeError("one request at a time on an association")
        waiting = self._expect_response(request)
        before_bytes = self._outflow.written_bytes  # all of it has arrived: what asked for it was answered
        self._deadlines.stop(AssociationTimer.IDLE)
        try:
            if body is None:
                self.send_command(context.context_id, request)
            else:
                await self.send_message(context.context_id, request, body)
            self._await_response(before_bytes)
            message = await waiting
        except AssociationEnded as error:
            raise DestinationDown(f"{self.name}: {error}") from None
        except BaseException:
            self.abort("a request was given up")  # what was sent cannot be taken back
            raise
        finally:
            self._waiting.pop(request["MessageID"], None)
            self._deadlines.stop(AssociationTimer.RESPONSE)
        return self._command_of(message, request["CommandField"])

    def _command_of(self, message: Message, field: int) -> Command:
        """The command set of a response to a request with this Command Field. Raises DestinationDown."""
        command = message.command
        if command["CommandField"] != field | RESPONSE:
            self.abort("a response of another kind")
            raise DestinationDown(f"{self.name} answered with another kind of response")
        if "Status" not in command:
            self.abort("a response without Status")
            raise DestinationDown(f"{self.name} answered without a status")
        return command

    def _store_answered(self, answered: Answered, waiting: asyncio.Future[Message]) -> None:
        response: StoreResponse | None = None
        if waiting.exception() is None:
            try:
                response = _read(self._command_of(waiting.result(), CommandField.C_STORE))
            except DestinationDown:
                response = None
        answered(response)

    def _response_received(self, message: Message) -> None:
        """The others that wait have their time limit anew: a peer may do one after the other. None of them may be
        passed over for longer than all of a window would take so."""
        if not self._begun:
            super()._response_received(message)
            return
        begun = self._begun.pop(message.command.get("MessageIDBeingRespondedTo", -1), None)
        if begun is not None and self._is_of_another(begun, message.command.get("AffectedSOPInstanceUID")):
            self._invalid(AbortReason.UNEXPECTED_PARAMETER, "a response that names the object of another request")
            return
        super()._response_received(message)
        if not self._waiting:
            self._deadlines.stop(AssociationTimer.RESPONSE)
            return
        now_s = self._loop.time()
        waited_s = now_s - min((other.at_s for other in self._begun.values()), default=now_s)
        if waited_s > self.window * self._timers.dimse_s:
            self.abort("a request was passed over for too long")
        else:
            self._await_response()

    def _is_of_another(self, begun: _Begun, uid: str | None) -> bool:
        """True when a response to `begun` has the SOP Instance UID of another request that waits: the peer took one for
        the other, and which of them it means nobody knows."""
        return uid != begun.sop_instance_uid and any(uid == other.sop_instance_uid for other in self._begun.values())


def _store_request(sop_class_uid: str, sop_instance_uid: str, **more: Unpack[StoreOptions]) -> Command:
    request: Command = {
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": CommandField.C_STORE,
        "Priority": more.get("priority", 0),
        "AffectedSOPInstanceUID": sop_instance_uid,
    }
    originator = more.get("move_originator")
    if originator is not None:
        request["MoveOriginatorApplicationEntityTitle"], request["MoveOriginatorMessageID"] = originator
    return request


def _read(command: Command) -> StoreResponse:
    return StoreResponse(int(command["Status"]), str(command.get("ErrorComment", "")))
