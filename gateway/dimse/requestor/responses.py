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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from io import BytesIO
from types import TracebackType
from typing import Protocol, Self

import structlog
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from gateway.dataset.encoding import DEFLATED, encodings_of
from gateway.dataset.inflation import inflate
from gateway.dimse.protocol import status
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.context import AcceptedContext
from gateway.dimse.protocol.identifiers import (
    LARGEST_IDENTIFIER_BYTES,
    IdentifierReceiver,
    check,
    read_failed_list,
)
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.message import NO_DATA_SET, RESPONSE, Command, CommandField
from gateway.dimse.protocol.status import StatusRefusal
from gateway.dimse.protocol.upper_layer_provider import ABORTED_BY_USER
from gateway.model import dimse_status
from gateway.model.association import AssociationFacts
from gateway.model.dimse_status import Category
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import DestinationDown, GatewayError

log = structlog.get_logger()

MOST_AHEAD = 64
"""Responses that wait to be taken before nothing more is read."""
MOST_STORES_AHEAD = 4
GIVE_UP_S = 2.0
"""How long the final response is waited for after giving up."""


class AskedAssociation(Protocol):
    """The association that a request goes out on (`gateway.dimse.requestor.multi_response`)."""

    facts: AssociationFacts

    @property
    def name(self) -> str: ...
    def abort(self, detail: str = ...) -> None: ...
    def send_command(self, context_id: int, command: Command) -> None: ...
    async def send_message(self, context_id: int, command: Command, body: EncodedDataSet) -> None: ...
    def converse(self, responses: Responses, request: Command) -> None: ...
    def conversation_over(self, responses: Responses) -> None: ...
    def read_on(self) -> None: ...
    def read_no_more(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Response:
    """One response."""

    status: int
    identifier: bytes
    """As it came, in `transfer_syntax_uid`; empty without one."""
    transfer_syntax_uid: str
    command: Command = field(repr=False)

    @property
    def is_pending(self) -> bool:
        """True when more will come."""
        return Category.of(self.status) is Category.PENDING

    @property
    def error_comment(self) -> str:
        """Error Comment (0000,0902); peers quote patients in it."""
        return str(self.command.get("ErrorComment", ""))

    @property
    def remaining(self) -> int | None:
        return self.command.get("NumberOfRemainingSuboperations")

    @property
    def completed(self) -> int | None:
        return self.command.get("NumberOfCompletedSuboperations")

    @property
    def failed(self) -> int | None:
        return self.command.get("NumberOfFailedSuboperations")

    @property
    def warning(self) -> int | None:
        return self.command.get("NumberOfWarningSuboperations")

    @property
    def dataset(self) -> Dataset:
        """The identifier, decoded.

        Raises:
            Unreadable: it is no data set in its transfer syntax.
        """
        if not self.identifier:
            return Dataset()
        view, uid = memoryview(self.identifier), self.transfer_syntax_uid
        check(view, uid)
        encoding = encodings_of(uid)[0]
        plain = inflate(view, LARGEST_IDENTIFIER_BYTES) if uid in DEFLATED else view
        return read_dataset(BytesIO(plain), encoding.is_implicit, not encoding.is_big_endian)

    @property
    def failed_sop_instance_uids(self) -> tuple[str, ...]:
        """Failed SOP Instance UID List (0008,0058) of a retrieve's final response; () when absent or unreadable."""
        try:
            return read_failed_list(memoryview(self.identifier), self.transfer_syntax_uid)
        except GatewayError:
            return ()


@dataclass(frozen=True, slots=True)
class IncomingStore:
    """One C-STORE sub-operation of a C-GET. `body` is closed after its response."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: EncodedDataSet
    association: AssociationFacts


OnStore = Callable[[IncomingStore], Awaitable[int]]
"""Gives the status of the C-STORE response; a GatewayError that it raises gives its own."""


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
        association: AskedAssociation,
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
        self._on_store = on_store
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._until_s: float | None = None
        self._ready: deque[Response] = deque()
        self._stores: deque[Message] = deque()
        self._storing: asyncio.Task[None] | None = None
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
            self._association.converse(self, self._request)
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
            if self._storing is not None:
                await asyncio.wait({self._storing})
        finally:
            self._association.conversation_over(self)

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
        response = asyncio.timeout(self._response_s if self._storing is None else None)
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
        """With what an abort in place of a response most often means."""
        if self._is_answered or reason != ABORTED_BY_USER:
            return reason
        service = CommandField(self._request["CommandField"]).name.replace("_", "-")
        return f"{reason} at the {service}; is our AE title registered there, and may it ask? See its log"

    def _down(self, reason: str) -> DestinationDown:
        return DestinationDown(f"{self._association.name}: {reason}")

    # --- what the association tells --------------------------------------------------------------------------------

    def ended(self, reason: str) -> None:
        """The association carries no messages any more."""
        self._ended = reason
        self._wake()

    def receiver_for(self, message: Message) -> DataSetReceiver | None:
        """Where the data set of an arriving message goes; raises GatewayError to have it thrown away."""
        field_ = message.command["CommandField"]
        if field_ & RESPONSE:
            return IdentifierReceiver()
        if field_ != CommandField.C_STORE or self._on_store is None:
            return None
        if message.context.service != "store" or not message.context.is_scp:
            raise StatusRefusal(dimse_status.SOP_CLASS_NOT_SUPPORTED, "C-STORE over a context without the SCP role")
        return self._receiver()

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

    # --- sub-operations of a C-GET -----------------------------------------------------------------------------------

    def takes_store(self, message: Message) -> bool:
        """Take a C-STORE request; False when none is expected."""
        if self._on_store is None or message.command["CommandField"] != CommandField.C_STORE or self._has_final:
            return False
        self._is_answered = True
        self._stores.append(message)
        if len(self._stores) >= MOST_STORES_AHEAD:
            self._association.read_no_more()
        if self._storing is None:
            self._storing = self._loop.create_task(self._store_all())
            self._wake()
        return True

    async def _store_all(self) -> None:
        try:
            while self._stores:
                message = self._stores.popleft()
                if len(self._stores) < MOST_STORES_AHEAD // 2:
                    self._association.read_on()
                elements = await self._store(message)
                message.close()
                self._answer(message, elements)
        finally:
            for message in self._stores:
                message.close()
            self._storing = None
            self._wake()  # the time limit of the next response begins

    async def _store(self, message: Message) -> Command:
        command = message.command
        try:
            if message.failure is not None:
                raise message.failure
            if message.body is None:
                raise StatusRefusal(dimse_status.CANNOT_UNDERSTAND, "the C-STORE request has no data set")
            incoming = IncomingStore(
                str(command.get("AffectedSOPClassUID", "")),
                str(command.get("AffectedSOPInstanceUID", "")),
                str(message.context.transfer_syntax),
                message.body,
                self._association.facts,
            )
            assert self._on_store is not None
            return {"Status": await self._on_store(incoming)}
        except GatewayError as error:
            return status.of_error(error, dimse_status.STORE_HANDLER_FAILED)
        except Exception as error:
            log.error("store_failed", error=type(error).__name__, where=status.stack_lines(error))
            return {"Status": dimse_status.STORE_HANDLER_FAILED}

    def _answer(self, message: Message, elements: Command) -> None:
        command = message.command
        answer: Command = {
            "AffectedSOPClassUID": command.get("AffectedSOPClassUID"),
            "CommandField": command["CommandField"] | RESPONSE,
            "MessageIDBeingRespondedTo": command["MessageID"],
            "CommandDataSetType": NO_DATA_SET,
            "AffectedSOPInstanceUID": command.get("AffectedSOPInstanceUID"),
            **elements,
        }
        with contextlib.suppress(AssociationEnded):
            self._association.send_command(message.context.context_id, answer)
