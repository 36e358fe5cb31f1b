"""The C-STORE sub-operations of a C-GET as they arrive: one is handed on at a time, in order (PS3.4 §C.4.3)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.dimse.protocol import status
from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.message import NO_DATA_SET, RESPONSE, Command
from gateway.dimse.protocol.status import StatusRefusal
from gateway.model import dimse_status
from gateway.model.association import AssociationFacts
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError

log = structlog.get_logger()

MOST_STORES_AHEAD = 4
"""Sub-operations that wait to be handed on before nothing more is read."""


class StoringAssociation(Protocol):
    """The association that the sub-operations arrive on."""

    facts: AssociationFacts

    def send_command(self, context_id: int, command: Command) -> None: ...
    def read_on(self) -> None: ...
    def read_no_more(self) -> None: ...


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


class IncomingStores:
    """The sub-operations of one C-GET.

    Args:
        association: they arrive on it, and are answered over it.
        on_store: called with each; gives the status of its response.
        receiver: makes the receiver of one data set.
        on_change: called when the first one in work begins, and when the last one is done.
    """

    def __init__(
        self,
        association: StoringAssociation,
        on_store: OnStore,
        receiver: Callable[[], DataSetReceiver],
        on_change: Callable[[], None],
    ) -> None:
        self._association = association
        self._on_store = on_store
        self._receiver = receiver
        self._on_change = on_change
        self._waiting: deque[Message] = deque()
        self._storing: asyncio.Task[None] | None = None

    @property
    def are_in_work(self) -> bool:
        """True while one is handed on or waits for it."""
        return self._storing is not None

    def receiver_for(self, message: Message) -> DataSetReceiver:
        """The receiver of the data set of an arriving request. Raises StatusRefusal: we are no SCP of its context."""
        if message.context.service != "store" or not message.context.is_scp:
            raise StatusRefusal(dimse_status.SOP_CLASS_NOT_SUPPORTED, "C-STORE over a context without the SCP role")
        return self._receiver()

    def take(self, message: Message) -> None:
        """A C-STORE request has arrived."""
        self._waiting.append(message)
        if len(self._waiting) >= MOST_STORES_AHEAD:
            self._association.read_no_more()
        if self._storing is None:
            self._storing = asyncio.get_running_loop().create_task(self._store_all())
            self._on_change()

    async def wait(self) -> None:
        """Return when none is in work."""
        if self._storing is not None:
            await asyncio.wait({self._storing})

    async def _store_all(self) -> None:
        try:
            while self._waiting:
                message = self._waiting.popleft()
                if len(self._waiting) < MOST_STORES_AHEAD // 2:
                    self._association.read_on()
                elements = await self._store(message)
                message.close()
                self._answer(message, elements)
        finally:
            for message in self._waiting:
                message.close()
            self._storing = None
            self._on_change()  # the time limit of the next response begins

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
